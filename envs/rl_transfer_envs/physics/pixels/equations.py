"""PixelCatch: balls fall, a paddle catches them; seen as a small greyscale image.

The game is bsuite's Catch (Osband et al. 2020, "Behaviour suite for reinforcement learning", after
Mnih et al. 2014, "Recurrent models of visual attention") with sizes, speeds and shades of grey
that can be perturbed. One image shows the whole state: everything that moves does so at a speed
that is fixed for the episode.
"""

from __future__ import annotations

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rl_transfer_envs.aliases import Action, Image, Info, Options

SIZE = 36
"""Height and width of the image and of the field, in pixels; the least that SB3's NatureCNN takes."""


class PixelCatch(gym.Env[Image, np.int64]):
    """Catch falling balls with a paddle at the lower border.

    Observation: ``uint8[36, 36, 1]``, shades of grey, channel last. Actions: 0 left, 1 stay, 2 right.
    A ball appears at the top in a uniformly random column and falls ``ball_speed`` pixels a step
    while the wind shifts it sideways; borders stop it. When it reaches the paddle's row the reward is
    +1 if it overlaps the paddle, else −1, and the next ball appears. The episode terminates after
    ``balls`` balls (110 steps at the defaults), so that returns lie in [−balls, balls].

    The attributes below are the parameters; their meaning and bounds stand in ``pixel_catch``.

    Args:
        render_mode: ``"rgb_array"`` (the observation in colour channels, enlarged) or None.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": 15}  # noqa: RUF012 - Gymnasium's own form

    def __init__(self, render_mode: str | None = None) -> None:
        self.balls = 10
        self.ball_size = 4
        self.ball_speed = 3.0
        self.wind = 0.0
        self.paddle_width = 8
        self.paddle_height = 2
        self.paddle_speed = 3.0
        self.ball_shade = 255
        self.paddle_shade = 160
        self.background_shade = 0
        self.specks = 0
        self.render_mode = render_mode
        self.observation_space = spaces.Box(0, 255, (SIZE, SIZE, 1), np.uint8)
        self.action_space = spaces.Discrete(3)
        self._canvas = np.zeros((SIZE, SIZE, 1), np.uint8)
        self._columns = np.zeros(0)
        self._caught_or_lost = 0
        self._ball_x = self._ball_y = self._paddle_x = 0.0

    def reset(self, *, seed: int | None = None, options: Options = None) -> tuple[Image, Info]:
        """Start an episode: the paddle in the middle, the first ball at the top."""
        super().reset(seed=seed)
        self._columns = self.np_random.random(self.balls)
        self._canvas = np.full((SIZE, SIZE, 1), self.background_shade, np.uint8)
        if self.specks:
            rows, columns = self.np_random.integers(SIZE, size=(2, self.specks))
            self._canvas[rows, columns] = self.np_random.integers(256, size=(self.specks, 1))
        self._caught_or_lost = 0
        self._paddle_x = (SIZE - self.paddle_width) / 2
        self._drop()
        return self._draw(), {}

    def step(self, action: Action) -> tuple[Image, float, bool, bool, Info]:
        """Move the paddle, then the ball; the reward comes when the ball reaches the paddle's row."""
        self._paddle_x = _within(
            self._paddle_x + (int(action) - 1) * self.paddle_speed, SIZE - self.paddle_width
        )
        self._ball_x = _within(self._ball_x + self.wind, SIZE - self.ball_size)
        self._ball_y += self.ball_speed
        reward, terminated = 0.0, False
        if self._ball_y + self.ball_size > SIZE - self.paddle_height:
            reward = 1.0 if self._touches() else -1.0
            self._caught_or_lost += 1
            terminated = self._caught_or_lost >= self.balls
            if not terminated:
                self._drop()
        return self._draw(), reward, terminated, False, {}

    def render(self) -> Image | None:
        """The present image as ``uint8[288, 288, 3]``: every pixel eight by eight, in three channels."""
        if self.render_mode is None:
            gym.logger.warn('PixelCatch-v0: render needs render_mode="rgb_array".')
            return None
        return np.repeat(np.repeat(self._draw(), 8, axis=0), 8, axis=1).repeat(3, axis=2)

    def _drop(self) -> None:
        self._ball_x = float(self._columns[self._caught_or_lost]) * (SIZE - self.ball_size)
        self._ball_y = 0.0

    def _touches(self) -> bool:
        left, right = int(self._paddle_x), int(self._paddle_x) + self.paddle_width
        return int(self._ball_x) < right and int(self._ball_x) + self.ball_size > left

    def _draw(self) -> Image:
        """A fresh image: the background, the paddle, and over it the ball."""
        image = self._canvas.copy()
        left, x, y = int(self._paddle_x), int(self._ball_x), int(self._ball_y)
        image[SIZE - self.paddle_height :, left : left + self.paddle_width] = self.paddle_shade
        image[y : y + self.ball_size, x : x + self.ball_size] = self.ball_shade
        return image


def _within(position: float, limit: float) -> float:
    return 0.0 if position < 0 else limit if position > limit else position

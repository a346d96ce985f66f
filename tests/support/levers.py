"""An environment whose actions and observations can stand in any order."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces


class Levers(gym.Env[Any, Any]):
    """Three levers of unlike effect; always the same start.

    Lever i pulls what ``order[i]`` pulled; entry i of an observation is what ``shown[i]`` was, and beyond
    the four there were, a sensor of something else. ``scale`` is that of the four.
    """

    def __init__(
        self,
        order: tuple[int, ...] = (0, 1, 2),
        discrete: bool = False,
        sensors: int = 4,
        shown: tuple[int, ...] | None = None,
        scale: tuple[float, ...] = (1, 1, 1, 1),
    ) -> None:
        self._order, self._sensors, self._scale = order, sensors, np.array(scale)
        self._shown = shown if shown is None else list(shown)
        width = sensors if self._shown is None else len(self._shown)
        self.observation_space = spaces.Box(-500, 500, (width,), np.float32)
        count = len(order)
        self.action_space = spaces.Discrete(count) if discrete else spaces.Box(-1, 1, (count,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        self._state, self._left = np.array([0.3, -0.7, 1.1, 0.2]), 12
        return self._seen(), {}

    def _seen(self) -> Any:
        seen = self._state * self._scale
        if self._shown is not None:
            return np.append(seen, 7.0 + self._left)[self._shown].astype(np.float32)
        return np.resize(seen, (self._sensors,)).astype(np.float32)

    def step(self, action: Any) -> Any:
        pulled = np.zeros(3)
        pulled[list(self._order)] = np.eye(3)[action] if np.ndim(action) == 0 else action
        self._state = np.array([*(0.9 * self._state[:3] + pulled * [0.5, -0.3, 0.8]), self._state[0]])
        self._left -= 1
        reward = float(self._state @ [1.0, 2.0, -1.0, 0.5])
        return self._seen(), reward, False, self._left == 0, {}


def levers(**kwargs: Any) -> dict[str, Any]:
    """The environment as a config."""
    return {"id": "Levers-v0", "kwargs": kwargs}


gym.register("Levers-v0", entry_point=lambda **kwargs: Levers(**kwargs))

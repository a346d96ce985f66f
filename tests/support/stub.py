"""An environment of which a test writes only what it is about."""

import copy
from typing import Any

import gymnasium as gym
import numpy as np


class Stub(gym.Env[Any, Any]):
    """Two actions and a zero to see, for ever; it counts the steps of an episode as ``t``."""

    action_space: gym.Space[Any] = gym.spaces.Discrete(2)
    observation_space: gym.Space[Any] = gym.spaces.Box(-1e3, 1e3, (1,), np.float32)

    def __init__(self, render_mode: str | None = None) -> None:
        self.action_space, self.observation_space = copy.deepcopy((self.action_space, self.observation_space))
        self.t: float = 0

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        return self.look(), {}

    def step(self, action: Any) -> Any:
        self.t += 1
        return self.look(), self.paid(), False, False, {}

    def look(self) -> Any:
        """What is seen; zeros."""
        return np.zeros(self.observation_space.shape or (), self.observation_space.dtype)

    def paid(self) -> float:
        """The reward of the step that was just made; none."""
        return 0.0

"""What steps environments for :mod:`rl_transfer.rl.compiled.worlds`, whatever the way."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.vec_env import DummyVecEnv

from rl_transfer.engine.compiling import kernel
from rl_transfer_envs.aliases import Array, Info, Space

Flags = NDArray[np.bool_]


@kernel(exact=True)
def all_finite(observations: Array, rewards: Array) -> bool:
    """Whether all of it is finite.

    Args:
        observations: ``[environment, entry]``.
        rewards: ``[environment]``.

    Returns:
        Whether it is.
    """
    for row in range(observations.shape[0]):
        for k in range(observations.shape[1]):
            if not np.isfinite(observations[row, k]):
                return False
        if not np.isfinite(rewards[row]):
            return False
    return True


class Stepper(ABC):
    """Environments that are stepped together; observations as the environments give them.

    All arrays are reused.

    Attributes:
        observations: ``[environment, …]`` in the space's dtype; after an episode's end the next one's first.
        rewards: ``float32[environment]``.
        dones: ``bool[environment]``.
        truncated: ``bool[environment]``: cut off by a time limit, and not terminated.
        last: ``[environment, …]``, the last observations of episodes; valid where ``dones`` holds.
        ended: numbers of the environments where ``dones`` holds.
        infos: since :meth:`begin`, what SB3 remembers of episodes that ended: ``episode``, ``is_success``.

    Args:
        count: how many environments.
        space: of one observation.
    """

    def __init__(self, count: int, space: Space) -> None:
        shape = (count, *(space.shape or ()))
        self.observations: Array = np.zeros(shape, dtype=space.dtype)
        self.last: Array = np.zeros(shape, dtype=space.dtype)
        self.rewards: NDArray[np.float32] = np.zeros(count, dtype=np.float32)
        self.dones: Flags = np.zeros(count, dtype=np.bool_)
        self.truncated: Flags = np.zeros(count, dtype=np.bool_)
        self.ended: list[int] = []
        self.infos: list[Info] = []

    @abstractmethod
    def begin(self) -> None:
        """Take over what the environments and their monitors hold."""

    @abstractmethod
    def step(self, actions: Array) -> bool:
        """Step all environments and reset those that finished.

        Args:
            actions: ``[environment, …]``.

        Returns:
            Whether everything that came of it is finite.
        """

    @abstractmethod
    def finish(self) -> None:
        """Give the environments and their monitors what they would hold under SB3."""

    def is_finite(self) -> bool:
        """Whether observations and rewards are, and last observations that a value may be taken of.

        Returns:
            Whether they are.
        """
        if self.observations.dtype.kind == "f":
            rows = self.observations.reshape(len(self.rewards), -1)
        else:
            rows = self.rewards.reshape(-1, 1)
        if not all_finite(rows, self.rewards):
            return False
        if not self.ended or self.last.dtype.kind != "f" or not self.truncated.any():
            return True
        return bool(np.isfinite(self.last[self.truncated]).all())


def note(infos: list[Info], info: Info, done: bool) -> None:
    """Keep what SB3 remembers of a step: the episode that ended, and whether it was a success.

    Args:
        infos: gets it.
        info: what the environment and its monitor said.
        done: whether the step ended an episode.
    """
    kept = {key: info[key] for key in ("episode", "is_success") if info.get(key) is not None}
    if not done:
        kept.pop("is_success", None)
    if kept:
        infos.append(kept)


def write_buffers(env: DummyVecEnv, stepper: Stepper) -> None:
    """Give a ``DummyVecEnv`` the results of the last step.

    Args:
        env: gets them.
        stepper: has them.
    """
    for column in env.buf_obs.values():  # there is one: the observations are no dict
        column[...] = stepper.observations
    env.buf_rews[...] = stepper.rewards
    env.buf_dones[...] = stepper.dones

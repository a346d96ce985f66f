"""Batched reward perturbations; delay and shaping sum in an order of their own, so they go row by row."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rl_transfer_envs.aliases import Array
from rl_transfer_envs.registry.perturbations import Perturbation
from rl_transfer_envs.vector.layers.base import BatchLayer, Rows
from rl_transfer_envs.wrappers.reward import RewardPower, RewardScale, RewardSparsification


class _PerEpisodeLayer(BatchLayer):
    """Base: one number per instance, drawn per episode or fixed."""

    def __init__(self, wrappers: Sequence[Perturbation | None]) -> None:
        super().__init__(wrappers)
        self._size = np.ones(self.count)

    def begin(self, row: int, observation: Array) -> None:
        """Take the episode's value."""
        wrapper = self.wrapper(row)
        self._size[row] = wrapper.value(wrapper.arguments[0].name)


class RewardScaleLayer(_PerEpisodeLayer):
    """Multiplied."""

    def reward(
        self, rows: Rows, rewards: Array, observations: Array, terminated: Array, done: Array
    ) -> Array:
        """``factor·r``."""
        return rewards * self._size[rows]


class RewardPowerLayer(_PerEpisodeLayer):
    """Bent, keeping the sign."""

    def reward(
        self, rows: Rows, rewards: Array, observations: Array, terminated: Array, done: Array
    ) -> Array:
        """``sign(r)·|r|^exponent``, with the C library's ``pow`` as NumPy's scalars use it."""
        return np.asarray(np.sign(rewards) * np.float_power(np.abs(rewards), self._size[rows]))


class RewardSparsificationLayer(_PerEpisodeLayer):
    """Paid now and then."""

    def __init__(self, wrappers: Sequence[Perturbation | None]) -> None:
        super().__init__(wrappers)
        self._purse, self._clock = np.zeros(self.count), np.zeros(self.count, dtype=np.int64)
        self._only_at_end = np.array([w is not None and w.value("only_at_end") for w in wrappers])

    def begin(self, row: int, observation: Array) -> None:
        """Start an empty purse."""
        super().begin(row, observation)
        self._purse[row], self._clock[row] = 0.0, 0

    def reward(
        self, rows: Rows, rewards: Array, observations: Array, terminated: Array, done: Array
    ) -> Array:
        """The purse on a pay day or at the end, else 0."""
        purse, clock = self._purse[rows] + rewards, self._clock[rows] + 1
        pay = done | (~self._only_at_end[rows] & (clock % self._size[rows] == 0))
        self._purse[rows], self._clock[rows] = np.where(pay, 0.0, purse), clock
        return np.where(pay, purse, 0.0)


REWARD_LAYERS: dict[type[Perturbation], type[BatchLayer]] = {
    RewardScale: RewardScaleLayer,
    RewardPower: RewardPowerLayer,
    RewardSparsification: RewardSparsificationLayer,
}

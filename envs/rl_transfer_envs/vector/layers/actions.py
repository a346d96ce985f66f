"""Batched action perturbations."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from gymnasium import spaces

from rl_transfer_envs.aliases import Array
from rl_transfer_envs.registry.perturbations import Perturbation
from rl_transfer_envs.vector.layers.base import BatchLayer, Rows
from rl_transfer_envs.vector.layers.draws import Draws, normal
from rl_transfer_envs.wrappers.action_choice import ActionRemap, ExtraActions
from rl_transfer_envs.wrappers.action_values import (
    ActionDeadZone,
    ActionInversion,
    ActionNoise,
    ActionScale,
)


class ActionTableLayer(BatchLayer):
    """Discrete actions by table: what each action becomes does not change with time."""

    def __init__(self, wrappers: Sequence[Perturbation | None]) -> None:
        super().__init__(wrappers)
        sizes = [int(wrapper.action_space.n) for _, wrapper in self.members]
        self._start = np.zeros(self.count, dtype=np.int64)
        self._table = np.zeros((self.count, max(sizes)), dtype=np.int64)
        for (row, wrapper), size in zip(self.members, sizes, strict=True):
            self._start[row] = start = int(wrapper.action_space.start)
            self._table[row, :size] = [wrapper.action(start + number) for number in range(size)]

    def action(self, rows: Rows, actions: Array) -> Array:
        """The table's entries."""
        return self._table[np.arange(self.count)[rows], actions - self._start[rows]]


class ExtraActionsLayer(BatchLayer):
    """Ignores the extra dimensions of continuous actions."""

    def __init__(self, wrappers: Sequence[Perturbation | None]) -> None:
        super().__init__(wrappers)
        self._count = self.members[0][1].env.action_space.shape[0]

    def action(self, rows: Rows, actions: Array) -> Array:
        """The dimensions that the environment has."""
        return actions[:, : self._count]


class _ContinuousActionLayer(BatchLayer):
    """Base: one number per instance and dimension, drawn per episode or fixed."""

    def __init__(self, wrappers: Sequence[Perturbation | None]) -> None:
        super().__init__(wrappers)
        shape = self.members[0][1].env.action_space.shape
        self._size, self._low, self._high = (np.zeros((self.count, *shape)) for _ in range(3))
        for row, wrapper in self.members:
            space = wrapper.env.action_space
            self._low[row], self._high[row] = space.low, space.high

    def begin(self, row: int, observation: Array) -> None:
        """Take the episode's value."""
        wrapper = self.wrapper(row)
        name = wrapper.arguments[0].name
        self._size[row] = wrapper.per_dimension(name, wrapper.env.action_space, wrapper.value(name))

    def clip(self, rows: Rows, actions: Array) -> Array:
        """Into the action range, in single precision."""
        return np.clip(actions, self._low[rows], self._high[rows]).astype(np.float32)


class ActionNoiseLayer(_ContinuousActionLayer):
    """Normal noise from every instance's own stream."""

    def __init__(self, wrappers: Sequence[Perturbation | None]) -> None:
        super().__init__(wrappers)
        size = self._size.shape[1]
        self._draws = Draws(wrappers, [normal(size)] * self.count, size)
        self._all = np.arange(self.count)

    def begin(self, row: int, observation: Array) -> None:
        """Take the episode's value."""
        super().begin(row, observation)
        self._draws.begin(row)

    def action(self, rows: Rows, actions: Array) -> Array:
        """``a + std·(high − low)/2·ε``, clipped; instances without noise draw nothing."""
        noisy: Array = np.any(self._size[rows], axis=1)
        own = self._all[rows][noisy]
        reach = self._size[own] * (self._high[own] - self._low[own]) / 2
        changed = actions.copy()
        changed[noisy] = self.clip(own, actions[noisy] + reach * self._draws.take(own))
        return changed


class ActionScaleLayer(_ContinuousActionLayer):
    """Multiplied and clipped."""

    def action(self, rows: Rows, actions: Array) -> Array:
        """``clip(factor·a)``; a factor of 1 in all dimensions does not clip either."""
        size = self._size[rows]
        same = (size == 1).all(axis=1, keepdims=True)
        return np.where(same, actions, self.clip(rows, actions * size))


class ActionDeadZoneLayer(_ContinuousActionLayer):
    """Small actions become 0."""

    def action(self, rows: Rows, actions: Array) -> Array:
        """0 where ``|a| < width·largest``."""
        largest = np.maximum(np.abs(self._low[rows]), np.abs(self._high[rows]))
        return np.where(np.abs(actions) < self._size[rows] * largest, np.float32(0), actions)


class ActionInversionLayer(BatchLayer):
    """Mirrored at the middle of the range, in the listed dimensions."""

    def __init__(self, wrappers: Sequence[Perturbation | None]) -> None:
        super().__init__(wrappers)
        space = self.members[0][1].env.action_space
        self._mask = np.zeros((self.count, *space.shape), dtype=bool)
        self._sum = np.zeros((self.count, *space.shape), dtype=space.dtype)
        for row, wrapper in self.members:
            self._mask[row], self._sum[row] = wrapper._mask, wrapper._sum

    def action(self, rows: Rows, actions: Array) -> Array:
        """``low + high − a``."""
        return np.where(self._mask[rows], self._sum[rows] - actions, actions)


def _extra(wrappers: Sequence[Perturbation | None]) -> BatchLayer:
    first = next(wrapper for wrapper in wrappers if wrapper is not None)
    return (
        ActionTableLayer(wrappers)
        if isinstance(first.action_space, spaces.Discrete)
        else ExtraActionsLayer(wrappers)
    )


ACTION_LAYERS: dict[type[Perturbation], Callable[[Sequence[Perturbation | None]], BatchLayer]] = {
    ActionRemap: ActionTableLayer,
    ExtraActions: _extra,
    ActionNoise: ActionNoiseLayer,
    ActionScale: ActionScaleLayer,
    ActionDeadZone: ActionDeadZoneLayer,
    ActionInversion: ActionInversionLayer,
}

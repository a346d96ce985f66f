"""What all layers share: hooks over compact arrays of the instances at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl_transfer_envs.aliases import Array
from rl_transfer_envs.registry.perturbations import Perturbation

Rows = slice | NDArray[np.intp]
"""Which instances an array holds: ``ALL``, or their numbers in rising order."""

ALL = slice(None)


class BatchLayer:
    """One level of perturbations; the base class changes nothing.

    Args:
        wrappers: ``wrappers[instance]``, None for an instance that this layer skips.
    """

    def __init__(self, wrappers: Sequence[Perturbation | None]) -> None:
        self.wrappers = wrappers
        self.count = len(wrappers)

    @property
    def members(self) -> list[tuple[int, Any]]:
        """The instances that this layer changes, and their wrappers."""
        return [(row, wrapper) for row, wrapper in enumerate(self.wrappers) if wrapper is not None]

    def wrapper(self, row: int) -> Any:
        """The wrapper of an instance of this layer.

        Args:
            row: number of the instance.
        """
        return self.wrappers[row]

    def numbers(self, rows: Rows) -> Sequence[int]:
        """Rows as plain numbers.

        Args:
            rows: which instances.
        """
        return range(self.count) if isinstance(rows, slice) else rows.tolist()

    def begin(self, row: int, observation: Array) -> None:
        """Start an episode, after the wrapper drew its values.

        Args:
            row: number of the instance.
            observation: ``observation[dimension]``, the first one, as it reaches this layer.
        """

    def action(self, rows: Rows, actions: Array) -> Array:
        """The actions that go in.

        Args:
            rows: which instances.
            actions: ``actions[k]`` or ``actions[k, dimension]`` of the k-th of ``rows``.

        Returns:
            As many, as the next layer gets them.
        """
        return actions

    def observation(self, rows: Rows, observations: Array) -> Array:
        """The observations that come out.

        Args:
            rows: which instances.
            observations: ``observations[k, dimension]`` of the k-th of ``rows``.

        Returns:
            As many, newly made.
        """
        return observations

    def reward(
        self, rows: Rows, rewards: Array, observations: Array, terminated: Array, done: Array
    ) -> Array:
        """The rewards that come out.

        Args:
            rows: which instances.
            rewards: ``rewards[k]`` of the k-th of ``rows``, in reward units.
            observations: ``observations[k, dimension]``, as they reach this layer.
            terminated: ``terminated[k]``.
            done: ``done[k]``: terminated or truncated.

        Returns:
            As many.
        """
        return rewards


class PartialLayer(BatchLayer):
    """A layer for some of the instances: the others pass unchanged.

    Args:
        layer: the layer; called with its own instances only.
    """

    def __init__(self, layer: BatchLayer) -> None:
        super().__init__(layer.wrappers)
        self._layer = layer
        self._member = np.array([wrapper is not None for wrapper in layer.wrappers])
        self._all = np.arange(self.count)

    def begin(self, row: int, observation: Array) -> None:
        """Pass on what concerns the layer's own instances."""
        if self._member[row]:
            self._layer.begin(row, observation)

    def action(self, rows: Rows, actions: Array) -> Array:
        """Change the actions of the layer's own instances."""
        own = self._member[rows]
        if not own.any():
            return actions
        changed = actions.copy()
        changed[own] = self._layer.action(self._all[rows][own], actions[own])
        return changed

    def observation(self, rows: Rows, observations: Array) -> Array:
        """Change the observations of the layer's own instances."""
        own = self._member[rows]
        if not own.any():
            return observations
        changed = observations.copy()
        changed[own] = self._layer.observation(self._all[rows][own], observations[own])
        return changed

    def reward(
        self, rows: Rows, rewards: Array, observations: Array, terminated: Array, done: Array
    ) -> Array:
        """Change the rewards of the layer's own instances."""
        own = self._member[rows]
        if not own.any():
            return rewards
        changed = rewards.copy()
        changed[own] = self._layer.reward(
            self._all[rows][own], rewards[own], observations[own], terminated[own], done[own]
        )
        return changed

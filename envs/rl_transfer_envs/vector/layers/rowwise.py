"""Layers that call the wrappers' own hooks, one instance after another.

For perturbations whose arithmetic would not give the same bits over arrays (sums and norms whose
order matters), and for a user's own wrappers.
"""

from __future__ import annotations

import numpy as np

from rl_transfer_envs.aliases import Array
from rl_transfer_envs.vector.layers.base import BatchLayer, Rows


class RowwiseActionLayer(BatchLayer):
    """Calls ``action`` of every instance's wrapper, which began when its values were drawn."""

    def action(self, rows: Rows, actions: Array) -> Array:
        """The wrappers' actions."""
        changed = [self.wrapper(row).action(actions[k]) for k, row in enumerate(self.numbers(rows))]
        return np.array(changed, dtype=actions.dtype)


class RowwiseObservationLayer(BatchLayer):
    """Calls ``observation`` of every instance's wrapper."""

    def begin(self, row: int, observation: Array) -> None:
        """Call the wrapper's hook."""
        self.wrapper(row).begin(observation)

    def observation(self, rows: Rows, observations: Array) -> Array:
        """The wrappers' observations."""
        return np.stack(
            [self.wrapper(row).observation(observations[k]) for k, row in enumerate(self.numbers(rows))]
        )


class RowwiseRewardLayer(BatchLayer):
    """Calls ``reward`` of every instance's wrapper."""

    def begin(self, row: int, observation: Array) -> None:
        """Call the wrapper's hook."""
        self.wrapper(row).begin(observation)

    def reward(
        self, rows: Rows, rewards: Array, observations: Array, terminated: Array, done: Array
    ) -> Array:
        """The wrappers' rewards."""
        ends = zip(terminated.tolist(), done.tolist(), strict=True)
        given = zip(self.numbers(rows), rewards.tolist(), observations, ends, strict=True)
        changed = [self.wrapper(row).reward(reward, seen, *end) for row, reward, seen, end in given]
        return np.array(changed, dtype=np.float64)

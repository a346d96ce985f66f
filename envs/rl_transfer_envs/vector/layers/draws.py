"""Random numbers from every instance's own stream, fetched in blocks.

A generator gives the same numbers whether they are asked for one step or many steps at a time, and
the steps are all that draws from a wrapper's stream: values drawn per episode have streams of their
own. So a block is drawn ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from rl_transfer_envs.aliases import Array
from rl_transfer_envs.registry.perturbations import Perturbation
from rl_transfer_envs.vector.layers.base import Rows

Draw = Callable[[np.random.Generator, int], Array]
"""``draw(rng, steps)[step, dimension]``; many steps at once must give what single steps give."""

BLOCK = 32


class Draws:
    """The numbers of the coming steps.

    Args:
        wrappers: ``wrappers[instance]``, None for instances without.
        draws: ``draws[instance]``.
        dimensions: numbers per step.
    """

    def __init__(
        self, wrappers: Sequence[Perturbation | None], draws: Sequence[Draw], dimensions: int
    ) -> None:
        count = len(wrappers)
        self._wrappers, self._draws = wrappers, draws
        self._numbers = np.zeros((count, BLOCK, dimensions))
        self._next = np.full(count, BLOCK, dtype=np.intp)
        self._generators: list[np.random.Generator | None] = [None] * count
        self._all = np.arange(count)

    def begin(self, row: int) -> None:
        """Forget what was drawn ahead, if the wrapper's stream was seeded anew.

        Args:
            row: number of the instance.
        """
        wrapper = self._wrappers[row]
        assert wrapper is not None
        if wrapper.rng is not self._generators[row]:
            self._generators[row], self._next[row] = wrapper.rng, BLOCK

    def take(self, rows: Rows) -> Array:
        """The numbers of one step, ``[k, dimension]`` for the k-th of ``rows``.

        Args:
            rows: which instances.

        Returns:
            ``numbers[k, dimension]``.
        """
        for row in self._all[rows][self._next[rows] == BLOCK].tolist():
            self._numbers[row] = self._draws[row](self._generators[row], BLOCK)
            self._next[row] = 0
        taken: Array = self._numbers[self._all[rows], self._next[rows]]
        self._next[rows] += 1
        return taken


def normal(dimensions: int) -> Draw:
    """Standard normal numbers.

    Args:
        dimensions: numbers per step.
    """
    return lambda rng, steps: rng.standard_normal((steps, dimensions))


def uniform(dimensions: int) -> Draw:
    """Uniform numbers of mean 0 and variance 1.

    Args:
        dimensions: numbers per step.
    """
    return lambda rng, steps: rng.uniform(-np.sqrt(3.0), np.sqrt(3.0), (steps, dimensions))


def share(dimensions: int, together: bool) -> Draw:
    """Uniform numbers in [0, 1), one for all dimensions or one for each.

    Args:
        dimensions: numbers per step.
        together: whether one stands for all dimensions.

    Returns:
        The draw.
    """
    if together:
        return lambda rng, steps: np.repeat(rng.random((steps, 1)), dimensions, axis=1)
    return lambda rng, steps: rng.random((steps, dimensions))

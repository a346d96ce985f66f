"""How large the difference between two environments is, as a share of what they show."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from rl_transfer_envs.aliases import Array, Floats
from rl_transfer_envs.check.play import Shown, refuse_not_finite

_FLOOR = 1e-2  # a reading counts as at least this share of the largest one in its array


class Scale:
    """The largest magnitude of every reading and of the reward, by which differences are divided.

    The size of a difference is the largest of ``|a − b| / scale`` over all readings and the reward.
    A changed ending, shape, word or truth value has size 1.
    """

    def __init__(self) -> None:
        self._largest: dict[str, Floats] = {}

    def note(self, shown: Shown) -> None:
        """Look at what an environment shows.

        Args:
            shown: of a reset or a step.
        """
        for path, value in _numbers(shown):
            magnitude = np.where(np.isfinite(value), np.abs(value.astype(np.float64)), 0.0)
            known = self._largest.get(path)
            if known is None or known.shape != magnitude.shape:
                self._largest[path] = magnitude
            else:
                np.maximum(known, magnitude, out=known)

    def distance(self, first: Shown, second: Shown) -> float:
        """The size of the difference between what two environments show.

        Args:
            first: of the one.
            second: of the other.

        Returns:
            The size; 0 for equal ones.
        """
        return max((self._leaf(path, a, b) for path, a, b in _pairs(first, second)), default=0.0)

    def _leaf(self, path: str, a: Array, b: Array) -> float:
        refuse_not_finite(a, b)
        if a.shape != b.shape or not _is_number(a):
            return float(a.shape != b.shape or not np.array_equal(a, b))
        with np.errstate(invalid="ignore", over="ignore"):
            gap = np.abs(np.where(a == b, 0.0, a.astype(np.float64) - b)) / self._of(path, a)
        return float(np.nan_to_num(gap, nan=0.0).max(initial=0.0))

    def _of(self, path: str, like: Array) -> Floats:
        largest = self._largest.get(path)
        if largest is None or largest.shape != like.shape:
            largest = np.abs(like.astype(np.float64))
        floor = _FLOOR * float(largest.max(initial=0.0))
        return np.maximum(largest, floor) if floor > 0 else np.ones(like.shape)


def smaller(first: Scale, second: Scale) -> Scale:
    """For every reading the smaller of two scales: noise must not make a change of the physics small.

    Args:
        first: of one environment.
        second: of another.

    Returns:
        The scale; readings that only one of them has, or in another shape, are as the second has them.
    """
    both = Scale()
    for path, largest in second._largest.items():
        known = first._largest.get(path, largest)
        both._largest[path] = np.minimum(known, largest) if known.shape == largest.shape else largest
    return both


def _pairs(first: object, second: object, path: str = "") -> Iterator[tuple[str, Array, Array]]:
    """The arrays of two nests side by side."""
    if isinstance(first, Mapping) and isinstance(second, Mapping):
        for name, value in first.items():
            yield from _pairs(value, second[name], f"{path}/{name}")
    elif isinstance(first, tuple) and isinstance(second, tuple):
        for i, (a, b) in enumerate(zip(first, second, strict=True)):
            yield from _pairs(a, b, f"{path}/{i}")
    else:
        yield path, np.asarray(first), np.asarray(second)


def _numbers(shown: Shown) -> Iterator[tuple[str, Array]]:
    return ((path, value) for path, value, _ in _pairs(shown, shown) if _is_number(value))


def _is_number(value: Array) -> bool:
    return bool(np.issubdtype(value.dtype, np.number))

"""How many seeds a verdict needs: what the exact test can reach, and what a cell's spread asks for."""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist

from rl_transfer.analysis.arm_statistics import PERMUTATION_LIMIT, Values, as_values, welch_error
from rl_transfer.analysis.special import t_quantile

LEAST_SEEDS = 4
"""With fewer runs in an arm every verdict is inconclusive."""
MOST_SEEDS = 1000
"""Beyond this many seeds per arm no estimate is given."""
POWER = 0.8
"""Chance of a verdict that *likely* stands for."""

_normal_quantile = NormalDist().inv_cdf


def smallest_p(n_x: int, n_y: int) -> float:
    """The smallest p that the permutation test can give with n_x and n_y runs.

    2 / C(2K, K) for equal arms of K runs (a split and its mirror image are equally extreme), 1 / C for
    unequal ones; 1 / (1 + :data:`PERMUTATION_LIMIT`) where splits are sampled.

    >>> smallest_p(3, 3)  # 2 of 20 splits
    0.1

    Args:
        n_x: runs in the first arm.
        n_y: runs in the second arm.

    Returns:
        p in (0, 1].
    """
    splits = math.comb(n_x + n_y, n_x)
    if splits > PERMUTATION_LIMIT:
        return 1 / (1 + PERMUTATION_LIMIT)
    return min(1.0, (2 if n_x == n_y else 1) / splits)


def smallest_seeds(cells: int, q: float) -> int | None:
    """The smallest K per arm at which a lone effect among ``cells`` could pass Benjamini–Hochberg.

    A lone effect must have p < q / cells. At least :data:`LEAST_SEEDS`; None if no number of seeds suffices
    (more cells than the sampled test can resolve).

    >>> smallest_seeds(6, 0.05)
    5

    Args:
        cells: tests in the family.
        q: false-discovery rate, in (0, 1).
    """
    return next(
        (k for k in range(LEAST_SEEDS, MOST_SEEDS + 1) if smallest_p(k, k) * max(cells, 1) < q),
        None,
    )


def more_seeds(x: Values, y: Values, *, delta: float, q: float, cells: int, confidence: float) -> int | None:
    """How many more seeds per arm would likely settle an inconclusive comparison.

    Assumes that means and spreads stay as they are. If the difference is at least ``delta``, the search is
    for a test at level q / cells with power 0.8, that is |d| ≥ (t_(1−α/2) + t_0.8) standard errors; otherwise
    for an interval inside [−delta, delta] with that power: δ − |d| takes the place of |d|. At least one.

    Args:
        x: the first arm, one number per run.
        y: the second arm, in the same unit.
        delta: half-width of the region of practical equivalence, in that unit.
        q: false-discovery rate, in (0, 1).
        cells: tests in the family, this one among them.
        confidence: coverage of the interval, in (0, 1).

    Returns:
        The number on top of the smaller arm; None if more than :data:`MOST_SEEDS` would be needed.
    """
    x, y = as_values(x, "x"), as_values(y, "y")
    have = min(x.size, y.size)
    if have < 2:
        return None
    spread = float(x.var(ddof=1)), float(y.var(ddof=1))
    difference = abs(float(x.mean() - y.mean()))
    claims_effect = difference >= delta
    floor = smallest_seeds(cells, q) if claims_effect else LEAST_SEEDS
    if floor is None:
        return None
    room = difference if claims_effect else delta - difference
    tail = q / (2 * cells) if claims_effect else (1 - confidence) / 2

    def settles(k: int) -> bool:
        error, degrees = welch_error(spread[0], k, spread[1], k)
        if room < error * (_normal_quantile(1 - tail) + _normal_quantile(POWER)):
            return False
        # Quantiles of t are above the normal's and fall as the degrees grow, so that those of a power of two
        # are a bound, which many cells share. The quantile of a cell's own degrees takes a millisecond.
        bound = 2.0 ** math.floor(math.log2(degrees))
        return any(room >= error * (t_quantile(1 - tail, n) + t_quantile(POWER, n)) for n in (bound, degrees))

    needed = _first(settles, max(have + 1, floor), MOST_SEEDS)
    return None if needed is None else needed - have


def _first(holds: Callable[[int], bool], low: int, high: int) -> int | None:
    """The smallest k in [low, high] for which the rising predicate ``holds``, by bisection."""
    if low > high or not holds(high):
        return None
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low

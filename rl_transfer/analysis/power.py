"""How many seeds a verdict needs: what the exact test can reach, and what a cell's spread asks for."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from statistics import NormalDist

from rl_transfer.analysis.arm_statistics import (
    PERMUTATION_LIMIT,
    Values,
    as_values,
    welch_error,
    welch_interval,
)
from rl_transfer.analysis.special import t_quantile
from rl_transfer.spec.seeds import LEAST_SEEDS

MOST_SEEDS = 1000
"""Beyond this many seeds per arm no estimate is given."""
POWER = 0.8
"""Chance of a verdict that advice on seeds aims at."""
PILOT_CONFIDENCE = 0.6
"""Coverage of the interval in which advice on seeds takes a difference to lie; four in five are above its
lower limit."""

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

    A lone effect must have p < q / cells. At least :data:`~rl_transfer.spec.seeds.LEAST_SEEDS`; None if no
    number of seeds suffices (more cells than the sampled test can resolve).

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


@dataclass(frozen=True)
class SeedRange:
    """Seeds per arm of a new plan, from a gain as large as it may be to one as small as it may be."""

    least: int
    most: int | None
    """None: more than :data:`MOST_SEEDS`, or the gain may be too small to be relevant."""


def fresh_seeds(
    x: Values, y: Values, *, delta: float, q: float, cells: int, confidence: float
) -> SeedRange | None:
    """Seeds per arm with which a new plan would settle an inconclusive comparison with power 0.8.

    The difference is taken to lie in its own Welch interval at :data:`PILOT_CONFIDENCE`; the spreads are
    taken as they are. Where that interval leaves out 0, the ends are those for its two limits: a test at
    level q / cells with power 0.8, that is |d| ≥ (t_(1−α/2) + t_0.8) standard errors. Where it lies within
    ±delta, an interval inside ±delta with that power: δ − |d| takes the place of |d|. Otherwise nothing is
    said: these runs do not even tell which of the two to look for.

    The number is for fresh seeds. Seeds that are added because a look at the first ones left it open are no
    sample of that size, and the test would be taken twice.

    Source: sample sizes by the lower limit of a pilot's effect, Perugini, Gallucci & Costantini 2014,
    Perspectives on Psychological Science 9:319–332 ("safeguard power").

    Args:
        x: the first arm, one number per run.
        y: the second arm, in the same unit.
        delta: half-width of the region of practical equivalence, in that unit.
        q: false-discovery rate, in (0, 1).
        cells: tests in the family, this one among them.
        confidence: coverage of the interval of an equivalence, in (0, 1).

    Returns:
        The range; None with fewer than :data:`~rl_transfer.spec.seeds.LEAST_SEEDS` runs in an arm, where
        nothing can be said, and where even the least number is above :data:`MOST_SEEDS`.
    """
    x, y = as_values(x, "x"), as_values(y, "y")
    if min(x.size, y.size) < LEAST_SEEDS:
        return None
    spread = float(x.var(ddof=1)), float(y.var(ddof=1))
    pilot = welch_interval(x, y, PILOT_CONFIDENCE)
    contains_0 = pilot.low <= 0 <= pilot.high
    near, far = sorted((abs(pilot.low), abs(pilot.high)))
    if far < delta:
        floor, tail = LEAST_SEEDS, (1 - confidence) / 2
        rooms = (delta if contains_0 else delta - near, delta - far)
    elif not contains_0:
        least = smallest_seeds(cells, q)
        if least is None:
            return None
        floor, tail = least, q / (2 * cells)
        rooms = (far, near if near >= delta else 0.0)
    else:
        return None
    ends = [
        _first(partial(_settles, room=room, spread=spread, tail=tail), floor, MOST_SEEDS) for room in rooms
    ]
    return None if ends[0] is None else SeedRange(ends[0], ends[1])


def _settles(k: int, room: float, spread: tuple[float, float], tail: float) -> bool:
    """Whether k seeds per arm leave ``room`` for a test at ``tail`` on each side, with power 0.8."""
    error, degrees = welch_error(spread[0], k, spread[1], k)
    if room < error * (_normal_quantile(1 - tail) + _normal_quantile(POWER)):
        return False
    # Quantiles of t are above the normal's and fall as the degrees grow, so that those of a power of two
    # are a bound, which many cells share. The quantile of a cell's own degrees takes a millisecond.
    bound = 2.0 ** math.floor(math.log2(degrees))
    return any(room >= error * (t_quantile(1 - tail, n) + t_quantile(POWER, n)) for n in (bound, degrees))


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

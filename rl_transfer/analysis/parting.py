"""Where the learning curves of two arms part: a simultaneous band for their difference."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from rl_transfer.analysis.arm_statistics import PERMUTATION_LIMIT, FloatArray, welch_error
from rl_transfer.analysis.special import t_quantile

LEAST_RUNS = 4
"""With fewer in an arm there is no band, as there is no verdict."""
_SAMPLED = 4999
"""Relabellings that are drawn where there are too many to go through all; the given labels come on top."""
_CELLS = 2**22
"""Most numbers that one piece of work holds at a time."""


@dataclass(frozen=True)
class DifferenceBand:
    """Difference of two arms' mean curves with a band that holds all its points at once; arrays [n+1]."""

    steps: FloatArray
    mean: FloatArray
    """x̄(t_k) − ȳ(t_k), in the measure's unit."""
    low: FloatArray
    high: FloatArray

    @property
    def parted(self) -> FloatArray:
        """What the band assures of the difference: its limit that is nearer to 0, or 0 if it holds 0."""
        found: FloatArray = np.clip(self.low, 0, None) + np.clip(self.high, None, 0)
        return found

    @property
    def stretches(self) -> tuple[tuple[float, float, int], ...]:
        """Runs of neighbouring evaluations at which the arms part: first step, last step, and the sign."""
        groups = itertools.groupby(
            zip(self.steps.tolist(), np.sign(self.parted), strict=True), lambda at: at[1]
        )
        found = ((int(sign), [step for step, _ in group]) for sign, group in groups)
        return tuple((steps[0], steps[-1], sign) for sign, steps in found if sign)


def difference_band(
    steps: FloatArray, x: FloatArray, y: FloatArray, confidence: float, generator: np.random.Generator
) -> DifferenceBand | None:
    """The band x̄(t_k) − ȳ(t_k) ± c_k · SE_k, with Welch's SE_k = √(s_x²/n_x + s_y²/n_y).

    c is the (1 + ``confidence``) / 2 quantile of max_k |T_k| over relabellings of the runs, each arm centred
    on its own mean curve, T_k the difference over its own SE_k. Half of the level is left for skewed and
    bimodal arms: with all of it bands of few such runs hold in .90 to .92 of cases (docs/validity.md). Runs
    are relabelled whole, so that c answers to how the points of a curve hang together. All relabellings are
    gone through up to :data:`PERMUTATION_LIMIT`; of more, 4,999 are drawn beside the given one. Relabelled
    arms scatter alike; where the given ones do not, they have fewer degrees of freedom ν_k
    (Welch–Satterthwaite), hence c_k = c · t(ν_k) / t(n_x + n_y − 2). c is at least t(n_x + n_y − 2), so that
    the band is nowhere narrower than Welch's interval.

    Where half of an arm's runs or more stand at exactly its highest J(t_k), as at a cap, or at exactly its
    lowest, as at a floor, their spread tells too little. There the band also holds that of the same arms with
    one more run, which stands at the other end of all that both arms scored at any t_k.

    Sources: Westfall & Young 1993 (max-T); Chung & Romano 2013 (Ann. Statist. 41:484–507) on studentised
    permutation tests.

    Args:
        steps: t_k, array [n+1].
        x: J(t_k) of each run of the first arm, array [run, n+1].
        y: the same of the second arm.
        confidence: that all points lie in the band, in (0, 1).
        generator: source of randomness; untouched where all relabellings are gone through.

    Returns:
        The band; None with fewer than :data:`LEAST_RUNS` runs in an arm, or where no finite band would hold.
    """
    n_x, n_y = len(x), len(y)
    if min(n_x, n_y) < LEAST_RUNS:
        return None
    centred = np.concatenate([x - x.mean(axis=0), y - y.mean(axis=0)])
    largest = [_largest_t(rows, centred, n_x, n_y) for rows in _relabelled(n_x, n_y, centred, generator)]
    most = np.sort(np.concatenate(largest))
    tail = (1 + confidence) / 2
    alike = t_quantile(tail, n_x + n_y - 2)
    critical = max(alike, float(most[math.ceil(tail * most.size - 1e-9) - 1]))
    if not math.isfinite(critical) or alike <= 0:
        return None

    def limits(one: FloatArray, other: FloatArray) -> tuple[float, float]:
        error, degrees = welch_error(one.var(ddof=1), len(one), other.var(ddof=1), len(other))
        half = critical * _quantile(tail, math.floor(10 * degrees) / 10) / alike * error
        mean = float(one.mean() - other.mean())
        return mean - half, mean + half

    ends = min(x.min(), y.min()), max(x.max(), y.max())
    found = []
    for one, other in zip(x.T, y.T, strict=True):
        low, high = limits(one, other)
        if (more := _one_more(one, *ends)).size + (beside := _one_more(other, *ends)).size > n_x + n_y:
            lower, higher = limits(more, beside)
            low, high = min(low, lower), max(high, higher)
        found.append((low, high))
    low, high = np.array(found).T
    return DifferenceBand(steps, x.mean(axis=0) - y.mean(axis=0), low, high)


def _one_more(runs: FloatArray, lowest: float, highest: float) -> FloatArray:
    """An arm at one evaluation; with one more run at the other end where half of them stand at one end."""
    ends = [
        other
        for end, other in ((runs.max(), lowest), (runs.min(), highest))
        if 2 * np.count_nonzero(runs == end) >= runs.size
    ]
    return np.append(runs, max(ends, key=lambda end: abs(end - runs.mean()))) if ends else runs


_quantile = lru_cache(maxsize=4096)(t_quantile)
"""Asked for degrees of freedom in tenths, rounded down: those of many points are few."""


def _relabelled(n_x: int, n_y: int, curves: FloatArray, generator: np.random.Generator) -> list[FloatArray]:
    """Which runs the first arm gets, as rows of 0 and 1, in pieces that fit the memory."""
    total = n_x + n_y
    if math.comb(total, n_x) <= PERMUTATION_LIMIT:
        chosen = np.array(list(itertools.combinations(range(total), n_x)))
        rows = np.zeros((len(chosen), total))
        np.put_along_axis(rows, chosen, 1.0, axis=1)
    else:
        first = np.arange(total) < n_x
        drawn = generator.permuted(np.broadcast_to(first, (_SAMPLED, total)), axis=1)
        rows = np.concatenate([first[None], drawn]).astype(np.float64)
    size = max(1, _CELLS // curves.shape[1])
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _largest_t(first: FloatArray, curves: FloatArray, n_x: int, n_y: int) -> FloatArray:
    """max_k |T_k| of each relabelling; 0 at points where nothing varies."""
    sums, squares = first @ curves, first @ curves**2
    mean_x, mean_y = sums / n_x, (curves.sum(axis=0) - sums) / n_y
    part_x = (squares / n_x - mean_x**2) / (n_x - 1)
    part_y = (((curves**2).sum(axis=0) - squares) / n_y - mean_y**2) / (n_y - 1)
    scale = np.abs(curves).max(axis=0) ** 2 + 1e-300
    error = np.where(part_x + part_y > 1e-12 * scale, part_x + part_y, 0.0)
    apart = np.abs(mean_x - mean_y)
    apart[apart < 1e-9 * np.sqrt(scale)] = 0.0
    with np.errstate(divide="ignore", invalid="ignore"):
        t = np.where(apart > 0, apart / np.sqrt(error), 0.0)
    largest: FloatArray = t.max(axis=1)
    return largest

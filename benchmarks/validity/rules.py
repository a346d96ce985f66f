"""The verdict's rules for many repeats at once; tests hold them against the product's own.

Arms are arrays [repeat, run] in the measure's unit; figures are arrays [repeat].
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from benchmarks.validity.arms import CAP, DELTA, RANDOM, FloatArray
from rl_transfer.analysis.special import log_t_quantile

ENUMERATED = 1_000
"""Splits up to this number are all tried; else as many are drawn as :data:`DRAWN`, and p has the +1."""
DRAWN = 20_000


@dataclass(frozen=True)
class Tests:
    """Interval and p-values of x against y."""

    gain: FloatArray
    low: FloatArray
    high: FloatArray
    p: FloatArray
    equivalence_p: FloatArray
    least: FloatArray
    """The smallest and the largest gain of the cases that count, as ``most``."""
    most: FloatArray
    above_p: FloatArray
    """One-sided p of the null hypotheses gain ≤ −δ and gain ≥ δ, as ``below_p``."""
    below_p: FloatArray


def welch(x: FloatArray, y: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Difference of means, its standard error, and 1 / degrees of freedom.

    Args:
        x: arm [repeat, run].
        y: the other arm.
    """
    parts = [side.var(axis=1, ddof=1) / side.shape[1] for side in (x, y)]
    total = parts[0] + parts[1]
    squares = parts[0] ** 2 / (x.shape[1] - 1) + parts[1] ** 2 / (y.shape[1] - 1)
    return x.mean(axis=1) - y.mean(axis=1), np.sqrt(total), squares / np.where(total > 0, total, 1) ** 2


def student(t: FloatArray, inverse: FloatArray) -> FloatArray:
    """P(T ≤ t) for arrays, by quadrature of the density.

    Args:
        t: statistics.
        inverse: 1 / degrees of freedom, above 0.
    """
    nodes, weights = np.polynomial.legendre.leggauss(64)
    degrees = 1 / np.maximum(inverse, 1e-6)
    reach = np.arctan(np.abs(t) / np.sqrt(degrees))  # t = √ν tan φ: the density is a power of cos φ
    angles = reach[..., None] * (nodes + 1) / 2
    power = np.exp((degrees[..., None] - 1) * np.log(np.cos(angles)))
    gammas = [math.lgamma((each + 1) / 2) - math.lgamma(each / 2) for each in degrees]
    half = np.exp(gammas) / math.sqrt(math.pi) * reach / 2 * (power * weights).sum(axis=-1)
    found: FloatArray = np.where(t > 0, 0.5 + half, 0.5 - half)
    return found


@lru_cache(maxsize=16)
def _masks(total: int, first: int) -> FloatArray:
    """One column per split of the pooled runs: 1 where a run is in the first arm."""
    if math.comb(total, first) <= ENUMERATED:
        chosen = np.array(list(itertools.combinations(range(total), first)))
    else:
        rng = np.random.default_rng(total * 1000 + first)
        chosen = rng.permuted(np.tile(np.arange(total), (DRAWN, 1)), axis=1)[:, :first]
    masks = np.zeros((total, len(chosen)))
    masks[chosen.T, np.arange(len(chosen))] = 1
    return masks


def permutation(x: FloatArray, y: FloatArray) -> FloatArray:
    """Two-sided p of the permutation test of means.

    Args:
        x: arm [repeat, run].
        y: the other arm.
    """
    pooled = np.concatenate([x, y], axis=1)
    pooled = pooled - pooled.mean(axis=1, keepdims=True)
    total, first = pooled.shape[1], x.shape[1]
    observed = np.abs(pooled[:, :first].sum(axis=1)) - 1e-9 * np.abs(pooled).max(axis=1)
    hits = np.zeros(len(pooled))
    for start in range(0, len(pooled), 200):
        rows = slice(start, start + 200)
        hits[rows] = (np.abs(pooled[rows] @ _masks(total, first)) >= observed[rows, None]).sum(axis=1)
    splits = math.comb(total, first)
    return hits / splits if splits <= ENUMERATED else (1 + hits) / (1 + DRAWN)


def studentised(x: FloatArray, y: FloatArray, most: int = 4_000) -> FloatArray:
    """Two-sided p of the permutation test that compares relabellings by Welch's t.

    Args:
        x: arm [repeat, run].
        y: the other arm.
        most: relabellings that are looked at where not all are.
    """
    pooled = np.concatenate([x, y], axis=1)
    pooled = pooled - pooled.mean(axis=1, keepdims=True)
    sizes = x.shape[1], y.shape[1]
    counted = math.comb(sum(sizes), sizes[0]) <= ENUMERATED
    masks = _masks(sum(sizes), sizes[0])[:, : None if counted else most]
    hits = np.zeros(len(pooled))
    for start in range(0, len(pooled), 200):
        rows = pooled[start : start + 200]
        observed = _t_of(rows[:, : sizes[0]].sum(axis=1), (rows[:, : sizes[0]] ** 2).sum(axis=1), rows, sizes)
        given = _t_of((rows @ masks).T, (rows**2 @ masks).T, rows, sizes).T
        hits[start : start + 200] = (given >= observed[:, None] * (1 - 1e-9)).sum(axis=1)
    found: FloatArray = hits / masks.shape[1] if counted else (1 + hits) / (1 + masks.shape[1])
    return found


def _t_of(sums: FloatArray, squares: FloatArray, pooled: FloatArray, sizes: tuple[int, int]) -> FloatArray:
    """|t| of arms of which the first has this sum and sum of squares, arrays [..., repeat]."""
    parts = []
    for total, over, n in (
        (sums, squares, sizes[0]),
        (pooled.sum(axis=1) - sums, (pooled**2).sum(axis=1) - squares, sizes[1]),
    ):
        parts.append((total / n, np.maximum(over - total**2 / n, 0.0) / ((n - 1) * n)))
    (mean, error), (other, rest) = parts
    found: FloatArray = np.abs(mean - other) / np.sqrt(np.maximum(error + rest, 1e-12))
    return found


def plain(x: FloatArray, y: FloatArray, delta: float = DELTA, confidence: float = 0.95) -> Tests:
    """Welch's interval, the permutation test and two one-sided tests, of the arms as they are.

    Args:
        x: arm [repeat, run].
        y: the other arm.
        delta: half-width of the region of practical equivalence.
        confidence: of the interval.
    """
    gain, error, inverse = welch(x, y)
    half = error * np.exp(log_t_quantile((1 + confidence) / 2)(inverse))
    safe = np.where(error > 0, error, 1)
    above = np.where(error > 0, 1 - student((gain + delta) / safe, inverse), gain <= -delta)
    below = np.where(error > 0, student((gain - delta) / safe, inverse), gain >= delta)
    within = np.maximum(above, below)
    limits = gain - half, gain + half
    return Tests(gain, *limits, permutation(x, y), within, gain.copy(), gain.copy(), above, below)


def guarded(x: FloatArray, y: FloatArray, delta: float = DELTA, best: float = CAP) -> Tests:
    """:func:`plain`, but what an arm without spread claims must survive one more run.

    Args:
        x: arm [repeat, run].
        y: the other arm.
        delta: as for :func:`plain`.
        best: the best return seen on the target.
    """
    found = plain(x, y, delta)
    for mine in (True, False):
        rows = np.flatnonzero(np.ptp(x if mine else y, axis=1) <= 2 * delta)
        if rows.size == 0:
            continue
        near, other = (x[rows], y[rows]) if mine else (y[rows], x[rows])
        longer = _one_more(near, delta, best)
        more = plain(longer, other, delta) if mine else plain(other, longer, delta)
        _take_worse(found, rows, more)
    return found


def _take_worse(found: Tests, rows: npt.NDArray[np.intp], more: Tests) -> None:
    """Let these repeats have the less favourable of what they have and of what one run more gives."""
    found.low[rows] = np.minimum(found.low[rows], more.low)
    found.high[rows] = np.maximum(found.high[rows], more.high)
    for name in ("p", "equivalence_p", "above_p", "below_p"):
        mine = getattr(found, name)
        mine[rows] = np.maximum(mine[rows], getattr(more, name))
    found.least[rows] = np.minimum(found.least[rows], more.gain)
    found.most[rows] = np.maximum(found.most[rows], more.gain)


def paired(x: FloatArray, y: FloatArray, delta: float = DELTA, best: float = CAP) -> Tests:
    """Student's t of the differences of arms that the same source policies feed, with the policy more.

    Args:
        x: what each policy makes of an arm, [repeat, policy].
        y: what the same policies make of the other one.
        delta: as for :func:`plain`.
        best: as for :func:`guarded`.
    """
    found = _student(x - y, delta)
    alike = np.ptp(x - y, axis=1) <= 2 * delta
    for near, other, sign in ((x, y, 1), (y, x, -1)):
        rows = np.flatnonzero(alike | (np.ptp(near, axis=1) <= 2 * delta))
        if rows.size:
            extra = _one_more(near[rows], delta, best)[:, -1] - other[rows].mean(axis=1)
            _take_worse(found, rows, _student(np.column_stack([(x - y)[rows], sign * extra]), delta))
    return found


def _student(differences: FloatArray, delta: float) -> Tests:
    gain, error, inverse = welch(differences, np.zeros_like(differences))
    inverse = np.where(error > 0, inverse, 1)
    half = error * np.exp(log_t_quantile(0.975)(inverse))
    safe = np.where(error > 0, error, 1)
    p = np.where(error > 0, 2 * student(-np.abs(gain) / safe, inverse), gain == 0)
    above = np.where(error > 0, 1 - student((gain + delta) / safe, inverse), gain <= -delta)
    below = np.where(error > 0, student((gain - delta) / safe, inverse), gain >= delta)
    within = np.maximum(above, below)
    return Tests(gain, gain - half, gain + half, p, within, gain.copy(), gain.copy(), above, below)


def _one_more(arm: FloatArray, delta: float, best: float) -> FloatArray:
    at_random = np.abs(arm.mean(axis=1) - RANDOM) <= delta
    return np.concatenate([arm, np.where(at_random, best, RANDOM)[:, None]], axis=1)


def corrected(p: FloatArray) -> FloatArray:
    """Benjamini–Hochberg along the last axis.

    Args:
        p: [repeat, cell].
    """
    order = np.argsort(p, axis=-1, kind="stable")
    stepped = np.take_along_axis(p, order, -1) * p.shape[-1] / np.arange(1, p.shape[-1] + 1)
    adjusted = np.empty_like(p)
    np.put_along_axis(adjusted, order, np.minimum.accumulate(stepped[..., ::-1], -1)[..., ::-1], -1)
    return adjusted


def verdicts(
    cells: Sequence[Tests], delta: float = DELTA, q: float = 0.05
) -> dict[str, npt.NDArray[np.bool_]]:
    """Verdict → whether each cell of a family got it, [repeat, cell].

    Args:
        cells: the family.
        delta: half-width of the region of practical equivalence.
        q: false-discovery rate.
    """
    p, within, gain, low, high, least, most = (
        np.stack([getattr(cell, name) for cell in cells], axis=1)
        for name in ("p", "equivalence_p", "gain", "low", "high", "least", "most")
    )
    settled = corrected(p) < q
    return {
        "positive": settled & (low > 0) & (least >= delta),
        "negative": settled & (high < 0) & (most <= -delta),
        "equivalent": (np.abs(gain) < delta) & (corrected(within) < q),
    }

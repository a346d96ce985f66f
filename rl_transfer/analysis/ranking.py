"""How well a score ranks sources: Kendall's τ with the realised gains, and the regret of its first choice.

Throughout, ``scores[source, target]`` is higher where the source is expected to be better, and
``gains[source, target]`` is what the sources turned out to gain; NaN where there is none.

Sources: Kendall 1945, Biometrika 33:239–251 (τ-b); Owen 2007, The pigeonhole bootstrap, Annals of Applied
Statistics 1:386–411 (rows and columns of a table drawn independently).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rl_transfer.analysis.arm_statistics import FloatArray, Interval, Values, as_values
from rl_transfer.analysis.bootstrap import percentile_interval
from rl_transfer.analysis.cluster_bootstrap import few_interval

LEAST_DRAWN = 4
"""With fewer sources or targets than this, resampling them says nothing, and there are no limits."""
PERMUTATIONS = 999
"""Drawn for p; where there are no more than a thousand of the sources, all of them are taken."""
_CHUNK = 4_000_000  # numbers held at once while resampling


def kendall_tau(x: Values, y: Values) -> float:
    """Kendall's τ-b of two rankings.

    τ = (C − D) / √((P − T_x)(P − T_y)): of P pairs, C are ordered alike and D unlike; T_x and T_y are tied.

    >>> kendall_tau([1.0, 2.0, 3.0], [10.0, 30.0, 20.0])  # two pairs of three alike, one unlike
    0.3333333333333333

    Args:
        x: one number per item.
        y: as many.

    Returns:
        In [−1, 1]; NaN where either has no two different values.
    """
    a, b = (as_values(each)[:, None] for each in (x, y))
    return float(taus(a, b, np.ones((1, len(a))))[0, 0])


def taus(scores: FloatArray, gains: FloatArray, weights: FloatArray) -> FloatArray:
    """τ-b of every target, sources counting as often as their weights say; a source is no pair with itself.

    Args:
        scores: [source, target].
        gains: [source, target].
        weights: [resample, source], whole numbers.

    Returns:
        Array [resample, target]; NaN where scores or gains have no two different values.
    """
    pairs = _pairs(len(scores))
    alike = _concordance(scores, gains, pairs)
    counted = (weights[:, pairs[0]] * weights[:, pairs[1]]) @ alike.reshape(len(alike), 3 * alike.shape[1])
    both, of_scores, of_gains = np.moveaxis(counted.reshape(len(weights), -1, 3), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        found: FloatArray = both / np.sqrt(of_scores * of_gains)
    return found


def _pairs(count: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    first, second = np.triu_indices(count, 1)
    return first, second


def _concordance(
    scores: FloatArray, gains: FloatArray, pairs: tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]
) -> FloatArray:
    """Per pair and target: alike or unlike, whether scores differ, whether gains do; [pair, target, 3]."""
    x, y = (np.sign(each[pairs[0]] - each[pairs[1]]) for each in (scores, gains))
    missing = np.isnan(x) | np.isnan(y)
    found = np.stack([x * y, x * x, y * y], axis=-1)
    found[missing] = 0.0
    return found


def mean_taus(scores: FloatArray, gains: FloatArray, weights: FloatArray, targets: FloatArray) -> FloatArray:
    """Weighted mean of τ over targets. A score that does not tell sources apart ranks none: its τ is 0.

    Args:
        scores: [source, target].
        gains: [source, target].
        weights: of sources, [resample, source].
        targets: their weights, [resample, target].

    Returns:
        Array [resample]; NaN where on no target two gains differ.
    """
    each = taus(scores, gains, weights)
    differ = _gains_differ(scores, gains, weights)
    each = np.where(np.isnan(each) & differ, 0.0, each)
    counts = np.where(differ, targets, 0.0)
    with np.errstate(invalid="ignore"):
        found: FloatArray = np.nansum(np.where(differ, each, 0.0) * counts, axis=1) / counts.sum(axis=1)
    return found


def _gains_differ(scores: FloatArray, gains: FloatArray, weights: FloatArray) -> npt.NDArray[np.bool_]:
    """Whether two sources of a draw differ in their gain on a target; array [resample, target]."""
    known = np.isfinite(gains) & np.isfinite(scores)
    there = weights[:, :, None] * known > 0
    high = np.where(there, gains, -np.inf).max(axis=1)
    low = np.where(there, gains, np.inf).min(axis=1)
    found: npt.NDArray[np.bool_] = high > low
    return found


def regrets(scores: FloatArray, gains: FloatArray, weights: FloatArray) -> tuple[FloatArray, FloatArray]:
    """What is lost by taking the source of the highest score: gain of the best source − gain of the chosen.

    Sources that tie for the first place count by their mean. A source without a score is not chosen, but may
    be the best.

    >>> s, g = np.array([[3.0], [2.0], [1.0]]), np.array([[5.0], [9.0], [1.0]])
    >>> [each.tolist() for each in regrets(s, g, np.ones((1, 3)))]
    [[[4.0]], [[0.5]]]

    Args:
        scores: [source, target].
        gains: [source, target], in any unit.
        weights: of sources, [resample, source].

    Returns:
        Arrays [resample, target]: in the unit of the gains, and as a share of the range between the best and
        the worst source of the target. NaN where no source has both figures; the share is 0 without a range.
    """
    there = (weights[:, :, None] > 0) & np.isfinite(gains)
    able = there & np.isfinite(scores)
    top = np.where(able, scores, -np.inf).max(axis=1, keepdims=True)
    chosen = weights[:, :, None] * (able & (scores == top))
    known = np.where(np.isfinite(gains), gains, 0.0)
    best = np.where(there, known, -np.inf).max(axis=1)
    worst = np.where(there, known, np.inf).min(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        lost = best - (chosen * known).sum(axis=1) / chosen.sum(axis=1)
        share = np.where(best > worst, lost / (best - worst), np.where(np.isnan(lost), np.nan, 0.0))
    return lost, share


def _mean(values: FloatArray, targets: FloatArray) -> FloatArray:
    counts = np.where(np.isfinite(values), targets, 0.0)
    with np.errstate(invalid="ignore"):
        found: FloatArray = (np.where(counts > 0, values, 0.0) * counts).sum(axis=1) / counts.sum(axis=1)
    return found


@dataclass(frozen=True)
class Ranking:
    """How well one score ranks the sources of several targets."""

    tau: Interval
    """Mean of τ over targets."""
    regret: Interval
    """Mean regret over targets, in the unit of the gains."""
    regret_share: Interval
    """Mean regret as a share of the range of gains of each target."""
    taus: tuple[float, ...]
    """Of each target; NaN where nothing is to be ranked."""
    regrets: tuple[float, ...]
    """Of each target."""
    regret_shares: tuple[float, ...]
    """Of each target."""
    p: float
    """One-sided, of rankings that are no better than chance: sources permuted, on all targets alike."""
    pairs: int
    """(source, target) that have a score and a gain."""
    degenerate: int
    """Draws of sources and targets in which nothing was to be ranked; the limits rest on the others."""


def rank(
    scores: FloatArray,
    gains: FloatArray,
    generator: np.random.Generator,
    resamples: int,
    confidence: float,
    permutations: int = PERMUTATIONS,
) -> Ranking:
    """How well scores rank sources, over targets.

    Sources and targets are drawn with replacement and independently, each with all that belongs to it: a
    source with its policies and seeds, on all targets (Owen's pigeonhole bootstrap, which is wide rather than
    narrow). Percentiles; those of the regret have the tails of few draws. p permutes the scores of sources,
    the same way on every target.

    Args:
        scores: [source, target], higher is better; NaN without one.
        gains: [source, target], in any unit that the targets share; NaN without one.
        generator: source of randomness.
        resamples: number of draws, > 0.
        confidence: coverage of the limits, in (0, 1).
        permutations: drawn for p, unless there are no more than that; 0: p is NaN.

    Returns:
        Mean τ and regret over targets with limits, and both per target.
    """
    sources, targets = scores.shape
    lost, shares = regrets(scores, gains, np.ones((1, sources)))
    known = np.isfinite(scores) & np.isfinite(gains)
    each = np.array([kendall_tau(scores[rows, j], gains[rows, j]) for j, rows in enumerate(known.T)])
    differ = _gains_differ(scores, gains, np.ones((1, sources)))[0]
    point = _figures(scores, gains, np.ones((1, sources)), np.ones((1, targets)))[0]
    draws = np.full((1, 3), math.nan)
    if min(_able(scores, gains)) >= LEAST_DRAWN:
        draws = np.concatenate([*_draws(scores, gains, generator, resamples)])
    sound = draws[np.isfinite(draws).all(axis=1)]
    tau, regret, share = (Interval(value, math.nan, math.nan) for value in point.tolist())
    if len(sound):
        # A score that tells nothing apart has τ = 0 by definition and not by estimate.
        flat = np.ptp(sound[:, 0]) == 0 == tau.point
        tau = tau if flat else percentile_interval(tau.point, sound[:, 0], confidence)
        regret = few_interval(regret.point, sound[:, 1], min(sources, targets), confidence)
        share = percentile_interval(share.point, sound[:, 2], confidence)
    return Ranking(
        tau,
        regret,
        share,
        taus=tuple(np.where(np.isnan(each) & differ, 0.0, each).tolist()),
        regrets=tuple(lost[0].tolist()),
        regret_shares=tuple(shares[0].tolist()),
        p=_permutation_p(scores, gains, generator, permutations) if permutations else math.nan,
        pairs=int(known.sum()),
        degenerate=0 if np.isnan(draws).all() else len(draws) - len(sound),
    )


def _able(scores: FloatArray, gains: FloatArray) -> tuple[int, int]:
    """Sources and targets that have a score and a gain anywhere."""
    known = np.isfinite(scores) & np.isfinite(gains)
    return int(known.any(axis=1).sum()), int(known.any(axis=0).sum())


def _figures(scores: FloatArray, gains: FloatArray, weights: FloatArray, targets: FloatArray) -> FloatArray:
    """Mean τ, regret and share of regret of each draw, array [resample, 3]."""
    lost, shares = regrets(scores, gains, weights)
    of_tau = mean_taus(scores, gains, weights, targets)
    return np.stack([of_tau, _mean(lost, targets), _mean(shares, targets)], axis=-1)


def _draws(
    scores: FloatArray, gains: FloatArray, generator: np.random.Generator, resamples: int
) -> Iterable[FloatArray]:
    sources, targets = scores.shape
    rows = max(1, _CHUNK // (sources * targets))
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = (
            generator.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float64)
            for count in (sources, targets)
        )
        yield _figures(scores, gains, *drawn)


def _permutation_p(
    scores: FloatArray, gains: FloatArray, generator: np.random.Generator, permutations: int
) -> float:
    """Share of permutations of the sources' scores whose mean τ is as great; NaN where there is none."""
    count = len(scores)
    orders: Iterable[tuple[int, ...]]
    whole = math.factorial(count) <= permutations + 1
    if whole:
        orders = itertools.permutations(range(count))
    else:
        orders = (tuple(generator.permutation(count).tolist()) for _ in range(permutations))
    ones = np.ones((1, count)), np.ones((1, scores.shape[1]))
    own = mean_taus(scores, gains, *ones)[0]
    if math.isnan(own):
        return math.nan
    found = np.array([mean_taus(scores[list(order)], gains, *ones)[0] for order in orders])
    hits = int((np.nan_to_num(found, nan=0.0) >= own - 1e-12).sum())
    return hits / len(found) if whole else (hits + 1) / (len(found) + 1)

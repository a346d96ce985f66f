"""A bootstrap for runs that hang together: source policies are drawn, each with all runs that it feeds.

Source i feeds seed i on every target, so that runs on different targets are no independent draws either: one
drawn policy brings its runs on all of them. A resample is given by weights, how often each run is in it.

Sources: Davison & Hinkley 1997, Bootstrap methods and their application, section 3.8 (groups drawn whole);
Hesterberg 2015, The American Statistician 69:371–386 (percentiles for few draws).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from rl_transfer.analysis.arm_statistics import FloatArray, Interval, Values, as_values
from rl_transfer.analysis.bootstrap import interquartile_mean, percentile_interval
from rl_transfer.analysis.special import t_quantile

Statistic = Callable[[FloatArray], FloatArray]
"""Maps weights[resample, run] to one number, or an array, per resample."""

_CHUNK = 2_000_000  # numbers held at once while resampling


def cluster_bootstrap(
    clusters: Sequence[int], statistic: Statistic, generator: np.random.Generator, resamples: int
) -> FloatArray:
    """``statistic`` of draws of whole clusters with replacement, as many as there are.

    Args:
        clusters: the cluster of each run, numbered from 0 without a gap.
        statistic: of the weights of a resample, whole numbers.
        generator: source of randomness.
        resamples: number of draws, > 0.

    Returns:
        Array [resample, …].
    """
    places = np.asarray(clusters, dtype=np.intp)
    count = int(places.max()) + 1
    rows = max(1, _CHUNK // places.size)
    parts = []
    for start in range(0, resamples, rows):
        size = min(rows, resamples - start)
        drawn = generator.multinomial(count, np.full(count, 1 / count), size=size)
        parts.append(statistic(drawn[:, places].astype(np.float64)))
    return np.concatenate(parts)


def weighted_iqm(values: Values) -> Statistic:
    """The interquartile mean of values that count several times, as if they were written out.

    >>> weighted_iqm([0.0, 1.0, 2.0, 99.0])(np.array([[1.0, 1.0, 1.0, 1.0], [2.0, 0.0, 0.0, 2.0]])).tolist()
    [1.5, 49.5]

    Args:
        values: one number per run.

    Returns:
        What maps whole weights [resample, run], some above 0 in each resample, to an array [resample].
    """
    x = as_values(values)
    order = np.argsort(x, kind="stable")
    return lambda weights: _of_ordered(weights[:, order], x[order])


def weighted_iqm_rows(values: FloatArray, weights: FloatArray) -> FloatArray:
    """The same where values differ between resamples.

    Args:
        values: array [resample, run].
        weights: whole numbers [resample, run], some above 0 in each resample.

    Returns:
        Array [resample].
    """
    order = np.argsort(values, axis=1, kind="stable")
    return _of_ordered(np.take_along_axis(weights, order, 1), np.take_along_axis(values, order, 1))


def _of_ordered(weights: FloatArray, values: FloatArray) -> FloatArray:
    """Interquartile means of rising values, one row or one for each row of weights."""
    ends = weights.cumsum(axis=1)
    total = ends[:, -1:]
    cut = np.floor(total / 4)
    kept = np.clip(np.minimum(ends, total - cut) - np.maximum(ends - weights, cut), 0, None)
    sums = kept @ values if values.ndim == 1 else (kept * values).sum(axis=1)
    found: FloatArray = sums / (total - 2 * cut)[:, 0]
    return found


def weighted_shares(above: npt.NDArray[np.bool_]) -> Statistic:
    """Share of runs above each threshold.

    Args:
        above: whether each run is, array [run, τ].

    Returns:
        What maps weights [resample, run] to an array [resample, τ].
    """
    hits = above.astype(np.float64)

    def statistic(weights: FloatArray) -> FloatArray:
        shares: FloatArray = weights @ hits / weights.sum(axis=1, keepdims=True)
        return shares

    return statistic


def few_tail(clusters: int, confidence: float) -> float:
    """The tail at which percentiles of draws of few clusters have the coverage of Student's t.

    Φ(−t √(m / (m − 1))), t the quantile of m − 1 degrees of freedom: draws scatter by (m − 1) / m of the
    variance, and normal quantiles would leave out that it is estimated.

    >>> round(few_tail(10, 0.95), 3), round(few_tail(1000, 0.95), 3)
    (0.009, 0.025)

    Args:
        clusters: m, at least 2.
        confidence: coverage, in (0, 1).
    """
    student = t_quantile((1 + confidence) / 2, clusters - 1)
    return NormalDist().cdf(-student * math.sqrt(clusters / (clusters - 1)))


def cluster_iqm(
    values: Values,
    clusters: Sequence[int],
    generator: np.random.Generator,
    resamples: int,
    confidence: float,
) -> Interval:
    """Interquartile mean over runs, with an interval for few clusters.

    Args:
        values: one number per run.
        clusters: the cluster of each run, numbered from 0.
        generator: source of randomness.
        resamples: number of draws, > 0.
        confidence: coverage, in (0, 1).

    Returns:
        Point and limits, in the unit of ``values``.
    """
    draws = cluster_bootstrap(clusters, weighted_iqm(values), generator, resamples)
    return few_interval(interquartile_mean(values), draws, max(clusters) + 1, confidence)


def cluster_iqm_difference(
    x: Values,
    y: Values,
    clusters: Sequence[int],
    generator: np.random.Generator,
    resamples: int,
    confidence: float,
) -> Interval:
    """IQM(x) − IQM(y): clusters of x and runs of y are resampled independently.

    Args:
        x: the first arm, one number per run.
        y: the second arm, whose runs are independent; not empty.
        clusters: the cluster of each run of x, numbered from 0.
        generator: source of randomness.
        resamples: number of draws, > 0.
        confidence: coverage, in (0, 1).

    Returns:
        Point and limits, in the unit of the arms.
    """
    draws = cluster_bootstrap(clusters, weighted_iqm(x), generator, resamples)
    ones = np.arange(len(y))
    draws = draws - cluster_bootstrap(ones.tolist(), weighted_iqm(y), generator, resamples)
    point = interquartile_mean(x) - interquartile_mean(y)
    return few_interval(point, draws, max(clusters) + 1, confidence)


def few_interval(point: float, draws: FloatArray, clusters: int, confidence: float) -> Interval:
    """Percentile interval of draws of few clusters.

    Args:
        point: the estimate itself.
        draws: its values under resampling, array [resample].
        clusters: how many were drawn from.
        confidence: coverage, in (0, 1).

    Returns:
        Point and limits; limits are missing with a single cluster.
    """
    if clusters < 2:
        return Interval(point, math.nan, math.nan)
    return percentile_interval(point, draws, 1 - 2 * few_tail(clusters, confidence))

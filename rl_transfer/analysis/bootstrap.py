"""Robust aggregates over many runs: interquartile mean, stratified bootstrap, performance profile.

Source: Agarwal et al. 2021 (NeurIPS), "Deep RL at the edge of the statistical precipice".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from rl_transfer.analysis.arm_statistics import UNDEFINED, FloatArray, Interval, Values, as_values

Statistic = Callable[[FloatArray], FloatArray]
"""Maps values[resample, run] to one number per resample."""

_CHUNK = 2_000_000  # numbers held at once while resampling


def interquartile_mean(values: Values) -> float:
    """Mean of the middle half: ⌊n/4⌋ values are cut at either end.

    >>> interquartile_mean([0.0, 1.0, 2.0, 99.0])
    1.5

    Args:
        values: one number per run.

    Returns:
        The mean, in the unit of ``values``; NaN of nothing.
    """
    x = as_values(values)
    return float(_iqm_rows(x[None, :])[0]) if x.size else math.nan


def _iqm_rows(values: FloatArray) -> FloatArray:
    cut = values.shape[-1] // 4
    ordered = np.sort(values, axis=-1)
    middle: FloatArray = ordered[:, cut : values.shape[-1] - cut].mean(axis=-1)
    return middle


def stratified_bootstrap(
    strata: Sequence[Values], statistic: Statistic, generator: np.random.Generator, resamples: int
) -> FloatArray:
    """``statistic`` of ``resamples`` draws with replacement, each stratum (task) resampled on its own.

    Args:
        strata: the runs of each task; sizes may differ, none empty.
        statistic: maps values[resample, run] (strata side by side) to one number per resample.
        generator: source of randomness.
        resamples: number of draws, > 0.

    Returns:
        Array [resamples].

    Raises:
        ValueError: there is no stratum, or an empty one.
    """
    groups = [as_values(stratum, "stratum") for stratum in strata]
    if not groups or min(group.size for group in groups) == 0:
        raise ValueError("a stratified bootstrap needs at least one run in every stratum")
    ends = np.cumsum([group.size for group in groups]).tolist()
    rows = min(resamples, max(1, _CHUNK // ends[-1]))
    drawn, parts = np.empty((rows, ends[-1])), []
    for start in range(0, resamples, rows):
        count = min(rows, resamples - start)
        for group, end in zip(groups, ends, strict=True):
            places = generator.integers(group.size, size=(count, group.size))
            drawn[:count, end - group.size : end] = group[places]
        parts.append(statistic(drawn[:count]))
    return np.concatenate(parts)


def percentile_interval(point: float, draws: FloatArray, confidence: float) -> Interval:
    """Percentile bootstrap interval of ``draws`` around the estimate ``point``.

    Args:
        point: the estimate itself.
        draws: its values under resampling, array [resample].
        confidence: coverage, in (0, 1).

    Returns:
        Point and limits, in the unit of ``draws``.
    """
    tail = (1 - confidence) / 2
    low, high = np.quantile(draws, [tail, 1 - tail])
    return Interval(point, float(low), float(high))


def iqm_interval(
    strata: Sequence[Values], generator: np.random.Generator, resamples: int, confidence: float
) -> Interval:
    """Interquartile mean over all runs of all tasks, with its stratified bootstrap interval.

    Args:
        strata: the runs of each task, in a unit that the tasks share.
        generator: source of randomness.
        resamples: number of draws, > 0.
        confidence: coverage, in (0, 1).

    Returns:
        Point and limits; undefined if a stratum is empty.
    """
    if not strata or min(len(stratum) for stratum in strata) == 0:
        return UNDEFINED
    point = interquartile_mean(np.concatenate([as_values(stratum) for stratum in strata]))
    draws = stratified_bootstrap(strata, _iqm_rows, generator, resamples)
    return percentile_interval(point, draws, confidence)


def iqm_difference(
    x: Values, y: Values, generator: np.random.Generator, resamples: int, confidence: float
) -> Interval:
    """IQM(x) − IQM(y), arms resampled independently; percentile bootstrap interval.

    Args:
        x: the first arm, one number per run.
        y: the second arm, in the same unit; sizes may differ.
        generator: source of randomness.
        resamples: number of draws, > 0.
        confidence: coverage, in (0, 1).

    Returns:
        Point and limits, in the unit of the arms; undefined if an arm is empty.
    """
    if min(len(x), len(y)) == 0:
        return UNDEFINED
    n = len(x)

    def difference(values: FloatArray) -> FloatArray:
        return _iqm_rows(values[:, :n]) - _iqm_rows(values[:, n:])

    draws = stratified_bootstrap([x, y], difference, generator, resamples)
    return percentile_interval(interquartile_mean(x) - interquartile_mean(y), draws, confidence)


def performance_profile(scores: Values, thresholds: Values) -> FloatArray:
    """Share of runs whose score is above each threshold τ.

    >>> performance_profile([0.2, 0.8], [0.0, 0.5, 1.0]).tolist()
    [1.0, 0.5, 0.0]

    Args:
        scores: one per run.
        thresholds: the τ, in the unit of the scores.

    Returns:
        Array [τ] of shares, falling from 1 to 0 with rising thresholds.
    """
    x, tau = as_values(scores, "scores"), as_values(thresholds, "thresholds")
    share: FloatArray = (x[None, :] > tau[:, None]).mean(axis=1)
    return share

"""Scores whose scale is estimated: what 0 and 1 stand for is drawn along with the runs.

The random policy's and the from-scratch arm's means are estimates. An interval of scores that takes them for
known is too narrow, the more so the further scores are from 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np

from rl_transfer.analysis.arm_statistics import FloatArray
from rl_transfer.analysis.bootstrap import stratified_bootstrap
from rl_transfer.analysis.cluster_bootstrap import cluster_bootstrap
from rl_transfer.analysis.score_scale import ScoreScale

Statistic = Callable[[FloatArray, FloatArray], FloatArray]
"""Maps scores and weights, both [resample, run], to one number, or an array, per resample."""


@dataclass(frozen=True)
class ScaledRuns:
    """J of a strategy's runs on several targets, to be drawn with the constants of their scores."""

    returns: Sequence[FloatArray]
    """Of the runs on each target, array [run]."""
    scales: Sequence[ScoreScale]
    """Of each target."""
    clusters: Sequence[int] | None
    """The source policy of each run, numbered from 0: policies are drawn with all their runs; None: runs are
    drawn target by target."""

    def draws(self, statistic: Statistic, generator: np.random.Generator, resamples: int) -> FloatArray:
        """A statistic of drawn runs in scores by drawn constants.

        Args:
            statistic: of scores and whole weights.
            generator: source of randomness.
            resamples: number of draws, > 0.

        Returns:
            Array [resample, …].
        """
        parts = [(scale, len(each)) for scale, each in zip(self.scales, self.returns, strict=True)]
        if self.clusters is None:

            def of_values(values: FloatArray) -> FloatArray:
                scores = drawn_scores(values, parts, len(values), generator, student=True)
                return statistic(scores, np.ones_like(scores))

            return stratified_bootstrap(self.returns, of_values, generator, resamples)
        pooled = np.concatenate(self.returns)[None]

        def of_weights(weights: FloatArray) -> FloatArray:
            return statistic(drawn_scores(pooled, parts, len(weights), generator, student=False), weights)

        return cluster_bootstrap(self.clusters, of_weights, generator, resamples)


def needs_drawn_scales(scales: Sequence[ScoreScale], runs: Collection[str]) -> bool:
    """Whether constants are uncertain, and by other runs than those that are to have scores.

    Args:
        scales: of targets that have scores.
        runs: ids of these.
    """
    own = any(scale.mode == "scratch" and not scale.finals.keys().isdisjoint(runs) for scale in scales)
    return not own and any(scale.random_error > 0 or scale.reference_error > 0 for scale in scales)


def shares_above(scores: FloatArray, weights: FloatArray, grid: FloatArray) -> FloatArray:
    """Share of runs above each threshold.

    Args:
        scores: array [resample, run].
        weights: how often each run counts, array [resample, run].
        grid: the thresholds, rising, array [τ].

    Returns:
        Array [resample, τ].
    """
    rows, bins = len(scores), grid.size + 1
    places = np.searchsorted(grid, scores.ravel()).reshape(scores.shape) + bins * np.arange(rows)[:, None]
    counts = np.bincount(places.ravel(), weights.ravel(), minlength=rows * bins).reshape(rows, bins)
    shares: FloatArray = counts[:, :0:-1].cumsum(axis=1)[:, ::-1] / weights.sum(axis=1, keepdims=True)
    return shares


def drawn_scores(
    returns: FloatArray,
    parts: Sequence[tuple[ScoreScale, int]],
    rows: int,
    generator: np.random.Generator,
    *,
    student: bool,
) -> FloatArray:
    """Scores of runs, in each row by other constants.

    Random policy and reference are normal around what they are estimated to be; a from-scratch mean of n runs
    has Student's t of n − 1 degrees of freedom. Where something else makes up for few runs it has the
    bootstrap's own spread, √((n − 1) / n) of its standard error. Spans are above 0, as for Fieller's sets:
    others are drawn again.

    Args:
        returns: J of the runs, array [row or 1, run], those of one target side by side.
        parts: of each target in turn: its scale and how many of the runs are on it.
        rows: number of draws.
        generator: source of randomness.
        student: whether few from-scratch runs are made up for here.

    Returns:
        Array [row, run] of scores.
    """
    found = np.empty((rows, returns.shape[1]))
    start = 0
    for scale, runs in parts:
        place = slice(start, start := start + runs)
        random, span = _constants(scale, rows, generator, student)
        while (again := np.flatnonzero(span <= 0)).size:
            random[again], span[again] = _constants(scale, again.size, generator, student)
        found[:, place] = (returns[:, place] - random[:, None]) / span[:, None]
    return found


def _constants(
    scale: ScoreScale, rows: int, generator: np.random.Generator, student: bool
) -> tuple[FloatArray, FloatArray]:
    """Random policies and spans, arrays [row]; most spans are above 0, as the estimate is."""
    random = scale.random + scale.random_error * generator.standard_normal(rows)
    n, error = len(scale.finals), scale.reference_error
    if student and error > 0:
        noise = generator.standard_t(n - 1, rows)
    else:
        noise = generator.standard_normal(rows) * math.sqrt(1 - 1 / max(n, 2))
    return random, scale.reference + error * noise - random

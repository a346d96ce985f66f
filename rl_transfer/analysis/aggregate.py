"""Aggregates over the whole matrix: interquartile mean and performance profile of each strategy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from rl_transfer.analysis.arm_statistics import UNDEFINED, FloatArray, Interval
from rl_transfer.analysis.arms import Arm
from rl_transfer.analysis.bootstrap import (
    interquartile_mean,
    iqm_interval,
    percentile_interval,
    performance_profile,
    stratified_bootstrap,
)
from rl_transfer.analysis.cluster_bootstrap import (
    cluster_bootstrap,
    cluster_iqm,
    few_tail,
    weighted_iqm_rows,
    weighted_shares,
)
from rl_transfer.analysis.scale_draws import ScaledRuns, needs_drawn_scales, shares_above
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.source_policies import policies_of
from rl_transfer.seeding import generator
from rl_transfer.spec import Analysis

Summed = Literal["final_performance", "auc"]
SUMMED: tuple[Summed, ...] = ("final_performance", "auc")
"""The metrics that are summed up over targets."""
_THRESHOLDS = 41


@dataclass(frozen=True)
class Profile:
    """Share of runs above each score τ, with a bootstrap interval; arrays [τ]."""

    thresholds: FloatArray
    share: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True)
class Aggregate:
    """One strategy (from one source) over all targets that have normalised scores."""

    source: str | None
    strategy: str
    targets: tuple[str, ...]
    runs: int
    iqm: Mapping[Summed, Interval]
    """Interquartile mean of scores over runs and targets, bootstrap interval."""
    profile: Profile | None
    """Of final performance; None where there is no aggregate."""
    reason: str = ""
    """Why there is no aggregate; empty if there is one."""
    mark: str = ""
    """``this checkpoint`` and the like where it speaks of few source policies; else empty."""


def aggregate(
    groups: Mapping[tuple[str | None, str], Sequence[Arm]],
    scales: Mapping[str, ScoreScale],
    settings: Analysis,
    root_seed: int,
) -> tuple[Aggregate, ...]:
    """Aggregates of every (source, strategy), over the same targets and score thresholds.

    Targets without normalised scores are left out for all. A strategy with missing runs gets no
    aggregate: dropping them could only flatter it. Where source policies feed the runs, policies are drawn,
    each with all its runs on all targets; runs of no policy, and of few checkpoints, target by target.
    Constants of scores that are estimates are drawn too, but for the arm that they are estimated by.

    Args:
        groups: (source, strategy) → its arms, one per target.
        scales: target → the constants of its scores.
        settings: resamples and coverage of the intervals.
        root_seed: root of the bootstrap's random streams; each strategy has one of its own.

    Returns:
        One entry per (source, strategy), in the order of ``groups``; scores are pure numbers.
    """
    targets = tuple(name for name, scale in scales.items() if not scale.is_raw)
    usable = {key: [arm for arm in arms if arm.target in targets] for key, arms in groups.items()}
    finals = [
        s for arms in usable.values() for arm in arms for s in _scores(arm, scales, "final_performance")
    ]
    grid = np.linspace(min([0.0, *finals]), max([1.0, *finals]), _THRESHOLDS)
    return tuple(
        _aggregate(key, arms, targets, scales, grid, settings, root_seed) for key, arms in usable.items()
    )


def _aggregate(
    key: tuple[str | None, str],
    arms: Sequence[Arm],
    targets: tuple[str, ...],
    scales: Mapping[str, ScoreScale],
    grid: FloatArray,
    settings: Analysis,
    root_seed: int,
) -> Aggregate:
    source, strategy = key
    reason = _gap(arms, targets)
    if reason:
        return Aggregate(source, strategy, targets, 0, dict.fromkeys(SUMMED, UNDEFINED), None, reason)
    stream = generator(root_seed, "bootstrap", "matrix", source or "", strategy)
    strata = {figure: [_scores(arm, scales, figure) for arm in arms] for figure in SUMMED}
    fed = policies_of([run for arm in arms for run in arm.runs])
    few = next((each for arm in arms if arm.sources and (each := arm.sources).estimand == "checkpoint"), None)
    clusters = fed.clusters(run.id for arm in arms for run in arm.runs) if fed and few is None else None
    clusters = None if clusters is None or max(clusters) == 0 else clusters
    level = (
        settings.confidence if clusters is None else 1 - 2 * few_tail(max(clusters) + 1, settings.confidence)
    )
    mine = [scales[arm.target] for arm in arms]
    if needs_drawn_scales(mine, {run.id for arm in arms for run in arm.runs}):
        drawn = {
            figure: ScaledRuns([_returns(arm, figure) for arm in arms], mine, clusters) for figure in SUMMED
        }
        iqm = {
            figure: percentile_interval(
                interquartile_mean(np.concatenate(strata[figure])),
                drawn[figure].draws(weighted_iqm_rows, stream, settings.bootstrap),
                level,
            )
            for figure in SUMMED
        }
        shares = partial(shares_above, grid=grid)
        draws = drawn["final_performance"].draws(shares, stream, settings.bootstrap)
    elif clusters is None:
        iqm = {figure: iqm_interval(strata[figure], stream, settings.bootstrap, level) for figure in SUMMED}
        draws = _profile_draws(strata["final_performance"], grid, settings, stream)
    else:
        pooled = {figure: [score for stratum in strata[figure] for score in stratum] for figure in SUMMED}
        iqm = {
            figure: cluster_iqm(pooled[figure], clusters, stream, settings.bootstrap, settings.confidence)
            for figure in SUMMED
        }
        above = np.array(pooled["final_performance"])[:, None] > grid
        draws = cluster_bootstrap(clusters, weighted_shares(above), stream, settings.bootstrap)
    low, high = np.quantile(draws, [(1 - level) / 2, (1 + level) / 2], axis=0)
    share = performance_profile([score for stratum in strata["final_performance"] for score in stratum], grid)
    runs = sum(len(stratum) for stratum in strata["auc"])
    mark = "" if few is None else few.mark
    return Aggregate(source, strategy, targets, runs, iqm, Profile(grid, share, low, high), mark=mark)


def _gap(arms: Sequence[Arm], targets: Sequence[str]) -> str:
    if not targets:
        return "no target has normalised scores"
    incomplete = sorted(
        {arm.target for arm in arms if not arm.complete} | ({*targets} - {a.target for a in arms})
    )
    return f"runs are missing on {', '.join(incomplete)}" if incomplete else ""


def _scores(arm: Arm, scales: Mapping[str, ScoreScale], figure: Summed) -> list[float]:
    return [float(score) for score in scales[arm.target].score(_returns(arm, figure))]


def _returns(arm: Arm, figure: Summed) -> FloatArray:
    return np.array([run.final if figure == "final_performance" else run.auc for run in arm.metrics])


def _profile_draws(
    strata: Sequence[Sequence[float]], grid: FloatArray, settings: Analysis, stream: np.random.Generator
) -> FloatArray:
    """Share of runs above each threshold, array [resample, τ]; each target is resampled on its own."""

    def shares(levels: FloatArray) -> FloatArray:
        rows, runs = levels.shape
        places = levels.astype(np.intp) + (grid.size + 1) * np.arange(rows)[:, None]
        counts = np.bincount(places.ravel(), minlength=rows * (grid.size + 1)).reshape(rows, grid.size + 1)
        above: FloatArray = counts[:, :0:-1].cumsum(axis=1)[:, ::-1] / runs
        return above

    # Of each score, how many thresholds are below it: counting these takes one pass, not one per threshold.
    levels = [np.searchsorted(grid, stratum).astype(np.float64) for stratum in strata]
    return stratified_bootstrap(levels, shares, stream, settings.bootstrap)

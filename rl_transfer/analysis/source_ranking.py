"""How each score of a sweep would have ranked its sources, beside what they turned out to gain.

Three controls stand beside the scores: a ranking at random, *always the same source* (the mean gain of each
source on the other targets), and what the sources gained on other seeds, which no score can be expected to
beat by much.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import numpy as np

from rl_transfer.analysis.arm_statistics import FloatArray, benjamini_hochberg
from rl_transfer.analysis.comparison import JUDGED, Judged
from rl_transfer.analysis.contexts import contexts
from rl_transfer.analysis.gaussian_process import predict_left_out
from rl_transfer.analysis.inputs import Sweep
from rl_transfer.analysis.model import Matrix
from rl_transfer.analysis.pair_scores import pair_scores
from rl_transfer.analysis.ranked_sources import OtherSeeds, PairScore, ScoreRanking, SourceRanking
from rl_transfer.analysis.ranking import mean_taus, rank, regrets
from rl_transfer.seeding import generator

RANDOM, SAME, PROCESS = "random", "same_source", "gaussian_process"
"""Controls that are rankings: at random, and by what sources gained on the other targets, on average or as a
Gaussian process over contexts has it."""
MOST_PAIRS = 300
"""Of more pairs than this no process is fitted: it would take long."""


def source_rankings(sweep: Sweep, matrix: Matrix) -> tuple[SourceRanking, ...]:
    """How the scores rank the sources, for each transfer strategy and judged metric.

    Cells that lack runs have no gain. Nothing is ranked where fewer than two sources have a gain on a target.

    Args:
        sweep: its runs.
        matrix: its analysis.

    Returns:
        One entry per strategy and metric; empty for a sweep of one source.
    """
    if len(matrix.sources) < 2:
        return ()
    scores, where = pair_scores(sweep, matrix), contexts(sweep, matrix)
    strategies = dict.fromkeys(cell.strategy for cell in matrix.cells if cell.kind == "transfer")
    found = (
        _ranked(strategy, metric, scores, matrix, sweep.root_seed, where)
        for strategy in strategies
        for metric in JUDGED
    )
    return tuple(each for each in found if each is not None)


def _ranked(
    strategy: str,
    metric: Judged,
    scores: tuple[PairScore, ...],
    matrix: Matrix,
    root_seed: int,
    where: tuple[FloatArray, FloatArray] | None,
) -> SourceRanking | None:
    sources, targets = tuple(matrix.sources), tuple(matrix.targets)
    by_seed = gains_by_seed(matrix, strategy, metric)
    gains = _means(by_seed)
    if not (np.isfinite(gains).sum(axis=0) > 1).any():
        return None
    settings = matrix.settings

    def judged(score: PairScore) -> ScoreRanking:
        stream = generator(root_seed, "ranking", strategy, metric, score.name)
        ranking = rank(score.oriented, gains, stream, settings.bootstrap, settings.confidence)
        return ScoreRanking(score.name, ranking, math.nan, _chosen(score, gains, sources), score)

    ranked = [judged(score) for score in scores]
    p = [1.0 if math.isnan(each.ranking.p) else each.ranking.p for each in ranked]
    ranked = [
        replace(each, adjusted_p=adjusted)
        for each, adjusted in zip(ranked, benjamini_hochberg(p).tolist(), strict=True)
    ]
    rivals = _controls(gains) | _process(gains, where)
    controls = [judged(PairScore(name, values, True, 0.0)) for name, values in rivals.items()]
    return SourceRanking(
        strategy,
        metric,
        sources,
        targets,
        gains,
        tuple(sorted(ranked, key=lambda each: -np.nan_to_num(each.ranking.tau.point, nan=-2.0))),
        tuple(controls),
        other_seeds(by_seed),
    )


def gains_by_seed(matrix: Matrix, strategy: str, metric: Judged) -> FloatArray:
    """Gain of every source on every target, seed by seed, over the mean of the from-scratch runs.

    Args:
        matrix: a finished analysis.
        strategy: of the cells.
        metric: the judged metric.

    Returns:
        Array [source, target, seed] in the measure's unit; NaN for cells that lack runs.
    """
    cells = [cell for cell in matrix.select(strategy=strategy) if cell.source is not None]
    seeds = sorted({seed for cell in cells for seed in cell.seeds})
    found = np.full((len(matrix.sources), len(matrix.targets), len(seeds)), math.nan)
    rows, columns = ({name: i for i, name in enumerate(each)} for each in (matrix.sources, matrix.targets))
    for cell in cells:
        if cell.finished == cell.seeds and metric in cell.metrics and cell.source in rows:
            values = cell.metrics[metric].value.per_seed
            own = [values.get(seed, math.nan) for seed in seeds]
            found[rows[cell.source], columns[cell.target]] = own
    return found


def _means(by_seed: FloatArray) -> FloatArray:
    """Over the seeds that each cell has, NaN without any: looks of a seed plan give cells different ones."""
    count = np.isfinite(by_seed).sum(axis=2)
    total = np.nansum(by_seed, axis=2)
    return np.where(count > 0, total / np.maximum(count, 1), math.nan)


def _chosen(score: PairScore, gains: FloatArray, sources: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    """Who has the highest score of those with a gain, per target."""
    able = np.where(np.isfinite(gains), score.oriented, math.nan)
    found = []
    for column in able.T:
        top = np.nanmax(column) if np.isfinite(column).any() else math.nan
        found.append(tuple(name for name, value in zip(sources, column, strict=True) if value == top))
    return tuple(found)


def _controls(gains: FloatArray) -> dict[str, FloatArray]:
    """All alike, and the mean gain on the other targets as a share of their ranges."""
    alike = np.where(np.isfinite(gains), 0.0, math.nan)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a target without gains has no range
        spread = np.nanmax(gains, axis=0) - np.nanmin(gains, axis=0)
        shares = gains / np.where(spread > 0, spread, 1.0)
        others = np.stack(
            [np.nanmean(np.delete(shares, j, axis=1), axis=1) for j in range(gains.shape[1])], axis=1
        ) if gains.shape[1] > 1 else np.full(gains.shape, math.nan)  # fmt: skip
    return {RANDOM: alike} | ({SAME: others} if np.isfinite(others).any() else {})


def _process(gains: FloatArray, where: tuple[FloatArray, FloatArray] | None) -> dict[str, FloatArray]:
    """What a process over contexts says of each target from the pairs of the others."""
    if where is None or gains.shape[1] < 2 or gains.size > MOST_PAIRS:
        return {}
    found = np.where(np.isfinite(gains), predict_left_out(*where, gains), math.nan)
    return {PROCESS: found} if np.isfinite(found).any() else {}


def other_seeds(by_seed: FloatArray) -> OtherSeeds | None:
    """How well the gains of all other seeds rank those of the one left out.

    Args:
        by_seed: gains [source, target, seed].

    Returns:
        Means over seeds; None with a single seed, or where nothing is to be ranked.
    """
    seeds = by_seed.shape[2]
    if seeds < 2:
        return None
    ones = np.ones((1, by_seed.shape[0])), np.ones((1, by_seed.shape[1]))
    taus, shares = [], []
    for seed in range(seeds):
        others = np.delete(by_seed, seed, axis=2).mean(axis=2)
        taus.append(mean_taus(others, by_seed[:, :, seed], *ones)[0])
        shares.append(regrets(others, by_seed[:, :, seed], ones[0])[1][0])
    lost = np.array(shares)
    lost = lost[np.isfinite(lost)]
    if not lost.size or np.isnan(taus).all():
        return None
    return OtherSeeds(float(np.nanmean(taus)), float(lost.mean()), seeds)

"""A combined score: weights of single scores, calibrated on finished sweeps, each target left out in turn.

Scores of different units meet as standings: the rank of a source among the sources of its target, from −1
(last) to 1 (first). What the combined score is worth is told on targets that took no part in its weights.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from rl_transfer.analysis.arm_statistics import FloatArray, Interval
from rl_transfer.analysis.bootstrap import percentile_interval
from rl_transfer.analysis.ranked_sources import SourceRanking
from rl_transfer.analysis.ranking import Ranking, kendall_tau, rank
from rl_transfer.seeding import generator

PENALTY = 0.1
"""Of the ridge, per pair: weights shrink together where scores say the same."""
LEVEL = 0.1
"""Of the warning: share of the pairs that do not lose, on targets left out, that may be warned of."""
PERMUTATIONS = 99
"""Of the scores; each is a calibration of its own."""
_ROUNDS = 500


@dataclass(frozen=True)
class Warnings:
    """How often *likely negative* is said of pairs of left-out targets, and how often it is right."""

    false_alarms: Interval
    """Share of the pairs whose realised gain is not negative that were warned of."""
    misses: Interval
    """Share of the pairs whose realised gain is negative that were not."""
    negatives: int
    """Pairs of negative realised gain."""
    pairs: int
    p: float = math.nan
    """One-sided, of :func:`chance_p`."""


@dataclass(frozen=True)
class Calibration:
    """Weights for a combined score, and what they are worth on targets left out."""

    weights: Mapping[str, float]
    """Score → weight of its standing, ≥ 0, together 1; all 0 where no score helps."""
    intercept: float
    """Of the log odds of a negative gain."""
    slope: float
    """Of the log odds, per unit of the combined score."""
    threshold: float
    """A combined score below it is warned of; −∞: none is."""
    least_sources: int
    """The fewest sources of a sweep: of fewer, standings say something else."""
    combined: tuple[Ranking, ...]
    """Per sweep, targets left out."""
    single: tuple[Ranking, ...]
    """Per sweep, the single score that is best on all other targets."""
    warnings: Warnings


def standings(values: FloatArray) -> FloatArray:
    """Ranks of sources among those of their target, from −1 to 1; 0 without a value, ties share theirs.

    >>> standings(np.array([[3.0], [1.0], [math.nan], [2.0], [2.0]])).ravel().tolist()
    [1.0, -1.0, 0.0, 0.0, 0.0]

    Args:
        values: [source, target], higher is better.
    """
    found = np.zeros(values.shape)
    for column, own in zip(found.T, values.T, strict=True):
        known = np.isfinite(own)
        x = own[known]
        if len(x) > 1:
            above = (x[:, None] > x[None]).sum(axis=1) - (x[:, None] < x[None]).sum(axis=1)
            column[known] = above / (len(x) - 1)
    return found


def nonnegative_ridge(x: FloatArray, y: FloatArray, penalty: float) -> FloatArray:
    """The w ≥ 0 that minimises ‖y − x w‖² + penalty · ‖w‖², by coordinate descent.

    >>> nonnegative_ridge(np.array([[1.0, -1.0], [0.0, 1.0]]), np.array([2.0, -1.0]), 1.0).tolist()
    [1.0, 0.0]

    Args:
        x: [case, feature].
        y: [case].
        penalty: > 0.

    Returns:
        Array [feature].
    """
    gram, right = x.T @ x + penalty * np.eye(x.shape[1]), x.T @ y
    w = np.zeros(x.shape[1])
    for _ in range(_ROUNDS):
        before = w.copy()
        for j in range(len(w)):
            w[j] = max(0.0, w[j] + (right[j] - gram[j] @ w) / gram[j, j])
        if np.abs(w - before).max() < 1e-12:
            break
    return w


def combined(weights: Mapping[str, float], scores: Mapping[str, FloatArray]) -> FloatArray:
    """The combined score: the weighted sum of standings.

    Args:
        weights: of a calibration; scores that are not there count as unknown.
        scores: name → values with the sign at which more is better, [source, target].

    Returns:
        Array [source, target].

    Raises:
        ValueError: there is no score.
    """
    if not scores:
        raise ValueError("no score to combine")
    shape = next(iter(scores.values())).shape
    parts = [weights.get(name, 0.0) * standings(values) for name, values in scores.items()]
    total: FloatArray = np.sum([np.zeros(shape), *parts], axis=0)
    return total


def conformal_threshold(fine: FloatArray, level: float) -> float:
    """The score below which at most ``level`` of pairs that do not lose are expected.

    With n scores of pairs that did not lose, the k-th smallest of them, k = ⌊level · (n + 1)⌋: one more such
    score, exchangeable with them, lies below it with a probability of at most k / (n + 1) ≤ level.

    >>> conformal_threshold(np.arange(19.0), 0.1), conformal_threshold(np.arange(5.0), 0.1)
    (1.0, -inf)

    Args:
        fine: combined scores of pairs whose gain was not negative, each with weights that its target took no
            part in.
        level: in (0, 1).

    Returns:
        −∞ where there are too few pairs to hold the level.

    Source:
        Vovk, Gammerman & Shafer 2005, Algorithmic Learning in a Random World, section 2.2.
    """
    k = math.floor(level * (len(fine) + 1) + 1e-9)
    return float(np.sort(fine)[k - 1]) if k else -math.inf


class _Targets:
    """Every target of every sweep, and weights from some of them; equal asks are answered once."""

    def __init__(self, tables: Sequence[FloatArray], gains: Sequence[FloatArray]) -> None:
        self._tables, self._gains = tables, gains
        self.places = [
            (sweep, target)
            for sweep, each in enumerate(gains)
            for target in range(each.shape[1])
            if np.isfinite(each[:, target]).sum() > 1
        ]
        self._standing = [standings(each) for each in gains]
        self._found: dict[frozenset[tuple[int, int]], FloatArray] = {}

    def cases(self, places: Sequence[tuple[int, int]]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Standings of scores [case, score] and of gains [case], and gains [case]."""
        x, y, gained = [], [], []
        for sweep, target in places:
            known = np.isfinite(self._gains[sweep][:, target])
            x.append(self._tables[sweep][known, target])
            y.append(self._standing[sweep][known, target])
            gained.append(self._gains[sweep][known, target])
        return np.concatenate(x), np.concatenate(y), np.concatenate(gained)

    def weights(self, *without: tuple[int, int]) -> FloatArray:
        """From all targets but these."""
        key = frozenset(without)
        if key not in self._found:
            x, y, _ = self.cases([each for each in self.places if each not in key])
            w = nonnegative_ridge(x, y, PENALTY * len(x))
            self._found[key] = w / w.sum() if w.sum() > 0 else w
        return self._found[key]

    def threshold(self, *without: tuple[int, int], quick: bool = False) -> float:
        """From pairs that did not lose, each scored with weights of the other targets.

        ``quick``: the weights of these pairs may rest on the targets in ``without``.
        """
        fine = [np.zeros(0)]
        for place in self.places:
            if place not in without and len(self.places) > len(without) + 1:
                x, _, gained = self.cases([place])
                w = self.weights(place) if quick else self.weights(place, *without)
                fine.append((x @ w)[gained >= 0])
        return conformal_threshold(np.concatenate(fine), LEVEL)


def left_out_warnings(
    tables: Sequence[FloatArray], gains: Sequence[FloatArray], *, quick: bool = False
) -> list[FloatArray]:
    """Which pairs would have been warned of, by weights and a threshold from all other targets.

    Args:
        tables: standings of every score in each sweep, [source, target, score].
        gains: realised, [source, target] of each sweep.
        quick: the threshold of a target rests on scores whose weights that target took part in.

    Returns:
        1 or 0, NaN where a target ranks nothing, [source, target] of each sweep.
    """
    targets = _Targets(tables, gains)
    warned = [np.full(each.shape, math.nan) for each in gains]
    for place in targets.places:
        sweep, target = place
        scores = tables[sweep][:, target] @ targets.weights(place)
        warned[sweep][:, target] = scores < targets.threshold(place, quick=quick)
    return warned


def calibrate(rankings: Sequence[SourceRanking], resamples: int, confidence: float) -> Calibration:
    """Weights from the realised gains of finished sweeps.

    Non-negative ridge of the standings of gains on those of scores; a logistic curve of negative gains over
    the combined score; a threshold under which a loss is warned of. Figures are of left-out targets: each is
    scored with weights, and warned of with a threshold, from all others of all sweeps.

    Args:
        rankings: one per sweep, of one strategy and metric.
        resamples: of the limits, > 0.
        confidence: their coverage, in (0, 1).

    Returns:
        The calibration.

    Raises:
        ValueError: there are fewer than two targets with gains.
    """
    names = list(dict.fromkeys(each.name for entry in rankings for each in entry.scores))
    tables = [_features(entry, names) for entry in rankings]
    gains = [entry.gains for entry in rankings]
    targets = _Targets(tables, gains)
    if len(targets.places) < 2 or not names:
        raise ValueError(
            f"a calibration needs scores and at least two targets with gains, got {len(targets.places)}"
        )
    scored = [np.full(each.shape, math.nan) for each in gains]
    alone = [np.full(each.shape, math.nan) for each in gains]
    for place in targets.places:
        sweep, target = place
        others = [each for each in targets.places if each != place]
        scored[sweep][:, target] = tables[sweep][:, target] @ targets.weights(place)
        alone[sweep][:, target] = tables[sweep][:, target, _best_single(others, tables, rankings)]
    w = targets.weights()
    x, _, gained = targets.cases(targets.places)
    stream = generator(0, "calibration")
    return Calibration(
        dict(zip(names, w.tolist(), strict=True)),
        *_logistic(x @ w, gained < 0),
        targets.threshold(),
        min(int(np.isfinite(each).any(axis=1).sum()) for each in gains),
        tuple(rank(s, g, stream, resamples, confidence) for s, g in zip(scored, gains, strict=True)),
        tuple(rank(s, g, stream, resamples, confidence) for s, g in zip(alone, gains, strict=True)),
        replace(
            warning_rates(left_out_warnings(tables, gains), gains, stream, resamples, confidence),
            p=chance_p(tables, gains, stream),
        ),
    )


def _features(entry: SourceRanking, names: Sequence[str]) -> FloatArray:
    """Standings of every score, [source, target, score]."""
    have = {each.name: standings(each.score.oriented) for each in entry.scores}
    return np.stack([have.get(name, np.zeros(entry.gains.shape)) for name in names], axis=-1)


def _best_single(
    places: Sequence[tuple[int, int]], tables: Sequence[FloatArray], rankings: Sequence[SourceRanking]
) -> int:
    """The score of the greatest mean τ on some targets."""
    totals = np.zeros(tables[0].shape[-1])
    for sweep, target in places:
        gains = rankings[sweep].gains[:, target]
        known = np.isfinite(gains)
        each = [kendall_tau(column, gains[known]) for column in tables[sweep][known, target].T]
        totals += np.nan_to_num(each)
    return int(totals.argmax())


def _logistic(x: FloatArray, y: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Intercept and slope of the log odds of y over x, with a ridge of 1 on both, by Newton's method."""
    design, beta = np.stack([np.ones(len(x)), x], axis=1), np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        gradient = design.T @ (y - p) - beta
        beta = beta + np.linalg.solve((design * (p * (1 - p))[:, None]).T @ design + np.eye(2), gradient)
    return float(beta[0]), float(beta[1])


def warning_rates(
    warned: Sequence[FloatArray],
    gains: Sequence[FloatArray],
    stream: np.random.Generator,
    resamples: int,
    confidence: float,
) -> Warnings:
    """How often warnings are wrong, with limits over sources and targets of every sweep.

    Args:
        warned: 1, 0, NaN where nothing was said, [source, target] of each sweep.
        gains: realised, [source, target] of each sweep.
        stream: source of randomness.
        resamples: number of draws, > 0.
        confidence: coverage of the limits, in (0, 1).

    Returns:
        False alarms and misses; NaN where no pair could be one.
    """
    tables = []
    for said, own in zip(warned, gains, strict=True):
        known = np.isfinite(said) & np.isfinite(own)
        negative = known & (own < 0)
        fine = known & ~negative
        tables.append(np.stack([fine & (said == 1), fine, negative & (said == 0), negative]).astype(float))

    def rates(draws: int | None) -> FloatArray:
        total = np.zeros((draws or 1, 4))
        for table in tables:
            counts = table.shape[1:]
            weights = [
                np.ones((1, n))
                if draws is None
                else stream.multinomial(n, np.full(n, 1 / n), size=draws) * 1.0
                for n in counts
            ]
            total += np.einsum("bi,kij,bj->bk", weights[0], table, weights[1])
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.stack([total[:, 0] / total[:, 1], total[:, 2] / total[:, 3]], axis=1)

    point, drawn = rates(None)[0], rates(resamples)
    found = []
    for place in range(2):
        sound = drawn[np.isfinite(drawn[:, place]), place]
        value = float(point[place])
        found.append(
            percentile_interval(value, sound, confidence)
            if len(sound) and np.ptp(sound) > 0
            else Interval(value, math.nan, math.nan)
        )
    return Warnings(
        found[0],
        found[1],
        int(sum(t[3].sum() for t in tables)),
        int(sum((t[1] + t[3]).sum() for t in tables)),
    )


def chance_p(tables: Sequence[FloatArray], gains: Sequence[FloatArray], stream: np.random.Generator) -> float:
    """Whether warnings hit losses more often than pairs that do not lose, by chance.

    Scores are permuted over the sources of each sweep, on all targets alike, and everything is done again:
    hit rate less false-alarm rate. Sources stay good or bad on all targets, so that one bad source of six
    is no proof. To save time, weights are those of one target left out where two would be right, in every
    order.

    Args:
        tables: standings of every score in each sweep, [source, target, score].
        gains: realised, [source, target] of each sweep.
        stream: source of randomness.

    Returns:
        One-sided p; NaN where no pair lost, or all did.
    """
    lost = np.concatenate([each.ravel() < 0 for each in gains])
    known = np.concatenate([np.isfinite(each).ravel() for each in gains])
    if not (lost & known).any() or (lost | ~known).all():
        return math.nan

    def apart(given: Sequence[FloatArray]) -> float:
        warned = np.concatenate([each.ravel() == 1 for each in left_out_warnings(given, gains, quick=True)])
        return float(warned[lost & known].mean() - warned[~lost & known].mean())

    own = apart(tables)
    drawn = [apart([each[stream.permutation(len(each))] for each in tables]) for _ in range(PERMUTATIONS)]
    return (1 + sum(each >= own - 1e-12 for each in drawn)) / (1 + PERMUTATIONS)

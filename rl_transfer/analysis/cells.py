"""One cell (source, target, strategy): every metric over the seeds, beside the from-scratch arm."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rl_transfer.analysis import metrics as per_run
from rl_transfer.analysis.arm_statistics import UNDEFINED, Interval, mean_interval, welch_interval
from rl_transfer.analysis.arms import Arm
from rl_transfer.analysis.contrast import contrast, untested
from rl_transfer.analysis.fieller import Line, Sample, confidence_set
from rl_transfer.analysis.metric_table import METRICS, MetricInfo
from rl_transfer.analysis.metrics import RunMetrics
from rl_transfer.analysis.score_intervals import ClippedAreas, Part, forward_line, score_interval
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.success import share_interval, success_interval
from rl_transfer.seeding import generator


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds with its interval and the value of each seed; NaN where undefined.

    For a difference of two arms the seed's value is taken against the mean of the from-scratch arm, and the
    interval is Welch's, which counts the spread of both arms.
    """

    mean: float
    low: float
    high: float
    per_seed: Mapping[int, float] = field(default_factory=dict)

    @property
    def n(self) -> int:
        """Number of seeds in which the figure is defined."""
        return len(self.per_seed)

    @property
    def interval(self) -> Interval:
        """Mean and limits."""
        return Interval(self.mean, self.low, self.high)


@dataclass(frozen=True)
class Metric:
    """One named figure of a cell: in its own unit and, where it is a return, as a normalised score too."""

    name: str
    """A key of :data:`rl_transfer.analysis.metric_table.METRICS`."""
    value: Estimate
    score: Estimate | None = None
    """The same on normalised scores; None for steps and ratios, and without a usable reference."""
    bound: str = ""
    """``≥``, ``≤`` or ``≷`` (either side) where runs never reached θ, and the uncut figure is another."""

    @property
    def info(self) -> MetricInfo:
        """What it is called, measured in, and means."""
        return METRICS[self.name]


_OF_TIMES = ("steps_saved", "speed_up", "break_even", "break_even_targets")
Figure = Callable[[RunMetrics], float]


def level(name: str, arm: Arm, figure: Figure, scale: ScoreScale, confidence: float) -> Metric:
    """A return of one arm: mean over seeds with Student's t interval; as a score with Fieller's set.

    Args:
        name: a key of :data:`rl_transfer.analysis.metric_table.METRICS`.
        arm: the runs of one (source, target, strategy).
        figure: what is read off each run.
        scale: the constants of the target's scores.
        confidence: coverage of the intervals, in (0, 1).

    Returns:
        The metric in the measure's unit, and as a score.
    """
    values, observed = arm.values(figure), arm.observations(figure)
    interval = mean_interval(list(observed.values()), confidence).within(*scale.possible)
    score = _score(((1.0, observed),), interval, scale, confidence)
    return Metric(name, _estimate(interval, values), _scaled(values, score, scale, scale.random))


def difference(
    name: str, arm: Arm, other: Arm, figure: Figure, scale: ScoreScale, confidence: float
) -> Metric:
    """A return of one arm minus that of another: Welch interval; as a difference of scores Fieller's set.

    Of an arm without spread both hold what they would be with one run more, as for a verdict.

    Args:
        name: a key of :data:`rl_transfer.analysis.metric_table.METRICS`.
        arm: the runs of one (source, target, strategy).
        other: the arm that it is compared with.
        figure: what is read off each run.
        scale: the constants of the target's scores.
        confidence: coverage of the intervals, in (0, 1).

    Returns:
        The metric in the measure's unit, and as a difference of scores.
    """
    x, y = arm.observations(figure), other.observations(figure)
    found = contrast(x, y, scale, confidence, generator(0), (arm.strategy, other.strategy), untested)
    values = _less(arm.values(figure), y.values())
    return Metric(name, _estimate(found.raw, values), _scaled(values, found.gain, scale, 0.0))


def arm_metrics(arm: Arm, scale: ScoreScale, confidence: float) -> dict[str, Metric]:
    """The metrics that need no comparison, by name.

    Args:
        arm: the runs of one (source, target, strategy).
        scale: the constants of the target's scores.
        confidence: coverage of the intervals, in (0, 1).

    Returns:
        Name → metric; a linear probe, a reference model and a guide's share only where the records hold one.
    """
    start = level("start_performance", arm, lambda run: run.start, scale, confidence)
    found = [
        level("zero_shot", arm, lambda run: run.zero_shot, scale, confidence),
        start,
        level("final_performance", arm, lambda run: run.final, scale, confidence),
        level("auc", arm, lambda run: run.auc, scale, confidence),
        _over_random(arm, start, scale, confidence),
        _plain("zero_shot_gap", arm, lambda run: run.gap, confidence),
        _plain("retention", arm, lambda run: run.retention, confidence),
    ]
    if arm.values(lambda run: run.probe):
        found.append(level("linear_probe", arm, lambda run: run.probe, scale, confidence))
    if arm.values(lambda run: run.reference):
        found.append(level("reference_accuracy", arm, lambda run: run.reference, scale, confidence))
    if arm.values(lambda run: run.guide_share):
        found.append(_plain("guide_share", arm, lambda run: run.guide_share, confidence))
    counts = {run.seed: run.successes for run in arm.metrics if run.successes is not None}
    if counts:
        rates = {seed: hits / episodes for seed, (hits, episodes) in counts.items()}
        found.append(Metric("success_rate", _estimate(_share(arm, counts, confidence), rates)))
    reached = {run.seed: float(run.reached.reached) for run in arm.metrics if run.reached is not None}
    if arm.pooled:
        arrived = _share(arm, {seed: (int(each), 1) for seed, each in reached.items()}, confidence)
    else:
        arrived = share_interval(int(sum(reached.values())), len(reached), confidence)
    found += [
        replace(
            _plain("time_to_threshold", arm, _restricted, confidence), bound="≥" if arrived.point < 1 else ""
        ),
        Metric("threshold_reached", _estimate(arrived, reached)),
    ]
    return {metric.name: metric for metric in found}


def gain_metrics(arm: Arm, scratch: Arm, scale: ScoreScale, confidence: float) -> dict[str, Metric]:
    """The metrics of an arm against the from-scratch arm on the same target, by name.

    Args:
        arm: the runs of one (source, target, strategy).
        scratch: the from-scratch arm on the same target.
        scale: the constants of the target's scores.
        confidence: coverage of the intervals, in (0, 1).

    Returns:
        Name → metric.
    """
    found = [
        difference(name, arm, scratch, figure, scale, confidence) for name, figure in per_run.GAINS.items()
    ]
    found += _area_ratios(arm, scratch, scale, confidence)
    found += _time_gains(arm, scratch, confidence)
    return {metric.name: metric for metric in found}


def _area_ratios(arm: Arm, scratch: Arm, scale: ScoreScale, confidence: float) -> list[Metric]:
    """Transfer ratio and forward transfer with Fieller's sets; the span cancels in the one."""
    x, y = (side.observations(lambda run: run.auc) for side in (arm, scratch))
    random = np.array(scale.random_returns)
    areas = [_sample(x, 1, 0), _sample(y, -1, -1), Sample(0.0 * random, random)]
    forward = forward_line(_clipped_areas(arm), _clipped_areas(scratch), scale)
    seeds = arm.values(lambda run: run.auc), arm.values(lambda run: run.clipped_auc)
    base = float(np.mean([*y.values()])) - scale.random if y else math.nan
    near = not abs(base) > per_run.NEAR * scale.span
    return [
        _ratio("transfer_ratio", Line([] if near else areas), confidence, seeds[0], positive=False),
        _ratio("forward_transfer", _open(forward), confidence, seeds[1], positive=True),
    ]


def _clipped_areas(arm: Arm) -> ClippedAreas:
    moves = (
        [*arm.observations(figure).values()]
        for figure in (lambda run: run.clipped_by_reference, lambda run: run.clipped_by_random)
    )
    means = (float(np.mean(each)) if each else math.nan for each in moves)
    return ClippedAreas(arm.observations(lambda run: run.clipped_auc), *means)


def _sample(values: Mapping[str, float], constant: int, slope: int) -> Sample:
    each = np.array([*values.values()])
    return Sample(constant * each, slope * each)


def _open(line: Line) -> Line:
    """The line, or an empty one where the scratch arm leaves hardly anything open."""
    return line if -line.slope > per_run.NEAR else Line([])


def _ratio(
    name: str, line: Line, confidence: float, values: Mapping[int, float], *, positive: bool
) -> Metric:
    """A ratio to the from-scratch arm; each seed's value is taken over the mean of that arm."""
    interval = confidence_set(line, confidence, positive=positive) if line.samples else UNDEFINED
    if not math.isfinite(interval.point):
        return Metric(name, _estimate(UNDEFINED, {}))
    base = line.samples[0].constant.mean() - line.constant
    each = {seed: (value - base) / -line.slope for seed, value in values.items()}
    return Metric(name, _estimate(interval, each))


def _time_gains(arm: Arm, scratch: Arm, confidence: float) -> list[Metric]:
    """Steps saved, speed-up and break-even, from the times to threshold; undefined if nobody reached it."""
    times, scratch_times = arm.times(), scratch.times()
    if not any(time.reached for time in (*times, *scratch_times)):
        nothing = _estimate(UNDEFINED, {})
        return [Metric(name, nothing) for name in _OF_TIMES]
    x, y = _mean_times(arm), _mean_times(scratch)
    slower = _less(arm.values(_restricted), [each.time for each in y])
    budget = max(each.budget for each in (arm, scratch) if each.runs)
    fewer = per_run.steps_saved(x, y, confidence, budget)
    saved = _estimate(fewer, {seed: -value for seed, value in slower.items()})
    bound = per_run.censoring(times, scratch_times)
    costs = list(arm.values(lambda run: run.source_steps).values())
    cost = float(np.mean(costs)) if costs else math.nan
    faster = per_run.speed_up(x, y, confidence, budget)
    found = [
        Metric("steps_saved", saved, bound=bound),
        Metric("speed_up", _estimate(faster, {}), bound=bound),
        Metric("break_even", _times(saved, per_run.break_even(1.0, cost)), bound=bound),
        _targets_to_break_even(saved, cost, times, scratch_times),
    ]
    return [each if math.isfinite(each.value.mean) else replace(each, bound="") for each in found]


def _targets_to_break_even(
    saved: Estimate,
    cost: float,
    transfer: Sequence[per_run.ThresholdTime],
    scratch: Sequence[per_run.ThresholdTime],
) -> Metric:
    """Undefined unless the saving is clear: its interval above 0, and one arm always at the threshold."""
    name = "break_even_targets"
    never = [any(not time.reached for time in arm) for arm in (transfer, scratch)]
    if not saved.low > 0 or all(never) or math.isnan(cost):
        return Metric(name, Estimate(math.nan, math.nan, math.nan))
    count, low, high = (
        per_run.break_even_targets(steps, cost) for steps in (saved.mean, saved.high, saved.low)
    )
    return Metric(name, Estimate(count, low, high), bound="≥" if never[0] else "≤" if never[1] else "")


def _restricted(run: RunMetrics) -> float:
    """min(T, budget)."""
    return math.nan if run.reached is None else run.reached.time


def _mean_times(arm: Arm) -> list[per_run.ThresholdTime]:
    """Times of the arm's independent observations; one of several runs arrived if one of them did."""
    times = arm.times()
    if not arm.pooled:
        return [*times]
    grouped = [[times[place] for place in places] for places in arm.rows]
    return [
        per_run.ThresholdTime(float(np.mean([each.time for each in group])), any(e.reached for e in group))
        for group in grouped
    ]


def _share(arm: Arm, counts: Mapping[int, tuple[int, int]], confidence: float) -> Interval:
    """Interval of a share, whose clusters are the arm's independent observations."""
    places = {run.seed: place for place, row in enumerate(arm.rows) for run in (arm.runs[i] for i in row)}
    clusters: dict[int, tuple[int, int]] = {}
    for seed, (hits, of) in counts.items():
        before = clusters.get(places[seed], (0, 0))
        clusters[places[seed]] = before[0] + hits, before[1] + of
    return success_interval(clusters, confidence)


def _plain(name: str, arm: Arm, figure: Figure, confidence: float) -> Metric:
    """A figure of each run that has no score."""
    interval = mean_interval(list(arm.observations(figure).values()), confidence)
    return Metric(name, _estimate(interval, arm.values(figure)))


def _over_random(arm: Arm, start: Metric, scale: ScoreScale, confidence: float) -> Metric:
    """The jump-start over the random policy, whose episodes scatter too; its score is that of the start."""
    starts = start.value.per_seed if math.isfinite(scale.random) else {}
    observed = [*arm.observations(lambda run: run.start).values()] if starts else []
    if len(scale.random_returns) > 1 and starts:
        interval = welch_interval(observed, scale.random_returns, confidence)
    else:
        interval = mean_interval(observed, confidence).scaled(1.0, -scale.random)
    each = {seed: value - scale.random for seed, value in starts.items()}
    return Metric("jump_start_over_random", _estimate(interval, each), start.score)


def _less(values: Mapping[int, float], base: Collection[float]) -> dict[int, float]:
    """The value of each seed, less the mean of the arm that it is compared with."""
    mean = float(np.mean([*base])) if base else math.nan
    return {seed: value - mean for seed, value in values.items()} if base else {}


def _estimate(interval: Interval, values: Mapping[int, float]) -> Estimate:
    return Estimate(interval.point, interval.low, interval.high, dict(values))


def _score(parts: Sequence[Part], raw: Interval, scale: ScoreScale, confidence: float) -> Interval:
    """The interval of a level's score; limits are missing where those of the raw figure are."""
    if scale.is_raw or not math.isfinite(raw.point):
        return UNDEFINED
    point = (raw.point - scale.random) / scale.span
    if not raw.defined:
        return Interval(point, math.nan, math.nan)
    found = score_interval(parts, scale, confidence, over_random=True)
    return Interval(point, found.low, found.high)


def _scaled(
    values: Mapping[int, float], score: Interval, scale: ScoreScale, origin: float
) -> Estimate | None:
    """A score with the seeds' own, or None without a usable reference."""
    if scale.is_raw:
        return None
    return _estimate(score, {seed: (value - origin) / scale.span for seed, value in values.items()})


def _times(estimate: Estimate, factor: float, offset: float = 0.0) -> Estimate:
    values = {} if math.isnan(factor) else estimate.per_seed
    return _estimate(
        estimate.interval.scaled(factor, offset),
        {seed: value * factor + offset for seed, value in values.items()},
    )

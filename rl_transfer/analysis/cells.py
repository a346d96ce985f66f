"""One cell (source, target, strategy): every metric over the seeds, beside the from-scratch arm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from rl_transfer.analysis import metrics as per_run
from rl_transfer.analysis.arm_statistics import UNDEFINED, Interval, mean_interval, welch_interval
from rl_transfer.analysis.arms import Arm
from rl_transfer.analysis.metric_table import METRICS, MetricInfo
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.success import share_interval, wilson_interval


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


def level(name: str, values: Mapping[int, float], scale: ScoreScale, confidence: float) -> Metric:
    """A return of one arm: mean over seeds with Student's t interval, score (J − J_random) / span.

    Args:
        name: a key of :data:`rl_transfer.analysis.metric_table.METRICS`.
        values: seed index → J.
        scale: the constants of the target's scores.
        confidence: coverage of the interval, in (0, 1).

    Returns:
        The metric in the measure's unit, and as a score.
    """
    estimate = _estimate(mean_interval(list(values.values()), confidence), values)
    return Metric(name, estimate, _scaled(estimate, scale, scale.random))


def difference(
    name: str,
    values: Mapping[int, float],
    reference: Mapping[int, float],
    scale: ScoreScale,
    confidence: float,
) -> Metric:
    """A return of one arm minus that of another: Welch interval, score Δ / span.

    Args:
        name: a key of :data:`rl_transfer.analysis.metric_table.METRICS`.
        values: seed index → J of the arm.
        reference: seed index → J of the arm that it is compared with.
        scale: the constants of the target's scores.
        confidence: coverage of the interval, in (0, 1).

    Returns:
        The metric in the measure's unit, and as a difference of scores.
    """
    estimate = _difference(values, reference, confidence)
    return Metric(name, estimate, _scaled(estimate, scale, 0.0))


def arm_metrics(arm: Arm, scale: ScoreScale, confidence: float) -> dict[str, Metric]:
    """The metrics that need no comparison, by name.

    Args:
        arm: the runs of one (source, target, strategy).
        scale: the constants of the target's scores.
        confidence: coverage of the intervals, in (0, 1).

    Returns:
        Name → metric; a linear probe and a guide's share only where the records hold one.
    """
    starts = arm.values(lambda run: run.start)
    over_random = {
        seed: value - scale.random for seed, value in starts.items() if math.isfinite(scale.random)
    }
    found = [
        level("zero_shot", arm.values(lambda run: run.zero_shot), scale, confidence),
        level("start_performance", starts, scale, confidence),
        level("final_performance", arm.values(lambda run: run.final), scale, confidence),
        level("auc", arm.values(lambda run: run.auc), scale, confidence),
        _offset_free("jump_start_over_random", over_random, scale, confidence),
        _offset_free("zero_shot_gap", arm.values(lambda run: run.gap), None, confidence),
        _offset_free("retention", arm.values(lambda run: run.retention), None, confidence),
    ]
    probes = arm.values(lambda run: run.probe)
    found += [level("linear_probe", probes, scale, confidence)] if probes else []
    guided = arm.values(lambda run: run.guide_share)
    if guided:
        found.append(
            Metric("guide_share", _estimate(mean_interval(list(guided.values()), confidence), guided))
        )
    counts = {run.seed: run.successes for run in arm.metrics if run.successes is not None}
    if counts:
        rates = {seed: hits / episodes for seed, (hits, episodes) in counts.items()}
        found.append(Metric("success_rate", _estimate(wilson_interval(counts, confidence), rates)))
    times = {run.seed: run.reached for run in arm.metrics if run.reached is not None}
    restricted = {seed: time.time for seed, time in times.items()}
    reached = {seed: float(time.reached) for seed, time in times.items()}
    arrived = share_interval(int(sum(reached.values())), len(reached), confidence)
    found += [
        Metric(
            "time_to_threshold",
            _estimate(mean_interval(list(restricted.values()), confidence), restricted),
            bound="≥" if arrived.point < 1 else "",
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
        difference(name, arm.values(figure), scratch.values(figure), scale, confidence)
        for name, figure in per_run.GAINS.items()
    ]
    found += _area_ratios(arm, scratch, scale, confidence)
    found += _time_gains(arm, scratch, confidence)
    return {metric.name: metric for metric in found}


def _area_ratios(arm: Arm, scratch: Arm, scale: ScoreScale, confidence: float) -> list[Metric]:
    """Transfer ratio and forward transfer; the from-scratch mean in the denominator counts as fixed."""

    def ratio(name: str, x: Mapping[int, float], y: Mapping[int, float], kind: str) -> Metric:
        base = float(np.mean(list(y.values()))) if y else math.nan
        formula = per_run.transfer_ratio if kind == "ratio" else per_run.forward_transfer
        unit_gain = formula(base + 1, base) if math.isfinite(base) else math.nan
        return Metric(name, _times(_difference(x, y, confidence), unit_gain))

    def scores(values: Mapping[int, float]) -> dict[int, float]:
        return {} if scale.is_raw else {seed: float(scale.score(value)) for seed, value in values.items()}

    x, y = (scores(side.values(lambda run: run.auc)) for side in (arm, scratch))
    clipped_x, clipped_y = (side.values(lambda run: run.clipped_auc) for side in (arm, scratch))
    return [
        ratio("transfer_ratio", x, y, "ratio"),
        ratio("forward_transfer", clipped_x, clipped_y, "forward"),
    ]


def _time_gains(arm: Arm, scratch: Arm, confidence: float) -> list[Metric]:
    """Steps saved, speed-up and break-even, from the times to threshold; undefined if nobody reached it."""
    times, scratch_times = arm.times(), scratch.times()
    if not any(time.reached for time in (*times, *scratch_times)):
        nothing = _estimate(UNDEFINED, {})
        return [Metric(name, nothing) for name in _OF_TIMES]
    x, y = ({run.seed: run.reached.time for run in side.metrics if run.reached} for side in (arm, scratch))
    saved = _times(_difference(x, y, confidence), -1.0)
    bound = per_run.censoring(times, scratch_times)
    costs = list(arm.values(lambda run: run.source_steps).values())
    cost = float(np.mean(costs)) if costs else math.nan
    faster = per_run.speed_up(times, scratch_times, confidence)
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


def _offset_free(
    name: str, values: Mapping[int, float], scale: ScoreScale | None, confidence: float
) -> Metric:
    """A per-seed difference of returns; its score, if any, is divided by the span alone."""
    estimate = _estimate(mean_interval(list(values.values()), confidence), values)
    return Metric(name, estimate, None if scale is None else _scaled(estimate, scale, 0.0))


def _difference(x: Mapping[int, float], y: Mapping[int, float], confidence: float) -> Estimate:
    interval = welch_interval(list(x.values()), list(y.values()), confidence)
    base = float(np.mean(list(y.values()))) if y else math.nan
    return _estimate(interval, {seed: value - base for seed, value in x.items()} if y else {})


def _estimate(interval: Interval, values: Mapping[int, float]) -> Estimate:
    return Estimate(interval.point, interval.low, interval.high, dict(values))


def _scaled(estimate: Estimate, scale: ScoreScale, origin: float) -> Estimate | None:
    """(estimate − origin) / span, or None without a usable reference."""
    if scale.is_raw:
        return None
    return _times(estimate, 1 / scale.span, -origin / scale.span)


def _times(estimate: Estimate, factor: float, offset: float = 0.0) -> Estimate:
    values = {} if math.isnan(factor) else estimate.per_seed
    return _estimate(
        estimate.interval.scaled(factor, offset),
        {seed: value * factor + offset for seed, value in values.items()},
    )

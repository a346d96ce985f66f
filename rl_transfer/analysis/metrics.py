"""Metrics of one run, from its learning curve: final performance, area, time to threshold and kin.

Throughout, ``steps[k]`` is t_k (t_0 = 0 first) and ``means[k]`` is J(t_k), both arrays [n+1].

Sources: Taylor & Stone 2009 (JMLR 10:1633–1685), "Transfer learning for reinforcement learning domains: a
survey"; Zhu et al. 2023 (TPAMI), "Transfer learning in deep reinforcement learning: a survey".
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rl_transfer.analysis.arm_statistics import (
    UNDEFINED,
    FloatArray,
    Interval,
    hull,
    mean_interval,
    welch_interval,
)
from rl_transfer.analysis.inputs import Run
from rl_transfer.analysis.score_scale import CLEAR_ERRORS, ScoreScale
from rl_transfer.analysis.success import SuccessRule
from rl_transfer.spec import Analysis, JsonObject

WINDOW = 3
"""Consecutive evaluations that must reach the threshold; the least that make a final performance of a
long curve."""
NEAR = 0.05
"""A denominator closer to 0 than this (in scores) leaves a ratio undefined."""


def final_window(evaluations: int, share: float) -> int:
    """How many evaluations at a curve's end make its final performance.

    ⌈``share`` · n⌉ of the n evaluations after t_0, at least :data:`WINDOW`, but never more than
    a third of the curve, t_0 counted. So the window keeps out of the curve's first half, and what
    was not trained yet is never final. One is the least: of two evaluations it is the half.

    >>> [final_window(evaluations, 0.1) for evaluations in (2, 3, 6, 9, 13, 41)]
    [1, 1, 2, 3, 3, 4]

    Args:
        evaluations: n + 1, at least 1.
        share: in [0, 1].

    Returns:
        The number of evaluations, at least 1.
    """
    wanted = max(WINDOW, math.ceil(share * (evaluations - 1) - 1e-9))
    return max(1, min(wanted, evaluations // 3))


def final_performance(means: FloatArray, share: float) -> float:
    """Mean of J over the last evaluations of a run, as many as :func:`final_window` says.

    >>> final_performance(np.array([0.0, 10.0, 20.0, 40.0, 50.0, 60.0]), 0.1)  # a third of six is two
    55.0

    Args:
        means: J(t_k), array [n+1].
        share: in [0, 1].

    Returns:
        J, in its own unit.
    """
    return float(means[-final_window(len(means), share) :].mean())


def area_under_curve(steps: FloatArray, means: FloatArray) -> float:
    """Trapezoid area under J(t) divided by the budget t_n − t_0: a mean of J.

    A single evaluation has no area; its J is the mean.

    >>> area_under_curve(np.array([0.0, 10.0, 30.0]), np.array([0.0, 2.0, 2.0]))  # (10 · 1 + 20 · 2) / 30
    1.6666666666666667

    Args:
        steps: t_k, increasing, array [n+1].
        means: J(t_k), array [n+1].

    Returns:
        J, in its own unit.
    """
    if len(steps) == 1:
        return float(means[0])
    return float(np.trapezoid(means, steps) / (steps[-1] - steps[0]))


@dataclass(frozen=True)
class ThresholdTime:
    """When a run reached the threshold; right-censored at the budget if it never did."""

    time: float
    """min(T, budget), in steps."""
    reached: bool


def time_to_threshold(steps: FloatArray, means: FloatArray, threshold: float) -> ThresholdTime:
    """The first t_k from which on :data:`WINDOW` consecutive evaluations are all ≥ ``threshold``.

    A curve shorter than that must reach it at every evaluation.

    >>> steps = np.array([0.0, 10.0, 20.0, 30.0, 40.0])
    >>> time_to_threshold(steps, np.array([0.0, 90.0, 10.0, 90.0, 90.0]), 50.0)  # two at the end are too few
    ThresholdTime(time=40.0, reached=False)

    Args:
        steps: t_k, increasing, array [n+1].
        means: J(t_k), array [n+1].
        threshold: θ, in J's unit.

    Returns:
        That step, or the budget and ``reached=False``.
    """
    width = min(WINDOW, len(means))
    above = np.lib.stride_tricks.sliding_window_view(means >= threshold, width).all(axis=1)
    hits = np.flatnonzero(above)
    if hits.size:
        return ThresholdTime(float(steps[hits[0]]), True)
    return ThresholdTime(float(steps[-1]), False)


def censoring(transfer: Sequence[ThresholdTime], scratch: Sequence[ThresholdTime]) -> str:
    """How times cut at the budget bound what uncut ones would give, for figures that grow with scratch's.

    Args:
        transfer: the transfer arm's times.
        scratch: the from-scratch arm's times.

    Returns:
        ``≥`` where from-scratch runs never reached the threshold (their true times are longer), ``≤``
        where transfer runs did not, ``≷`` (either side) where both did not; empty where all runs arrived.
    """
    below, above = (any(not time.reached for time in arm) for arm in (transfer, scratch))
    if below:
        return "≷" if above else "≤"
    return "≥" if above else ""


def speed_up(
    transfer: Sequence[ThresholdTime], scratch: Sequence[ThresholdTime], confidence: float, budget: float
) -> Interval:
    """E[min(T, N)] of the scratch arm / that of the transfer arm, N the budget; above 1 transfer is faster.

    Restricted means exist whether runs reached the threshold or not. The interval is Student's t of
    log m_S − log m_T with variance s_S²/(n_S m_S²) + s_T²/(n_T m_T²) (delta method) and Welch–Satterthwaite
    degrees of freedom: its limits are never below 0. An arm all of whose runs arrived may have missed those
    that never do: the interval with one run more of that kind lies within it.
    Undefined where a mean is 0, where an arm is empty, and where no run of either arm reached the threshold:
    times of nobody say nothing.

    >>> at = [ThresholdTime(time, True) for time in (100.0, 200.0, 400.0)]
    >>> found = speed_up(at[:1] * 100, at[2:] * 100, 0.95, budget=400.0)
    >>> f"{found.point:.2f} [{found.low:.2f}, {found.high:.2f}]"
    '4.00 [3.67, 4.11]'

    Source: Royston & Parmar 2013 (BMC Med. Res. Methodol. 13:152) on restricted means.

    Args:
        transfer: the transfer arm's times, in steps.
        scratch: the from-scratch arm's times, in steps.
        confidence: coverage of the interval, in (0, 1).
        budget: N, in steps: the time of a run that never arrives.

    Returns:
        Ratio and limits; the limits are NaN with fewer than two runs in an arm.
    """
    x, y = (np.array([time.time for time in arm]) for arm in (transfer, scratch))
    if not any(time.reached for time in (*transfer, *scratch)) or min(x.size, y.size) == 0:
        return UNDEFINED
    if x.mean() == 0 or y.mean() == 0:
        return UNDEFINED
    found = _ratio_of_means(y, x, confidence)
    if not found.defined:
        return found
    below, above = (_with_one_that_never_arrives(arm, budget) for arm in (transfer, scratch))
    return hull([_ratio_of_means(top, bottom, confidence) for top in above for bottom in below])


def steps_saved(
    transfer: Sequence[ThresholdTime], scratch: Sequence[ThresholdTime], confidence: float, budget: float
) -> Interval:
    """Difference of restricted means, scratch − transfer, with Welch's interval.

    As that of :func:`speed_up` it holds what one run more that never arrives would give, in an arm all of
    whose runs arrived: runs that all arrive at once have no spread, and say nothing of one that does not.

    Args:
        transfer: the transfer arm's times, one at least.
        scratch: the from-scratch arm's times, one at least.
        confidence: coverage of the interval, in (0, 1).
        budget: N, the step at which times are cut.

    Returns:
        Steps, with limits within ±N, and NaN with fewer than two runs in an arm.
    """
    x, y = (_with_one_that_never_arrives(arm, budget) for arm in (transfer, scratch))
    cases = [welch_interval(longer, shorter, confidence) for longer in y for shorter in x]
    return hull(cases).within(-budget, budget)


def _with_one_that_never_arrives(arm: Sequence[ThresholdTime], budget: float) -> list[FloatArray]:
    """Times as they are and, of several that all arrived, with one more at the budget."""
    times = np.array([each.time for each in arm])
    may_have_missed = len(arm) > 1 and all(each.reached for each in arm)
    return [times, np.append(times, budget)] if may_have_missed else [times]


def _ratio_of_means(above: FloatArray, below: FloatArray, confidence: float) -> Interval:
    # Relative to their own means both arms have mean 1, and the variances that the logarithms take.
    spread = welch_interval(above / above.mean(), below / below.mean(), confidence)
    ratio = float(above.mean() / below.mean())
    return Interval(ratio, ratio * math.exp(spread.low), ratio * math.exp(spread.high))


def break_even(steps_saved: float, source_steps: float) -> float:
    """Share of the source's training cost that one target wins back: steps_saved / source_steps.

    Args:
        steps_saved: on one target.
        source_steps: what the source's training took, in the same unit.
    """
    return steps_saved / source_steps if source_steps > 0 else math.nan


def break_even_targets(steps_saved: float, source_steps: float) -> float:
    """Number of targets at which the source's cost is won back; NaN (never) if no steps are saved.

    Args:
        steps_saved: on one target.
        source_steps: what the source's training took, in the same unit.
    """
    return float(math.ceil(source_steps / steps_saved)) if steps_saved > 0 else math.nan


def has_plateaued(steps: FloatArray, curves: Sequence[FloatArray], confidence: float, margin: float) -> bool:
    """Whether an arm's curves are shown to be flat over their last third.

    Per run the rise of J over the last third of the evaluations, at least three: least-squares slope times
    its steps. The arm is flat if the Student t interval of the mean rise over seeds lies within ±``margin``.
    An interval that is merely not clear of 0 shows nothing: with few seeds steep curves have such ones too.
    False with fewer than two runs, or where three evaluations reach into the first half.

    Args:
        steps: t_k that the curves share, array [n+1].
        curves: J(t_k) of each run, arrays [n+1].
        confidence: coverage of the rise's interval, in (0, 1).
        margin: the largest rise that still is none, in J's unit.

    Returns:
        True only where flatness was shown.
    """
    count = max(WINDOW, math.ceil(len(steps) / 3))
    if len(steps) < 2 * WINDOW:
        return False
    t = steps[-count:] - steps[-count:].mean()
    length = steps[-1] - steps[-count]
    rises = [length * float(t @ (means[-count:] - means[-count:].mean()) / (t @ t)) for means in curves]
    interval = mean_interval(rises, confidence)
    return -margin <= interval.low and interval.high <= margin


@dataclass(frozen=True)
class RunMetrics:
    """The per-run figures of one finished run; NaN where undefined."""

    seed: int
    start: float
    """J(0): before the first gradient step and environment step."""
    final: float
    auc: float
    clipped_auc: float
    """Area of the scores clipped to [0, 1] (for forward transfer)."""
    reached: ThresholdTime | None
    """None where the target has no threshold."""
    zero_shot: float
    retention: float
    source_steps: float
    gap: float
    """J of the source policy as it is on the target, minus its J in its own task."""
    successes: tuple[int, int] | None = None
    """Successful episodes and all episodes of the final evaluations; None where nobody counts them."""
    probe: float = math.nan
    """Accuracy of a converged linear classifier on the features that training starts from."""
    reference: float = math.nan
    """Accuracy of a simple model of another kind on the same labels (texts)."""
    guide_share: float = math.nan
    """Share of the budget's steps that a guide took (jump-start reinforcement learning)."""
    clipped_by_reference: float = math.nan
    """How ``clipped_auc`` moves with J_ref, per unit of J: what is clipped does not."""
    clipped_by_random: float = math.nan
    """The same with J_random."""


GAINS: Mapping[str, Callable[[RunMetrics], float]] = {
    "jump_start": lambda run: run.start,
    "asymptotic_gain": lambda run: run.final,
    "auc_gain": lambda run: run.auc,
}
"""Metric of a cell → the figure of a run whose difference between two arms it is."""


def clipped_area(steps: FloatArray, means: FloatArray, scale: ScoreScale) -> tuple[float, float, float]:
    """Area of the scores clipped to [0, 1], and how it moves with what 1 and 0 stand for.

    Args:
        steps: t_k, increasing, array [n+1].
        means: J(t_k), array [n+1].
        scale: of the target; not raw.

    Returns:
        The area, and its derivatives by J_ref and by J_random, per unit of J: what is clipped stays where it
        is. Within two standard errors of an end it counts as what is not: it may be, by the true scale.
    """
    scores = scale.score(means)
    below, above = (CLEAR_ERRORS * each / scale.span for each in (scale.random_error, scale.reference_error))
    moves = (scores >= -below) & (scores <= 1 + above)
    scores = np.clip(scores, 0, 1)
    by_reference, by_random = (
        -area_under_curve(steps, moves * each) / scale.span for each in (scores, 1 - scores)
    )
    return area_under_curve(steps, scores), by_reference, by_random


def measure(
    run: Run, scale: ScoreScale, settings: Analysis, threshold: float, success: SuccessRule | None = None
) -> RunMetrics:
    """Every per-run figure of a finished run.

    Args:
        run: one run of a target.
        scale: the constants of the target's scores.
        settings: share of the last evaluations.
        threshold: θ of the time to threshold, in J's unit; NaN where there is none.
        success: which episodes count as successes; None where the target names none.

    Returns:
        Figures in J's unit and in steps.

    Raises:
        ValueError: the run is not finished.
    """
    if run.curve is None or run.record is None:
        raise ValueError(f"run {run.id} cannot be measured: {run.problem}")
    steps, means = run.curve.steps, run.curve.means
    clipped, by_reference, by_random, reached = math.nan, math.nan, math.nan, None
    if not scale.is_raw:
        clipped, by_reference, by_random = clipped_area(steps, means, scale)
    if not math.isnan(threshold):
        reached = time_to_threshold(steps, means, threshold)
    retention, zero_shot = (run.record.get(key) or {} for key in ("retention", "zero_shot"))
    window = final_window(len(means), settings.final_share)
    return RunMetrics(
        seed=run.seed,
        start=float(means[0]),
        final=final_performance(means, settings.final_share),
        auc=area_under_curve(steps, means),
        clipped_auc=clipped,
        reached=reached,
        zero_shot=_mean_of(zero_shot, "returns"),
        gap=_mean_of(zero_shot, "returns")
        - _mean_of(zero_shot if zero_shot.get("source_returns") else retention, "source_returns"),
        successes=None if success is None else success.counts(run.curve, window),
        retention=_mean_of(retention, "returns") - _mean_of(retention, "source_returns"),
        source_steps=float(run.record.get("source_steps") or math.nan),
        probe=float((run.record.get("probe") or {}).get("accuracy", math.nan)),
        reference=float((run.record.get("reference") or {}).get("accuracy", math.nan)),
        guide_share=_guide_share(run.record, run.curve.budget),
        clipped_by_reference=by_reference,
        clipped_by_random=by_random,
    )


def _guide_share(record: JsonObject, budget: float) -> float:
    steps = record.get("guide_steps")
    return math.nan if steps is None or not budget else float(steps) / budget


def _mean_of(entry: JsonObject, key: str) -> float:
    """Mean of a record's list of returns; NaN if it is absent or empty."""
    values = entry.get(key) or ()
    return float(np.mean(values)) if len(values) else math.nan

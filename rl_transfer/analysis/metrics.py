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

from rl_transfer.analysis.arm_statistics import FloatArray, mean_interval
from rl_transfer.analysis.inputs import Run
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.spec import Analysis, JsonObject

WINDOW = 3
"""Consecutive evaluations that must reach the threshold; the least that make a final performance."""
NEAR = 0.05
"""A denominator closer to 0 than this (in scores) leaves a ratio undefined."""


def final_performance(means: FloatArray, share: float) -> float:
    """Mean of J over the last ``share`` of the evaluations, at least :data:`WINDOW` of them.

    The count is rounded up; a curve with fewer evaluations is averaged whole.

    >>> final_performance(np.array([0.0, 10.0, 40.0, 50.0, 60.0]), 0.1)  # 10 % of 5 is less than three
    50.0

    Args:
        means: J(t_k), array [n+1].
        share: in [0, 1].

    Returns:
        J, in its own unit.
    """
    count = max(WINDOW, math.ceil(share * len(means) - 1e-9))
    return float(means[-count:].mean())


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
    """Start of the first :data:`WINDOW` consecutive evaluations whose mean is ≥ ``threshold``.

    A curve shorter than the window is one window.

    Args:
        steps: t_k, increasing, array [n+1].
        means: J(t_k), array [n+1].
        threshold: θ, in J's unit.

    Returns:
        The step of that start, or the budget and ``reached=False``.
    """
    width = min(WINDOW, len(means))
    rolling = np.convolve(means, np.ones(width), mode="valid") / width
    hits = np.flatnonzero(rolling >= threshold)
    if hits.size:
        return ThresholdTime(float(steps[hits[0]]), True)
    return ThresholdTime(float(steps[-1]), False)


def transfer_ratio(auc_transfer: float, auc_scratch: float) -> float:
    """(auc_T − auc_S) / auc_S on normalised scores; NaN where auc_S is within 0.05 of 0.

    Args:
        auc_transfer: area of the transfer arm's scores.
        auc_scratch: area of the from-scratch arm's scores.
    """
    return _ratio(auc_transfer - auc_scratch, auc_scratch)


def forward_transfer(auc_transfer: float, auc_scratch: float) -> float:
    """(auc_T − auc_S) / (1 − auc_S), areas of scores clipped to [0, 1]; NaN where 1 − auc_S ≤ 0.05.

    Source: Wołczyk et al. 2021 (NeurIPS), "Continual World".

    Args:
        auc_transfer: area of the transfer arm's clipped scores, in [0, 1].
        auc_scratch: area of the from-scratch arm's clipped scores, in [0, 1].
    """
    return _ratio(auc_transfer - auc_scratch, 1 - auc_scratch)


def _ratio(numerator: float, denominator: float) -> float:
    return numerator / denominator if abs(denominator) > NEAR else math.nan


@dataclass(frozen=True)
class SpeedUp:
    """Ratio of restricted mean times, from scratch / transfer; above 1 the transfer arm is faster."""

    ratio: float
    """NaN where undefined."""
    bound: str
    """``≥`` or ``≤`` when one arm has runs that never reached the threshold, else empty."""


def speed_up(transfer: Sequence[ThresholdTime], scratch: Sequence[ThresholdTime]) -> SpeedUp:
    """Restricted mean of the scratch arm's times / that of the transfer arm's.

    With censored runs in the scratch arm its true mean is longer, so the ratio is a lower bound; with
    censored runs in the transfer arm it is an upper one. Undefined when both arms have some, when an arm is
    empty, or when a restricted mean is 0.

    Args:
        transfer: the transfer arm's times, in steps.
        scratch: the from-scratch arm's times, in steps.

    Returns:
        The ratio, and whether it is only a bound.
    """
    if not transfer or not scratch:
        return SpeedUp(math.nan, "")
    censored = tuple(any(not time.reached for time in arm) for arm in (transfer, scratch))
    mean_transfer, mean_scratch = (float(np.mean([t.time for t in arm])) for arm in (transfer, scratch))
    if all(censored) or mean_transfer == 0 or mean_scratch == 0:
        return SpeedUp(math.nan, "")
    bound = "≤" if censored[0] else "≥" if censored[1] else ""
    return SpeedUp(mean_scratch / mean_transfer, bound)


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


def has_plateaued(steps: FloatArray, curves: Sequence[FloatArray], confidence: float) -> bool:
    """Whether the last third of an arm's curves shows no significant slope.

    Per run the least-squares slope of J over the last third of the evaluations (at least three); the arm has
    plateaued if the Student t interval of the mean slope over seeds contains 0. False with fewer than two
    runs or three evaluations: nothing was checked.

    Args:
        steps: t_k that the curves share, array [n+1].
        curves: J(t_k) of each run, arrays [n+1].
        confidence: coverage of the slope's interval, in (0, 1).

    Returns:
        True only where a plateau was shown.
    """
    count = max(WINDOW, math.ceil(len(steps) / 3))
    if len(steps) < WINDOW:
        return False
    t = steps[-count:] - steps[-count:].mean()
    slopes = [float(t @ (means[-count:] - means[-count:].mean()) / (t @ t)) for means in curves]
    interval = mean_interval(slopes, confidence)
    return interval.low <= 0 <= interval.high


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
    """None without a threshold (raw returns)."""
    zero_shot: float
    retention: float
    source_steps: float
    probe: float = math.nan
    """Accuracy of a converged linear classifier on the features that training starts from (images)."""
    guide_share: float = math.nan
    """Share of the budget's steps that a guide took (jump-start reinforcement learning)."""


GAINS: Mapping[str, Callable[[RunMetrics], float]] = {
    "jump_start": lambda run: run.start,
    "asymptotic_gain": lambda run: run.final,
    "auc_gain": lambda run: run.auc,
}
"""Metric of a cell → the figure of a run whose difference between two arms it is."""


def measure(run: Run, scale: ScoreScale, settings: Analysis) -> RunMetrics:
    """Every per-run figure of a finished run.

    Args:
        run: one run of a target.
        scale: the constants of the target's scores.
        settings: shares of the threshold and of the last evaluations.

    Returns:
        Figures in J's unit and in steps.

    Raises:
        ValueError: the run is not finished.
    """
    if run.curve is None or run.record is None:
        raise ValueError(f"run {run.id} cannot be measured: {run.problem}")
    steps, means = run.curve.steps, run.curve.means
    clipped, reached = math.nan, None
    if not scale.is_raw:
        clipped = area_under_curve(steps, np.clip(scale.score(means), 0, 1))
        reached = time_to_threshold(steps, means, scale.threshold(settings.threshold_share))
    retention = run.record.get("retention") or {}
    return RunMetrics(
        seed=run.seed,
        start=float(means[0]),
        final=final_performance(means, settings.final_share),
        auc=area_under_curve(steps, means),
        clipped_auc=clipped,
        reached=reached,
        zero_shot=_mean_of(run.record.get("zero_shot") or {}, "returns"),
        retention=_mean_of(retention, "returns") - _mean_of(retention, "source_returns"),
        source_steps=float(run.record.get("source_steps") or math.nan),
        probe=float((run.record.get("probe") or {}).get("accuracy", math.nan)),
        guide_share=_guide_share(run.record, run.curve.budget),
    )


def _guide_share(record: JsonObject, budget: float) -> float:
    steps = record.get("guide_steps")
    return math.nan if steps is None or not budget else float(steps) / budget


def _mean_of(entry: JsonObject, key: str) -> float:
    """Mean of a record's list of returns; NaN if it is absent or empty."""
    values = entry.get(key) or ()
    return float(np.mean(values)) if len(values) else math.nan

"""Comparing one arm with another on one figure: interval, test, effect sizes, and the check by a control."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rl_transfer.analysis import arm_statistics as stats
from rl_transfer.analysis.arm_statistics import Interval
from rl_transfer.analysis.arms import Arm
from rl_transfer.analysis.bootstrap import iqm_difference
from rl_transfer.analysis.flags import Obstacle
from rl_transfer.analysis.metrics import GAINS
from rl_transfer.analysis.power import SeedRange, fresh_seeds
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.verdict import Verdict, decide
from rl_transfer.spec import Analysis

Judged = Literal["asymptotic_gain", "auc_gain"]
JUDGED: tuple[Judged, ...] = ("asymptotic_gain", "auc_gain")
"""The metrics that get a verdict: final quality and sample efficiency."""

Finding = Literal["knowledge", "partly", "not knowledge", "unclear", "unchecked"]


@dataclass(frozen=True)
class Contrast:
    """Two arms on one figure: x is the arm in question, y the other; in scores, or raw without them."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    gain: Interval
    """Difference of means with Welch's interval."""
    p: float
    """Two-sided permutation p, not adjusted."""

    @property
    def runs(self) -> int:
        """Runs in the smaller arm."""
        return min(len(self.x), len(self.y))


@dataclass(frozen=True)
class ControlCheck:
    """Does the arm gain more than its control, which knows nothing of the source?"""

    control: str
    finding: Finding
    over_control: Interval
    """Arm − control, difference of means with Welch's interval."""
    p: float

    @property
    def sentence(self) -> str:
        """The finding in words."""
        text = {
            "knowledge": "it is clearly above its control {}",
            "partly": "its control {} shows a part of the gain too",
            "not knowledge": "its control {} shows the gain too: not knowledge, but the effect of "
            "training fewer parameters",
            "unclear": "it is not clearly above its control {}",
            "unchecked": "its control {} is not finished, so the gain may not be knowledge",
        }
        return text[self.finding].format(self.control)


@dataclass(frozen=True)
class Comparison:
    """An arm against the from-scratch arm on one judged metric, with its verdict."""

    metric: Judged
    unit: Literal["score", "measure"]
    """What ``gain``, ``iqm_gain`` and ``delta`` are measured in."""
    gain: Interval
    delta: float
    p: float
    adjusted_p: float
    """Benjamini–Hochberg over the family of cells; NaN outside it (controls)."""
    verdict: Verdict
    reason: str
    improvement: float
    """P(arm > scratch)."""
    cohens_d: float
    hedges_g: float
    iqm_gain: Interval
    """Difference of interquartile means, percentile bootstrap interval."""
    fresh_seeds: SeedRange | None
    """Seeds per arm of a new plan that would settle an inconclusive verdict; None if nothing can be said."""
    control: ControlCheck | None = None
    obstacle: Obstacle | None = None
    """Why no verdict may be given, whatever the numbers; the verdict is inconclusive then."""

    @property
    def outcome(self) -> str:
        """What people read: the verdict, or that runs ``failed`` or are ``unfinished``."""
        return self.obstacle.state if self.obstacle is not None else str(self.verdict)

    @property
    def symbol(self) -> str:
        """One character for it: ▲ ▼ ≈ ? for verdicts, ✗ failed, … unfinished, ≠ incomparable."""
        if self.obstacle is None:
            return self.verdict.symbol
        return {"failed": "✗", "unfinished": "…", "incomparable": "≠"}[self.obstacle.state]

    @property
    def doubted(self) -> bool:
        """Whether a control puts the gain in doubt; False without a check."""
        return self.control is not None and self.control.finding != "knowledge"


def contrast(
    metric: Judged,
    arm: Arm,
    other: Arm,
    scale: ScoreScale,
    confidence: float,
    generator: np.random.Generator,
) -> Contrast:
    """The contrast of two arms on one metric.

    Args:
        metric: the judged metric.
        arm: the arm in question.
        other: the arm that it is compared with.
        scale: the constants of the target's scores.
        confidence: coverage of Welch's interval, in (0, 1).
        generator: serves the permutation test where it samples.

    Returns:
        Both arms' values, their difference and p; in scores, or raw without them.
    """
    x, y = (_on_scale(side.values(GAINS[metric]), scale) for side in (arm, other))
    return Contrast(x, y, stats.welch_interval(x, y, confidence), stats.permutation_p(x, y, generator))


def judge(
    metric: Judged,
    pair: Contrast,
    scale: ScoreScale,
    settings: Analysis,
    generator: np.random.Generator,
    *,
    adjusted_p: float | None,
    family: int,
    obstacle: Obstacle | None,
) -> Comparison:
    """The comparison of one cell with the from-scratch arm on one metric.

    Args:
        metric: the judged metric.
        pair: the cell against the from-scratch arm.
        scale: the constants of the target's scores, δ among them.
        settings: q, confidence and resamples.
        generator: serves the bootstrap.
        adjusted_p: p corrected for the family of cells; None outside it, where the plain p decides.
        family: cells in the family.
        obstacle: why no verdict may be given, if anything.

    Returns:
        Verdict with reason, and the effect sizes beside it.
    """
    p, cells = (pair.p, 1) if adjusted_p is None else (adjusted_p, family)
    block = None if obstacle is None else obstacle.reason
    verdict, reason = decide(pair.gain, p, runs=pair.runs, delta=scale.delta, q=settings.q, obstacle=block)
    unsettled = verdict is Verdict.INCONCLUSIVE and obstacle is None
    x, y = pair.x, pair.y
    return Comparison(
        metric=metric,
        unit="measure" if scale.is_raw else "score",
        gain=pair.gain,
        delta=scale.delta,
        p=pair.p,
        adjusted_p=math.nan if adjusted_p is None else adjusted_p,
        verdict=verdict,
        reason=reason,
        improvement=stats.probability_of_improvement(x, y),
        cohens_d=stats.cohens_d(x, y),
        hedges_g=stats.hedges_g(x, y),
        iqm_gain=iqm_difference(x, y, generator, settings.bootstrap, settings.confidence),
        fresh_seeds=_fresh_seeds(pair, scale.delta, settings, cells) if unsettled else None,
        obstacle=obstacle,
    )


def _fresh_seeds(pair: Contrast, delta: float, settings: Analysis, cells: int) -> SeedRange | None:
    return fresh_seeds(pair.x, pair.y, delta=delta, q=settings.q, cells=cells, confidence=settings.confidence)


def check_control(
    name: str, arm_over_control: Contrast, control: Comparison, *, complete: bool
) -> ControlCheck:
    """What a control says of an arm's gain.

    not knowledge: the control gains too (its own interval above 0 and point ≥ δ) and the arm is not clearly
    above it (interval of the difference not wholly above 0); partly: the control gains, the arm gains
    clearly more; knowledge: only the arm gains, and clearly more; unclear: only the arm gains, but
    not clearly more.

    Args:
        name: the control.
        arm_over_control: the arm against the control.
        control: the control against the from-scratch arm.
        complete: whether both arms are complete and comparable.

    Returns:
        The finding, and the arm's gain over the control.
    """
    above = arm_over_control.gain.defined and arm_over_control.gain.low > 0
    gains = control.gain.defined and control.gain.low > 0 and control.gain.point >= control.delta
    finding: Finding
    if not complete:
        finding = "unchecked"
    elif gains:
        finding = "partly" if above else "not knowledge"
    else:
        finding = "knowledge" if above else "unclear"
    return ControlCheck(name, finding, arm_over_control.gain, arm_over_control.p)


def _on_scale(values: Mapping[int, float], scale: ScoreScale) -> tuple[float, ...]:
    if scale.is_raw:
        return tuple(values.values())
    return tuple(scale.score(np.array(list(values.values()))).tolist())

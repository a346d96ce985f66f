"""Intervals of normalised scores, whose denominator is estimated too, and of raw values beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rl_transfer.analysis.arm_statistics import Interval
from rl_transfer.analysis.fieller import Line, Sample, confidence_set
from rl_transfer.analysis.score_scale import ScoreScale

Part = tuple[float, Mapping[str, float]]
"""A sign and the values of one arm, by run: the mean of these, times that, enters a numerator."""


def score_interval(
    parts: Sequence[Part], scale: ScoreScale, confidence: float, *, over_random: bool = False
) -> Interval:
    """Fieller's set of a score: a sum of means of arms, over the span of the scale.

    The span is as uncertain as what it is made of: the from-scratch runs' final performances, and the
    random policy's episodes. A from-scratch run that enters the numerator too is counted as one, with the
    covariance of both its figures.

    Args:
        parts: the arms that make the numerator.
        scale: of the target; not raw.
        confidence: coverage, in (0, 1).
        over_random: whether the numerator also has the random policy's mean taken off.

    Returns:
        Score with its set: bounded, one-sided (an infinite limit), or without limits.
    """
    return confidence_set(score_line(parts, scale, over_random=over_random), confidence)


def score_line(parts: Sequence[Part], scale: ScoreScale, *, over_random: bool = False) -> Line:
    """D(θ) = numerator − θ · span of a score, sample by sample.

    Args:
        parts: as for :func:`score_interval`.
        scale: of the target.
        over_random: as for :func:`score_interval`.

    Returns:
        The line whose root is the score.
    """
    finals = scale.finals if scale.mode == "scratch" else {}
    left = dict(finals)
    samples = []
    for sign, values in parts:
        share = len(values) / max(1, len(finals))
        slopes = [-left.pop(run, 0.0) * share for run in values]
        samples.append(Sample(sign * np.array([*values.values()]), np.array(slopes)))
    if left:
        rest = -np.array([*left.values()]) * len(left) / len(finals)
        samples.append(Sample(np.zeros(len(left)), rest))
    random = np.array(scale.random_returns)
    samples.append(Sample(-random if over_random else np.zeros(random.size), random))
    return Line(samples, (0.0, 0.0 if finals else -scale.reference))


@dataclass(frozen=True)
class ClippedAreas:
    """Areas of an arm's scores clipped to [0, 1], and how their mean moves with the scale of the scores."""

    areas: Mapping[str, float]
    """Run, or source policy → its area."""
    by_reference: float
    """Per unit of J_ref; 0 where everything is clipped."""
    by_random: float
    """Per unit of J_random."""


def forward_line(arm: ClippedAreas, scratch: ClippedAreas, scale: ScoreScale) -> Line:
    """D(θ) = Ā − B̄ − θ (1 − B̄) of forward transfer, A and B the clipped areas of an arm and of scratch.

    The scale of the scores enters both to first order: D moves with the means of from-scratch runs' final
    performances and of the random policy's episodes. A from-scratch run's area and final performance are
    counted together.

    Args:
        arm: the arm in question.
        scratch: the from-scratch arm.
        scale: of the target; not raw.

    Returns:
        The line whose root is forward transfer.
    """
    finals = scale.finals if scale.mode == "scratch" else {}
    moves = arm.by_reference - scratch.by_reference, scratch.by_reference
    own = np.array([*scratch.areas.values()])
    x = np.array([*arm.areas.values()])
    off = {run: (final - scale.reference) / len(finals) for run, final in finals.items()}
    beside = own.size * np.array([off.pop(run, 0.0) for run in scratch.areas])
    samples = [
        Sample(x, 0.0 * x),
        Sample(moves[0] * beside - own, moves[1] * beside + own),
    ]
    if off:
        rest = len(off) * np.array([*off.values()])
        samples.append(Sample(moves[0] * rest, moves[1] * rest))
    random = np.array(scale.random_returns) - scale.random
    samples.append(Sample((arm.by_random - scratch.by_random) * random, scratch.by_random * random))
    return Line(samples, (0.0, -1.0))


def difference_line(parts: Sequence[Part], shift: float) -> Line:
    """D(0) = sum of means of arms − ``shift``, for tests of a difference that is known in the measure's unit.

    Args:
        parts: as for :func:`score_interval`.
        shift: what the sum is held against.

    Returns:
        A line without slope.
    """
    samples = [Sample(sign * (each := np.array([*values.values()])), 0.0 * each) for sign, values in parts]
    return Line(samples, (-shift, 0.0))


def beyond_p(parts: Sequence[Part], scale: ScoreScale) -> tuple[float, float]:
    """P of a difference of at most −δ, and of one of at least δ, each as a null hypothesis.

    Both tests are one-sided. The difference is shown to lie within ±δ where both reject, each at its full
    level. δ in the measure's unit is a constant; one that is a share of the from-scratch arm's span is tested
    by D(±δ), in which the span's own error counts.

    Source: Schuirmann 1987, J. Pharmacokinetics and Biopharmaceutics 15:657–680.

    Args:
        parts: the arm with sign 1, the one that it is compared with with sign −1; two runs or more each.
        scale: of the target, with its δ.

    Returns:
        Both p, in [0, 1]; 1 where no δ is declared.
    """
    tolerance = scale.tolerance
    if not tolerance.declared or any(len(values) < 2 for _, values in parts):
        return 1.0, 1.0
    if tolerance.share:
        line = score_line(parts, scale)
        return line.one_sided_p(-tolerance.share)[0], line.one_sided_p(tolerance.share)[1]
    low, high = (difference_line(parts, shift) for shift in (-tolerance.raw, tolerance.raw))
    return low.one_sided_p(0.0)[0], high.one_sided_p(0.0)[1]

"""Arms without spread: runs that all ended at a ceiling or a floor say nothing of the run that did not.

The standard deviation of such runs is about 0, so that any interval and any test of means takes the
difference for certain, although one run in ten may fail. What is claimed must survive one more run.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from rl_transfer.analysis.score_intervals import Part
from rl_transfer.analysis.score_scale import CLEAR_ERRORS, LEAST_LEAD, ScoreScale, standard_error

ONE_MORE = "one more run"


@dataclass(frozen=True)
class Data:
    """Both arms as measured, or with one run more in one of them, and the scale to match."""

    x: Mapping[str, float]
    y: Mapping[str, float]
    scale: ScoreScale
    paired: bool = False
    """Whether both have the same source policies by name, and what counts are their differences."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The independent samples whose means add up to the difference of the arms."""
        if not self.paired:
            return (1.0, self.x), (-1.0, self.y)
        return ((1.0, {policy: value - self.y[policy] for policy, value in self.x.items()}),)


def with_one_more(x: Mapping[str, float], y: Mapping[str, float], scale: ScoreScale) -> tuple[Data, ...]:
    """What a verdict must survive: the arms as measured first, then each arm without spread with a run more.

    An arm has no spread where its range is at most 2δ. The run more is at J_random or, where the arm itself
    lies within δ of J_random, at the best return seen on the target.

    Args:
        x: run → value of the arm in question.
        y: run → value of the arm that it is compared with.
        scale: of the target.

    Returns:
        One to three cases.
    """
    found = [Data(x, y, scale)]
    if math.isnan(scale.random):
        return tuple(found)
    if is_spreadless(x, scale):
        found.append(Data({**x, ONE_MORE: _one_more(x, scale)}, y, scale))
    if is_spreadless(y, scale):
        value = _one_more(y, scale)
        of_scale = scale.finals and y.keys() <= scale.finals.keys()
        finals = {**scale.finals, ONE_MORE: value} if of_scale else scale.finals
        found.append(Data(x, {**y, ONE_MORE: value}, replace(scale, finals=finals)))
    return tuple(found)


def with_one_more_pair(
    x: Mapping[str, float], y: Mapping[str, float], scale: ScoreScale, *, alike_is_spreadless: bool = True
) -> tuple[Data, ...]:
    """:func:`with_one_more` of arms that the same source policies feed: one policy more feeds both.

    What it makes of an arm without spread is the run more; the other arm gets its own mean. Where the
    differences lie within 2δ, whatever the arms do, that is asked of either arm.

    Args:
        x: source policy → value of the arm in question.
        y: the same policies' of the arm that it is compared with.
        scale: of the target.
        alike_is_spreadless: whether that is asked where the differences lie within 2δ.

    Returns:
        One to three cases.
    """
    measured = Data(x, y, scale, paired=True)
    found = [measured]
    if math.isnan(scale.random) or not x:
        return tuple(found)
    alike = alike_is_spreadless and is_spreadless(measured.parts[0][1], scale)
    if alike or is_spreadless(x, scale):
        more = {**x, ONE_MORE: _one_more(x, scale)}, {**y, ONE_MORE: float(np.mean([*y.values()]))}
        found.append(Data(*more, scale, paired=True))
    if alike or is_spreadless(y, scale):
        more = {**x, ONE_MORE: float(np.mean([*x.values()]))}, {**y, ONE_MORE: _one_more(y, scale)}
        found.append(Data(*more, scale, paired=True))
    return tuple(found)


def is_spreadless(values: Mapping[str, float], scale: ScoreScale) -> bool:
    """Whether all runs of an arm lie within 2δ; without a δ, within twice the scale's likeness.

    Args:
        values: run → value.
        scale: of the target, with its δ.
    """
    return bool(values) and bool(np.ptp([*values.values()]) <= 2 * scale.likeness)


def place_of(values: Mapping[str, float], scale: ScoreScale) -> str:
    """Where an arm without spread lies, in words.

    Args:
        values: run → value.
        scale: of the target.

    Returns:
        ``at the ceiling``, ``at the floor``, or ``without spread`` in between.
    """
    mean, delta = float(np.mean([*values.values()])), scale.likeness
    if abs(mean - scale.random) <= delta or mean <= scale.possible[0] + delta:
        return "at the floor"
    tops = [top for top in (scale.best, scale.possible[1]) if math.isfinite(top)]
    return "at the ceiling" if mean >= min(tops, default=math.inf) - delta else "without spread"


def _one_more(values: Mapping[str, float], scale: ScoreScale) -> float:
    at_random = abs(float(np.mean([*values.values()])) - scale.random) <= scale.likeness
    return scale.best if at_random and math.isfinite(scale.best) else scale.random


def left_chance(values: Mapping[str, float], scale: ScoreScale) -> bool:
    """Whether an arm's mean is above the random policy's by more than two standard errors, of both combined.

    Args:
        values: run → value.
        scale: of the target; its random policy was measured.
    """
    return _lead(values, scale) > LEAST_LEAD


def below_chance(values: Mapping[str, float], scale: ScoreScale) -> bool:
    """Whether an arm's mean is below the random policy's by more than two standard errors.

    Args:
        values: run → value.
        scale: of the target; its random policy was measured.
    """
    mirrored = replace(scale, random=-scale.random)
    return _lead({run: -value for run, value in values.items()}, mirrored) > LEAST_LEAD


def _lead(values: Mapping[str, float], scale: ScoreScale) -> float:
    """By how much an arm's mean is above random, less two standard errors."""
    x = np.array([*values.values()])
    error = math.hypot(standard_error(x), scale.random_error)
    return float(x.mean()) - scale.random - CLEAR_ERRORS * error if x.size else math.nan

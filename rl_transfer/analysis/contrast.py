"""Two arms on one figure: their difference raw and as a score, both tests, and what one more run would do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from rl_transfer.analysis import arm_statistics as stats
from rl_transfer.analysis.arm_statistics import UNDEFINED, Interval
from rl_transfer.analysis.guard import (
    Data,
    is_spreadless,
    place_of,
    with_one_more,
    with_one_more_pair,
)
from rl_transfer.analysis.score_intervals import beyond_p, difference_line, score_interval, score_line
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.sequential import block_permutation_p
from rl_transfer.analysis.special import t_cdf
from rl_transfer.wording import in_words

Test = Callable[[Mapping[str, float], Mapping[str, float], np.random.Generator], float]
"""Two-sided p of equal means, of two arms (run → value); a generator serves where it samples."""


@dataclass(frozen=True)
class Contrast:
    """Two arms on one figure, x the one in question; where an arm has no spread, with one run more beside.

    Limits, p-values and relevance are the least favourable of these cases.
    """

    x: tuple[float, ...]
    y: tuple[float, ...]
    """In the measure's unit, as x."""
    raw: Interval
    """Difference of means with Welch's interval, or the paired one; in the measure's unit."""
    score: Interval | None
    """The same as a score with Fieller's set; None where the target has no scores."""
    p: float
    """Two-sided p of the permutation test, or of the paired t test; not adjusted."""
    equivalence_p: float
    """p of the two one-sided tests of ±δ, not adjusted."""
    relevance: int
    """1 where the difference is at least δ, −1 where it is at most −δ, else 0."""
    beyond_p: tuple[float, float] = (1.0, 1.0)
    """P of a difference of at most −δ, and of one of at least δ, each as a null hypothesis; not adjusted."""
    measured: Contrast | None = None
    """The same without a run more; None where every arm has spread."""
    spreadless: str = ""
    """Which arms have no spread, and where they lie; empty if each has some."""
    paired: bool = False
    """Whether the same source policies feed both arms, and their differences were compared."""

    @property
    def gain(self) -> Interval:
        """The difference as a score; in the measure's unit where there are no scores."""
        return self.raw if self.score is None else self.score

    @property
    def runs(self) -> int:
        """Observations in the smaller arm: runs, or source policies."""
        return min(len(self.x), len(self.y))


def in_one_block(x: Mapping[str, float], y: Mapping[str, float], generator: np.random.Generator) -> float:
    """The permutation test of arms that nobody looked at before the end.

    Args:
        x: run → value of the first arm.
        y: run → value of the second.
        generator: serves the test where it samples.
    """
    return stats.permutation_p([*x.values()], [*y.values()], generator)


def untested(x: Mapping[str, float], y: Mapping[str, float], generator: np.random.Generator) -> float:
    """No test, for contrasts of which the interval alone is wanted.

    Args:
        x: run → value of the first arm.
        y: run → value of the second.
        generator: is left untouched.
    """
    del x, y, generator
    return math.nan


def studentised(samples: int = stats.PERMUTATION_LIMIT) -> Test:
    """The test where an arm's observations are source policies: relabellings are compared by Welch's t.

    A mean over several runs and a single run are not exchangeable: their variances differ. Studentised the
    test is right for large arms all the same, and errs to the safe side where policies are few.

    Source: Janssen 1997, Stat. Probab. Lett. 36:9–21; Chung & Romano 2013, Ann. Statist. 41:484–507.

    Args:
        samples: relabellings that are drawn where they are too many to count.
    """
    return lambda x, y, generator: block_permutation_p(
        [[*x.values()]], [[*y.values()]], generator, samples=samples
    )


def contrast(
    x: Mapping[str, float],
    y: Mapping[str, float],
    scale: ScoreScale,
    confidence: float,
    generator: np.random.Generator,
    names: tuple[str, str],
    test: Test = in_one_block,
) -> Contrast:
    """The contrast of two arms on one figure.

    Args:
        x: run, or source policy → value of the arm in question, in the measure's unit.
        y: the same of the arm that it is compared with.
        scale: of the target.
        confidence: coverage of the intervals, in (0, 1).
        generator: serves the permutation test where it samples.
        names: what both arms are called.
        test: of equal means; a run more is called :data:`~rl_transfer.analysis.guard.ONE_MORE` there.

    Returns:
        Their difference in both units, and both p.
    """
    cases = with_one_more(x, y, scale)
    return _worst(
        [_case(data, confidence, test(data.x, data.y, generator)) for data in cases], cases[0], names
    )


def paired_contrast(
    x: Mapping[str, float],
    y: Mapping[str, float],
    scale: ScoreScale,
    confidence: float,
    names: tuple[str, str],
    *,
    alike_is_spreadless: bool = True,
) -> Contrast:
    """The contrast of two arms that the same source policies feed, by their difference policy by policy.

    What a policy is good for enters both arms: counted as independent, they give an interval that covers
    too often where it is good for both, and too seldom where what serves the one harms the other. Student's
    t of the differences holds for either. The test is that of t too: flipping signs, the exact test of pairs,
    has no p below 2 / 2^K, which is .0625 of five policies.

    Source: Student 1908, Biometrika 6:1–25.

    Args:
        x: source policy → value of the arm in question, in the measure's unit.
        y: the same policies' of the arm that it is compared with.
        scale: of the target.
        confidence: coverage of the intervals, in (0, 1).
        names: what both arms are called.
        alike_is_spreadless: whether differences that are all alike are guarded too: of policies, whose next
            one may be of another sort, and not of the same seeds under two versions of a program.

    Returns:
        Their difference in both units, and both p.
    """
    cases = with_one_more_pair(x, y, scale, alike_is_spreadless=alike_is_spreadless)
    return _worst([_case(data, confidence, _paired_p(data)) for data in cases], cases[0], names)


def _paired_p(data: Data) -> float:
    if len(data.x) < 2:
        return 1.0 if data.x else math.nan
    d, variance, _ = difference_line(data.parts, 0.0).errors(1.0, 0.0)
    if not variance:
        return float(d == 0)
    return 2 * t_cdf(-abs(d) / math.sqrt(variance), len(data.x) - 1)


def _worst(cases: Sequence[Contrast], data: Data, names: tuple[str, str]) -> Contrast:
    """The least favourable of the arms as measured, first, and with one run more."""
    first, x, y, scale = cases[0], data.x, data.y, data.scale
    if len(cases) == 1:
        return first
    places: dict[str, list[str]] = {}
    for name, values in zip(names, (x, y), strict=True):
        if is_spreadless(values, scale):
            places.setdefault(place_of(values, scale), []).append(name)
    if not places:
        places["without spread"] = [f"the difference of {in_words(names)}"]
    signs = {case.relevance for case in cases}
    return Contrast(
        first.x,
        first.y,
        stats.hull([case.raw for case in cases]),
        None if first.score is None else stats.hull([case.score or UNDEFINED for case in cases]),
        max(case.p for case in cases),
        max(case.equivalence_p for case in cases),
        signs.pop() if len(signs) == 1 else 0,
        (max(case.beyond_p[0] for case in cases), max(case.beyond_p[1] for case in cases)),
        measured=first,
        spreadless="; ".join(f"{in_words(arms)} {place}" for place, arms in places.items()),
        paired=first.paired,
    )


def _case(data: Data, confidence: float, p: float) -> Contrast:
    x, y, scale, parts = tuple(data.x.values()), tuple(data.y.values()), data.scale, data.parts
    reach = scale.possible[1] - scale.possible[0]
    differences = [*parts[0][1].values()]
    raw = (
        stats.mean_interval(differences, confidence)
        if data.paired
        else stats.welch_interval(x, y, confidence)
    ).within(-reach, reach)
    score = None
    if not scale.is_raw:
        point = raw.point / scale.span
        found = score_interval(parts, scale, confidence) if raw.defined else UNDEFINED
        score = Interval(point, found.low, found.high)
    beyond = beyond_p(parts, scale)
    return Contrast(
        x,
        y,
        raw,
        score,
        p,
        max(beyond) if min(len(x), len(y)) else math.nan,
        _relevance(raw.point, data),
        beyond,
        paired=data.paired,
    )


def _relevance(gain: float, data: Data) -> int:
    tolerance = data.scale.tolerance
    delta = tolerance.raw
    if tolerance.share:
        delta = -tolerance.share * score_line(data.parts, data.scale).slope
    return int(gain >= delta) - int(gain <= -delta)

"""Two arms on one figure: their difference raw and as a score, both tests, and what one more run would do."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from rl_transfer.analysis import arm_statistics as stats
from rl_transfer.analysis.arm_statistics import UNDEFINED, Interval
from rl_transfer.analysis.guard import Data, is_spreadless, place_of, with_one_more
from rl_transfer.analysis.score_intervals import beyond_p, score_interval, score_line
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.sequential import block_permutation_p
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
    """Difference of means with Welch's interval, in the measure's unit."""
    score: Interval | None
    """The same as a score with Fieller's set; None where the target has no scores."""
    p: float
    """Two-sided permutation p, not adjusted."""
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
    cases = [_case(data, confidence, generator, test) for data in with_one_more(x, y, scale)]
    first = cases[0]
    if len(cases) == 1:
        return first
    places: dict[str, list[str]] = {}
    for name, values in zip(names, (x, y), strict=True):
        if is_spreadless(values, scale):
            places.setdefault(place_of(values, scale), []).append(name)
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
    )


def _case(data: Data, confidence: float, generator: np.random.Generator, test: Test) -> Contrast:
    x, y, scale = tuple(data.x.values()), tuple(data.y.values()), data.scale
    parts = ((1.0, data.x), (-1.0, data.y))
    reach = scale.possible[1] - scale.possible[0]
    raw = stats.welch_interval(x, y, confidence).within(-reach, reach)
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
        test(data.x, data.y, generator),
        max(beyond) if min(len(x), len(y)) else math.nan,
        _relevance(raw.point, data),
        beyond,
    )


def _relevance(gain: float, data: Data) -> int:
    tolerance = data.scale.tolerance
    delta = tolerance.raw
    if tolerance.share:
        delta = -tolerance.share * score_line(((1.0, data.x), (-1.0, data.y)), data.scale).slope
    return int(gain >= delta) - int(gain <= -delta)

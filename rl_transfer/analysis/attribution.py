"""Whose gain it is: an arm's difference to scratch, told apart by controls that know nothing of the source.

A control has everything of its strategy but the source's knowledge, so that per control

    arm − scratch = (arm − control) + (control − scratch):

what the source's knowledge adds, and what architecture, scale, mask and statistics do alone.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from rl_transfer.analysis.arm_statistics import Interval, benjamini_hochberg
from rl_transfer.analysis.contrast import Contrast
from rl_transfer.analysis.verdict import Evidence, Verdict, decide
from rl_transfer.spec.seeds import LEAST_SEEDS

Key = TypeVar("Key", bound=Hashable)
Finding = Literal["helps", "hurts", "not knowledge", "unclear", "unchecked"]
"""Of the source's knowledge: it helps or hurts; its part in the verdict is below δ; or neither is shown."""


@dataclass(frozen=True)
class Summand:
    """One of the two differences that an arm's gain is the sum of."""

    gain: Interval
    """In the unit of the comparison, a score with Fieller's set."""
    raw: Interval
    """In the measure's unit, with Welch's interval, or the paired one."""
    p: float
    """Two-sided, not adjusted."""


@dataclass(frozen=True)
class ControlCheck:
    """An arm beside one of its controls."""

    control: str
    knowledge: Summand
    """Arm − control: what the source's knowledge adds."""
    rest: Summand
    """Control − scratch: what is there without it."""
    relevance: int
    """1 where arm − control is at least δ, −1 where it is at most −δ, else 0."""
    beyond_p: tuple[float, float]
    """P of arm − control at most −δ, and of it at least δ, each as a null hypothesis."""
    runs: int
    """Runs, or source policies, in the smaller arm."""
    problem: str = ""
    """Why arm and control cannot be compared, if anything."""
    paired: bool = False
    """Whether the same source policies feed both, and were compared one by one."""


def control_check(control: str, over: Contrast, rest: Summand, problem: str) -> ControlCheck:
    """An arm beside a control.

    Args:
        control: its name.
        over: the arm against it.
        rest: the control against the from-scratch arm.
        problem: why arm and control cannot be compared; empty if they can.
    """
    return ControlCheck(
        control,
        Summand(over.gain, over.raw, over.p),
        rest,
        over.relevance,
        over.beyond_p,
        over.runs,
        "it has no run to compare" if not problem and math.isnan(over.p) else problem,
        over.paired,
    )


@dataclass(frozen=True)
class Attribution:
    """What all controls of a cell say together on one judged metric."""

    checks: tuple[ControlCheck, ...]
    finding: Finding
    p: float
    """The largest p of arm − control over all controls; 1 where the differences have two signs."""
    adjusted_p: float
    absence_p: float
    """Of a gain (a loss, where the verdict is one) by knowledge of at least δ; 1 without such a verdict."""
    adjusted_absence_p: float
    same: tuple[str, ...] = ()
    """The controls over which a part of knowledge as large as δ is ruled out most clearly."""


@dataclass(frozen=True)
class Question:
    """What is asked of the controls of one cell."""

    checks: tuple[ControlCheck, ...]
    """At least one."""
    sign: int
    """1 of a positive verdict, −1 of a negative one, else 0."""
    delta: float
    """In the measure's unit, for words."""
    answered: Attribution | None = None
    """By an earlier look; it stays."""


def attribute(questions: Mapping[Key, Question], q: float) -> dict[Key, Attribution]:
    """Findings of all cells that have controls, corrected together.

    Knowledge ``helps`` (``hurts``) where the arm is clearly and relevantly above (below) every control:
    for each, the interval of arm − control leaves out 0, its point is at least δ, and the largest p
    over the controls passes the correction over the cells (an intersection–union test). ``not knowledge``
    where a verdict is there and, for some control, a part of knowledge as large as δ is rejected: one-sided
    p times the number of controls, corrected over the cells. Otherwise ``unclear``; ``unchecked`` where a
    control cannot be compared.

    Source: Berger 1982, Technometrics 24:295–300; Benjamini & Hochberg 1995.

    Args:
        questions: of the cells that have controls; one that a crash left without an answer counts with p = 1.
        q: false-discovery rate.

    Returns:
        The finding of each.
    """
    tested = {key: _p_values(question) for key, question in questions.items()}
    adjusted = [
        dict(zip(tested, benjamini_hochberg([p[place] for p in tested.values()]).tolist(), strict=True))
        for place in (0, 1)
    ]
    return {
        key: question.answered or _finding(question, tested[key], (adjusted[0][key], adjusted[1][key]), q)
        for key, question in questions.items()
    }


def _p_values(question: Question) -> tuple[float, float]:
    """P of no knowledge of one sign, and of knowledge as large as δ in the direction of the verdict."""
    if question.answered is not None:
        return question.answered.p, question.answered.absence_p
    usable = [check for check in question.checks if not check.problem]
    whole = len(usable) == len(question.checks)
    signs = {math.copysign(1, check.knowledge.raw.point) for check in usable}
    known = max(check.knowledge.p for check in usable) if whole and len(signs) == 1 else 1.0
    absent = [_absence(check, question.sign) for check in usable]
    return known, min(1.0, len(question.checks) * min(absent, default=1.0))


def _absence(check: ControlCheck, sign: int) -> float:
    if not sign or check.runs < LEAST_SEEDS:
        return 1.0
    return check.beyond_p[1] if sign > 0 else check.beyond_p[0]


def _finding(
    question: Question, p: tuple[float, float], adjusted: tuple[float, float], q: float
) -> Attribution:
    checks = question.checks
    same: tuple[str, ...] = ()
    finding: Finding = "unclear"
    verdicts = {_verdict(check, adjusted[0], question.delta, q) for check in checks}
    if verdicts == {Verdict.POSITIVE}:
        finding = "helps"
    elif verdicts == {Verdict.NEGATIVE}:
        finding = "hurts"
    elif adjusted[1] < q:
        finding = "not knowledge"
        least = min(_absence(check, question.sign) for check in checks if not check.problem)
        same = tuple(
            check.control for check in checks if not check.problem and _absence(check, question.sign) == least
        )
    elif any(check.problem for check in checks):
        finding = "unchecked"
    return Attribution(checks, finding, p[0], adjusted[0], p[1], adjusted[1], same)


def _verdict(check: ControlCheck, adjusted_p: float, delta: float, q: float) -> Verdict:
    evidence = Evidence(check.knowledge.raw, check.relevance, adjusted_p, 1.0, check.runs)
    return decide(evidence, delta=delta, q=q, obstacle=check.problem or None)[0]

"""The verdict of one comparison: positive, negative, equivalent or inconclusive."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from rl_transfer.analysis.arm_statistics import Interval
from rl_transfer.spec.seeds import LEAST_SEEDS
from rl_transfer.wording import counted


class Verdict(StrEnum):
    """What may be claimed of a transfer arm against the from-scratch arm, at the budget measured."""

    POSITIVE = "positive"
    NEGATIVE = "negative"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"

    @property
    def symbol(self) -> str:
        """One character for tables and figures: ▲ ▼ ≈ ?."""
        return {"positive": "▲", "negative": "▼", "equivalent": "≈"}.get(self.value, "?")


@dataclass(frozen=True)
class Evidence:
    """What a verdict rests on, all of it in the measure's unit."""

    gain: Interval
    """Difference of means with its interval."""
    relevance: int
    """1 where the gain is at least δ, −1 where it is at most −δ, else 0."""
    p: float
    """Two-sided p of no difference, adjusted for the family of cells."""
    equivalence_p: float
    """p of a difference beyond ±δ (two one-sided tests), adjusted for the family of cells."""
    runs: int
    """Runs in the smaller arm."""


def decide(evidence: Evidence, *, delta: float, q: float, obstacle: str | None = None) -> tuple[Verdict, str]:
    """Verdict and its reason in words.

    positive: p < q, interval wholly above 0 and gain ≥ δ; negative (negative transfer, Wang et al.
    2019): the mirror image; equivalent: both one-sided tests of ±δ reject (their p < q); otherwise
    inconclusive. With an ``obstacle`` (runs missing, arms not comparable) or fewer than four runs in an arm:
    inconclusive.

    >>> found = Evidence(Interval(31.0, 12.0, 50.0), relevance=1, p=0.008, equivalence_p=0.9, runs=5)
    >>> verdict, reason = decide(found, delta=5.0, q=0.05)
    >>> print(verdict.symbol, verdict, reason)
    ▲ positive the interval lies above 0 and the gain is relevant

    Args:
        evidence: interval and tests.
        delta: half-width of the region of practical equivalence, in the measure's unit, for the reason.
        q: false-discovery rate.
        obstacle: why no verdict may be given, if anything.

    Returns:
        What may be claimed, and why.
    """
    gain, runs = evidence.gain, evidence.runs
    if obstacle is not None:
        return Verdict.INCONCLUSIVE, obstacle
    if runs < LEAST_SEEDS or not gain.defined:
        few = f"{counted(runs, 'seed')} per arm {'is' if runs == 1 else 'are'} too few"
        return Verdict.INCONCLUSIVE, f"{few} for any verdict (least {LEAST_SEEDS})"
    settled = evidence.p < q
    if settled and gain.low > 0 and evidence.relevance == 1:
        return Verdict.POSITIVE, "the interval lies above 0 and the gain is relevant"
    if settled and gain.high < 0 and evidence.relevance == -1:
        return Verdict.NEGATIVE, "the interval lies below 0 and the loss is relevant"
    if evidence.relevance == 0 and evidence.equivalence_p < q:
        return Verdict.EQUIVALENT, f"both tests of ±{delta:,.4g} reject a difference as large as that"
    return Verdict.INCONCLUSIVE, _doubt(evidence, delta, q)


def _doubt(evidence: Evidence, delta: float, q: float) -> str:
    gain = evidence.gain
    if gain.low <= 0 <= gain.high:
        return (
            "the interval contains 0, and no difference beyond δ is ruled out"
            if delta
            else ("the interval contains 0")
        )
    if not evidence.relevance:
        return f"the difference is smaller than ±{delta:,.4g}, but one beyond it is not ruled out"
    return f"the interval excludes 0, but the adjusted p {evidence.p:.3g} is not below {q:g}"

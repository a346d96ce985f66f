"""The verdict of one comparison: positive, negative, equivalent or inconclusive."""

from __future__ import annotations

from enum import StrEnum

from rl_transfer.analysis.arm_statistics import Interval
from rl_transfer.analysis.power import LEAST_SEEDS
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


def decide(
    gain: Interval, p: float, *, runs: int, delta: float, q: float, obstacle: str | None = None
) -> tuple[Verdict, str]:
    """Verdict and its reason in words.

    positive: p < q, interval wholly above 0 and point ≥ delta; negative (negative transfer, Wang et al.
    2019): the mirror image; equivalent: interval wholly inside [−delta, delta]; otherwise inconclusive. With
    an ``obstacle`` (runs missing, arms not comparable) or fewer than four runs in an arm: inconclusive.

    >>> verdict, reason = decide(Interval(0.31, 0.12, 0.50), 0.008, runs=5, delta=0.05, q=0.05)
    >>> print(verdict.symbol, verdict, reason)
    ▲ positive the interval lies above 0 and the gain is relevant

    Args:
        gain: difference of means, in the unit of ``delta``.
        p: two-sided p, adjusted for the family of cells.
        runs: runs in the smaller arm.
        delta: half-width of the region of practical equivalence, ≥ 0.
        q: false-discovery rate.
        obstacle: why no verdict may be given, if anything.

    Returns:
        What may be claimed, and why.
    """
    if obstacle is not None:
        return Verdict.INCONCLUSIVE, obstacle
    if runs < LEAST_SEEDS or not gain.defined:
        few = f"{counted(runs, 'seed')} per arm {'is' if runs == 1 else 'are'} too few"
        return Verdict.INCONCLUSIVE, f"{few} for any verdict (least {LEAST_SEEDS})"
    if p < q and gain.low > 0 and gain.point >= delta:
        return Verdict.POSITIVE, "the interval lies above 0 and the gain is relevant"
    if p < q and gain.high < 0 and gain.point <= -delta:
        return Verdict.NEGATIVE, "the interval lies below 0 and the loss is relevant"
    if -delta <= gain.low and gain.high <= delta:
        return Verdict.EQUIVALENT, f"the interval lies within ±{delta:.4g}"
    return Verdict.INCONCLUSIVE, _doubt(gain, p, delta, q)


def _doubt(gain: Interval, p: float, delta: float, q: float) -> str:
    if gain.low <= 0 <= gain.high:
        return "the interval contains 0 and reaches beyond the region of equivalence"
    if abs(gain.point) < delta:
        return f"the difference is smaller than ±{delta:.4g}, but its interval is not"
    return f"the interval excludes 0, but the adjusted p {p:.3g} is not below {q:g}"

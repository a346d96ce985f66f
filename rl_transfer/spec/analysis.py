"""How the curves of a suite are judged."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from rl_transfer.spec.base import LARGEST, Frozen, InnerShare, Score, ScoreRange, Share


class Analysis(Frozen):
    """How curves become metrics and verdicts; what each setting does is told in docs/metrics.md.

    The only definition of these settings: the analysis reads them through this class, so that whatever a
    config may say is what it can work with, and all else is refused before anything is trained.
    """

    reference: Literal["scratch", "threshold"] | Score = "scratch"
    """What a normalised score of 1 means: the from-scratch arm, the reward threshold, or a J."""
    threshold_share: InnerShare = 0.8
    """θ of the time to threshold, as a share of the way from random to reference."""
    delta: float = Field(default=0.05, gt=0, le=1)
    """Half-width of the region of practical equivalence, as a share of the way from random to a reference."""
    raw_delta: float | None = Field(default=None, gt=0, le=LARGEST)
    """The same in the measure's unit, for every target that declares none of its own."""
    return_range: ScoreRange | None = None
    """The least and the greatest J that are possible, on every target that declares none of its own."""
    q: InnerShare = 0.05
    """False-discovery rate of the Benjamini–Hochberg correction."""
    confidence: float = Field(default=0.95, gt=0, le=0.999999)
    """Coverage of every interval; beyond six nines Student's quantiles are noise."""
    bootstrap: int = Field(default=10_000, ge=1, le=1_000_000)
    """Resamples behind the intervals of interquartile means and profiles."""
    final_share: Share = 0.1
    """Share of the last evaluations whose mean is the final performance (at least three)."""

"""An arm against the from-scratch arm on one judged figure: verdict, effect sizes, what controls say."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np

from rl_transfer.analysis import arm_statistics as stats
from rl_transfer.analysis.arm_statistics import Interval, Values
from rl_transfer.analysis.arms import Arm
from rl_transfer.analysis.attribution import Attribution
from rl_transfer.analysis.bootstrap import iqm_difference
from rl_transfer.analysis.cluster_bootstrap import cluster_iqm_difference
from rl_transfer.analysis.contrast import Contrast
from rl_transfer.analysis.flags import Obstacle
from rl_transfer.analysis.longer import BesideLonger
from rl_transfer.analysis.metrics import GAINS
from rl_transfer.analysis.power import SeedRange, fresh_seeds
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.sequential import Exploratory, LookTaken
from rl_transfer.analysis.source_policies import Fed
from rl_transfer.analysis.verdict import Evidence, Verdict, decide
from rl_transfer.spec import Analysis

Judged = Literal["asymptotic_gain", "auc_gain"]
JUDGED: tuple[Judged, ...] = ("asymptotic_gain", "auc_gain")
"""The metrics that get a verdict: final quality and sample efficiency."""


@dataclass(frozen=True)
class Comparison:
    """An arm against the from-scratch arm on one judged metric, with its verdict."""

    metric: Judged
    unit: Literal["score", "measure"]
    """What ``gain`` and ``delta`` are in."""
    gain: Interval
    """Of scores with Fieller's limits, which may be one-sided or missing; raw with Welch's without scores."""
    delta: float
    raw: Interval
    """The gain in the measure's unit with Welch's limits: what the verdict rests on."""
    raw_delta: float
    p: float
    adjusted_p: float
    """Benjamini–Hochberg over the family of cells; NaN outside it (controls)."""
    equivalence_p: float
    """Of the two one-sided tests of ±δ."""
    adjusted_equivalence_p: float
    verdict: Verdict
    reason: str
    improvement: float
    """P(arm > scratch)."""
    cohens_d: float
    hedges_g: float
    iqm_gain: Interval
    """Difference of interquartile means in the measure's unit, percentile bootstrap interval."""
    fresh_seeds: SeedRange | None
    """Seeds per arm of a new plan that would settle an inconclusive verdict; None if nothing can be said."""
    attribution: Attribution | None = None
    """What the cell's controls say; None without any."""
    longer: BesideLonger | None = None
    """Beside training from scratch for the source's steps too; of final quality alone."""
    obstacle: Obstacle | None = None
    """Why no verdict may be given, whatever the numbers; the verdict is inconclusive then."""
    at_limit: str = ""
    """``at the ceiling`` and the like, where arms without spread cost it the verdict; else empty."""
    weak_baseline: bool = False
    """Whether training made the from-scratch arm worse than the random policy."""
    look: LookTaken | None = None
    """Of a seed plan, at which it was judged; None: nobody looked before the end."""
    exploratory: Exploratory | None = None
    """What seeds that came after its verdict show."""
    fed: Fed | None = None
    """The source policies that fed the arm; None where none did."""

    @property
    def is_open(self) -> bool:
        """Whether more seeds could decide it: inconclusive, and no run is missing."""
        open_to_seeds = self.obstacle is None or self.obstacle.state == "chance"
        return self.verdict is Verdict.INCONCLUSIVE and open_to_seeds

    @property
    def shown_raw(self) -> bool:
        """Whether people read the raw gain: without scores, or where a score's limits would be infinite."""
        return self.unit == "measure" or (self.raw.defined and not self.gain.limited)

    @property
    def outcome(self) -> str:
        """What people read: the verdict, or what is in its way: ``failed``, ``at the ceiling`` …

        ``this checkpoint`` beside the symbol of a verdict that is given on few source policies alone.
        """
        if self.obstacle is not None:
            return "no arm left chance" if self.obstacle.state == "chance" else self.obstacle.state
        if self.fed is not None and self.fed.mark and self.verdict is not Verdict.INCONCLUSIVE:
            return self.fed.mark
        return self.at_limit or str(self.verdict)

    @property
    def symbol(self) -> str:
        """One character for it: ▲ ▼ ≈ ? for verdicts, ✗ failed, … unfinished, ≠ incomparable, ∅ chance."""
        if self.obstacle is None:
            return self.verdict.symbol
        return {"failed": "✗", "unfinished": "…", "incomparable": "≠", "chance": "∅"}[self.obstacle.state]

    @property
    def sign(self) -> int:
        """1 of a positive verdict, −1 of a negative one, else 0."""
        return {Verdict.POSITIVE: 1, Verdict.NEGATIVE: -1}.get(self.verdict, 0)

    @property
    def known(self) -> bool:
        """Whether its gain is shown to be knowledge, or its loss knowledge that hurts."""
        claimed = {1: "helps", -1: "hurts"}.get(self.sign)
        return self.attribution is not None and self.attribution.finding == claimed

    @property
    def doubted(self) -> bool:
        """Whether controls put a gain or a loss in doubt; False without a verdict or a control."""
        return bool(self.sign) and self.attribution is not None and not self.known


@dataclass(frozen=True)
class Corrected:
    """A contrast's p-values after correction for the cells that are judged together."""

    p: float
    equivalence_p: float
    cells: int


def judge(
    metric: Judged,
    pair: Contrast,
    scale: ScoreScale,
    settings: Analysis,
    generator: np.random.Generator,
    *,
    family: Corrected | None,
    obstacle: Obstacle | None,
    weak_baseline: bool,
    arms: tuple[Arm, Arm | None],
) -> Comparison:
    """The comparison of one cell with the from-scratch arm on one metric.

    Args:
        metric: the judged metric.
        pair: the cell against the from-scratch arm.
        scale: the constants of the target's scores, δ among them.
        settings: q, confidence and resamples.
        generator: serves the bootstrap.
        family: what correction makes of both p; None outside a family, where they decide as they are.
        obstacle: why no verdict may be given, if anything.
        weak_baseline: whether training made the from-scratch arm worse than the random policy.
        arms: the cell's, and the from-scratch arm where there is one; effect sizes speak of their runs.

    Returns:
        Verdict with reason, and the effect sizes beside it.
    """
    used = family or Corrected(pair.p, pair.equivalence_p, 1)
    block = None if obstacle is None else obstacle.reason
    decided = partial(verdict_of, delta=scale.raw_delta, q=settings.q, obstacle=block)
    verdict, reason = decided(pair, used)
    at_limit = ""
    if verdict is Verdict.INCONCLUSIVE and pair.measured is not None:
        first = pair.measured
        unguarded = decided(first, Corrected(first.p, first.equivalence_p, 1))[0]
        if unguarded is not Verdict.INCONCLUSIVE:
            at_limit = _limit_of(pair.spreadless)
            reason = (
                f"{pair.spreadless}: what the runs show would not survive one more run that ends otherwise"
            )
    # Arms without spread tell nothing of the spread that a plan would meet.
    unsettled = verdict is Verdict.INCONCLUSIVE and obstacle is None and not pair.spreadless
    arm, figure = arms[0], GAINS[metric]
    runs = arm.by_run(figure)
    x, y = [*runs.values()], [] if arms[1] is None else [*arms[1].by_run(figure).values()]
    return Comparison(
        metric=metric,
        unit="measure" if pair.score is None else "score",
        gain=pair.gain,
        delta=scale.delta,
        raw=pair.raw,
        raw_delta=scale.raw_delta,
        p=pair.p,
        adjusted_p=math.nan if family is None else family.p,
        equivalence_p=pair.equivalence_p,
        adjusted_equivalence_p=math.nan if family is None else family.equivalence_p,
        verdict=verdict,
        reason=reason,
        improvement=stats.probability_of_improvement(x, y),
        cohens_d=stats.cohens_d(x, y),
        hedges_g=stats.hedges_g(x, y),
        iqm_gain=_iqm_gain(arm, x, y, runs, generator, settings),
        fresh_seeds=_fresh_seeds(pair, scale.raw_delta, settings, used.cells) if unsettled else None,
        obstacle=obstacle,
        at_limit=at_limit,
        weak_baseline=weak_baseline,
        fed=None if arm.sources is None else arm.sources.fed(runs, settings.confidence),
    )


def _iqm_gain(
    arm: Arm, x: Values, y: Values, runs: Iterable[str], generator: np.random.Generator, settings: Analysis
) -> Interval:
    if arm.sources is None or not arm.pooled or min(len(x), len(y)) == 0:
        return iqm_difference(x, y, generator, settings.bootstrap, settings.confidence)
    clusters = arm.sources.clusters(runs)
    return cluster_iqm_difference(x, y, clusters, generator, settings.bootstrap, settings.confidence)


def verdict_of(
    pair: Contrast, adjusted: Corrected, *, delta: float, q: float, obstacle: str | None = None
) -> tuple[Verdict, str]:
    """Verdict of a contrast, and its reason in words.

    Args:
        pair: the arm against what it is compared with.
        adjusted: its p-values as the family leaves them.
        delta: half-width of the region of practical equivalence, in the measure's unit, for the reason.
        q: false-discovery rate.
        obstacle: why no verdict may be given, if anything.
    """
    evidence = Evidence(pair.raw, pair.relevance, adjusted.p, adjusted.equivalence_p, pair.runs)
    return decide(evidence, delta=delta, q=q, obstacle=obstacle)


def _limit_of(spreadless: str) -> str:
    """The place that is worth a word in a table: the ceiling before the floor."""
    places = ("at the ceiling", "at the floor", "without spread")
    return next(place for place in places if place in spreadless)


def _fresh_seeds(pair: Contrast, delta: float, settings: Analysis, cells: int) -> SeedRange | None:
    return fresh_seeds(pair.x, pair.y, delta=delta, q=settings.q, cells=cells, confidence=settings.confidence)

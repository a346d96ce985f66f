"""The shape of a ranking of sources: scores of pairs, and how well each of them ranks."""

from __future__ import annotations

from dataclasses import dataclass

from rl_transfer.analysis.arm_statistics import FloatArray
from rl_transfer.analysis.comparison import Judged
from rl_transfer.analysis.ranking import Ranking


@dataclass(frozen=True, eq=False)
class PairScore:
    """One score of every (source, target)."""

    name: str
    values: FloatArray
    """[source, target], means over source policies; NaN where a pair has none."""
    higher_is_better: bool
    steps: float
    """Environment steps on the target that it cost, per source policy; NaN where nobody recorded it."""

    @property
    def oriented(self) -> FloatArray:
        """The values with the sign at which more is better."""
        return self.values if self.higher_is_better else -self.values


@dataclass(frozen=True, eq=False)
class ScoreRanking:
    """How one score, or one control, ranks the sources."""

    name: str
    ranking: Ranking
    adjusted_p: float
    """Benjamini–Hochberg over the scores of the same gains; NaN for controls."""
    chosen: tuple[tuple[str, ...], ...]
    """Per target the sources of the highest score, several where they tie; none without a score."""
    score: PairScore


@dataclass(frozen=True)
class OtherSeeds:
    """Ranking by what the sources gained on all other seeds, judged on the one left out; means over seeds."""

    tau: float
    regret_share: float
    seeds: int


@dataclass(frozen=True, eq=False)
class SourceRanking:
    """The sources of one strategy on one judged metric, and how scores and controls rank them."""

    strategy: str
    metric: Judged
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    gains: FloatArray
    """[source, target], realised, in the measure's unit; NaN where a cell lacks runs."""
    scores: tuple[ScoreRanking, ...]
    """By falling τ."""
    controls: tuple[ScoreRanking, ...]
    other_seeds: OtherSeeds | None
    """None with a single seed."""

"""The shape of a finished analysis: matrix, cells and targets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from rl_transfer.analysis.aggregate import Aggregate
from rl_transfer.analysis.arms import Band, SourceInfo
from rl_transfer.analysis.cells import Metric
from rl_transfer.analysis.comparison import Comparison, Judged
from rl_transfer.analysis.flags import Flag
from rl_transfer.analysis.gaps import LayerGaps
from rl_transfer.analysis.inside import PartInside
from rl_transfer.analysis.parting import DifferenceBand
from rl_transfer.analysis.ranked_sources import SourceRanking
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.selection import Best, Rank
from rl_transfer.analysis.settings import Dose, StrategyInfo
from rl_transfer.analysis.source_policies import Fed
from rl_transfer.analysis.threshold import Threshold
from rl_transfer.analysis.tuning import TuningResult
from rl_transfer.results import Labels
from rl_transfer.spec import Analysis, JsonObject

Kind = Literal["transfer", "control", "baseline"]
CellKey = tuple[str | None, str, str]
"""(source, target, strategy)."""


@dataclass(frozen=True)
class TargetInfo:
    """A target task: the constants of its scores, and its from-scratch arm."""

    name: str
    scale: ScoreScale
    threshold: Threshold
    """θ of the time to threshold."""
    budget: float
    """Last evaluation step; NaN before any run is finished."""
    plateaued: bool
    """Whether the from-scratch arm's last third is shown to be flat, within ±δ of the span."""
    evaluations: int
    """Evaluations of its longest curve, t_0 counted; 0 before any run is finished."""
    dose: Dose | None = None
    """Axis and severity; None for a target that is of no axis."""
    engine: JsonObject | None = None
    """``name`` and ``reason`` of what trained every run there; None for kinds that have one engine."""


@dataclass(frozen=True)
class Cell:
    """One (source, target, strategy) over the seeds."""

    source: str | None
    target: str
    strategy: str
    kind: Kind
    seeds: tuple[int, ...]
    finished: tuple[int, ...]
    budget: float
    metrics: Mapping[str, Metric]
    comparisons: Mapping[Judged, Comparison]
    """By metric; empty for the baseline itself."""
    flags: tuple[Flag, ...]
    band: Band | None
    """Mean learning curve with interval; None without a finished run."""
    parting: DifferenceBand | None
    """Difference to the from-scratch arm's mean curve with its band; None for the baseline and few runs."""
    scale: ScoreScale
    """The constants of its scores: the target's, in a seed plan at the last look that the cell came to."""
    inside: Mapping[str, PartInside] = field(default_factory=dict)
    """Part → what its units and weights are like; empty where no record says."""
    gaps: Mapping[str, LayerGaps] = field(default_factory=dict)
    """Layer → how far source and target lie apart in it; empty where no record says."""
    knowledge: tuple[str, ...] = ()
    """What its controls say, in words."""

    @property
    def key(self) -> CellKey:
        """(source, target, strategy)."""
        return self.source, self.target, self.strategy

    @property
    def fed(self) -> Fed | None:
        """The source policies that fed its runs, as its first verdict has them; None where none did."""
        return next((entry.fed for entry in self.comparisons.values()), None)


@dataclass(frozen=True)
class SeedPlanState:
    """A seed plan, and what became of it."""

    looks: tuple[int, ...]
    """Seeds per arm at each look."""
    taken: int
    """Looks that were taken."""
    spent: float
    """Share of the level that they may have spent."""
    going_on: int
    """Transfer cells that go on to the next look."""
    runs: int
    """Runs on targets in the looks taken."""
    most: int
    """As many if no cell had been decided before the last look."""


@dataclass(frozen=True)
class Matrix:
    """Everything that tables, figures and the report show."""

    name: str
    summary: str
    labels: Labels
    """What its numbers are called."""
    baseline: str
    settings: Analysis
    strategies: Mapping[str, StrategyInfo]
    sources: Mapping[str, SourceInfo]
    targets: Mapping[str, TargetInfo]
    cells: tuple[Cell, ...]
    """Baseline first, then transfer strategies, controls last; within that by target, then source."""
    aggregates: tuple[Aggregate, ...]
    best: tuple[Best, ...]
    """The best transfer cell of each target, then of all, on each judged metric."""
    ranks: Mapping[tuple[CellKey, Judged], Rank]
    """Places of transfer and from-scratch arms among those of their target."""
    family: int
    """Cells in each family of tests."""
    smallest_seeds: int | None
    """Least seeds per arm at which a lone effect could reach a verdict."""
    warnings: tuple[str, ...]
    versions: Mapping[str, tuple[str, ...]]
    counts: Mapping[str, int]
    """Runs: planned, finished, failed (damaged ones included), unfinished."""
    plan: SeedPlanState | None = None
    """How far the sweep is with its seed plan; None without one."""
    tuning: TuningResult | None = None
    """What every arm chose before it was judged; None where nothing was tuned."""
    rankings: tuple[SourceRanking, ...] = ()
    """How each score would have ranked the sources; empty for a sweep of one source."""

    @property
    def unit(self) -> str:
        """What a step is, in the plural: ``environment steps``, ``epochs``."""
        return self.labels.unit

    @property
    def measure(self) -> str:
        """What J is: ``mean episodic return``, ``accuracy``."""
        return self.labels.measure

    @cached_property
    def numbers(self) -> Mapping[CellKey, int]:
        """Key → place among the cells, from 0."""
        return {cell.key: place for place, cell in enumerate(self.cells)}

    @property
    def severity_axes(self) -> dict[str, tuple[TargetInfo, ...]]:
        """Axis → its targets, by rising severity; axes of one target are none."""
        found: dict[str, list[tuple[float, TargetInfo]]] = {}
        for info in self.targets.values():
            if info.dose is not None:
                found.setdefault(info.dose.axis, []).append((info.dose.severity, info))
        return {
            axis: tuple(info for _, info in sorted(doses, key=lambda dose: dose[0]))
            for axis, doses in found.items()
            if len(doses) > 1
        }

    def select(self, **fields: object) -> tuple[Cell, ...]:
        """The cells whose named fields have these values.

        Args:
            fields: names of :class:`Cell` and the value that each must have.

        Returns:
            The cells that match, in the order of the matrix.
        """
        cells = self._by_target.get(fields["target"], []) if "target" in fields else self.cells
        return tuple(
            cell for cell in cells if all(getattr(cell, name) == value for name, value in fields.items())
        )

    @cached_property
    def _by_target(self) -> dict[object, list[Cell]]:
        found: dict[object, list[Cell]] = {}
        for cell in self.cells:
            found.setdefault(cell.target, []).append(cell)
        return found

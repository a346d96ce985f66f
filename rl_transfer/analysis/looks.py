"""The looks of a sweep, taken one after the other: a pure function of the records and the declared plan.

A look is taken when all its runs have ended. What it decides stays decided, with the seeds and from-scratch
runs that it was decided by; cells that are left go on, unless a run of theirs failed. Whatever lies beyond
the plan is shown beside the verdict and changes nothing.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from rl_transfer.analysis import overview
from rl_transfer.analysis.comparison import Comparison, Judged
from rl_transfer.analysis.inputs import Run, Sweep, load_sweep
from rl_transfer.analysis.look_design import LookDesign
from rl_transfer.analysis.matrix import Steps
from rl_transfer.analysis.model import Cell, CellKey, Matrix, SeedPlanState
from rl_transfer.analysis.sequential import Exploratory, smallest_repeated_p, weights
from rl_transfer.analysis.source_ranking import source_rankings
from rl_transfer.analysis.tuning import tuning_result
from rl_transfer.results.looks import Stages, read_looks
from rl_transfer.spec import JsonObject


def analyse(sweep: Sweep) -> Matrix:
    """The transfer matrix of a sweep, finished or not; the same numbers for the same records.

    Args:
        sweep: the manifest and its runs, as :func:`rl_transfer.analysis.read_sweep` gives them.

    Returns:
        What every look that was taken says, and how far the seed plan is.
    """
    found = _judged(sweep)
    return replace(found, tuning=tuning_result(sweep), rankings=source_rankings(sweep, found))


def _judged(sweep: Sweep) -> Matrix:
    stages = read_looks(sweep.manifest)
    planned = {seed for stage in stages for seed in stage}
    there = {run.seed for run in sweep.runs if run.role == "target"}
    if len(stages) == 1 and (planned >= there or planned.isdisjoint(there)):
        return Steps(sweep).matrix()
    return _Looks(sweep, stages).matrix()


def undecided(folder: Path, manifest: JsonObject) -> frozenset[CellKey]:
    """Which arms a sweep with a seed plan goes on with.

    Args:
        folder: the sweep's.
        manifest: of a look whose runs have ended, with all runs up to it.

    Returns:
        The cells that are undecided and lack no run, with the from-scratch arms and controls that they are
        compared with.

    Raises:
        StoreError: a newer version wrote a record.
    """
    return _Looks(load_sweep(folder, manifest), read_looks(manifest)).going_on


class _Looks:
    """The looks at a sweep, as far as its runs have come."""

    def __init__(self, sweep: Sweep, stages: Stages) -> None:
        self._sweep, self._stages = sweep, stages
        self._seeds = tuple(itertools.accumulate(map(len, stages)))
        self._rows: dict[CellKey, dict[int, Run]] = {}
        longer = {name for name, info in sweep.strategies.items() if info.longer}
        self._longer = [run for run in sweep.runs if run.strategy in longer]
        for run in sweep.runs:
            if run.strategy in longer:
                continue
            if run.role == "target" and run.target is not None and run.strategy is not None:
                self._rows.setdefault((run.source, run.target, run.strategy), {})[run.seed] = run
        self._arms: dict[CellKey, int] = {}
        self._cells: dict[CellKey, Cell] = {}
        self._steps: Steps | None = None
        self._taken = 0
        self.going_on: frozenset[CellKey] = frozenset(self._rows)
        while self._taken < len(stages) and self.going_on and self._have_ended(self._taken):
            self._take()

    def _have_ended(self, stage: int) -> bool:
        """Whether every run of a stage is there, and has ended one way or the other."""
        rows = [self._rows[key].get(seed) for key in self.going_on for seed in self._stages[stage]]
        random = self._sweep.select("random")
        return all(run is not None and run.problem != "unfinished" for run in (*rows, *random))

    def _take(self) -> None:
        """Take the next look."""
        earlier = {key: cell.comparisons for key, cell in self._cells.items()}
        self._arms |= dict.fromkeys(self.going_on, self._taken + 1)
        self._steps = steps = self._seen(self._taken + 1, earlier, taken=True)
        self._taken += 1
        self._cells |= {key: steps.cell(key) for key in self.going_on}
        self.going_on = frozenset(self._next(steps)) if self._taken < len(self._stages) else frozenset()

    def _seen(
        self, number: int, earlier: Mapping[CellKey, Mapping[Judged, Comparison]], *, taken: bool
    ) -> Steps:
        stages = self._stages[:number]
        everywhere = {*itertools.chain(*stages)}
        runs = [
            run
            for run in self._sweep.runs
            if run.role == "random" or (run.role == "source" and run.seed in everywhere)
        ]
        runs += self._longer
        for key, came in self._arms.items():
            seeds = {*itertools.chain(*stages[:came])}
            runs += [run for seed, run in self._rows[key].items() if seed in seeds]
        part = LookDesign(self._seeds, stages, dict(self._arms), earlier, taken)
        return Steps(replace(self._sweep, runs=tuple(runs)), part)

    def _next(self, steps: Steps) -> Iterable[CellKey]:
        """Undecided cells that lack no run, and what they are compared with."""
        open_ = [
            key
            for key in steps.family
            if key in self.going_on and any(entry.is_open for entry in self._cells[key].comparisons.values())
        ]
        yield from open_
        for key in open_:
            yield from steps.companions(key)

    def matrix(self) -> Matrix:
        """Put everything together: the last look, and what earlier ones decided."""
        if self._steps is None:
            self._arms = dict.fromkeys(self._rows, 1)
            steps = self._seen(1, {}, taken=len(self._stages) == 1)
            self._cells = {key: steps.cell(key) for key in steps.arms}
        else:
            steps = self._steps
        found = steps.matrix()
        cells = tuple(self._with_more(self._cells[cell.key]) for cell in found.cells)
        comparisons = {cell.key: cell.comparisons for cell in cells}
        family = [comparisons[key] for key in steps.family]
        least = found.smallest_seeds
        if len(self._stages) > 1:
            lone = smallest_repeated_p(self._seeds) * max(found.family, 1) < found.settings.q
            least = next((seeds for seeds, enough in zip(self._seeds, lone, strict=True) if enough), least)
        return replace(
            found,
            smallest_seeds=least,
            settings=self._sweep.settings,
            cells=cells,
            plan=self._state(cells) if len(self._stages) > 1 else None,
            warnings=overview.warnings(self._sweep, family, least),
            versions=overview.versions(self._sweep.runs),
            counts=overview.counts(self._sweep.runs),
        )

    def _state(self, cells: Iterable[Cell]) -> SeedPlanState:
        going = sum(cell.kind == "transfer" and cell.key in self.going_on for cell in cells)
        runs = {
            self._rows[key][seed].id
            for key, came in self._arms.items()
            for seed in itertools.chain(*self._stages[:came])
            if seed in self._rows[key]
        }
        return SeedPlanState(
            looks=self._seeds,
            taken=self._taken,
            spent=sum(weights(self._seeds)[: self._taken]),
            going_on=going if self._taken else 0,
            runs=len(runs) if self._taken else 0,
            most=len(self._rows) * self._seeds[-1],
        )

    def _with_more(self, cell: Cell) -> Cell:
        """The cell with what seeds beyond its verdict's show, once it takes part in no further look."""
        if not self._taken or cell.key in self.going_on or self._steps is None:
            return cell
        more = {
            metric: replace(entry, exploratory=self._beyond(cell, metric, entry))
            for metric, entry in cell.comparisons.items()
        }
        return replace(cell, comparisons=more)

    def _beyond(self, cell: Cell, metric: Judged, entry: Comparison) -> Exploratory | None:
        """The gain over all runs that are there, if these are more than those of the verdict."""
        if entry.look is None or entry.obstacle is not None:
            return None
        if sum(run.finished for run in self._rows[cell.key].values()) <= entry.look.seeds:
            return None
        pair, seeds = self._all.contrast(metric, cell.key), self._all.seeds(cell.key)
        return Exploratory(seeds, pair.gain, pair.p) if seeds > entry.look.seeds else None

    @cached_property
    def _all(self) -> Steps:
        """Every run, whether a look counts it or not."""
        return Steps(self._sweep)

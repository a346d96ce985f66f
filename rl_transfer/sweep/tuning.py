"""Tuning as runs: every arm at every point of the grid, then the judged seeds at each arm's own choice.

Which point an arm chooses is no business of this room: a function of the tuning runs' records says it, once,
and the choice is pinned in ``sweep.json`` before a judged run begins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Protocol

from rl_transfer.errors import ConfigError, RLTransferError, StoreError
from rl_transfer.results import RunStore, read_manifest
from rl_transfer.results.tuning import TUNING, ArmPlace, TuningRecord, read_tuning
from rl_transfer.spec import JsonObject, MatrixConfig
from rl_transfer.spec.base import canonical_json
from rl_transfer.spec.tune import FIRST_SEED, Tune, point_words, without_tuned
from rl_transfer.sweep.graph import Graph, Row, build_graph, listed
from rl_transfer.sweep.looks import SeedLook

WAY_OUT = (
    "Choose another folder with --output, or let this suite take the place of that one with --replace-matrix"
)
Choose = Callable[[Path, JsonObject], Mapping[ArmPlace, int]]
"""Gets the sweep's folder and a manifest whose tuning runs have ended; says which point each arm chooses."""


def nothing_is_chosen(_folder: Path, _manifest: JsonObject) -> Mapping[ArmPlace, int]:
    """Leaves every arm at the first point of the grid."""
    return {}


@dataclass(frozen=True)
class SuiteTuning:
    """A suite that is tuned.

    Attributes:
        tune: what it says of that.
        points: the suite at each point of the grid, resolved.
        choices: the points that are pinned already.
        untuned: arms of these that had no complete point when they chose.
        late: whether judged runs were finished in the folder before the arms chose.
    """

    tune: Tune
    points: tuple[MatrixConfig, ...]
    choices: Mapping[ArmPlace, int]
    untuned: frozenset[ArmPlace] = frozenset()
    late: bool = False

    @cached_property
    def runs(self) -> Graph:
        """The tuning runs, with sources of their own: tuning seed s starts from source seed s."""
        rows: dict[Row, None] = {}
        graphs = [
            build_graph(
                each.for_tuning().model_copy(update={"seeds": self.tune.seed_indices, "scores": None})
            )
            for each in self.points
        ]
        for point, graph in enumerate(graphs):
            for row in graph.rows:
                if row.role != "random":
                    rows[replace(row, role=TUNING, point=point if row.target else None)] = None
        specs = {name: spec for graph in graphs for name, spec in graph.specs.items()}
        kept = {row.id for row in rows}
        return Graph(
            tuple(rows), {name: each for name, each in specs.items() if name in kept}, graphs[0].modules
        )

    @cached_property
    def arms(self) -> tuple[ArmPlace, ...]:
        """Every arm, in the order of the matrix."""
        return tuple(dict.fromkeys(_arm(row) for row in self.runs.rows if row.target is not None))

    @property
    def open(self) -> bool:
        """Whether an arm has not chosen."""
        return any(arm not in self.choices for arm in self.arms)

    @cached_property
    def graph(self) -> Graph:
        """Tuning runs, then judged ones; an arm that has not chosen stands at the first point."""
        chosen = {arm: self.choices.get(arm, 0) for arm in self.arms}
        used = sorted({*chosen.values()})
        graphs = [build_graph(self.points[point]) for point in used]
        rows = [*self.runs.rows]
        specs = {**self.runs.specs}
        for alike in zip(*(graph.rows for graph in graphs), strict=True):
            which = used.index(chosen[_arm(alike[0])]) if alike[0].role == "target" else 0
            rows.append(alike[which])
            specs.setdefault(alike[which].id, graphs[which].specs[alike[which].id])
        return Graph(tuple(rows), specs, graphs[0].modules)

    def check(self, preflight: Callable[[MatrixConfig], object]) -> None:
        """Refuse points that would fail later, before anything is trained.

        Args:
            preflight: the room's.

        Raises:
            RLTransferError: with the point, and the key of the config that is at fault.
        """
        for values, suite in zip(self.tune.points, self.points, strict=True):
            try:
                preflight(suite)
            except RLTransferError as error:
                error.message = f"at {point_words(values)}: {error.message}"
                raise

    def choose(self, choices: Mapping[ArmPlace, int]) -> SuiteTuning:
        """The same with every arm's choice.

        Args:
            choices: of arms that have not chosen; those that it leaves out take the first point.

        Returns:
            With what was pinned before as it was.
        """
        first = [arm for arm in self.arms if arm not in choices and arm not in self.choices]
        return replace(
            self,
            choices={**dict.fromkeys(self.arms, 0), **choices, **self.choices},
            untuned=self.untuned.union(first),
        )

    def looked_for_judged(self, suite: MatrixConfig, store: RunStore) -> SuiteTuning:
        """The same, with a mark if judged runs are finished in a folder in which no choice is pinned.

        Args:
            suite: as it stands, resolved.
            store: the sweep's folder; it may not exist.

        Returns:
            ``late`` where the suite as it stands, or at any point, has a finished judged run there; also
            where there is one that differs from these in nothing but what a grid may change.
        """
        there = {*store.identifiers()}
        if self.late or self.choices or not there:
            return self
        graphs = [build_graph(each) for each in (suite, *self.points)]
        judged = {row.id for graph in graphs for row in graph.rows if row.role == "target"}
        if any(store.folder(each).finished for each in judged & there):
            return replace(self, late=True)

        def fixed(run: JsonObject) -> str:
            return canonical_json(without_tuned(run, suite.tuned_sections))

        alike = {fixed(graph.specs[each].plain()) for graph in graphs for each in judged & graph.specs.keys()}
        others = there.difference(self.runs.specs, *(graph.specs for graph in graphs))
        records = (store.folder(each).read().record or {} for each in others)
        return replace(self, late=any(fixed(each.get("spec") or {}) in alike for each in records))

    def pinned(self, manifest: JsonObject) -> JsonObject:
        """A manifest with these choices, and the runs that follow from them.

        Args:
            manifest: the rest of ``sweep.json``.
        """
        tune = self.tune
        record = TuningRecord(tune.by, tune.points, tune.seed_indices, self.choices, self.untuned, self.late)
        return {**manifest, TUNING: record.plain(), "runs": listed(self.graph.rows)}

    def stage(self, manifest: JsonObject) -> SeedLook:
        """The part of a sweep before the first look: the tuning runs.

        Args:
            manifest: what plans everything.

        Returns:
            Its runs; ``sweep.json`` keeps beside them those of the arms that have chosen before.
        """
        kept = [
            row
            for row in self.graph.rows
            if row.role == TUNING or (self.choices and (row.role != "target" or _arm(row) in self.choices))
        ]
        planned = {**self.pinned(manifest), "runs": listed(kept)}
        return SeedLook(0, 0, self.tune.seeds, self.runs, planned)


def _arm(row: Row) -> ArmPlace:
    return row.source, str(row.target), str(row.strategy)


class Resolve(Protocol):
    """What a room does to a suite before it is planned."""

    def __call__(self, suite: MatrixConfig, /) -> MatrixConfig:
        """Fill in what the suite leaves open."""


def tuned(
    suite: MatrixConfig, resolved: MatrixConfig, resolve: Resolve, before: TuningRecord | None
) -> SuiteTuning | None:
    """The tuning that a suite asks for.

    Args:
        suite: as it was loaded.
        resolved: as its room gave it.
        resolve: the room's.
        before: what the folder has of its tuning.

    Returns:
        None where nothing is tuned.

    Raises:
        RLTransferError: a point is impossible, or would train on another engine.
    """
    if suite.tune is None:
        return None
    points = tuple(resolve(each) for each in suite.grid_suites())
    for point, each in zip(suite.tune.points, points, strict=True):
        for group in ("sources", "targets"):
            for name, entry in each.plain()[group].items():
                mine, other = _engine(entry), _engine(resolved.plain()[group][name])
                if mine != other:
                    raise ConfigError(
                        f"at {point_words(point)} {group[:-1]} {name!r} would train on {mine or 'sb3'}, and "
                        f"as the suite stands on {other or 'sb3'}; all arms need one engine: say "
                        "training.engine=sb3, or leave the point out",
                        key="tune.grid",
                    )
    if before is None:
        return SuiteTuning(suite.tune, points, {})
    return SuiteTuning(suite.tune, points, before.choices, before.untuned, before.late)


def _engine(entry: JsonObject) -> object:
    engine = entry.get("engine")
    return engine.get("name") if isinstance(engine, dict) else None


def pinned_choices(store: RunStore, tune: Tune | None) -> TuningRecord | None:
    """What arms chose in a folder, if it may go on with a suite.

    Args:
        store: the sweep's folder; it may not exist.
        tune: what the suite says of tuning.

    Returns:
        What ``sweep.json`` holds of its tuning; None where it has none.

    Raises:
        StoreError: the folder's arms chose from another grid, were judged without one, or were tuned although
            neither the suite nor ``sweep.json`` says so.
    """
    try:
        found = read_manifest(store.root)
    except StoreError:  # missing or damaged: it is written anew
        if tune is None:
            _refuse_tuned_runs(store)
        return None
    before = read_tuning(found)
    if before is None:
        judged = (row for row in found["runs"] if row["role"] == "target")
        if tune is None or not any(store.folder(row["id"]).finished for row in judged):
            return None
        raise StoreError(
            f"{store.root} was judged without tuning, and this suite tunes: a grid that is declared after "
            f"results were seen proves nothing. {WAY_OUT}"
        )
    if not before.choices:
        return before
    here = None if tune is None else TuningRecord(tune.by, tune.points, tune.seed_indices, {})
    if here is None or here.declared != before.declared:
        raise StoreError(
            f"{store.root}: its arms chose from {len(before.points)} points ({', '.join(before.points[0])}) "
            f"by {before.by} of {len(before.seeds)} seeds, and this suite "
            f"{'tunes otherwise' if tune else 'does not tune'}: a choice that is made again after judged "
            f"runs were seen proves nothing. {WAY_OUT}"
        )
    return before


def _refuse_tuned_runs(store: RunStore) -> None:
    """Refuse a folder without ``sweep.json`` whose runs say that arms were tuned in it and then judged."""
    records = (store.folder(each).read().record or {} for each in store.identifiers())
    specs = [each.get("spec") or {} for each in records if each.get("total_steps")]
    seeds = [each.get("seed") for each in specs if each.get("policy") != "random"]
    tuning = sum(isinstance(seed, int) and seed >= FIRST_SEED for seed in seeds)
    if tuning and tuning < len(seeds):
        raise StoreError(
            f"{store.root} has {tuning:,} finished tuning runs beside {len(seeds) - tuning:,} others, no "
            "readable sweep.json, and this suite does not tune: judged runs may have been seen at what "
            f"arms chose. {WAY_OUT}"
        )

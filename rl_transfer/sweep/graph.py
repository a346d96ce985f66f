"""From a suite config to a graph of runs: what must run, and what needs what."""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property, partial

from rl_transfer.frame import Facts
from rl_transfer.results import ID_SCHEMA, TOLERANCES, Labels, declared_tolerances, run_id
from rl_transfer.results.scores import SCORES
from rl_transfer.results.tuning import TUNING
from rl_transfer.spec import MatrixConfig
from rl_transfer.spec.base import Json, canonical_json, digest
from rl_transfer.spec.experiment import RunConfig
from rl_transfer.spec.modules import import_named, named_modules


@dataclass(frozen=True, slots=True)
class Row:
    """One place of the matrix, and the run that fills it; several rows may share a run."""

    id: str
    role: str
    source: str | None
    target: str | None
    strategy: str | None
    seed: int
    needs: tuple[str, ...]
    point: int | None = None
    """Of the tuning grid; None for what is judged, and for sources."""


@dataclass(frozen=True)
class Graph:
    """Rows of the matrix, and each run once: ``specs[id]``, in an order that trains sources first.

    Attributes:
        rows: places of the matrix.
        specs: the runs that fill them.
        modules: the user's own modules that the suite names and that can be imported.
    """

    rows: tuple[Row, ...]
    specs: dict[str, RunConfig]
    modules: tuple[str, ...] = ()

    @cached_property
    def rows_of(self) -> dict[str, list[Row]]:
        """The rows that each run fills, in the order of :attr:`rows`."""
        found: dict[str, list[Row]] = defaultdict(list)
        for row in self.rows:
            found[row.id].append(row)
        return found

    @cached_property
    def dependants(self) -> dict[str, list[str]]:
        """The runs that wait for each run that others wait for."""
        found: dict[str, list[str]] = defaultdict(list)
        for identifier in self.specs:
            for need in self.needs(identifier):
                found[need].append(identifier)
        return found

    @cached_property
    def several_sources(self) -> bool:
        """Whether names of strategies must say which source feeds them."""
        return len({row.source for row in self.rows if row.source}) > 1

    def part(self, rows: tuple[Row, ...]) -> Graph:
        """The graph of some of its rows.

        Args:
            rows: of this graph, with those of the sources that they need.

        Returns:
            With the same modules.
        """
        kept = {row.id for row in rows}
        return Graph(rows, {each: spec for each, spec in self.specs.items() if each in kept}, self.modules)

    def needs(self, identifier: str) -> tuple[str, ...]:
        """The runs that must be finished before one starts.

        Args:
            identifier: of the run that waits.

        Returns:
            Run ids; empty where it needs no source.
        """
        return self.rows_of[identifier][0].needs

    def alone(self, identifier: str) -> bool:
        """Whether a run executes the user's own modules, which may leave anything behind in their process.

        Args:
            identifier: of the run.

        Returns:
            Whether it, or the source whose policy it loads, names one of :attr:`modules`.
        """
        if not self.modules:
            return False
        specs = [self.specs[each] for each in (identifier, *self.needs(identifier))]
        return any(named_modules(spec.plain()) & {*self.modules} for spec in specs)

    def label(self, identifier: str) -> str:
        """What people call a run.

        Args:
            identifier: of the run; where it fills several rows, the first one names it.

        Returns:
            ``target/strategy/seed-0`` and the like.
        """
        row = self.rows_of[identifier][0]
        if row.role == "random":
            return f"{row.target}/random"
        tuning = f"{TUNING} " if row.role == TUNING else ""
        if row.role == SCORES:
            return f"{SCORES} {row.source}→{row.target}/seed-{row.seed}"
        if row.target is None:
            return f"{tuning}source {row.source}/seed-{row.seed}"
        origin = f"{row.source}→" if row.source else ""
        point = f"point-{row.point}/" if tuning else ""
        return f"{tuning}{origin}{row.target}/{row.strategy}/{point}seed-{row.seed}"


class _Cell:
    """The runs of one place of the matrix; they differ in their seed and in the run that feeds them.

    A config is validated and written out once for all of them: what is hashed for an id is one text with
    two gaps.
    """

    def __init__(self, run: RunConfig) -> None:
        self._run = run
        marked = run.model_copy(update={"seed": _GAP, "source": str(_GAP)})
        text = canonical_json({"schema": ID_SCHEMA, "spec": marked.identity()})
        before, self._between, self._after = re.split(f'"?{_GAP}"?', text)
        self._begun = hashlib.sha256(before.encode())

    def at(self, seed: int, source: str | None) -> tuple[str, RunConfig]:
        """The id that ``run_id`` gives, and the run."""
        hashed = self._begun.copy()
        hashed.update(f"{seed}{self._between}{json.dumps(source)}{self._after}".encode())
        return hashed.hexdigest()[:_ID], self._run.model_copy(update={"seed": seed, "source": source})


_GAP = 909_090_909_090_909_090
_ID = len(digest(None))


def build_graph(suite: MatrixConfig) -> Graph:
    """Every run of a suite, each once.

    Sources come first: everything else waits for them. A strategy that needs no source is one
    run for all sources, unless they have different networks: then it is one for each. A
    from-scratch target that equals a source is that source's run.

    Args:
        suite: as ``resolve`` gave it: every source has its task.

    Returns:
        The rows of the matrix, and each run once.
    """
    rows: list[Row] = []
    specs: dict[str, RunConfig] = {}

    def add(run: tuple[str, RunConfig], role: str, seed: int, needs: str | None = None, **names: str) -> str:
        identifier, spec = run
        specs.setdefault(identifier, spec)
        source, target, strategy = (names.get(each) for each in ("source", "target", "strategy"))
        rows.append(Row(identifier, role, source, target, strategy, seed, (needs,) if needs else ()))
        return identifier

    sources: dict[tuple[str, int], str] = {}
    first = suite.all_seeds[0]
    made = {name: suite.source_run(name, first) for name in suite.sources}
    trained = {name: _Cell(run) for name, run in made.items() if not suite.sources[name].exists}
    given = {name: (run_id(run), run) for name, run in made.items() if name not in trained}
    for place, seed in enumerate(suite.all_seeds):
        for name in suite.sources:
            own = trained.get(name)
            run = own.at(suite.source_seed(name, place), None) if own is not None else given[name]
            sources[name, seed] = add(run, "source", seed, source=name)
    for target in suite.targets:
        chance = suite.random_run(target)
        add((run_id(chance), chance), "random", 0, target=target)
    if suite.scores is not None:
        for target, name in itertools.product(suite.targets, suite.sources):
            cell = _Cell(suite.scored_run(target, name, suite.scores, sources[name, first], first))
            for place, seed in enumerate(suite.all_seeds):
                of_source = 0 if name in given else suite.source_seed(name, place)
                fed = sources[name, seed]
                add(cell.at(of_source, fed), SCORES, seed, fed, source=name, target=target)
    places = []
    for target in suite.targets:
        for strategy in suite.strategies:
            runs = {
                name: suite.target_run(target, strategy, name, sources[name, first], first)
                for name in suite.sources
            }
            shared = not strategy.needs_source and len({*map(run_id, runs.values())}) == 1
            cells = {name: _Cell(run) for name, run in runs.items()}
            places.append((target, strategy, next(iter(cells.values())) if shared else None, cells))
    for seed in suite.all_seeds:
        for target, strategy, shared_cell, cells in places:
            here = partial(add, role="target", seed=seed, target=target, strategy=strategy.name)
            if shared_cell is not None:
                here(shared_cell.at(seed, None))
                continue
            for name, cell in cells.items():
                needs = sources[name, seed] if strategy.needs_source else None
                here(cell.at(seed, needs), needs=needs, source=name)
    return Graph(tuple(rows), specs, tuple(sorted(import_named(suite) & sys.modules.keys())))


def manifest(suite: MatrixConfig, graph: Graph, labels: Labels, facts: Facts) -> dict[str, Json]:
    """The content of ``sweep.json``, but for its schema and digest.

    Args:
        suite: the resolved suite.
        graph: its runs.
        labels: what the numbers of its kind are called.
        facts: what the preflight found out, merged into ``config.sources`` and ``config.targets``
            (reward thresholds that the environments declare, for example).
    """
    config = suite.plain()
    for group in ("sources", "targets"):
        for name, found in facts.get(group, {}).items():
            for key, value in found.items():
                if config[group][name].get(key) is None:
                    config[group][name][key] = value
    return {
        "name": suite.name,
        "kind": suite.kind,
        "unit": labels.unit,
        "measure": labels.measure,
        "labels": {**labels.of_manifest()},
        "config": config,
        TOLERANCES: declared_tolerances(config),
        "runs": listed(graph.rows),
    }


def listed(rows: Iterable[Row]) -> list[Json]:
    """Rows as ``sweep.json`` lists them.

    Args:
        rows: in the order of the matrix.
    """
    return [
        {
            "id": row.id,
            "role": row.role,
            "source": row.source,
            "target": row.target,
            "strategy": row.strategy,
            "seed": row.seed,
            "needs": list(row.needs),
            **({} if row.point is None else {"point": row.point}),
        }
        for row in rows
    ]

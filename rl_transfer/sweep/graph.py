"""From a suite config to a graph of runs: what must run, and what needs what."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property, partial

from rl_transfer.frame import Facts
from rl_transfer.results import SCHEMA, Labels, run_id
from rl_transfer.spec import MatrixConfig
from rl_transfer.spec.base import Json
from rl_transfer.spec.experiment import RunConfig
from rl_transfer.spec.modules import import_named


@dataclass(frozen=True)
class Row:
    """One place of the matrix, and the run that fills it; several rows may share a run."""

    id: str
    role: str
    source: str | None
    target: str | None
    strategy: str | None
    seed: int
    needs: tuple[str, ...]


@dataclass(frozen=True)
class Graph:
    """Rows of the matrix, and each run once: ``specs[id]``, in an order that trains sources first."""

    rows: tuple[Row, ...]
    specs: dict[str, RunConfig]

    def needs(self, identifier: str) -> tuple[str, ...]:
        """The runs that must be finished before one starts.

        Args:
            identifier: of the run that waits.

        Returns:
            Run ids; empty where it needs no source.
        """
        return next(row.needs for row in self.rows if row.id == identifier)

    @cached_property
    def modules(self) -> tuple[str, ...]:
        """The user's own modules that any of the runs names and that can be imported."""
        names = {name for spec in self.specs.values() for name in import_named(spec)}
        return tuple(sorted(names & sys.modules.keys()))

    def label(self, identifier: str) -> str:
        """What people call a run.

        Args:
            identifier: of the run; where it fills several rows, the first one names it.

        Returns:
            ``target/strategy/seed-0`` and the like.
        """
        row = next(row for row in self.rows if row.id == identifier)
        if row.role == "random":
            return f"{row.target}/random"
        if row.role == "source":
            return f"source {row.source}/seed-{row.seed}"
        origin = f"{row.source}→" if row.source else ""
        return f"{origin}{row.target}/{row.strategy}/seed-{row.seed}"


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

    def add(
        spec: RunConfig,
        role: str,
        needs: tuple[str, ...] = (),
        *,
        source: str | None = None,
        target: str | None = None,
        strategy: str | None = None,
        seed: int = 0,
    ) -> str:
        identifier = run_id(spec)
        specs.setdefault(identifier, spec)
        rows.append(Row(identifier, role, source, target, strategy, seed, needs))
        return identifier

    sources = {
        (name, seed): add(suite.source_run(name, seed), "source", source=name, seed=seed)
        for seed in suite.seeds
        for name in suite.sources
    }
    for target in suite.targets:
        add(suite.random_run(target), "random", target=target)
    for seed in suite.seeds:
        for target in suite.targets:
            for strategy in suite.strategies:
                add_here = partial(add, role="target", target=target, strategy=strategy.name, seed=seed)
                runs = {
                    name: suite.target_run(target, strategy, name, sources[name, seed], seed)
                    for name in suite.sources
                }
                if not strategy.needs_source and len({*map(run_id, runs.values())}) == 1:
                    add_here(next(iter(runs.values())))
                    continue
                for name, spec in runs.items():
                    needs = (sources[name, seed],) if strategy.needs_source else ()
                    add_here(spec, needs=needs, source=name)
    return Graph(tuple(rows), specs)


def manifest(suite: MatrixConfig, graph: Graph, labels: Labels, facts: Facts) -> dict[str, Json]:
    """The content of ``sweep.json``.

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
        "schema": SCHEMA,
        "name": suite.name,
        "kind": suite.kind,
        "unit": labels.unit,
        "measure": labels.measure,
        "labels": {**labels.of_manifest()},
        "config": config,
        "runs": [
            {
                "id": row.id,
                "role": row.role,
                "source": row.source,
                "target": row.target,
                "strategy": row.strategy,
                "seed": row.seed,
                "needs": list(row.needs),
            }
            for row in graph.rows
        ],
    }

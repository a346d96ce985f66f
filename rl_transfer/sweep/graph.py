"""From a suite config to a graph of runs: what must run, and what needs what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from rl_transfer.results import SCHEMA, run_id
from rl_transfer.spec import Frozen, MatrixConfig, StrategyConfig


class Suite(Protocol):
    """What the graph needs of a suite config of any kind."""

    @property
    def labels(self) -> dict[str, Any]: ...  # noqa: D102
    def source_run(self, name: str, seed: int) -> Frozen: ...  # noqa: D102
    def target_run(self, name: str, strategy: StrategyConfig, source: str | None, seed: int) -> Frozen: ...  # noqa: D102
    def random_run(self, name: str) -> Frozen: ...  # noqa: D102


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
    specs: dict[str, Frozen]

    def needs(self, identifier: str) -> tuple[str, ...]:
        """The runs that must be finished before this one starts."""
        return next(row.needs for row in self.rows if row.id == identifier)

    def label(self, identifier: str) -> str:
        """What people call a run."""
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
    run for all sources; a from-scratch target that equals a source is that source's run.
    """
    maker: Any = suite
    rows: list[Row] = []
    specs: dict[str, Frozen] = {}

    def add(spec: Frozen, role: str, needs: tuple[str, ...] = (), **place: Any) -> str:
        identifier = run_id(spec)
        specs.setdefault(identifier, spec)
        row = {"source": None, "target": None, "strategy": None, "seed": 0, **place}
        rows.append(Row(id=identifier, role=role, needs=needs, **row))
        return identifier

    sources = {
        (name, seed): add(maker.source_run(name, seed), "source", source=name, seed=seed)
        for seed in suite.seeds
        for name in maker.sources
    }
    for target in maker.targets:
        add(maker.random_run(target), "random", target=target)
    for seed in suite.seeds:
        for target in maker.targets:
            for strategy in suite.strategies:
                place = {"target": target, "strategy": strategy.name, "seed": seed}
                if not strategy.needs_source:
                    add(maker.target_run(target, strategy, None, seed), "target", **place)
                    continue
                for name in maker.sources:
                    origin = sources[name, seed]
                    spec = maker.target_run(target, strategy, origin, seed)
                    add(spec, "target", (origin,), source=name, **place)
    return Graph(tuple(rows), specs)


def manifest(suite: MatrixConfig, graph: Graph, facts: dict[str, Any]) -> dict[str, Any]:
    """The content of ``sweep.json``.

    Args:
        suite: the resolved suite.
        graph: its runs.
        facts: what the preflight found out, merged into ``config.sources`` and ``config.targets``
            (reward thresholds that the environments declare, for example).
    """
    config = suite.plain()
    for group in ("sources", "targets"):
        for name, found in facts.get(group, {}).items():
            for key, value in found.items():
                if config[group][name].get(key) is None:
                    config[group][name][key] = value
    maker: Any = suite
    return {
        "schema": SCHEMA,
        "name": suite.name,
        "kind": maker.kind,
        **maker.labels,
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

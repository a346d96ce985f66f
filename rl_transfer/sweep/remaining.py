"""How long a sweep that somebody else executes will still take."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rl_transfer.results.standing import Standing
from rl_transfer.spec import JsonObject
from rl_transfer.sweep.estimate import TimeLeft
from rl_transfer.sweep.graph import Row

_TRAINED = ("source", "target", "tuning")
"""Roles whose runs have budgets; others last a moment."""


@dataclass(frozen=True)
class _Budget:
    total_steps: int


@dataclass(frozen=True)
class _Runs:
    """What is known of the runs of a sweep from its folder."""

    specs: Mapping[str, _Budget]
    rows_of: Mapping[str, tuple[Row]]


def seconds_left(standing: Standing, workers: int) -> float | None:
    """Seconds from the sweep's last sign of life until its last run ends.

    A run that has not begun is taken to have the budget of those in its place of the matrix, else of those
    with its strategy, else of its role: the folder does not say it.

    Args:
        standing: where the sweep stands.
        workers: how many run at a time; nobody but the sweep knows.

    Returns:
        None until a run with a budget is finished, and one of each role has begun.
    """
    known = _budgets(standing)
    if known is None:
        return None
    rows = {each: (_row(each, row),) for each, row in standing.rows.items()}
    left = TimeLeft(_Runs(known, rows), max(workers, 1))
    for each, (steps, seconds) in standing.finished.items():
        left.learn(steps, seconds)
        left.learn_like(each, seconds)
    for run in standing.running:
        left.begin(run.id, run.begun)
    for each in standing.waiting:
        left.wait(each)
    return left.seconds_left(standing.seen)


def _budgets(standing: Standing) -> dict[str, _Budget] | None:
    """Run id → its budget; None while nothing like one of the runs has begun."""
    seen = {each: steps for each, (steps, _) in standing.finished.items()}
    seen |= {run.id: run.steps for run in standing.running if run.steps}
    by_kind: dict[tuple[object, ...], int] = {}
    for each, steps in seen.items():
        for kind in _kinds(standing.rows[each]):
            by_kind.setdefault(kind, steps)
    found = {each: _Budget(steps) for each, steps in seen.items()}
    for each in (*(run.id for run in standing.running if not run.steps), *standing.waiting):
        row = standing.rows[each]
        alike = [by_kind[kind] for kind in _kinds(row) if kind in by_kind]
        if not alike and row["role"] in _TRAINED:
            return None
        found[each] = _Budget(alike[0] if alike else 0)
    return found


def _kinds(row: JsonObject) -> Iterator[tuple[object, ...]]:
    """What runs with the same budget have in common, the most alike first."""
    role, target, strategy = row["role"], row.get("target"), row.get("strategy")
    yield role, row.get("source"), target, strategy
    yield role, target is None, strategy
    yield role, target is None


def _row(identifier: str, row: JsonObject) -> Row:
    source, target, strategy = (row.get(key) for key in ("source", "target", "strategy"))
    return Row(identifier, row["role"], source, target, strategy, row["seed"], ())

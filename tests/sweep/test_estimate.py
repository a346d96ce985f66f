"""How long a sweep will take, by hand."""

from collections.abc import Mapping
from concurrent.futures import Future
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rl_transfer.results import RunStore
from rl_transfer.sweep.estimate import seconds_left
from rl_transfer.sweep.graph import Graph, Row
from rl_transfer.sweep.scheduler import State


def state(tmp_path: Path, budgets: Mapping[str, int], workers: int = 1, **fields: Any) -> State:
    """A sweep of runs ``cell-seed`` with these budgets; two seeds of a cell share their place."""
    rows = []
    for name in budgets:
        cell, _, seed = name.partition("-")
        rows.append(Row(name, "target", None, "task", cell, int(seed), ()))
    specs: Any = {name: SimpleNamespace(total_steps=steps) for name, steps in budgets.items()}
    return State(Graph(tuple(rows), specs), RunStore(tmp_path), workers, **fields)


def test_nothing_is_promised_before_a_trained_run_is_finished(tmp_path: Path) -> None:
    budgets = {"chance-0": 0, "scratch-0": 30, "scratch-1": 30}
    waiting = ["scratch-0", "scratch-1"]
    assert seconds_left(state(tmp_path, budgets, waiting=waiting), 100.0) is None
    chance = state(tmp_path, budgets, waiting=waiting, done={"chance-0"}, seconds={"chance-0": 2.0})
    assert seconds_left(chance, 100.0) is None


def test_seeds_last_as_long_as_the_finished_ones_of_their_cell(tmp_path: Path) -> None:
    budgets = {f"{cell}-{seed}": 30 for cell in ("scratch", "frozen") for seed in range(2)}
    seconds = {"scratch-0": 60.0, "frozen-0": 6.0}
    # 30 epochs of each cell took 60 and 6 seconds; by epochs alone both would be expected to take 33.
    found = state(tmp_path, budgets, waiting=["scratch-1", "frozen-1"], seconds=seconds)
    assert seconds_left(found, 0.0) == pytest.approx(66.0)


def test_unknown_cells_are_taken_by_their_budget_and_running_ones_by_what_is_left(tmp_path: Path) -> None:
    budgets = {"scratch-0": 30, "scratch-1": 30, "tuned-0": 15}
    future: Future[None] = Future()
    found = state(
        tmp_path, budgets, workers=2, waiting=["tuned-0"], seconds={"scratch-0": 60.0},
        running={"scratch-1": future}, begun={"scratch-0": 0.0, "scratch-1": 60.0},
    )  # fmt: skip
    # 15 epochs at 2 seconds each; scratch-1 has 60 − 10 seconds to go, longer than half of all: 50 of 80.
    assert seconds_left(found, 70.0) == pytest.approx(50.0)
    assert seconds_left(found, 500.0) == pytest.approx(30.0)

"""How long a sweep will take, by hand."""

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from rl_transfer.sweep.estimate import TimeLeft
from rl_transfer.sweep.graph import Graph, Row


def estimate(budgets: Mapping[str, int], workers: int = 1) -> TimeLeft:
    """Of a sweep of runs ``cell-seed`` with these budgets, all waiting; seeds of a cell share their place."""
    rows = []
    for name in budgets:
        cell, _, seed = name.partition("-")
        rows.append(Row(name, "target", None, "task", cell, int(seed), ()))
    specs: Any = {name: SimpleNamespace(total_steps=steps) for name, steps in budgets.items()}
    found = TimeLeft(Graph(tuple(rows), specs), workers)
    for name in budgets:
        found.wait(name)
    return found


def finish(found: TimeLeft, name: str, seconds: float, begun: float = 0.0) -> None:
    found.leave(name)
    found.begin(name, begun)
    found.finish(name, seconds)


def test_nothing_is_promised_before_a_trained_run_is_finished() -> None:
    found = estimate({"chance-0": 0, "scratch-0": 30, "scratch-1": 30})
    assert found.seconds_left(100.0) is None
    finish(found, "chance-0", 2.0)
    assert found.seconds_left(100.0) is None


def test_seeds_last_as_long_as_the_finished_ones_of_their_cell() -> None:
    found = estimate({f"{cell}-{seed}": 30 for cell in ("scratch", "frozen") for seed in range(2)})
    # 30 epochs of each cell took 60 and 6 seconds; by epochs alone both would be expected to take 33.
    finish(found, "scratch-0", 60.0)
    finish(found, "frozen-0", 6.0)
    assert found.seconds_left(0.0) == pytest.approx(66.0)


def test_unknown_cells_are_taken_by_their_budget_and_running_ones_by_what_is_left() -> None:
    found = estimate({"scratch-0": 30, "scratch-1": 30, "tuned-0": 15}, workers=2)
    finish(found, "scratch-0", 60.0)
    found.leave("scratch-1")
    found.begin("scratch-1", 60.0)
    # 15 epochs at 2 seconds each; scratch-1 has 60 − 10 seconds to go, longer than half of all: 50 of 80.
    assert found.seconds_left(70.0) == pytest.approx(50.0)
    assert found.seconds_left(500.0) == pytest.approx(30.0)


def test_a_failed_run_leaves_nothing_behind_and_a_skipped_one_does_not_wait() -> None:
    found = estimate({"scratch-0": 30, "scratch-1": 30, "tuned-0": 15})
    finish(found, "scratch-0", 60.0)
    found.leave("scratch-1")
    found.begin("scratch-1", 60.0)
    found.drop("scratch-1")
    found.leave("tuned-0")
    assert found.seconds_left(70.0) == 0.0


def test_the_estimate_converges_to_what_the_sweep_takes() -> None:
    """Seconds are no function of the budgets; from the ninth of 36 runs on it is within a tenth."""
    seconds = {"scratch": 10.0, "frozen": 3.0, "tuned": 12.0}
    names = [f"{cell}-{seed}" for seed in range(12) for cell in seconds]
    found = estimate(dict.fromkeys(names, 100))
    total, now, errors = sum(12 * each for each in seconds.values()), 0.0, []
    for place, name in enumerate(names):
        took = seconds[name.partition("-")[0]] * (1 + (place % 4 - 1.5) / 20)
        finish(found, name, took, now)
        now += took
        left = found.seconds_left(now)
        assert left is not None
        errors.append(abs(now + left - total) / total)
    assert max(errors[8:]) < 0.1
    assert errors[-1] < 0.01

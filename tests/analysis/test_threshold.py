"""θ of the time to threshold: declared, the task's own, or fixed by the seeds that were planned first."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rl_transfer.analysis import Sweep, analyse, summary
from rl_transfer.analysis.threshold import Threshold
from rl_transfer.report.sections import target_table

from .hand_made import FAST, SLOW, lost, shifted, transfer_cell, two_arms


def theta(sweep: Sweep) -> Threshold:
    return analyse(sweep).targets["task"].threshold


def with_keys(sweep: Sweep, looks: Any = None, **target: float) -> Sweep:
    config = {**sweep.config, "targets": {"task": {**sweep.config["targets"]["task"], **target}}}
    kept = {} if looks is None else {"looks": looks}
    return Sweep({**sweep.manifest, "config": config, **kept}, sweep.runs)


GROWN = two_arms([FAST] * 8, [SLOW] * 4 + [shifted(SLOW, 50)] * 4)
"""Four seeds, and four that were added when these were known and that are better from scratch."""


def test_a_declared_threshold_stands_before_that_of_the_task():
    task = two_arms([FAST] * 4, [SLOW] * 4, threshold=90.0)
    assert theta(task) == Threshold(90.0, "task")
    assert theta(with_keys(task, threshold=40.0)) == Threshold(40.0, "declared")
    # SLOW is at 50 from step 200 on
    (cell,) = analyse(with_keys(task, threshold=40.0)).select(kind="baseline")
    assert cell.metrics["time_to_threshold"].value.mean == 200


def test_without_either_the_first_look_fixes_it_for_good():
    first = two_arms([FAST] * 4, [SLOW] * 4)
    assert theta(first) == Threshold(80.0, "first look", (0, 1, 2, 3))
    # Eight seeds end at 125 on average, the first four at 100.
    assert theta(with_keys(GROWN, [[0, 1, 2, 3]])) == theta(first)
    assert theta(GROWN).value == pytest.approx(100)  # a folder that does not say


@pytest.mark.parametrize("said", [[], "0", [[8, 9]], [["0"]], {"0": 1}, [[]]])
def test_a_first_look_that_names_no_seed_of_the_sweep_is_all_of_them(said):
    assert theta(with_keys(GROWN, said)) == theta(GROWN)


def test_there_is_no_threshold_before_the_first_look_has_ended():
    for problem, seed, value in (
        ("unfinished", 2, math.nan),
        ("failed: boom", 2, 80.0),
        ("unfinished", 7, 80.0),
    ):
        given = lost(GROWN, problem, strategy="scratch", seed=seed)
        found = theta(with_keys(given, [[0, 1, 2, 3]]))
        assert found.value == pytest.approx(value, nan_ok=True)


def test_scratch_that_never_left_chance_gives_no_threshold_and_a_declared_one_still_counts():
    stuck = two_arms([FAST] * 4, [(0,) * 6] * 4)
    assert theta(stuck).origin == "unknown"
    cell = transfer_cell(stuck)
    assert math.isnan(cell.metrics["time_to_threshold"].value.mean)
    cell = transfer_cell(with_keys(stuck, threshold=80.0))
    assert cell.metrics["time_to_threshold"].value.mean == 200
    assert (cell.metrics["speed_up"].value.mean, cell.metrics["speed_up"].bound) == (2.5, "≥")


def test_what_nobody_reached_saves_nobody_steps():
    metrics = transfer_cell(two_arms([FAST] * 4, [SLOW] * 4, threshold=1000.0)).metrics
    for name in ("steps_saved", "speed_up", "break_even", "break_even_targets"):
        assert math.isnan(metrics[name].value.mean), name
        assert metrics[name].bound == ""
    assert (metrics["time_to_threshold"].value.mean, metrics["time_to_threshold"].bound) == (500, "≥")


def test_report_and_summary_say_where_it_comes_from():
    assert "80.0 (fixed by seeds 0, 1, 2, 3)" in target_table(analyse(two_arms([FAST] * 4, [SLOW] * 4)))
    own = analyse(two_arms([FAST] * 4, [SLOW] * 4, threshold=90.0))
    assert "90.0 (the reward threshold)" in target_table(own)
    assert "last 2 of 6 evaluations, 33%" in target_table(own)
    cell = summary(own)[0]
    assert cell["threshold"] == {"value": 90.0, "origin": "task", "seeds": []}
    assert cell["final_window"] == {"evaluations": 2, "of": 6}

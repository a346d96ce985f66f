"""What the source policy spent of the budget as a guide: a figure of its cell, and a reservation."""

import csv
import io
from typing import Any

import pytest

from rl_transfer.analysis import Matrix, analyse, csv_text, summary, text_table

from .hand_made import FAST, SCRATCH, SLOW, arm, recorded, sweep

GUIDED = ("base", "task", "jump-start-guide")
FLAG = "guide-steps-not-learned-from"


def guided(*steps: int | None, **record: Any) -> Matrix:
    """One seed per count of guide steps; the budget is 500 steps."""
    runs = recorded(arm(GUIDED, [FAST] * len(steps), **record), guide_steps=steps)
    return analyse(sweep({SCRATCH: arm(SCRATCH, [SLOW] * 4), GUIDED: runs}))


def test_the_guides_share_is_the_mean_over_the_seeds_that_had_one() -> None:
    matrix = guided(50, 150, 100, None, guide_learned_from=False)
    (cell,) = matrix.select(kind="transfer")
    share = cell.metrics["guide_share"].value
    assert share.per_seed == {0: 0.1, 1: 0.3, 2: 0.2}
    assert share.mean == pytest.approx(0.2)
    (scratch,) = matrix.select(kind="baseline")
    assert "guide_share" not in scratch.metrics
    first, second = summary(matrix)
    assert "guide_share" not in first["metrics"]
    assert second["metrics"]["guide_share"]["mean"] == pytest.approx(0.2)
    rows = list(csv.DictReader(io.StringIO(csv_text(matrix))))
    assert [bool(row["guide_share_mean"]) for row in rows] == [False, True]


def test_steps_that_nobody_learned_from_are_a_reservation_about_the_cell() -> None:
    (cell,) = guided(50, 150, 100, 100, guide_learned_from=False).select(kind="transfer")
    (flag,) = (each for each in cell.flags if each.code == FLAG)
    assert "30% of the budget" in flag.message
    assert "30% of the budget" in text_table(guided(50, 150, 100, 100, guide_learned_from=False))


def test_records_that_do_not_say_are_of_the_version_that_threw_the_steps_away() -> None:
    (cell,) = guided(810, 400, 400, 400).select(kind="transfer")
    assert any(flag.code == FLAG and "162%" in flag.message for flag in cell.flags)


def test_steps_that_were_learned_from_are_none() -> None:
    (cell,) = guided(50, 150, 100, 100, guide_learned_from=True).select(kind="transfer")
    assert FLAG not in {flag.code for flag in cell.flags}

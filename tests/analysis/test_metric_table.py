"""One row per metric, and everything that shows metrics goes by it."""

import ast
import math
import re
from pathlib import Path
from typing import get_args

import pytest

from rl_transfer.analysis import analyse, summary
from rl_transfer.analysis.aggregate import SUMMED
from rl_transfer.analysis.comparison import JUDGED, Judged
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.metrics import GAINS
from rl_transfer.analysis.model import Matrix
from rl_transfer.results import Labels
from rl_transfer.spec import Analysis

from .hand_made import FAST, SLOW, shifted, transfer_cell, two_arms

ROOT = Path(__file__).resolve().parent.parent.parent


@pytest.fixture(scope="module")
def matrix() -> Matrix:
    """A sweep whose records hold everything that a record can hold; transfer is far better."""
    records = {
        "zero_shot": {"returns": [30.0], "source_returns": [95.0]},
        "retention": {"returns": [50.0], "source_returns": [90.0]},
        "probe": {"accuracy": 0.9},
        "reference": {"name": "counts", "accuracy": 0.7},
        "guide_steps": 125,
    }
    better = [shifted(FAST, e) for e in range(18, 28)]
    worse = [shifted(SLOW, e) for e in range(-5, 5)]
    planned = two_arms(better, worse, records)
    planned.config["targets"]["task"]["success"] = {"return": 100.0}
    return analyse(planned)


def test_cells_and_summary_hold_exactly_the_metrics_of_the_table(matrix: Matrix) -> None:
    cell = transfer_cell(matrix)
    assert set(cell.metrics) == set(METRICS)
    (entry,) = (each for each in summary(matrix) if each["kind"] == "transfer")
    assert [*entry["metrics"]] == [*METRICS], "in the table's order"
    assert {name: metric["unit"] for name, metric in entry["metrics"].items()} == {
        name: info.unit for name, info in METRICS.items()
    }
    for name, metric in cell.metrics.items():
        assert math.isfinite(metric.value.mean), f"{name} has nothing to show here"


def test_what_is_better_has_the_better_side_of_every_comparable_metric(matrix: Matrix) -> None:
    (transfer,), (scratch,) = matrix.select(kind="transfer"), matrix.select(kind="baseline")
    for name in transfer.metrics.keys() & scratch.metrics.keys():
        mine, theirs = transfer.metrics[name].value.mean, scratch.metrics[name].value.mean
        if math.isfinite(theirs) and mine != theirs:
            assert (mine > theirs) == METRICS[name].higher_is_better, name


def test_lower_is_better_of_what_a_strategy_takes() -> None:
    lower = {name for name, info in METRICS.items() if not info.higher_is_better}
    assert lower == {"time_to_threshold", "break_even_targets", "guide_share"}


def test_a_definition_names_the_share_that_the_sweep_was_analysed_with() -> None:
    info = METRICS["final_performance"]
    assert "last evaluations: 10 % of them, at least three" in info.defined(Labels(), Analysis())
    assert ": 12.5 % of them" in info.defined(Labels(), Analysis(final_share=0.125))


def test_signed_metrics_are_those_that_a_worse_arm_turns_negative() -> None:
    worse = {
        "retention": {"returns": [50.0], "source_returns": [90.0]},
        "zero_shot": {"returns": [1.0], "source_returns": [90.0]},
    }
    cell = transfer_cell(two_arms([shifted(SLOW, -10)] * 4, [FAST] * 4, worse))
    negative = {name for name, metric in cell.metrics.items() if metric.value.mean < 0}
    signed = {name for name, info in METRICS.items() if info.signed}
    assert signed <= negative, "each of them is a difference"
    # J itself may be below 0, and a share of a cost can be lost; neither is a gain over anything.
    assert negative - signed <= {"start_performance", "break_even"}


def test_units_say_what_a_metric_counts(matrix: Matrix) -> None:
    cell = transfer_cell(matrix)
    # Only what is measured in J has a score beside it; two of these are measured on another task too.
    assert {name for name, metric in cell.metrics.items() if metric.score} == {
        name for name, info in METRICS.items() if info.unit == "measure"
    } - {"retention", "zero_shot_gap"}
    in_steps = {name for name, info in METRICS.items() if info.unit == "steps"}
    assert in_steps == {"time_to_threshold", "steps_saved"}


def test_names_labels_and_anchors_are_unique() -> None:
    for field in ("name", "label", "anchor", "definition"):
        assert len({getattr(info, field) for info in METRICS.values()}) == len(METRICS)


def test_the_judged_are_those_with_a_claim() -> None:
    assert tuple(name for name, info in METRICS.items() if info.claim) == JUDGED == get_args(Judged)
    assert set(SUMMED) | set(GAINS) <= set(METRICS)


def test_the_documentation_defines_each_metric_at_its_anchor() -> None:
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r'^\| <a id="([a-z-]+)"></a>`(\w+)` \| (.+) \|$', text, re.MULTILINE)
    assert [(anchor, name) for anchor, name, _ in rows] == [
        (info.anchor, info.name) for info in METRICS.values()
    ]


def test_nobody_judges_a_metric_by_the_letters_of_its_name() -> None:
    """Whether a metric is a difference stands in its row, not in the end of its name."""
    guessing = [
        f"{path.name}:{node.lineno}"
        for room in ("analysis", "report")
        for path in (ROOT / "rl_transfer" / room).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("endswith", "removesuffix")
    ]
    assert not guessing


def test_bounded_are_those_that_runs_below_the_threshold_make_bounds() -> None:
    late, never = [(0, 0, 10, 20, 110, 110)] * 3, [shifted(SLOW, -95)]
    some, none, all_of_them = [*late, *never], never * 4, [FAST] * 4
    bounds = set()
    for scratch, tuned in ((some, all_of_them), (all_of_them, none), (some, some)):
        cell = transfer_cell(two_arms(tuned, scratch))
        bounds |= {name for name, metric in cell.metrics.items() if metric.bound}
    assert bounds == {name for name, info in METRICS.items() if info.bounded}


def test_what_only_some_records_hold_is_not_everywhere() -> None:
    cell = transfer_cell(two_arms([FAST] * 4, [SLOW] * 4))
    assert {name for name, info in METRICS.items() if not info.everywhere} == set(METRICS) - set(cell.metrics)

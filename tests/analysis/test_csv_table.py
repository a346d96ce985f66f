"""``summary.csv`` says what ``summary.json`` says, under the names that docs/metrics.md gives its columns."""

import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_transfer.analysis import analyse, csv_text, read_sweep, summary
from rl_transfer.analysis.comparison import JUDGED
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Matrix
from rl_transfer.spec import JsonObject
from support.cases import EVERY

from .hand_made import FAST, STEPS, shifted, sweep, two_arms
from .synthetic import SyntheticSweep

ROOT = Path(__file__).resolve().parent.parent.parent
DERIVED = {
    "planned": lambda cell: len(cell["seeds"]),
    "finished": lambda cell: len(cell["finished"]),
    "flags": lambda cell: " ".join(flag["code"] for flag in cell["flags"]) or None,
}
"""The columns that no single value of the JSON gives."""


def documented(metrics: list[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Column → its path in the JSON, from the table of docs/metrics.md."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w<>]+)` \| ([^|]+) \|[^|]*\|$", text, re.MULTILINE)
    for column, path in rows:
        keys = path.strip("`")
        if "<metric>" in column:
            each = [(column.replace("<metric>", name), keys.replace("<metric>", name)) for name in metrics]
        elif "<judged>" in column:
            each = [(column.replace("<judged>", name), keys.replace("<judged>", name)) for name in JUDGED]
        else:
            each = [(column, keys)]
        yield from ((name, tuple(place.split("."))) for name, place in each)


def looked_up(cell: JsonObject, column: str, path: tuple[str, ...]) -> object:
    if column in DERIVED:
        return DERIVED[column](cell)
    found: object = cell
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found


def rows_of(matrix: Matrix) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(csv_text(matrix))))


def agrees(matrix: Matrix) -> None:
    """Every documented column is there, once, in this order, with the JSON's value in every row."""
    cells = summary(matrix)
    everywhere = [name for name, info in METRICS.items() if info.everywhere]
    shown = [name for name in METRICS if name in everywhere or any(name in c["metrics"] for c in cells)]
    columns = dict(documented(shown))
    rows = rows_of(matrix)
    header = next(csv.reader(io.StringIO(csv_text(matrix))))
    assert sorted(header) == sorted(columns), "each column stands once, and in docs/metrics.md"
    assert len(rows) == len(cells)
    for row, cell in zip(rows, cells, strict=True):
        for column, path in columns.items():
            value = looked_up(cell, column, path)
            assert row[column] == ("" if value is None else str(value)), column


def ordered(row: dict[str, str], low: str, point: str, high: str) -> bool:
    limits = [row[name] for name in (low, point, high)]
    least, middle, most = (float(limit) if limit else None for limit in limits)
    if middle is None:
        return least is None is most
    return (least is None or least <= middle) and (most is None or middle <= most)


def in_order(matrix: Matrix) -> None:
    for row in rows_of(matrix):
        for judged in JUDGED:
            columns = [f"{judged}_verdict_{field}" for field in ("low", "gain", "high")]
            assert ordered(row, *columns), f"{columns}: {[row[column] for column in columns]}"
        for name in METRICS:
            if f"{name}_mean" in row:
                assert ordered(row, f"{name}_low", f"{name}_mean", f"{name}_high"), name


@pytest.fixture(scope="module")
def quickstart(tmp_path_factory):
    return analyse(read_sweep(SyntheticSweep().write(tmp_path_factory.mktemp("csv") / "sweep")))


def test_every_gain_lies_between_its_limits_in_its_own_unit(quickstart: Matrix) -> None:
    in_order(quickstart)
    agrees(quickstart)
    tuned = next(
        r for r in rows_of(quickstart) if (r["strategy"], r["target"]) == ("fine-tune", "longer-pole")
    )
    # The gain is shown as a score; the metric itself stands beside it in the measure's unit.
    scale = quickstart.targets["longer-pole"].scale
    assert tuned["asymptotic_gain_verdict_unit"] == "score"
    score, raw = (float(tuned[f"asymptotic_gain_{name}"]) for name in ("verdict_gain", "mean"))
    assert score == pytest.approx(raw / scale.span)
    assert abs(raw) > 50 * abs(score) > 0


def test_raw_verdicts_stand_in_the_measures_unit() -> None:
    stuck = [shifted((-200,) * 6, e) for e in (0, 0, 0, 0.5)]
    solved = [shifted((-200, -180, -150, -120, -110, -110), e) for e in (-1, 0, 1, 2)]
    matrix = analyse(two_arms(solved, stuck, random={"task": [-200.0]}))
    agrees(matrix)
    in_order(matrix)
    (row,) = (row for row in rows_of(matrix) if row["kind"] == "transfer")
    assert row["auc_gain_verdict_unit"] == "measure"
    assert row["auc_gain_verdict_low"] == row["auc_gain_low"] != ""
    assert row["auc_gain_score"] == ""


def test_a_matrix_without_cells_has_a_header(quickstart: Matrix) -> None:
    header = csv_text(analyse(sweep({}))).splitlines()
    assert header == csv_text(quickstart).splitlines()[:1]


def test_a_bound_is_no_number_like_others() -> None:
    slow = [(0, 0, 0, 10, 20, 30)] * 4  # never near θ = 0.8 of the reference
    matrix = analyse(two_arms([FAST] * 4, slow, reference=100))
    (row,) = (row for row in rows_of(matrix) if row["kind"] == "transfer")
    assert row["speed_up_bound"] == "≥"
    agrees(matrix)


returns = st.floats(-1e6, 1e6, allow_nan=False)
curves = st.lists(st.lists(returns, min_size=len(STEPS), max_size=len(STEPS)), min_size=1, max_size=5)


@settings(max_examples=100 if EVERY else 25, deadline=None)
@given(
    transfer=curves,
    scratch=curves,
    random=returns,
    reference=st.sampled_from(["scratch", "threshold", 10.0]),
    raw_delta=st.sampled_from([None, 5.0]),
)
def test_csv_is_json_and_limits_hold_whatever_was_measured(transfer, scratch, random, reference, raw_delta):
    matrix = analyse(
        two_arms(transfer, scratch, random={"task": [random]}, reference=reference, raw_delta=raw_delta)
    )
    agrees(matrix)
    in_order(matrix)

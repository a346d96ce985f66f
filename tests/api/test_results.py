"""A sweep as an object: the figures of the analysis, tidy, and nothing read before it is asked for."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

import rl_transfer as rt
from analysis.synthetic import SyntheticSweep
from rl_transfer.analysis import analyse, csv_text, read_sweep, summary
from rl_transfer.errors import ConfigError, MissingExtraError, StoreError


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    lacking = ("cartpole-weaker-motor-fine-tune-3",)
    return SyntheticSweep(unfinished=lacking).write(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def results(folder: Path) -> rt.SweepResults:
    return rt.load_sweep(folder)


def test_it_is_the_analysis_of_the_report(results: rt.SweepResults, folder: Path) -> None:
    matrix = analyse(read_sweep(folder))
    assert summary(results.matrix) == summary(matrix)
    assert [cell.key for cell in results.cells] == [cell.key for cell in matrix.cells]
    key = ("cartpole", "longer-pole", "fine-tune")
    assert results.verdicts[key] == {"asymptotic_gain": "positive", "auc_gain": "positive"}
    assert (None, "longer-pole", "scratch") not in results.verdicts
    assert any("fine-tune" in text for text in results.findings)
    assert results.name == "synthetic"


def test_a_row_per_cell_and_metric_says_what_summary_json_says(results: rt.SweepResults) -> None:
    rows, said = results.rows(), summary(results.matrix)
    assert len(rows) == sum(len(cell["metrics"]) for cell in said)
    by_key = {tuple(row[key] for key in ("source", "target", "strategy", "metric")): row for row in rows}
    assert len(by_key) == len(rows)
    assert all(name == name.lower() and " " not in name for row in rows for name in row)
    cell = next(each for each in said if each["strategy"] == "fine-tune" and each["target"] == "longer-pole")
    found = by_key["cartpole", "longer-pole", "fine-tune", "auc_gain"]
    assert found["mean"] == cell["metrics"]["auc_gain"]["mean"]
    assert found["score_low"] == cell["metrics"]["auc_gain"]["score"]["low"]
    assert found["verdict_gain"] == cell["comparisons"]["auc_gain"]["gain"]
    assert found["adjusted_p"] == cell["comparisons"]["auc_gain"]["adjusted_p"]
    assert (found["verdict"], found["unit"], found["planned"]) == ("positive", "mean episodic return", 5)
    assert {row["verdict"] for row in rows if row["metric"] == "auc"} == {None}


def test_the_columns_of_verdicts_are_those_of_summary_csv(results: rt.SweepResults) -> None:
    header = csv_text(results.matrix).splitlines()[0].split(",")
    start = [*results.rows()[0]].index("verdict")
    assert {f"auc_gain_{name}" for name in [*results.rows()[0]][start:]} <= {*header}


def test_a_row_per_run_and_evaluation(results: rt.SweepResults, folder: Path) -> None:
    rows, wanted = results.rows("curves"), ("longer-pole", "fine-tune", 2)
    one = [row for row in rows if (row["target"], row["strategy"], row["seed"]) == wanted]
    (run,) = {row["run"] for row in one}
    points = [json.loads(line) for line in (folder / "runs" / run / "curve.jsonl").read_text().splitlines()]
    assert [row["step"] for row in one] == [point["step"] for point in points]
    means = [sum(point["returns"]) / 10 for point in points]
    assert [row["value"] for row in one] == pytest.approx(means)
    assert [row["highest"] for row in one] == [max(point["returns"]) for point in points]
    runs = {row["run"] for row in rows}
    assert "cartpole-weaker-motor-fine-tune-3" not in runs
    assert len(results.curves) == len(runs)


def test_a_row_per_seed_has_the_mean_of_the_cell(results: rt.SweepResults) -> None:
    keys = ("target", "strategy", "metric")
    for wanted in (("longer-pole", "fine-tune", "auc"), ("weaker-motor", "fine-tune", "final_performance")):
        seeds = [row["value"] for row in results.rows("seeds") if tuple(row[key] for key in keys) == wanted]
        (cell,) = (row["mean"] for row in results.rows() if tuple(row[key] for key in keys) == wanted)
        assert sum(seeds) / len(seeds) == pytest.approx(cell)


def test_a_sweep_without_a_finished_run_has_no_row_of_a_curve(tmp_path: Path) -> None:
    plan = SyntheticSweep()
    nothing = replace(plan, unfinished=[row["id"] for row in plan.rows()]).write(tmp_path / "begun")
    found = rt.load_sweep(nothing)
    assert found.rows("curves") == []
    assert {row["verdict"] for row in found.rows()} == {"inconclusive", None}


def test_a_picture_is_shown_and_saved(results: rt.SweepResults, tmp_path: Path) -> None:
    picture = results.picture()
    assert picture._repr_png_().startswith(b"\x89PNG")
    assert picture.save(tmp_path / "matrix.png").read_bytes() == picture.png
    with pytest.raises(StoreError, match=r"missing/x\.png cannot be written"):
        picture.save(tmp_path / "missing" / "x.png")
    with pytest.raises(ConfigError, match="Did you mean 'curves-longer-pole'"):
        results.picture("curves-longer-pol")


def test_it_tells_people_what_it_is(results: rt.SweepResults) -> None:
    assert repr(results).startswith("<SweepResults synthetic: 67 of 68 places of the matrix finished, in ")
    assert "frozen-trunk-new-head from cartpole" in str(results)
    assert results._repr_html_().startswith("<pre>synthetic: transfer against scratch")


def test_what_cannot_be_given_says_what_to_do(
    results: rt.SweepResults, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(StoreError, match="sweep"):
        rt.load_sweep(tmp_path)
    with pytest.raises(ConfigError, match=r"table 'curve': expected cells, seeds or curves\. Did you mean"):
        results.rows("curve")  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rl-transfer\[pandas\]'; rows\(\)"):
        results.to_pandas()


@pytest.mark.full
def test_nothing_is_imported_before_it_is_asked_for(folder: Path) -> None:
    """Every command would wait for it."""
    program = (
        "import sys\nbefore = {*sys.modules}\nimport rl_transfer as rt\n"
        "assert not {'numpy', 'torch', 'pydantic', 'typing'} & ({*sys.modules} - before)\n"
        f"found = rt.load_sweep({str(folder)!r})\nassert found.cells and found.rows()\n"
        "assert not {'torch', 'gymnasium', 'pandas', 'matplotlib'} & {*sys.modules}\n"
        "assert {*rt.__all__} <= {*dir(rt)}\n"
        "assert all(getattr(rt, name) is not None for name in rt.__all__)\n"
        "assert rt.core.freeze and rt.errors.ConfigError\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError, match="no attribute 'load_sweeps'"):
        getattr(rt, "load_sweeps")  # noqa: B009 - a type checker refuses the other way


def test_numbers_are_plain_data(results: rt.SweepResults) -> None:
    for table in ("cells", "seeds", "curves"):
        assert json.dumps(results.rows(table), allow_nan=False)


def test_the_page_lists_every_column(results: rt.SweepResults) -> None:
    page = (Path(__file__).parent.parent.parent / "docs" / "python.md").read_text(encoding="utf-8")
    for table in ("cells", "seeds", "curves"):
        (line,) = [line for line in page.splitlines() if line.startswith(f"| `{table}` | `")]
        assert re.findall(r"`(\w+)`", line)[1:] == [*results.rows(table)[0]]

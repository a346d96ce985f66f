"""A sweep as tables of pandas."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import pandas
import pytest

import rl_transfer as rt
from analysis.synthetic import SyntheticSweep
from api.test_results import folder, results

__all__ = ["folder", "results"]


@pytest.mark.parametrize("table", ["cells", "seeds", "curves"])
def test_a_table_of_pandas_holds_the_rows(
    results: rt.SweepResults, table: Literal["cells", "seeds", "curves"]
) -> None:
    frame = results.to_pandas(table)
    assert isinstance(frame, pandas.DataFrame)
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    assert rows == results.rows(table)


def test_columns_of_numbers_are_numbers_also_where_some_are_missing(results: rt.SweepResults) -> None:
    frame = results.to_pandas()
    assert frame[frame.metric == "auc"].verdict.isna().all()
    assert frame.p.dtype == frame.score_high.dtype == float


def test_a_sweep_without_a_finished_run_has_its_columns(tmp_path: Path) -> None:
    plan = SyntheticSweep()
    nothing = replace(plan, unfinished=[row["id"] for row in plan.rows()]).write(tmp_path / "begun")
    assert {"run", "step", "value"} <= {*rt.load_sweep(nothing).to_pandas("curves")}

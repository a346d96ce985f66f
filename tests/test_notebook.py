"""The notebook of the docs runs, and what stands in it is what its cells put out."""

import json
import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from analysis.synthetic import SyntheticSweep

ROOT = Path(__file__).resolve().parent.parent
RUN = ROOT / "docs" / "notebooks" / "run.py"


def execute(notebook: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT), str(ROOT / "envs")])
    return subprocess.run(
        [sys.executable, str(RUN), str(notebook)],
        cwd=notebook.parent, env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True,
    )  # fmt: skip


def code(notebook: Path) -> list[dict[str, Any]]:
    cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    return [cell for cell in cells if cell["cell_type"] == "code"]


def forms(cell: dict[str, Any]) -> list[list[str]]:
    """What kinds of things a cell put out: text, values, pictures."""
    return [[output["output_type"], *sorted(output.get("data", ()))] for output in cell["outputs"]]


@pytest.mark.full
def test_the_notebook_runs_and_its_outputs_are_those_of_its_cells(tmp_path: Path) -> None:
    committed = ROOT / "docs" / "notebooks" / "first-steps.ipynb"
    notebook = tmp_path / "first-steps.ipynb"
    notebook.write_bytes(committed.read_bytes())
    SyntheticSweep().write(tmp_path / "results" / "quickstart")
    done = execute(notebook)
    assert done.returncode == 0, done.stderr
    before, after = code(committed), code(notebook)
    assert [cell["execution_count"] for cell in before] == [*range(1, len(after) + 1)]
    assert [*map(forms, before)] == [*map(forms, after)], (
        "run docs/notebooks/run.py over a finished quickstart"
    )
    pictures = [form for cell in after for form in forms(cell) if "image/png" in form]
    assert len(pictures) == 3
    text = json.dumps([cell["outputs"] for cell in before])
    assert "8 tensors frozen: True" in text
    assert str(Path.home()) not in text
    assert "/tmp/" not in text


@pytest.mark.parametrize(
    ("source", "outputs"),
    [
        ("print('a')\n1 + 1", [["stream"], ["execute_result", "text/plain"]]),
        ("1 + 1;", []),
        ("x = 1\nx", [["execute_result", "text/plain"]]),
        ("import matplotlib.pyplot as plt\nplt.figure();", [["display_data", "image/png"]]),
    ],
)
def test_a_cell_puts_out_what_jupyter_would_show(source: str, outputs: list[list[str]]) -> None:
    cell = {"cell_type": "code", "source": [source], "outputs": []}
    done = runpy.run_path(str(RUN))["execute"]({"cells": [cell]})
    assert [*map(forms, done["cells"])] == [outputs]


def test_a_cell_that_fails_is_named_and_the_notebook_is_left_as_it_was(tmp_path: Path) -> None:
    notebook = tmp_path / "small.ipynb"
    cells = [{"cell_type": "code", "source": [each], "outputs": []} for each in ("x = 1", "x.missing")]
    notebook.write_text(json.dumps({"cells": cells}), encoding="utf-8")
    before = notebook.read_bytes()
    done = execute(notebook)
    assert done.returncode != 0
    assert "cell 2 of the notebook raised AttributeError" in done.stderr
    assert notebook.read_bytes() == before

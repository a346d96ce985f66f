"""Executes a notebook and writes what its cells put out into it, without Jupyter.

python docs/notebooks/run.py docs/notebooks/first-steps.ipynb

Cells see the current folder: run it where `results/quickstart` is a finished sweep. They are plain Python,
so that no kernel is needed to keep a notebook in the tests; Jupyter opens it as any other.
"""

from __future__ import annotations

import argparse
import ast
import base64
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

Output = dict[str, Any]
"""One output of a cell, as the notebook format (nbformat 4) has it."""


def execute(notebook: dict[str, Any]) -> dict[str, Any]:
    """A notebook with the outputs of its cells.

    Args:
        notebook: as read from its file.

    Returns:
        The same cells, numbered in the order of execution, with outputs anew.

    Raises:
        RuntimeError: a cell raised an error; it is its cause.
    """
    scope: dict[str, Any] = {"__name__": "__main__"}
    cells: list[dict[str, Any]] = []
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            number = 1 + sum(each["cell_type"] == "code" for each in cells)
            cell = {
                **cell,
                "execution_count": number,
                "outputs": outputs("".join(cell["source"]), scope, number),
            }
        cells.append(cell)
    return {**notebook, "cells": cells}


def outputs(source: str, scope: dict[str, Any], number: int) -> list[Output]:
    """What a cell puts out: printed text, the value of its last expression, figures that it leaves open."""
    body = ast.parse(source)
    last = body.body[-1] if body.body else None
    if isinstance(last, ast.Expr):
        body.body.pop()
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(body, f"cell {number}", "exec"), scope)  # noqa: S102 - that is what a notebook is
            value = evaluated(last, scope, number) if isinstance(last, ast.Expr) else None
    except Exception as error:
        raise RuntimeError(f"cell {number} of the notebook raised {type(error).__name__}: {error}") from error
    found: list[Output] = []
    if printed.getvalue():
        found.append({"name": "stdout", "output_type": "stream", "text": lines(printed.getvalue())})
    if value is not None and not source.rstrip().endswith(";"):
        found.append(
            {"data": shown(value), "execution_count": number, "metadata": {}, "output_type": "execute_result"}
        )
    for figure in map(plt.figure, plt.get_fignums()):
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png", dpi=80, bbox_inches="tight", metadata={"Software": None})
        found.append(
            {"data": {"image/png": encoded(drawn.getvalue())}, "metadata": {}, "output_type": "display_data"}
        )
    plt.close("all")
    return found


def evaluated(expression: ast.Expr, scope: dict[str, Any], number: int) -> object:
    """The value of a cell's last line."""
    return eval(compile(ast.Expression(expression.value), f"cell {number}", "eval"), scope)  # noqa: S307


def shown(value: object) -> dict[str, Any]:
    """A value in every form that it offers to notebooks."""
    data: dict[str, Any] = {"text/plain": lines(repr(value))}
    png, html = (getattr(value, name, None) for name in ("_repr_png_", "_repr_html_"))
    if png is not None:
        data["image/png"] = encoded(png())
    if html is not None:
        data["text/html"] = lines(html())
    return data


def lines(text: str) -> list[str]:
    """A text as notebooks keep it: with its line breaks."""
    return text.splitlines(keepends=True)


def encoded(png: bytes) -> str:
    """A picture as text."""
    return base64.b64encode(png).decode()


def main() -> None:
    """Execute a notebook in its place."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("notebook", type=Path, help="the .ipynb file")
    path = parser.parse_args().notebook
    done = execute(json.loads(path.read_text(encoding="utf-8")))
    path.write_text(json.dumps(done, indent=1, ensure_ascii=False, sort_keys=True) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

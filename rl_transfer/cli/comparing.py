"""``compare``: two sweeps side by side."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from rl_transfer.cli.common import AsJson, json_text, say
from rl_transfer.errors import DIFFERENT


def compare(
    first: Annotated[Path, typer.Argument(help="The output folder of a sweep.", show_default=False)],
    second: Annotated[Path, typer.Argument(help="That of another one.", show_default=False)],
    as_json: AsJson = False,
) -> None:
    """Compare two sweeps: configs, versions, each cell's raw figures, verdicts. Nothing is written.

    Exit code 11: a figure differs significantly, or a cell of one sweep cannot be compared.

    Example: rl-transfer compare results/quickstart results/ten-seeds
    """
    from rl_transfer.analysis.difference_words import difference_data, difference_lines
    from rl_transfer.api.results import load_sweep

    before, after = load_sweep(first), load_sweep(second)
    found = before.compare(after)
    if as_json:
        sys.stdout.write(json_text(difference_data(found)))
    else:
        for line in difference_lines(found, before.sweep.labels.digits):
            say(line)
    if found.differ:
        raise typer.Exit(DIFFERENT)

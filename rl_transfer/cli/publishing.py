"""``publish``: a sweep as a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl_transfer.cli.common import License, say


def publish(
    sweep: Annotated[Path, typer.Argument(help="The output folder of a sweep.", show_default=False)],
    folder: Annotated[Path, typer.Argument(help="The new folder.", show_default=False)],
    license: License = None,
) -> None:
    """Write a sweep's cells, seeds and curves as CSV, with a card that says what every column is.

    A policy of it is published by `policies publish`.

    Example: rl-transfer publish results/quickstart quickstart-data --license cc-by-4.0
    """
    from rl_transfer.api.data_sets import publish_sweep

    publish_sweep(sweep, folder, license)
    say(f"{folder} written; read its README.md before you share it")

"""``publish``: a sweep as a data set."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rl_transfer.cli.common import License, Private, err, out


def publish(
    sweep: Annotated[Path, typer.Argument(help="The output folder of a sweep.", show_default=False)],
    target: Annotated[
        str,
        typer.Argument(
            help="The new folder, or hf://datasets/user/repository (extra hub).", show_default=False
        ),
    ],
    license: License = None,
    private: Private = False,
) -> None:
    """Write a sweep's cells, seeds and curves as CSV, with a card that says what every column is.

    A policy of it is published by `policies publish`.

    Example: rl-transfer publish results/quickstart quickstart-data --license cc-by-4.0
    """
    from rl_transfer.api.data_sets import publish_sweep

    with err.status("publishing") as status:
        written = publish_sweep(sweep, target, license, private=private, say=status.update)
    out.print(f"{written} written; read its README.md before you share it", soft_wrap=True)

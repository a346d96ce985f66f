"""What all commands share: the consoles, the shape of arguments, errors with their place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from rl_transfer.errors import RLTransferError

if TYPE_CHECKING:
    from rl_transfer.spec import Loaded

out = Console()
err = Console(stderr=True)

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Overrides of config values, e.g. training.total_steps=50000 seeds=3. Values are YAML.",
        show_default=False,
    ),
]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="Folder for the results; default: results/NAME.", show_default=False),
]


@contextmanager
def located(loaded: Loaded[Any]) -> Iterator[None]:
    """Join the key of an error raised below with the file and line that the key came from."""
    try:
        yield
    except RLTransferError as error:
        error.message = loaded.located(error)
        raise

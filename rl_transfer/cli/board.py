"""``board``."""

from __future__ import annotations

import os
import sys
import threading
import webbrowser
from contextlib import suppress
from pathlib import Path
from typing import Annotated

import typer

from rl_transfer.cli.common import out


def board(
    folder: Annotated[Path, typer.Argument(help="The output folder of a sweep.")],
    seeds: Annotated[
        str | None,
        typer.Option(
            metavar="TARGET[/STRATEGY]",
            help="Show the single runs on a target, with their mean, instead of means and verdicts.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Default: the first free one from 6006 on.", show_default=False),
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open the address in a browser.")] = True,
) -> None:
    """Open a sweep in TensorBoard: curves with bands, verdicts, the matrix. Ctrl-C ends it.

    Example: rl-transfer board results/quickstart
    """
    from rl_transfer.report.board import board_folder, start_board

    shown = board_folder(folder, seeds)
    address = start_board(shown, port, title=f"{folder.resolve().name}: rl_transfer")
    text = f"TensorBoard of {shown}: {address}\nCtrl-C ends it"
    with suppress(KeyboardInterrupt):
        out.print(text, soft_wrap=True)
        sys.stdout.flush()
        if browser and _has_display():
            webbrowser.open(address)
        threading.Event().wait()


def _has_display() -> bool:
    """Whether a browser would be a window; without one it might take over the terminal."""
    if not sys.platform.startswith("linux"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))

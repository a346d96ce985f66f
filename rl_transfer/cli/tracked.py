"""``--track``: what the commands that train tell a tracker, and what became of it."""

from __future__ import annotations

from typing import Annotated

import typer

from rl_transfer.cli.common import err

Track = Annotated[
    str | None,
    typer.Option(
        metavar="wandb[:PROJECT]",
        help="Log finished runs to Weights & Biases too (extra: wandb); offline with WANDB_MODE=offline.",
        show_default=False,
    ),
]


def tell_problem(problem: str | None) -> None:
    """Say that tracking failed, if it did.

    Args:
        problem: what stopped it; None where nothing did.
    """
    if problem is not None:
        err.print(f"warning: tracking stopped: {problem}; all results are kept", soft_wrap=True)

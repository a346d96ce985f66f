"""``--track``: what the commands that train tell a tracker, and what became of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from rl_transfer.cli.common import err

if TYPE_CHECKING:
    from rl_transfer.results import RunStore
    from rl_transfer.sweep.graph import Graph
    from rl_transfer.tracking import Log, NamedRun

Track = Annotated[
    str | None,
    typer.Option(
        metavar="wandb[:PROJECT]",
        help="Log finished runs to Weights & Biases too (extra: wandb); offline with WANDB_MODE=offline.",
        show_default=False,
    ),
]


def run_of_sweep(store: RunStore, graph: Graph, group: str, identifier: str) -> NamedRun:
    """A run of a sweep, as a tracker is told of it.

    Args:
        store: where its runs lie.
        graph: its runs.
        group: its name.
        identifier: of the run; where it fills several places, the first one names it.
    """
    from rl_transfer.tracking import NamedRun

    row = graph.rows_of[identifier][0]
    words = (row.source, row.target, row.strategy, f"seed-{row.seed}")
    tags = tuple(each for each in words if each is not None)
    return NamedRun(store.folder(identifier), graph.label(identifier), group, row.role, tags)


def tell_problem(log: Log | None) -> None:
    """Say that tracking failed, if it did.

    Args:
        log: closed; None where nothing is tracked.
    """
    if log is not None and log.problem is not None:
        err.print(f"warning: tracking stopped: {log.problem}; all results are kept", soft_wrap=True)

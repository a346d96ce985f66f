"""Checkpoints of runs that a cluster executes: between a run's place and the folder of one attempt.

They are moved, never copied. Each is whole from the moment it has its name, and has a folder of its own: an
attempt that was taken for dead and goes on can add others where it works, and changes none that was moved.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from rl_transfer.results import CHECKPOINTS, RunFolder


def move_checkpoints(run: Path, other: Path) -> None:
    """Move the checkpoints of a run to another folder of the same run; what cannot be moved stays.

    Args:
        run: where they are.
        other: where they go, on the same disk; made if there are any.
    """
    for checkpoint in sorted((run / CHECKPOINTS).glob("[0-9]*")):
        place = other / CHECKPOINTS / checkpoint.name
        with contextlib.suppress(OSError):
            place.parent.mkdir(parents=True, exist_ok=True)
            if not place.exists():
                checkpoint.rename(place)


def rescue_checkpoints(incoming: Path, runs: Path) -> None:
    """Move the checkpoints of attempts that have not ended to the places of their runs.

    Args:
        incoming: the folder of all attempts of a sweep.
        runs: the folder of its runs; those that are finished need none.
    """
    for attempt in sorted(incoming.glob("[0-9]*/*")):
        run = runs / attempt.name
        if not RunFolder(run).finished:
            move_checkpoints(attempt, run)

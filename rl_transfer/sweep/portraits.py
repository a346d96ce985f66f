"""The portraits of a sweep's tasks, drawn while its first runs go on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from rl_transfer.errors import RLTransferError
from rl_transfer.results.portraits import Portraits, read_portraits, write_portraits

Portray = Callable[[Portraits], Iterable[Portraits]]
"""The portraits that are there → those that are to take their place, one after the other."""
SECONDS = 20.0
"""A sweep that is over waits no longer for pictures."""


def nothing_is_portrayed(_known: Portraits) -> Iterable[Portraits]:
    """A :data:`Portray` for tasks that nobody can see."""
    return ()


@contextmanager
def beside(folder: Path, portray: Portray) -> Iterator[None]:
    """Keep the portraits of a sweep up to date while something else is done.

    Pictures are worth nothing that a sweep could be lost for: whatever goes wrong leaves the folder without.

    Args:
        folder: the sweep's; it exists, and nobody else writes to it.
        portray: asked once, by a thread; nothing where that cannot be started.
    """

    def keep() -> None:
        try:
            for found in portray(read_portraits(folder)):
                write_portraits(folder, found)
        except (RLTransferError, OSError, RuntimeError, ValueError):
            return

    thread = threading.Thread(target=keep, name="portraits", daemon=True)
    thread.start()
    yield
    thread.join(SECONDS)  # not after an error or Ctrl-C: the process ends at once

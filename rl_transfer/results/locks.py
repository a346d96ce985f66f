"""Locks of folders: who is at work in a sweep, and one writer of a report at a time."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

LOCK = ".lock"
"""In a sweep's folder: held by the process that writes to it."""


def is_at_work(folder: Path) -> bool:
    """Whether a process of this machine holds a sweep's folder as its writer.

    Args:
        folder: the sweep's.

    Returns:
        False where that cannot be told: the file system has no locks, or they end at the machine.
    """
    try:
        import fcntl
    except ImportError:  # Windows has no flock
        return False
    try:
        with (folder / LOCK).open("rb") as stream:
            fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold a folder; whoever holds it already is waited for.

    Args:
        folder: it exists.
    """
    try:
        import fcntl
    except ImportError:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # file systems without locks of folders
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)

"""A run seen from outside: how long it takes, whether it still shows a sign of life, how its process died."""

from __future__ import annotations

import contextlib
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from rl_transfer.results import RunFolder
from rl_transfer.wording import counted

SIGNS = ("heartbeat.json", "curve.jsonl", "log.txt", "checkpoints")
STALL_MINUTES = 30.0
"""An epoch on a large data set, and an evaluation of many long episodes, show nothing for minutes."""
STOPPED = 10.0
"""Seconds between two looks after which the sweep itself was stopped (Ctrl-Z): its runs were too."""
EXIT_SECONDS = 0.5
"""A process closes its files a moment before it has ended."""
MOST_LOG = 8 * 2**20
FIRST_LOG, LAST_LOG = 2**20, 3 * 2**20
LEFT_OUT = b"\n... what stood here was left out: of a long log the first 1 MiB and the end are kept ...\n"


@dataclass(frozen=True)
class Limits:
    """What ends a run that does not end by itself.

    Attributes:
        timeout: minutes that a run may take; None: as long as it likes.
        stall: minutes without a sign of life.
    """

    timeout: float | None = None
    stall: float = STALL_MINUTES


class Watch:
    """Looks at one run from its start on.

    Args:
        folder: the run's.
        limits: what ends it.
    """

    def __init__(self, folder: RunFolder, limits: Limits) -> None:
        self._folder, self._limits = folder, limits
        self._begun = self._changed = self._looked = time.monotonic()
        self._seen: object = None

    def verdict(self) -> str | None:
        """Look once.

        Returns:
            Why the run is to be ended; None: it goes on.
        """
        now = time.monotonic()
        if now - self._looked > STOPPED:
            self._begun += now - self._looked
            self._changed += now - self._looked
        self._looked = now
        seen = [_stamp(self._folder.path / name) for name in SIGNS]
        if seen != self._seen:
            self._seen, self._changed = seen, now
        if self._limits.timeout is not None and now - self._begun > 60 * self._limits.timeout:
            return f"it took longer than {_minutes(self._limits.timeout)} (--timeout){self._where()}"
        if now - self._changed > 60 * self._limits.stall:
            return f"no sign of life for {_minutes(self._limits.stall)}{self._where()}"
        return None

    def _where(self) -> str:
        step = self._folder.heartbeat().get("step")
        last = "before its first step" if step is None else f"last at step {step:,}"
        return f"; {last}; its stack is at the end of the log"


def shorten_log(log: Path) -> None:
    """Keep the first and the last part of a log that has become too long; who writes to it goes on.

    Args:
        log: opened for appending by whoever writes.
    """
    with contextlib.suppress(OSError):
        if log.stat().st_size <= MOST_LOG:
            return
        with log.open("r+b") as file:
            file.seek(-LAST_LOG, 2)
            end = file.read()
            file.truncate(FIRST_LOG)
            file.seek(FIRST_LOG)
            file.write(LEFT_OUT + end)


def how_it_died(code: int | None, out_of_memory: bool) -> str:
    """The end of a process in words.

    Args:
        code: its exit code, below 0 for a signal.
        out_of_memory: whether the kernel killed something for want of memory meanwhile.
    """
    if code is None or code >= 0:
        return f"it ended itself with exit code {code}"
    number = -code
    name = next((f" ({each.name})" for each in signal.Signals if each == number), "")
    if number == signal.SIGKILL and out_of_memory:
        return f"killed by signal {number}{name}, as memory ran out: fewer --workers need less"
    return f"killed by signal {number}{name}"


def parent_of(process: int | None) -> int | None:
    """The process that another one was started by.

    Args:
        process: its number.

    Returns:
        A number; None where the process is gone, or the system does not tell.
    """
    found = _stat(process)
    return None if found is None else int(found[1])


def is_dead(process: int | None) -> bool:
    """Whether a process has ended, though nobody may have taken notice yet.

    Args:
        process: its number, of one whose files are closed; None: unknown, which is not dead.
    """
    deadline = time.monotonic() + EXIT_SECONDS
    while process is not None:
        found = _stat(process)
        if found is None or found[0] in "ZX":
            return True
        if time.monotonic() > deadline:
            break
        time.sleep(0.01)
    return False


def _stat(process: int | None) -> list[str] | None:
    """What Linux says of a process behind its name: state, number of its parent."""
    with contextlib.suppress(OSError):
        return Path("/proc", str(process), "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    return None


def memory_kills() -> int:
    """How many processes the kernel has killed for want of memory; 0 where it does not tell."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text(encoding="ascii").splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


def _minutes(minutes: float) -> str:
    return counted(int(minutes), "minute") if minutes == int(minutes) else f"{60 * minutes:.3g} seconds"

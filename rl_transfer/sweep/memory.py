"""How many workers this machine has cores and memory for."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from rl_transfer.frame import Say
from rl_transfer.wording import counted

PROC, CGROUPS = Path("/proc"), Path("/sys/fs/cgroup")
MIB = 2**20
WORKER = 150 * MIB
"""What a worker does not share with the server it is forked from: 100 MiB with PPO in CartPole, 145 compiled,
130 with LeNet on digits (docs/scale.md). Replay buffers and large networks come on top; data sets are not
known."""
SWEEP = 350 * MIB
"""The sweep itself and the server."""


def choose_workers(given: int | None, say: Say, extra: int = 0) -> int:
    """How many runs are executed at a time on this machine.

    Args:
        given: what the user asked for, which is obeyed; None: one per core, as far as memory reaches.
        say: gets a line where memory does not reach.
        extra: bytes that the largest run needs beside what every run needs.

    Returns:
        At least 1.
    """
    wanted, free = given or cores(), available()
    if free is None:
        return wanted
    each = WORKER + extra
    fit = max(1, (free - SWEEP) // each)
    if fit >= wanted:
        return wanted
    there = f"{free // MIB:,} MiB of memory are available, and a worker takes {each // MIB:,} MiB or more"
    if given is not None:
        say(f"warning: --workers {given} may need more memory than there is: {there}; {fit} would fit")
        return given
    say(f"{counted(fit, 'worker')} instead of {wanted}: {there} (--workers overrules this)")
    return fit


def cores() -> int:
    """How many cores this process may use.

    Returns:
        At least 1.
    """
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on macOS and Windows
        return max(1, os.cpu_count() or 1)


def available() -> int | None:
    """Memory that new processes can have: of the machine, and within the limits of control groups.

    Returns:
        Bytes; None where the system does not tell.
    """
    left = [each for each in (_of_machine(), *_of_groups()) if each is not None]
    return max(0, min(left)) if left else None


def _of_machine() -> int | None:
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in (PROC / "meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _of_groups() -> Iterator[int | None]:
    """What is left in the groups of this process and in those above them, of both versions."""
    try:
        lines = (PROC / "self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            yield from _upwards(CGROUPS, path, "memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            names = "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"
            yield from _upwards(CGROUPS / "memory", path, *names)


def _upwards(mount: Path, path: str, limit: str, usage: str, cache: str) -> Iterator[int | None]:
    group = mount / path.strip("/")
    for folder in (group, *group.parents):
        with contextlib.suppress(OSError, ValueError):  # no limit, or a group that is not seen from here
            most = int((folder / limit).read_text(encoding="ascii"))
            used = int((folder / usage).read_text(encoding="ascii"))
            yield most - used + _cached(folder, cache)
        if folder == mount:
            return


def _cached(folder: Path, name: str) -> int:
    """Pages of files that were not used lately: the first to go when somebody needs memory."""
    with contextlib.suppress(OSError, ValueError):
        for line in (folder / "memory.stat").read_text(encoding="ascii").splitlines():
            key, _, value = line.partition(" ")
            if key == name:
                return int(value)
    return 0

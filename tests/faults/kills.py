"""Random ``kill -9`` of workers, of the server that they are forked from, and of sweeps."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from support.sweeps import SUITE, results, write_suite

VICTIMS = ("worker", "worker", "server", "sweep")
SECONDS = (0.5, 8.0)
"""Between two kills: the start of a sweep is in it, and the end of one too."""
FINE = (0, 8, -signal.SIGKILL)
"""How a sweep may end here: well, with runs whose process was killed too often, killed."""


def start(config: Path, output: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "rl_transfer", "sweep", str(config), "-o", str(output), "-j", "2"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip


def children(process: int) -> list[int]:
    try:
        tasks = [(task / "children").read_text() for task in Path(f"/proc/{process}/task").iterdir()]
    except OSError:
        return []
    return [int(each) for text in tasks for each in text.split()]


def is_server(process: int) -> bool:
    try:
        return "forkserver" in Path(f"/proc/{process}/cmdline").read_text()
    except OSError:
        return False


def strike(sweep: int, draw: random.Random) -> str | None:
    """Kill one of a sweep's processes; returns which, None where there is none."""
    victim = draw.choice(VICTIMS)
    server = next((each for each in children(sweep) if is_server(each)), None)
    workers = children(server) if server else []
    process = {"worker": draw.choice(workers) if workers else None, "server": server, "sweep": sweep}[victim]
    if process is None:
        return None
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        return None
    return victim


def summary(output: Path) -> bytes:
    return (output / "summary.json").read_bytes()


def trial(folder: Path, kills: int, seed: int, suite: str = SUITE) -> tuple[Counter[str], int, int]:
    """Sweeps of a suite under fire, until so many processes fell.

    Returns:
        How many of each were killed, how many sweeps that took, and how many of them ended otherwise than
        one that was left alone: curves, records, digests of weights, ``summary.json``.
    """
    draw, struck = random.Random(seed), Counter[str]()
    config, reference = write_suite(folder, suite), folder / "reference"
    assert start(config, reference).wait() == 0
    sweeps = differ = 0
    while struck.total() < kills:
        output, code = folder / f"sweep-{sweeps}", -1
        while code != 0:
            process = start(config, output)
            while process.poll() is None and struck.total() < kills:
                time.sleep(draw.uniform(*SECONDS))
                victim = strike(process.pid, draw) if process.poll() is None else None
                struck.update([victim] if victim else [])
            code = process.wait()
            assert code in FINE, f"a sweep ended with exit code {code}"
        sweeps += 1
        differ += (results(output), summary(output)) != (results(reference), summary(reference))
    return struck, sweeps, differ

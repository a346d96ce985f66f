"""A contender as a process: it prepares itself, then trains whenever it is told to, and says what that took.

One JSON object a line on standard output. Standard library alone: it serves under other Pythons, too.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

Result = dict[str, Any]
"""``cpu`` and ``wall`` (seconds), ``steps`` (of the environment), ``score`` of what was learned."""
Turn = Callable[[int], Result]
"""Trains once from a seed."""


def timed(work: Callable[[], Any]) -> tuple[Any, float, float]:
    """What ``work`` gives, and the seconds of CPU and of wall-clock time that it took this process."""
    wall, cpu = time.perf_counter(), time.process_time()
    found = work()
    return found, time.process_time() - cpu, time.perf_counter() - wall


def serve(prepare: Callable[[dict[str, Any]], tuple[Turn, dict[str, Any]]]) -> None:
    """Prepare the job of the command line, then train once for every line of standard input.

    Args:
        prepare: gets the job; gives what trains, and what there is to say of the preparation.
    """
    lines = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what libraries print is no answer

    def say(answer: dict[str, Any]) -> None:
        print(json.dumps(answer), file=lines, flush=True)

    (turn, told), cpu, wall = timed(lambda: prepare(json.loads(sys.argv[1])))
    say({"cpu": cpu, "wall": wall, **told})
    for line in sys.stdin:
        say(turn(int(line)))

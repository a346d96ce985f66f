"""What planning and scheduling cost per run, with an executor that runs nothing.

    python benchmarks/scheduler.py                    # 100, 1,000, 10,000 and 100,000 runs
    python benchmarks/scheduler.py --runs 100 5000

Plan: from suite to graph, with all ids. Begin: from the graph to the first tick, which looks up
what is finished. Tick: from the end of one run until the next is submitted and the display's line is made,
while all others wait. All in milliseconds of CPU time.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import statistics
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path

from rl_transfer.results import PLAYED, RunStore
from rl_transfer.spec import RLSuite, load
from rl_transfer.sweep.graph import build_graph
from rl_transfer.sweep.progress import headline
from rl_transfer.sweep.scheduler import Event, State, run_graph

TICKS = 200
PER_SEED = 13
"""Runs of the quickstart for each seed; three more play at random."""


class Stop(Exception):
    """Enough ticks were timed."""


class Nothing:
    """Ends every job at once."""

    slots = 1

    def submit(self, job: str) -> Future[None]:
        """A job is over as soon as it is there."""
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()
        future.set_result(None)
        return future

    def cancel(self, future: Future[None]) -> None:
        """Every job is done already."""

    def close(self) -> None:
        """Nothing is open."""


def measure(runs: int, root: Path) -> tuple[int, float, float, float, float]:
    """Number of runs; CPU seconds of plan, begin, median tick and longest tick."""
    suite = load("quickstart", {"rl": RLSuite}, "suites", [f"seeds={max(1, runs // PER_SEED)}"]).config
    begun = time.process_time()
    graph = build_graph(suite)
    planned = time.process_time()
    times: list[float] = []

    def look(state: State, events: Sequence[Event]) -> None:
        headline(state, PLAYED)
        times.append(time.process_time())
        if len(times) > TICKS:
            raise Stop

    with contextlib.suppress(Stop):
        run_graph(graph, RunStore(root).open(), Nothing(), look)
    ticks = [after - before for before, after in itertools.pairwise(times)]
    return len(graph.specs), planned - begun, times[0] - planned, statistics.median(ticks), max(ticks)


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000])
    print(f"{'runs':>8} {'plan':>10} {'begin':>10} {'tick':>8} {'longest':>8}   (ms)")
    for runs in parser.parse_args().runs:
        with tempfile.TemporaryDirectory() as root:
            count, *seconds = measure(runs, Path(root))
        plan, begin, tick, longest = (1e3 * each for each in seconds)
        print(f"{count:>8,} {plan:>10.1f} {begin:>10.1f} {tick:>8.2f} {longest:>8.2f}")


if __name__ == "__main__":
    main()

"""Stable-Baselines3, the compiled engine, a port of PureJaxRL and the floor, side by side on one pinned core.

    python benchmarks/engine.py                                        # every row, half an hour
    python benchmarks/engine.py --rows cartpole --jax ~/jax/bin/python # with the rows of JAX
    python benchmarks/engine.py --profile                              # where the time goes
    python benchmarks/engine.py --runs cartpole                        # whole runs, evaluations included
    python benchmarks/engine.py --growth width depth n_envs workers
    python benchmarks/engine.py --json engine.json

Contenders are processes of their own that take turns on one core; each trains once before anything counts.
Speed is environment steps per second of CPU time of ``learn`` alone, wall-clock beside it; tables show
medians over the repeats, and medians and ranges of the ratios within a repeat. The floor does nothing but the
matrix products of the same training, through the same BLAS. JAX comes from an environment of its own
(``pip install -r benchmarks/requirements-jax.txt``): one thread, compile time apart.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.engines import tables
from benchmarks.engines.cases import CASES, Case, growth
from benchmarks.engines.contenders import Row, compete, together

FAMILIES = ("width", "depth", "n_envs", "workers")


def say(line: str) -> None:
    """Progress, apart from the tables."""
    print(line, file=sys.stderr, flush=True)


def machine() -> str:
    """The line under every table."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return f"{model}, {os.cpu_count()} cores, Python {platform.python_version()}"


def selected(names: Sequence[str], steps: int | None, contenders: Sequence[str] | None) -> Iterator[Case]:
    """The rows that were asked for, in the order of the table."""
    for case in CASES:
        if case.name in names:
            yield tables.narrowed(case.shortened(steps), contenders)


def main() -> None:
    """Measure what was asked for; print tables, write JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    rows = [case.name for case in CASES]
    parser.add_argument("--rows", nargs="*", choices=rows, metavar="ROW", help=f"of {', '.join(rows)}")
    parser.add_argument("--contenders", nargs="+", metavar="NAME", help="sb3, compiled, jax-1, jax-16, floor")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, help="of every training instead of the row's own")
    parser.add_argument("--core", type=int, default=max(os.sched_getaffinity(0)), help="the core to use")
    parser.add_argument(
        "--jax", metavar="PYTHON", help="a Python that has JAX; without it there are no such rows"
    )
    parser.add_argument("--profile", action="store_true", help="where CPU time goes, instead of speed")
    parser.add_argument(
        "--runs", nargs="+", choices=rows, metavar="ROW", default=[], help="whole runs of rows"
    )
    parser.add_argument(
        "--growth", nargs="+", choices=FAMILIES, default=[], metavar="FAMILY", help=", ".join(FAMILIES)
    )
    parser.add_argument("--json", type=Path, help="a file for every single result")
    chosen = parser.parse_args()
    special = chosen.runs or chosen.growth
    names = chosen.rows if chosen.rows is not None else [] if special else rows
    found: list[Row] = []

    def measure(case: Case, **job: object) -> Row:
        found.append(compete(case, chosen.repeats, chosen.core, chosen.jax, say, **job))
        return found[-1]

    print(f"{machine()}; medians of {chosen.repeats}\n")
    if names:
        cases = selected(names, chosen.steps, chosen.contenders)
        if chosen.profile:
            profiled = [measure(case, profiled=True) for case in cases]
            tables.show(tables.profile(profiled))
            for row in profiled:
                if "kernels" in row.prepared.get("floor", {}):
                    tables.show(tables.minibatch(row.case, row.prepared["floor"]["kernels"]))
        else:
            tables.show(tables.speeds([measure(case) for case in cases]))
    if chosen.runs:
        cases = selected(chosen.runs, chosen.steps, ("sb3", "compiled"))
        tables.show(tables.whole_runs([measure(case, run=True) for case in cases]))
    for family, members in growth().items():
        if family in chosen.growth:
            narrow = [tables.narrowed(case.shortened(chosen.steps), chosen.contenders) for case in members]
            tables.show(tables.speeds([measure(case) for case in narrow]))
    if "workers" in chosen.growth:
        case = CASES[0].shortened(chosen.steps)
        engines = [name for name in ("sb3", "compiled") if name in (chosen.contenders or (name,))]
        speeds = {
            (name, count): together(case, name, count, chosen.repeats) for name in engines for count in (1, 2)
        }
        tables.show(tables.workers(speeds))
    if chosen.json is not None:
        chosen.json.write_text(json.dumps([tables.plain(row) for row in found], indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()

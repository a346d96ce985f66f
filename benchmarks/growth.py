"""How plan, scheduling, resuming and reporting grow with the number of runs, without training anything.

    python benchmarks/growth.py                                 # 100, 1,000, 10,000 and 100,000 planned runs
    python benchmarks/growth.py --runs 100 1000 --finished 1000 --reported 100
    python benchmarks/growth.py --picture docs/images/growth.png

Plan and tick are those of scheduler.py: from suite to graph, and what the end of one run costs while all
others wait. Resume and report are of sweeps with that many finished runs (those of resume.py), up to
--finished and --reported. Resume: planning, comparing the code, reading and checking every run until nothing
is left to do; resume.py prints the steps. Report: the whole command, Python's start and imports included.
Times are seconds of CPU, memory is the most that the process had.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

_HERE = Path(__file__).resolve().parent
_LINES = {"report": "s-", "resume": "o-", "plan": "^-", "tick": "D-"}


@dataclass(frozen=True)
class Costs:
    """Seconds of CPU at one size; NaN where it was not measured."""

    runs: int
    plan: float
    tick: float
    resume: float = math.nan
    resume_memory: float = math.nan
    """MB that resuming took at most."""
    report: float = math.nan
    report_memory: float = math.nan
    """MB that the report took at most."""


def measure(runs: int, finished: int, reported: int) -> Costs:
    """What a sweep of about so many runs costs; resuming and reporting it only up to so many."""
    count, plan, _, tick, _ = last_line("scheduler.py", "--runs", str(runs))
    costs = Costs(int(count), plan / 1e3, tick / 1e3)
    if runs > finished:
        return costs
    with tempfile.TemporaryDirectory() as folder:
        _, held, *steps = last_line("resume.py", "--runs", str(runs), "--no-report", "--keep", folder)
        costs = replace(costs, resume=sum(steps), resume_memory=held)
        if runs > reported:
            return costs
        seconds, memory = report(folder)
    return replace(costs, report=seconds, report_memory=memory)


def last_line(name: str, *arguments: str) -> list[float]:
    """The numbers in the last line of another benchmark; a process of its own keeps this one small."""
    program = [sys.executable, str(_HERE / name), *arguments]
    printed = subprocess.run(program, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [float(each.replace(",", "")) for each in printed.splitlines()[-1].split() if each != "-"]


def report(folder: str) -> tuple[float, float]:
    """Seconds of CPU and most MB of memory of the command, which counts the memory of who starts it."""
    program = [sys.executable, "-m", "rl_transfer", "report", folder]
    process = subprocess.Popen(program, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the report ended with exit code {process.returncode}")
    unit = 2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit


def draw(found: Sequence[Costs], path: Path) -> None:
    """Costs over runs, both logarithmic; a line as steep as the grey ones is in proportion to the runs."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    sizes = [each.runs for each in found]
    for name, style in _LINES.items():
        axes.loglog(sizes, [getattr(each, name) for each in found], style, label=name)
    low, high = axes.get_ylim()
    for power in range(-9, 3):
        axes.loglog(sizes, [size * 10.0**power for size in sizes], color="#e4e4e4", linewidth=0.8, zorder=0)
    axes.set_ylim(low, high)
    axes.set_xlabel("runs")
    axes.set_ylabel("seconds of CPU")
    axes.legend(frameon=False)
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[100, 1_000, 10_000, 100_000])
    parser.add_argument("--finished", type=int, default=100_000, help="most runs to resume")
    parser.add_argument("--reported", type=int, default=10_000, help="most runs to report")
    parser.add_argument("--picture", type=Path, help="a file for the picture")
    arguments = parser.parse_args()
    found = []
    print(f"{'':>8} {'plan':>9} {'tick':>8}" + f" {'resume':>8}" * 2 + f" {'report':>8}" * 2)
    print(f"{'runs':>8} {'(s)':>9} {'(ms)':>8}" + f" {'(s)':>8} {'(MB)':>8}" * 2)
    for runs in arguments.runs:
        each = measure(runs, arguments.finished, arguments.reported)
        found.append(each)
        begun = f"{each.runs:>8,} {each.plan:>9.3f} {1e3 * each.tick:>8.2f}"
        resumed = f"{each.resume:>8.2f} {each.resume_memory:>8.0f}"
        ended = f"{each.report:>8.1f} {each.report_memory:>8.0f}"
        print(begun, f"{resumed} {ended}".replace("nan", "  -"), flush=True)
    if arguments.picture is not None:
        draw(found, arguments.picture)


if __name__ == "__main__":
    main()

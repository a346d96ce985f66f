"""Where a single run spends its time: one command of the package under cProfile.

    python benchmarks/profile_run.py train cartpole training.total_steps=10240
    python benchmarks/profile_run.py transfer cartpole-reversed --source results/cartpole

The run is written to a folder that is thrown away. Prints the functions with the most time of their own,
then those with the most time including what they call. Imports are done first and do not count. Sweeps are
refused: their runs are processes of their own, which a profile of this one would not see.
"""

from __future__ import annotations

import argparse
import cProfile
import importlib
import pstats
import tempfile

from rl_transfer.cli import main as command_line

IMPORTED_FIRST = ("torch", "stable_baselines3", "rl_transfer.sweep.preload")


def profile(arguments: list[str], top: int) -> int:
    """Profile one command; returns its exit code."""
    for name in IMPORTED_FIRST:
        importlib.import_module(name)
    profiler = cProfile.Profile()
    code: str | int | None = 0
    with tempfile.TemporaryDirectory() as folder:
        profiler.enable()
        try:
            command_line([*arguments, "--output", folder])
        except SystemExit as stop:
            code = stop.code
        profiler.disable()
    if not code:
        statistics = pstats.Stats(profiler).strip_dirs()
        statistics.sort_stats("tottime").print_stats(top)
        statistics.sort_stats("cumulative").print_stats(top)
    return int(code or 0)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--top", type=int, default=25, help="functions per table (default: 25)")
    parser.add_argument("command", choices=("train", "transfer"))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="as rl-transfer takes them")
    chosen = parser.parse_args()
    return profile([chosen.command, *chosen.arguments], chosen.top)


if __name__ == "__main__":
    raise SystemExit(main())

"""The tests of Ctrl-C and SIGTERM again and again, while other processes want the processors.

make signals                     # 20 times
make signals TIMES=100 LOAD=8    # more often, beside eight busy processes

What a signal meets is a matter of luck: once in some thirty tries an interrupted sweep went on.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

TESTS = (
    "tests/sweep/test_stops.py",
    "tests/sweep/test_sweep.py::test_ctrl_c_says_what_is_kept_and_exits_with_130",
)
PATIENCE = 900.0
"""Seconds after which a round hangs, which is what is looked for."""
WORKS = "import os\nparent = os.getppid()\nwhile os.getppid() == parent: pass"


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes that do nothing but work."""
    every = [subprocess.Popen([sys.executable, "-c", WORKS]) for _ in range(processes)]
    try:
        yield
    finally:
        for each in every:
            each.kill()
            each.wait()


def once(tests: Sequence[str], number: int) -> str | None:
    """One round, with moments of its own; what was wrong, or None."""
    program = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "4", *tests]
    surroundings = {**os.environ, "INTERRUPTIONS_SEED": str(number)}
    try:
        done = subprocess.run(
            program, env=surroundings, capture_output=True, text=True, check=False, timeout=PATIENCE
        )
    except subprocess.TimeoutExpired:
        return f"no end after {PATIENCE:.0f} s"
    return done.stdout + done.stderr if done.returncode else None


def main(words: list[str] | None = None) -> int:
    """Print a line per round, with what pytest said if it failed, and one at the end; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--load", type=int, default=os.cpu_count() or 1, help="busy processes")
    parser.add_argument("tests", nargs="*", default=TESTS)
    given = parser.parse_args(words)
    failed = 0
    with busy(given.load):
        for number in range(given.times):
            problem = once(given.tests, number)
            failed += problem is not None
            print(f"round {number}: {problem or 'nothing wrong'}", flush=True)
    python = ".".join(map(str, sys.version_info[:2]))
    print(f"{given.times} rounds beside {given.load} busy processes, Python {python}: {failed} failed")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())

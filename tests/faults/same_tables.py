"""The same suite with one worker, two, packs of runs and a cluster of two Ray nodes: are the tables the same?

make same-tables                            # a tiny suite
make same-tables CONFIG="quickstart seeds=2"

Compared with the first way: every curve, every record without its clock times (with the digest of the
weights), and the bytes of ``summary.json``.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from support.cluster import cluster
from support.sweeps import results, write_suite

WAYS = {
    "1 worker, a process for each run": ["-j", "1", "--runs-per-worker", "1"],
    "2 workers, a process for each run": ["-j", "2", "--runs-per-worker", "1"],
    "2 workers, packs of 100 runs": ["-j", "2"],
}


def sweep(config: list[str], output: Path, *arguments: str) -> None:
    """Run it; whoever fails ends the comparison."""
    command = [sys.executable, "-m", "rl_transfer", "sweep", *config, "-o", str(output), "-q", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{' '.join(arguments)}: exit code {done.returncode}\n{done.stderr}")


def main(words: list[str] | None = None) -> int:
    """Print a line per way; 1 if one differs from the first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("config", nargs="*", help="suite and overrides; none: a tiny one")
    parser.add_argument("--no-ray", action="store_true", help="leave the cluster out")
    chosen = parser.parse_args(words)
    differ = 0
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = Path(folder)
        config = chosen.config or [str(write_suite(root))]
        ways = dict(WAYS)
        if not chosen.no_ray:
            nodes = stack.enter_context(cluster())
            nodes.join()
            ways["Ray, 2 nodes of 1 CPU"] = ["--executor", "ray", "--address", nodes.address]
        outputs: list[Path] = []
        for number, (way, arguments) in enumerate(ways.items()):
            outputs.append(root / f"out-{number}")
            sweep(config, outputs[-1], *arguments)
            (mine, table), (first, firsts) = (
                (results(each), (each / "summary.json").read_bytes()) for each in (outputs[-1], outputs[0])
            )
            runs = sum(mine[each] == first.get(each) for each in mine)
            same = mine == first and table == firsts
            differ += not same
            told = "the same" if table == firsts else "DIFFERS"
            print(f"{way}: {runs} of {len(first)} runs the same, summary.json {told}", flush=True)
    return int(differ > 0)


if __name__ == "__main__":
    sys.exit(main())

"""How large the report page gets, and what writing it costs, without training anything.

    python benchmarks/report_size.py                      # sweeps of 12, 144 and 2,000 cells
    python benchmarks/report_size.py --cells 12 --seeds 2

Synthetic sweeps with the curves of the tests: from scratch, a control and two strategies from every source,
on every target. Page: report/index.html. Folder: all that the report wrote, figures and TensorBoard's means
included. Seconds of CPU and memory are those of the whole command `rl-transfer report`.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT), str(_ROOT / "tests")]

from analysis.synthetic import QUICKSTART, SyntheticSweep  # noqa: E402
from benchmarks.growth import report  # noqa: E402

SHAPES = {12: (3, 1), 144: (12, 5), 2000: (40, 24)}
"""Cells → targets and sources: two arms of each target have no source, two have each of the sources."""
WRITTEN = ("report", "tensorboard", "tensorboard-seeds")
"""Folders that a report writes."""


def write_sweep(cells: int, seeds: int, folder: Path) -> None:
    """A finished sweep of so many cells."""
    targets, sources = SHAPES[cells]
    shapes = [*QUICKSTART.values()]
    SyntheticSweep(
        shapes={f"target-{place:02}": shapes[place % len(shapes)] for place in range(targets)},
        sources=[f"source-{place:02}" for place in range(sources)],
        seeds=seeds,
    ).write(folder)


def size(*paths: Path) -> float:
    """MB of files, those in folders included."""
    found = [each for path in paths for each in (path, *path.rglob("*"))]
    return sum(each.stat().st_size for each in found if each.is_file() and not each.is_symlink()) / 1e6


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="+", default=[*SHAPES], choices=[*SHAPES])
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    print(
        f"{'cells':>6} {'runs':>7} {'page (MB)':>10} {'folder (MB)':>12} {'CPU (s)':>8} {'memory (MB)':>12}"
    )
    for cells in given.cells:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "sweep"
            write_sweep(cells, given.seeds, folder)
            seconds, memory = report(str(folder))
            page, written = size(folder / "report" / "index.html"), size(*(folder / name for name in WRITTEN))
        runs = cells * given.seeds
        print(
            f"{cells:>6,} {runs:>7,} {page:>10.2f} {written:>12.1f} {seconds:>8.1f} {memory:>12.0f}",
            flush=True,
        )


if __name__ == "__main__":
    main()

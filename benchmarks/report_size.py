"""How large the report page gets, and what writing it costs, without training anything.

    python benchmarks/report_size.py                      # sweeps of 12, 144 and 2,000 cells
    python benchmarks/report_size.py --cells 12 --seeds 2 --live
    python benchmarks/report_size.py --cells 2000 --keep /tmp/large   # its page: /tmp/large/2000/report

Synthetic sweeps with the curves of the tests: from scratch, a control and two strategies from every source,
on every target. Page: report/index.html. Folder: all that the report wrote, figures and TensorBoard's means
included. Seconds of CPU and of the clock, and memory, are those of the whole command `rl-transfer report`.
Live: seconds of CPU that writing the page again takes while the sweep runs, after a run has ended and after a
sign of life alone.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(_ROOT), str(_ROOT / "tests")]

from analysis.synthetic import QUICKSTART, SyntheticSweep  # noqa: E402
from benchmarks.growth import report  # noqa: E402
from rl_transfer.report.live import LivePage  # noqa: E402
from rl_transfer.results import RunFolder  # noqa: E402
from rl_transfer.results.standing import Onlooker  # noqa: E402

SHAPES = {12: (3, 1), 144: (12, 5), 2000: (40, 24)}
"""Cells → targets and sources: two arms of each target have no source, two have each of the sources."""
WRITTEN = ("report", "tensorboard", "tensorboard-seeds")
"""Folders that a report writes."""


def sweep_of(cells: int, seeds: int) -> SyntheticSweep:
    """A sweep of so many cells; its last run has not ended yet."""
    targets, sources = SHAPES[cells]
    shapes = [*QUICKSTART.values()]
    sweep = SyntheticSweep(
        shapes={f"target-{place:02}": shapes[place % len(shapes)] for place in range(targets)},
        sources=[f"source-{place:02}" for place in range(sources)],
        seeds=seeds,
    )
    sweep.unfinished = [sweep.rows()[-1]["id"]]
    return sweep


def rewritten(folder: Path, running: str) -> tuple[float, float]:
    """Seconds of CPU for the page of a sweep that runs: analysed and drawn, and with the same analysis."""
    onlooker, page = Onlooker(folder), LivePage(folder, 60)
    found = []
    for step in (512, 1024):
        (folder / "runs" / running / "spec.json").write_text("{}", encoding="utf-8")
        RunFolder(folder / "runs" / running).beat(step, 6144, 77.0)
        begun = time.process_time()
        if not page.write(onlooker.look(), 60.0):
            raise SystemExit("the live page was not written again")
        found.append(time.process_time() - begun)
    return found[0], found[1]


def size(*paths: Path) -> float:
    """MB of files, those in folders included."""
    found = [each for path in paths for each in (path, *path.rglob("*"))]
    return sum(each.stat().st_size for each in found if each.is_file() and not each.is_symlink()) / 1e6


def main() -> None:
    """Print one line per size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cells", type=int, nargs="+", default=[*SHAPES], choices=[*SHAPES])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--live", action="store_true", help="measure the page of a sweep that runs as well")
    parser.add_argument("--keep", type=Path, help="leave the sweeps and their reports in this folder")
    given = parser.parse_args()
    live = "  live (s): after a run, after a sign of life" if given.live else ""
    print(
        f"{'cells':>6} {'runs':>7} {'page (MB)':>10} {'folder (MB)':>12} {'CPU (s)':>8} {'clock (s)':>10} "
        f"{'memory (MB)':>12}{live}"
    )
    for cells in given.cells:
        with tempfile.TemporaryDirectory() as place:
            folder = (given.keep or Path(place)) / str(cells)
            sweep = sweep_of(cells, given.seeds)
            sweep.write(folder)
            again = rewritten(folder, *sweep.unfinished) if given.live else ()
            sweep.finish(folder, *sweep.unfinished)
            begun = time.monotonic()
            seconds, memory = report(str(folder))
            clock = time.monotonic() - begun
            page, written = size(folder / "report" / "index.html"), size(*(folder / name for name in WRITTEN))
        runs = cells * given.seeds
        print(
            f"{cells:>6,} {runs:>7,} {page:>10.2f} {written:>12.1f} {seconds:>8.1f} {clock:>10.1f} "
            f"{memory:>12.0f}{''.join(f' {each:>8.3f}' for each in again)}",
            flush=True,
        )


if __name__ == "__main__":
    main()

"""The second TensorBoard folder: every seed's own event files, and their mean under the same tag."""

from __future__ import annotations

from pathlib import Path

from rl_transfer.analysis.inputs import Sweep
from rl_transfer.analysis.model import Matrix
from rl_transfer.report.events import remove_own, writing
from rl_transfer.results import arm_place, link_events

MEAN = "mean"
"""Last part of a mean's run, beside the runs' own ``seed-<i>``."""


def write_seeds(sweep: Sweep, matrix: Matrix, root: Path, folder: Path) -> Path:
    """Link the runs' event files by target, strategy and seed, and write the mean of each cell beside them.

    The mean has the tag of the seeds' own curves, so that one chart shows both.

    Args:
        sweep: its runs.
        matrix: their analysis.
        root: the sweep's folder.
        folder: where the links lie; what an earlier report wrote there is replaced.

    Returns:
        ``folder``.
    """
    remove_own(folder)
    several = len(matrix.sources) > 1
    link_events(root, sweep.runs, several=several)
    for cell in matrix.cells:
        if cell.band is None:
            continue
        place = arm_place(cell.target, cell.strategy, cell.source, several=several)
        with writing(folder / place / MEAN) as writer:
            for step, value in zip(cell.band.steps, cell.band.mean, strict=True):
                writer.scalars(int(step), {matrix.labels.curve_tag: float(value)})
    return folder

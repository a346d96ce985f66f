"""Aggregate TensorBoard runs: one per strategy and target, so that their curves overlay in one chart.

TensorBoard colours by run, not by tag. Each aggregate run ``<target>/<strategy>/mean`` therefore writes the
same three tags ``<target>/mean``, ``/low`` and ``/high``; a margin chart per target (tab *Custom scalars*)
joins them. Events are for looking at; the records stay the truth.
"""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg

from rl_transfer.analysis import words
from rl_transfer.analysis.cells import Metric
from rl_transfer.analysis.comparison import JUDGED, Comparison
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.analysis.verdict import Verdict
from rl_transfer.report.figures import safe_name
from rl_transfer.report.heatmap import heatmap
from rl_transfer.report.style import drawing

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

OVERVIEW = "overview"
"""The run that holds the margin charts, the heatmap and the plain sentences."""
MEAN = "mean"
"""Last part of an aggregate run's name, beside the runs' own ``seed-<i>``."""

VERDICT_NUMBERS = {
    Verdict.POSITIVE: 1.0,
    Verdict.EQUIVALENT: 0.0,
    Verdict.NEGATIVE: -1.0,
    Verdict.INCONCLUSIVE: math.nan,
}
"""How a verdict is plotted; an inconclusive one has no height."""


def run_name(cell: Cell, matrix: Matrix) -> str:
    """``<target>/<strategy>``, with ``--from-<source>`` where there are several sources.

    Args:
        cell: one (source, target, strategy).
        matrix: the analysis that it belongs to.

    Returns:
        A relative path with forward slashes.
    """
    origin = f"--from-{safe_name(cell.source)}" if cell.source and len(matrix.sources) > 1 else ""
    return f"{safe_name(cell.target)}/{safe_name(cell.strategy)}{origin}"


def write_tensorboard(matrix: Matrix, folder: Path) -> Path:
    """Write the aggregate runs under ``folder`` (a sweep's ``tensorboard/``), replacing earlier ones.

    Only folders that this function made are removed: ``overview`` and ``<target>/<strategy>/mean``.

    Args:
        matrix: a finished analysis.
        folder: is made where it does not exist.

    Returns:
        ``folder``.
    """
    from torch.utils.tensorboard import SummaryWriter  # slow: only when needed

    for old in [folder / OVERVIEW, *folder.glob(f"*/*/{MEAN}")]:
        if old.is_dir() and not old.is_symlink():
            shutil.rmtree(old)
    for cell in matrix.cells:
        if cell.band is not None:
            with SummaryWriter(str(folder / run_name(cell, matrix) / MEAN)) as writer:
                _write_curve(writer, cell)
                _write_gains(writer, cell, matrix)
    with SummaryWriter(str(folder / OVERVIEW)) as writer:
        _write_overview(writer, matrix)
    return folder


def _write_curve(writer: SummaryWriter, cell: Cell) -> None:
    """Mean and interval at every evaluation; without an interval (one run) its limits are the mean."""
    if cell.band is None:
        return
    band = cell.band
    low = np.where(np.isfinite(band.low), band.low, band.mean)
    high = np.where(np.isfinite(band.high), band.high, band.mean)
    for name, values in (("mean", band.mean), ("low", low), ("high", high)):
        for step, value in zip(band.steps, values, strict=True):
            writer.add_scalar(f"{cell.target}/{name}", float(value), int(step))


def _write_gains(writer: SummaryWriter, cell: Cell, matrix: Matrix) -> None:
    """Jump-start, gains and verdicts as single points at the budget, and the verdicts as text."""
    step = int(cell.budget)
    for name in ("jump_start", *JUDGED):
        if name in cell.metrics:
            value, unit = _preferred(cell.metrics[name])
            writer.add_scalar(f"{name} ({unit})/{cell.target}", value, step)
    for metric, entry in cell.comparisons.items():
        writer.add_scalar(f"{metric} verdict/{cell.target}", VERDICT_NUMBERS[entry.verdict], step)
        writer.add_text(f"{metric}/{cell.target}", _sentence(entry, cell, matrix), step)


def _preferred(metric: Metric) -> tuple[float, str]:
    """The score where there is one, else the value in its own unit."""
    return (metric.value.mean, "raw") if metric.score is None else (metric.score.mean, "score")


def _sentence(entry: Comparison, cell: Cell, matrix: Matrix) -> str:
    parts = [
        f"**{entry.symbol} {entry.outcome}** {words.at_steps(cell.budget, matrix.unit)}: "
        f"{words.interval(entry.gain, digits=words.digits(matrix.labels, entry.unit))} ({entry.reason})",
        entry.control.sentence if entry.control else "",
        words.advice(entry),
        *(flag.message for flag in cell.flags),
    ]
    return "; ".join(part for part in parts if part)


def _write_overview(writer: SummaryWriter, matrix: Matrix) -> None:
    charts = {name: ["Margin", [f"{name}/mean", f"{name}/low", f"{name}/high"]] for name in matrix.targets}
    writer.add_custom_scalars({f"{matrix.measure}, mean and interval over seeds": charts})
    lines = [*words.headlines(matrix), *(f"Warning: {text}" for text in matrix.warnings)]
    writer.add_text("in short", "\n\n".join(lines) or "no cells yet")
    if matrix.cells:
        with drawing():
            canvas = FigureCanvasAgg(heatmap(matrix))
            canvas.draw()  # type: ignore[no-untyped-call]
            pixels = np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
        writer.add_image("transfer matrix", pixels, dataformats="HWC")

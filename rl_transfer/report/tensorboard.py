"""The TensorBoard folder that people open: one run per strategy, one chart per target.

TensorBoard colours by run, checks no run at all where there are more than forty, and sorts what it shows by
name. Hence one run per arm (strategy, and source where there are several), whose tags end in the target:
every chart shows all strategies of one target, each in one colour. The run ``overview`` holds what belongs
to no arm: margin charts, pictures, verdicts in words. Events are for looking at; the records stay the truth.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from rl_transfer.analysis.arms import Band
from rl_transfer.analysis.comparison import JUDGED
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Matrix
from rl_transfer.report import hparams
from rl_transfer.report.curves import learning_curves
from rl_transfer.report.events import remove_own, writing
from rl_transfer.report.figures import safe_name
from rl_transfer.report.gains import gains_so_far
from rl_transfer.report.heatmap import heatmap
from rl_transfer.report.style import drawing
from rl_transfer.report.verdict_text import in_short, verdict_table

if TYPE_CHECKING:
    from tensorboard.compat.proto.summary_pb2 import Summary
    from torch.utils.tensorboard import SummaryWriter

Arm = tuple[str, str | None]
"""(strategy, source)."""

MOST_RUNS = 40
"""TensorBoard shows none of the runs of a folder with more."""
OVERVIEW = "overview"
CURVES, LOW, HIGH = "learning curves", "lower limit", "upper limit"
"""First parts of tags. Sorted by name, learning curves come first."""
ALL = "∑ all targets: gains and verdicts"
"""What the transfer matrix is called: sorted after every target."""


def gain_tag(metric: str, matrix: Matrix) -> str:
    """First part of the tags of a gain's course: ``over scratch, final quality``.

    Args:
        metric: a judged metric.
        matrix: the analysis.
    """
    return f"over {matrix.baseline}, {METRICS[metric].claim}"


def arm_runs(matrix: Matrix) -> dict[Arm, str]:
    """The arms that are shown, each with its run's name: ``fine-tune``, ``fine-tune--from-<source>``.

    Args:
        matrix: the analysis.

    Returns:
        Names, no two alike and none that of the overview; the first arms where there are more than
        TensorBoard would show.
    """
    found: dict[Arm, str] = {}
    taken = {OVERVIEW}
    for cell in matrix.cells:
        arm = cell.strategy, cell.source
        if arm in found or len(taken) == MOST_RUNS:
            continue
        origin = f"--from-{safe_name(cell.source)}" if cell.source and len(matrix.sources) > 1 else ""
        name = stem = f"{safe_name(cell.strategy)}{origin}"
        count = 1
        while name in taken:
            count += 1
            name = f"{stem}-{count}"
        taken.add(name)
        found[arm] = name
    return found


def write_tensorboard(matrix: Matrix, folder: Path) -> Path:
    """Write ``folder`` (a sweep's ``tensorboard/``): what the arms have in common, and the overview.

    Args:
        matrix: a finished analysis.
        folder: is made where it does not exist; what an earlier report wrote there is replaced.

    Returns:
        ``folder``.
    """
    remove_own(folder)
    names = arm_runs(matrix)
    for arm, name in names.items():
        with writing(folder / name) as writer:
            _write_arm(writer, arm, name, matrix)
    with writing(folder / OVERVIEW) as writer:
        _write_overview(writer, matrix, hidden=_arms(matrix) - len(names))
    return folder


def _arms(matrix: Matrix) -> int:
    return len({(cell.strategy, cell.source) for cell in matrix.cells})


def _write_arm(writer: SummaryWriter, arm: Arm, name: str, matrix: Matrix) -> None:
    strategy, source = arm
    for cell in matrix.select(strategy=strategy, source=source):
        if cell.band is None:
            continue
        _write_curve(writer, cell.target, cell.band)
        for metric, gains in gains_so_far(cell, matrix).items():
            for step, value in zip(cell.band.steps, gains, strict=True):
                writer.add_scalar(f"{gain_tag(metric, matrix)}/{cell.target}", float(value), int(step))
    _add(writer, hparams.session(name, strategy, source, matrix))


def _write_curve(writer: SummaryWriter, target: str, band: Band) -> None:
    """Mean and interval at every evaluation; without an interval (one run) its limits are the mean."""
    low = np.where(np.isfinite(band.low), band.low, band.mean)
    high = np.where(np.isfinite(band.high), band.high, band.mean)
    for name, values in ((CURVES, band.mean), (LOW, low), (HIGH, high)):
        for step, value in zip(band.steps, values, strict=True):
            writer.add_scalar(f"{name}/{target}", float(value), int(step))


def _write_overview(writer: SummaryWriter, matrix: Matrix, hidden: int) -> None:
    writer.add_custom_scalars(_charts(matrix))
    columns = {gain_tag(metric, matrix): f"{METRICS[metric].claim} gain" for metric in JUDGED}
    _add(writer, hparams.experiment(matrix, {**columns, CURVES: f"last {matrix.measure}"}))
    writer.add_text("in short", in_short(matrix, hidden))
    if matrix.cells:
        writer.add_text("verdicts", verdict_table(matrix))
        writer.add_image(f"{CURVES}/{ALL}", _pixels(heatmap(matrix)), dataformats="HWC")
    for target in matrix.targets:
        picture = _pixels(learning_curves(matrix, target))
        writer.add_image(f"{CURVES}/{target}, with intervals", picture, dataformats="HWC")


def _add(writer: SummaryWriter, summary: Summary) -> None:
    # torch offers HParams only as a run of its own; a writer takes any summary.
    writer._get_file_writer().add_summary(summary)  # type: ignore[no-untyped-call]


def _charts(matrix: Matrix) -> dict[str, dict[str, list[object]]]:
    """The tab *Custom scalars*: curves with their intervals first, then how the gains went."""
    targets = [*matrix.targets][::-1]  # the tab shows the charts of a category from last to first
    curves: dict[str, list[object]] = {
        name: ["Margin", [f"{tag}/{name}" for tag in (CURVES, LOW, HIGH)]] for name in targets
    }
    charts = {f"{matrix.measure}, mean and {matrix.settings.confidence:.0%} interval over seeds": curves}
    for metric in JUDGED:
        tag = gain_tag(metric, matrix)
        charts[f"gain {tag}, had training ended here"] = {
            name: ["Multiline", [f"{re.escape(tag)}/{re.escape(name)}$"]] for name in targets
        }
    return charts


def _pixels(figure: Figure) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    with drawing():
        canvas = FigureCanvasAgg(figure)
        canvas.draw()  # type: ignore[no-untyped-call]
        return np.asarray(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]

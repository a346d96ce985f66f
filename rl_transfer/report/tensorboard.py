"""The TensorBoard folder that people open: one run per strategy, one chart per target.

TensorBoard colours by run, checks no run at all where there are more than forty, and sorts what it shows by
name. Hence one run per arm (strategy, and source where there are several), whose tags end in the target:
every chart shows all strategies of one target, each in one colour. The run ``overview`` holds what belongs
to no arm: margin charts, pictures, verdicts in words. Events are for looking at; the records stay the truth.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from tensorboard.plugins.custom_scalar.layout_pb2 import (
    Category,
    Chart,
    Layout,
    MarginChartContent,
    MultilineChartContent,
)

from rl_transfer.analysis.arm_statistics import FloatArray
from rl_transfer.analysis.arms import Band
from rl_transfer.analysis.comparison import JUDGED
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Matrix
from rl_transfer.report import hparams
from rl_transfer.report.events import ReportEvents, remove_own, writing
from rl_transfer.report.figures import HEATMAP, curve_name, inside_name, safe_name
from rl_transfer.report.gains import gains_so_far
from rl_transfer.report.inside import inside_scalars, shown
from rl_transfer.report.verdict_text import in_short, verdict_table

Arm = tuple[str, str | None]
"""(strategy, source)."""

MOST_RUNS = 40
"""TensorBoard shows none of the runs of a folder with more."""
OVERVIEW = "overview"
CURVES, LOW, HIGH = "learning curves", "lower limit", "upper limit"
"""First parts of tags. Sorted by name, learning curves come first."""
INSIDE = "within the networks"
"""First words of what diagnostics say; sorted after all else."""
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


def write_tensorboard(matrix: Matrix, folder: Path, pictures: Mapping[str, bytes]) -> Path:
    """Write ``folder`` (a sweep's ``tensorboard/``): what the arms have in common, and the overview.

    Args:
        matrix: a finished analysis.
        folder: is made where it does not exist; what an earlier report wrote there is replaced.
        pictures: file stem → PNG file, for the heatmap, the curves of every target and what diagnostics say
            (:func:`rl_transfer.report.figures.all_figures`).

    Returns:
        ``folder``.
    """
    remove_own(folder)
    names = arm_runs(matrix)
    for arm, name in names.items():
        with writing(folder / name) as writer:
            _write_arm(writer, arm, name, matrix)
    with writing(folder / OVERVIEW) as writer:
        _write_overview(writer, matrix, pictures, hidden=_arms(matrix) - len(names))
    return folder


def _arms(matrix: Matrix) -> int:
    return len({(cell.strategy, cell.source) for cell in matrix.cells})


def _write_arm(writer: ReportEvents, arm: Arm, name: str, matrix: Matrix) -> None:
    strategy, source = arm
    for cell in matrix.select(strategy=strategy, source=source):
        if cell.band is None:
            continue
        gains = gains_so_far(cell, matrix)
        curves = _curves(cell.band) | {gain_tag(metric, matrix): each for metric, each in gains.items()}
        for place, step in enumerate(cell.band.steps):
            values = {f"{name}/{cell.target}": float(curve[place]) for name, curve in curves.items()}
            writer.scalars(int(step), values)
        for tag, points in inside_scalars(cell).items():
            for step, height in points.items():
                writer.scalars(step, {f"{INSIDE}: {tag}/{cell.target}": height})
    writer.add(hparams.session(name, strategy, source, matrix))


def _curves(band: Band) -> dict[str, FloatArray]:
    """Mean and interval at every evaluation; without an interval (one run) its limits are the mean."""
    low = np.where(np.isfinite(band.low), band.low, band.mean)
    high = np.where(np.isfinite(band.high), band.high, band.mean)
    return {CURVES: band.mean, LOW: low, HIGH: high}


def _write_overview(writer: ReportEvents, matrix: Matrix, pictures: Mapping[str, bytes], hidden: int) -> None:
    writer.layout(_charts(matrix))
    columns = {gain_tag(metric, matrix): f"{METRICS[metric].claim} gain" for metric in JUDGED}
    columns |= {CURVES: f"last {matrix.measure}"} | _of_trunks(matrix)
    writer.add(hparams.experiment(matrix, columns))
    writer.text("in short", in_short(matrix, hidden))
    if matrix.cells:
        writer.text("verdicts", verdict_table(matrix, matrix.cells))
        writer.picture(f"{CURVES}/{ALL}", pictures[HEATMAP])
    for target in matrix.targets:
        writer.picture(f"{CURVES}/{target}, with intervals", pictures[curve_name(target)])
        if shown(matrix, target):
            writer.picture(f"{INSIDE}/{target}", pictures[inside_name(target)])


def _of_trunks(matrix: Matrix) -> dict[str, str]:
    """Columns for what trunks are like at the end: what a gain may go with."""
    trunks = {name for cell in matrix.cells for name, part in cell.inside.items() if part.role == "trunk"}
    tags = {tag: None for cell in matrix.cells for tag in inside_scalars(cell)}
    return {
        f"{INSIDE}: {tag}": f"{label}, {part}"
        for tag in tags
        for label, _, part in (tag.partition("/"),)
        if part in trunks
    }


def _charts(matrix: Matrix) -> Layout:
    """The tab *Custom scalars*: curves with their intervals first, then how the gains went."""
    targets = [*matrix.targets][::-1]  # the tab shows the charts of a category from last to first
    bands = [Chart(title=name, margin=MarginChartContent(series=[_margin(name)])) for name in targets]
    title = f"{matrix.measure}, mean and {matrix.settings.confidence:.0%} interval over seeds"
    categories = [Category(title=title, chart=bands)]
    for metric in JUDGED:
        tag = gain_tag(metric, matrix)
        patterns = {name: f"{re.escape(tag)}/{re.escape(name)}$" for name in targets}
        lines = [
            Chart(title=name, multiline=MultilineChartContent(tag=[pattern]))
            for name, pattern in patterns.items()
        ]
        categories.append(Category(title=f"gain {tag}, had training ended here", chart=lines))
    return Layout(category=categories)


def _margin(target: str) -> MarginChartContent.Series:
    value, lower, upper = (f"{tag}/{target}" for tag in (CURVES, LOW, HIGH))
    return MarginChartContent.Series(value=value, lower=lower, upper=upper)

"""Gain over the severity of a perturbation, for the targets of one axis."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rl_transfer.analysis.arm_statistics import Interval
from rl_transfer.analysis.comparison import JUDGED, Judged
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Cell, Matrix, TargetInfo
from rl_transfer.report.style import MUTED, Look, drawing, looks, titled

_APART = 0.006
"""Distance of neighbouring strategies at one severity, so that their intervals can be told apart."""


def dose_response(matrix: Matrix, axis: str) -> Figure:
    """Gain and interval of every strategy over the severity; a column per judged metric, a row per source.

    Gains are scores where every target of the axis has them, and raw in all of them otherwise. The band
    around 0 is ±δ. Targets whose runs failed or are unfinished have an open marker, and no line leads
    through them.

    Args:
        matrix: a finished analysis.
        axis: one of its axes of severity.

    Returns:
        A figure with the severity, 0 to 1, on the horizontal axes.
    """
    targets = matrix.severity_axes[axis]
    raw = any(info.scale.is_raw for info in targets)
    sources: list[str | None] = [*matrix.sources] or [None]
    styles = looks(matrix)
    with drawing():
        size = (1.2 + 4.4 * len(JUDGED), 0.9 + 3.3 * len(sources))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(len(sources), len(JUDGED), squeeze=False, sharex=True)
        for line, source in zip(panels, sources, strict=True):
            for axes, metric in zip(line, JUDGED, strict=True):
                _panel(axes, matrix, targets, source, metric, raw, styles)
            unit = f"gain in {matrix.measure} (raw)" if raw else "gain in score"
            line[0].set_ylabel(f"from {source}\n{unit}" if len(sources) > 1 else unit)
        for axes, metric in zip(panels[0], JUDGED, strict=True):
            axes.set_title(f"{METRICS[metric].claim} ({METRICS[metric].label})")
        for axes in panels[-1]:
            axes.set_xlabel("severity: share of the way from default to bound")
        titled(figure, f"{axis}: gain against {matrix.baseline}, {matrix.settings.confidence:.0%} intervals")
        found = {
            label: handle
            for axes in panels.ravel()
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
        }
        figure.legend(
            found.values(),
            found.keys(),
            loc="outside lower center",
            ncols=min(4, len(found) or 1),
            fontsize=8.5,
        )
    return figure


def _panel(
    axes: Axes,
    matrix: Matrix,
    targets: Sequence[TargetInfo],
    source: str | None,
    metric: Judged,
    raw: bool,
    styles: dict[str, Look],
) -> None:
    names = [name for name in matrix.strategies if name != matrix.baseline]
    for place, strategy in enumerate(names):
        shift = _APART * (place - (len(names) - 1) / 2)
        cells = {
            cell.target: cell for cell in matrix.select(strategy=strategy) if cell.source in (None, source)
        }
        doses = [
            (info.dose.severity + shift, cells[info.name])
            for info in targets
            if info.dose is not None and info.name in cells
        ]
        _strategy(axes, doses, metric, raw, styles[strategy], _label(matrix, strategy))
    if not raw:
        delta = targets[0].scale.delta
        axes.axhspan(-delta, delta, color=MUTED, alpha=0.12, linewidth=0, zorder=0)
    axes.axhline(0.0, color="black", linewidth=1.0, zorder=1)
    axes.set_xlim(0.0, 1.04)


def _label(matrix: Matrix, strategy: str) -> str:
    return f"{strategy} (control)" if matrix.strategies[strategy].control else strategy


def _strategy(
    axes: Axes, doses: Sequence[tuple[float, Cell]], metric: Judged, raw: bool, look: Look, label: str
) -> None:
    """The line of one strategy, broken where runs are missing."""
    means = [math.nan if _blocked(cell, metric) else _gain(cell, metric, raw).point for _, cell in doses]
    axes.plot(
        [x for x, _ in doses], means, color=look.colour, linestyle=look.line, linewidth=1.7,
        marker=look.marker, markersize=5.5, label=label, zorder=3,
    )  # fmt: skip
    for x, cell in doses:
        gain, blocked = _gain(cell, metric, raw), _blocked(cell, metric)
        if gain.limited:
            low, high = (end if math.isfinite(end) else gain.point for end in (gain.low, gain.high))
            strength = 0.4 if blocked else 0.9
            axes.plot(
                [x, x], [low, high], color=look.colour, linewidth=1.3, alpha=strength, zorder=2
            )  # fmt: skip
        if blocked and math.isfinite(gain.point):
            axes.plot([x], [gain.point], look.marker or "o", mfc="none", mec=look.colour, ms=5.5, zorder=3)


def _blocked(cell: Cell, metric: Judged) -> bool:
    return cell.comparisons[metric].obstacle is not None


def _gain(cell: Cell, metric: Judged, raw: bool) -> Interval:
    return cell.metrics[metric].value.interval if raw else cell.comparisons[metric].gain

"""The transfer matrix as a heatmap: gain, interval and verdict of every cell."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import AsinhNorm, LinearSegmentedColormap, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rl_transfer.analysis import words
from rl_transfer.analysis.comparison import JUDGED, Comparison, Judged
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Cell, CellKey, Matrix
from rl_transfer.analysis.verdict import Verdict
from rl_transfer.report.sections import cell_anchor
from rl_transfer.report.style import INK, MUTED, NEGATIVE, ON_PALE, ON_STRONG, POSITIVE, drawing, short_lines
from rl_transfer.report.svg_text import linked, noted
from rl_transfer.results import Labels

Row = tuple[str, str | None]
"""(strategy, source)."""

Colour = tuple[float, float, float, float]

CHECKPOINT = "†"
"""Beside the symbol of a verdict that holds for its checkpoints and not for their source task."""
_MOST = 5.0
"""Scores at which colours saturate at the latest."""
_LINEAR = 0.5
"""Up to about here colours go in proportion, beyond it with the logarithm."""
_TICKS = (0.25, 0.5, 1, 2, 5)
DARK = 0.26
"""So far from the middle of the colours text is pale."""
BLANK = "#f0f0f0"
_VEIL = "#fefefe"
"""Behind the text of hatched cells; like the middle of the colours, no white that a dark page turns round."""
GAIN_COLOURS = LinearSegmentedColormap.from_list(
    "gain", ["#6b2f03", NEGATIVE, "#f1a340", _VEIL, "#67a9cf", POSITIVE, "#052f5f"]
)
"""From loss through none to gain."""
_LEGEND = (
    "▲ positive\u2003▼ negative\u2003≈ equivalent\u2003? inconclusive (hatched)\u2003"
    "* a control puts it in doubt\u2003! flagged"
)


def heatmap(matrix: Matrix) -> Figure:
    """One panel per judged metric; rows are strategy and source, columns targets; controls below a gap.

    Colour runs from orange (loss) through white to blue (gain), up to the largest of them or ±5 scores; steps
    are finer near 0, so that small gains and large ones are told apart. It is pale where the verdict is
    inconclusive; the sign, a symbol and hatching say the same in black and white. Each target that is
    judged on raw values has a scale of its own, up to its largest gain or loss.

    Args:
        matrix: a finished analysis.

    Returns:
        A figure whose size grows with the matrix.
    """
    rows, targets = rows_of(matrix), [*matrix.targets]
    wide = len(targets) > 5
    shape = (2, 1) if wide else (1, 2)
    label = 0.085 * max((len(row_label(row, matrix)) for row in rows), default=10)
    panel = (1.42 * max(1, len(targets)), 0.62 * max(1, len(rows)))
    size = (label + panel[0] * shape[1] + 0.9, panel[1] * shape[0] + 1.9 * shape[0] + 0.3)
    with drawing():
        figure = Figure(figsize=(max(6.4, size[0]), size[1]), layout="constrained")
        panels = figure.subplots(*shape, squeeze=False, sharey=not wide).ravel()
        limits = limits_of(matrix)
        for axes, metric in zip(panels, JUDGED, strict=True):
            _panel(axes, metric, matrix, rows, targets, limits)
        for axes in panels if wide else panels[:1]:
            _row_labels(axes, rows, matrix)
        figure.suptitle(
            f"{matrix.name}: transfer against {matrix.baseline}, {words.at_budgets(matrix)}", fontsize=11.5
        )
        figure.supxlabel(legend_of(matrix), fontsize=8, color=INK)
        colour_bar(figure, [*panels], matrix, limits)
    return figure


def legend_of(matrix: Matrix) -> str:
    """What the symbols mean; those of failed and unfinished runs where there are any.

    Args:
        matrix: a finished analysis.
    """
    entries = [entry for cell in matrix.cells for entry in cell.comparisons.values()]
    blocked = dict.fromkeys(f"{e.symbol} {e.outcome}\u2003" for e in entries if e.obstacle is not None)
    few = f"{CHECKPOINT} this checkpoint\u2003" if any(map(of_checkpoint, entries)) else ""
    return f"{''.join(blocked)}{few}{_LEGEND}"


def rows_of(matrix: Matrix) -> list[Row]:
    """Arms that are compared with the from-scratch one, in order.

    Args:
        matrix: a finished analysis.
    """
    shown = [cell for cell in matrix.cells if cell.kind != "baseline"]
    return list(dict.fromkeys((cell.strategy, cell.source) for cell in shown))


def row_label(row: Row, matrix: Matrix) -> str:
    """What stands beside a row.

    Args:
        row: an arm.
        matrix: that it is in.
    """
    strategy, source = row
    name = words.arm_label(strategy, source, matrix)
    return f"{name} (control)" if matrix.strategies[strategy].control else name


def _row_labels(axes: Axes, rows: Sequence[Row], matrix: Matrix) -> None:
    axes.set_yticks(_positions(rows, matrix), [row_label(row, matrix) for row in rows])
    for text, row in zip(axes.get_yticklabels(), rows, strict=True):
        if matrix.strategies[row[0]].control:
            text.set_color(MUTED)


def _positions(rows: Sequence[Row], matrix: Matrix) -> list[float]:
    """Row centres, with a gap before the controls."""
    gap = 0.25
    return [index + (gap if matrix.strategies[row[0]].control else 0.0) for index, row in enumerate(rows)]


def limits_of(matrix: Matrix) -> dict[str, float]:
    """Target → where its colours saturate, in the unit that its gains are judged in.

    Scores share the largest gain, but within 0.25 … 5; raw values cannot be compared between targets.

    Args:
        matrix: a finished analysis.
    """
    raw = {name for name, info in matrix.targets.items() if info.scale.is_raw}
    found: dict[str, float] = {}
    for cell in matrix.cells:
        for entry in cell.comparisons.values():
            if math.isfinite(entry.gain.point):
                found[cell.target] = max(found.get(cell.target, 0.0), abs(entry.gain.point))
    scores = [value for name, value in found.items() if name not in raw]
    shared = float(np.clip(max(scores, default=1.0), 0.25, _MOST))
    return {name: (found.get(name) or 1.0) if name in raw else shared for name in matrix.targets}


def norm_of(limit: float, *, raw: bool) -> AsinhNorm:
    """The scale of colours, from −limit to limit.

    Args:
        limit: where colours saturate.
        raw: whether gains have the measure's unit; then the share of the limit counts.
    """
    return AsinhNorm(_LINEAR * limit if raw else _LINEAR, -limit, limit)


def _panel(
    axes: Axes,
    metric: Judged,
    matrix: Matrix,
    rows: Sequence[Row],
    targets: Sequence[str],
    limits: Mapping[str, float],
) -> None:
    cells = {cell.key: cell for cell in matrix.cells}
    positions = _positions(rows, matrix)
    for (strategy, source), y in zip(rows, positions, strict=True):
        for x, target in enumerate(targets):
            key: CellKey = (source, target, strategy)
            if key in cells:
                _cell(axes, x, y, cells[key], metric, limits[target], matrix)
    # A single narrow column would let the titles of the two panels run into each other.
    gap = "\n" if len(matrix.targets) == 1 else " "
    axes.set_title(f"{METRICS[metric].claim}{gap}({METRICS[metric].label})", pad=8)
    axes.set_xlim(-0.5, len(targets) - 0.5)
    axes.set_ylim((positions[-1] if positions else 0) + 0.5, -0.5)
    axes.set_xticks(range(len(targets)), [_target_label(name, matrix) for name in targets], fontsize=8.5)
    axes.grid(False)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _target_label(name: str, matrix: Matrix) -> str:
    scale = matrix.targets[name].scale
    short = short_lines(name, 18)
    reference, random = (
        words.number(value, digits=words.digits(matrix.labels)) for value in (scale.reference, scale.random)
    )
    return f"{short}\n{'raw' if scale.is_raw else f'{scale.mode} {reference}'}\n{matrix.labels.zero} {random}"


def _cell(axes: Axes, x: float, y: float, cell: Cell, metric: Judged, limit: float, matrix: Matrix) -> None:
    entry, labels = cell.comparisons[metric], matrix.labels
    norm = norm_of(limit, raw=matrix.targets[cell.target].scale.is_raw)
    coloured = math.isfinite(entry.gain.point)
    face = GAIN_COLOURS(norm(entry.gain.point)) if coloured else to_rgba(BLANK)
    unsure = entry.verdict is Verdict.INCONCLUSIVE
    if unsure and coloured:
        face = pale(face)
    box = Rectangle(
        (x - 0.48, y - 0.46),
        0.96,
        0.92,
        facecolor=face,
        edgecolor="#9a9a9a" if unsure else "#404040",
        hatch="////" if unsure else None,
        linewidth=0.7,
    )
    noted(box, said_of(cell, metric, matrix))
    linked(box, cell_anchor(cell, matrix))
    axes.add_patch(box)
    dark = coloured and abs(float(norm(entry.gain.point)) - 0.5) > DARK
    ink = ON_STRONG if dark and not unsure else ON_PALE
    veil = {"facecolor": _VEIL, "alpha": 0.8, "edgecolor": "none", "pad": 1.2} if unsure else None
    first, second = _texts(cell, entry, labels)
    axes.text(x, y - 0.12, first, ha="center", va="center", color=ink, weight="bold", fontsize=9.5, bbox=veil)
    axes.text(x, y + 0.23, second, ha="center", va="center", color=ink, fontsize=7, bbox=veil)
    if any(not flag.of_control for flag in cell.flags):
        axes.text(x + 0.43, y - 0.28, "!", ha="right", va="center", color=ink, weight="bold", fontsize=8)


def said_of(cell: Cell, metric: Judged, matrix: Matrix) -> str:
    """Arm, target, verdict and gain of a cell, for whoever points at it.

    Args:
        cell: with that metric.
        metric: judged.
        matrix: that the cell is in.
    """
    entry, arm = cell.comparisons[metric], words.arm_label(cell.strategy, cell.source, matrix)
    gain = words.gain(entry, matrix.labels)
    return f"{arm} on {cell.target}, {METRICS[metric].claim}: {entry.outcome}, {gain}"


def pale(colour: Colour) -> Colour:
    """What an inconclusive cell has of the colour of its gain.

    Args:
        colour: red, green, blue and alpha, each 0 … 1.
    """
    red, green, blue, alpha = colour
    return 0.45 * red + 0.55, 0.45 * green + 0.55, 0.45 * blue + 0.55, alpha


def _texts(cell: Cell, entry: Comparison, labels: Labels) -> tuple[str, str]:
    gain = entry.raw if entry.shown_raw else entry.gain
    digits = words.digits(labels, "measure" if entry.shown_raw else "score")
    point, low, high = (_signed(value, digits) for value in (gain.point, gain.low, gain.high))
    doubt = "*" if entry.doubted else ""
    apart = " r" if entry.shown_raw and entry.unit == "score" else ""
    first = f"{entry.symbol}{CHECKPOINT if of_checkpoint(entry) else ''} {point}{apart}{doubt}"
    if entry.obstacle is not None:
        short = len(cell.finished) < len(cell.seeds)
        runs = f", {len(cell.finished)} of {len(cell.seeds)} runs" if short else ""
        return first, f"{entry.outcome}{runs}"
    if not gain.limited:
        return first, "no interval"
    if not gain.defined:
        return first, f"at least {low}" if math.isfinite(gain.low) else f"at most {high}"
    return first, f"[{low}, {high}]"


def of_checkpoint(entry: Comparison) -> bool:
    """Whether its verdict speaks of few checkpoints instead of their source task.

    Args:
        entry: of a cell.
    """
    return entry.verdict is not Verdict.INCONCLUSIVE and entry.fed is not None and bool(entry.fed.mark)


def _signed(value: float, digits: int) -> str:
    return words.number(value, signed=True, digits=digits).replace("-", "−")


def colour_bar(figure: Figure, panels: Sequence[Axes], matrix: Matrix, limits: Mapping[str, float]) -> None:
    """What the colours mean, right of all panels.

    Args:
        figure: that has the panels.
        panels: the axes.
        matrix: a finished analysis.
        limits: target → where its colours saturate.
    """
    raw = [name for name, info in matrix.targets.items() if info.scale.is_raw]
    scores = [limits[name] for name in matrix.targets if name not in raw]
    limit = scores[0] if scores else 1.0
    gains = [
        abs(entry.gain.point)
        for cell in matrix.cells
        if cell.target not in raw
        for entry in cell.comparisons.values()
    ]
    beyond = any(gain > limit for gain in gains)
    aspect = 5.5 * figure.get_figheight()  # the same width in inches whatever the height
    bar = figure.colorbar(
        ScalarMappable(norm_of(limit, raw=not scores), GAIN_COLOURS),
        ax=list(panels), shrink=0.7, aspect=aspect, pad=0.015, extend="both" if beyond else "neither",
    )  # fmt: skip
    share = "gain as a share of the target's largest"
    label = "gain in normalised score" if scores else share
    if scores and raw:
        label += f" (raw: {share[5:]})"
    shown = [each for each in _TICKS if each <= limit]
    bar.set_ticks([*(-each for each in reversed(shown)), 0, *shown])
    bar.ax.yaxis.set_major_formatter(lambda value, _: _signed(value, 3) if value else "0")
    bar.minorticks_off()
    bar.set_label(textwrap.fill(label, max(24, int(12 * figure.get_figheight()))))
    bar.outline.set_visible(False)

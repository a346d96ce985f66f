"""Large transfer matrices as small tiles: colours and symbols, without numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.colors import AsinhNorm, to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rl_transfer.analysis import words
from rl_transfer.analysis.comparison import JUDGED, Judged
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.analysis.verdict import Verdict
from rl_transfer.report.heatmap import (
    BLANK,
    CHECKPOINT,
    DARK,
    GAIN_COLOURS,
    colour_bar,
    legend_of,
    limits_of,
    norm_of,
    of_checkpoint,
    row_label,
    rows_of,
    said_of,
)
from rl_transfer.report.sections import cell_anchor
from rl_transfer.report.style import INK, ON_PALE, ON_STRONG, drawing, short_lines, titled
from rl_transfer.report.svg_text import linked, noted

MOST_ROWS, MOST_TARGETS = 30, 15
"""With more arms or targets than this a matrix is drawn in tiles: the page and a sheet of paper hold it."""
_WIDE, _HIGH = 0.24, 0.19
"""Inches of a tile."""
_PAPER = 15.0
"""Inches that two panels side by side may have."""
_GAP = 1.1
"""Above the rows of a strategy, in tiles: room for its name."""
_FAINT = 0.45
"""Opacity of what is undecided."""
_LETTERS = 34
"""Of a name beside or below the tiles."""
_NARROW = 3.4
"""Inches; titles of narrower panels have two lines."""


@dataclass(frozen=True)
class _Tile:
    """What one tile says."""

    value: float
    """What it is coloured by; NaN: grey."""
    symbol: str
    sure: bool
    note: str


def crowded(matrix: Matrix) -> bool:
    """Whether a matrix is too large for cells with numbers in them.

    Args:
        matrix: a finished analysis.
    """
    return len(rows_of(matrix)) > MOST_ROWS or len(matrix.targets) > MOST_TARGETS


def tile_map(matrix: Matrix) -> Figure:
    """The transfer matrix in tiles, a panel per judged metric; colours are those of the heatmap.

    Large tiles with a symbol are decided; small faint ones are not. In the page each tile has its numbers as
    a note, and leads to its cell.

    Args:
        matrix: a finished analysis.

    Returns:
        A figure with strategies and sources as rows and targets as columns.
    """
    limits = limits_of(matrix)
    with drawing():
        figure, panels = _panels(matrix, len(JUDGED))
        for axes, metric in zip(panels, JUDGED, strict=True):
            found = {
                cell.key: _judged(cell, metric, matrix) for cell in matrix.cells if cell.kind != "baseline"
            }
            _panel(axes, found, matrix, limits)
            gap = "\n" if _WIDE * len(matrix.targets) < _NARROW else " "
            axes.set_title(f"{METRICS[metric].claim}{gap}({METRICS[metric].label})", pad=8)
        titled(figure, f"{matrix.name}: transfer against {matrix.baseline}, {words.at_budgets(matrix)}")
        legend = legend_of(matrix).replace("? inconclusive (hatched)", "small and faint: inconclusive")
        figure.supxlabel(legend, fontsize=8, color=INK)
        colour_bar(figure, panels, matrix, limits)
    return figure


def jump_start_tiles(matrix: Matrix) -> Figure:
    """Performance at step 0 over that of the from-scratch arm, in tiles: of every arm on every target.

    Args:
        matrix: a finished analysis.

    Returns:
        A figure with one panel; colours go up to the largest of each target.
    """
    metric = "jump_start"
    shown = [cell for cell in matrix.cells if metric in cell.metrics]
    limits = dict.fromkeys(matrix.targets, 0.0)
    for cell in shown:
        value = cell.metrics[metric].value.mean
        if math.isfinite(value):
            limits[cell.target] = max(limits[cell.target], abs(value))
    with drawing():
        figure, (axes,) = _panels(matrix, 1)
        found = {cell.key: _started(cell, metric, limits[cell.target] or 1.0, matrix) for cell in shown}
        _panel(axes, found, matrix, dict.fromkeys(matrix.targets, 1.0))
        titled(figure, f"Jump-start over {matrix.baseline}: before any training on the target")
        figure.supxlabel(
            "+ more\u2003− less\u2003small and faint: the interval holds 0\u2003"
            "colours go up to the largest of each target",
            fontsize=8, color=INK,
        )  # fmt: skip
    return figure


def _judged(cell: Cell, metric: Judged, matrix: Matrix) -> _Tile:
    entry = cell.comparisons[metric]
    sure = entry.verdict is not Verdict.INCONCLUSIVE
    symbol = entry.symbol if sure or entry.obstacle is not None else ""
    marks = f"{CHECKPOINT if of_checkpoint(entry) else ''}{'*' if entry.doubted else ''}"
    flagged = "!" if any(not flag.of_control for flag in cell.flags) else ""
    return _Tile(entry.gain.point, f"{symbol}{marks}{flagged}", sure, said_of(cell, metric, matrix))


def _started(cell: Cell, metric: str, limit: float, matrix: Matrix) -> _Tile:
    found, digits = cell.metrics[metric].value, words.digits(matrix.labels)
    sure = found.interval.defined and not found.low <= 0 <= found.high
    arm = words.arm_label(cell.strategy, cell.source, matrix)
    said = words.interval(found.interval, digits=digits)
    symbol = ("+" if found.mean > 0 else "−") if sure else ""
    return _Tile(found.mean / limit, symbol, sure, f"{arm} on {cell.target}, jump-start: {said}")


def _panels(matrix: Matrix, count: int) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels, side by side where a sheet of paper has room for them."""
    places, labels = _labels(matrix)
    names = max(map(len, labels), default=10)
    below = max((len(_short(name)) for name in matrix.targets), default=10)
    panel = (_WIDE * max(1, len(matrix.targets)), _HIGH * (max(places, default=0) + 1))
    label, foot = 0.07 * names, 0.07 * below + 0.5
    beside = count * panel[0] + label + 1 <= _PAPER
    shape = (1, count) if beside else (count, 1)
    width = label + panel[0] * shape[1] + 1.2
    figure = Figure(figsize=(max(6.4, width), (panel[1] + foot) * shape[0] + 0.8), layout="constrained")
    found = [*figure.subplots(*shape, squeeze=False, sharey=beside).ravel()]
    strategies = {*map(_short, matrix.strategies)}
    for axes in found if not beside else found[:1]:
        axes.set_yticks(places, labels, fontsize=7.5)
        for text in axes.get_yticklabels():
            if text.get_text() in strategies:
                text.set_weight("bold")
    for axes in found:
        axes.set_xlim(-0.5, len(matrix.targets) - 0.5)
        axes.set_ylim(max(places, default=0) + 0.5, -0.5)
        names_below = [_short(name) for name in matrix.targets]
        axes.set_xticks(range(len(names_below)), names_below, fontsize=7.5, rotation=90)
        axes.grid(False)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(False)
    return figure, found


def _short(name: str) -> str:
    return short_lines(name, _LETTERS).split("\n")[0]


def _positions(matrix: Matrix) -> list[float]:
    """Row centres; strategies stand apart."""
    rows, gaps = rows_of(matrix), 0.0
    found: list[float] = []
    for place, (strategy, _) in enumerate(rows):
        gaps += _GAP * (place == 0 or strategy != rows[place - 1][0])
        found.append(place + gaps)
    return found


def _labels(matrix: Matrix) -> tuple[list[float], list[str]]:
    """Names beside the rows and above those of each strategy, and where they stand."""
    rows, places = rows_of(matrix), _positions(matrix)
    found: list[tuple[float, str]] = []
    for place, (strategy, source) in zip(places, rows, strict=True):
        alone = sum(name == strategy for name, _ in rows) == 1
        if alone:
            found.append((place, _short(row_label((strategy, source), matrix))))
            continue
        if strategy not in {rows[i][0] for i in range(len(rows)) if places[i] < place}:
            found.append((place - 1, _short(strategy)))
        found.append((place, _short(source or "no source")))
    return [place for place, _ in found], [name for _, name in found]


def _panel(
    axes: Axes,
    tiles: Mapping[tuple[str | None, str, str], _Tile],
    matrix: Matrix,
    limits: Mapping[str, float],
) -> None:
    cells = {cell.key: cell for cell in matrix.cells}
    norms = {name: norm_of(limit, raw=matrix.targets[name].scale.is_raw) for name, limit in limits.items()}
    for (strategy, source), y in zip(rows_of(matrix), _positions(matrix), strict=True):
        for x, target in enumerate(matrix.targets):
            key = (source, target, strategy)
            if key in tiles:
                _draw(axes, (x, y), tiles[key], norms[target], cell_anchor(cells[key], matrix))


def _draw(axes: Axes, place: tuple[float, float], tile: _Tile, norm: AsinhNorm, anchor: str) -> None:
    x, y = place
    at = float(norm(tile.value)) if math.isfinite(tile.value) else 0.5
    face = GAIN_COLOURS(at) if math.isfinite(tile.value) else to_rgba(BLANK)
    half = 0.47 if tile.sure or tile.symbol else 0.3
    through = (*face[:3], _FAINT)  # the paper shines through, be it light or dark
    box = Rectangle(
        (x - half, y - half), 2 * half, 2 * half, linewidth=0.5,
        facecolor=face if tile.sure else through, edgecolor="#404040" if tile.sure else "#b0b0b0",
    )  # fmt: skip
    noted(box, tile.note)
    linked(box, anchor)
    axes.add_artist(box).set_in_layout(False)
    if tile.symbol:
        on_colour = ON_STRONG if abs(at - 0.5) > DARK else ON_PALE
        ink = on_colour if tile.sure else INK
        text = axes.text(x, y + 0.03, tile.symbol, ha="center", va="center", color=ink, fontsize=6.5)
        text.set_in_layout(False)

"""What happened inside the networks: a figure, a table and a few plain numbers per target; no verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator, PercentFormatter, StrMethodFormatter

from rl_transfer.analysis import words
from rl_transfer.analysis.cells import Estimate
from rl_transfer.analysis.inside import SHARES, START_OF, PartInside, apart
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.report.markup import Html, items, joined, table, tag
from rl_transfer.report.sections import minus
from rl_transfer.report.style import Look, drawing, legend_below, looks, titled
from rl_transfer.wording import counted

LABELS = {
    "dormant_end": "dormant units",
    "saturated_end": "saturated units",
    "effective_rank_end": "effective rank",
    "gradient_agreement_end": "gradient agreement",
    "distance": "distance from the start",
}
"""Figures at the end of training → what they are called. Each has a panel."""
LEAST_DISTANCE = 0.01
"""Up to here the axis of distances is linear, beyond it logarithmic."""
MOST_SAID = 3
"""Figures that an arm's sentence names; the table has all of them."""


def shown(matrix: Matrix, target: str) -> tuple[Cell, ...]:
    """The arms on a target whose records say something of the inside.

    Args:
        matrix: a finished analysis.
        target: a target's name.
    """
    return tuple(cell for cell in matrix.select(target=target) if cell.inside)


def inside_scalars(cell: Cell) -> dict[str, dict[int, float]]:
    """What a chart shows of an arm's networks: means over seeds at the start and at the end of training.

    Args:
        cell: of any arm.

    Returns:
        ``figure/part`` → step → mean; distances begin at 0. Empty where records say nothing of the inside.
    """
    if not math.isfinite(cell.budget):
        return {}
    found: dict[str, dict[int, float]] = {}
    for name, part in cell.inside.items():
        for figure, label in LABELS.items():
            before = part.figures.get(START_OF.get(figure, ""))
            points = {0: 0.0} if figure == "distance" else {} if before is None else {0: before.mean}
            if figure in part.figures:
                found[f"{label}/{name}"] = {**points, int(cell.budget): part.figures[figure].mean}
    return found


def inside_figure(matrix: Matrix, target: str) -> Figure:
    """Every figure part by part: means and intervals of all arms at the end, open circles at the start.

    Figures that are 0 throughout have no panel.

    Args:
        matrix: a finished analysis.
        target: one on which :func:`shown` finds arms.

    Returns:
        A figure with one panel per figure, parts below each other.
    """
    cells = shown(matrix, target)
    parts = list(dict.fromkeys(name for cell in cells for name in cell.inside))
    panels = [figure for figure in LABELS if any(_says(cell, figure) for cell in cells)]
    styles = looks(matrix)
    band = len(cells) + 1
    with drawing():
        size = (2.0 + 2.5 * max(1, len(panels)), 1.5 + 0.13 * band * len(parts))
        drawn = Figure(figsize=size, layout="constrained")
        axes_of = drawn.subplots(1, max(1, len(panels)), squeeze=False, sharey=True)[0]
        for axes, figure in zip(axes_of, panels, strict=False):
            for place, name in enumerate(parts):
                for row, cell in enumerate(cells):
                    if name in cell.inside:
                        _point(axes, band * place + row, cell.inside[name], figure, styles[cell.strategy])
            axes.set_title(LABELS[figure])
            _scale(axes, figure)
            for place in range(1, len(parts)):
                axes.axhline(band * place - 1, color="#dcdcdc", linewidth=0.8)
        first = axes_of[0]
        first.set_yticks([band * place + (len(cells) - 1) / 2 for place in range(len(parts))], parts)
        first.set_ylim(band * len(parts) - 1, -1)
        for axes in axes_of:
            axes.grid(visible=False, axis="y")
        legend_below(drawn, cells, matrix, columns=4)
        share = f"{matrix.settings.confidence:.0%}"
        titled(
            drawn,
            f"{target}: inside the networks at the end of training (open: at the start), {share} intervals",
        )
    return drawn


def _scale(axes: Axes, figure: str) -> None:
    """Distances of heads that begin near 0 are a hundred times those of trunks."""
    if figure == "distance":
        axes.set_xscale("symlog", linthresh=LEAST_DISTANCE)
        axes.set_xlim(left=-LEAST_DISTANCE / 3)
        axes.xaxis.set_major_locator(FixedLocator([0.0, *(LEAST_DISTANCE * 10.0**k for k in range(8))]))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        return
    axes.xaxis.set_major_locator(MaxNLocator(4))
    if figure in SHARES:
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _says(cell: Cell, figure: str) -> bool:
    found = [part.figures[figure] for part in cell.inside.values() if figure in part.figures]
    return any(each.mean != 0 for each in found)


def _point(axes: Axes, y: float, part: PartInside, figure: str, look: Look) -> None:
    start = part.figures.get(START_OF.get(figure, ""))
    end = part.figures.get(figure)
    marker = look.marker or "o"
    if start is not None:
        axes.plot([start.mean], [y], "o", mfc="none", mec=look.colour, ms=4.5, mew=0.9, zorder=2)
    if start is not None and end is not None:
        axes.plot([start.mean, end.mean], [y, y], color=look.colour, linewidth=0.7, alpha=0.5, zorder=2)
    if end is not None:
        if end.interval.defined:
            axes.plot([end.low, end.high], [y, y], color=look.colour, linewidth=2, alpha=0.8, zorder=3)
        axes.plot([end.mean], [y], marker, color=look.colour, ms=5, mew=1.4, zorder=4)


def section(matrix: Matrix, figure: Callable[[str, str], Html]) -> Html:
    """*What happened inside* of the report page; nothing where no record says.

    Args:
        matrix: a finished analysis.
        figure: target and caption → the target's figure as HTML.

    Returns:
        A heading, and per target the figure, what stands apart, and a table that unfolds.
    """
    targets = [name for name in matrix.targets if shown(matrix, name)]
    if not targets:
        return Html("")
    text = (
        "Dormant and saturated units, the effective rank of what each trunk passes on, how far weights moved "
        "relative to their size, and whether gradients on two halves of the target's data agree, before and "
        "after training. Units and ranks are measured on one batch of inputs for all arms. These numbers "
        "describe: no test stands behind these, and nothing is corrected for how many they are."
    )
    return joined(
        [
            tag("h2", "What happened inside"),
            tag("p", text),
            *(_target(matrix, name, figure) for name in targets),
        ]
    )


def _target(matrix: Matrix, target: str, figure: Callable[[str, str], Html]) -> Html:
    caption = f"Inside the networks on {target}: means over seeds with intervals; open circles: at the start."
    cells = shown(matrix, target)
    return joined(
        [
            tag("h3", target),
            items(differences(matrix, target)),
            figure(target, caption),
            tag("details", tag("summary", f"{target}: every part of every arm"), _table(cells, matrix)),
        ]
    )


def differences(matrix: Matrix, target: str) -> list[str]:
    """Which arms end apart from the from-scratch arm, in plain numbers.

    Args:
        matrix: a finished analysis.
        target: a target's name.

    Returns:
        A sentence per arm; empty where the from-scratch arm has no figures.
    """
    cells = shown(matrix, target)
    found = []
    for cell in cells:
        scratch = next((c for c in cells if c.kind == "baseline" and c.source in (cell.source, None)), None)
        if cell.kind == "baseline" or scratch is None:
            continue
        gaps = apart(cell.inside, scratch.inside)
        told = [
            f"{LABELS[name]} of {part} {_text(name, here)} (from scratch {_text(name, there)})"
            for part, name, here, there in gaps[:MOST_SAID]
        ]
        more = f"; and {counted(len(gaps) - MOST_SAID, 'figure')} more" if len(gaps) > MOST_SAID else ""
        said = "; ".join(told) + more if told else "no interval leaves that of the from-scratch arm"
        found.append(minus(f"{words.arm_label(cell.strategy, cell.source, matrix)} at the end: {said}."))
    return found


def _table(cells: Sequence[Cell], matrix: Matrix) -> Html:
    rows = [
        [
            f"{name}: {words.arm_label(cell.strategy, cell.source, matrix)}",
            _change(part, "dormant"),
            _change(part, "saturated"),
            _change(part, "effective_rank"),
            _change(part, "gradient_agreement"),
            _cell(part, "distance"),
            _cell(part, "distance_from_source"),
        ]
        for name in dict.fromkeys(name for cell in cells for name in cell.inside)
        for cell in cells
        if (part := cell.inside.get(name)) is not None
    ]
    head = ["part: arm", "dormant", "saturated", "effective rank", "gradient agreement"]
    return table([*head, "distance from the start", "from the source"], rows)


def _change(part: PartInside, figure: str) -> str:
    start, end = (part.figures.get(f"{figure}_{moment}") for moment in ("start", "end"))
    if start is None and end is None:
        return ""
    before = "–" if start is None else _number(f"{figure}_start", start.mean)
    return minus(f"{before} → {'–' if end is None else _text(f'{figure}_end', end)}")


def _cell(part: PartInside, figure: str) -> str:
    found = part.figures.get(figure)
    return "" if found is None else minus(_text(figure, found))


def _text(figure: str, estimate: Estimate) -> str:
    point = _number(figure, estimate.mean)
    if not estimate.interval.defined or estimate.low == estimate.high:
        return point
    return f"{point} [{_number(figure, estimate.low)}, {_number(figure, estimate.high)}]"


def _number(figure: str, value: float) -> str:
    if value == 0:
        return "0"
    if figure in SHARES:
        return f"{value:.1%}"
    return f"{value:.2g}" if abs(value) < 0.1 else words.number(value)

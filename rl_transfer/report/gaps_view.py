"""Where source and target part: the gap in every layer before and after training, marginal and by label."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rl_transfer.analysis.gaps import FORMS, LayerGaps
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.analysis.words import arm_label, p_value
from rl_transfer.report.markup import Html, joined, table, tag
from rl_transfer.report.sections import minus
from rl_transfer.report.style import Look, drawing, legend_below, looks, titled

TITLES = {"marginal": "marginal", "conditional": "conditional on the label"}
"""Form of a gap → title of its panel."""
ABOUT = (
    "How far the states (items) of source and target lie apart in what each layer gives: MMD² with Gaussian "
    "kernels, 0 in expectation where both come from one distribution, 2 at most; marginal, and given the "
    "action, its stratum, or the class. Before and after training the network sees the same states. A "
    "smaller gap is no gain by itself, and no verdict rests on these numbers."
)


def parted(matrix: Matrix, target: str) -> tuple[Cell, ...]:
    """The arms on a target whose records say something of gaps.

    Args:
        matrix: a finished analysis.
        target: a target's name.
    """
    return tuple(cell for cell in matrix.select(target=target) if cell.gaps)


def gaps_figure(matrix: Matrix, target: str) -> Figure:
    """The gap of every layer, the input on top: open circles before training, filled marks after.

    Args:
        matrix: a finished analysis.
        target: one on which :func:`parted` finds arms.

    Returns:
        A figure with a panel for each form of the gap that some record has.
    """
    cells = parted(matrix, target)
    layers = list(dict.fromkeys(name for cell in cells for name in cell.gaps))
    panels = [
        form for form in FORMS if any(_says(each, form) for cell in cells for each in cell.gaps.values())
    ]
    styles, band = looks(matrix), len(cells) + 1
    with drawing():
        size = (2.2 + 3.4 * max(1, len(panels)), 1.7 + 0.16 * band * len(layers))
        drawn = Figure(figsize=size, layout="constrained")
        axes_of = drawn.subplots(1, max(1, len(panels)), squeeze=False, sharey=True)[0]
        for axes, form in zip(axes_of, panels, strict=False):
            axes.axvline(0.0, color="#bdbdbd", linewidth=0.8, zorder=1)
            for place, name in enumerate(layers):
                for row, cell in enumerate(cells):
                    if name in cell.gaps:
                        _point(axes, band * place + row, cell.gaps[name], form, styles[cell.strategy])
                if place:
                    axes.axhline(band * place - 1, color="#dcdcdc", linewidth=0.8)
            axes.set_title(TITLES[form])
            axes.set_xlabel("MMD²")
            axes.xaxis.set_major_locator(MaxNLocator(5))
            axes.grid(visible=False, axis="y")
        first = axes_of[0]
        first.set_yticks([band * place + (len(cells) - 1) / 2 for place in range(len(layers))], layers)
        first.set_ylim(band * len(layers) - 1, -1)
        legend_below(drawn, cells, matrix, columns=3)
        share = f"{matrix.settings.confidence:.0%}"
        titled(drawn, f"{target}: where the domains part (open: before training), {share} intervals")
    return drawn


def _says(layer: LayerGaps, form: str) -> bool:
    return f"mmd_{form}_start" in layer.figures or f"mmd_{form}_end" in layer.figures


def _point(axes: Axes, y: float, layer: LayerGaps, form: str, look: Look) -> None:
    start, end = (layer.figures.get(f"mmd_{form}_{moment}") for moment in ("start", "end"))
    if start is not None:
        axes.plot([start.mean], [y], "o", mfc="none", mec=look.colour, ms=4.5, mew=0.9, zorder=2)
    if start is not None and end is not None:
        axes.plot([start.mean, end.mean], [y, y], color=look.colour, linewidth=0.7, alpha=0.5, zorder=2)
    if end is not None:
        if end.interval.defined:
            axes.plot([end.low, end.high], [y, y], color=look.colour, linewidth=2, alpha=0.8, zorder=3)
        axes.plot([end.mean], [y], look.marker or "o", color=look.colour, ms=5, mew=1.4, zorder=4)


def gaps_section(matrix: Matrix, figure: Callable[[str, str], Html]) -> Html:
    """*Where the domains part* of the report page; nothing where no record says.

    Args:
        matrix: a finished analysis.
        figure: target and caption → the target's figure as HTML.

    Returns:
        A heading, and per target the figure and a table that unfolds.
    """
    targets = [name for name in matrix.targets if parted(matrix, name)]
    if not targets:
        return Html("")
    return joined(
        [
            tag("h2", "Where the domains part"),
            tag("p", ABOUT),
            *(_target(matrix, name, figure) for name in targets),
        ]
    )


def _target(matrix: Matrix, target: str, figure: Callable[[str, str], Html]) -> Html:
    cells = parted(matrix, target)
    caption = (
        f"Gap between the source and {target} in every layer, means over seeds with intervals; open circles: "
        "before training."
    )
    return joined(
        [
            tag("h3", target),
            figure(target, caption),
            tag("details", tag("summary", f"{target}: every layer of every arm"), _table(cells, matrix)),
        ]
    )


def _table(cells: Sequence[Cell], matrix: Matrix) -> Html:
    rows = [
        [
            f"{name}: {arm_label(cell.strategy, cell.source, matrix)}",
            *(_change(layer, measure, form) for form in FORMS for measure in ("mmd", "coral_share")),
            *(_p(layer, form) for form in FORMS),
        ]
        for name in dict.fromkeys(name for cell in cells for name in cell.gaps)
        for cell in cells
        if (layer := cell.gaps.get(name)) is not None
    ]
    measures = [f"{measure}, {form}" for form in FORMS for measure in ("MMD²", "CORAL share")]
    return table(["layer: arm", *measures, *(f"median p, {form}" for form in FORMS)], rows)


def _change(layer: LayerGaps, measure: str, form: str) -> str:
    found = [layer.figures.get(f"{measure}_{form}_{moment}") for moment in ("start", "end")]
    if found == [None, None]:
        return ""
    return minus(" → ".join("–" if each is None else f"{each.mean:.3f}" for each in found))


def _p(layer: LayerGaps, form: str) -> str:
    found = [layer.p.get(f"{form}_{moment}") for moment in ("start", "end")]
    return "" if found == [None, None] else " → ".join("–" if p is None else p_value(p) for p in found)

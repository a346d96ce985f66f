"""Learning curves, jump-starts and performance profiles."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import Locator, MaxNLocator, StrMethodFormatter
from numpy.typing import NDArray

from rl_transfer.analysis import words
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.report.style import GAIN, INK, LOSS, MUTED, Look, drawing, looks, short_lines, titled
from rl_transfer.report.svg_text import noted

KIND_NOTES = {"control": " (control)", "baseline": " (baseline)", "transfer": ""}
"""Kind of an arm → what a legend says behind its name."""
_MOST_COLUMNS = 2
"""Of panels; those of more sources stand in several lines."""
_MOST_SEEDED = 3
"""With more sources than this panels have no lines of single seeds."""
_MOST_WIDE = 12
"""With more sources than this panels are small: an overview on one page. Values and differences stand in the
opened cells alone then."""
_SMALL_COLUMNS = 6
_MARGIN = 0.05
"""Matplotlib's own, beside the first and the last step."""
_MOST_STRIPS = 24
"""Evaluations whose values the page shows where somebody points."""


def learning_curves(matrix: Matrix, target: str) -> Figure:
    """Mean curves with intervals of every strategy on ``target``, and thin ones of its seeds, by source.

    The baseline and the controls stand in every panel; horizontal lines mark chance and the
    reference of the scores. Below each panel are the differences to the from-scratch arm with their
    simultaneous bands, shaded where the arms part; where no arm has enough runs there are none.

    Args:
        matrix: a finished analysis.
        target: which target's runs are drawn.

    Returns:
        A figure with steps on the horizontal axis and the measure on the vertical one.
    """
    sources: list[str | None] = [*matrix.sources] or [None]
    arms = {
        source: [cell for cell in matrix.select(target=target) if cell.source in (None, source)]
        for source in sources
    }
    styles = looks(matrix)
    with drawing():
        small = len(sources) > _MOST_WIDE
        differing = not small and any(cell.parting for cell in matrix.select(target=target))
        rows = (2.7, 1.4) if differing else (1.6,) if small else (3.0,)
        columns = _SMALL_COLUMNS if small else min(_MOST_COLUMNS, len(sources))
        lines = math.ceil(len(sources) / columns)
        width = 1.2 + (2.0 if small else 5.6) * columns
        size = (width, 1.3 + lines * sum(rows) + _legend_height(len(styles)))
        figure = Figure(figsize=size, layout=None if small else "constrained")
        if small:  # a regular grid: searching for its layout would cost as much as drawing it
            _leave_room(figure, _legend_height(len(styles)))
        grid = figure.subplots(
            lines * len(rows), columns, squeeze=False, sharex=True, height_ratios=rows * lines
        )
        panels, *below = (_side_by_side(grid[row :: len(rows)], len(sources)) for row in range(len(rows)))
        # Limits come first: panels that share an axis would be fitted to each of the others again and again.
        _fit_steps(panels[0], matrix, target)
        _fit_heights(panels[0], matrix, target)
        if below:
            _fit_differences(below[0][0], [*arms.values()])
        for axes, source in zip(panels, sources, strict=True):
            cells = arms[source]
            _curves(axes, cells, styles, each_seed=len(sources) <= _MOST_SEEDED, small=small)
            if not small:
                _values(axes, cells, matrix)
            _levels(axes, matrix, target, named=axes is panels[min(columns, len(sources)) - 1])
            missing = "; ".join(
                f"{cell.strategy}: {len(cell.finished)} of {len(cell.seeds)} runs"
                for cell in cells
                if cell.finished != cell.seeds
            )
            missing = "runs missing" if missing and small else missing
            axes.set_title(missing, loc="right", fontsize=6.5 if small else 7.5, color=MUTED, weight="normal")
            axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
            if small:
                axes.xaxis.set_major_locator(MaxNLocator(3))
                axes.tick_params(labelsize=7.5)
            if len(sources) > 1:
                name = short_lines(str(source), 22).split("\n")[0] if small else source
                axes.set_title(f"from {name}", loc="left", fontsize=8 if small else None)
        for axes, source in zip(below[0] if below else [], sources, strict=False):
            _differences(axes, arms[source], styles)
        for axes in (below or [panels])[0][-columns:]:
            axes.set_xlabel(matrix.unit)
            axes.tick_params(labelbottom=True)
        panels[0].set_ylabel(matrix.measure)
        share = f"{matrix.settings.confidence:.0%}"
        thin = "; thin: each seed" if len(sources) <= _MOST_SEEDED else ""
        where = f"; differences to {matrix.baseline}: in every cell's details" if small else ""
        title = f"{target}: mean over seeds, {share} interval at each step{thin}{where}"
        titled(figure, title)
        if below:
            below[0][0].set_ylabel(f"over {matrix.baseline}")
            below[0][0].set_title(
                f"difference, {share} band for all steps at once; shaded where the arms part (blue: gain)",
                loc="left", fontsize=8.5, weight="normal",
            )  # fmt: skip
        handles, labels = panels[0].get_legend_handles_labels()
        for axes in panels[1:]:
            more = zip(*axes.get_legend_handles_labels(), strict=True)
            fresh = [(handle, label) for handle, label in more if label not in labels]
            handles += [handle for handle, _ in fresh]
            labels += [label for _, label in fresh]
        figure.legend(
            handles,
            labels,
            loc="lower center" if small else "outside lower center",
            ncols=min(3, max(1, len(labels))),
            fontsize=8.5,
        )
    return figure


def _leave_room(figure: Figure, legend: float) -> None:
    """For labels beside, a title above and a legend below small panels; ``legend`` as _legend_height says."""
    width, height = figure.get_size_inches()
    figure.subplots_adjust(
        left=0.75 / width,
        right=1 - 1.0 / width,
        top=1 - 0.6 / height,
        bottom=(1.05 + legend) / height,
        wspace=0.1,
        hspace=0.25,
    )


def _side_by_side(grid: NDArray[np.object_], count: int) -> list[Axes]:
    """The first panels of some lines of a grid, with one vertical axis; the rest is left empty."""
    found: list[Axes] = [*grid.ravel()]
    for place, axes in enumerate(found[1:count], start=1):
        axes.sharey(found[0])
        axes.tick_params(labelleft=place % grid.shape[1] == 0)
    for axes in found[count:]:
        axes.set_visible(False)
    return found[:count]


def _legend_height(entries: int) -> float:
    """Inches that a legend in three columns needs beyond its first three rows: not those of the panels."""
    return 0.17 * max(0, math.ceil(entries / 3) - 3)


def _curves(
    axes: Axes, cells: Sequence[Cell], styles: Mapping[str, Look], *, each_seed: bool, small: bool
) -> None:
    """Means with intervals, cut off at what is possible; thin lines are the seeds."""
    for place, cell in enumerate(cells):
        if cell.band is None:
            continue
        look = styles[cell.strategy]
        axes.plot(
            cell.band.steps,
            cell.band.mean,
            color=look.colour,
            linestyle=look.line,
            marker=look.marker,
            markersize=2.5 if small else 4.5,
            markevery=(place % 2, 2) if len(cell.band.steps) > 8 else 1,
            linewidth=1.2 if small else 1.9,
            label=f"{cell.strategy}{KIND_NOTES[cell.kind]}",
            zorder=3,
        )
        if each_seed:
            many = len(cell.band.each)
            gaps = np.column_stack([cell.band.each, np.full(many, np.nan)]).ravel()
            steps = np.tile([*cell.band.steps, np.nan], many)
            axes.plot(steps, gaps, color=look.colour, linewidth=0.5, alpha=min(0.45, 4 / many), zorder=2.5)
        axes.fill_between(
            cell.band.steps,
            np.clip(cell.band.low, *cell.scale.possible),
            np.clip(cell.band.high, *cell.scale.possible),
            color=look.colour,
            alpha=0.14,
            linewidth=0,
            zorder=2,
        )


def _values(axes: Axes, cells: Sequence[Cell], matrix: Matrix) -> None:
    """Invisible strips around evaluations that say the means and intervals there."""
    bands = [(cell, cell.band) for cell in cells if cell.band is not None]
    steps = np.unique(np.concatenate([each.steps for _, each in bands])) if bands else np.array([])
    steps = steps[:: math.ceil(len(steps) / _MOST_STRIPS) or 1]
    middles = (steps[1:] + steps[:-1]) / 2
    digits = words.digits(matrix.labels)
    for low, step, high in zip([*steps[:1], *middles], steps, [*middles, *steps[-1:]], strict=True):
        said = [words.at_steps(float(step), matrix.unit)]
        for cell, each in bands:
            for at in np.flatnonzero(each.steps == step):
                mean, *ends = (
                    words.number(float(x), digits=digits)
                    for x in (each.mean[at], each.low[at], each.high[at])
                )
                interval = f" [{ends[0]}, {ends[1]}]" if np.isfinite(each.low[at]) else ""
                said.append(f"{words.arm_label(cell.strategy, cell.source, matrix)}: {mean}{interval}")
        noted(axes.axvspan(low, high, facecolor="none", linewidth=0, zorder=5), "\n".join(said))


def _differences(axes: Axes, cells: Sequence[Cell], styles: Mapping[str, Look]) -> None:
    """Differences to the from-scratch arm; the gap between 0 and a band that leaves it out is shaded.

    Blue where it is a gain and orange where it is a loss, as in the matrix.
    """
    axes.axhline(0, color="black", linewidth=0.9, zorder=1)
    for cell in cells:
        if cell.parting is None:
            continue
        look, band = styles[cell.strategy], cell.parting
        axes.plot(band.steps, band.mean, color=look.colour, linestyle=look.line, linewidth=1.6, zorder=3)
        axes.fill_between(
            band.steps, band.low, band.high, color=look.colour, alpha=0.1, linewidth=0, zorder=2
        )
        for colour, part in ((GAIN, np.maximum(band.parted, 0)), (LOSS, np.minimum(band.parted, 0))):
            if np.any(part):
                axes.fill_between(band.steps, 0, part, color=colour, alpha=0.35, linewidth=0, zorder=2.5)


def _fit_differences(axes: Axes, panels: Iterable[Sequence[Cell]]) -> None:
    """Show all differences; bands may leave the panel rather than flatten it."""
    lows, highs = [], []
    for cells in panels:
        bands = [cell.parting for cell in cells if cell.parting is not None]
        shown = [0.0, *(value for band in bands for value in band.mean.tolist())]
        edges = [0.0, *(value for band in bands for each in (band.low, band.high) for value in each.tolist())]
        room = 0.4 * (max(shown) - min(shown) or 1.0)
        bottom, top = max(min(edges), min(shown) - room), min(max(edges), max(shown) + room)
        margin = 0.03 * (top - bottom or 1.0)
        lows.append(bottom - margin)
        highs.append(top + margin)
    axes.set_ylim(min(lows), max(highs))


def levels(matrix: Matrix, target: str) -> list[tuple[float, str]]:
    """What horizontal lines stand for: chance (the random policy), and what a score of 1 means.

    Args:
        matrix: a finished analysis.
        target: a target's name.

    Returns:
        Values in the measure's unit with their names; those that are unknown are left out.
    """
    scale = matrix.targets[target].scale
    anchor = {"scratch": "scratch, final", "threshold": "threshold", "number": "given"}.get(scale.mode, "")
    both = ((scale.random, matrix.labels.chance), (scale.reference, f"score 1:\n{anchor}"))
    return [(value, name) for value, name in both if math.isfinite(value)]


def _levels(axes: Axes, matrix: Matrix, target: str, *, named: bool) -> None:
    """Horizontal lines, named right of the panel."""
    for value, name in levels(matrix, target):
        axes.axhline(value, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
        if named:
            axes.annotate(
                name, (1, value), xycoords=("axes fraction", "data"), xytext=(4, 0), fontsize=7.5,
                textcoords="offset points", ha="left", va="center", color=MUTED, annotation_clip=False,
            )  # fmt: skip


def _fit_steps(axes: Axes, matrix: Matrix, target: str) -> None:
    """As matplotlib fits its axes by itself."""
    steps = [cell.band.steps for cell in matrix.select(target=target) if cell.band is not None]
    if not steps:
        return
    ends = np.concatenate(steps)
    locator: Locator = axes.xaxis.get_major_locator()
    low, high = locator.nonsingular(float(ends.min()), float(ends.max()))
    margin = _MARGIN * (high - low)
    axes.set_xlim(low - margin, high + margin)


def _fit_heights(axes: Axes, matrix: Matrix, target: str) -> None:
    """Show all means; the intervals of a few scattered seeds may leave the panel rather than flatten it."""
    bands = [cell.band for cell in matrix.select(target=target) if cell.band is not None]
    scale = matrix.targets[target].scale
    if not bands:
        return
    means = np.concatenate([band.mean for band in bands] + [[scale.random], [scale.reference]])
    low, high = float(np.nanmin(means)), float(np.nanmax(means))
    room = 0.25 * (high - low or 1.0)
    edges = np.concatenate([np.concatenate([band.low, band.high]) for band in bands])
    edges = edges[np.isfinite(edges)] if np.isfinite(edges).any() else means[np.isfinite(means)]
    least, greatest = scale.possible
    bottom = max(min(low, float(edges.min())), low - room, min(least, low))
    top = min(max(high, float(edges.max())), high + room, max(greatest, high))
    margin = 0.03 * (top - bottom or 1.0)
    axes.set_ylim(bottom - margin, top + margin)


def jump_start(matrix: Matrix) -> Figure:
    """Performance before any training on the target: one point per seed, the mean, and its interval.

    Args:
        matrix: a finished analysis.

    Returns:
        A figure with one panel per target, in the measure's unit.
    """
    targets = [*matrix.targets]
    rows = list(dict.fromkeys((cell.strategy, cell.source) for cell in matrix.cells))
    styles = looks(matrix)
    columns = min(3, max(1, len(targets)))
    lines = math.ceil(max(1, len(targets)) / columns)
    with drawing():
        size = (2.2 + 2.9 * columns, 0.9 + lines * (0.9 + 0.34 * len(rows)))
        figure = Figure(figsize=size, layout="constrained")
        panels = figure.subplots(lines, columns, squeeze=False, sharey=True)
        for axes, target in zip(panels.ravel(), targets, strict=False):
            for y, (strategy, source) in enumerate(rows):
                for cell in matrix.select(target=target, strategy=strategy, source=source):
                    _start(axes, y, cell, styles[strategy])
            axes.set_title(short_lines(target, 30))
            axes.xaxis.set_major_locator(MaxNLocator(4))
            random = matrix.targets[target].scale.random
            if math.isfinite(random):
                axes.axvline(random, color=MUTED, linewidth=0.9, linestyle=(0, (2, 2)), zorder=1)
        for axes in panels.ravel()[len(targets) :]:
            axes.set_visible(False)
        panels[0][0].set_yticks(range(len(rows)), [words.arm_label(*row, matrix) for row in rows])
        panels[0][0].set_ylim(len(rows) - 0.5, -0.5)
        figure.supxlabel(f"{matrix.measure} at step 0 (dashed: {matrix.labels.chance})", fontsize=9.5)
        figure.suptitle("Jump-start: before any training on the target", fontsize=11.5)
    return figure


def _start(axes: Axes, y: int, cell: Cell, look: Look) -> None:
    estimate = cell.metrics["start_performance"].value
    values = [*estimate.per_seed.values()]
    axes.plot(values, [y + 0.16] * len(values), "o", mfc="none", mec=look.colour, ms=3.5, mew=0.8, zorder=2)
    if estimate.interval.defined:
        axes.plot([estimate.low, estimate.high], [y - 0.1] * 2, color=look.colour, linewidth=2, zorder=3)
    if math.isfinite(estimate.mean):
        marker = look.marker or "o"
        axes.plot([estimate.mean], [y - 0.1], marker, color=look.colour, ms=6.5, mew=1.6, zorder=4)


def profiles(matrix: Matrix) -> Figure | None:
    """Performance profiles: share of runs above each score, over all targets.

    Args:
        matrix: a finished analysis.

    Returns:
        A figure; None without aggregates.
    """
    shown = [entry for entry in matrix.aggregates if entry.profile is not None]
    if not shown:
        return None
    styles = looks(matrix)
    with drawing():
        figure = Figure(figsize=(6.8, 4.1 + _legend_height(len(shown))), layout="constrained")
        axes = figure.subplots()
        for entry in shown:
            profile, look = entry.profile, styles[entry.strategy]
            if profile is None:
                continue
            label = words.arm_label(entry.strategy, entry.source, matrix)
            axes.step(
                profile.thresholds, profile.share, where="post", color=look.colour, linestyle=look.line,
                linewidth=1.9, marker=look.marker, markevery=5, markersize=4.5, label=label,
            )  # fmt: skip
            axes.fill_between(
                profile.thresholds, profile.low, profile.high, step="post", color=look.colour, alpha=0.12,
                linewidth=0,
            )  # fmt: skip
        axes.set_xlabel("normalised score τ of the final performance")
        axes.set_ylabel("share of runs above τ")
        axes.set_ylim(-0.02, 1.02)
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.0%}"))
        figure.suptitle(
            f"Performance profiles over all targets, {words.at_budgets(matrix)}", fontsize=11.5, color=INK
        )
        figure.legend(loc="outside lower center", ncols=3, fontsize=8.5)
    return figure

"""How every arm fared over the tuning grid: tuning data, exploratory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from rl_transfer.analysis.arm_statistics import Interval
from rl_transfer.analysis.model import Matrix
from rl_transfer.analysis.tuning import TunedArm, TuningResult
from rl_transfer.report.style import MUTED, Look, drawing, looks, titled
from rl_transfer.results.tuning import FIGURES
from rl_transfer.spec.base import Json, canonical_json
from rl_transfer.spec.tune import numeric

_LOGARITHMIC = 4.0
"""Positive values that span this factor are shown on a logarithmic axis."""
_APART = 0.012
"""Distance of neighbouring arms at one value, as a share of the axis, so that intervals can be told apart."""


@dataclass(frozen=True)
class GridAxis:
    """Where the values of a grid's key lie on a horizontal axis.

    Attributes:
        key: dotted.
        values: as the grid has them.
        places: one for each.
        logarithmic: whether the axis is.
    """

    key: str
    values: list[Json]
    places: list[float]
    logarithmic: bool

    def shifted(self, value: Json, share: float) -> float:
        """The place of a value, moved by a share of the axis' length."""
        place, low, high = self.places[self.values.index(value)], min(self.places), max(self.places)
        return place * (high / low) ** share if self.logarithmic else place + share * (high - low)

    def dress(self, axes: Axes) -> None:
        """Scale, ticks at the grid's values, and margins."""
        axes.set_xscale("log" if self.logarithmic else "linear")
        axes.xaxis.set_minor_locator(NullLocator())
        numbers = numeric(iter(self.values))
        texts = [canonical_json(v).strip('"') for v in self.values] if numbers is None else numbers
        axes.set_xticks(self.places, [f"{each:g}" if isinstance(each, float) else each for each in texts])
        ends = self.shifted(self.values[0], 0.0), self.shifted(self.values[-1], 0.0)
        margin = (max(ends) / min(ends)) ** 0.1 if self.logarithmic else 0.1 * abs(ends[1] - ends[0])
        low, high = min(self.places), max(self.places)
        if self.logarithmic:
            axes.set_xlim(low / margin, high * margin)
        else:
            axes.set_xlim(low - margin, high + margin)


def grid_axis(result: TuningResult, key: str) -> GridAxis:
    """The axis of a grid's key: by its numbers, on a logarithmic scale where they are far apart.

    Args:
        result: the tuning.
        key: of its grid.

    Returns:
        Values that are no numbers stand side by side.
    """
    values = result.values(key)
    numbers = numeric(iter(values))
    if numbers is None or len({*numbers}) < len(numbers):
        return GridAxis(key, values, [float(place) for place in range(len(values))], logarithmic=False)
    logarithmic = min(numbers) > 0 and max(numbers) / min(numbers) >= _LOGARITHMIC
    return GridAxis(key, values, numbers, logarithmic)


def sensitivity(matrix: Matrix, result: TuningResult, target: str) -> Figure:
    """Score and gain of every arm over each key of the grid, other keys at the arm's own choice.

    The gain is over the from-scratch arm at the same point. Intervals are over the tuning seeds; a ring marks
    what an arm chose, an open mark a point that lacks runs. No verdict rests on any of it.

    Args:
        matrix: a finished analysis.
        result: its tuning.
        target: which target's arms are drawn.

    Returns:
        A figure with the measure on the left, the gain on the right, and a row per key and source.
    """
    sources: list[str | None] = [*matrix.sources] or [None]
    panels = [(key, source) for key in result.keys for source in sources]
    styles = looks(matrix)
    with drawing():
        figure = Figure(figsize=(10.0, 1.5 + 3.1 * len(panels)), layout="constrained")
        grid = figure.subplots(len(panels), 2, squeeze=False)
        for (key, source), line in zip(panels, grid, strict=True):
            axis = grid_axis(result, key)
            arms = [
                result.arms[place, target, strategy]
                for strategy in matrix.strategies
                for place in (source, None)
                if (place, target, strategy) in result.arms
            ]
            _panel(line[0], axis, arms, result, styles, matrix, gains=False)
            _panel(line[1], axis, arms, result, styles, matrix, gains=True)
            origin = f"from {source}\n" if len(sources) > 1 else ""
            line[0].set_ylabel(f"{origin}{FIGURES[result.by]}\n({matrix.measure})")
            line[1].set_ylabel(f"gain over {matrix.baseline}\nat the same point")
        titled(
            figure,
            f"{target}: every arm over the tuning grid, {matrix.settings.confidence:.0%} intervals over "
            f"{len(result.seeds)} tuning seeds\ntuning data, exploratory: no verdict rests on it; a ring is "
            "what the arm chose",
            size=10.5,
        )
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside lower center", ncols=min(4, len(labels) or 1), fontsize=8.5
        )
    return figure


def _panel(
    axes: Axes,
    axis: GridAxis,
    arms: Sequence[TunedArm],
    result: TuningResult,
    styles: Mapping[str, Look],
    matrix: Matrix,
    *,
    gains: bool,
) -> None:
    for place, arm in enumerate(arms):
        strategy = arm.key[2]
        if gains and strategy == matrix.baseline:
            continue
        look, share = styles[strategy], _APART * (place - (len(arms) - 1) / 2)
        line = [
            (axis.shifted(result.points[index][axis.key], share), index)
            for index in _slice(result, arm, axis.key)
        ]
        shown = [arm.points[index].gain if gains else arm.points[index].mean for _, index in line]
        xs = [x for x, _ in line]
        axes.plot(
            xs, [each.point for each in shown], color=look.colour, linestyle=look.line, linewidth=1.6,
            marker=look.marker or "o", markersize=4.5, label=_label(matrix, strategy), zorder=3,
        )  # fmt: skip
        for (x, index), interval in zip(line, shown, strict=True):
            _limits(axes, x, interval, look)
            if math.isnan(interval.point):
                continue
            if index == arm.chosen:
                axes.plot([x], [interval.point], "o", mfc="none", mec=look.colour, mew=1.3, ms=11, zorder=4)
            if not arm.points[index].complete:
                axes.plot(
                    [x], [interval.point], look.marker or "o", mfc="white", mec=look.colour, ms=5, zorder=4
                )
    if gains:
        axes.axhline(0.0, color=MUTED, linewidth=1.0, zorder=1)
    axis.dress(axes)
    axes.set_xlabel(axis.key)


def _limits(axes: Axes, x: float, interval: Interval, look: Look) -> None:
    if interval.defined:
        axes.plot(
            [x, x], [interval.low, interval.high], color=look.colour, linewidth=1.1, alpha=0.8, zorder=2
        )


def _slice(result: TuningResult, arm: TunedArm, key: str) -> list[int]:
    """The points that differ from an arm's choice in one key alone, in the order of its values."""
    mine = result.points[arm.chosen]
    found = [
        index
        for index, point in enumerate(result.points)
        if all(point[other] == mine[other] for other in result.keys if other != key)
    ]
    numbers = numeric(result.points[index][key] for index in found)
    return found if numbers is None else [index for _, index in sorted(zip(numbers, found, strict=True))]


def _label(matrix: Matrix, strategy: str) -> str:
    note = " (control)" if matrix.strategies[strategy].control else ""
    return f"{strategy}{' (baseline)' if strategy == matrix.baseline else note}"

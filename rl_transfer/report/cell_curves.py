"""The curves of single cells: numbers in the page, from which its script draws a cell when it is opened."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from rl_transfer.analysis.controls import Controls
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.analysis.words import arm_label
from rl_transfer.report.curves import KIND_NOTES, levels
from rl_transfer.report.markup import Html, tag
from rl_transfer.report.packing import squeezed
from rl_transfer.report.style import Look, dashes, looks, painted

MOST_POINTS = 60
"""Of a curve; evenly thinned where there are more evaluations, the first and the last among them."""
MOST_SEEDED = 250_000
"""Numbers of single seeds that a page holds; with more it has none."""
MOST_PLAIN = 100_000
"""Characters that stand in the page as they are; more are compressed."""
_GRAINS = 1000
"""Steps of the numbers of a target, at least, from the lowest to the highest."""


def curve_data(matrix: Matrix) -> Html:
    """What ``static/cell.js`` draws from: an element that nobody sees.

    Numbers of a target are whole multiples of its grain, a power of ten.

    Args:
        matrix: a finished analysis.

    Returns:
        One ``<script>`` of data; nothing where no cell has a curve.
    """
    cells = matrix.cells
    if all(cell.band is None for cell in cells):
        return Html("")
    steps: dict[tuple[float, ...], int] = {}
    styles, names = looks(matrix), [*matrix.targets]
    baselines = {cell.target: place for place, cell in enumerate(cells) if cell.kind == "baseline"}
    grains = {name: _grain(matrix.select(target=name)) for name in names}
    controls = Controls({cell.key: cell.kind for cell in cells}, matrix.strategies)
    numbers = sum(_thinned(cell.band.each).size for cell in cells if cell.band is not None)
    content = {
        "unit": matrix.unit,
        "measure": matrix.measure,
        "baseline": matrix.baseline,
        "share": f"{matrix.settings.confidence:.0%}",
        "looks": {name: _look(look) for name, look in styles.items()},
        "targets": [_target(matrix, name, grains[name]) for name in names],
        "cells": [
            None
            if cell.band is None
            else {
                "target": names.index(cell.target),
                "arm": arm_label(cell.strategy, cell.source, matrix),
                "note": KIND_NOTES[cell.kind],
                "look": cell.strategy,
                "beside": [
                    *([baselines[cell.target]] if cell.kind != "baseline" else []),
                    *(matrix.numbers[key] for key in controls.of(cell.key)),
                ],
                **_curve(cell, grains[cell.target], steps, each_seed=numbers <= MOST_SEEDED),
            }
            for cell in cells
        ],
        "steps": [[int(step) if step.is_integer() else step for step in each] for each in steps],
    }
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    text = text.replace("<", "\\u003c")
    return tag(
        "script",
        Html(text if len(text) <= MOST_PLAIN else squeezed(text)),
        type="text/plain",
        class_="curves",
    )


def _curve(
    cell: Cell, grain: float, steps: dict[tuple[float, ...], int], *, each_seed: bool
) -> dict[str, object]:
    """Mean curve, half of its interval, seeds, and the difference to the from-scratch arm likewise."""
    if cell.band is None:
        return {}

    def at(values: NDArray[np.float64]) -> int:
        return steps.setdefault(tuple(_thinned(values).tolist()), len(steps))

    def whole(values: NDArray[np.float64]) -> list[int | None]:
        return [round(value / grain) if math.isfinite(value) else None for value in _thinned(values).tolist()]

    found: dict[str, object] = {
        "runs": cell.band.runs,
        "steps": at(cell.band.steps),
        "mean": whole(cell.band.mean),
        "half": whole((cell.band.high - cell.band.low) / 2),
    }
    if each_seed and len(cell.band.each) > 1:
        found["each"] = [*map(whole, cell.band.each)]
    if cell.parting is not None:
        band = cell.parting
        found["over"] = {
            "steps": at(band.steps),
            "mean": whole(band.mean),
            "half": whole((band.high - band.low) / 2),
        }
    return found


def _thinned(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """At most :data:`MOST_POINTS` of the last axis."""
    count = values.shape[-1]
    kept = np.unique(np.linspace(0, count - 1, min(count, MOST_POINTS)).round().astype(int))
    thinned: NDArray[np.float64] = values[..., kept]
    return thinned


def _grain(cells: Sequence[Cell]) -> float:
    """A power of ten, so small that a figure shows no steps, and not so small that numbers grow long."""
    found = [cell.band.each.ravel() for cell in cells if cell.band is not None]
    values = np.concatenate(found) if found else np.zeros(1)
    least = max(float(np.ptp(values)) / _GRAINS, float(np.abs(values).max()) / 1e9)
    return 10.0 ** math.floor(math.log10(least)) if math.isfinite(least) and least > 1e-90 else 1.0


def _target(matrix: Matrix, name: str, grain: float) -> Mapping[str, object]:
    possible = matrix.targets[name].scale.possible
    return {
        "name": name,
        "grain": grain,
        "levels": [[value, text.replace("\n", " ")] for value, text in levels(matrix, name)],
        "possible": [value if math.isfinite(value) else None for value in possible],
    }


def _look(look: Look) -> Mapping[str, object]:
    return {"colour": painted(look.colour), "dashes": dashes(look), "marker": look.marker}

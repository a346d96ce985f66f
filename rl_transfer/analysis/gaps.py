"""What records say of the gaps between source and target, over the seeds of an arm."""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rl_transfer.analysis.arm_statistics import mean_interval
from rl_transfer.analysis.arms import Arm
from rl_transfer.analysis.cells import Estimate
from rl_transfer.spec import JsonObject
from rl_transfer.spec.base import LARGEST

FORMS = ("marginal", "conditional")
MOMENTS = ("start", "end")
_POSSIBLE = {"mmd": (-2.0, 2.0), "coral_share": (0.0, 1.0)}
"""Measure → lowest and highest value; docs/gaps.md defines them."""
FIGURES = tuple("_".join(each) for each in itertools.product(_POSSIBLE, FORMS, MOMENTS))
"""Every figure of a layer, as ``summary.json`` calls them."""
MOST_LAYERS = 100
"""Those of a record that has more are not read."""


@dataclass(frozen=True)
class LayerGaps:
    """One layer of the networks of an arm.

    Attributes:
        figures: name of :data:`FIGURES` → mean over seeds with Student's t interval, where it is defined in a
            run at all.
        p: ``<form>_<moment>`` → median over seeds of the p-values that the discrepancy has in each run.
    """

    figures: Mapping[str, Estimate]
    p: Mapping[str, float]


def gaps(arm: Arm, confidence: float) -> dict[str, LayerGaps]:
    """The gaps in an arm's networks.

    Args:
        arm: its finished runs count; records without ``gaps`` say nothing.
        confidence: coverage of the intervals, in (0, 1).

    Returns:
        Layer → figures, from the input up.
    """
    found: dict[str, dict[str, dict[int, float]]] = {}
    for run in arm.runs:
        for name, layer in _layers(run.record or {}):
            for form, moment in itertools.product(FORMS, MOMENTS):
                for measure in (*_POSSIBLE, "p"):
                    value = _value(layer, measure, form, moment)
                    if math.isfinite(value):
                        figures = found.setdefault(name, {})
                        figures.setdefault(f"{measure}_{form}_{moment}", {})[run.seed] = value
    return {name: _layer(figures, confidence) for name, figures in found.items()}


def _layer(figures: Mapping[str, Mapping[int, float]], confidence: float) -> LayerGaps:
    estimates = {}
    for figure in FIGURES:
        if figure in figures:
            measure = next(each for each in _POSSIBLE if figure.startswith(each))
            values = figures[figure]
            interval = mean_interval([*values.values()], confidence).within(*_POSSIBLE[measure])
            estimates[figure] = Estimate(interval.point, interval.low, interval.high, dict(values))
    medians = {
        f"{form}_{moment}": statistics.median(figures[f"p_{form}_{moment}"].values())
        for form, moment in itertools.product(FORMS, MOMENTS)
        if f"p_{form}_{moment}" in figures
    }
    return LayerGaps(estimates, medians)


def _layers(record: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    given = record.get("gaps")
    layers = given.get("layers") if isinstance(given, dict) else None
    for name, layer in itertools.islice(layers.items(), MOST_LAYERS) if isinstance(layers, dict) else ():
        if isinstance(layer, dict):
            yield name, layer


def _value(layer: JsonObject, measure: str, form: str, moment: str) -> float:
    at: object = layer
    for key in (moment, form, measure):
        at = at.get(key) if isinstance(at, dict) else None
    return float(at) if isinstance(at, int | float) and abs(at) <= LARGEST else math.nan

"""What records say of the inside of networks, over the seeds of an arm: descriptions, no tests."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rl_transfer.analysis.arm_statistics import mean_interval
from rl_transfer.analysis.arms import Arm
from rl_transfer.analysis.cells import Estimate
from rl_transfer.spec import JsonObject
from rl_transfer.spec.base import LARGEST

_AT = ("dormant", "saturated", "effective_rank", "gradient_agreement")
"""What is measured at the start and at the end."""
_SINCE = ("distance", "distance_from_source")
FIGURES = (*(f"{name}_{moment}" for name in _AT for moment in ("start", "end")), *_SINCE)
"""Every figure of a part, as ``summary.json`` calls them; docs/metrics.md defines them."""
START_OF = {f"{name}_end": f"{name}_start" for name in _AT}
"""Figure at the end → the same at the start."""
SHARES = ("dormant_start", "dormant_end", "saturated_start", "saturated_end")
"""Those that are shares of units."""
MOST_PARTS = 100
"""More than any network here has; those of a record that has more are not read."""
_POSSIBLE = {
    **dict.fromkeys(SHARES, (0.0, 1.0)),
    **dict.fromkeys(("gradient_agreement_start", "gradient_agreement_end"), (-1.0, 1.0)),
}
"""Lowest and highest value; the others are only not below 0."""


@dataclass(frozen=True)
class PartInside:
    """One named part of the networks of an arm.

    Attributes:
        role: ``trunk`` or ``head``.
        figures: name of :data:`FIGURES` → mean over seeds with Student's t interval, where it is defined in
            a run at all.
    """

    role: str
    figures: Mapping[str, Estimate]


def inside(arm: Arm, confidence: float) -> dict[str, PartInside]:
    """The insides of an arm's networks.

    Args:
        arm: its finished runs count; records without ``diagnostics`` say nothing.
        confidence: coverage of the intervals, in (0, 1).

    Returns:
        Part → figures, parts in the order of the networks.
    """
    found: dict[str, tuple[str, dict[str, dict[int, float]]]] = {}
    for run in arm.runs:
        for name, part in _parts(run.record or {}):
            _, figures = found.setdefault(name, (str(part.get("role")), {}))
            for figure in FIGURES:
                value = _value(part, figure)
                if math.isfinite(value):
                    figures.setdefault(figure, {})[run.seed] = value
    return {
        name: PartInside(
            role,
            {
                figure: _estimate(figures[figure], confidence, _POSSIBLE.get(figure, (0.0, math.inf)))
                for figure in FIGURES
                if figure in figures
            },
        )
        for name, (role, figures) in found.items()
        if figures
    }


def _parts(record: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    parts = (record.get("diagnostics") or {}).get("parts")
    for name, part in itertools.islice(parts.items(), MOST_PARTS) if isinstance(parts, dict) else ():
        if isinstance(part, dict):
            yield name, part


def _value(part: JsonObject, figure: str) -> float:
    at: object = part
    name, _, moment = figure.rpartition("_")
    if figure not in _SINCE:
        at, figure = part.get(moment), name
    value = at.get(figure) if isinstance(at, dict) else None
    return float(value) if isinstance(value, int | float) and abs(value) <= LARGEST else math.nan


def _estimate(values: Mapping[int, float], confidence: float, possible: tuple[float, float]) -> Estimate:
    interval = mean_interval([*values.values()], confidence).within(*possible)
    return Estimate(interval.point, interval.low, interval.high, dict(values))


def apart(
    mine: Mapping[str, PartInside], theirs: Mapping[str, PartInside]
) -> list[tuple[str, str, Estimate, Estimate]]:
    """The figures at the end of training whose intervals do not overlap in two arms.

    A way of finding what to look at, among many figures: nothing is corrected for their number. Parts that
    are frozen are no news: a distance of 0 is left out.

    Args:
        mine: of one arm.
        theirs: of another.

    Returns:
        Part, figure and both estimates, trunks first, the widest gap in widths of the intervals first.
    """
    found = []
    for name, part in mine.items():
        for figure, here in part.figures.items():
            there = theirs[name].figures.get(figure) if name in theirs else None
            if there is None or figure in START_OF.values() or figure == "distance_from_source":
                continue
            if figure == "distance" and here.mean == 0:
                continue
            gap = max(here.low - there.high, there.low - here.high)
            if gap > 0 and here.interval.defined and there.interval.defined:
                width = (here.high - here.low) + (there.high - there.low)
                found.append(
                    (part.role != "trunk", -gap / width if width else -math.inf, name, figure, here, there)
                )
    found.sort(key=lambda each: each[:2])
    return [(name, figure, here, there) for _, _, name, figure, here, there in found]

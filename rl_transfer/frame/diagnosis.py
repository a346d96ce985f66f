"""What a record says of the inside of a network, before and after training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from rl_transfer.core import PartMap
from rl_transfer.core.activity import PartActivity
from rl_transfer.core.diagnostics import relative_distance
from rl_transfer.frame.room import Say
from rl_transfer.spec.base import Json
from rl_transfer.wording import what_was_raised

START, END = "start", "end"


@dataclass(frozen=True)
class NetworkMoment:
    """A network at one moment of its training, on a fixed batch.

    Attributes:
        weights: state-dict name → tensor.
        activity: of its trunks.
        agreement: part → cosine between the gradients of two halves of the data.
    """

    weights: Mapping[str, Tensor]
    activity: Mapping[str, PartActivity]
    agreement: Mapping[str, float] = field(default_factory=dict)


def diagnostics_record(
    parts: PartMap,
    start: NetworkMoment,
    end: NetworkMoment,
    reference: Mapping[str, Tensor],
    batch: Mapping[str, int],
) -> dict[str, Json]:
    """The record's ``diagnostics``.

    Args:
        parts: of the network; auxiliary ones are left out.
        start: before the first update, the transfer done.
        end: the network that is kept.
        reference: the source's own values by the target's tensor names; empty where nothing was copied.
        batch: how many observations, items … were measured on.

    Returns:
        ``batch``, and per part what docs/metrics.md defines; None where a figure is undefined.
    """
    found: dict[str, Json] = {}
    for part in parts:
        if part.role == "auxiliary" or not part.tensors:
            continue
        names = [info.name for info in part.tensors if info.kind == "parameter"]
        copied = [name for name in names if name in reference]
        active = start.activity.get(part.name)
        found[part.name] = {
            "role": part.role,
            "units": None if active is None else active.units,
            "features": None if active is None else active.features,
            START: _moment(start, part.name),
            END: _moment(end, part.name),
            "distance": _number(relative_distance(start.weights, end.weights, names)),
            "distance_from_source": _number(relative_distance(reference, end.weights, copied)),
        }
    return {"batch": dict(batch), "parts": found}


def _moment(moment: NetworkMoment, part: str) -> dict[str, Json]:
    active = moment.activity.get(part)
    return {
        "dormant": None if active is None else _number(active.dormant),
        "saturated": None if active is None else _number(active.saturated),
        "effective_rank": None if active is None else _number(active.effective_rank),
        "gradient_agreement": _number(moment.agreement.get(part, math.nan)),
    }


def measured(
    measure: Callable[[], dict[str, Json]], say: Say, what: str = "what is inside the network"
) -> dict[str, Json]:
    """What a finished run is found to be like inside; a measurement that fails must not cost the run.

    Args:
        measure: gives the record's ``diagnostics`` or ``gaps``.
        say: gets a line where it fails.
        what: is measured, for that line.

    Returns:
        What it gives; else ``left_out``, with the reason.
    """
    try:
        return measure()
    except Exception as error:  # noqa: BLE001 - the run has ended well; networks and environments raise anything
        reason = what_was_raised(error)
        say(f"{what} is left out of the record: measuring it raised {reason}")
        return {"left_out": reason}


def scalars(record: Mapping[str, Json], moment: str) -> dict[str, float]:
    """What of a record's ``diagnostics`` goes into the run's events.

    Args:
        record: as :func:`diagnostics_record` gives it.
        moment: ``start`` or ``end``.

    Returns:
        ``<figure>/<part>`` → number; distances at both moments, 0 at the start.
    """
    found: dict[str, float] = {}
    parts = record.get("parts")
    for name, part in parts.items() if isinstance(parts, dict) else ():
        if not isinstance(part, dict):
            continue
        at = part[moment]
        figures = dict(at) if isinstance(at, dict) else {}
        figures["weight_distance"] = part["distance"] if moment == END else 0.0
        found |= {f"{key}/{name}": value for key, value in figures.items() if isinstance(value, float)}
    return found


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None

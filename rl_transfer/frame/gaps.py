"""What a record says of the gaps between source and target, layer by layer, before and after training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from rl_transfer.core.measured_gaps import DomainGap, FeatureSample, measured_gap, measured_gap_by_label
from rl_transfer.frame.diagnosis import END, START
from rl_transfer.seeding import generator
from rl_transfer.spec.base import Json

INPUT = "input"
"""The layer before the first one."""
MOST_FEATURES = 4096
"""A layer with more is left out: its covariances would not be estimated."""


@dataclass(frozen=True)
class DomainRows:
    """What is known of the rows of one side, whatever layer they are looked at in.

    Attributes:
        labels: ``int64[row]``, classes or actions by the target's count; None: there are none.
        groups: ``int64[row]``, rows that depend on each other; None: all are independent.
    """

    labels: Tensor | None
    groups: Tensor | None


LayerRows = Mapping[str, tuple[Tensor, Tensor]]
"""Layer → features of the source's rows and of the target's, ``float[row, feature]``; from the input up."""


def gaps_record(
    start: LayerRows,
    end: LayerRows,
    rows: tuple[DomainRows, DomainRows],
    states: Mapping[str, Json],
    seed: int,
) -> dict[str, Json]:
    """The record's ``gaps``.

    Args:
        start: before the first update, the transfer done.
        end: of the network that is kept.
        rows: of the source and of the target.
        states: what was measured on, for people.
        seed: of the permutations.

    Returns:
        ``states``, and per layer what docs/gaps.md defines.

    Raises:
        TransferError: a feature is no number.
    """
    found: dict[str, Json] = {}
    for name, sides in start.items():
        width = sides[0].shape[1]
        if width > MOST_FEATURES:
            found[name] = {"features": width, "left_out": f"more than {MOST_FEATURES:,} features"}
            continue
        moments: dict[str, Json] = {
            moment: _moment(layers[name], rows, seed, name) for moment, layers in ((START, start), (END, end))
        }
        found[name] = {"features": width, **moments}
    return {"states": dict(states), "layers": found}


def _moment(
    sides: tuple[Tensor, Tensor], rows: tuple[DomainRows, DomainRows], seed: int, name: str
) -> dict[str, Json]:
    # The same permutations before and after: what differs then is the network.
    source, target = (
        FeatureSample(features, each.labels, each.groups) for features, each in zip(sides, rows, strict=True)
    )
    marginal = measured_gap(source, target, generator(seed, "gaps", name))
    conditional = None
    if source.labels is not None and target.labels is not None:
        conditional = measured_gap_by_label(source, target, generator(seed, "gaps", name))
    return {
        "marginal": _figures(marginal),
        "conditional": None if conditional is None else _by_label(conditional),
    }


def _figures(gap: DomainGap) -> dict[str, Json]:
    return {
        "coral": gap.coral,
        "coral_share": gap.coral_share,
        "mmd": gap.mmd,
        "p": gap.p,
        "coral_p": gap.coral_p,
    }


def _by_label(gap: DomainGap) -> dict[str, Json]:
    labels: dict[str, Json] = {str(label): [*both] for label, both in gap.rows.items()}
    left_out: dict[str, Json] = {str(label): [*both] for label, both in gap.left_out.items()}
    return {**_figures(gap), "labels": labels, "left_out": left_out}

"""What an alignment came to: for the record, and in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rl_transfer.core.alignment import AlignmentMap
from rl_transfer.core.pairing import PairingCheck
from rl_transfer.rl.strategy.align_actions import ActionMap, ActionOrder
from rl_transfer.spec.base import Json


def aligned_in_words(record: Mapping[str, Json], score: float) -> str:
    """What an alignment came to, for people: a line, and one for each doubt.

    Args:
        record: of :meth:`~rl_transfer.rl.strategy.align.Alignment.carry_out`.
        score: mean return of the policy behind the maps.

    Returns:
        Lines, the first of the form of a point of the learning curve.
    """
    mapped, acted = record["observations"], record["actions"]
    words = []
    if isinstance(mapped, dict):
        r2 = mapped["held_out_r2"]
        unknown = "unpaired" if mapped["pairing"] is None else "held-out R² unknown"
        of = " of changes" if mapped["kind"] == "effects" else ""
        fit = unknown if r2 is None else f"held-out R²{of} {r2:.3f}"
        words.append(f"observations by {mapped['kind']}, {mapped['direction']}, {fit}")
    if isinstance(acted, dict):
        order = f" in the order {acted['order']}" if acted["kind"] == "discrete" else ""
        words.append(f"actions {acted['kind']}{order}")
    line = f"step {record['steps']:>9,}  mean score {score:10.2f}  aligned from {record['pairs']:,} samples: "
    doubted = record["doubts"]
    return "\n".join([line + "; ".join(words), *map(str, doubted if isinstance(doubted, list) else [])])


def map_record(found: AlignmentMap, pairing: PairingCheck | None) -> dict[str, Json]:
    """A map of observations, for the record.

    Args:
        found: the map.
        pairing: whether its pairs are pairs; None for unpaired samples.
    """
    checked: dict[str, Json] | None = None
    if pairing is not None:
        checked = {"r2": pairing.r2, "shuffled_r2": pairing.shuffled_r2, "p": pairing.p}
    return {
        "kind": found.kind,
        "direction": found.direction,
        "given": found.matrix.shape[1],
        "wanted": found.matrix.shape[0],
        "rank": found.rank,
        "shrinkage": found.shrinkage,
        "penalty": found.penalty,
        "penalty_share": found.penalty_share,
        "held_out_r2": found.held_out_r2,
        "condition": _finite(found.condition),
        "pairing": checked,
    }


def actions_record(acted: ActionOrder | ActionMap) -> dict[str, Json]:
    """A map of actions, for the record.

    Args:
        acted: the map.
    """
    if isinstance(acted, ActionOrder):
        return {
            "kind": "discrete",
            "order": list(acted.order),
            "margin": _finite(acted.margin),
            "t": _finite(acted.t),
            "decided": acted.decided,
        }
    return {
        "kind": "linear",
        "direction": "source_to_target",
        "matrix": acted.matrix.tolist(),
        "offset": acted.offset.tolist(),
        "held_out_r2": acted.held_out_r2,
    }


def _finite(number: float) -> float | None:
    return number if np.isfinite(number) else None

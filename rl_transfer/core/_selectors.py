"""The selector language: text → layers of a part map."""

from __future__ import annotations

import re
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

from rl_transfer.errors import TransferError
from rl_transfer.wording import did_you_mean, listing

if TYPE_CHECKING:
    from rl_transfer.core._layout import Layer, Part

GROUPS = ("trunk", "head", "auxiliary", "all")
_SELECTOR = re.compile(r"(?P<name>[^.\[\]]+(?:\.\d+)??)(?:\.(?P<index>\d+)|\[:(?P<count>\d+)\])?", re.ASCII)


def resolve(parts: Sequence[Part], selector: str, key: str | None) -> list[Layer]:
    """The layers that one selector names.

    Raises:
        TransferError: carrying ``key``; see ``PartMap.layers``.
    """
    match = _SELECTOR.fullmatch(selector) if isinstance(selector, str) else None
    if match is None:
        raise TransferError(
            f"{selector!r} is not a selector; write a part or group (policy_trunk, trunk), "
            "a layer (policy_trunk.0) or first layers (policy_trunk[:2])",
            key=key,
        )
    if match["index"] is not None and any(part.name == selector for part in parts):
        return list(_named(parts, selector, selector, key)[0].layers)
    chosen = _named(parts, match["name"], selector, key)
    layers: list[Layer] = []
    for part in chosen:
        if match["index"] is not None:
            layers += _pick(part, int(match["index"]), selector, key)
        elif match["count"] is not None:
            layers += _first(part, int(match["count"]), selector, key)
        else:
            layers += part.layers
    return layers


def names_whole_parts(selector: str, parts: Container[str]) -> bool:
    """Whether a selector names parts or groups as a whole, not some of their layers."""
    return selector in GROUPS or selector in parts


def _named(parts: Sequence[Part], name: str, selector: str, key: str | None) -> list[Part]:
    """The non-empty parts behind a part's or a group's name."""
    known = [part.name for part in parts]
    if name in GROUPS:
        candidates = [part for part in parts if name in ("all", part.role)]
    else:
        candidates = [part for part in parts if part.name == name]
        if not candidates:
            raise TransferError(
                f"{selector!r} names no part of this network; parts: {listing(known, 20)}; "
                f"groups: {listing(GROUPS)}.{did_you_mean(name, [*known, *GROUPS])}",
                key=key,
            )
    filled = [part for part in candidates if part.layers]
    if not filled:
        with_tensors = [part.name for part in parts if part.layers]
        raise TransferError(
            f"{selector!r} matches no tensors: this network has none there "
            f"(an MLP policy's features extractor only flattens). "
            f"Parts with tensors: {listing(with_tensors, 20)}.",
            key=key,
        )
    return filled


def _pick(part: Part, index: int, selector: str, key: str | None) -> list[Layer]:
    if index >= len(part.layers):
        raise TransferError(
            f"{selector!r}: {part.name!r} has {len(part.layers)} layer(s), "
            f"numbered 0 to {len(part.layers) - 1}: {_paths(part)}",
            key=key,
        )
    return [part.layers[index]]


def _first(part: Part, count: int, selector: str, key: str | None) -> list[Layer]:
    if not 1 <= count <= len(part.layers):
        raise TransferError(
            f"{selector!r} asks for the first {count} layer(s); {part.name!r} has "
            f"{len(part.layers)}: {_paths(part)}; give a number from 1 to {len(part.layers)}",
            key=key,
        )
    return list(part.layers[:count])


def _paths(part: Part) -> str:
    return listing([layer.path or "(the model itself)" for layer in part.layers], 20)

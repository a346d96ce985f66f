"""What is in a network: its parts and tensors with shapes, counts and digests, as rows and as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from rl_transfer.core._text import shape_text
from rl_transfer.core._text import table as text_table
from rl_transfer.core.digest import digest_tensors, dtype_name
from rl_transfer.core.parts import PartMap

DIGITS = 12
"""Shown digits of a SHA-256."""

_HEADER = ("part", "role", "tensor", "shape", "elements", "dtype", "digest")


def inventory(
    parts: PartMap, state: Mapping[str, Tensor], statistics: Mapping[str, Tensor] | None = None
) -> list[dict[str, Any]]:
    """The tensors of a network, part after part.

    Args:
        parts: its named parts.
        state: its tensors.
        statistics: tensors beside the network, such as normalisation statistics.

    Returns:
        One row per tensor with ``part``, ``role`` (``trunk``, ``head``, ``auxiliary`` or
        ``statistics``), ``tensor``, ``shape``, ``elements``, ``dtype`` and ``digest`` (short); a
        tensor with several names is listed once. Each part ends with a row of its total, and the
        table with one of everything; these have no ``tensor``, ``shape`` and ``dtype``.
    """
    rows: list[dict[str, Any]] = []
    everything: dict[str, Tensor] = {}
    for part in parts:
        held = {name: state[name] for name in part.tensor_names}
        rows += _part(part.name, part.role, held)
        everything |= held
    rows += _part("normalization", "statistics", statistics or {})
    everything |= statistics or {}
    return [*rows, _total("all", "", everything)]


def inventory_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows of :func:`inventory` as text, with counts in groups of three digits.

    Args:
        rows: as :func:`inventory` returns them.
    """
    return text_table(_HEADER, [_cells(row) for row in rows])


def _part(name: str, role: str, tensors: Mapping[str, Tensor]) -> list[dict[str, Any]]:
    if not tensors:
        return []
    rows = [
        {
            "part": name,
            "role": role,
            "tensor": tensor,
            "shape": list(value.shape),
            "elements": value.numel(),
            "dtype": dtype_name(value),
            "digest": digest_tensors({tensor: value})[:DIGITS],
        }
        for tensor, value in tensors.items()
    ]
    return [*rows, _total(name, role, tensors)]


def _total(name: str, role: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {
        "part": name,
        "role": role,
        "tensor": None,
        "shape": None,
        "elements": sum(each.numel() for each in tensors.values()),
        "dtype": None,
        "digest": digest_tensors(tensors)[:DIGITS],
    }


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [
        row["part"],
        row["role"],
        "total" if row["tensor"] is None else row["tensor"],
        "" if row["shape"] is None else shape_text(row["shape"]),
        f"{row['elements']:,}",
        row["dtype"] or "",
        row["digest"],
    ]

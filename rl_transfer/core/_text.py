"""Wording that the core's errors share: suggestions, lists, plain-text tables."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

_LISTED = 8


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """``" Did you mean 'x'?"`` for the closest of ``known``, or the empty string."""
    close = difflib.get_close_matches(given, list(known), n=1, cutoff=0.5)
    return f" Did you mean {close[0]!r}?" if close else ""


def listing(names: Sequence[str], limit: int = _LISTED) -> str:
    """The names, comma-separated; beyond ``limit`` only how many more there are."""
    shown = ", ".join(names[:limit])
    return f"{shown} and {len(names) - limit} more" if len(names) > limit else shown


def shape_text(shape: Sequence[int] | None) -> str:
    """``64×4`` for a shape, ``scalar`` for a 0-dimensional one, ``–`` for none."""
    if shape is None:
        return "–"
    return "×".join(str(size) for size in shape) or "scalar"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns, two blanks apart, under a ruled header."""
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = [header, ["─" * width for width in widths], *rows]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )
    return "\n".join(line.rstrip() for line in padded)

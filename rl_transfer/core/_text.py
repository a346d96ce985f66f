"""Shapes and tables as plain text, for the core's errors and plans."""

from __future__ import annotations

from collections.abc import Sequence


def shape_text(shape: Sequence[int] | None) -> str:
    """``64×4`` for a shape, ``scalar`` for a 0-dimensional one, ``–`` for none.

    >>> shape_text((64, 4)), shape_text(()), shape_text(None)
    ('64×4', 'scalar', '–')

    Args:
        shape: the size of every dimension, or None.

    Returns:
        The text.
    """
    if shape is None:
        return "–"
    return "×".join(str(size) for size in shape) or "scalar"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Left-aligned columns, two blanks apart, under a ruled header.

    Args:
        header: the columns' names.
        rows: as many cells each.

    Returns:
        The lines, joined.
    """
    widths = [max(len(row[i]) for row in (header, *rows)) for i in range(len(header))]
    lines = [header, ["─" * width for width in widths], *rows]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines
    )
    return "\n".join(line.rstrip() for line in padded)

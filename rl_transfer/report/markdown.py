"""Markdown of cards: tables, code, and what stands where nothing is known."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from rl_transfer.analysis.arm_statistics import Interval

UNDEFINED = "–"


def literal(text: str) -> str:
    """A text as Markdown shows code, also in a table.

    Args:
        text: anything.

    Returns:
        One line between backticks.
    """
    flat = " ".join(str(text).split()).replace("`", "'").replace("|", "\\|")
    return f"`{flat}`"


def code(language: str, *lines: str) -> str:
    """A block of code.

    Args:
        language: what it is written in.
        lines: of it.

    Returns:
        The lines between fences.
    """
    return "\n".join([f"```{language}", *lines, "```"])


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    Args:
        head: of its columns.
        rows: cells, Markdown themselves.

    Returns:
        A line per row.
    """
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def figures(values: Sequence[float], ends: Interval, decimals: int = 2) -> tuple[str, ...]:
    """What a row says of some values.

    Args:
        values: any number.
        ends: an interval of their mean.
        decimals: behind the point.

    Returns:
        Mean, interval, standard deviation, least and greatest; a dash where nothing varied.
    """
    if not values:
        return (UNDEFINED,) * 5
    mean, spread = statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else math.nan
    known = ends.defined and min(values) < max(values)
    shown = f"{ends.low:.{decimals}f} to {ends.high:.{decimals}f}" if known else UNDEFINED
    least, greatest = f"{min(values):.{decimals}f}", f"{max(values):.{decimals}f}"
    varied = UNDEFINED if math.isnan(spread) else f"{spread:.{decimals}f}"
    return f"{mean:.{decimals}f}", shown, varied, least, greatest

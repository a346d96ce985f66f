"""The tab *Text*: the verdicts in words and as a table, in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from rl_transfer.analysis import words
from rl_transfer.analysis.attribution_words import attribution
from rl_transfer.analysis.comparison import JUDGED, Comparison
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.analysis.seed_plan import plan_notes, seeds_judged


def in_short(matrix: Matrix, hidden: int = 0) -> str:
    """One sentence per strategy, then what to know before believing them.

    Args:
        matrix: the analysis.
        hidden: arms that have no run of their own.

    Returns:
        Markdown.
    """
    more = f"! {hidden} more strategies are in report/index.html: TensorBoard shows no folder with more runs"
    lines = [*words.headlines(matrix), *plan_notes(matrix), *words.notes(matrix), *([more] if hidden else [])]
    return "\n".join(f"- {unmarked(line)}" for line in lines) or "no cells yet"


def verdict_table(matrix: Matrix, cells: Sequence[Cell]) -> str:
    """Gain, interval and verdict of cells; the baseline's have none and are passed over.

    Args:
        matrix: the analysis.
        cells: of it.

    Returns:
        A Markdown table, one line per cell.
    """
    head = ["strategy", "target", *(METRICS[name].claim for name in JUDGED), "why"]
    rows = [_row(cell, matrix) for cell in cells if cell.kind != "baseline"]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def _row(cell: Cell, matrix: Matrix) -> list[str]:
    origin = f" from {cell.source}" if cell.source and len(matrix.sources) > 1 else ""
    control = " (control)" if cell.kind == "control" else ""
    entries = [cell.comparisons[name] for name in JUDGED]
    why = [text for entry in entries for text in _why(entry, matrix)]
    why += [flag.message for flag in cell.flags if not flag.of_control]
    return [
        unmarked(f"{cell.strategy}{origin}{control}"),
        unmarked(cell.target),
        *(_gain(entry, matrix) for entry in entries),
        unmarked("; ".join(dict.fromkeys(why))),
    ]


def _gain(entry: Comparison, matrix: Matrix) -> str:
    doubt = "*" if entry.doubted else ""
    judged = f"{entry.symbol} {entry.outcome}{unmarked(doubt)}{seeds_judged(entry)}"
    return f"**{judged}** {unmarked(words.gain(entry, matrix.labels))}"


def _why(entry: Comparison, matrix: Matrix) -> list[str]:
    said = attribution(entry, matrix.labels)
    return [text for text in (entry.reason, said, words.advice(entry)) if text]


def unmarked(text: str) -> str:
    r"""``text`` without a meaning in Markdown, on one line.

    >>> unmarked("a_b | c")
    'a\\_b \\| c'

    Args:
        text: anything.
    """
    flat = " ".join(text.split())
    return "".join(f"\\{letter}" if letter in r"\`*_{}[]<>#|" else letter for letter in flat)

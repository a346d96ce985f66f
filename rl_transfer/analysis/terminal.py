"""The matrix as plain text for a terminal."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from rl_transfer.analysis import words
from rl_transfer.analysis.comparison import JUDGED
from rl_transfer.analysis.findings import findings
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.analysis.ranking_words import ranking_lines
from rl_transfer.analysis.seed_plan import plan_notes, seeds_judged
from rl_transfer.analysis.sequential import weights
from rl_transfer.analysis.tuning_words import tuning_notes
from rl_transfer.results import Labels
from rl_transfer.wording import in_words

WIDTH = 110
"""Most columns of the table."""
_HEAD = ("target", *(head for name in JUDGED for head in (METRICS[name].claim, "verdict")))
_LEVELS = ("final_performance", "auc")
"""What stands for a baseline, which has no gains."""


def text_table(matrix: Matrix) -> str:
    """Gains, intervals and verdicts, one line per cell; then flags, warnings and the plain sentences.

    At most :data:`WIDTH` columns; ``*`` marks a verdict that a control puts in doubt, ``r`` one in
    raw units of the measure where others are scores.

    Args:
        matrix: a finished analysis.

    Returns:
        Lines joined by newlines, without one at the end.
    """
    lines = [
        f"{matrix.name}: transfer against {matrix.baseline}, {words.at_budgets(matrix)}",
        f"gains in {words.scale_of_gains(matrix)}, {_coverage(matrix)} Welch intervals; "
        f"tests in families of {matrix.family}",
        "",
        *_rows(_sections(matrix), matrix.labels),
    ]
    told = [*tuning_notes(matrix), *plan_notes(matrix), *words.notes(matrix)]
    notes = [line for note in told for line in wrapped(note, indent="  ")]
    if notes:
        lines += ["", *notes]
    told = [text for text in (findings(matrix, most=0).summary, *words.headlines(matrix)) if text]
    lines += ["", *(line for text in told for line in wrapped(text))]
    for text in ranking_lines(matrix):
        lines += ["", *wrapped(text)]
    return "\n".join(line for text in lines for line in (wrapped(text) if len(text) > WIDTH else [text]))


def _coverage(matrix: Matrix) -> str:
    """``95%``, or the range over the looks of a seed plan."""
    alpha = 1 - matrix.settings.confidence
    if matrix.plan is None:
        return f"{1 - alpha:.0%}"
    ends = [1 - alpha * share for share in weights(matrix.plan.looks)]
    return f"{min(ends):.1%} to {max(ends):.1%}"


def wrapped(text: str, indent: str = "") -> list[str]:
    """``text`` in lines of at most :data:`WIDTH` columns, the later ones indented.

    Args:
        text: one paragraph.
        indent: what stands before its later lines.
    """
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_on_hyphens=False)


def _sections(matrix: Matrix) -> list[tuple[str, tuple[Cell, ...]]]:
    """Heading and cells of every (strategy, source), transfer first, controls and baseline last."""
    found = []
    for kind in ("transfer", "control", "baseline"):
        groups: dict[tuple[str, str | None], list[Cell]] = {}
        for cell in matrix.select(kind=kind):
            groups.setdefault((cell.strategy, cell.source), []).append(cell)
        levels = in_words([METRICS[name].label for name in _LEVELS])
        for (strategy, source), cells in groups.items():
            fed = "from" if matrix.strategies[strategy].copy else "with the network of"
            origin = f" {fed} {words.origin(cells[0])}" if source else ""
            note = {
                "transfer": _origin(matrix, cells[0]),
                "control": f"{origin} (control: not corrected, not in the family)",
                "baseline": f"{origin} (baseline: {levels}, raw)",
            }[kind]
            found.append((f"{strategy}{note}", tuple(cells)))
    return found


def _origin(matrix: Matrix, cell: Cell) -> str:
    if cell.source is None:
        return ""
    info, digits = matrix.sources[cell.source], words.digits(matrix.labels)
    details = []
    if info.scores:
        ends = (min(info.scores.values()), max(info.scores.values()))
        low, high = (words.number(end, digits=digits) for end in ends)
        details.append(f"source scores {low} to {high}")
    if info.unmeasured:
        details.append("source score unknown")
    elif info.bar is not None:
        details.append(f"bar {words.number(info.bar, digits=digits)}")
    return f" from {words.origin(cell)}" + (f" ({', '.join(details)})" if details else "")


def _rows(sections: Sequence[tuple[str, Sequence[Cell]]], labels: Labels) -> list[str]:
    rows_of = [[_row(cell, labels) for cell in cells] for _, cells in sections]
    table: list[list[tuple[str, ...]]] = [[_HEAD], *rows_of]
    widths = [max(len(row[column]) for rows in table for row in rows) for column in range(len(_HEAD))]
    widths[0] = min(widths[0], WIDTH - sum(widths[1:]) - 2 * len(_HEAD))
    lines = [_line(_HEAD, widths)]
    for (title, _), rows in zip(sections, table[1:], strict=True):
        lines += [title, *(_line(row, widths) for row in rows)]
    return lines


def _row(cell: Cell, labels: Labels) -> tuple[str, ...]:
    if cell.kind == "baseline":
        final, area = (
            words.interval(cell.metrics[name].value.interval, signed=False, digits=words.digits(labels))
            for name in _LEVELS
        )
        return cell.target, final, "", area, ""
    texts = [cell.target]
    for name in JUDGED:
        entry = cell.comparisons[name]
        doubt = "*" if entry.doubted else ""
        text = f"{entry.symbol} {entry.outcome}{doubt}{seeds_judged(entry)}"
        texts += [words.gain(entry, labels), text]
    return tuple(texts)


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    cut = [
        text if len(text) <= width else f"{text[: width - 1]}…"
        for text, width in zip(row, widths, strict=True)
    ]
    return "  " + "  ".join(text.ljust(width) for text, width in zip(cut, widths, strict=True)).rstrip()

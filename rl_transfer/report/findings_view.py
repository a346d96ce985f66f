"""The top of the page: what the sweep found, in plain sentences, and how to read the rest."""

from __future__ import annotations

from rl_transfer.analysis.findings import CellFinding, findings
from rl_transfer.analysis.model import Matrix
from rl_transfer.report.definitions import reading
from rl_transfer.report.markup import Html, items, joined, tag
from rl_transfer.report.sections import cell_anchor, minus

_MARKS = {
    "helps": ("▲", "positive"),
    "hurts": ("▼", "negative"),
    "both helps and hurts": ("▲▼", "inconclusive"),
    "makes no relevant difference": ("≈", "equivalent"),
}
"""Effect → its symbol and the class that colours it, as in the matrix."""


def findings_list(matrix: Matrix) -> Html:
    """How many cells came out how, the strongest of the decided ones in full, and the rest in a line each.

    Args:
        matrix: a finished analysis.

    Returns:
        A heading and a list; nothing for a matrix without transfer cells.
    """
    found = findings(matrix)
    if not found.summary:
        return Html("")
    note = (
        f"Gains with {matrix.settings.confidence:.0%} intervals; ▲ and ▼ are significant after correction "
        f"for {matrix.family} cells and at least δ. A claim leads to its cell."
    )
    lines = [*(_line(each, matrix) for each in found.told), *map(minus, found.rest)]
    return joined(
        [
            tag("h2", "Findings"),
            tag("p", found.summary),
            items(lines, class_="headlines"),
            tag("p", note, class_="muted") if found.told else "",
        ]
    )


def _line(found: CellFinding, matrix: Matrix) -> Html:
    symbol, class_ = _MARKS[found.effect]
    claim = tag("a", f"{found.claim}.", href=f"#{cell_anchor(found.cell, matrix)}")
    head = tag("span", tag("b", f"{symbol} ", claim), class_=class_)
    return joined([head, " ", minus(" ".join(found.evidence))])


def reading_guide(matrix: Matrix) -> Html:
    """*How to read this page*, folded, before everything that it explains.

    Args:
        matrix: a finished analysis.
    """
    return tag(
        "details",
        tag("summary", tag("b", "How to read this page")),
        joined(tag("p", Html(text)) for text in reading(matrix.labels)),
    )

"""The part of the page on several cells beside each other: the best of them, and ranks."""

from __future__ import annotations

from collections.abc import Sequence

from rl_transfer.analysis import words
from rl_transfer.analysis.comparison import JUDGED
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Matrix
from rl_transfer.analysis.selection import Rank
from rl_transfer.report.markup import Html, joined, table, tag
from rl_transfer.report.sections import figure_text, interval_text
from rl_transfer.wording import in_words


def selection_section(matrix: Matrix) -> Html:
    """The best cells and the ranks.

    Args:
        matrix: a finished analysis.

    Returns:
        Headings and tables; empty where nothing competes.
    """
    found = []
    if matrix.best:
        found += [
            tag("h2", "Which is best, and what that is worth"),
            tag(
                "p",
                "The greatest of several gains is too great: it was chosen for its luck as well. On held-out "
                "seeds: for each seed the cell that all others choose, on that seed. The limits hold "
                "whichever cell is chosen.",
            ),
            _best_table(matrix),
        ]
    if matrix.ranks:
        claims = in_words([METRICS[name].claim for name in JUDGED])
        found += [
            tag("h2", "Ranks"),
            tag(
                "p",
                f"Places that each arm may have on its target, 1 is the highest mean ({claims}): with "
                f"{matrix.settings.confidence:.0%} confidence all of a target hold at once.",
            ),
            _rank_table(matrix),
        ]
    return joined(found)


def _best_table(matrix: Matrix) -> Html:
    """Gains on one target in the measure's unit, over all targets in scores."""
    rows, digits = [], words.digits(matrix.labels)
    for entry in matrix.best:
        shown = None if entry.unit == "score" else digits
        source, target, strategy = entry.key
        several = entry.target is None or len({cell.source for cell in matrix.select(target=target)}) > 2
        (cell,) = matrix.select(source=source, target=target, strategy=strategy)
        few = cell.fed is not None and cell.fed.mark
        name = f"{strategy}{f' from {words.origin(cell)}' if several or few else ''}"
        own, held = (
            figure_text(value, signed=True, digits=shown or 3) for value in (entry.gain.point, entry.held_out)
        )
        limits = interval_text(entry.gain, digits=shown or 3) if entry.gain.limited else "no limits"
        rows.append(
            [
                entry.target or "every target, as scores",
                METRICS[entry.metric].claim,
                f"{name}{'' if entry.target else f' on {target}'}, of {entry.of}",
                own,
                held,
                limits,
                f"{entry.again} of {entry.seeds}",
            ]
        )
    head = ["on", "", "best", "its gain", "on held-out seeds", "limits whichever is chosen", "chosen again"]
    return table(head, rows)


def _rank_table(matrix: Matrix) -> Html:
    rows = []
    for source, strategy in dict.fromkeys((cell.source, cell.strategy) for cell in matrix.cells):
        places = [
            [matrix.ranks.get(((source, target, strategy), metric)) for metric in JUDGED]
            for target in matrix.targets
        ]
        if any(each for there in places for each in there):
            cell = matrix.select(source=source, strategy=strategy)[0]
            name = f"{strategy}, from {words.origin(cell)}" if source else strategy
            rows.append([name, *(_places(there) for there in places)])
    return table(["", *matrix.targets], rows)


def _places(ranks: Sequence[Rank | None]) -> str:
    """``1–2, 1 of 3``: a metric each."""
    known = [each for each in ranks if each is not None]
    told = [f"{each.first}" if each.first == each.last else f"{each.first}–{each.last}" for each in known]
    return f"{', '.join(told)} of {known[0].of}" if known else "–"

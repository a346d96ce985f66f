"""The verdicts of the page, and what its script needs to sort and filter cells."""

from __future__ import annotations

import math

from rl_transfer.analysis import words
from rl_transfer.analysis.comparison import JUDGED
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.analysis.score_scale import CLEAR_ERRORS
from rl_transfer.report.markup import BREAK, Attributed, Html, joined, table, tag
from rl_transfer.report.packing import listed
from rl_transfer.report.sections import cell_anchor, verdict_span

MOST_COLUMNS = 4
"""With more targets than this each cell has a row of its own."""
_UNCLEAR = 0.25
"""Share of a scale's span that its error may be before the page warns."""


def filtered(content: Html) -> Html:
    """A box whose cells the page's script filters; it draws the controls.

    Args:
        content: elements with the attributes of :func:`facets`.
    """
    claims = "|".join(METRICS[name].claim for name in JUDGED)
    return tag("div", content, class_="filtered", data_gains=claims)


def facets(cell: Cell) -> dict[str, str]:
    """What the page's script sorts and filters by, as attributes of an element.

    Args:
        cell: one (source, target, strategy).
    """
    entries = [cell.comparisons[name] for name in JUDGED if name in cell.comparisons]
    return {
        "data_source": cell.source or "",
        "data_target": cell.target,
        "data_strategy": cell.strategy,
        "data_verdict": "|".join(dict.fromkeys(entry.outcome for entry in entries)) or cell.kind,
        "data_gain": "|".join(f"{entry.gain.point:.4g}" for entry in entries),
    }


def verdict_table(matrix: Matrix) -> Html:
    """Both judged metrics of every cell but the baseline's: by strategy and target, or a row for each cell.

    Args:
        matrix: a finished analysis.

    Returns:
        A table that the page's script sorts and filters; each cell leads to its details.
    """
    shown = [cell for cell in matrix.cells if cell.kind != "baseline"]
    if len(matrix.targets) > MOST_COLUMNS:
        return filtered(_long_table(shown, matrix))
    by_key = {cell.key: cell for cell in shown}
    head = [
        joined([name, BREAK, tag("small", words.at_steps(info.budget, matrix.unit))])
        for name, info in matrix.targets.items()
    ]
    rows = []
    for strategy, source in dict.fromkeys((cell.strategy, cell.source) for cell in shown):
        found = [by_key.get((source, target, strategy)) for target in matrix.targets]
        first = next(cell for cell in found if cell is not None)
        rows.append([_strategy(first, matrix), *(_verdicts(cell, matrix) if cell else "" for cell in found)])
    return filtered(table(["", *head], rows, class_="verdicts cards sortable"))


def small_spans(matrix: Matrix) -> list[str]:
    """Where the unit of scores is little beside its own error: gains are large there because it is small.

    Args:
        matrix: a finished analysis.

    Returns:
        A sentence per target; none for targets that are judged on raw values.
    """
    found, digits = [], words.digits(matrix.labels)
    for name, info in matrix.targets.items():
        scale = info.scale
        error = CLEAR_ERRORS * math.hypot(scale.random_error, scale.reference_error)
        if scale.is_raw or not error > _UNCLEAR * scale.span:
            continue
        span, near, one, zero = (
            words.number(value, digits=digits) for value in (scale.span, error, scale.reference, scale.random)
        )
        found.append(
            f"{name}: a score of 1 is worth only {span} ± {near} (two standard errors; reference {one}, "
            f"{matrix.labels.zero} {zero}), so gains in scores are large and their intervals wide."
        )
    return found


def _strategy(cell: Cell, matrix: Matrix) -> Html:
    origin, info = words.origin(cell), matrix.strategies[cell.strategy]
    name = f"{cell.strategy}{f', from {origin}' if origin else ''}{' (control)' if info.control else ''}"
    return joined([name, BREAK, tag("small", info.summary)] if info.summary else [name])


def _verdicts(cell: Cell, matrix: Matrix) -> Attributed:
    spans = [verdict_span(cell.comparisons[name], METRICS[name].claim, matrix) for name in JUDGED]
    return Attributed(joined([*spans, _more(cell, matrix)]), facets(cell))


def _long_table(shown: list[Cell], matrix: Matrix) -> Html:
    rows = []
    for cell in shown:
        attributes, (first, second) = facets(cell), JUDGED
        control = " (control)" if matrix.strategies[cell.strategy].control else ""
        gains = attributes["data_gain"].split("|")
        rows.append(
            [
                f"{cell.strategy}{control}",
                words.origin(cell),
                cell.target,
                Attributed(verdict_span(cell.comparisons[first], "", matrix), attributes),
                Attributed(verdict_span(cell.comparisons[second], "", matrix), {"data_gain": gains[1]}),
                words.at_steps(cell.budget, matrix.unit),
                _more(cell, matrix),
            ]
        )
    head = ["strategy", "source", "target", *(METRICS[name].claim for name in JUDGED), "", ""]
    return table(head, rows, class_="verdicts cards sortable", together=listed)


def _more(cell: Cell, matrix: Matrix) -> Html:
    name = f"{cell.strategy} on {cell.target}"
    return tag(
        "a", "details", href=f"#{cell_anchor(cell, matrix)}", class_="more", aria_label=f"details of {name}"
    )

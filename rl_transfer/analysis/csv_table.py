"""``summary.csv``: its columns, each a place in the objects of ``summary.json``."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from rl_transfer.analysis.comparison import JUDGED
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Matrix
from rl_transfer.analysis.tables import summary
from rl_transfer.spec import JsonObject
from rl_transfer.wording import visible

_IDENTITY = ("source", "target", "strategy", "kind", "estimand", "steps")
VERDICT = {
    "verdict": "verdict",
    "verdict_unit": "unit",
    "verdict_gain": "gain",
    "verdict_low": "low",
    "verdict_high": "high",
    "verdict_delta": "delta",
    "outcome": "outcome",
    "p": "p",
    "adjusted_p": "adjusted_p",
    "equivalence_p": "equivalence_p",
    "adjusted_equivalence_p": "adjusted_equivalence_p",
    "hedges_g": "hedges_g",
    "improvement": "probability_of_improvement",
    "verdict_seeds": "verdict_seeds",
    "knowledge": "knowledge",
}
"""End of a judged metric's column → key in its comparison."""
_ESTIMATE = ("mean", "low", "high", "n")


def csv_text(matrix: Matrix) -> str:
    """One line per cell: identity, verdicts with their intervals, then mean and limits of every metric.

    A verdict is decided in its own unit, so ``auc_gain_verdict_low`` (a score, or raw) and ``auc_gain_low``
    (the measure's unit) differ. Columns are the same for every sweep (with linear probes or
    reference models, theirs beside), each defined in docs/metrics.md; what is undefined is empty.
    Per-seed values are in :func:`rl_transfer.analysis.summary`.

    Args:
        matrix: a finished analysis.

    Returns:
        The file's text, header first.
    """
    cells = summary(matrix)
    columns = [*_columns(cells)]
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*(name for name, _ in columns), "planned", "finished", "flags"])
    for cell in cells:
        values = [_at(cell, path) for _, path in columns]
        counts = [len(cell["seeds"]), len(cell["finished"])]
        codes = " ".join(flag["code"] for flag in cell["flags"])
        writer.writerow([*map(_entry, [*values, *counts, codes])])
    return buffer.getvalue()


def _columns(cells: list[JsonObject]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Name and path of every column that is one value of the JSON."""
    yield from ((name, (name,)) for name in _IDENTITY)
    for judged in JUDGED:
        yield from ((f"{judged}_{end}", ("comparisons", judged, key)) for end, key in VERDICT.items())
    for name, info in METRICS.items():
        if not info.everywhere and not any(name in cell["metrics"] for cell in cells):
            continue
        yield from ((f"{name}_{field}", ("metrics", name, field)) for field in _ESTIMATE)
        yield f"{name}_score", ("metrics", name, "score", "mean")
        if info.bounded:
            yield f"{name}_bound", ("metrics", name, "bound")


def _entry(value: object) -> object:
    return "" if value is None else visible(value) if isinstance(value, str) else value


def _at(cell: JsonObject, path: tuple[str, ...]) -> object:
    found: object = cell
    for key in path:
        found = found.get(key) if isinstance(found, dict) else None
    return found

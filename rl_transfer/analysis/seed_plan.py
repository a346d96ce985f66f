"""What people must know of a seed plan: how far it is, what that took, and what lies beyond it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from rl_transfer.analysis import words
from rl_transfer.analysis.comparison import Comparison
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.analysis.verdict import Verdict
from rl_transfer.wording import counted, listing

SHOWN = 6
"""Exploratory gains that are told one by one."""


def plan_notes(matrix: Matrix) -> list[str]:
    """The plan and its level; at which look cells were decided, and what was spent; gains beyond the plan.

    Args:
        matrix: a finished analysis.

    Returns:
        Lines that start with their mark; none without a plan of several looks, or seeds beyond one.
    """
    cells = matrix.select(kind="transfer")
    return [f"! {text}" for text in (*_progress(matrix, cells), *_beyond(matrix, cells))]


def seeds_judged(entry: Comparison) -> str:
    """`` at 10 seeds``: where in a seed plan a comparison was judged.

    Args:
        entry: the comparison of one cell on one metric.

    Returns:
        Empty without a plan of several looks, and where nothing is judged.
    """
    if entry.look is None or entry.look.of == 1 or entry.obstacle is not None:
        return ""
    return f" K={entry.look.seeds}"


def _progress(matrix: Matrix, cells: Iterable[Cell]) -> list[str]:
    plan = matrix.plan
    if plan is None:
        return []
    found = [
        f"seed plan {', '.join(map(str, plan.looks))}: verdicts are sequential, each look at its own share "
        "of the level (repeated p, intervals to match)"
    ]
    if not plan.taken:
        return [*found, "the first look is taken when all its runs have ended; until then nothing is judged"]
    decided = Counter(_decided_at(cell) for cell in cells)
    at = [f"{decided[seeds]} at {seeds} seeds" for seeds in plan.looks if decided[seeds]]
    state = f"{counted(sum(decided[seeds] for seeds in plan.looks), 'cell')} decided"
    state += f" ({', '.join(at)})" if at else ""
    if decided[0]:
        state += f", {decided[0]} not: "
        if plan.going_on:
            state += f"{plan.going_on} go on to {plan.looks[plan.taken]} seeds"
        else:
            state += "the plan has ended" if plan.taken == len(plan.looks) else "no verdict is possible there"
    spent = (
        f"{plan.taken} of {counted(len(plan.looks), 'look')} taken, {plan.spent:.0%} of the level and "
        f"{plan.runs:,} of at most {plan.most:,} runs on targets spent"
    )
    return [*found, f"{state}; {spent}"]


def _beyond(matrix: Matrix, cells: Iterable[Cell]) -> list[str]:
    found = [
        f"{cell.strategy} on {cell.target}, {METRICS[name].claim}, {entry.exploratory.seeds} seeds instead "
        f"of {entry.look.seeds}: {words.interval(entry.exploratory.gain)}"
        for cell in cells
        for name, entry in cell.comparisons.items()
        if entry.exploratory is not None and entry.look is not None
    ]
    if not found:
        return []
    return [
        "seeds that came after the look of a verdict are exploratory; verdicts, intervals and figures leave "
        f"them out. With them: {listing(found, SHOWN, '; ')}"
    ]


def _decided_at(cell: Cell) -> int:
    """Seeds of the look that decided the last of a cell's verdicts; 0 if one is open."""
    entries = cell.comparisons.values()
    if any(entry.verdict is Verdict.INCONCLUSIVE or entry.look is None for entry in entries):
        return 0
    return max((entry.look.seeds for entry in entries if entry.look is not None), default=0)

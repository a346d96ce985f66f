"""The matrix as tidy tables: one observation a row, one variable a column, for pandas and the like."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rl_transfer.analysis.csv_table import VERDICT
from rl_transfer.analysis.inputs import Run
from rl_transfer.analysis.model import Matrix
from rl_transfer.analysis.tables import summary
from rl_transfer.spec import JsonObject

_ARM = ("source", "target", "strategy", "kind")
_ESTIMATE = ("mean", "low", "high", "n")


def tidy_cells(matrix: Matrix) -> list[JsonObject]:
    """One row per cell and metric.

    ``mean``, ``low``, ``high`` and ``n`` are in ``unit``; ``score_…`` are the same as normalised scores. The
    columns from ``verdict`` on are those of ``summary.csv`` without the metric's name before them; they are
    filled for judged metrics alone.

    Args:
        matrix: a finished analysis.

    Returns:
        Rows with the same keys; None where a figure is undefined.
    """
    units = {"measure": matrix.measure, "steps": matrix.unit, "ratio": "ratio"}
    return [
        {
            **{key: cell[key] for key in (*_ARM, "steps")},
            "planned": len(cell["seeds"]),
            "finished": len(cell["finished"]),
            "flags": " ".join(flag["code"] for flag in cell["flags"]),
            "metric": name,
            "unit": units[metric["unit"]],
            **{key: metric[key] for key in _ESTIMATE},
            "bound": metric["bound"],
            **{f"score_{key}": (metric["score"] or {}).get(key) for key in _ESTIMATE[:3]},
            **{column: cell["comparisons"].get(name, {}).get(key) for column, key in VERDICT.items()},
        }
        for cell in summary(matrix)
        for name, metric in cell["metrics"].items()
    ]


def tidy_seeds(matrix: Matrix) -> list[JsonObject]:
    """One row per cell, metric and seed: what the means are made of.

    Args:
        matrix: a finished analysis.

    Returns:
        Rows with the same keys; ``score`` is None without a usable reference.
    """
    return [
        {
            **{key: cell[key] for key in _ARM},
            "metric": name,
            "seed": int(seed),
            "value": value,
            "score": None if metric["score"] is None else metric["score"]["per_seed"].get(seed),
        }
        for cell in summary(matrix)
        for name, metric in cell["metrics"].items()
        for seed, value in metric["per_seed"].items()
    ]


TIDY_CURVE = (
    "run", "role", "source", "target", "strategy", "seed", "step", "value", "episodes", "lowest", "highest",
    "success_rate",
)  # fmt: skip
"""The columns of :func:`tidy_curves`, also where no run is finished."""
TIDY_TEXTS = frozenset(
    (
        *_ARM, "metric", "unit", "bound", "flags", "run", "role",
        "verdict", "verdict_unit", "outcome", "knowledge",
    )
)  # fmt: skip
"""Columns that hold words; all others hold numbers."""


def tidy_curves(runs: Iterable[Run]) -> list[JsonObject]:
    """One row per run and evaluation.

    Args:
        runs: places of a sweep's matrix; those without a learning curve are passed over.

    Returns:
        Rows with the same keys: ``value`` is the mean over the ``episodes`` of the evaluation at ``step``,
        ``lowest`` and ``highest`` are its least and greatest episode, ``success_rate`` is None where nothing
        counts as a success.
    """
    return [row for run in runs for row in _points(run)]


def _points(run: Run) -> Iterator[JsonObject]:
    curve = run.curve
    if curve is None:
        return
    name = (run.id, run.role, run.source, run.target, run.strategy, run.seed)
    for place, returns in enumerate(curve.returns):
        rate = None if curve.successes is None else float(curve.successes[place].mean())
        ends = float(returns.min()), float(returns.max())
        told = (int(curve.steps[place]), float(curve.means[place]), len(returns), *ends, rate)
        yield dict(zip(TIDY_CURVE, (*name, *told), strict=True))

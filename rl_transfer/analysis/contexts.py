"""Contexts of sources and targets, as numbers: what their configs set of the physics."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from rl_transfer.analysis.arm_statistics import FloatArray
from rl_transfer.analysis.inputs import Sweep
from rl_transfer.analysis.model import Matrix
from rl_transfer.spec import JsonObject


def contexts(sweep: Sweep, matrix: Matrix) -> tuple[FloatArray, FloatArray] | None:
    """Contexts of all sources and of all targets, one dimension per parameter that any of them sets.

    A parameter is a number everywhere, or everywhere a multiple (``x1.5``) of the environment's own value;
    where only multiples are set, who sets none has 1. Positive values count by their logarithm.

    Args:
        sweep: its config.
        matrix: whose sources and targets, in that order.

    Returns:
        Arrays [source, dimension] and [target, dimension]; None where environments or other perturbations
        differ, or a value is no number: then contexts cannot be compared.
    """
    entries = [
        *(_settings(sweep, "sources", name) for name in matrix.sources),
        *(_settings(sweep, "targets", name) for name in matrix.targets),
    ]
    found = [each for each in entries if each is not None]
    if len(found) < len(entries) or len({each[0] for each in found}) != 1:
        return None
    names = list(dict.fromkeys(name for _, values in found for name in values))
    columns = [_column([values.get(name) for _, values in found]) for name in names]
    if not columns or any(column is None for column in columns):
        return None
    table = np.stack([column for column in columns if column is not None], axis=1)
    return table[: len(matrix.sources)], table[len(matrix.sources) :]


def _settings(sweep: Sweep, group: str, name: str) -> tuple[str, dict[str, JsonObject]] | None:
    """Environment, and parameter → value as it is written."""
    entries = sweep.config.get(group)
    entry = entries.get(name) if isinstance(entries, Mapping) else None
    env = entry.get("env") if isinstance(entry, Mapping) else None
    if not isinstance(env, Mapping) or not isinstance(env.get("id"), str):
        return None
    values: dict[str, JsonObject] = {}
    for each in env.get("perturb") or ():
        if not isinstance(each, Mapping):
            return None
        values |= each
    return f"{env['id']} {env.get('kwargs') or {}}", values


def _column(values: list[JsonObject | None]) -> FloatArray | None:
    given = [value for value in values if value is not None]
    if all(str(value)[:1] == "x" for value in given):
        found = [_number(str(value)[1:]) if value is not None else 1.0 for value in values]
    elif len(given) == len(values):
        found = [_number(value) for value in values]
    else:
        return None
    if not all(map(math.isfinite, found)):
        return None
    column = np.array(found)
    return np.log(column) if (column > 0).all() else column


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return math.nan
    try:
        return float(value)
    except (ValueError, OverflowError):
        return math.nan

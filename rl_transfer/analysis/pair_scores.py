"""What is known of each source on each target before it is trained there: scores of pairs, as arrays.

Scored runs (``scores`` of a suite) say most. Without them there is what every sweep has anyway: the source
policy's return on the target before training, its score in its own task, and its training budget.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from rl_transfer.analysis.arm_statistics import FloatArray
from rl_transfer.analysis.inputs import Run, Sweep
from rl_transfer.analysis.model import Matrix
from rl_transfer.analysis.ranked_sources import PairScore
from rl_transfer.spec import JsonObject


def pair_scores(sweep: Sweep, matrix: Matrix) -> tuple[PairScore, ...]:
    """Every score that the records have, sources and targets in the order of the matrix.

    Args:
        sweep: its runs.
        matrix: its analysis.

    Returns:
        Scores in the order in which they were first recorded; those without any value are left out.
    """
    places = {
        (source, target): (i, j)
        for i, source in enumerate(matrix.sources)
        for j, target in enumerate(matrix.targets)
    }
    shape = len(matrix.sources), len(matrix.targets)
    scored = _scored(sweep)
    names = dict.fromkeys(name for found, _ in scored.values() for each in found for name in each)
    recorded = [
        PairScore(
            name,
            _table(
                shape,
                {
                    places[pair]: [_value(each.get(name)) for each in found]
                    for pair, (found, _) in scored.items()
                    if pair in places
                },
            ),
            _upwards(name, (each for found, _ in scored.values() for each in found)),
            float(np.median([steps for _, steps in scored.values()])),
        )
        for name in names
    ]
    known = {score.name for score in recorded}
    rest = [score for score in _everywhere(sweep, matrix, places, shape) if score.name not in known]
    return tuple(score for score in [*recorded, *rest] if np.isfinite(score.values).any())


Pair = tuple[str, str]
"""(source, target)."""


def _scored(sweep: Sweep) -> dict[Pair, tuple[list[Mapping[str, JsonObject]], float]]:
    """What scored runs found of each pair, each run once, and the steps that one used."""
    runs: dict[Pair, dict[str, JsonObject]] = {}
    for run in sweep.runs:
        found = (run.record or {}).get("source_scores")
        if run.source is not None and run.target is not None and isinstance(found, Mapping):
            runs.setdefault((run.source, run.target), {})[run.id] = dict(found)
    return {
        pair: (
            [dict(each.get("scores") or {}) for each in found.values()],
            max(float(each.get("steps") or 0) for each in found.values()),
        )
        for pair, found in runs.items()
    }


def _value(entry: JsonObject | None) -> float:
    value = (entry or {}).get("value")
    return float(value) if isinstance(value, int | float) else math.nan


def _upwards(name: str, records: Iterable[Mapping[str, JsonObject]]) -> bool:
    said = [each[name].get("higher_is_better") for each in records if name in each]
    return next((bool(each) for each in said if each is not None), True)


def _table(shape: tuple[int, int], values: Mapping[tuple[int, int], Sequence[float]]) -> FloatArray:
    """Means of what is finite, array of ``shape``."""
    found = np.full(shape, math.nan)
    for place, each in values.items():
        finite = [value for value in each if math.isfinite(value)]
        if finite:
            found[place] = np.mean(finite)
    return found


def _everywhere(
    sweep: Sweep, matrix: Matrix, places: Mapping[Pair, tuple[int, int]], shape: tuple[int, int]
) -> list[PairScore]:
    """The scores of a sweep that asked for none."""

    def of_source(figure: Callable[[str], float]) -> FloatArray:
        column = np.array([figure(name) for name in matrix.sources])
        return np.repeat(column[:, None], shape[1], axis=1)

    starts: dict[tuple[int, int], dict[str, float]] = {}
    for run in sweep.runs:
        value = _zero_shot(run)
        if value is not None and (run.source, run.target) in places:
            policy = str((run.record or {}).get("source_run") or run.id)
            starts.setdefault(places[run.source or "", run.target or ""], {}).setdefault(policy, value)
    quality = of_source(lambda name: _mean(matrix.sources[name].scores.values()))
    budget = of_source(lambda name: matrix.sources[name].steps)
    return [
        PairScore(
            "zero_shot_return",
            _table(shape, {place: [*each.values()] for place, each in starts.items()}),
            higher_is_better=True,
            steps=math.nan,
        ),
        PairScore("source_quality", quality, higher_is_better=True, steps=0.0),
        PairScore("source_budget", budget, higher_is_better=True, steps=0.0),
    ]


def _mean(values: Iterable[float]) -> float:
    found = [*values]
    return float(np.mean(found)) if found else math.nan


def _zero_shot(run: Run) -> float | None:
    """Mean return of the source policy on the target before training, if the run recorded it."""
    found = (run.record or {}).get("zero_shot")
    returns = found.get("returns") if isinstance(found, Mapping) else None
    return float(np.mean(returns)) if isinstance(returns, list) and returns else None

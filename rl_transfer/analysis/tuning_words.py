"""What is said of tuning: one object per cell, and sentences above the results."""

from __future__ import annotations

import math
from collections.abc import Iterable

from rl_transfer.analysis.arm_statistics import Interval
from rl_transfer.analysis.model import Cell, Matrix
from rl_transfer.analysis.tuning import TunedArm, TuningResult
from rl_transfer.analysis.words import arm_label
from rl_transfer.results.tuning import FIGURES, JUDGED_BEFORE, ArmPlace
from rl_transfer.spec import JsonObject
from rl_transfer.spec.tune import point_words
from rl_transfer.wording import counted, in_words, listing

SHOWN = 6
"""Arms that are named one by one."""


def tuning_of(cell: Cell, matrix: Matrix) -> JsonObject:
    """The key ``tuning`` of a cell in ``summary.json``; nothing where nothing was tuned.

    Args:
        cell: one (source, target, strategy).
        matrix: the analysis that it belongs to.

    Returns:
        What the arm chose, whether it could, the point that it would choose by today's records, and mean,
        interval, seeds and gain over the from-scratch arm at every point.
    """
    result = matrix.tuning
    arm = None if result is None else result.arms.get(cell.key)
    if result is None or arm is None:
        return {}
    return {
        "tuning": {
            "by": result.by,
            "chosen": arm.chosen,
            "tuned": not arm.untuned,
            "best_now": arm.best_now,
            "at": {**result.points[arm.chosen]},
            "edges": [*arm.edges],
            "points": [
                {
                    "at": {**values},
                    "mean": _number(point.mean.point),
                    "interval": _limits(point.mean),
                    "gain": _number(point.gain.point),
                    "gain_interval": _limits(point.gain),
                    "complete": point.complete,
                    "per_seed": {str(seed): score for seed, score in point.scores.items()},
                }
                for values, point in zip(result.points, arm.points, strict=True)
            ],
        }
    }


def tuning_notes(matrix: Matrix) -> list[str]:
    """How the arms were tuned, and which choices are doubtful.

    Args:
        matrix: a finished analysis.

    Returns:
        Lines that start with their mark; none where nothing was tuned.
    """
    result = matrix.tuning
    if result is None:
        return []
    keys = [key.partition(".")[2] for key in result.keys]
    untuned = [arm_name(arm.key, matrix) for arm in result.arms.values() if arm.untuned]
    which = (
        f"{len(result.arms) - len(untuned)} of {counted(len(result.arms), 'arm')}" if untuned else "every arm"
    )
    found = [
        f"tuned: {which} chose among {counted(len(result.points), 'point')} of {in_words(keys)} by "
        f"{FIGURES[result.by]} over {len(result.seeds)} tuning seeds; verdicts rest on other seeds alone"
    ]
    if result.late:
        found.append(JUDGED_BEFORE)
    if result.finished < result.planned:
        found.append(
            f"{result.finished} of {result.planned} tuning runs are finished; a point that lacks one when an "
            "arm chooses is never chosen"
        )
    if untuned:
        found.append(
            "not tuned, for want of a point with all its runs when they were to choose, and judged at the "
            f"first: {listing(untuned, SHOWN)}"
        )
    others = [*_others(result, matrix)]
    if others:
        found.append(
            "choices are pinned when the tuning ends; by the records of now they would be others: "
            f"{listing(others, SHOWN, '; ')}"
        )
    at_edge = [arm for arm in result.arms.values() if arm.edges]
    if at_edge:
        found.append(
            f"{len(at_edge)} of {counted(len(result.arms), 'arm')} chose an end of the grid, beyond which "
            f"they might do better: {listing([*_at_edges(at_edge, matrix)], SHOWN, '; ')}"
        )
    return [f"! {text}" for text in found]


def arm_name(key: ArmPlace, matrix: Matrix) -> str:
    """``fine-tune on longer-pole``, with its source where there are several.

    Args:
        key: of the arm.
        matrix: a finished analysis.

    Returns:
        A phrase.
    """
    source, target, strategy = key
    return f"{arm_label(strategy, source, matrix)} on {target}"


def _others(result: TuningResult, matrix: Matrix) -> Iterable[str]:
    for arm in result.arms.values():
        now, name = arm.best_now, arm_name(arm.key, matrix)
        if now is None and not arm.untuned:
            yield f"{name} (none: no point has all its runs)"
        elif now is not None and now != arm.chosen:
            yield f"{name} ({point_words(result.points[now])}, not {point_words(result.points[arm.chosen])})"


def _at_edges(arms: Iterable[TunedArm], matrix: Matrix) -> Iterable[str]:
    points = () if matrix.tuning is None else matrix.tuning.points
    for arm in arms:
        values = {key: points[arm.chosen][key] for key in arm.edges}
        yield f"{arm_name(arm.key, matrix)} ({point_words(values)})"


def _limits(interval: Interval) -> list[float | None]:
    return [_number(interval.low), _number(interval.high)]


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

"""Tuning: which point of the grid each arm chooses, and how the arms fared at all of them.

Works on tuning runs alone: their seeds are never judged, and a judged run is never looked at here. Intervals
are over the tuning seeds, uncorrected, and support no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_transfer.analysis.arm_statistics import UNDEFINED, Interval, mean_interval, welch_interval
from rl_transfer.analysis.inputs import Run, Sweep, load_sweep
from rl_transfer.analysis.metrics import area_under_curve, final_performance
from rl_transfer.analysis.settings import read_range
from rl_transfer.results.tuning import TUNING, ArmPlace, TuningRecord, read_tuning
from rl_transfer.spec import Analysis, JsonObject
from rl_transfer.spec.base import Json
from rl_transfer.spec.tune import numeric


@dataclass(frozen=True)
class PointScore:
    """One arm at one point of the grid."""

    scores: Mapping[int, float]
    """Tuning seed → the figure that is maximised, in the measure's unit; missing runs are left out."""
    mean: Interval
    """Over the tuning seeds."""
    gain: Interval
    """Over the from-scratch arm at the same point; NaN for that arm itself."""
    complete: bool
    """Whether every tuning seed is there; a point that lacks one is never chosen."""


@dataclass(frozen=True)
class TunedArm:
    """What one arm chose."""

    key: ArmPlace
    points: tuple[PointScore, ...]
    chosen: int
    """Index of the point that its judged runs have."""
    edges: tuple[str, ...]
    """Keys whose lowest or highest value it chose, of those with three different numbers or more."""
    untuned: bool
    """Whether no point had all its runs when it chose, so that the first one was taken."""

    @property
    def best_now(self) -> int | None:
        """The point that it would choose by today's records; None where none is complete."""
        return best([point.scores if point.complete else None for point in self.points])


@dataclass(frozen=True)
class TuningResult:
    """The tuning of a sweep."""

    by: str
    """``auc`` or ``final_performance``."""
    points: tuple[Mapping[str, Json], ...]
    seeds: tuple[int, ...]
    arms: Mapping[ArmPlace, TunedArm]
    planned: int
    """Tuning runs, each counted once, those of their sources included."""
    finished: int
    late: bool = False
    """Whether judged runs were finished before the arms chose."""

    @property
    def keys(self) -> tuple[str, ...]:
        """The grid's keys."""
        return tuple(self.points[0])

    def values(self, key: str) -> list[Json]:
        """The values of a key, in the grid's order.

        Args:
            key: of the grid.

        Returns:
            Each value once.
        """
        found: list[Json] = []
        for point in self.points:
            if point[key] not in found:
                found.append(point[key])
        return found


def choices(folder: Path, manifest: JsonObject) -> dict[ArmPlace, int]:
    """Which point of the grid each arm chooses.

    The one with the best mean over the tuning seeds; of equal ones the first. A point that lacks a run never
    wins.

    Args:
        folder: the sweep's.
        manifest: one whose tuning runs have ended.

    Returns:
        Arm → index of its point; arms that have no complete point are left out.

    Raises:
        StoreError: a newer version wrote a record.
    """
    declared = read_tuning(manifest)
    if declared is None:
        return {}
    tuning = [row for row in manifest["runs"] if row["role"] == TUNING]
    sweep = load_sweep(folder, {**manifest, "runs": tuning})
    found = {key: best(points) for key, points in _scores(sweep, declared).items()}
    return {key: point for key, point in found.items() if point is not None}


def best(points: Sequence[Mapping[int, float] | None]) -> int | None:
    """The first of the points with the greatest mean.

    Args:
        points: tuning seed → score at each point; None where a run is missing.

    Returns:
        Its index; None where no point is complete.
    """
    means = [-math.inf if each is None else math.fsum(each.values()) / len(each) for each in points]
    means = [mean if math.isfinite(mean) else -math.inf for mean in means]
    top = max(means)
    return None if top == -math.inf else means.index(top)


def tuning_result(sweep: Sweep) -> TuningResult | None:
    """The tuning of a sweep, for people.

    Args:
        sweep: with its tuning runs.

    Returns:
        None where nothing is tuned.

    Raises:
        StoreError: what ``sweep.json`` says of it cannot be read.
    """
    declared = read_tuning(sweep.manifest)
    if declared is None:
        return None
    rows = _rows(sweep.tuning, len(declared.points))
    judged = {(run.source, run.target, run.strategy) for run in sweep.runs}
    scored = {
        key: [_scored(runs, declared, sweep.settings) for runs in points] for key, points in rows.items()
    }
    arms = {}
    for key in scored:
        source, target, _ = key
        own = (source, target, sweep.baseline)
        scratch = scored.get(own) or scored.get((None, target, sweep.baseline))
        arms[key] = _arm(
            key,
            scored[key],
            None if key[2] == sweep.baseline else scratch,
            declared,
            sweep.settings,
            read_range(sweep.config, target, sweep.labels),
            untuned=key in declared.untuned or (key not in declared.choices and key in judged),
        )
    distinct = {run.id: run for run in sweep.tuning}.values()
    return TuningResult(
        declared.by,
        declared.points,
        declared.seeds,
        arms,
        len(distinct),
        sum(run.finished for run in distinct),
        declared.late,
    )


def _arm(
    key: ArmPlace,
    points: Sequence[Mapping[int, float]],
    scratch: Sequence[Mapping[int, float]] | None,
    declared: TuningRecord,
    settings: Analysis,
    possible: tuple[float, float],
    *,
    untuned: bool,
) -> TunedArm:
    chosen = declared.choices.get(key, 0)
    found = tuple(
        PointScore(
            scores=scores,
            mean=mean_interval([*scores.values()], settings.confidence).within(*possible),
            gain=UNDEFINED
            if scratch is None
            else welch_interval([*scores.values()], [*scratch[index].values()], settings.confidence),
            complete=len(scores) == len(declared.seeds),
        )
        for index, scores in enumerate(points)
    )
    means = {point.mean.point for point in found if point.complete}
    edges = (
        tuple(name for name in declared.points[0] if _at_edge(name, chosen, declared))
        if len(means) > 1 and not untuned
        else ()
    )
    return TunedArm(key, found, chosen, edges, untuned)


def _at_edge(key: str, chosen: int, declared: TuningRecord) -> bool:
    values = numeric(point[key] for point in declared.points)
    return values is not None and len({*values}) > 2 and values[chosen] in (min(values), max(values))


def _scores(sweep: Sweep, declared: TuningRecord) -> dict[ArmPlace, list[Mapping[int, float] | None]]:
    """Arm → for each point tuning seed → score; None where a run is missing."""
    found: dict[ArmPlace, list[Mapping[int, float] | None]] = {}
    for key, points in _rows(sweep.tuning, len(declared.points)).items():
        scores = [_scored(runs, declared, sweep.settings) for runs in points]
        found[key] = [each if len(each) == len(declared.seeds) else None for each in scores]
    return found


def _rows(runs: Sequence[Run], points: int) -> dict[ArmPlace, list[list[Run]]]:
    """Arm → its runs at each point; none at a point that ``sweep.json`` does not list for it."""
    found: dict[ArmPlace, list[list[Run]]] = {}
    for run in runs:
        if run.target is not None and run.strategy is not None and run.point is not None:
            arm = (run.source, run.target, run.strategy)
            found.setdefault(arm, [[] for _ in range(points)])[run.point].append(run)
    return found


def _scored(runs: Sequence[Run], declared: TuningRecord, settings: Analysis) -> dict[int, float]:
    found = {run.seed: _score(run, declared.by, settings) for run in runs if run.curve is not None}
    return {seed: found[seed] for seed in declared.seeds if math.isfinite(found.get(seed, math.nan))}


def _score(run: Run, by: str, settings: Analysis) -> float:
    if run.curve is None:
        return math.nan
    if by == "final_performance":
        return final_performance(run.curve.means, settings.final_share)
    return area_under_curve(run.curve.steps, run.curve.means)

"""A calibration as a file: read the sweeps it rests on, write what it found, say what that is worth."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rl_transfer.analysis import words
from rl_transfer.analysis.arm_statistics import FloatArray, Interval
from rl_transfer.analysis.calibration import LEVEL, Calibration, Warnings, calibrate, warning_rates
from rl_transfer.analysis.comparison import JUDGED
from rl_transfer.analysis.inputs import Sweep, read_sweep
from rl_transfer.analysis.looks import analyse
from rl_transfer.analysis.model import Matrix
from rl_transfer.analysis.ranked_sources import SourceRanking
from rl_transfer.analysis.ranking import Ranking
from rl_transfer.analysis.ranking_words import score_name
from rl_transfer.analysis.recommendation import SCHEMA, likely_negative
from rl_transfer.errors import StoreError
from rl_transfer.seeding import generator
from rl_transfer.spec import JsonObject
from rl_transfer.wording import counted, in_words

NO_WEIGHT = (
    "weights: all 0. No score went with the gains, so the combined score is the same for every source, "
    "`recommend --calibration` refuses this file, and without it weighs all scores alike, which these sweeps "
    "do not support; more sources, targets or seeds may tell more"
)


@dataclass(frozen=True, eq=False)
class CalibrationFile:
    """A calibration with the sweeps that it rests on."""

    found: Calibration
    names: tuple[str, ...]
    """Of the sweeps."""
    rankings: tuple[SourceRanking, ...]
    """One per sweep."""
    uncalibrated: Warnings
    """Of *likely negative* as it is said without a calibration."""
    data: JsonObject
    """The content of the file."""


def calibrated(folders: Sequence[Path], strategy: str | None, metric: str) -> CalibrationFile:
    """Calibrate a combined score on finished sweeps.

    Args:
        folders: of sweeps of several sources.
        strategy: whose gains; None: the first transfer strategy of the first sweep.
        metric: a judged metric.

    Returns:
        The calibration and the content of its file.

    Raises:
        StoreError: the metric is none, a folder is no sweep of several sources, or has no such strategy, or
            too few targets are finished.
    """
    if metric not in JUDGED:
        raise StoreError(f"no judged metric {metric!r}, expected {in_words(JUDGED, 'or')}")
    rankings, names, settings = [], list[str](), None
    warned: list[FloatArray] = []
    sweeps: list[JsonObject] = []
    for folder in folders:
        sweep = read_sweep(folder)
        matrix = analyse(sweep)
        strategy = strategy or _first(matrix, folder)
        rankings.append(_ranking(matrix, folder, strategy, metric))
        warned.append(played_worse(sweep, rankings[-1]))
        digest = sweep.manifest.get("digest")
        sweeps.append(
            {
                "name": sweep.name,
                "digest": digest,
                "sources": len(matrix.sources),
                "targets": len(matrix.targets),
            }
        )
        names.append(sweep.name)
        settings = settings or matrix.settings
    if settings is None:
        raise StoreError("a calibration needs the folder of a finished sweep")
    try:
        found = calibrate(rankings, settings.bootstrap, settings.confidence)
    except ValueError as error:
        raise StoreError(f"{in_words([str(each) for each in folders])}: {error}") from None
    uncalibrated = warning_rates(
        warned,
        [each.gains for each in rankings],
        generator(0, "uncalibrated"),
        settings.bootstrap,
        settings.confidence,
    )
    data: JsonObject = {
        "schema": SCHEMA,
        "strategy": strategy,
        "metric": metric,
        "weights": dict(found.weights),
        "warning": {
            "intercept": found.intercept,
            "slope": found.slope,
            "threshold": found.threshold if math.isfinite(found.threshold) else None,
            "level": LEVEL,
            "least_sources": found.least_sources,
        },
        "sweeps": sweeps,
        "left_out": {
            "combined": [_ranked(each) for each in found.combined],
            "best_single": [_ranked(each) for each in found.single],
            "false_alarms": _limits(found.warnings.false_alarms),
            "misses": _limits(found.warnings.misses),
            "uncalibrated": {
                "false_alarms": _limits(uncalibrated.false_alarms),
                "misses": _limits(uncalibrated.misses),
                "negatives": uncalibrated.negatives,
                "pairs": uncalibrated.pairs,
            },
            "negatives": found.warnings.negatives,
            "pairs": found.warnings.pairs,
            "better_than_chance_p": found.warnings.p if math.isfinite(found.warnings.p) else None,
        },
    }
    return CalibrationFile(found, tuple(names), tuple(rankings), uncalibrated, data)


def _first(matrix: Matrix, folder: Path) -> str:
    if not matrix.rankings:
        raise StoreError(
            f"{folder} ranks no sources: it needs two sources or more with finished cells on a target"
        )
    return matrix.rankings[0].strategy


def _ranking(matrix: Matrix, folder: Path, strategy: str, metric: str) -> SourceRanking:
    there = [each.strategy for each in matrix.rankings if each.metric == metric]
    for each in matrix.rankings:
        if (each.strategy, each.metric) == (strategy, metric):
            return each
    known = f"it ranks sources for {in_words(there)}" if there else "it ranks no sources"
    raise StoreError(f"{folder} has no finished cells of several sources for {strategy!r}; {known}")


def played_worse(sweep: Sweep, ranking: SourceRanking) -> FloatArray:
    """Where *likely negative* is said without a calibration.

    Of several policies of a source more than half must play worse than random actions.

    Args:
        sweep: with scored runs or without.
        ranking: whose sources and targets these are.

    Returns:
        1 or 0, NaN where no episodes were matched, [source, target].
    """
    said: dict[tuple[str, str], dict[str, bool]] = {}
    for run in sweep.runs:
        found = (run.record or {}).get("source_scores")
        if run.source is None or run.target is None or not isinstance(found, Mapping):
            continue
        returns, random = (found.get(name) or [] for name in ("returns", "random_returns"))
        if min(len(returns), len(random)) > 1:
            said.setdefault((run.source, run.target), {})[run.id] = bool(likely_negative(returns, random))
    table = np.full(ranking.gains.shape, math.nan)
    for i, source in enumerate(ranking.sources):
        for j, target in enumerate(ranking.targets):
            each = [*said.get((source, target), {}).values()]
            if each:
                table[i, j] = float(sum(each) > len(each) / 2)
    return table


def calibration_lines(file: CalibrationFile) -> list[str]:
    """What the calibration found, for the terminal.

    Args:
        file: of any sweeps.

    Returns:
        Weights, τ and regret on left-out targets beside single scores, and how often warnings are wrong.
    """
    found = file.found
    weights = sorted(found.weights.items(), key=lambda each: -each[1])
    told = [f"{score_name(name)} {weight:.2f}" for name, weight in weights if weight > 0]
    lines = [
        f"weights: {in_words(told)}" if told else NO_WEIGHT,
        "on targets left out, τ and regret as a share of the range:",
    ]
    for name, entry, both, single in zip(
        file.names, file.rankings, found.combined, found.single, strict=True
    ):
        best = entry.scores[0]
        lines += [
            f"  {name}: combined {_told(both)}; the single score that is best on other targets "
            f"{_told(single)}; with hindsight {score_name(best.name)} {_told(best.ranking)}"
        ]
    warnings = found.warnings
    p = "" if math.isnan(warnings.p) else f" (p of chance {warnings.p:.2g})"
    lines.append(
        f"likely negative, said of left-out targets below a combined score that {LEVEL:.0%} of the pairs "
        f"that do not lose may have: {counted(warnings.negatives, 'pair')} of {warnings.pairs} lost; "
        f"false alarms {_share(warnings.false_alarms)}, misses {_share(warnings.misses)}{p}"
    )
    plain = file.uncalibrated
    if plain.pairs:
        lines.append(
            "likely negative, said without a calibration of sources that play worse than random actions: "
            f"{counted(plain.negatives, 'pair')} of {plain.pairs} lost; "
            f"false alarms {_share(plain.false_alarms)}, misses {_share(plain.misses)}"
        )
    return lines


def _told(found: Ranking) -> str:
    return f"{words.interval(found.tau)} ({_share(found.regret_share)})"


def _share(found: Interval) -> str:
    if not math.isfinite(found.point):
        return "–"
    limits = f" [{found.low:.0%}, {found.high:.0%}]" if found.defined else ""
    return f"{found.point:.0%}{limits}"


def _ranked(found: Ranking) -> JsonObject:
    return {"tau": _limits(found.tau), "regret_share": _limits(found.regret_share)}


def _limits(found: Interval) -> JsonObject:
    each = {"point": found.point, "low": found.low, "high": found.high}
    return {name: float(value) if math.isfinite(value) else None for name, value in each.items()}

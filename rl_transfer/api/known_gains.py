"""What the sources of finished sweeps gained, and where they stand: a part of a calibration file.

With it ``recommend`` predicts gains (:mod:`rl_transfer.api.predicted_gain`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rl_transfer.analysis import words
from rl_transfer.analysis.calibration_file import CalibrationFile
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.ranked_sources import ScoreRanking, SourceRanking
from rl_transfer.analysis.ranking_words import score_name
from rl_transfer.analysis.source_ranking import PROCESS
from rl_transfer.errors import ConfigError, RLTransferError
from rl_transfer.results import read_json, read_manifest
from rl_transfer.results.scores import is_number
from rl_transfer.spec import Environment, JsonObject, parse

FloatArray = npt.NDArray[np.float64]

KEY = "gains"
"""Of a calibration file."""
MOST = 1e12
"""Of a gain: squares of larger ones could overflow."""


@dataclass(frozen=True, eq=False)
class KnownGains:
    """What the sources of a finished sweep gained.

    Attributes:
        sweep: its name.
        strategy: whose gains.
        metric: of them.
        sources: the environments that they were trained in.
        targets: those of the targets.
        gains: [source, target], in the metric's unit; NaN where there is none.
    """

    sweep: str
    strategy: str
    metric: str
    sources: tuple[Environment, ...]
    targets: tuple[Environment, ...]
    gains: FloatArray


def kept_gains(folders: Sequence[Path], file: CalibrationFile) -> list[JsonObject]:
    """What a calibration file keeps of its sweeps.

    Args:
        folders: of the sweeps.
        file: the calibration that rests on them.

    Returns:
        An entry per sweep whose sources and targets are environments: ``sweep``, ``sources`` and ``targets``
        (environments), ``gains`` (a row per source, null where a pair has none).
    """
    found: list[JsonObject] = []
    for folder, name, ranking in zip(folders, file.names, file.rankings, strict=True):
        config = read_manifest(folder)["config"]
        sources = [_environment(config, "sources", each) for each in ranking.sources]
        targets = [_environment(config, "targets", each) for each in ranking.targets]
        rows = [i for i, each in enumerate(sources) if each is not None]
        columns = [j for j, each in enumerate(targets) if each is not None]
        if rows and columns:
            found.append(
                {
                    "sweep": name,
                    "sources": [sources[i] for i in rows],
                    "targets": [targets[j] for j in columns],
                    "gains": [[_or_null(ranking.gains[i, j]) for j in columns] for i in rows],
                }
            )
    return found


def _environment(config: Mapping[str, object], group: str, name: str) -> JsonObject | None:
    entries = config.get(group)
    entry = entries.get(name) if isinstance(entries, Mapping) else None
    env = entry.get("env") if isinstance(entry, Mapping) else None
    return dict(env) if isinstance(env, Mapping) else None


def _or_null(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def read_known_gains(path: Path) -> list[KnownGains]:
    """The gains in a calibration file.

    Args:
        path: what ``rl-transfer calibrate`` wrote.

    Returns:
        One entry per sweep; none where the file keeps no gains: weights alone, or of a version before.

    Raises:
        StoreError: the file cannot be read.
        ConfigError: what stands there are no gains.
    """
    content = read_json(path)
    kept = content.get(KEY, []) if isinstance(content, dict) and "weights" in content else []
    try:
        return [_known(each, content) for each in kept]
    except (TypeError, ValueError, KeyError, AttributeError, RLTransferError) as error:
        said = error.message if isinstance(error, RLTransferError) else error
        raise ConfigError(
            f"{path}: {KEY} is not what `rl-transfer calibrate` writes ({said}); calibrate again"
        ) from None


def _known(entry: JsonObject, content: JsonObject) -> KnownGains:
    sources, targets = (
        tuple(parse(Environment, each) for each in entry[name]) for name in ("sources", "targets")
    )
    if not sources or not targets:
        raise ValueError("a sweep without sources or targets")
    if content["metric"] not in METRICS:
        raise ValueError(f"an unknown metric, {content['metric']!r}")
    rows = [[math.nan if each is None else each for each in row] for row in entry["gains"]]
    if any(len(row) != len(targets) for row in rows) or len(rows) != len(sources):
        raise ValueError(f"gains must be {len(sources)} rows of {len(targets)}")
    given = [each for row in entry["gains"] for each in row if each is not None]
    if not all(map(is_number, given)) or not all(abs(each) < MOST for each in given):
        raise ValueError(f"gains must be numbers within {MOST:g}, or null")
    texts = str(entry["sweep"]), str(content["strategy"]), str(content["metric"])
    return KnownGains(*texts, sources, targets, np.array(rows, dtype=np.float64))


def worth_lines(file: CalibrationFile) -> list[str]:
    """What predicted gains are worth on the sweeps of a calibration, for the terminal.

    Args:
        file: the calibration.

    Returns:
        Per sweep τ and regret on left-out targets, beside those of context distance where it was scored.
        Nothing of sweeps over whose contexts no process can be fitted.
    """
    found = []
    for name, ranking in zip(file.names, file.rankings, strict=True):
        told = [
            f"{score_name(each.name)} τ {words.interval(each.ranking.tau)}, regret "
            f"{each.ranking.regret_share.point:.0%}"
            for each in _rivals(ranking)
        ]
        if told:
            found.append(f"  {name}: {'; '.join(told)}")
    return ["predicted gains, of left-out targets:", *found] if found else []


def _rivals(ranking: SourceRanking) -> list[ScoreRanking]:
    process = [each for each in ranking.controls if each.name == PROCESS]
    distance = [each for each in ranking.scores if each.name == "context_distance"]
    return [*process, *distance] if process else []

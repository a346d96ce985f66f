"""Sources ranked for a target before anything is trained, by their scores; which of them may do harm."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rl_transfer.analysis.calibration import standings
from rl_transfer.analysis.special import t_quantile
from rl_transfer.errors import ConfigError
from rl_transfer.results import read_json
from rl_transfer.results.scores import is_number
from rl_transfer.wording import counted, listing

CONFIDENCE = 0.95
"""Of the interval by which a source is called likely negative."""

SCHEMA = 1
"""Of calibration files."""
MOST_WEIGHT = 1e12
"""Of a score in a calibration file: sums of larger ones could overflow."""


@dataclass(frozen=True)
class Candidate:
    """A source and its scores.

    Attributes:
        name: as the user gave it.
        values: score → value; only those that it has.
        lower: the scores of which less is better.
        returns: of the episodes that it played in the target.
        random_returns: of those that uniform-random actions played; episode i begins alike.
        cannot_act: why it cannot be used as it is; empty where it can.
    """

    name: str
    values: Mapping[str, float]
    lower: frozenset[str] = frozenset()
    returns: Sequence[float] = ()
    random_returns: Sequence[float] = ()
    cannot_act: str = ""


@dataclass(frozen=True)
class ScoreWeights:
    """How scores are combined.

    Attributes:
        weights: score → weight; None: all scores that tell sources apart weigh the same.
        curve: intercept and slope of the log odds of a negative gain over the combined score; None: unknown.
        threshold: a combined score below it is warned of; None: no such rule.
        least_sources: with fewer the threshold means nothing: standings of few sources are far apart.
    """

    weights: Mapping[str, float] | None = None
    curve: tuple[float, float] | None = None
    threshold: float | None = None
    least_sources: int = 2


@dataclass(frozen=True)
class Recommended:
    """A source's place.

    Attributes:
        candidate: the source.
        place: 1 for the most promising, ties share theirs; None where it cannot act.
        combined: its combined score, from −1 (last by every score) to 1; None where it cannot act.
        standings: score → its standing among the sources, from −1 (last) to 1 (first).
        warning: why a loss is likely; empty without one.
        negative: probability of a negative gain by the calibration; None without one.
    """

    candidate: Candidate
    place: int | None
    combined: float | None
    standings: Mapping[str, float] = field(default_factory=dict)
    warning: str = ""
    negative: float | None = None


def recommend(candidates: Sequence[Candidate], weights: ScoreWeights) -> list[Recommended]:
    """Rank sources by a weighted sum of their standings.

    A standing is the rank among those that can act and have the score, from −1 (last) to 1 (first), 0 for one
    that has none; a score by which all are the same is left out. So no score's unit or spread decides.

    Args:
        candidates: with their scores.
        weights: how they are combined.

    Returns:
        All of them: the most promising first, behind them those that have no score with a weight, and those
        that cannot act last.
    """
    acting = [each for each in candidates if not each.cannot_act]
    names = list(dict.fromkeys(name for each in acting for name in each.values))
    standing = {
        name: standings(np.array([[_oriented(each, name)] for each in acting]))[:, 0] for name in names
    }
    telling = [name for name in names if np.any(standing[name])]
    given = weights.weights
    used = {name: 1 / len(telling) if given is None else given.get(name, 0.0) for name in telling}
    totals = [sum(used[name] * standing[name][i] for name in telling) for i in range(len(acting))]
    order = [
        total if any(used[name] and name in each.values for name in telling) else -math.inf
        for each, total in zip(acting, totals, strict=True)
    ]
    found = [
        Recommended(
            each,
            1 + sum(bool(other > order[i] + 1e-12) for other in order),
            float(total),
            {name: float(standing[name][i]) for name in names if name in each.values},
            likely_negative(each.returns, each.random_returns)
            if weights.threshold is None
            else _below(total, len(acting), weights.threshold, weights.least_sources),
            None if weights.curve is None else _logistic(weights.curve[0] + weights.curve[1] * total),
        )
        for i, (each, total) in enumerate(zip(acting, totals, strict=True))
    ]
    ranked = sorted(found, key=lambda each: each.place or 0)
    return [*ranked, *(Recommended(each, None, None) for each in candidates if each.cannot_act)]


def likely_negative(returns: Sequence[float], random_returns: Sequence[float]) -> str:
    """Whether a source does worse than random actions on episodes that begin alike.

    The rule: the 95 % t interval of the mean difference over the m episodes that both played lies below 0.

    Args:
        returns: of the source's episodes.
        random_returns: of those of random actions.

    Returns:
        The finding in words; empty where the interval reaches 0, and with fewer than two matched episodes.
    """
    count = min(len(returns), len(random_returns))
    if count < 2:
        return ""
    differences = np.asarray(returns[:count], dtype=float) - np.asarray(random_returns[:count], dtype=float)
    mean = float(differences.mean())
    reach = t_quantile((1 + CONFIDENCE) / 2, count - 1) * float(differences.std(ddof=1)) / math.sqrt(count)
    if mean + reach >= 0:
        return ""
    return (
        f"likely negative: {mean:+.4g} a return against random actions on {count} matched episodes "
        f"(95 % interval up to {mean + reach:+.4g})"
    )


def _below(combined: float, sources: int, threshold: float, least_sources: int) -> str:
    """Whether a combined score is one that few pairs have that do not lose; empty where it is not."""
    if sources < least_sources or combined >= threshold:
        return ""
    return (
        f"likely negative: its combined score {combined:+.2f} is below {threshold:+.2f}, as few pairs of the "
        "calibration were that did not lose"
    )


def read_weights(path: Path | None, known: Sequence[str]) -> ScoreWeights:
    """The weights in a calibration file.

    Args:
        path: what ``rl-transfer calibrate`` wrote, or JSON of a map score → weight; None: no weights.
        known: names of scores.

    Returns:
        Weights, and the curve of negative gains where the file has one.

    Raises:
        StoreError: the file cannot be read.
        ConfigError: it is no such map, is of another version, names a score that there is none of, or has a
            weight below 0, or none above.
    """
    if path is None:
        return ScoreWeights()
    content = read_json(path)
    if not isinstance(content, dict):
        raise ConfigError(f"{path} is no map of scores to weights")
    given = content.get("weights", content)
    each_weight = given.items() if isinstance(given, dict) else ()
    large = [name for name, it in each_weight if isinstance(it, int | float) and abs(it) > MOST_WEIGHT]
    if large:
        raise ConfigError(f"{path} weighs {listing(large)} beyond {MOST_WEIGHT:g}; only their ratios matter")
    if not isinstance(given, dict) or not given or not all(map(is_number, given.values())):
        raise ConfigError(f"{path} is no calibration: expected a map of scores to numbers, their weights")
    schema = content.get("schema", SCHEMA) if "weights" in content else SCHEMA
    if schema != SCHEMA:
        raise ConfigError(
            f"{path} has schema {str(schema)[:40]!r}, and this version reads {SCHEMA}; calibrate again"
        )
    unknown = [name for name in given if name not in known]
    if unknown:
        raise ConfigError(f"{path} weighs {listing(unknown)}; the scores are {listing(list(known), 20)}")
    below = [name for name, weight in given.items() if weight < 0]
    if below:
        raise ConfigError(
            f"{path} weighs {listing(below)} below 0. Scores are turned so that more is better before "
            "they are weighed: expected numbers from 0; what is left out, or 0, does not count"
        )
    if not any(given.values()):
        raise ConfigError(
            f"{path} gives every score the weight 0: by it nothing can be ranked. Leave --calibration out: "
            "then all scores weigh the same, which nothing has shown to be right"
        )
    warning = content.get("warning")
    curve = [warning.get(key) for key in ("intercept", "slope")] if isinstance(warning, dict) else []
    if warning is not None and not (curve and all(map(is_number, curve))):
        raise ConfigError(f"{path} has a warning without the numbers intercept and slope; calibrate again")
    known_curve = (float(str(curve[0])), float(str(curve[1]))) if curve else None
    threshold, least = (warning or {}).get("threshold"), (warning or {}).get("least_sources", 2)
    if not (threshold is None or is_number(threshold)) or not (isinstance(least, int) and least >= 2):
        raise ConfigError(
            f"{path} has a warning whose threshold is no number, or whose least_sources is no whole number "
            "from 2; calibrate again"
        )
    return ScoreWeights(
        {name: float(weight) for name, weight in given.items()}, known_curve, threshold, least
    )


def _oriented(candidate: Candidate, name: str) -> float:
    """A score with the sign at which more is better; NaN without one."""
    value = candidate.values.get(name, math.nan)
    return -value if name in candidate.lower else value


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-min(max(x, -700.0), 700.0)))


def recommendation_lines(found: Sequence[Recommended], steps: Mapping[str, int]) -> list[str]:
    """The table for people: place, source, combined score, every score with its standing, samples, warnings.

    Args:
        found: as :func:`recommend` gives it.
        steps: source → samples of the target that were used.

    Returns:
        Lines.
    """
    names = list(dict.fromkeys(name for each in found for name in each.candidate.values))
    head = ["place", "source", "combined", *names, "steps"]
    rows = [head]
    for each in found:
        place = "-" if each.place is None else str(each.place)
        total = "-" if each.combined is None else f"{each.combined:+.2f}"
        cells = [_cell(each, name) for name in names]
        rows.append([place, each.candidate.name, total, *cells, f"{steps[each.candidate.name]:,}"])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    for each in found:
        name = each.candidate.name
        if each.candidate.cannot_act:
            lines.append(f"! {name} cannot act in the target: {each.candidate.cannot_act}")
        if each.warning:
            lines.append(f"! {name} is {each.warning}")
        if each.negative is not None:
            lines.append(f"  {name}: probability of a negative gain by the calibration {each.negative:.2f}")
    acting = sum(each.place is not None for each in found)
    if acting < 2:
        lines.append(f"! {counted(acting, 'source')} that can act: there is nothing to rank")
    elif all(each.place in (1, None) for each in found):
        lines.append("! all share the first place: no score that has a weight tells them apart")
    return lines


def _cell(each: Recommended, name: str) -> str:
    value = each.candidate.values.get(name)
    if value is None:
        return "-"
    standing = each.standings.get(name)
    return f"{value:.4g}" + ("" if standing is None else f" ({standing:+.1f})")

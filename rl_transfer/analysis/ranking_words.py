"""How scores rank sources, in words and as data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from rl_transfer.analysis import words
from rl_transfer.analysis.arm_statistics import FloatArray, Interval
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Matrix
from rl_transfer.analysis.ranked_sources import ScoreRanking, SourceRanking
from rl_transfer.analysis.source_ranking import PROCESS, RANDOM, SAME
from rl_transfer.spec import JsonObject
from rl_transfer.wording import counted, in_words

MOST_SAID = 3
"""Scores that a line of the terminal names; the report has all of them."""
_NAMES = {
    RANDOM: "at random",
    SAME: "always the same source",
    PROCESS: "Gaussian process over contexts",
    "zero_shot_return": "zero-shot return",
    "td_error": "TD error",
    "logme": "LogME",
    "leep": "LEEP",
    "source_quality": "source's own score",
    "source_budget": "source's budget",
}


def score_name(name: str) -> str:
    """What a score, or a control, is called.

    >>> score_name("zero_shot_return"), score_name("context_distance")
    ('zero-shot return', 'context distance')

    Args:
        name: as records have it.
    """
    return _NAMES.get(name, name.replace("_", " "))


def better_than_chance(entry: SourceRanking, matrix: Matrix) -> list[ScoreRanking]:
    """The scores that are shown to rank better than chance.

    Args:
        entry: of one strategy and metric.
        matrix: whose settings say at which q.
    """
    return [each for each in entry.scores if each.adjusted_p <= matrix.settings.q]


def ranking_lines(matrix: Matrix) -> list[str]:
    """A paragraph per strategy and judged metric; empty for a sweep of one source.

    Args:
        matrix: a finished analysis.
    """
    return [_line(entry, matrix) for entry in matrix.rankings]


def _line(entry: SourceRanking, matrix: Matrix) -> str:
    told = [*map(_told, entry.scores[:MOST_SAID])]
    if len(entry.scores) > MOST_SAID:
        told.append(f"{counted(len(entry.scores) - MOST_SAID, 'score')} more in the report")
    told += [_told(each) for each in entry.controls]
    if entry.other_seeds is not None:
        told.append(
            f"the gains of other seeds {words.number(entry.other_seeds.tau, signed=True)} "
            f"(regret {entry.other_seeds.regret_share:.0%})"
        )
    return (
        f"ranking of {counted(len(entry.sources), 'source')} on {counted(len(entry.targets), 'target')}, "
        f"{entry.strategy}, {METRICS[entry.metric].claim}: Kendall's τ with realised gains (and regret as "
        f"a share of their range): {'; '.join(told)}. {ranking_verdict(entry, matrix)}"
    )


def ranking_verdict(entry: SourceRanking, matrix: Matrix) -> str:
    """Which scores rank better than chance, as a sentence.

    Args:
        entry: of one strategy and metric.
        matrix: whose settings say at which q.

    Returns:
        That none is, where none is.
    """
    found = [score_name(each.name) for each in better_than_chance(entry, matrix)]
    if not found:
        return "No score is shown to rank better than chance."
    return f"Shown to rank better than chance: {in_words(found)}."


def _told(each: ScoreRanking) -> str:
    share = each.ranking.regret_share.point
    lost = f" (regret {share:.0%})" if math.isfinite(share) else ""
    return f"{score_name(each.name)} {words.interval(each.ranking.tau)}{lost}"


def ranking_data(matrix: Matrix) -> list[JsonObject]:
    """The content of ``ranking.json``: one object per strategy and judged metric.

    Args:
        matrix: a finished analysis.
    """
    return [_data(entry, matrix) for entry in matrix.rankings]


def _data(entry: SourceRanking, matrix: Matrix) -> JsonObject:
    return {
        "strategy": entry.strategy,
        "metric": entry.metric,
        "measure": matrix.measure,
        "confidence": matrix.settings.confidence,
        "sources": list(entry.sources),
        "targets": list(entry.targets),
        "gains": _rows(entry.gains),
        "scores": [*_entries(entry.scores)],
        "controls": [*_entries(entry.controls)],
        "other_seeds": None
        if entry.other_seeds is None
        else {
            "tau": _number(entry.other_seeds.tau),
            "regret_share": _number(entry.other_seeds.regret_share),
            "seeds": entry.other_seeds.seeds,
        },
        "better_than_chance": [each.name for each in better_than_chance(entry, matrix)],
    }


def _entries(scores: Sequence[ScoreRanking]) -> Iterator[JsonObject]:
    for each in scores:
        found = each.ranking
        yield {
            "score": each.name,
            "tau": _limits(found.tau),
            "regret": _limits(found.regret),
            "regret_share": _limits(found.regret_share),
            "p": _number(found.p),
            "adjusted_p": _number(each.adjusted_p),
            "tau_of_targets": [*map(_number, found.taus)],
            "regret_of_targets": [*map(_number, found.regrets)],
            "regret_share_of_targets": [*map(_number, found.regret_shares)],
            "chosen": [list(names) for names in each.chosen],
            "pairs": found.pairs,
            "degenerate_draws": found.degenerate,
            "higher_is_better": each.score.higher_is_better,
            "steps": _number(each.score.steps),
            "values": _rows(each.score.values),
        }


def _rows(values: FloatArray) -> list[list[float | None]]:
    return [[*map(_number, row)] for row in values.tolist()]


def _limits(found: Interval) -> JsonObject:
    return {"point": _number(found.point), "low": _number(found.low), "high": _number(found.high)}


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None

"""The section of the report page that says how the arms were tuned."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rl_transfer.analysis import words
from rl_transfer.analysis.model import Matrix
from rl_transfer.analysis.tuning import PointScore, TunedArm, TuningResult
from rl_transfer.analysis.tuning_words import arm_name
from rl_transfer.report.markup import Html, joined, table, tag
from rl_transfer.report.sections import interval_text
from rl_transfer.results.tuning import FIGURES
from rl_transfer.spec.tune import point_words
from rl_transfer.wording import counted

UNTUNED = ", but for arms that had no point with all its runs: these are not tuned, and ran at the first"
MOST_COLUMNS = 5
"""With more points than this the table has a line for each."""


def tuning_section(matrix: Matrix, draw: Callable[[str, str], Html]) -> Html:
    """What each arm chose, by which means, and the figures; empty where nothing was tuned.

    Args:
        matrix: a finished analysis.
        draw: a target's figure, with a caption.
    """
    result = matrix.tuning
    if result is None:
        return Html("")
    said = (
        f"Every arm, {matrix.baseline} and controls included, was trained at every point of the same grid "
        f"with {len(result.seeds)} tuning seeds and the same budget; the point with the best mean "
        f"{FIGURES[result.by]} when it chose is the one at which its judged seeds ran"
        f"{UNTUNED if any(arm.untuned for arm in result.arms.values()) else ''}. Tuning seeds and judged "
        "seeds share no run, sources that exist already apart: these feed both. Sources are not "
        "tuned. Means, intervals and gains of this section are tuning data: "
        "exploratory, uncorrected, and no verdict rests on them."
    )
    shown = [
        draw(
            target,
            f"Score and gain of every arm on {target} over the tuning grid; rings are choices, intervals are "
            "over tuning seeds.",
        )
        for target in matrix.targets
    ]
    wide = len(result.points) <= MOST_COLUMNS
    return joined(
        [
            tag("h2", "Tuning"),
            tag("p", said),
            _wide(result, matrix) if wide else _long(result, matrix),
            *shown,
        ]
    )


def _wide(result: TuningResult, matrix: Matrix) -> Html:
    head = ["arm", "chose", *map(point_words, result.points)]
    rows = [
        [
            arm_name(arm.key, matrix),
            _choice(arm, result),
            *(_mean(arm, index, matrix) for index in range(len(result.points))),
        ]
        for arm in _ordered(result, matrix)
    ]
    return table(head, rows)


def _long(result: TuningResult, matrix: Matrix) -> Html:
    rows = [
        [
            arm_name(arm.key, matrix),
            point_words(point),
            _mean(arm, index, matrix),
            _choice(arm, result, what="chosen") if index == arm.chosen else "",
        ]
        for arm in _ordered(result, matrix)
        for index, point in enumerate(result.points)
    ]
    return table(["arm", "point", FIGURES[result.by], ""], rows)


def _ordered(result: TuningResult, matrix: Matrix) -> Iterator[TunedArm]:
    """By target, in the order of the matrix."""
    for target in matrix.targets:
        yield from (arm for arm in result.arms.values() if arm.key[1] == target)


def _choice(arm: TunedArm, result: TuningResult, what: str = "") -> str:
    text = what or point_words(result.points[arm.chosen])
    if arm.untuned:
        return f"{text} (the first: not tuned)"
    return f"{text} (end of the grid)" if arm.edges else text


def _mean(arm: TunedArm, index: int, matrix: Matrix) -> Html:
    point: PointScore = arm.points[index]
    text = interval_text(point.mean, signed=False, digits=words.digits(matrix.labels))
    if not point.complete:
        text += f" ({counted(len(point.scores), 'run')})"
    return tag("b", text) if index == arm.chosen else joined([text])

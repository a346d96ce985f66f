"""Choices, edges, gains at the same point, and what is told of them; by hand."""

from dataclasses import replace
from typing import Any, get_args

import pytest

from rl_transfer.analysis import analyse, csv_text, summary, text_table
from rl_transfer.analysis.tuning import best, tuning_result
from rl_transfer.analysis.tuning_words import tuning_notes
from rl_transfer.errors import StoreError
from rl_transfer.results.tuning import FIGURES, TUNING, ArmPlace, read_tuning
from rl_transfer.spec import JsonObject
from rl_transfer.spec.tune import Tune

from .hand_made import FINE, RATES, SCRATCH, TUNING_SEEDS, run, tuned

EVEN = tuned(
    {SCRATCH: [(10, 20), (30, 40), (0, 5)], FINE: [(50, 60), (40, 44), (70, 90)]}, {SCRATCH: 1, FINE: 2}
)


def test_the_best_point_is_the_first_of_equals_and_never_an_incomplete_one() -> None:
    assert best([{0: 1.0, 1: 3.0}, {0: 2.0, 1: 2.0}, {0: 0.0, 1: 4.0}]) == 0
    assert best([{0: 1.0}, {0: 3.0}, {0: 2.0}]) == 1
    assert best([None, {0: -5.0}, None]) == 1
    assert best([{0: float("nan")}, {0: -5.0}]) == 1
    assert best([{0: float("inf")}, {0: -5.0}]) == 1
    assert best([None, None]) is None


def test_means_gains_at_the_same_point_and_edges() -> None:
    result = tuning_result(EVEN)
    assert result is not None
    assert (result.planned, result.finished) == (12, 12)
    scratch, fine = result.arms[SCRATCH], result.arms[FINE]
    assert [point.mean.point for point in fine.points] == [55, 42, 80]
    # 55 − 15, 42 − 35, 80 − 2.5: always the from-scratch arm of that point, not of its choice
    assert [point.gain.point for point in fine.points] == [40, 7, 77.5]
    assert all(point.gain.point != point.gain.point for point in scratch.points), "nan"
    assert (scratch.edges, fine.edges) == ((), ("algorithm.learning_rate",))
    # half-width t(0.975, 1) · s / √2 = 12.706 · 7.071 / 1.414
    assert fine.points[0].mean.high - 55 == pytest.approx(12.7062 * 5, rel=1e-4)


def test_final_performance_is_the_other_figure() -> None:
    rising = tuned({SCRATCH: [(1, 1)], FINE: [(1, 1)]}, {}, RATES[:1], by="final_performance")
    runs = tuple(replace(each, curve=run("target", 0, [0, 0, 0, 0, 6, 8]).curve) for each in rising.tuning)
    found = tuning_result(replace(rising, tuning=runs))
    assert found is not None
    assert found.arms[FINE].points[0].scores == dict.fromkeys(TUNING_SEEDS, 7.0)


def test_a_choice_that_made_no_difference_is_at_no_edge() -> None:
    found = tuning_result(tuned({SCRATCH: [(1, 1)] * 3, FINE: [(1, 2)] * 3}, {SCRATCH: 0, FINE: 0}))
    assert found is not None
    assert [arm.edges for arm in found.arms.values()] == [(), ()]


def test_what_is_told_and_written() -> None:
    matrix = analyse(EVEN)
    first, second = tuning_notes(matrix)
    assert "chose among 3 points of learning_rate by area under the curve over 2 tuning seeds" in first
    assert "1 of 2 arms chose an end of the grid" in second
    assert "fine-tune on task (learning_rate=0.1)" in second
    assert "! tuned: every arm chose" in text_table(matrix)
    cells = {cell["strategy"]: cell[TUNING] for cell in summary(matrix)}
    assert cells["fine-tune"]["at"] == {"algorithm.learning_rate": 0.1}
    assert cells["fine-tune"]["chosen"] == 2
    assert cells["fine-tune"]["points"][1] == {
        "at": {"algorithm.learning_rate": 0.01},
        "mean": 42.0,
        "interval": pytest.approx([42 - 12.7062 * 2, 42 + 12.7062 * 2], rel=1e-4),
        "gain": 7.0,
        "gain_interval": [pytest.approx(-39.5, abs=40), pytest.approx(53.5, abs=40)],
        "complete": True,
        "per_seed": {str(TUNING_SEEDS[0]): 40.0, str(TUNING_SEEDS[1]): 44.0},
    }
    assert cells["scratch"]["points"][0]["gain"] is None


def test_missing_runs_are_told() -> None:
    lacking = tuned(
        {SCRATCH: [(1, None), (1, 2), (3, 1)], FINE: [(None, 1)] * 3}, {SCRATCH: 2, FINE: 0}, untuned=[FINE]
    )
    matrix = analyse(lacking)
    text = "\n".join(tuning_notes(matrix))
    assert "8 of 12 tuning runs are finished" in text
    assert "tuned: 1 of 2 arms chose among 3 points" in text
    assert "not tuned, for want of a point with all its runs when they were to choose" in text
    assert "judged at the first: fine-tune on task" in text
    assert "by the records of now" not in text, "scratch has the best of what is complete"


def test_a_choice_that_todays_records_would_not_make_is_told_and_untuned_is_what_was_pinned() -> None:
    whole: dict[ArmPlace, list[tuple[int | None, ...]]] = {
        SCRATCH: [(1, 1), (2, 2), (3, 3)],
        FINE: [(1, 1), (2, 2), (3, 3)],
    }
    repaired = analyse(tuned(whole, {SCRATCH: 1, FINE: 0}, untuned=[FINE]))
    text = "\n".join(tuning_notes(repaired))
    assert "! not tuned" in text
    assert "scratch on task (learning_rate=0.1, not learning_rate=0.01)" in text
    assert "fine-tune on task (learning_rate=0.1, not learning_rate=0.001)" in text
    cells = {cell["strategy"]: cell[TUNING] for cell in summary(repaired)}
    assert [(cells[each]["tuned"], cells[each]["best_now"]) for each in ("scratch", "fine-tune")] == [
        (True, 2),
        (False, 2),
    ]
    lost: dict[ArmPlace, list[tuple[int | None, ...]]] = {
        SCRATCH: whole[SCRATCH],
        FINE: [(1, None), (2, None), (None, 3)],
    }
    text = "\n".join(tuning_notes(analyse(tuned(lost, {SCRATCH: 2, FINE: 1}))))
    assert "tuned: every arm chose" in text
    assert "not tuned" not in text
    assert "fine-tune on task (none: no point has all its runs)" in text
    assert "by the records of now" not in "\n".join(tuning_notes(analyse(EVEN)))


def test_a_manifest_from_before_the_flag_is_taken_as_tuned() -> None:
    record = {**EVEN.manifest[TUNING]}
    record["choices"] = [{k: v for k, v in each.items() if k != "tuned"} for each in record["choices"]]
    found = read_tuning({TUNING: record})
    assert found is not None
    assert (found.untuned, found.late) == (frozenset(), False)


def test_a_choice_after_judged_runs_is_told_above_the_results() -> None:
    late = tuned({SCRATCH: [(1, 1), (2, 2)], FINE: [(1, 1), (2, 2)]}, {SCRATCH: 1, FINE: 1}, late=True)
    assert "! judged runs of this suite were finished before its arms chose" in text_table(analyse(late))


@pytest.mark.parametrize("points", [RATES[:2], [{"x.y": 1}, {"x.y": 1.5}, {"x.y": {"linear": 1}}]])
def test_an_end_of_fewer_than_three_numbers_is_no_edge(points: list[dict[str, Any]]) -> None:
    scores = [(1, 1), (2, 2), (0, 0)][: len(points)]
    found = tuning_result(tuned({SCRATCH: scores, FINE: scores}, {SCRATCH: 1, FINE: 1}, points))
    assert found is not None
    assert [arm.edges for arm in found.arms.values()] == [(), ()]


def test_a_point_whose_runs_are_not_listed_shifts_no_other() -> None:
    kept = tuple(
        each for each in EVEN.tuning if (each.source, each.target, each.strategy, each.point) != (*FINE, 0)
    )
    found = tuning_result(replace(EVEN, tuning=kept))
    assert found is not None
    fine = found.arms[FINE]
    assert [len(point.scores) for point in fine.points] == [0, 2, 2]
    assert [point.mean.point for point in fine.points[1:]] == [42, 80]
    assert len({len(cell[TUNING]["points"]) for cell in summary(analyse(replace(EVEN, tuning=kept)))}) == 1


def test_tuning_changes_no_figure_of_what_is_judged() -> None:
    judged = replace(EVEN, manifest={k: v for k, v in EVEN.manifest.items() if k != TUNING}, tuning=())
    with_, without = analyse(EVEN), analyse(judged)
    assert csv_text(with_) == csv_text(without)
    assert [{k: v for k, v in cell.items() if k != TUNING} for cell in summary(with_)] == summary(without)
    assert with_.family == without.family
    assert tuning_notes(without) == []
    assert without.tuning is None


def test_what_tune_may_maximise_has_words() -> None:
    assert {*FIGURES} == {*get_args(Tune.model_fields["by"].annotation)}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"by": "zzz"}, "by 'zzz', expected auc or final_performance"),
        ({"points": [], "choices": []}, "points that all have the same keys"),
        ({"points": [{}], "choices": []}, "points that all have the same keys"),
        ({"points": [*RATES, {"other": 1}]}, "points that all have the same keys"),
        ({"points": [*RATES, RATES[0]]}, "a point twice"),
        ({"points": RATES[:2], "choices": []}, "tuning run .* is at point 2, expected 0 to 1"),
        ({"points": [{"x.y": float("nan")}], "choices": []}, "cannot be read"),
        ({"seeds": []}, "expected one at least"),
        ({"seeds": [1, 1]}, "each once"),
    ],
)
def test_a_tuning_that_no_sweep_writes_is_told_in_a_sentence(change: JsonObject, said: str) -> None:
    rows = [
        {"id": each.id, "role": TUNING, "target": each.target, "point": each.point} for each in EVEN.tuning
    ]
    manifest = {TUNING: EVEN.manifest[TUNING], "runs": rows}
    assert read_tuning(manifest) is not None
    with pytest.raises(StoreError, match=said):
        read_tuning({**manifest, TUNING: {**EVEN.manifest[TUNING], **change}})
    for point in ("a", None, -1, True):
        with pytest.raises(StoreError, match="is at point"):
            read_tuning({**manifest, "runs": [{**rows[0], "point": point}]})


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"points": 3},
        [],
        {"by": "auc", "points": [{}], "seeds": [1], "choices": [{"source": None}]},
        {
            "by": "auc",
            "points": [{}],
            "seeds": [1],
            "choices": [{"source": None, "target": "a", "strategy": "b", "point": 1}],
        },
    ],
)
def test_a_manifest_with_something_else_is_told(broken: Any) -> None:
    with pytest.raises(StoreError, match=r"sweep\.json: tuning"):
        read_tuning({TUNING: broken})

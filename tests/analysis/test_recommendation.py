"""Ranking sources by standings: by hand, with weights, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from rl_transfer.analysis.recommendation import (
    Candidate,
    ScoreWeights,
    likely_negative,
    read_weights,
    recommend,
    recommendation_lines,
)
from rl_transfer.errors import ConfigError, StoreError

LOWER = frozenset({"gap"})


def warning(rule: str) -> str:
    return f'{{"weights": {{"gap": 1}}, "warning": {rule}}}'


def sources() -> list[Candidate]:
    """Standings: return a −1, b 0, c 1; gap a 1, b −1, and c has none, 0; flat is the same for all."""
    return [
        Candidate("a", {"return": 1.0, "gap": 0.1, "flat": 3.0}, LOWER),
        Candidate("b", {"return": 2.0, "gap": 0.9, "flat": 3.0}, LOWER),
        Candidate("c", {"return": 30.0, "flat": 3.0}, LOWER),
        Candidate("d", {"quality": 1.0}, LOWER, cannot_act="spaces differ"),
    ]


def test_the_mean_of_standings_by_hand() -> None:
    found = recommend(sources(), ScoreWeights())
    assert {each.candidate.name: each.place for each in found} == {"c": 1, "a": 2, "b": 3, "d": None}
    assert [each.candidate.name for each in found] == [*"cabd"]
    assert [each.combined for each in found] == pytest.approx([0.5, 0.0, -0.5, None])
    assert found[1].standings == {"return": -1.0, "gap": 1.0, "flat": 0.0}
    assert "gap" not in found[0].standings, "it has none"


def test_weights_decide_and_what_they_leave_out_does_not_count() -> None:
    found = recommend(sources(), ScoreWeights({"gap": 0.75, "return": 0.25}, (0.0, -2.0)))
    assert [each.candidate.name for each in found] == ["a", "c", "b", "d"]
    assert [each.combined for each in found][:3] == pytest.approx([0.5, 0.25, -0.75])
    assert found[0].negative == pytest.approx(1 / (1 + 2.718281828**1))


def test_a_source_without_any_score_that_counts_is_behind_those_that_have_one() -> None:
    found = recommend(sources(), ScoreWeights({"gap": 1.0}))
    assert [(each.candidate.name, each.place) for each in found][:3] == [("a", 1), ("b", 2), ("c", 3)]
    assert found[1].combined == -1.0


def test_ties_share_a_place_and_one_source_is_no_ranking() -> None:
    same = [Candidate(name, {"return": 1.0}) for name in "ab"]
    assert [each.place for each in recommend(same, ScoreWeights())] == [1, 1]
    alone = recommend(same[:1], ScoreWeights())
    assert (alone[0].place, alone[0].combined) == (1, 0.0)
    assert "! 1 source that can act: there is nothing to rank" in recommendation_lines(alone, {"a": 10})
    assert recommend([], ScoreWeights()) == []


def test_weights_of_scores_that_nobody_has_are_told_of() -> None:
    told = "! all share the first place: no score that has a weight tells them apart"
    steps = dict.fromkeys("abcd", 10)
    assert told in recommendation_lines(recommend(sources(), ScoreWeights({"quality": 1.0})), steps)
    assert told not in recommendation_lines(recommend(sources(), ScoreWeights({"gap": 1.0})), steps)


def test_no_unit_decides() -> None:
    scaled = [replace(each, values={k: 1000 * v for k, v in each.values.items()}) for each in sources()]
    before, after = (
        [(each.candidate.name, each.combined) for each in recommend(some, ScoreWeights())][:3]
        for some in (sources(), scaled)
    )
    assert before == after


def test_likely_negative_is_a_paired_interval_below_nothing() -> None:
    """d = −10, −11, −9: mean −10, sd 1, t(0.975, 2) = 4.303: up to −10 + 4.303/√3 = −7.516."""
    assert likely_negative([0, 0, 0], [10, 11, 9]) == (
        "likely negative: -10 a return against random actions on 3 matched episodes "
        "(95 % interval up to -7.516)"
    )
    assert likely_negative([0, 0, 0], [1, -1, 0.5]) == ""
    assert likely_negative([0], [100]) == "", "one episode says nothing"
    assert likely_negative([-200.0] * 4, [-200.0] * 4) == "", "no worse"
    assert likely_negative([0, 0, 99], [10, 11]).startswith("likely negative"), "matched ones alone"


def test_the_table_has_values_standings_steps_and_why_not() -> None:
    lines = recommendation_lines(recommend(sources(), ScoreWeights()), dict.fromkeys("abcd", 1200))
    assert lines[0].split() == ["place", "source", "combined", "return", "flat", "gap", "quality", "steps"]
    assert " ".join(lines[2].split()) == "2 a +0.00 1 (-1.0) 3 (+0.0) 0.1 (+1.0) - 1,200"
    assert "! d cannot act in the target: spaces differ" in lines


def test_weights_are_read_from_both_forms(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps({"gap": 1}), encoding="utf-8")
    assert read_weights(path, ["gap"]) == ScoreWeights({"gap": 1.0})
    path.write_text(json.dumps({"weights": {"gap": 0.5}, "warning": {"intercept": -1, "slope": -2}}), "utf-8")
    assert read_weights(path, ["gap"]) == ScoreWeights({"gap": 0.5}, (-1.0, -2.0))
    assert read_weights(None, []) == ScoreWeights()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "is no map of scores"),
        ("{}", "is no calibration"),
        ('{"gap": "much"}', "is no calibration"),
        ('{"gap": NaN}', "is no calibration|cannot be read|no JSON"),
        ('{"gab": 1}', "weighs gab; the scores are gap"),
        ('{"gap": 0}', "the weight 0"),
        ('{"weights": 3}', "is no calibration"),
        ('{"gap": 1e308}', "weighs gap beyond"),
        (f'{{"gap": {"9" * 400}}}', "weighs gap beyond"),
        (warning(f'{{"intercept": 0, "slope": -{"9" * 400}}}'), "intercept and slope"),
        (warning('{"intercept": "x", "slope": 1}'), "intercept and slope"),
        (warning("[]"), "intercept and slope"),
        (warning('{"intercept": 0, "slope": 1, "threshold": "x"}'), "threshold"),
        (warning('{"intercept": 0, "slope": 1, "least_sources": 0}'), "least_sources"),
        ('{"schema": 2, "weights": {"gap": 1}}', "has schema '2', and this version reads 1"),
        ('{"schema": null, "weights": {"gap": 1}}', "has schema 'None'"),
        ('{"gap": -0.5}', "weighs gap below 0"),
    ],
)
def test_what_is_no_calibration_is_refused(content: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(content, encoding="utf-8")
    with pytest.raises((ConfigError, StoreError), match=message):
        read_weights(path, ["gap"])


def test_a_combined_score_below_the_threshold_is_warned_of_among_enough_sources(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    rule = {"intercept": 0.0, "slope": -1.0, "threshold": -0.2, "level": 0.1, "least_sources": 3}
    path.write_text(json.dumps({"schema": 1, "weights": {"gap": 1}, "warning": rule}), encoding="utf-8")
    weights = read_weights(path, ["gap"])
    found = {each.candidate.name: each.warning for each in recommend(sources(), weights)}
    assert found["b"].startswith("likely negative: its combined score -1.00 is below -0.20")
    assert (found["a"], found["c"], found["d"]) == ("", "", "")
    bad_start = [replace(each, returns=(0, 0, 0), random_returns=(9, 8, 9)) for each in sources()]
    assert [each.warning != "" for each in recommend(bad_start, weights)] == [False, True, False, False]
    few = recommend(sources()[:2], weights)
    assert [each.warning for each in few] == ["", ""], "standings of two sources are always -1 and 1"

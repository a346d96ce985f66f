"""What controls say of gains and losses: two differences, and when they are said to be knowledge."""

import math
from dataclasses import replace
from typing import Any

import pytest

from analysis.hand_made import (
    CONTROL,
    FAST,
    FINE,
    SCRATCH,
    SLOW,
    arm,
    changed,
    shifted,
    spread,
    sweep,
    sweep_of,
    transfer_cell,
)
from rl_transfer.analysis import Matrix, Sweep, analyse, headlines, summary, text_table
from rl_transfer.analysis.arm_statistics import Interval
from rl_transfer.analysis.attribution import ControlCheck, Question, Summand, attribute
from rl_transfer.analysis.attribution_words import attribution, finding, in_short
from rl_transfer.analysis.words import notes

SHUFFLED = {"copy": ["all"], "control": True, "control_for": ["fine-tune"]}
FROZEN = {"freeze": ["trunk"], "control": True, "control_for": ["fine-tune"]}
STRATEGIES: Any = {
    "fine-tune": {"copy": ["all"]},
    "shuffled": SHUFFLED,
    "random": FROZEN,
}
NAMES = {"fine-tune": "base", "shuffled": "base", "random": None, "scratch": None}
SHUFFLED_KEY = ("base", "task", "shuffled")
BOTH = {name: STRATEGIES[name] for name in ("fine-tune", "shuffled")}


def matrix_of(by: dict[str, float | None], runs: int = 12, **options: Any) -> Matrix:
    """One target; each strategy's curves are SLOW, so many units higher, runs 0.5 apart (range 5.5)."""
    arms: Any = {}
    for name, above in {"scratch": 0.0, **by}.items():
        key = NAMES[name], "task", name
        curves: list[Any] = spread(shifted(SLOW, above or 0.0), runs, 0.5)
        if name == "shuffled":  # what a policy is good for in the one arm it is not in the other
            curves = [*curves[runs // 3 :], *curves[: runs // 3]]
        arms[key] = arm(key, curves if above is not None else [*curves[:-1], None])
    strategies = {name: entry for name, entry in STRATEGIES.items() if name in by}
    return analyse(sweep(arms, seeds=runs, strategies=strategies, **options))


def said(given: Matrix | Sweep) -> Any:
    entry = transfer_cell(given).comparisons["auc_gain"]
    return entry, entry.attribution


def test_a_gain_is_the_sum_of_what_knowledge_adds_and_of_what_the_control_gains():
    entry, found = said(matrix_of({"fine-tune": 30, "shuffled": 10, "random": -5}))
    assert entry.raw.point == pytest.approx(30)
    parts = [(check.control, check.knowledge.raw.point, check.rest.raw.point) for check in found.checks]
    assert parts == [("shuffled", pytest.approx(20), pytest.approx(10)), ("random", pytest.approx(35), -5)]
    for check in found.checks:
        # From scratch ends at 100 where random gets 0, so that a score is a hundredth.
        assert check.knowledge.gain.point + check.rest.gain.point == pytest.approx(0.30)
        assert check.knowledge.raw.low < check.knowledge.raw.point < check.knowledge.raw.high
    # 2 / C(24, 12) is sampled: 1 / 20,001 where none of the drawn splits is as extreme
    assert found.p == max(check.knowledge.p for check in found.checks) == pytest.approx(1 / 20_001)


@pytest.mark.parametrize(
    ("arms", "verdict", "finding", "words"),
    [
        # the case: the shuffled source gains where the real one loses
        ({"fine-tune": -20, "shuffled": 77}, "negative", "hurts",
         "knowledge hurts: shuffled gains +0.77 where it loses -0.20"),
        ({"fine-tune": 30, "shuffled": 10}, "positive", "helps", "knowledge helps: shuffled gains +0.10"),
        ({"fine-tune": 20, "shuffled": 50}, "positive", "hurts", "knowledge hurts: shuffled gains +0.50"),
        ({"fine-tune": -20, "shuffled": -50}, "negative", "helps", "knowledge helps: shuffled loses -0.50"),
        ({"fine-tune": 30, "shuffled": 30}, "positive", "not knowledge",
         "not knowledge: knowledge's part in the gain is below δ by shuffled (shuffled gains +0.30 where"),
        ({"fine-tune": -30, "shuffled": -30}, "negative", "not knowledge",
         "not knowledge: knowledge's part in the loss is below δ by shuffled"),
        # no verdict on the sum, but both its parts are there
        ({"fine-tune": 0, "shuffled": 30}, "equivalent", "hurts", "knowledge hurts: shuffled gains +0.30"),
        ({"fine-tune": 0, "shuffled": -30}, "equivalent", "helps", "knowledge helps: shuffled loses -0.30"),
        ({"fine-tune": 0, "shuffled": 0}, "equivalent", "unclear", ""),
        ({"fine-tune": 30, "shuffled": 28}, "positive", "unclear",
         "unclear whether it is knowledge: shuffled gains +0.28 where it gains +0.30"),
        # above one control and below the other: not the source's knowledge alone
        ({"fine-tune": 30, "shuffled": 50, "random": 0}, "positive", "not knowledge",
         "the gain is below δ by shuffled (shuffled gains +0.50 and random gains +0.00 where it gains"),
        ({"fine-tune": 30, "shuffled": 0, "random": 0}, "positive", "helps",
         "shuffled gains +0.00 and random"),
    ],
)  # fmt: skip
def test_what_controls_say_of_gains_and_losses(arms, verdict, finding, words):
    matrix = matrix_of(arms, delta=0.027)
    entry, found = said(matrix)
    assert (str(entry.verdict), found.finding) == (verdict, finding)
    text = attribution(entry, matrix.labels)
    assert words in text
    assert bool(text) == bool(words)
    matches = (verdict, finding) in (("positive", "helps"), ("negative", "hurts"))
    assert entry.doubted == (verdict in ("positive", "negative") and not matches)
    flags = {flag.code for flag in transfer_cell(matrix).flags}
    assert (f"control-{finding.replace(' ', '-')}" in flags) == entry.doubted
    (line,) = headlines(matrix)
    assert ("knowledge" in line) == bool(words)
    assert f"{verdict}{'*' if entry.doubted else ''}" in text_table(matrix)


def test_a_control_that_lacks_a_run_proves_no_knowledge_but_the_other_may_disprove_it():
    entry, found = said(matrix_of({"fine-tune": 30, "shuffled": 0, "random": None}, delta=0.027))
    assert (found.finding, found.p, entry.doubted) == ("unchecked", 1, True)
    text = attribution(entry, matrix_of({"fine-tune": 0}).labels)
    assert "the gain may not be knowledge: random: 1 of 12 random runs missing (seed 11 failed: boom)" in text
    _, found = said(matrix_of({"fine-tune": 30, "shuffled": 30, "random": None}, delta=0.027))
    assert (found.finding, found.same) == ("not knowledge", ("shuffled",))


def test_a_cell_that_lacks_a_run_is_not_attributed():
    matrix = matrix_of({"fine-tune": None, "shuffled": 30})
    entry, found = said(matrix)
    assert (found.finding, found.p, found.absence_p) == ("unchecked", 1, 1)
    assert attribution(entry, matrix.labels) == ""


def test_three_runs_attribute_nothing():
    _, found = said(matrix_of({"fine-tune": 90, "shuffled": 0}, runs=3))
    assert found.finding == "unclear"
    assert found.absence_p == 1


def test_arms_of_unequal_numbers_of_runs_are_compared():
    scratch = spread(SLOW, 5)
    arms = {SCRATCH: scratch, FINE: spread(shifted(SLOW, 50), 5), SHUFFLED_KEY: [*scratch[2:], *scratch[:2]]}
    given = sweep_of(arms, strategies=BOTH)
    # Nothing that is infinite or NaN gets so far: a control without a number has no run to compare.
    less = changed(given, lambda run: run if run.strategy != "shuffled" or run.seed < 4 else None)
    (_, whole), (_, part) = said(given), said(less)
    assert (whole.finding, part.finding) == ("helps", "unchecked")
    # Pairs are 46, 46, 46, 56 and 56: t = 50 / √6 with four degrees of freedom
    assert whole.p == pytest.approx(3.4014e-5, rel=1e-4)


def test_a_control_that_always_ends_alike_must_survive_one_more_run():
    """Twelve runs at 100 and a control's twelve at 90: certain, unless one more control run could be at 0."""
    arms: Any = {SCRATCH: spread(SLOW, 5, 10.0), FINE: [FAST] * 5, SHUFFLED_KEY: [shifted(FAST, -14)] * 5}
    _, found = said(sweep_of(arms, strategies=BOTH, raw_delta=5))
    assert found.checks[0].knowledge.raw.point == pytest.approx(14)
    assert found.checks[0].knowledge.raw.low < 0
    assert found.finding == "unclear"


def test_where_no_arm_left_chance_nothing_is_attributed():
    def found(above: float) -> Any:
        levels = {SCRATCH: -60, FINE: -120, SHUFFLED_KEY: above}
        arms = {key: spread(shifted(SLOW, by), 8) for key, by in levels.items()}
        return said(sweep_of(arms, strategies=BOTH, raw_delta=1.0))[1]

    assert [check.problem for check in found(-90).checks] == ["no arm left chance"]
    assert found(-90).finding == "unchecked"
    assert found(40).finding == "hurts", "the control learnt: what hurts is the source's knowledge"


def test_a_strategy_without_a_control_is_flagged_in_words():
    matrix = matrix_of({"fine-tune": 30})
    (flag,) = transfer_cell(matrix).flags
    assert (flag.code, flag.of_control) == ("no-control", True)
    assert "control_for: [fine-tune]" in flag.message
    assert any(note.startswith("* fine-tune on task: without a control") for note in notes(matrix))
    assert said(matrix)[1] is None
    arms = dict.fromkeys((SCRATCH, (None, "task", "other")), spread(SLOW))
    plain = sweep_of(arms, strategies={"other": {"learning_rates": {"trunk": 0.1}}})
    assert transfer_cell(plain).flags == (), "a strategy that takes nothing from a source needs none"


def test_the_summary_has_the_telescope_where_nothing_is_found_too():
    matrix = matrix_of({"fine-tune": 0, "shuffled": 0})
    (cell,) = [each for each in summary(matrix) if each["kind"] == "transfer"]
    entry = cell["comparisons"]["auc_gain"]
    assert entry["knowledge"] == entry["attribution"]["finding"] == "unclear"
    (control,) = entry["attribution"]["controls"]
    assert control["knowledge"]["raw"]["gain"] + control["rest"]["raw"]["gain"] == pytest.approx(0)
    assert control["problem"] is None
    low, high = control["knowledge"]["interval"]
    assert low < control["knowledge"]["gain"] < high


def check(
    point: float, p: float, absence: float = 1.0, *, control: str = "c", runs: int = 9, problem: str = ""
) -> ControlCheck:
    part = Summand(Interval(point, point - 1, point + 1), Interval(point, point - 1, point + 1), p)
    sign = 0 if abs(point) < 2 else int(math.copysign(1, point))
    return ControlCheck(control, part, part, sign, (1.0, absence), runs, problem)


def asked(*checks: ControlCheck, sign: int = 1) -> Question:
    return Question(checks, sign, 2.0)


def test_findings_are_corrected_over_the_cells_that_have_controls():
    clear, none = asked(check(5, 0.02)), asked(check(0.1, 0.9))
    assert attribute({1: clear}, 0.05)[1].finding == "helps"
    found = attribute({1: clear, 2: none, 3: none}, 0.05)
    assert found[1].adjusted_p == pytest.approx(0.06)
    assert found[1].finding == "unclear"


def test_knowledge_needs_every_control():
    found = attribute({1: asked(check(5, 0.001), check(5, 0.04, control="d"))}, 0.05)[1]
    assert (found.p, found.finding) == (0.04, "helps")
    assert attribute({1: asked(check(5, 0.001), check(5, 0.06))}, 0.05)[1].finding == "unclear"
    assert attribute({1: asked(check(5, 0.001), check(-5, 0.001))}, 0.05)[1].p == 1
    assert attribute({1: asked(check(5, 0.001), check(1.5, 0.001))}, 0.05)[1].finding == "unclear", "below δ"
    assert attribute({1: asked(check(5, 0.001), check(5, 0.001, problem="lost"))}, 0.05)[1].p == 1


def test_one_control_disproves_knowledge_at_a_level_shared_by_all():
    alone = attribute({1: asked(check(0, 0.9, 0.03))}, 0.05)[1]
    assert (alone.absence_p, alone.finding, alone.same) == (0.03, "not knowledge", ("c",))
    shared = asked(check(0, 0.9, 0.03), check(5, 0.001, 0.99, control="d"))
    assert attribute({1: shared}, 0.05)[1].absence_p == pytest.approx(0.06)
    assert attribute({1: shared}, 0.05)[1].finding == "unclear"
    assert attribute({1: asked(check(0, 0.9, 0.0), sign=0)}, 0.05)[1].absence_p == 1, "nothing to explain"
    assert attribute({1: asked(check(0, 0.9, 0.0), sign=-1)}, 0.05)[1].finding == "unclear", "the other side"


def test_what_an_earlier_look_answered_stays_and_counts():
    first = attribute({1: asked(check(5, 0.02))}, 0.05)[1]
    later = replace(asked(check(0.1, 0.9)), answered=first)
    found = attribute({1: later, 2: asked(check(5, 0.04))}, 0.05)
    assert found[1] is first
    assert found[2].adjusted_p == pytest.approx(0.04), "0.02 of the earlier one stays in the family"


def test_findings_for_tables():
    entry, _ = said(matrix_of({"fine-tune": 0, "shuffled": 0}))
    assert finding(entry) == "nothing shown"
    assert in_short([entry], matrix_of({"fine-tune": 0}).labels) == []
    assert finding(said(matrix_of({"fine-tune": 30}))[0]) == ""
    assert finding(said(matrix_of({"fine-tune": 30, "shuffled": 0}))[0]) == "knowledge helps"


def test_a_control_that_freezes_and_one_that_shuffles_serve_one_strategy():
    arms = dict.fromkeys((SCRATCH, (None, "task", "random-frozen"), SHUFFLED_KEY), spread(SLOW))
    strategies = {"frozen": {"copy": ["trunk"], "freeze": ["trunk"]}, "random-frozen": CONTROL}
    strategies["shuffled"] = {**CONTROL, "copy": ["trunk"]}
    _, found = said(sweep_of({**arms, ("base", "task", "frozen"): spread(FAST)}, strategies=strategies))
    assert [each.control for each in found.checks] == ["random-frozen", "shuffled"]


def test_a_source_that_keeps_its_copy_at_chance_is_told_though_the_cell_has_no_verdict() -> None:
    # scratch and the copy end at and far below random's 120; the shuffled source learns
    matrix = matrix_of({"fine-tune": -60, "shuffled": 90}, random={"task": [120.0]}, threshold=200.0)
    assert transfer_cell(matrix).comparisons["asymptotic_gain"].outcome == "no arm left chance"
    (sentence,) = headlines(matrix)
    assert "leave chance on task (no better than the random policy, from scratch neither; " in sentence
    assert "knowledge hurts: shuffled gains" in sentence

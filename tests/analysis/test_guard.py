"""Arms without spread, arms at chance, baselines below it, and δ."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rl_transfer.analysis import Sweep, analyse, headlines, summary, text_table
from rl_transfer.analysis.arm_statistics import permutation_p, welch_interval
from rl_transfer.analysis.contrast import contrast
from rl_transfer.analysis.guard import ONE_MORE, place_of, with_one_more
from rl_transfer.analysis.metrics import ThresholdTime, steps_saved
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.tolerance import Tolerance
from rl_transfer.errors import StoreError
from rl_transfer.results import declared_tolerances, keep_tolerances

from .hand_made import FAST, SCRATCH, SLOW, shifted, spread, sweep_of, transfer_cell, two_arms

SCALE = ScoreScale("threshold", 22.0, 475.0, Tolerance(25.0), random_returns=(20.0, 24.0), best=500.0)
CAPPED = {str(seed): 500.0 for seed in range(5)}
LOW = {f"s{seed}": value for seed, value in enumerate((150.0, 180.0, 200.0, 230.0, 260.0))}
HIGH = {f"s{seed}": value for seed, value in enumerate((440.0, 445.0, 450.0, 455.0, 460.0))}


def compared(x, y, scale=SCALE):
    return contrast(x, y, scale, 0.95, np.random.default_rng(0), ("fine-tune", "scratch"))


def test_an_arm_with_spread_is_taken_as_it_is():
    wide = dict(zip("abc", (400.0, 430.0, 450.1), strict=True))
    assert [case.x for case in with_one_more(wide, LOW, SCALE)] == [wide]
    assert len(with_one_more(wide | {"c": 450.0}, LOW, SCALE)) == 2  # a range of 2δ itself is none


def test_the_run_more_is_at_random_or_at_the_best_seen():
    assert with_one_more(CAPPED, LOW, SCALE)[1].x[ONE_MORE] == 22
    floor = dict.fromkeys(LOW, 40.0)
    case = with_one_more(CAPPED, floor, SCALE)[2]
    assert (case.x, case.y[ONE_MORE]) == (CAPPED, 500)


def test_a_scratch_run_more_counts_in_the_span_too():
    scale = replace(SCALE, mode="scratch", reference=450.0, finals=HIGH)
    _, mine, theirs = with_one_more(CAPPED, HIGH, scale)
    assert mine.scale.finals == HIGH
    assert theirs.scale.finals == HIGH | {ONE_MORE: 22.0}


def test_a_small_gain_at_the_cap_does_not_survive_and_a_large_one_does():
    # 500 five times against 440 … 460: certain for Welch; with 22 as a sixth run the mean is 420.3
    found = compared(CAPPED, HIGH)
    assert found.measured is not None
    assert found.measured.raw.low > 25
    assert found.raw.low < 0 < found.raw.high
    assert (found.measured.relevance, found.relevance) == (1, 0)
    assert found.measured.p == pytest.approx(2 / 252)
    assert found.spreadless == "fine-tune at the ceiling; scratch without spread"
    # against 150 … 260: still 216 above with the run more
    large = compared(CAPPED, LOW)
    assert large.raw.low > 0
    p = permutation_p([500.0] * 5 + [22.0], [*LOW.values()], np.random.default_rng(0))
    assert (large.relevance, large.p) == (1, p)
    assert 2 / 252 < p < 0.05


def test_both_at_the_cap_are_not_called_equivalent():
    alike = compared(CAPPED, {f"s{name}": 500.0 for name in CAPPED})
    assert alike.measured is not None
    assert alike.measured.equivalence_p == 0
    assert alike.equivalence_p > 0.05
    assert alike.raw.low < -25
    assert alike.raw.high > 25


def test_many_runs_at_the_cap_are_shown_to_be_alike():
    many = {str(seed): 500.0 for seed in range(100)}
    assert compared(many, {f"s{name}": 500.0 for name in many}).equivalence_p < 0.05


@pytest.mark.parametrize(
    ("value", "place"), [(500, "at the ceiling"), (300, "without spread"), (30, "at the floor")]
)
def test_places_have_names(value, place):
    assert place_of({"a": value, "b": value}, SCALE) == place
    bounded = replace(SCALE, best=math.nan, possible=(0.0, 500.0))
    assert place_of({"a": value, "b": value}, bounded) == place


def test_a_cell_at_the_ceiling_says_so():
    solved = [(500.0,) * 6] * 5
    matrix = analyse(two_arms(solved, solved, random={"task": [22.0]}, threshold=475.0))
    entry = transfer_cell(matrix).comparisons["asymptotic_gain"]
    assert (entry.verdict, entry.outcome) == ("inconclusive", "at the ceiling")
    assert entry.reason.startswith("fine-tune and scratch at the ceiling: ")
    assert "? at the ceiling" in text_table(matrix)
    assert "is undecided" in headlines(matrix)[0]


def test_nobody_left_chance():
    # MountainCar: both arms and the random policy score −200 in every run
    stuck = [(-200.0,) * 6] * 5
    matrix = analyse(two_arms(stuck, stuck, random={"task": [-200.0]}, threshold=-110.0, raw_delta=5.0))
    for entry in transfer_cell(matrix).comparisons.values():
        assert (entry.verdict, entry.outcome, entry.symbol) == ("inconclusive", "no arm left chance", "∅")
        assert entry.reason == (
            "no arm left chance: fine-tune -200 and scratch -200 against -200 of the random policy"
        )
        assert entry.fresh_seeds is None
    assert headlines(matrix) == [
        "At 500 environment steps, fine-tune from base does not leave chance on task (no better than the "
        "random policy, from scratch neither)."
    ]
    assert {each["outcome"] for each in summary(matrix)[1]["comparisons"].values()} == {"no arm left chance"}


def test_one_metric_at_chance_does_not_speak_for_the_other():
    late = spread((0, 0, -90, 10, 20, 30))  # area: (0 − 45 − 40 + 15 + 25) / 5 = −9, final 20
    early = spread((0, 0, -190, 40, 50, 60))  # area −15, final 50
    matrix = analyse(two_arms(early, late, threshold=200.0))
    cell = transfer_cell(matrix)
    assert cell.comparisons["auc_gain"].outcome == "no arm left chance"
    assert cell.comparisons["asymptotic_gain"].obstacle is None
    assert "does not leave chance" not in headlines(matrix)[0]


def test_a_gain_over_a_baseline_worse_than_random_is_qualified():
    worse = spread((0, -20, -40, -60, -60, -60))
    matrix = analyse(two_arms(spread(FAST), worse, threshold=200.0))
    cell = transfer_cell(matrix)
    (flag,) = (flag for flag in cell.flags if flag.code == "baseline-below-chance")
    assert flag.message.startswith("training from scratch ended at -60, clearly below the random policy (0)")
    assert cell.comparisons["auc_gain"].weak_baseline
    assert "over a baseline that training made worse than chance" in headlines(matrix)[0]
    sound = analyse(two_arms(spread(FAST), spread(SLOW), threshold=200.0))
    assert "worse than" not in headlines(sound)[0]


def test_intervals_stay_within_what_is_possible():
    scattered = [(0, 0, 50, 100, 100, value) for value in (0, 100, 100, 100)]
    planned = two_arms(spread(shifted(FAST, -3)), scattered, return_range=[0, 100])
    (cell,) = analyse(planned).select(kind="baseline")
    value = cell.metrics["final_performance"].value
    assert (value.high, value.low > 0) == (100, True)
    planned.config["targets"]["task"]["return_range"] = [0, 1000]
    (cell,) = analyse(planned).select(kind="baseline")
    assert cell.metrics["final_performance"].value.high > 100
    planned.config["targets"]["task"]["return_range"] = [5]
    with pytest.raises(StoreError, match=r"task\.return_range must be two rising numbers, got \[5\]"):
        analyse(planned)


@pytest.mark.parametrize("seen", [500.0, -40.0])
def test_a_range_that_runs_contradict_cuts_nothing(seen: float) -> None:
    """+430 on average, of which limits of ±100 would have said "[100, 438.7]"."""
    wrong = [(seen + run,) * 6 for run in range(-6, 6, 3)]
    cell = transfer_cell(two_arms(wrong, spread(SLOW), return_range=[0, 150]))
    raw = cell.comparisons["auc_gain"].raw
    assert raw.point - raw.low == pytest.approx(raw.high - raw.point)
    (flag,) = (each for each in cell.flags if each.code == "wrong-return-range")
    assert f"{wrong[-1][0] if seen > 0 else wrong[0][0]:,.4g} was seen, outside of [0, 150]" in flag.message
    right = transfer_cell(two_arms(wrong, spread(SLOW), return_range=[-50, 600]))
    assert "wrong-return-range" not in [each.code for each in right.flags]


def test_an_arm_without_spread_is_guarded_where_there_is_no_delta_too():
    """From scratch at chance, so no δ: five runs about 300 say nothing of the sixth."""
    levels: Any = {
        SCRATCH: (-1, 0, 1, -2, 2),
        ("base", "task", "frozen"): (300, 300.4, 299.8, 300.2, 299.9),
        ("base", "task", "shuffled"): (250, 275, 262, 300, 283),
    }
    arms = {key: [(level,) * 6 for level in each] for key, each in levels.items()}
    trunk = {"copy": ["trunk"], "freeze": ["trunk"]}
    strategies = {"frozen": trunk, "shuffled": {**trunk, "control": True, "control_for": ["frozen"]}}
    matrix = analyse(sweep_of(arms, strategies=strategies, delta=0.05))
    entry = transfer_cell(matrix).comparisons["auc_gain"]
    assert (entry.raw_delta, entry.verdict) == (0, "positive")
    assert entry.attribution.finding == "unclear"
    assert matrix.targets["task"].scale.likeness == pytest.approx(0.05 * 300.4)


CONFIG: dict[str, Any] = {
    "analysis": {"delta": 0.05, "raw_delta": None, "reference": "scratch"},
    "targets": {
        "a": {"raw_delta": 3.0, "reward_threshold": 475.0},
        "b": {"reward_threshold": 475.0},
        "c": {},
    },
}


def test_every_target_declares_a_delta():
    threshold = {"share": 0.05, "of": "threshold", "reference": 475.0}
    assert declared_tolerances(CONFIG) == {
        "a": {"raw": 3.0}, "b": threshold, "c": {"share": 0.05, "of": "scratch"},
    }  # fmt: skip
    number = {**CONFIG, "analysis": {**CONFIG["analysis"], "reference": 300.0}}
    assert declared_tolerances(number)["b"] == {"share": 0.05, "of": "number", "reference": 300.0}
    raw = {**CONFIG, "analysis": {**CONFIG["analysis"], "raw_delta": 20.0}}
    assert [each["raw"] for each in declared_tolerances(raw).values()] == [3.0, 20.0, 20.0]


def test_delta_is_the_same_whatever_the_scale_falls_back_to():
    """5 % of the way from random to the threshold; by the scale, it was 2.1 or 21.7."""
    clear, unclear = spread((40, 60, 80, 84, 84, 84)), spread((40, 41, 41, 42, 42, 42))
    options: Any = {"random": {"task": [42.0]}, "threshold": 475.0, "delta": 0.05}
    for scratch, mode in ((clear, "scratch"), (unclear, "threshold")):
        scale = analyse(two_arms(spread(FAST), scratch, **options)).targets["task"].scale
        assert scale.mode == mode
        assert scale.raw_delta == pytest.approx(0.05 * 433)


def test_what_a_manifest_pins_holds():
    planned = two_arms(spread(FAST), spread(SLOW), threshold=200.0)

    def delta(pinned: Any) -> Tolerance:
        manifest = {**planned.manifest, "tolerances": {"task": pinned}}
        return analyse(Sweep(manifest, planned.runs)).targets["task"].scale.tolerance

    assert delta({"raw": 7.0}) == Tolerance(7.0)
    assert delta({"share": 0.1, "of": "threshold", "reference": 300.0}) == Tolerance(30.0, basis="threshold")
    assert delta({"share": 0.1, "of": "scratch"}) == Tolerance(0.0, 0.1, "scratch")
    # a reference below the random policy is no measure of anything
    assert delta({"share": 0.1, "of": "number", "reference": -5.0}).basis == "scratch"
    for wrong in ("much", 0, -500.0):
        with pytest.raises(StoreError, match=r"tolerances\.task\.raw must be a number above 0, got "):
            delta({"raw": wrong})
    # pinned for other targets alone: the config still says it
    assert delta(None).basis == "threshold"


def test_a_sweep_that_goes_on_keeps_its_delta():
    before = {"tolerances": {"a": {"raw": 1.0}, "gone": {"raw": 9.0}}}
    planned = {"name": "x", "tolerances": {"a": {"raw": 2.0}, "new": {"raw": 3.0}}}
    kept, others = keep_tolerances(planned, before)
    assert (kept["tolerances"], others) == ({"a": {"raw": 1.0}, "new": {"raw": 3.0}}, ["a"])
    assert keep_tolerances(planned, {}) == (planned, [])


def test_a_share_of_scratch_without_a_clear_span_is_no_delta():
    entry = transfer_cell(two_arms(spread(FAST), [(0.0,) * 6] * 4)).comparisons["auc_gain"]
    assert (entry.raw_delta, entry.equivalence_p, entry.verdict) == (0, 1, "positive")


def test_controls_and_sources_of_another_target_do_not_move_delta():
    arms: Any = {(None, "near", "scratch"): spread(SLOW), ("base", "near", "fine-tune"): spread(FAST)}
    arms[None, "far", "scratch"] = spread((0, 0, 0, 0, 0, 1))
    targets = analyse(sweep_of(arms, threshold=200.0, delta=0.05)).targets
    assert {info.scale.raw_delta for info in targets.values()} == {10.0}


@pytest.mark.parametrize("top", [100.0, 104.0, 300.0])
def test_a_gain_has_one_interval_wherever_it_stands(top: float) -> None:
    """The table of metrics had Welch's alone beside a verdict that knew of one run more."""
    capped = [(0, 50, top, top, top, top)] * 5
    cell = transfer_cell(two_arms(capped, spread(SLOW, 5, 8.0)))
    for name, entry in cell.comparisons.items():
        metric = cell.metrics[name]
        assert metric.value.interval == entry.raw
        assert metric.score.interval == entry.gain
        welch = welch_interval([*metric.value.per_seed.values()], [-16, -8, 0, 8, 16], 0.95)
        assert metric.value.low < welch.low


def test_runs_that_all_arrive_at_once_do_not_show_that_steps_are_saved() -> None:
    """One in ten that never arrives is not seen among five in .59 of cases; 8,000 steps were certain then."""
    at_once = [ThresholdTime(0.0, True)] * 5
    never = [ThresholdTime(10_000.0, False)] * 5
    found = steps_saved(at_once, never, 0.95, 10_000.0)
    assert (found.point, found.high) == (10_000, 10_000)
    assert found.low < 9_000
    spread_out = [ThresholdTime(float(time), time < 10_000) for time in (0, 500, 0, 900, 10_000)]
    assert steps_saved(spread_out, never, 0.95, 10_000.0) == welch_interval(
        [10_000] * 5, [each.time for each in spread_out], 0.95
    ).within(-10_000, 10_000)
    assert steps_saved(at_once, [], 0.95, 10_000.0).limited is False

"""Boundaries, directions and defaults that larger tests pass over; each was found by a mutant that lived."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rl_transfer.analysis import Run, Sweep, analyse, bootstrap
from rl_transfer.analysis.arm_statistics import Interval, cohens_d, mean_interval
from rl_transfer.analysis.comparison import Contrast, check_control
from rl_transfer.analysis.metrics import final_performance, measure
from rl_transfer.analysis.model import CellKey
from rl_transfer.spec import Analysis

from .hand_made import FAST, SLOW, STEPS, arm, run, shifted, sweep, two_arms

KEYS: tuple[CellKey, CellKey] = ((None, "task", "scratch"), ("base", "task", "fine-tune"))
SPREAD = (-3, -1, 1, 3)


def tuned(matrix):
    (cell,) = matrix.select(strategy="fine-tune", target="task")
    return cell


def with_sources(scores, *, bar=None):
    """Two arms whose source runs are in the sweep: source ``i`` climbs to ``scores[i]``."""
    plain = two_arms([FAST] * 4, [SLOW] * 4, bar=bar)
    rows = [
        run("source", seed, (0, 1, 2, 3, 4, score), source="base")
        for seed, score in enumerate(scores)
    ]  # fmt: skip
    return analyse(Sweep(plain.manifest, (*rows, *plain.runs)))


def test_one_run_has_a_mean_but_no_limits():
    found = mean_interval([3], 0.95)
    assert found.point == 3
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_two_runs_and_one_are_enough_for_an_effect_size():
    # one degree of freedom: squares 1 + 1 over 1, s = √2; (3 − 1)/√2 = √2
    assert cohens_d([2, 4], [1]) == pytest.approx(math.sqrt(2))
    assert math.isnan(cohens_d([2], [1]))


def test_a_contrast_counts_the_smaller_arm():
    interval = Interval(1, 0, 2)
    assert Contrast((1.0, 2.0), (1.0,), interval, 1.0).runs == 1
    assert Contrast((1.0,), (1.0, 2.0), interval, 1.0).runs == 1


@pytest.mark.parametrize(
    ("control", "above", "finding"),
    [
        # gain (point, low, high) of the control, low end of the arm over the control, δ = 0.05
        ((0.2, 0.1, 0.3), 0.1, "partly"),
        ((0.2, 0.1, 0.3), 0.0, "not knowledge"),  # the limit itself is not above 0
        ((0.2, 0.0, 0.4), 0.1, "knowledge"),  # nor is it for the control
        ((0.05, 0.01, 0.09), 0.1, "partly"),  # a point of δ counts
        ((0.04, 0.01, 0.07), 0.1, "knowledge"),
        ((0.2, math.nan, math.nan), 0.0, "unclear"),
    ],
)
def test_a_control_gains_by_the_rules_of_a_verdict(control, above, finding):
    matrix = analyse(two_arms([FAST] * 4, [SLOW] * 4))
    entry = replace(tuned(matrix).comparisons["auc_gain"], gain=Interval(*control), delta=0.05)
    over = Contrast((), (), Interval(above + 0.1, above, above + 0.2), 0.5)
    assert check_control("c", over, entry, complete=True).finding == finding
    assert check_control("c", over, entry, complete=False).finding == "unchecked"


def test_a_source_is_scored_by_its_last_evaluation_and_the_worst_is_named():
    matrix = with_sources((90, 60, 70, 95), bar=80)
    assert matrix.sources["base"].scores == {0: 90, 1: 60, 2: 70, 3: 95}
    assert matrix.sources["base"].steps == 500
    (flag,) = tuned(matrix).flags
    assert flag.message == (
        "2 of 4 source policies of base are below the bar 80 (lowest 60): there may be little to transfer"
    )


def test_the_baseline_comes_first_and_controls_last_whatever_the_config_says():
    keys = [(None, "task", "control"), ("base", "task", "fine-tune"), (None, "task", "scratch")]
    arms = {key: arm(key, [SLOW] * 4) for key in keys}
    strategies = {"control": {"control": True}, "fine-tune": {}, "scratch": {}}
    matrix = analyse(sweep(arms, strategies=strategies))
    assert [*matrix.strategies] == ["scratch", "fine-tune", "control"]
    assert [cell.strategy for cell in matrix.cells] == ["scratch", "fine-tune", "control"]


@pytest.mark.parametrize(("control", "strategy"), [(["trunk"], []), ([], []), (["trunk"], ["all"])])
def test_a_control_that_names_nobody_serves_no_other_freeze_mask(control, strategy):
    keys = (*KEYS, (None, "task", "control"))
    arms = {key: arm(key, [curve] * 4) for key, curve in zip(keys, (SLOW, FAST, SLOW), strict=True)}
    plain = {"control": True, "freeze": control}
    strategies = {"scratch": {}, "fine-tune": {"freeze": strategy}, "control": plain}
    entry = tuned(analyse(sweep(arms, strategies=strategies))).comparisons["auc_gain"]
    assert entry.verdict == "positive"
    assert entry.control is None


def test_a_run_that_is_not_finished_is_not_measured():
    (unfinished,) = arm(KEYS[0], [None])
    scale = analyse(two_arms([FAST] * 4, [SLOW] * 4)).targets["task"].scale
    with pytest.raises(ValueError, match="cannot be measured: failed: boom"):
        measure(unfinished, scale, Analysis())
    (finished,) = arm(KEYS[0], [SLOW])
    for without in ({"curve": None}, {"record": None}):
        with pytest.raises(ValueError, match="cannot be measured"):
            measure(replace(finished, **without), scale, Analysis())


def test_scores_beyond_the_reference_do_not_count_towards_forward_transfer():
    # Scores 0.5, 1.5, 1.5 clipped to 0.5, 1, 1: ½ · 1.5 + 1 over two steps; −1 is clipped to 0.
    scale = analyse(two_arms([FAST] * 4, [SLOW] * 4)).targets["task"].scale
    above, below = (
        measure(run("target", 0, means, steps=(0, 1, 2)), scale, Analysis())
        for means in ((50, 150, 150), (-100, -100, 100))
    )
    assert above.clipped_auc == 0.875
    assert below.clipped_auc == 0.25


def test_one_seed_is_a_sweep_too():
    matrix = analyse(two_arms([FAST], [SLOW]))
    cell = tuned(matrix)
    assert cell.metrics["auc_gain"].value.mean == 24
    assert any("1 seed per arm is too few" in text for text in matrix.warnings)
    assert "1 seed per arm is too few" in cell.comparisons["auc_gain"].reason


def test_each_target_has_the_budget_of_its_own_arms():
    arms: dict[CellKey, tuple[Run, ...]] = {}
    for target, factor in (("short", 1), ("long", 2)):
        base: CellKey = (None, target, "scratch")
        transfer: CellKey = ("base", target, "fine-tune")
        arms[base] = arm(base, [SLOW] * 4, steps=[factor * step for step in STEPS])
        arms[transfer] = arm(transfer, [None] * 4)
    targets = analyse(sweep(arms)).targets
    assert {name: target.budget for name, target in targets.items()} == {"short": 500, "long": 1000}


def test_a_share_that_rounding_lifts_above_a_whole_number_is_not_rounded_up():
    assert 0.07 * 100 > 7
    assert final_performance(np.arange(100.0), share=0.07) == 96  # 93 … 99
    assert final_performance(np.arange(100.0), share=0.071) == 95.5  # 92 … 99


def test_profiles_reach_from_the_lowest_to_the_highest_score_but_at_least_from_0_to_1():
    def thresholds(*curves, **analysis):
        matrix = analyse(two_arms(curves, [SLOW] * 4, **analysis))
        profile = {entry.strategy: entry.profile for entry in matrix.aggregates}["fine-tune"]
        assert profile is not None
        return profile.thresholds[0], profile.thresholds[-1]

    assert thresholds(*[SLOW] * 4) == (0, 1)
    assert thresholds(*[shifted(SLOW, 50)] * 4) == (0, 1.5)
    assert thresholds(*[shifted(SLOW, -150)] * 4) == (-0.5, 1)
    assert thresholds(*[SLOW] * 4, reference=200) == (0, 1)  # nobody is above 0.5


def test_what_is_no_bound_has_no_sign():
    metrics = tuned(analyse(two_arms([FAST] * 4, [SLOW] * 4))).metrics
    assert (metrics["time_to_threshold"].bound, metrics["speed_up"].bound) == ("", "")


def test_resampling_in_pieces_smaller_than_a_draw_still_draws_them_all(monkeypatch):
    monkeypatch.setattr(bootstrap, "_CHUNK", 1)
    shapes = []

    def total(values):
        shapes.append(values.shape)
        return values.sum(axis=1)

    draws = bootstrap.stratified_bootstrap([[1.0] * 3], total, np.random.default_rng(0), 5)
    assert draws.tolist() == [3] * 5
    assert shapes == [(1, 3)] * 5


def test_the_streams_of_a_cell_are_named_by_its_place():
    """Bootstrap intervals hang on the root seed, the metric and the cell: another stream, other numbers."""
    from rl_transfer.seeding import generator

    curves = [shifted(SLOW, 10 * e) for e in SPREAD]
    arms = {KEYS[0]: arm(KEYS[0], curves), KEYS[1]: arm(KEYS[1], [shifted(c, 15) for c in curves])}
    for metric, entry in tuned(analyse(sweep(arms, reference=100))).comparisons.items():
        x, y = ([(base + 10 * e) / 100 for e in SPREAD] for base in BASES[metric])
        stream = generator(0, "bootstrap", metric, "base", "task", "fine-tune")
        expected = bootstrap.iqm_difference(x, y, stream, 50, 0.95)
        assert (entry.iqm_gain.low, entry.iqm_gain.high) == pytest.approx((expected.low, expected.high))


BASES = {"asymptotic_gain": (115, 100), "auc_gain": (75, 60)}
"""Metric → means of the transfer arm and of scratch."""

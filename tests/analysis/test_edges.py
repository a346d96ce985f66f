"""Boundaries, directions and defaults that larger tests pass over; each was found by a mutant that lived."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rl_transfer.analysis import Run, Sweep, analyse, bootstrap
from rl_transfer.analysis.arm_statistics import Interval, cohens_d
from rl_transfer.analysis.arms import band
from rl_transfer.analysis.contrast import Contrast
from rl_transfer.analysis.metrics import final_performance, measure
from rl_transfer.analysis.model import CellKey
from rl_transfer.spec import Analysis

from . import hand_made
from .hand_made import (
    FAST,
    FINE,
    SCRATCH,
    SLOW,
    STEPS,
    arm,
    changed,
    on_targets,
    recorded,
    run,
    shifted,
    spread,
    sweep,
    sweep_of,
    transfer_cell,
    two_arms,
)  # fmt: skip

PLAIN = two_arms([FAST] * 4, [SLOW] * 4)
SPREAD = (-3, -1, 1, 3)


def with_sources(scores, *, bar=None):
    """Two arms whose source runs are in the sweep: source ``i`` climbs to ``scores[i]``."""
    plain = two_arms([FAST] * 4, [SLOW] * 4, bar=bar)
    rows = [run("source", i, (0, 1, 2, 3, 4, score), source="base") for i, score in enumerate(scores)]
    return analyse(Sweep(plain.manifest, (*rows, *plain.runs)))


def test_two_runs_and_one_are_enough_for_an_effect_size():
    # one degree of freedom: squares 1 + 1 over 1, s = √2; (3 − 1)/√2 = √2
    assert cohens_d([2, 4], [1]) == pytest.approx(math.sqrt(2))
    assert math.isnan(cohens_d([2], [1]))


def test_a_contrast_counts_the_smaller_arm():
    interval = Interval(1, 0, 2)
    assert Contrast((1.0, 2.0), (1.0,), interval, None, 1.0, 1.0, 0).runs == 1
    assert Contrast((1.0,), (1.0, 2.0), interval, None, 1.0, 1.0, 0).runs == 1


def test_a_source_is_scored_by_its_last_evaluation_and_the_worst_is_named():
    matrix = with_sources((90, 60, 70, 95), bar=80)
    assert matrix.sources["base"].scores == {0: 90, 1: 60, 2: 70, 3: 95}
    assert matrix.sources["base"].steps == 500
    (flag,) = transfer_cell(matrix).flags
    assert flag.message == (
        "2 of 4 source policies of base are below the bar 80 (lowest 60): there may be little to transfer"
    )


def test_the_baseline_comes_first_and_controls_last_whatever_the_config_says():
    strategies = {"control": {"control": True}, "fine-tune": {}, "scratch": {}}
    keys = ((None, "task", "control"), FINE, SCRATCH)
    matrix = analyse(sweep_of({key: [SLOW] * 4 for key in keys}, strategies=strategies))
    assert [*matrix.strategies] == ["scratch", "fine-tune", "control"]
    assert [cell.strategy for cell in matrix.cells] == ["scratch", "fine-tune", "control"]


@pytest.mark.parametrize(("control", "strategy"), [(["trunk"], []), ([], []), (["trunk"], ["all"])])
def test_a_control_that_names_nobody_serves_no_other_freeze_mask(control, strategy):
    arms = {SCRATCH: spread(SLOW), FINE: spread(FAST), (None, "task", "control"): spread(SLOW)}
    strategies = {"fine-tune": {"freeze": strategy}, "control": {"control": True, "freeze": control}}
    entry = transfer_cell(sweep_of(arms, strategies=strategies)).comparisons["auc_gain"]
    assert entry.verdict == "positive"
    assert entry.attribution is None


def test_a_run_that_is_not_finished_is_not_measured():
    (unfinished,) = arm(SCRATCH, [None])
    scale = analyse(PLAIN).targets["task"].scale
    with pytest.raises(ValueError, match="cannot be measured: failed: boom"):
        measure(unfinished, scale, Analysis(), math.nan)
    (finished,) = arm(SCRATCH, [SLOW])
    for partial in (replace(finished, curve=None), replace(finished, record=None)):
        with pytest.raises(ValueError, match="cannot be measured"):
            measure(partial, scale, Analysis(), math.nan)


def test_scores_beyond_the_reference_do_not_count_towards_forward_transfer() -> None:
    # Scores 0.5, 1.5, 1.5 clipped to 0.5, 1, 1: ½ · 1.5 + 1 over two steps; −1 is clipped to 0.
    scale = analyse(PLAIN).targets["task"].scale
    above, below = (
        measure(run("target", 0, means, steps=(0, 1, 2)), scale, Analysis(), math.nan)
        for means in ((50, 150, 150), (-100, -100, 100))
    )
    assert [above.start, above.final, above.auc] == pytest.approx([50, 150, 125])
    assert above.clipped_auc == 0.875
    assert below.clipped_auc == 0.25


def test_one_seed_is_a_sweep_too():
    matrix = analyse(two_arms([FAST], [SLOW]))
    cell = transfer_cell(matrix)
    assert cell.metrics["auc_gain"].value.mean == 24
    assert any("1 seed per arm is too few" in text for text in matrix.warnings)
    assert "1 seed per arm is too few" in cell.comparisons["auc_gain"].reason


def test_each_target_has_the_budget_of_its_own_arms():
    given = on_targets(dict.fromkeys(("short", "long"), ([None] * 4, [SLOW] * 4)))
    double = hand_made.curve(SLOW, [2 * step for step in STEPS])
    targets = analyse(
        changed(given, lambda run: replace(run, curve=double) if run.curve and run.target == "long" else run)
    ).targets
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
    metrics = transfer_cell(PLAIN).metrics
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
    cell = transfer_cell(two_arms([shifted(each, 15) for each in curves], curves, reference=100))
    for metric, entry in cell.comparisons.items():
        x, y = ([base + 10 * e for e in SPREAD] for base in BASES[metric])
        stream = generator(0, "bootstrap", metric, "base", "task", "fine-tune")
        expected = bootstrap.iqm_difference(x, y, stream, 50, 0.95)
        assert (entry.iqm_gain.low, entry.iqm_gain.high) == pytest.approx((expected.low, expected.high))


BASES = {"asymptotic_gain": (115, 100), "auc_gain": (75, 60)}
"""Metric → means of the transfer arm and of scratch."""


def test_a_saving_of_one_step_is_clear_where_steps_are_epochs():
    arms = {key: arm(key, [curve] * 40, steps=range(6)) for key, curve in ((SCRATCH, SLOW), (FINE, FAST))}
    value = transfer_cell(sweep(arms, seeds=40)).metrics["break_even_targets"].value
    assert 800 < value.low < value.mean == 1000 < value.high < 1400


def test_the_draws_of_a_sampled_test_are_named_by_its_place():
    """With nine runs an arm splits are drawn: another stream, or another first arm, gives another p."""
    from rl_transfer.analysis.arm_statistics import permutation_p
    from rl_transfer.seeding import generator

    x, y = ([base + 10 * (e % 5) for e in range(9)] for base in (10, 0))
    cell = transfer_cell(two_arms([[v] * 6 for v in x], [[v] * 6 for v in y], reference=1))
    for metric, entry in cell.comparisons.items():
        stream = generator(0, "permutation-scratch", metric, "base", "task", "fine-tune")
        assert entry.p == permutation_p(x, y, stream)


def test_a_control_is_asked_for_the_seeds_of_a_family_of_one():
    noisy = [shifted(SLOW, 10 * e) for e in SPREAD]
    better = [shifted(means, 25) for means in noisy]
    alone = transfer_cell(two_arms(better, noisy)).comparisons["auc_gain"].fresh_seeds
    keys = (FINE, ("base", "task", "other"), (None, "task", "control"))
    arms = {SCRATCH: noisy, **dict.fromkeys(keys, better)}
    cells = analyse(sweep_of(arms, strategies={"control": {"control": True}})).cells
    asked = {cell.strategy: cell.comparisons["auc_gain"].fresh_seeds for cell in cells if cell.comparisons}
    assert asked["control"] == alone
    assert alone is not None
    assert asked["fine-tune"] is not None
    assert asked["fine-tune"].least > alone.least, "a family of two"


def test_seeds_are_asked_for_only_where_they_would_settle_something():
    gain, noisy = [shifted(FAST, e) for e in SPREAD], [shifted(SLOW, 10 * e) for e in SPREAD]
    settled = transfer_cell(two_arms(gain, [shifted(SLOW, e) for e in SPREAD])).comparisons["auc_gain"]
    assert (settled.verdict, settled.fresh_seeds) == ("positive", None)
    crashed = transfer_cell(two_arms([*noisy[:3], None], noisy)).comparisons["auc_gain"]
    assert (crashed.verdict, crashed.fresh_seeds) == ("inconclusive", None)


def test_seeds_that_no_config_names_are_those_of_the_target_runs():
    numbers = (129, 3, 64, 40)  # a set gives them as 64, 129, 3, 40
    runs = changed(PLAIN, lambda run: replace(run, seed=numbers[run.seed]) if run.strategy else run).runs
    config = {name: value for name, value in PLAIN.config.items() if name != "seeds"}
    other = run("source", 7, SLOW, source="base")
    found = Sweep({**PLAIN.manifest, "config": config}, (*runs, other))
    assert found.seeds == (3, 40, 64, 129)
    assert [each.seed for each in found.select("target", strategy="scratch")] == [3, 40, 64, 129]


def test_sources_and_targets_stand_in_the_configs_order():
    names = ((None, "scratch"), ("north", "tuned"), ("south", "tuned"))
    curves = {(s, target, name): [SLOW] * 4 for target in ("first", "second") for s, name in names}
    planned = sweep_of(curves)
    for group in ("sources", "targets"):
        planned.config[group] = dict(reversed(planned.config[group].items()))
    planned.config["summary"] = "What this is about."
    matrix = analyse(planned)
    assert [*matrix.targets] == ["second", "first"]
    assert [*matrix.sources] == ["south", "north"]
    assert matrix.summary == "What this is about."
    assert analyse(sweep_of(curves)).summary == ""


def test_a_plateau_is_that_of_the_targets_own_scratch_arms_all_of_them():
    rising = [shifted((0, 0, 0, 10, 20, 30), e) for e in SPREAD]
    flat: list[tuple[float, ...]] = [SLOW] * 4
    arms: dict[CellKey, tuple[Run, ...]] = {}
    for target, second in (("flat", flat), ("mixed", rising)):
        for source, means in (("a", flat), ("b", second)):
            for strategy, own in (("scratch", means), ("fine-tune", rising)):
                key: CellKey = (source, target, strategy)
                arms[key] = recorded(arm(key, own), source_run=[None] * 4)
    targets = analyse(sweep(arms)).targets
    assert {name: info.plateaued for name, info in targets.items()} == {"flat": True, "mixed": False}


def test_arms_and_targets_have_the_longest_budget_of_their_runs():
    long = hand_made.curve(FAST, [2 * step for step in STEPS])
    uneven = changed(
        PLAIN, lambda run: replace(run, curve=long) if (run.source, run.seed) == ("base", 1) else run
    )
    matrix = analyse(uneven)
    cell = transfer_cell(matrix)
    assert cell.budget == 1000
    assert matrix.targets["task"].budget == 1000
    assert cell.comparisons["auc_gain"].outcome == "incomparable"
    # The band is over the steps that all runs have: 0, 200 and 400.
    assert cell.band.steps.tolist() == [0, 200, 400]
    assert cell.band.mean.tolist() == [20, (3 * 100 + 60) / 4, 100]


def test_a_band_is_over_the_shared_steps_in_their_order():
    steps = np.array([3.0, 40, 64, 129])  # a set gives them as 64, 129, 3, 40
    found = band([(steps, np.array([1.0, 2, 3, 4])), (steps, np.array([3.0, 4, 5, 6]))], 0.95)
    assert found is not None
    assert found.steps.tolist() == [3, 40, 64, 129]
    assert found.mean.tolist() == [2, 3, 4, 5]
    assert band([(np.array([0.0]), np.array([1.0])), (np.array([1.0]), np.array([1.0]))], 0.95) is None


def test_what_no_source_run_says_is_read_from_the_runs_that_it_fed():
    fed = analyse(PLAIN).sources["base"]
    assert (fed.steps, fed.scores, fed.below) == (1000, dict.fromkeys(range(4), 90.0), ())
    # A source run's own last evaluation counts before what its targets recorded; seeds are in order.
    own = run("source", 2, (0, 0, 0, 0, 0, 70), source="base")
    both = analyse(Sweep(PLAIN.manifest, (*PLAIN.runs, own))).sources["base"]
    assert [*both.scores.items()] == [(0, 90), (1, 90), (2, 70), (3, 90)]
    assert both.steps == 500


def test_a_source_is_unmeasured_as_soon_as_one_of_its_policies_is():
    planned = two_arms([FAST] * 4, [SLOW] * 4, {"source_score": None, "source_steps": None})
    rows = (
        Run("base-0", "source", "base", None, None, 0, record={"measured": False}),
        Run("base-1", "source", "base", None, None, 1, problem="unfinished"),
    )
    info = analyse(Sweep(planned.manifest, (*planned.runs, *rows))).sources["base"]
    assert (info.unmeasured, info.problems) == (True, {1: "unfinished"})


def test_ratios_are_undefined_near_a_denominator_of_nothing():
    """Within 0.05 of a from-scratch area of 0, or of one that leaves nothing open."""
    low = spread((0, 0, 0, 4, 4, 100), by=0.5)  # area (0 + 0 + 2 + 4 + 52) / 5 = 11.6 of 100
    flat = spread((0, 0, 0, 4, 4, 4), by=0.5)  # area 2 of the reference 100
    for scratch, ratio in ((low, (84 - 11.6) / 11.6), (flat, math.nan)):
        metrics = transfer_cell(two_arms(spread(FAST), scratch, reference=100)).metrics
        assert metrics["transfer_ratio"].value.mean == pytest.approx(ratio, nan_ok=True)
    full = spread((100, 100, 100, 100, 100, 90), by=0.5)
    open_ended = transfer_cell(two_arms(spread(FAST), full, reference=100)).metrics
    assert math.isnan(open_ended["forward_transfer"].value.mean)

import math
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_transfer.analysis import Sweep, analyse, headlines
from rl_transfer.analysis.special import t_cdf, t_quantile
from rl_transfer.analysis.terminal import text_table
from support.cases import EVERY

from .hand_made import (
    CONTROL,
    FAST,
    FINE,
    SCRATCH,
    SLOW,
    STEPS,
    arm,
    changed,
    lost,
    on_targets,
    recorded,
    shifted,
    spread,
    sweep,
    sweep_of,
    transfer_cell,
    two_arms,
)  # fmt: skip

OFFSETS = (-3, -1, 1, 3)
"""Mean 0, sum of squares 20: variance 20/3 over four seeds."""
GAINING = [shifted(FAST, e) for e in OFFSETS]
IDLE = [shifted(SLOW, e) for e in OFFSETS]
PLAIN = two_arms([FAST] * 4, [SLOW] * 4)


def cell_of(matrix, strategy="fine-tune", target="task"):
    (cell,) = matrix.select(strategy=strategy, target=target)
    return cell


def verdicts(matrix, **fields):
    return {
        (cell.strategy, cell.target, name): str(entry.verdict)
        for cell in matrix.select(**fields)
        for name, entry in cell.comparisons.items()
    }


def codes(cell):
    return {flag.code for flag in cell.flags}


def test_every_metric_of_a_cell_by_hand():
    cell = cell_of(analyse(two_arms([FAST] * 4, [SLOW] * 4)))
    value = {name: metric.value.mean for name, metric in cell.metrics.items()}
    score = {name: metric.score.mean for name, metric in cell.metrics.items() if metric.score}
    # J_random = 0, J_ref = scratch's final 100: scores are returns / 100
    assert value["start_performance"] == value["jump_start_over_random"] == 20
    assert (value["jump_start"], score["jump_start"]) == (20, 0.2)
    assert (value["final_performance"], value["asymptotic_gain"]) == (100, 0)
    assert (value["auc"], score["auc"]) == (84, pytest.approx(0.84))
    assert (value["auc_gain"], score["auc_gain"]) == (24, pytest.approx(0.24))
    assert value["transfer_ratio"] == pytest.approx(0.24 / 0.6)
    assert value["forward_transfer"] == pytest.approx(0.24 / (1 - 0.6))
    # θ = 80. Three in a row above it: transfer from 200 on, scratch from 300 on
    assert (value["time_to_threshold"], value["threshold_reached"]) == (200, 1)
    assert (value["steps_saved"], value["speed_up"]) == (100, 1.5)
    assert value["break_even"] == 0.1
    assert math.isnan(value["break_even_targets"]), "runs that are all alike do not show it"
    assert math.isnan(value["zero_shot"])
    assert math.isnan(value["retention"])


def test_scores_start_at_the_random_policy():
    # everything 1,000 lower: J_random = −1000, J_ref = −900; levels score as before, gains too
    lower = [shifted(curve, -1000) for curve in (FAST, SLOW)]
    cell = cell_of(analyse(two_arms([lower[0]] * 4, [lower[1]] * 4, random={"task": [-1000.0]})))
    score = {name: metric.score.mean for name, metric in cell.metrics.items() if metric.score}
    assert (score["start_performance"], score["jump_start_over_random"]) == pytest.approx((0.2, 0.2))
    assert (score["auc"], score["auc_gain"]) == (pytest.approx(0.84), pytest.approx(0.24))
    assert cell.metrics["auc"].value.mean == -916
    assert dict(cell.metrics["auc"].score.per_seed) == pytest.approx(dict.fromkeys(range(4), 0.84))
    assert cell.metrics["transfer_ratio"].value.mean == pytest.approx(0.4)


def test_verdicts_of_that_cell():
    cell = cell_of(analyse(two_arms(spread(FAST, 6), spread(SLOW, 6), delta=0.045)))
    final, area = cell.comparisons["asymptotic_gain"], cell.comparisons["auc_gain"]
    assert (final.verdict, final.p, final.improvement) == ("equivalent", 1, 0.5)
    # δ is 4.5 % of scratch's 100, and f = a: D(δ) = −4.5, V = 14/6 · (1 + 1.045²), t = −2.037
    shares = [1 / (1 + 1.045**2), 1.045**2 / (1 + 1.045**2)]
    t, degrees = 4.5 / math.sqrt(14 / 6 * (1 + 1.045**2)), 5 / sum(share**2 for share in shares)
    assert final.equivalence_p == final.adjusted_equivalence_p == pytest.approx(1 - t_cdf(t, degrees))
    # Every split but the observed one and its mirror is less extreme: 2 / C(12, 6)
    assert (area.verdict, area.p, area.improvement) == ("positive", pytest.approx(2 / 924), 1)
    assert area.adjusted_p == area.p
    assert area.iqm_gain.point == pytest.approx(24)


def test_intervals_count_the_spread_of_both_arms():
    cell = transfer_cell(two_arms(GAINING, IDLE))
    gain = cell.metrics["auc_gain"].value
    # SE² = 2 · (20/3)/4 = 10/3; equal variances: ν = 6
    half = t_quantile(0.975, 6) * math.sqrt(10 / 3)
    assert (gain.mean, gain.low, gain.high) == pytest.approx((24, 24 - half, 24 + half))
    assert dict(gain.per_seed) == pytest.approx({0: 21, 1: 23, 2: 25, 3: 27})
    raw = cell.comparisons["auc_gain"].raw
    assert (raw.low, raw.high) == pytest.approx((24 - half, 24 + half))
    # one arm: s/√n = √(5/3), ν = 3
    area = cell.metrics["auc"].value
    assert area.high - area.mean == pytest.approx(t_quantile(0.975, 3) * math.sqrt(5 / 3))
    # g: d = 24/√(20/3), corrected by Γ(3)/(√3 Γ(5/2))
    d = 24 / math.sqrt(20 / 3)
    assert cell.comparisons["auc_gain"].cohens_d == pytest.approx(d)
    factor = math.gamma(3) / (math.sqrt(3) * math.gamma(2.5))
    assert cell.comparisons["auc_gain"].hedges_g == pytest.approx(d * factor)


def test_negative_transfer():
    worse = transfer_cell(two_arms([shifted(SLOW, e - 40) for e in OFFSETS], IDLE))
    assert {str(entry.verdict) for entry in worse.comparisons.values()} == {"negative"}


def test_inconclusive_says_how_many_fresh_seeds():
    noisy = [shifted(SLOW, 10 * e) for e in OFFSETS]
    entry = transfer_cell(two_arms([shifted(means, 25) for means in noisy], noisy)).comparisons["auc_gain"]
    assert entry.verdict == "inconclusive"
    assert entry.fresh_seeds is not None
    assert entry.fresh_seeds.least > 4


def test_the_first_records_are_read_for_zero_shot_and_retention():
    retention = {"returns": [50, 70], "source_returns": [90, 110]}
    record = {"zero_shot": {"returns": [10, 30]}, "retention": retention}
    cell = transfer_cell(two_arms([FAST] * 4, [SLOW] * 4, record))
    assert (cell.metrics["zero_shot"].value.mean, cell.metrics["zero_shot"].score.mean) == (20, 0.2)
    assert cell.metrics["retention"].value.mean == -40
    assert cell.metrics["retention"].score is None


def test_three_seeds_are_never_enough():
    matrix = analyse(two_arms([FAST] * 3, [SLOW] * 3))
    assert set(verdicts(matrix, kind="transfer").values()) == {"inconclusive"}
    assert matrix.smallest_seeds == 4
    assert any("too few" in warning for warning in matrix.warnings)


def family(cells, seeds=4, lone=True):
    """``cells`` targets; fine-tune gains on the first alone, and is like scratch on the rest."""
    gains = [SLOW if number and lone else FAST for number in range(cells)]
    curves = [(spread(gain, seeds, 1), spread(SLOW, seeds, 1)) for gain in gains]
    return on_targets({f"task-{number}": each for number, each in enumerate(curves)}, delta=0.01)


def test_a_lone_effect_pays_for_its_family():
    # 2 cells of 4 seeds: 2 · 2/70 = 0.057 ≥ q; 5 seeds: 2 · 2/252 = 0.016
    few, enough = analyse(family(2, seeds=4)), analyse(family(2, seeds=5))
    assert few.family == 2
    assert verdicts(few)["fine-tune", "task-0", "auc_gain"] == "inconclusive"
    assert few.smallest_seeds == 5
    assert any("take at least 5" in warning for warning in few.warnings)
    entry = cell_of(enough, target="task-0").comparisons["auc_gain"]
    assert (entry.p, entry.adjusted_p) == (pytest.approx(2 / 252), pytest.approx(4 / 252))
    assert entry.verdict == "positive"
    assert enough.warnings == ()


def with_control(strategy, control, **options):
    names = {"scratch": None, "frozen": "base", "random-frozen": None}
    curves = dict(zip(names, (IDLE * (len(strategy) // 4), strategy, control), strict=True))
    strategies = {"strategies": {"frozen": {"freeze": ["trunk"]}, "random-frozen": CONTROL}, **options}
    return sweep_of({(names[name], "task", name): each for name, each in curves.items()}, **strategies)


@pytest.mark.parametrize(
    ("control", "finding", "code"),
    [
        (IDLE, "helps", None),
        (GAINING, "unclear", "control-unclear"),  # four runs do not rule out δ, 2 of 100
        # half of the gain of 24 is there without knowledge; the other half is clear all the same
        ([shifted(SLOW, e + 12) for e in OFFSETS], "helps", None),
        ([*GAINING[:3], None], "unchecked", "control-unchecked"),
        # mean 14 above scratch, but so scattered that neither side is clear
        ([shifted(SLOW, e) for e in (-30, 0, 30, 56)], "unclear", "control-unclear"),
        ([shifted(FAST, e + 30) for e in OFFSETS], "hurts", "control-hurts"),
    ],
)
def test_what_a_control_says_of_a_gain(control, finding, code):
    matrix = analyse(with_control(GAINING, control))
    cell = cell_of(matrix, "frozen")
    entry = cell.comparisons["auc_gain"]
    assert entry.verdict == "positive"
    assert entry.attribution.finding == finding
    assert codes(cell) == ({code} if code else set())
    assert (finding == "helps") == ("knowledge helps" in headlines(matrix)[0])


def test_controls_stay_outside_the_family():
    matrix = analyse(with_control(GAINING, GAINING))
    assert matrix.family == 1
    control = cell_of(matrix, "random-frozen")
    assert control.kind == "control"
    assert control.comparisons["auc_gain"].verdict == "positive"
    assert math.isnan(control.comparisons["auc_gain"].adjusted_p)
    assert [cell.kind for cell in matrix.cells] == ["baseline", "transfer", "control"]


def test_a_control_that_names_nobody_serves_the_same_freeze_mask():
    strategies = {"frozen": {"freeze": ["trunk"]}, "random-frozen": {"control": True, "freeze": ["trunk"]}}
    matrix = analyse(with_control(GAINING * 3, GAINING * 3, delta=0.029, strategies=strategies))
    assert cell_of(matrix, "frozen").comparisons["auc_gain"].attribution.finding == "not knowledge"


def test_a_strong_gain_where_scratch_never_leaves_chance_keeps_its_verdict():
    stuck, solved = [(-200,) * 6] * 5, [(-200, -180, -150, -120, -110, -110)] * 5
    random = {"task": [-200.0]}
    cell = cell_of(analyse(two_arms(solved, stuck, random=random, threshold=-110.0)))
    assert codes(cell) == {"reference-fallback"}
    # final (−110 − 110)/2: gain 90 of the 90 to the threshold
    assert cell.comparisons["asymptotic_gain"].gain.point == pytest.approx(1)
    assert cell.comparisons["asymptotic_gain"].verdict == "positive"
    raw = cell_of(analyse(two_arms(solved, stuck, random=random)))
    assert codes(raw) == {"raw-returns"}
    assert raw.comparisons["asymptotic_gain"].unit == "measure"
    assert raw.comparisons["asymptotic_gain"].verdict == "positive"
    assert raw.metrics["auc_gain"].score is None
    assert math.isnan(raw.metrics["steps_saved"].value.mean)
    declared = cell_of(analyse(two_arms(solved, stuck, random=random, raw_delta=100)))
    assert declared.comparisons["asymptotic_gain"].raw_delta == 100
    assert declared.comparisons["asymptotic_gain"].outcome == "at the floor"


def test_censored_runs_make_the_times_bounds():
    never = (0, 0, 10, 10, 10, 10)
    matrix = analyse(two_arms([FAST] * 4, [SLOW, SLOW, SLOW, never], reference=100))
    cell = cell_of(matrix)
    # scratch: 300, 300, 300 and censored at 500: mean 350, over 200
    saved = cell.metrics["steps_saved"]
    assert (saved.value.mean, saved.bound, cell.metrics["break_even"].bound) == (150, "≥", "≥")
    assert (cell.metrics["speed_up"].value.mean, cell.metrics["speed_up"].bound) == (1.75, "≥")
    # log 1.75 ± t₃ · s/(350 · 2), s² = 4 · 150² / … = (3 · 50² + 150²)/3: only the scratch arm varies
    half = t_quantile(0.975, 3) * 100 / 700
    assert cell.metrics["speed_up"].value.interval.high == pytest.approx(1.75 * math.exp(half))
    # four transfers at 200 and one more that never arrives: mean 260, s²/n = 4 · 300²/5/5
    more = math.hypot(60 / 260, 100 / 700)
    degrees = more**4 / ((60 / 260) ** 4 / 4 + (100 / 700) ** 4 / 3)
    low = 350 / 260 * math.exp(-t_quantile(0.975, degrees) * more)
    assert cell.metrics["speed_up"].value.interval.low == pytest.approx(low)
    scratch = cell_of(matrix, "scratch")
    assert scratch.metrics["threshold_reached"].value.mean == 0.75
    time = scratch.metrics["time_to_threshold"]
    assert (time.value.mean, time.bound) == (350, "≥")


def test_flags_of_sources():
    weak = transfer_cell(two_arms(spread(FAST), spread(SLOW), bar=95))
    assert codes(weak) == {"source-below-bar"}
    assert "4 of 4 source policies of base are below the bar 95" in weak.flags[0].message
    assert weak.comparisons["auc_gain"].verdict == "positive"  # flagged, never dropped
    assert codes(transfer_cell(two_arms(spread(FAST), spread(SLOW), bar=90))) == set()


def test_an_unfreezing_that_never_completes_is_flagged():
    thaws = [{"at": 0.2, "parts": ["head"], "share": 0.25}, {"at": 0.6, "parts": ["trunk"], "share": None}]

    def flags(first):
        runs = recorded(arm(FINE, [FAST] * 4), thaws=[first, [], [], []])
        return transfer_cell(sweep({SCRATCH: arm(SCRATCH, [SLOW] * 4), FINE: runs})).flags

    (flag,) = flags(thaws)
    assert flag.code == "incomplete-unfreezing"
    assert flag.message.startswith("1 of 4 runs ended before their last thaw")
    assert flags([{**thaw, "share": 0.9} for thaw in thaws]) == ()


def test_a_copy_in_other_bounds_of_actions_is_flagged():
    assert transfer_cell(PLAIN).flags == ()
    knobs = {"action_bounds": "-4 to 4 here, -2 to 2 in the source"}
    (flag,) = transfer_cell(two_arms([FAST] * 4, [SLOW] * 4, {"knobs": knobs})).flags
    assert flag.code == "other-action-bounds"
    assert "(-4 to 4 here, -2 to 2 in the source)" in flag.message


def test_a_control_with_other_knobs_is_flagged_beside_its_strategy():
    keys = (SCRATCH, ("base", "task", "frozen"), (None, "task", "control"))
    mine = {
        "learning_starts": 0,
        "exploration_initial_eps": 0.05,
        "optimizer": "fresh",
        "normalization": "none",
    }
    theirs = {"learning_starts": 100, "exploration_initial_eps": 1.0, "optimizer": "fresh"}
    strategies: Any = {"scratch": {}, "frozen": {"copy": ["trunk"], "freeze": ["trunk"]}, "control": CONTROL}

    def flags(knobs: Any) -> list[str]:
        given = zip(keys, (None, mine, knobs), strict=True)
        arms: Any = {key: arm(key, [SLOW] * 4, knobs=each) for key, each in given}
        cells = analyse(sweep(arms, strategies=strategies)).cells
        return [flag.message for cell in cells for flag in cell.flags if flag.code == "control-knobs"]

    said = "its control control trained with other knobs: "
    assert flags(theirs) == [f"{said}learning_starts 100 (0 here), exploration_initial_eps 1.0 (0.05 here)"]
    assert flags({**mine, "log_std": "reset"}) == []
    assert flags(None) == []  # a control whose runs all failed ended the report with a KeyError
    unset = "learning_starts unset (0 here), exploration_initial_eps unset (0.05 here)"
    assert flags({"normalization": "none"}) == [said + unset]
    assert flags({**mine, "normalization": "warm"}) == [f"{said}normalization warm (none here)"]


def test_one_source_fanned_out_is_labelled():
    assert codes(transfer_cell(two_arms([FAST] * 4, [SLOW] * 4, {"source_run": "base-0"}))) == {"checkpoint"}
    fed = recorded(arm(FINE, [FAST] * 8), source_run=[f"base-{seed % 4}" for seed in range(8)])
    (flag,) = transfer_cell(sweep({SCRATCH: arm(SCRATCH, [SLOW] * 8), FINE: fed}, seeds=8)).flags
    assert flag.code == "shared-source"
    assert flag.message == "4 source policies feed 8 runs: each counts once, with the mean over its runs"


def test_sources_of_different_networks_are_compared_with_baselines_of_their_own():
    # FAST has area 84. relu's scratch arm has SLOW's 60, tanh's has SLOW + 10, which is 70.
    curves = {
        ("relu", "task", "scratch"): SLOW,
        ("tanh", "task", "scratch"): shifted(SLOW, 10),
        ("relu", "task", "frozen"): FAST,
        ("tanh", "task", "frozen"): FAST,
        ("relu", "task", "control"): SLOW,
        ("tanh", "task", "control"): shifted(FAST, 20),
    }
    arms: Any = {
        key: arm(key, [shifted(means, by) for by in (-2, -2, 3, 3)]) for key, means in curves.items()
    }
    for key in arms:
        if key[2] != "frozen":
            arms[key] = recorded(arms[key], source_run=[None] * 4)
    strategies: Any = {"scratch": {}, "frozen": {"copy": ["trunk"], "freeze": ["trunk"]}, "control": CONTROL}
    matrix: Any = analyse(sweep(arms, strategies=strategies))
    cells: Any = {cell.key: cell for cell in matrix.cells}
    assert cells["relu", "task", "frozen"].metrics["auc_gain"].value.mean == pytest.approx(24)
    assert cells["tanh", "task", "frozen"].metrics["auc_gain"].value.mean == pytest.approx(14)
    assert [cell.source for cell in matrix.cells if cell.kind == "baseline"] == ["relu", "tanh"]
    # One scale for the target: final performances are 100.5 and 110.5, random is 0.
    assert matrix.targets["task"].scale.reference == pytest.approx(105.5)
    assert "scratch with the network of relu (baseline" in text_table(matrix)
    # Each is checked by the control with its own network.
    findings = {key[0]: cells[key].comparisons["auc_gain"].attribution for key in cells if key[2] == "frozen"}
    assert findings["relu"].finding == "helps"
    assert findings["tanh"].finding == "hurts"
    assert not any(flag.code == "shared-source" for cell in matrix.cells for flag in cell.flags)


def test_a_baseline_that_two_of_three_sources_share_counts_once():
    # Sources a and b have one network and one scratch run per seed, c has another.
    keys = [(name, "task", "scratch") for name in "abc"]
    arms: Any = {
        key: arm(key, [[0] * 5 + [height]] * 4) for key, height in zip(keys, (90, 90, 30), strict=True)
    }
    arms[keys[1]] = tuple(
        replace(run, id=first.id) for run, first in zip(arms[keys[1]], arms[keys[0]], strict=True)
    )
    # Last two of six evaluations: (0 + 90) / 2 and (0 + 30) / 2; b's runs are a's.
    assert analyse(sweep(arms)).targets["task"].scale.reference == pytest.approx((45 + 15) / 2)


def test_library_versions_that_differ_are_named():
    matrix = analyse(two_arms([FAST] * 4, [SLOW] * 4, {"versions": {"torch": "2.12"}}))
    assert codes(cell_of(matrix)) == {"versions"}
    assert matrix.warnings[0] == "4 runs were computed with torch 2.12, 4 with 2.13"
    assert matrix.versions == {"torch": ("2.12", "2.13")}


def test_arms_evaluated_at_other_steps_are_not_compared():
    longer = {"steps": [2 * step for step in STEPS]}
    entry = transfer_cell(two_arms([FAST] * 4, [SLOW] * 4, longer)).comparisons["auc_gain"]
    reason = "the two arms were not evaluated at the same steps"
    assert (entry.verdict, entry.reason) == ("inconclusive", reason)


def test_without_random_or_scratch_there_is_no_verdict():
    no_random = changed(PLAIN, lambda run: None if run.role == "random" else run)
    no_scratch = changed(PLAIN, lambda run: None if run.strategy == "scratch" else run)
    for given_sweep in (no_random, no_scratch):
        assert set(verdicts(analyse(given_sweep)).values()) == {"inconclusive"}


def test_a_sweep_that_has_only_begun():
    matrix = analyse(lost(PLAIN, "unfinished"))
    assert set(verdicts(matrix).values()) == {"inconclusive"}
    assert matrix.counts == {"planned": 9, "finished": 0, "failed": 0, "unfinished": 9}
    assert math.isnan(cell_of(matrix).budget)


def test_seeds_that_were_never_planned_count_as_missing():
    plain = two_arms([FAST] * 5, [SLOW] * 5)
    fewer = changed(plain, lambda run: run if run.seed != 4 or run.strategy == "scratch" else None)
    entry = transfer_cell(fewer).comparisons["auc_gain"]
    assert entry.verdict == "inconclusive"
    assert "seed 4 not planned" in entry.reason


def test_a_crash_does_not_help_the_neighbours():
    # Alone in its family the first cell's 2/70 would pass q; the crashed second one still counts.
    crashed = lost(family(2, seeds=4), target="task-1", strategy="fine-tune", seed=0)
    entry = cell_of(analyse(crashed), target="task-0").comparisons["auc_gain"]
    assert entry.adjusted_p == pytest.approx(4 / 70)
    assert entry.verdict == "inconclusive"


def test_a_crashed_cell_of_clear_gain_counts_as_one_without():
    # Apart by 2.8 with a spread of 1: 10 of the 252 splits are as extreme. Task 1 gains clearly in the runs
    # that it has; with its own 1/126 in the family, task 0 would keep 10/252 and pass q.
    scratch, near, far = ([shifted(SLOW, e + gain) for e in range(5)] for gain in (0, 2.8, 40.0))
    curves: Any = {"task-0": (near, scratch), "task-1": ([*far[:4], None], scratch)}
    matrix = analyse(on_targets(curves, delta=0.01))
    entry = cell_of(matrix, target="task-0").comparisons["auc_gain"]
    crashed = cell_of(matrix, target="task-1").comparisons["auc_gain"]
    assert (entry.p, crashed.p) == (pytest.approx(10 / 252), pytest.approx(1 / 126))
    assert (entry.adjusted_p, crashed.adjusted_p) == (pytest.approx(20 / 252), 1)
    assert entry.verdict == "inconclusive"


RANK = {"inconclusive": 0, "equivalent": 1, "negative": 1, "positive": 2}


COMPLETE = family(3, seeds=5, lone=False)


@cache
def before_any_crash():
    return verdicts(analyse(COMPLETE))


@settings(max_examples=50 if EVERY else 8, deadline=None)
@given(st.sets(st.integers(0, 32), min_size=1, max_size=4))
def test_a_crash_never_improves_any_cell(crashed):
    hurt, hit = COMPLETE, {""}
    for index in crashed:
        run = COMPLETE.runs[index % len(COMPLETE.runs)]
        hurt, hit = lost(hurt, id=run.id), hit | {run.target}
    before, after = before_any_crash(), verdicts(analyse(hurt))
    assert all(RANK[after[key]] <= RANK[before[key]] for key in before)
    assert all(after[key] == "inconclusive" for key in after if key[1] in hit)


def test_a_crashed_scratch_run_that_was_bad_does_not_shrink_the_reference_of_a_verdict():
    poor = [*[SLOW] * 4, (0,) * 6]
    assert set(verdicts(analyse(two_arms([FAST] * 5, [*poor[:4], None]))).values()) == {"inconclusive"}


def test_aggregates_need_every_run():
    complete = family(2, seeds=5)
    fine_tuned = {entry.strategy: entry for entry in analyse(complete).aggregates}["fine-tune"]
    # areas 84 and 60 (± up to 2) over 100: ten scores, two cut at either end
    scores = sorted((base + e) / 100 for base in (84, 60) for e in (-2, -1, 0, 1, 2))
    assert fine_tuned.iqm["auc"].point == pytest.approx(sum(scores[2:8]) / 6)
    assert (fine_tuned.runs, fine_tuned.targets) == (10, ("task-0", "task-1"))
    profile = fine_tuned.profile
    assert profile is not None
    assert profile.share[0] == 1
    assert (profile.low <= profile.share + 1e-12).all()
    assert (profile.share <= profile.high + 1e-12).all()
    partial = analyse(lost(complete, id=complete.runs[-1].id))
    gone = {entry.strategy: entry for entry in partial.aggregates}["fine-tune"]
    assert math.isnan(gone.iqm["auc"].point)
    assert (gone.profile, gone.reason) == (None, "runs are missing on task-1")


def test_the_same_records_give_the_same_numbers():
    noisy = [shifted(SLOW, 10 * e) for e in OFFSETS]
    first, second = (analyse(two_arms([shifted(m, 15) for m in noisy], noisy)) for _ in range(2))
    assert repr(cell_of(first).comparisons) == repr(cell_of(second).comparisons)  # nan is not nan


def test_plateau_is_reported_per_target():
    assert analyse(PLAIN).targets["task"].plateaued
    rising = [shifted((0, 0, 0, 10, 20, 30), e) for e in OFFSETS]
    assert not analyse(two_arms([FAST] * 4, rising)).targets["task"].plateaued


def test_curves_of_a_cell_have_a_band():
    band = transfer_cell(two_arms(GAINING, [SLOW] * 4)).band
    assert band.mean.tolist() == list(FAST)
    half = t_quantile(0.975, 3) * math.sqrt(5 / 3)
    assert (band.high - band.mean).tolist() == pytest.approx([half] * 6)
    assert band.runs == 4


def test_seeds_are_in_order_whatever_their_numbers():
    numbers = (129, 3, 64, 40)  # a set gives them as 64, 129, 3, 40
    runs = changed(PLAIN, lambda run: replace(run, seed=numbers[run.seed])).runs
    manifest = {**PLAIN.manifest, "config": {**PLAIN.config, "seeds": [*numbers]}}
    assert transfer_cell(Sweep(manifest, runs)).seeds == (3, 40, 64, 129)

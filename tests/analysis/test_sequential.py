"""Looking several times: what each look may spend, and relabelling within stages."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.validity import rules
from benchmarks.validity.sequential import DELTA, PEEKS, PLAN, RANDOM, SHAPES, simulate
from rl_transfer.analysis import Sweep, analyse, arm_statistics, sequential
from rl_transfer.analysis.arm_statistics import permutation_p
from rl_transfer.analysis.sequential import (
    block_permutation_p,
    relabellings,
    repeated_p,
    smallest_repeated_p,
    spent,
    weights,
)

from .hand_made import arm, sweep

RNG = np.random.default_rng
LOOKS = st.lists(st.integers(1, 60), min_size=1, max_size=8, unique=True).map(sorted)
RUNS = st.lists(st.integers(-9, 9).map(float), min_size=3, max_size=3)


def by_hand(x, y, statistic):
    """Share of all relabellings within stages that are as extreme, one by one."""
    observed = statistic([list(a) for a in x], [list(b) for b in y])
    found = []
    choices = [itertools.combinations(range(len(a) + len(b)), len(a)) for a, b in zip(x, y, strict=True)]
    for chosen in itertools.product(*choices):
        first, second = [], []
        for places, a, b in zip(chosen, x, y, strict=True):
            pooled = [*a, *b]
            first.append([pooled[i] for i in places])
            second.append([pooled[i] for i in range(len(pooled)) if i not in places])
        found.append(statistic(first, second))
    values = np.array(found)
    return np.mean(np.abs(values) >= abs(observed) - 1e-9)


def p_of(x, y):
    """Where all relabellings are counted, nothing is sampled."""
    return block_permutation_p(x, y, RNG(0), samples=1)


def gap(x, y):
    return np.mean(np.concatenate(x)) - np.mean(np.concatenate(y))


def test_what_looks_spend_is_the_formula():
    # f(1/4) = ln(1 + 1.718282/4) = ln 1.429570 = 0.357374; f(1/2) = ln 1.859141 = 0.620114
    assert weights([5, 10, 15, 20])[:2] == pytest.approx((0.357374, 0.262740), abs=1e-6)
    assert weights([7]) == (1.0,)
    assert (spent(0.0), spent(1.0)) == (0.0, 1.0)


@given(LOOKS)
def test_looks_spend_the_level_once(looks):
    assert sum(weights(looks)) == pytest.approx(1)
    assert min(weights(looks)) > 0


def test_repeated_p_keeps_the_best_look_and_is_never_above_one():
    assert repeated_p([0.9, 0.01, 0.5], [0.5, 0.3, 0.2]).tolist() == pytest.approx(
        [1, 0.01 / 0.3, 0.01 / 0.3]
    )
    assert repeated_p([0.01], [0.5, 0.5]).tolist() == [0.02]


def test_a_block_permutation_test_is_the_share_of_relabellings_within_stages():
    x, y = [[5.0, 6.5, 3.0], [7.0, 2.0]], [[1.0, 2.0, 4.0], [3.0, 3.5]]
    assert p_of(x, y) == pytest.approx(by_hand(x, y, gap))


@settings(deadline=None, max_examples=25)
@given(RUNS, RUNS, RUNS, RUNS)
def test_ties_count_as_extreme_however_sums_are_rounded(a, b, c, d):
    x, y = [np.array(a) / 7, np.array(c) / 7], [np.array(b) / 7, np.array(d) / 7]
    assert p_of(x, y) == pytest.approx(by_hand(x, y, gap))


def test_a_single_stage_is_the_test_of_a_fixed_design():
    x, y = RNG(1).normal(size=(2, 6))
    assert p_of([x], [y]) == permutation_p(x, y, RNG(0))


def test_what_differs_between_stages_alone_is_no_difference_of_arms():
    # The second stage lies 100 higher in both arms: relabelling across stages would hide the gain of 1.
    noise = RNG(3).normal(0, 0.2, (2, 2, 5))
    x, y = [noise[0, 0] + 1, noise[0, 1] + 101], [noise[1, 0], noise[1, 1] + 100]
    assert p_of(x, y) == pytest.approx(2 / 252**2)
    assert permutation_p(np.concatenate(x), np.concatenate(y), RNG(0)) > 0.5


def test_four_stages_are_counted_to_the_last_of_four_thousand_million():
    x, y = [np.arange(5.0) + 10] * 4, [np.arange(5.0)] * 4
    assert p_of(x, y) == 2 / 252**4


def test_sampling_agrees_with_counting_and_never_gives_zero(monkeypatch):
    x, y = RNG(5).normal(size=(2, 2, 4))
    x = x + 0.6
    exact = p_of(x, y)
    monkeypatch.setattr(sequential, "TABLE_LIMIT", 1)
    sampled = block_permutation_p(x, y, RNG(0), samples=50_000)
    assert sampled == pytest.approx(exact, abs=4 * math.sqrt(exact / 50_000))
    assert block_permutation_p(x + 100, y, RNG(0), samples=99) == pytest.approx(0.01, abs=0.03)
    monkeypatch.setattr(sequential, "PERMUTATION_LIMIT", 1)  # no table of a stage either
    again = block_permutation_p(x, y, RNG(1), samples=50_000)
    assert again == pytest.approx(exact, abs=4 * math.sqrt(exact / 50_000))


def test_arms_of_unequal_size_are_studentised(monkeypatch):
    x, y = [[4.0, 9.0, 5.5], [6.0, 7.0]], [[1.0, 2.5], [3.0, 3.5, 8.0]]

    def welch(first, second):
        means = [np.mean([*a, *b]) for a, b in zip(first, second, strict=True)]
        v, w = (
            np.concatenate([np.array(s) - m for s, m in zip(arm, means, strict=True)])
            for arm in (first, second)
        )
        return (v.mean() - w.mean()) / math.sqrt(v.var(ddof=1) / v.size + w.var(ddof=1) / w.size)

    exact = p_of(x, y)
    assert exact == pytest.approx(by_hand(x, y, welch))
    assert exact != pytest.approx(by_hand(x, y, gap))
    monkeypatch.setattr(sequential, "PERMUTATION_LIMIT", 1)
    assert block_permutation_p(x, y, RNG(0), samples=40_000) == pytest.approx(exact, abs=0.01)


def test_a_small_arm_with_a_large_spread_is_not_taken_for_a_difference(monkeypatch):
    monkeypatch.setattr(arm_statistics, "PERMUTATION_LIMIT", 400)
    generator = RNG(11)
    draws = [(generator.normal(0, 5, 10), generator.normal(0, 1, 40)) for _ in range(200)]
    rates = [
        np.mean([test(x, y) < 0.05 for x, y in draws])
        for test in (
            lambda x, y: block_permutation_p([x], [y], RNG(0), samples=400),
            lambda x, y: permutation_p(x, y, RNG(0)),
        )
    ]
    assert rates[0] < 0.11 < 0.2 < rates[1]


def test_arms_without_spread_and_empty_ones():
    flat = [np.full(5, 500.0)]
    assert p_of(flat, flat) == 1
    assert p_of([np.full(3, 500.0)], flat) == 1
    assert math.isnan(p_of([[]], flat))
    assert p_of([[1.0], []], [[], [2.0]]) == 1  # no stage has both arms
    with pytest.raises(ValueError, match="same stages"):
        p_of([[1.0]], [[1.0], [2.0]])
    with pytest.raises(ValueError, match="finite"):
        p_of([[math.nan]], [[1.0]])


def test_enough_relabellings_are_sampled_for_a_lone_effect_of_a_family():
    spending = weights([5, 10, 15, 20])
    assert relabellings(144, 0.05, spending) == math.ceil(20 * 144 / (0.05 * min(spending)))
    assert relabellings(1, 0.05, (1.0,)) == 20_000


def test_the_smallest_repeated_p_says_which_look_can_settle_anything():
    # 2/252 over 0.357374 = 0.022208; 2/252² over 0.262740 = 0.000120
    assert smallest_repeated_p([5, 10, 15, 20])[:2] == pytest.approx([0.022208, 0.000120], abs=1e-6)
    assert smallest_repeated_p([5])[0] == pytest.approx(2 / 252)


@pytest.mark.parametrize("shape", ["normal", "bimodal"])
def test_a_plan_keeps_its_level_where_peeking_does_not(shape):
    generator = RNG(7)
    x, y = (SHAPES[shape](generator, (300, 1, 20)) for _ in range(2))
    peeked, planned = (
        simulate(x, y, looks, generator, naive=naive).settled.mean()
        for looks, naive in ((PEEKS, True), (PLAN, False))
    )
    assert planned < 0.05 < 0.11 < peeked


def test_a_family_that_shares_a_from_scratch_arm_keeps_its_false_discovery_rate():
    generator = RNG(8)
    null = np.arange(12) < 9
    x = generator.normal(size=(25, 12, 20)) + np.where(null, 0, 1.5)[:, None]
    found = simulate(x, generator.normal(size=(25, 1, 20)), PLAN, generator)
    false = (found.settled & null).sum(axis=1) / np.maximum(found.settled.sum(axis=1), 1)
    assert false.mean() < 0.05
    assert found.settled[:, ~null].mean() > 0.9
    assert found.seeds[:, ~null].mean() < 16


@pytest.mark.parametrize("looks", [(5, 10), (8,)])
def test_simulated_sweeps_are_judged_as_the_product_judges_a_folder(looks):
    """Arms without effect, with some, without spread at a cap and at the floor, and ones that are alike."""
    rng, last = RNG(3), looks[-1]
    effects = np.array([0.0, 0.0, 1.6, 5.0, 4.0, -5.0, 1.2, -2.0])
    x, y = rng.normal(size=(8, last)) + effects[:, None], rng.normal(size=last)
    x[6], x[7], x[1] = 1.2 + 0.01 * x[6], RANDOM + 0.01 * x[7], y + 0.01 * x[1]
    found = simulate(x[None], y[None, None], looks, RNG(0))
    keys = {
        (None if row < 0 else "base", "task", f"arm-{row}" if row >= 0 else "scratch") for row in range(-1, 8)
    }
    runs = {
        key: arm(key, [[value] * 6 for value in (y if key[0] is None else x[int(key[2][4:])])])
        for key in keys
    }
    made = sweep(runs, random={"task": [RANDOM]}, seeds=last, raw_delta=DELTA)
    ends = [0, *looks]
    stages = [[*range(i, j)] for i, j in itertools.pairwise(ends)]
    config = {**made.config, "seeds": {"plan": [*looks], "first": 0}}
    matrix = analyse(Sweep({**made.manifest, "config": config, "looks": stages}, made.runs))
    told = [matrix.select(strategy=f"arm-{row}")[0].comparisons["asymptotic_gain"] for row in range(8)]
    assert [entry.sign for entry in told] == found.sign[0].tolist()
    assert {entry.sign for entry in told} == {-1, 0, 1}
    assert [str(entry.verdict) == "equivalent" for entry in told] == found.equivalent[0].tolist()
    if len(looks) > 1:
        assert [entry.look and entry.look.seeds for entry in told] == found.seeds[0].tolist()
        assert {*found.seeds[0].tolist()} == {*looks}


def test_the_run_more_and_delta_only_make_verdicts_rarer():
    x, y = (SHAPES["capped"](RNG(place), (300, 1, 5)) for place in (1, 2))
    told = simulate(x + 1.5, y, (5,), RNG(4)).settled[:, 0]
    x, y = x[:, 0] + 1.5, y[:, 0]
    bare = rules.plain(x, y, DELTA)
    allowed = (bare.p < 0.05) & ((bare.low > 0) | (bare.high < 0))
    spreadless = np.minimum(np.ptp(x, axis=1), np.ptp(y, axis=1)) <= 2 * DELTA
    assert not (told & ~allowed).any()
    assert (told == (allowed & (np.abs(bare.gain) >= DELTA)))[~spreadless].all()
    assert 0 < told[spreadless].sum() < allowed[spreadless].sum()

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import betainc

from rl_transfer.analysis import arm_statistics
from rl_transfer.analysis.arm_statistics import (
    Interval,
    benjamini_hochberg,
    cohens_d,
    hedges_g,
    mean_interval,
    permutation_p,
    probability_of_improvement,
    welch_error,
    welch_interval,
)
from rl_transfer.analysis.special import (
    log_t_quantile,
    log_t_quantile_of_one,
    regularised_incomplete_beta,
    t_cdf,
    t_quantile,
)

RNG = np.random.default_rng
PROBABILITIES = st.floats(1e-6, 1 - 1e-6)
DEGREES = st.floats(0.5, 500)
ARM = st.lists(st.integers(-50, 50).map(float), min_size=2, max_size=5)


@pytest.mark.parametrize("degrees", [0.7, 1, 2, 3.7, 4, 30, 120])
@pytest.mark.parametrize("p", [0.001, 0.025, 0.2, 0.6, 0.975, 0.9999])
def test_students_distribution_is_scipys(p, degrees):
    quantile = stats.t.ppf(p, degrees)
    assert t_quantile(p, degrees) == pytest.approx(quantile, rel=1e-10)
    assert t_cdf(quantile, degrees) == pytest.approx(p, abs=1e-12)


@pytest.mark.parametrize(("x", "a", "b"), [(0, 2, 3), (0.3, 2, 3), (0.7, 3, 2), (0.5, 0.35, 7.5), (1, 2, 3)])
def test_the_incomplete_beta_is_scipys(x, a, b):
    assert regularised_incomplete_beta(x, a, b) == pytest.approx(betainc(a, b, x), abs=1e-12)


@settings(deadline=None)
@given(PROBABILITIES, DEGREES)
def test_quantile_inverts_the_distribution(p, degrees):
    assert t_cdf(t_quantile(p, degrees), degrees) == pytest.approx(p, rel=1e-8)


@settings(max_examples=60)
@given(PROBABILITIES.filter(lambda p: p != 0.5), DEGREES)
def test_a_quantile_is_what_plain_bisection_finds_to_the_bit(p, degrees):
    tail, low, high = min(p, 1 - p), -1.0, 0.0
    while t_cdf(low, degrees) > tail:
        low *= 2
    while high - low > 1e-13 * -low:
        middle = (low + high) / 2
        low, high = (low, middle) if t_cdf(middle, degrees) > tail else (middle, high)
    assert t_quantile(p, degrees) == math.copysign((low + high) / 2, p - 0.5)


@given(st.floats(0, 1))
def test_quantiles_of_one_number_are_those_of_many_to_the_bit(inverse):
    assert log_t_quantile_of_one(0.975)(inverse) == log_t_quantile(0.975)(np.array([inverse]))[0]


@pytest.mark.parametrize(
    ("call", "given"),
    [
        (lambda: t_quantile(0, 3), "got 0"),
        (lambda: t_quantile(1, 3), "got 1"),
        (lambda: t_quantile(1.5, 3), "got 1.5"),
        (lambda: t_cdf(0, 0), "got 0"),
        (lambda: regularised_incomplete_beta(-0.5, 1, 1), "got -0.5"),
        (lambda: regularised_incomplete_beta(1.5, 1, 1), "got 1.5"),
    ],
)
def test_impossible_arguments_are_refused(call, given):
    with pytest.raises(ValueError, match=f"needs .*{given}$"):
        call()


def test_mean_interval_by_hand():
    # 1, 2, 3: mean 2, s = 1, s/√3 = 0.57735, t(0.975, 2) = 4.30265 → half 2.48414
    found = mean_interval([1, 2, 3], 0.95)
    assert (found.point, found.low, found.high) == pytest.approx((2, -0.48414, 4.48414), abs=1e-5)


def test_welch_interval_by_hand():
    # x̄ − ȳ = −2.5; s² = 5/3 and 20/3 over 4 runs each: SE² = 25/12;
    # ν = (25/12)² / ((5/12)²/3 + (20/12)²/3) = 625·3/425 = 4.41176
    found = welch_interval([1, 2, 3, 4], [2, 4, 6, 8], 0.95)
    half = t_quantile(0.975, 625 * 3 / 425) * math.sqrt(25 / 12)
    assert (found.point, found.low, found.high) == pytest.approx((-2.5, -2.5 - half, -2.5 + half))
    # t must lie between its table values at 4 (2.7764) and 5 (2.5706) degrees of freedom
    assert 2.5706 * 1.44338 < half < 2.7764 * 1.44338


def test_intervals_of_too_little():
    assert math.isnan(welch_interval([], [1, 2], 0.95).point)
    assert welch_interval([3], [1, 2], 0.95).point == 1.5
    assert not welch_interval([3], [1, 2], 0.95).defined
    one = mean_interval([3], 0.95)
    assert (one.point, math.isnan(one.low), math.isnan(one.high)) == (3, True, True)
    assert math.isnan(mean_interval([], 0.95).point)


def test_arms_without_spread_have_a_point_interval():
    assert welch_interval([0.1] * 3, [0.1] * 5, 0.95) == Interval(0, 0, 0)
    assert welch_interval([500, 500], [500, 500], 0.95) == Interval(0, 0, 0)
    assert welch_error(0.0, 3, 0.0, 5) == (0, 6)  # no error, and the degrees of equal variances


def test_one_arm_without_spread_keeps_the_degrees_of_the_other():
    # s_y = 0: ν = n_x − 1 = 2, SE = 1/√3
    found = welch_interval([1, 2, 3], [0, 0, 0, 0, 0], 0.95)
    assert found.high - found.point == pytest.approx(4.30265273 / math.sqrt(3))


@settings(deadline=None)
@given(ARM, ARM, st.floats(-100, 100), st.floats(0.01, 100))
def test_welch_interval_moves_and_scales_with_its_data(x, y, shift, factor):
    plain = welch_interval(x, y, 0.95)
    moved = welch_interval([factor * v + shift for v in x], [factor * v + shift for v in y], 0.95)
    expected = plain.scaled(factor)
    assert (moved.point, moved.low, moved.high) == pytest.approx(
        (expected.point, expected.low, expected.high), abs=1e-6, rel=1e-6
    )


@pytest.mark.parametrize("limits", [(math.nan, math.nan), (0, math.nan), (math.nan, 2), (-math.inf, 2)])
def test_an_interval_with_one_limit_is_not_defined(limits):
    assert Interval(1, 0, 2).defined
    assert not Interval(1, *limits).defined


def test_scaling_by_a_negative_factor_swaps_the_limits():
    assert Interval(1, 0, 3).scaled(-2, 1) == Interval(-1, -5, 1)


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        ([3, 4], [1, 2], 2 / 6),  # only the split itself and its mirror are as extreme
        ([1, 2, 3], [4, 5, 6], 2 / 20),
        ([10, 11, 12, 13], [1, 2, 3, 4], 2 / 70),
        ([1, 1], [1, 1], 1),
        # pooled 2, 1, 1, 0 about its mean 1: first-arm sums ±1 four times, 0 twice; observed 1
        ([2, 1], [1, 0], 4 / 6),
        # unequal arms: the 4 choices of one value give |v − mean of the rest| ∝ |v − 2.5|: 1.5 .5 .5 1.5
        ([4], [1, 2, 3], 2 / 4),
        ([], [1, 2], math.nan),
    ],
)
def test_permutation_p_by_counting(x, y, expected):
    assert permutation_p(x, y, RNG(0)) == pytest.approx(expected, nan_ok=True)


def test_permutation_p_sees_ties_through_rounding():
    # 0.1 + 0.2 ≠ 0.3 in floating point; scaled by 10 these are the integers of a known case
    exact = permutation_p([1, 2, 3], [3, 0, 2], RNG(0))
    assert permutation_p([0.1, 0.2, 0.1 + 0.2], [0.3, 0.0, 0.2], RNG(0)) == exact


def test_sampled_permutations_agree_with_the_exact_test_and_repeat(monkeypatch):
    x, y = [1.0, 5, 3, 8, 6, 7], [2.0, 1, 4, 3, 0, 5]
    exact = permutation_p(x, y, RNG(0))
    monkeypatch.setattr(arm_statistics, "PERMUTATION_LIMIT", 900)
    sampled = permutation_p(x, y, RNG(1))  # 924 splits: too many to enumerate
    error = math.sqrt(exact * (1 - exact) / 900)
    assert sampled == pytest.approx(exact, abs=4 * error + 1 / 901)
    assert sampled == permutation_p(x, y, RNG(1))
    assert sampled != exact
    monkeypatch.setattr(arm_statistics, "PERMUTATION_LIMIT", 924)
    assert permutation_p(x, y, RNG(1)) == exact  # as many as the limit are still enumerated


def test_sampled_permutations_never_give_zero(monkeypatch):
    # 48,620 splits of 9 + 9 are sampled; at least the observed one counts, and nearly nothing else
    p = permutation_p(np.arange(100.0, 109.0), np.arange(9.0), RNG(0))
    assert 1 / 20_001 <= p <= 10 / 20_001
    assert permutation_p([500.0] * 9, [500.0] * 9, RNG(0)) == 1  # every split of equal values is as extreme
    # C(40, 20) ≈ 1.4 · 10¹¹: none of 99 draws is as extreme, and the observed split counts itself.
    monkeypatch.setattr(arm_statistics, "PERMUTATION_LIMIT", 99)
    assert permutation_p(np.arange(100.0, 120.0), np.arange(20.0), RNG(0)) == 1 / 100


@settings(deadline=None)
@given(ARM, ARM)
def test_permutation_p_is_symmetric_and_a_share_of_splits(x, y):
    p = permutation_p(x, y, RNG(0))
    splits = math.comb(len(x) + len(y), len(x))
    assert 1 / splits <= p <= 1
    assert p * splits == pytest.approx(round(p * splits))
    assert permutation_p(y, x, RNG(0)) == pytest.approx(p)


def test_benjamini_hochberg_by_hand():
    # sorted .005 .01 .03 .04, times 4/rank: .02 .02 .04 .04; already rising
    assert benjamini_hochberg([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    # .01·3 = .03, .02·3/2 = .03, .021·3/3 = .021: the last pulls the others down
    assert benjamini_hochberg([0.01, 0.02, 0.021]) == pytest.approx([0.021, 0.021, 0.021])
    assert benjamini_hochberg([]).size == 0
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        benjamini_hochberg([1.2])


@settings(deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.integers(0, 11))
def test_a_worse_neighbour_never_lowers_an_adjusted_p(p, index):
    index %= len(p)
    worse = list(p)
    worse[index] = 1.0
    before, after = benjamini_hochberg(p), benjamini_hochberg(worse)
    assert (after >= before - 1e-12).all()
    assert (before >= np.array(p) - 1e-12).all()
    assert (before <= 1).all()


def test_probability_of_improvement_counts_ties_half():
    # 1 vs 1: ½; 1 vs 0, 2 vs 1, 2 vs 0: 1 each → 3.5 of 4
    assert probability_of_improvement([1, 2], [1, 0]) == 0.875
    assert math.isnan(probability_of_improvement([], [1]))


@settings(deadline=None)
@given(ARM, ARM)
def test_probability_of_improvement_is_complementary(x, y):
    assert probability_of_improvement(x, y) + probability_of_improvement(y, x) == pytest.approx(1)


def test_effect_sizes_by_hand():
    # means 3 and 1, squares 2 + 0 over 2 degrees: s = 1, d = 2; J(2) = Γ(1)/(1·Γ(½)) = 1/√π
    assert cohens_d([2, 4], [1, 1]) == pytest.approx(2)
    assert hedges_g([2, 4], [1, 1]) == pytest.approx(2 / math.sqrt(math.pi))
    # one apart, squares 5 + 5 over 6 degrees: d = −1/√(5/3); J(6) = Γ(3)/(√3 · Γ(5/2)), Γ(5/2) = ¾√π
    expected = -math.sqrt(3 / 5) * 2 / (math.sqrt(3) * 0.75 * math.sqrt(math.pi))
    assert hedges_g([1, 2, 3, 4], [2, 3, 4, 5]) == pytest.approx(expected)
    assert math.isnan(cohens_d([1, 1], [1, 1]))
    assert math.isnan(cohens_d([], [1, 1]))
    assert math.isnan(hedges_g([1], [2]))


@pytest.mark.parametrize(
    ("bad", "why"), [([1, math.nan], "finite"), ([1, math.inf], "finite"), ([[1, 1], [1, 1]], "rank 1")]
)
def test_values_that_are_not_finite_or_no_list_are_refused(bad, why):
    with pytest.raises(ValueError, match=why):
        mean_interval(bad, 0.95)


def test_agreement_with_scipy():
    x, y = [1.3, 2.7, 0.4, 5.1, 3.3], [0.2, 1.1, 0.9, 2.0]
    limits = stats.ttest_ind(x, y, equal_var=False).confidence_interval(0.95)
    found = welch_interval(x, y, 0.95)
    assert (found.low, found.high) == pytest.approx((limits.low, limits.high), abs=1e-9)
    assert probability_of_improvement(x, y) == pytest.approx(stats.mannwhitneyu(x, y).statistic / 20)
    p = [0.01, 0.2, 0.03, 0.03, 0.5, 0.004]
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p))
    assert permutation_p(x, y, RNG(0)) == pytest.approx(20 / 126)

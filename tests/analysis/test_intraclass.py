"""The intraclass correlation by hand, its limits against tables of F, and what leaves it undefined."""

import math

import numpy as np
import pytest
from scipy.stats import f

from rl_transfer.analysis.intraclass import intraclass_correlation
from rl_transfer.analysis.special import f_quantile


@pytest.mark.parametrize(
    ("probability", "numerator", "denominator"),
    [(0.95, 3, 16), (0.975, 4, 10), (0.025, 4, 10), (0.99, 1, 1), (0.5, 7, 7), (1 - 1e-6, 1, 5)],
)
def test_quantiles_of_f_are_scipys(probability: float, numerator: int, denominator: int) -> None:
    expected = f.ppf(probability, numerator, denominator)
    assert f_quantile(probability, numerator, denominator) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("wrong", [0.0, 1.0])
def test_quantiles_of_no_probability_are_refused(wrong: float) -> None:
    with pytest.raises(ValueError, match="needs 0 < probability < 1"):
        f_quantile(wrong, 1, 1)


def test_balanced_groups_by_hand() -> None:
    # Means 2, 6 and 10: MS between 2 · 16 = 32, within 2; F = 16. F(2, 3) at 97.5 % is 16.0441 and at 2.5 %
    # 1 / 39.1655: (0.99725 − 1) / … is below 0; (626.65 − 1) / (626.65 + 1).
    found = intraclass_correlation([[1, 3], [5, 7], [9, 11]], 0.95)
    assert found.point == pytest.approx(30 / 34)
    assert found.low == 0
    assert found.high == pytest.approx(625.648 / 627.648, abs=1e-5)


def test_unequal_groups_by_hand() -> None:
    # Grand mean 4: between 3 · (3 − 4)² + (7 − 4)² = 12, one degree; within 2 of 2 degrees: 1.
    # n0 = (4 − 10 / 4) / 1 = 1.5: (12 − 1) / (12 + 0.5)
    assert intraclass_correlation([[2, 3, 4], [7]], 0.95).point == pytest.approx(11 / 12.5)


def test_runs_that_differ_more_within_policies_than_between_have_none() -> None:
    found = intraclass_correlation([[0, 4], [1, 7], [2, 5]], 0.95)
    assert (found.point, found.low) == (0, 0)
    assert 0 < found.high < 1


@pytest.mark.parametrize(
    "groups", [[], [[1.0, 2.0]], [[1.0], [2.0], [3.0]], [[5.0, 5.0], [5.0, 5.0]], [[], [1.0, 2.0]]]
)
def test_nothing_is_said_where_nothing_can_be(groups: list[list[float]]) -> None:
    assert math.isnan(intraclass_correlation(groups, 0.95).point)


def test_policies_whose_runs_are_all_alike_are_all_there_is() -> None:
    found = intraclass_correlation([[1.0, 1.0], [2.0, 2.0]], 0.95)
    assert (found.point, found.low, found.high) == (1, 1, 1)
    mixed = intraclass_correlation([[1.0, 1.0], [2.0, 4.0]], 0.95)
    assert 0 < mixed.point < 1


def test_limits_of_normal_arms_hold_the_share_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(300):
        arms = 0.5**0.5 * (rng.normal(size=(6, 1)) + rng.normal(size=(6, 3)))
        found = intraclass_correlation(arms.tolist(), 0.95)
        hits += found.low <= 0.5 <= found.high
    assert 0.91 < hits / 300 < 0.98


def test_values_that_are_no_number_are_refused() -> None:
    with pytest.raises(ValueError, match="group must be finite"):
        intraclass_correlation([[1.0, math.nan], [1.0, 2.0]], 0.95)

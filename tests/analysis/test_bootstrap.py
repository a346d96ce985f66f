import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_transfer.analysis.bootstrap import (
    interquartile_mean,
    iqm_difference,
    iqm_interval,
    performance_profile,
    stratified_bootstrap,
)

RNG = np.random.default_rng


def test_interquartile_mean_cuts_a_quarter_at_either_end():
    assert interquartile_mean([8, 1, 7, 2, 6, 3, 5, 4]) == 4.5  # 3, 4, 5, 6 remain
    assert interquartile_mean([0, 1, 2, 3, 100]) == 2  # ⌊5/4⌋ = 1 cut at either end
    assert interquartile_mean([0, 0, 0, 0, 1, 10, 100, 1000]) == 2.75  # 0, 0, 1, 10: two cut at either end
    assert interquartile_mean([0, 1, 50]) == 17  # ⌊3/4⌋ = 0: the plain mean
    assert math.isnan(interquartile_mean([]))


TASKS = [
    [0.638, 0.631, 0.991, 0.22, -0.098],
    [0.56, 0.439, 0.884, 0.413, 0.534],
    [0.792, 0.708, 0.389, 0.612, 0.226],
]


def test_aggregates_agree_with_rliable():
    # rliable 1.2.0 on these 3 tasks × 5 runs: aggregate_iqm, get_interval_estimates with 50,000 resamples,
    # create_performance_profile. Fifteen values, three cut at either end.
    found = iqm_interval(TASKS, RNG(0), 10_000, 0.95)
    assert found.point == pytest.approx(0.5471111111, abs=1e-9)
    assert (found.low, found.high) == pytest.approx((0.40167, 0.67789), abs=0.01)
    share = performance_profile([score for task in TASKS for score in task], [0, 0.25, 0.5, 0.75, 1])
    assert share == pytest.approx([14 / 15, 0.8, 0.6, 0.2, 0])


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_interquartile_mean_lies_within_the_values(values):
    assert min(values) - 1e-6 <= interquartile_mean(values) <= max(values) + 1e-6


def test_each_stratum_is_resampled_on_its_own():
    # Unstratified draws of {0, 0, 10, 10} would scatter about 5; stratified ones are 5 every time.
    draws = stratified_bootstrap([[0, 0], [10, 10]], lambda v: v.mean(axis=1), RNG(0), 200)
    assert draws.shape == (200,)
    assert set(draws) == {5.0}


def test_resampling_is_uniform_with_replacement():
    # Of {0, 1}: mean 0, ½, 1 with chances ¼, ½, ¼; 4 standard errors at 4,000 draws are below 0.032
    draws = stratified_bootstrap([[0, 1]], lambda v: v.mean(axis=1), RNG(3), 4000)
    values, counts = np.unique(draws, return_counts=True)
    assert values.tolist() == [0, 0.5, 1]
    assert counts / 4000 == pytest.approx([0.25, 0.5, 0.25], abs=0.032)


def test_intervals_repeat_with_the_seed_and_hold_the_point():
    x, y = [1.0, 2, 3, 4, 9], [0.0, 1, 1, 2, 2]
    first = iqm_difference(x, y, RNG(5), 500, 0.95)
    assert first == iqm_difference(x, y, RNG(5), 500, 0.95)
    assert first.point == pytest.approx(3 - 4 / 3)
    assert first.low <= first.point <= first.high
    narrow = iqm_difference(x, y, RNG(5), 500, 0.5)
    assert narrow.high - narrow.low < first.high - first.low


def test_large_requests_are_drawn_in_pieces():
    strata = [np.zeros(50_000), np.ones(50_000)]
    held = []

    def mean(values):
        held.append(values.size)
        return values.mean(axis=1)

    draws = stratified_bootstrap(strata, mean, RNG(0), 50)
    assert draws.tolist() == [0.5] * 50
    assert held == [2_000_000, 2_000_000, 1_000_000], "20 draws of 100,000 runs at a time"


def test_empty_strata():
    with pytest.raises(ValueError, match="at least one run"):
        stratified_bootstrap([[1.0], []], lambda v: v.mean(axis=1), RNG(0), 10)
    assert math.isnan(iqm_interval([[1.0], []], RNG(0), 10, 0.95).point)
    assert math.isnan(iqm_difference([], [1.0], RNG(0), 10, 0.95).point)


def test_performance_profile_is_the_share_above():
    assert performance_profile([0.0, 0.5, 1.0, 1.0], [-1, 0, 0.5, 0.9, 1]).tolist() == [1, 0.75, 0.5, 0.5, 0]

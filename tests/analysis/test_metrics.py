import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_transfer.analysis.metrics import (
    ThresholdTime,
    area_under_curve,
    break_even,
    break_even_targets,
    final_performance,
    forward_transfer,
    has_plateaued,
    speed_up,
    time_to_threshold,
    transfer_ratio,
)

CURVES = st.lists(st.floats(-1000, 1000), min_size=2, max_size=20)


def array(*values):
    return np.array(values, dtype=float)


def grid(means, every=10):
    return np.arange(len(means), dtype=float) * every


def test_final_performance_averages_the_last_tenth_but_at_least_three():
    assert final_performance(array(0, 1, 2, 3, 10), 0.1) == 5  # 3 of 5
    assert final_performance(np.arange(40.0), 0.1) == 37.5  # 4 of 40: 36 … 39
    assert final_performance(np.arange(41.0), 0.1) == 38  # ⌈4.1⌉ = 5: 36 … 40
    assert final_performance(np.arange(30.0), 0.1) == 28  # exactly 3, not 4 by rounding of 0.1 · 30
    assert final_performance(array(1, 2), 0.1) == 1.5  # shorter than three
    assert final_performance(np.arange(40.0), share=0.5) == 29.5  # 20 … 39


def test_area_is_the_trapezoid_mean():
    # ½(0+10)·10 + ½(10+10)·30 = 50 + 300 over 40
    assert area_under_curve(array(0, 10, 40), array(0, 10, 10)) == 350 / 40
    assert area_under_curve(array(0), array(7)) == 7
    # begun at 10: ½(0+4)·10 + 4·20 = 100 over the 30 steps that were measured
    assert area_under_curve(array(10, 20, 40), array(0, 4, 4)) == 100 / 30


@settings(deadline=None)
@given(CURVES, st.floats(-10, 10), st.floats(0.1, 10))
def test_area_is_linear_and_bounded(means, shift, factor):
    curve = np.array(means)
    area = area_under_curve(grid(curve), curve)
    assert curve.min() - 1e-6 <= area <= curve.max() + 1e-6
    moved = area_under_curve(grid(curve), factor * curve + shift)
    assert moved == pytest.approx(factor * area + shift, abs=1e-6)


def test_time_to_threshold_is_the_start_of_the_first_window():
    steps = array(0, 10, 20, 30, 40, 50)
    # means of three: 20/3, 40/3, 50/3·… : (0,0,20) (0,20,20) (20,20,10) (20,10,30): 6.7 13.3 16.7 20
    curve = array(0, 0, 20, 20, 10, 30)
    assert time_to_threshold(steps, curve, 16) == ThresholdTime(20, True)
    assert time_to_threshold(steps, curve, 20) == ThresholdTime(30, True)  # ≥, not >
    assert time_to_threshold(steps, curve, 21) == ThresholdTime(50, False)  # censored at the budget
    assert time_to_threshold(steps, curve, -5) == ThresholdTime(0, True)


def test_a_lone_spike_does_not_reach_the_threshold():
    assert not time_to_threshold(array(0, 10, 20, 30), array(0, 100, 0, 0), 50).reached


def test_a_curve_shorter_than_the_window_is_one_window():
    assert time_to_threshold(array(0, 10), array(40, 60), 50) == ThresholdTime(0, True)


@settings(deadline=None)
@given(CURVES, st.floats(-1000, 1000), st.floats(0, 100))
def test_a_higher_threshold_is_never_reached_earlier(means, threshold, more):
    curve = np.array(means)
    low = time_to_threshold(grid(curve), curve, threshold)
    high = time_to_threshold(grid(curve), curve, threshold + more)
    assert high.time >= low.time
    assert low.reached or not high.reached


def test_transfer_ratio_and_forward_transfer():
    assert transfer_ratio(0.84, 0.6) == pytest.approx(0.4)
    assert forward_transfer(0.84, 0.6) == pytest.approx(0.6)
    assert transfer_ratio(0.3, -0.1) == pytest.approx(-4)  # as defined; the sign turns with auc_S
    assert math.isnan(transfer_ratio(0.5, 0.05))
    assert math.isnan(transfer_ratio(0.5, -0.01))
    assert math.isnan(forward_transfer(0.5, 0.96))


def times(*pairs):
    return [ThresholdTime(time, reached) for time, reached in pairs]


def test_speed_up_is_a_ratio_of_restricted_means():
    both = speed_up(times((100, True), (100, True)), times((150, True), (250, True)))
    assert (both.ratio, both.bound) == (2, "")


def test_speed_up_is_a_bound_when_one_arm_is_censored():
    reached, censored = times((100, True), (300, True)), times((400, True), (400, False))
    assert (speed_up(reached, censored).ratio, speed_up(reached, censored).bound) == (2, "≥")
    assert (speed_up(censored, reached).ratio, speed_up(censored, reached).bound) == (0.5, "≤")


@pytest.mark.parametrize(
    ("transfer", "scratch"),
    [
        (times((400, False)), times((400, False))),
        (times((0, True)), times((100, True))),
        (times((100, True)), times((0, True))),
        ([], times((100, True))),
    ],
)
def test_speed_up_is_undefined_where_it_means_nothing(transfer, scratch):
    assert math.isnan(speed_up(transfer, scratch).ratio)


def test_break_even():
    assert break_even(100, 1000) == 0.1
    assert break_even(-100, 1000) == -0.1
    assert math.isnan(break_even(100, 0))
    # steps may be epochs, and few: half of one saved of a source that took one
    assert break_even(0.5, 1) == 0.5
    assert break_even_targets(0.5, 1) == 2
    assert break_even_targets(1, 3) == 3
    assert break_even_targets(300, 1000) == 4  # 3.3: the fourth target pays
    assert break_even_targets(500, 1000) == 2
    assert math.isnan(break_even_targets(0, 1000))
    assert math.isnan(break_even_targets(-5, 1000))


def test_plateau_looks_at_the_last_third_over_seeds():
    steps = grid(range(9))
    flat = [array(0, 5, 9, 20, 40, 70, 100, 101, 100), array(0, 5, 9, 20, 40, 70, 101, 99, 101)]
    # slopes of the last three: 0 and 0
    assert has_plateaued(steps, flat, 0.95)
    # slopes 1.0, 1.1 and 0.9 per step: mean 1, s = 0.1, half-width 4.303·0.1/√3 = 0.25: excludes 0
    rising = [np.array([0] * 6 + [0, 10 * slope, 20 * slope]) for slope in (1.0, 1.1, 0.9)]
    assert not has_plateaued(steps, rising, 0.95)
    # False, not None: the summary says that no plateau was shown
    assert has_plateaued(steps, flat[:1], 0.95) is False
    assert has_plateaued(steps[:2], [array(1, 1), array(1, 1)], 0.95) is False
    assert has_plateaued(steps, [], 0.95) is False
    assert has_plateaued(steps[:3], [array(1, 1, 1), array(2, 2, 2)], 0.95), "three evaluations are enough"


def test_the_last_third_of_a_long_curve_is_more_than_three_evaluations():
    # A third of twelve is four: 0, 10, 10, 10 rises, and only its last three are flat. The slopes are equal.
    curves = [np.array([0.0] * 9 + [10.0] * 3) + by for by in (0, 1, 2)]
    assert not has_plateaued(grid(range(12)), curves, 0.95)
    assert has_plateaued(grid(range(9)), [curve[3:] for curve in curves], 0.95)

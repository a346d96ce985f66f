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
    censoring,
    final_performance,
    final_window,
    has_plateaued,
    speed_up,
    time_to_threshold,
)
from rl_transfer.analysis.special import t_quantile

CURVES = st.lists(st.floats(-1000, 1000), min_size=2, max_size=20)


def array(*values):
    return np.array(values, dtype=float)


def grid(means, every=10):
    return np.arange(len(means), dtype=float) * every


def test_final_performance_averages_the_last_tenth_but_at_least_three():
    assert final_performance(np.arange(9.0), 0.1) == 7  # 3 of 9: 6, 7, 8
    assert final_performance(np.arange(41.0), 0.1) == 38.5  # 4 of the 40 after t_0: 37 … 40
    assert final_performance(np.arange(42.0), 0.1) == 39  # ⌈4.1⌉ = 5: 37 … 41
    assert final_performance(np.arange(31.0), 0.1) == 29  # exactly 3, not 4 by rounding of 0.1 · 30


def test_final_performance_is_never_of_more_than_a_third_of_the_curve():
    """Three of five evaluations were 60 % of a curve, and three of three began with the untrained network."""
    assert final_performance(np.arange(40.0), share=0.5) == 33  # 13 of 40: 27 … 39
    assert final_performance(array(0, 0, 0, 0, 4, 8), 0.1) == 6  # 2 of 6
    assert final_performance(array(0, 1, 2, 3, 10), 0.1) == 10  # 1 of 5
    assert final_performance(array(-500, 10, 20), 0.1) == 20  # 1 of 3, without t_0
    assert final_performance(array(-18, -5.5), 0.1) == -5.5  # of two evaluations only the last is trained
    assert final_performance(array(7), 0.1) == 7  # nothing else was measured


@settings(deadline=None)
@given(st.integers(2, 3000), st.floats(0, 1))
def test_the_final_window_keeps_out_of_the_first_half(evaluations, share):
    window = final_window(evaluations, share)
    assert window >= 1
    assert evaluations - window > (evaluations - 1) / 2 or evaluations == 2  # index of its first evaluation
    assert window <= evaluations / 3 or window == 1


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


def test_time_to_threshold_is_the_first_of_three_evaluations_that_all_reach_it():
    steps = array(0, 10, 20, 30, 40, 50)
    curve = array(0, 20, 16, 16, 15, 30)
    assert time_to_threshold(steps, curve, 16) == ThresholdTime(10, True)  # ≥, not >
    # The mean of 16, 15 and 30 is 20, and of 20, 16 and 16 it is 17; neither stays above 17.
    assert time_to_threshold(steps, curve, 17) == ThresholdTime(50, False)  # censored at the budget
    assert time_to_threshold(steps, curve, 15) == ThresholdTime(10, True)
    assert time_to_threshold(steps, curve[1:], 15) == ThresholdTime(0, True)
    assert time_to_threshold(steps, curve, -5) == ThresholdTime(0, True)
    assert time_to_threshold(steps, array(0, 0, 0, 9, 9, 9), 9) == ThresholdTime(30, True)  # the last window
    assert time_to_threshold(steps, array(0, 0, 0, 0, 9, 9), 9) == ThresholdTime(50, False)


def test_a_run_is_at_the_threshold_when_it_is_said_to_reach_it():
    """A mean of three let a run 'reach' θ up to two evaluations before it was there, or not at all."""
    rising = array(0, 0, 60, 120, 180, 200)
    found = time_to_threshold(grid(rising), rising, 100)
    assert found == ThresholdTime(30, True)
    assert not time_to_threshold(grid(rising), array(0, 0, 0, 500, 0, 0), 100).reached


def test_a_curve_shorter_than_the_window_must_be_there_throughout():
    assert time_to_threshold(array(0, 10), array(50, 60), 50) == ThresholdTime(0, True)
    assert time_to_threshold(array(0, 10), array(40, 60), 50) == ThresholdTime(10, False)


@settings(deadline=None)
@given(CURVES, st.floats(-1000, 1000), st.floats(0, 100))
def test_a_higher_threshold_is_never_reached_earlier(means, threshold, more):
    curve = np.array(means)
    low = time_to_threshold(grid(curve), curve, threshold)
    high = time_to_threshold(grid(curve), curve, threshold + more)
    assert high.time >= low.time
    assert low.reached or not high.reached


def times(*pairs):
    return [ThresholdTime(time, reached) for time, reached in pairs]


def test_speed_up_is_a_ratio_of_restricted_means():
    some = times((100, True), (200, False)), times((150, True), (250, False))
    both = speed_up(*some, 0.95, budget=500)
    assert both.point == pytest.approx(200 / 150)
    # s/(m √n) = 50/150 and 50/200; Welch–Satterthwaite with one degree each
    spread, degrees = math.hypot(1 / 3, 1 / 4), (1 / 9 + 1 / 16) ** 2 / (1 / 81 + 1 / 256)
    half = t_quantile(0.975, degrees) * spread
    limits = (200 / 150 * math.exp(-half), 200 / 150 * math.exp(half))
    assert (both.low, both.high) == pytest.approx(limits)


def test_runs_that_all_arrive_are_not_taken_for_all_that_there_are():
    """One in ten never arrives, and of ten runs all do in one draw of three."""
    arrived = times(*[(100, True)] * 9), times(*[(400, True)] * 4, (400, False))
    found = speed_up(*arrived, 0.95, budget=500)
    # nine at 100 and one at 500: mean 140, s/√n = 40; t of nine degrees is 2.262
    half = 2.2621572 * 40 / 140
    assert (found.point, found.low, found.high) == pytest.approx(
        (4, 400 / 140 * math.exp(-half), 400 / 140 * math.exp(half))
    )
    late = speed_up(times(*[(100, True)] * 4, (100, False)), times(*[(400, True)] * 9), 0.95, budget=500)
    half = 2.2621572 * 10 / 410  # nine at 400 and one at 500
    assert (late.low, late.high) == pytest.approx((4.1 * math.exp(-half), 4.1 * math.exp(half)))


def test_speed_up_is_there_whoever_is_censored():
    """It was undefined in nine of nine cells of the quickstart: restricted means exist for every arm."""
    reached, censored = times((100, True), (300, True)), times((400, True), (400, False))
    assert speed_up(reached, censored, 0.95, budget=500).point == 2
    assert speed_up(censored, reached, 0.95, budget=500).point == 0.5
    assert speed_up(censored, censored, 0.95, budget=500).point == 1
    assert censoring(reached, reached) == ""
    assert censoring(reached, censored) == "≥"
    assert censoring(censored, reached) == "≤"
    assert censoring(censored, censored) == "≷"


@pytest.mark.parametrize(
    ("transfer", "scratch"),
    [
        (times((400, False)), times((400, False))),  # nobody arrived
        (times((0, True)), times((100, True))),
        (times((100, True)), times((0, True))),
        ([], times((100, True))),
    ],
)
def test_speed_up_is_undefined_where_it_means_nothing(transfer, scratch):
    assert math.isnan(speed_up(transfer, scratch, 0.95, budget=500).point)
    assert not speed_up(transfer, scratch, 0.95, budget=500).defined


def test_one_run_has_a_ratio_without_limits():
    one = speed_up(times((100, True)), times((200, True), (300, True)), 0.95, budget=500)
    assert one.point == 2.5
    assert not one.defined


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


def test_flat_is_what_is_shown_to_rise_by_no_more_than_the_margin():
    steps = grid(range(9))
    # Rises over the last three: 0, 2 and 1: mean 1, s = 1, half-width 4.303/√3 = 2.48: −1.48 … 3.48
    ends = ((100, 100, 100), (100, 101, 102), (100, 100, 101))
    curves = [array(0, 5, 9, 20, 40, 70, *end) for end in ends]
    assert has_plateaued(steps, curves, 0.95, 3.5)
    assert not has_plateaued(steps, curves, 0.95, 3.4)
    falling = [-curve for curve in curves]
    assert has_plateaued(steps, falling, 0.95, 3.5)
    assert not has_plateaued(steps, falling, 0.95, 3.4)


def test_scatter_shows_no_plateau():
    """An interval that is not clear of 0 was called flat: the less was known, the flatter the arm."""
    steps = grid(range(9))
    scattered = [array(*[0] * 6, 0, rise / 2, rise) for rise in (-60, 80, 100)]
    assert not has_plateaued(steps, scattered, 0.95, 25)


def test_a_plateau_needs_two_runs_and_three_evaluations_in_the_second_half():
    steps, flat = grid(range(9)), [array(*[5] * 9)] * 2
    assert has_plateaued(steps, flat, 0.95, 0.0)
    # False, not None: the summary says that no plateau was shown
    assert has_plateaued(steps, flat[:1], 0.95, 1.0) is False
    assert has_plateaued(steps, [], 0.95, 1.0) is False
    assert has_plateaued(steps[:6], [curve[:6] for curve in flat], 0.95, 1.0)
    assert has_plateaued(steps[:5], [curve[:5] for curve in flat], 0.95, 1.0) is False


def test_the_last_third_of_a_long_curve_is_more_than_three_evaluations():
    # A third of twelve is four: 0, 10, 10, 10 rises, and only its last three are flat. The rises are equal.
    curves = [np.array([0.0] * 9 + [10.0] * 3) + by for by in (0, 1, 2)]
    assert not has_plateaued(grid(range(12)), curves, 0.95, 1.0)
    assert has_plateaued(grid(range(9)), [curve[3:] for curve in curves], 0.95, 1.0)

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_transfer.analysis.score_scale import score_scale
from rl_transfer.analysis.tolerance import Tolerance
from rl_transfer.results import Labels
from rl_transfer.spec import Analysis

SCRATCH = Analysis()


def scale_of(random, finals, analysis, reward_threshold=None, **options):
    """The scale with the from-scratch runs numbered."""
    named = {str(place): value for place, value in enumerate(finals)}
    return score_scale(random, named, analysis, reward_threshold, **options)


def test_scratch_is_the_default_reference():
    scale = scale_of([20, 20], [90, 110], SCRATCH, reward_threshold=475)
    assert (scale.mode, scale.random, scale.reference, scale.reason) == ("scratch", 20, 100, "")
    assert (scale.random_returns, scale.finals) == ((20, 20), {"0": 90, "1": 110})
    assert scale.score(np.array([20.0, 100, 60])).tolist() == [0, 1, 0.5]
    assert scale.threshold(0.8) == 84


def test_negative_returns_score_upwards():
    scale = scale_of([-500], [-100, -100], SCRATCH)
    assert scale.score(-300.0) == pytest.approx(0.5)


def test_scratch_that_never_left_chance_falls_back_to_the_threshold():
    # MountainCar: every return is −200
    scale = scale_of([-200] * 100, [-200] * 5, SCRATCH, reward_threshold=-110)
    assert (scale.mode, scale.reference, scale.span) == ("threshold", -110, 90)
    assert "from scratch" in scale.reason
    assert "not clearly above" in scale.reason


def test_a_reference_within_two_standard_errors_is_not_clear():
    # finals 10, 50: mean 30, s/√2 = 20; random 0 without spread: lead 30 ≤ 2 · 20
    assert scale_of([0, 0], [10, 50], SCRATCH, 100).mode == "threshold"
    # finals 25, 35: s/√2 = 5, lead 30 > 10
    assert scale_of([0, 0], [25, 35], SCRATCH, 100).mode == "scratch"
    # finals 7.5, 17.5: lead 12.5, two and a half errors
    assert scale_of([0, 0], [7.5, 17.5], SCRATCH, 100).mode == "scratch"
    # the episodes of random count too: s/√2 = 20
    assert scale_of([-20, 20], [30, 30], SCRATCH, 100).mode == "threshold"


def test_scratch_that_hardly_moved_is_no_denominator():
    # clearly above by its errors, but 4 of the 90 from random to the threshold are less than 5 %
    scale = scale_of([-200] * 10, [-196.1, -195.9] * 3, SCRATCH, reward_threshold=-110)
    assert scale.mode == "threshold"
    assert "less than 5%" in scale.reason
    assert scale_of([-200] * 10, [-196.1, -195.9] * 3, SCRATCH).mode == "scratch"
    assert scale_of([-200] * 10, [-195.1, -194.9] * 3, SCRATCH, -110).mode == "scratch"
    assert scale_of([0, 0], [5, 5, 5], SCRATCH, reward_threshold=100).mode == "scratch"  # 5 % are enough


def test_without_any_reference_there_are_no_scores():
    scale = scale_of([-200], [-200, -200], SCRATCH)
    assert (scale.mode, scale.is_raw) == ("raw", True)
    assert math.isnan(scale.score(0.0))
    assert math.isnan(scale.threshold(0.8))
    assert "no reward threshold is known" in scale.reason


@pytest.mark.parametrize(
    ("reference", "threshold", "mode", "value"),
    [
        ("threshold", 475, "threshold", 475),
        ("threshold", None, "raw", math.nan),
        (300, None, "number", 300),
        (10, 475, "threshold", 475),  # below random
        (10, None, "raw", math.nan),
        (20 + 1e-13, None, "raw", math.nan),  # above random by rounding alone
        (20.5, None, "number", 20.5),  # a given reference has no error of its own
        ("threshold", 20.5, "threshold", 20.5),
    ],
)
def test_configured_references(reference, threshold, mode, value):
    scale = scale_of([20, 20], [90, 110], Analysis(reference=reference), threshold)
    assert scale.mode == mode
    assert scale.reference == pytest.approx(value, nan_ok=True)


def test_a_reference_must_lead_by_more_than_the_least():
    assert scale_of([0, 0], [], Analysis(reference=1e-12)).mode == "raw"
    assert scale_of([0, 0], [], Analysis(reference=2e-12)).mode == "number"


def test_a_kind_without_thresholds_misses_none():
    accuracy = Labels(chance="chance", threshold="")
    assert scale_of([0.1], [0.1] * 2, SCRATCH, labels=accuracy).reason == (
        "from scratch (0.1) is not clearly above chance (0.1)"
    )
    assert "no reward threshold is known" in scale_of([0.1], [0.1] * 2, SCRATCH).reason


def test_delta_stands_in_either_unit():
    scale = replace(scale_of([20, 20], [90, 110], SCRATCH), tolerance=Tolerance(4.0))
    assert (scale.raw_delta, scale.delta) == (4, 0.05)
    shared = replace(scale, tolerance=Tolerance(0.0, 0.1, "scratch"))
    assert (shared.raw_delta, shared.delta) == (8, 0.1)
    raw = replace(scale_of([20, 20], [20, 20], SCRATCH), tolerance=Tolerance(4.0))
    assert (raw.raw_delta, raw.delta) == (4, 4)


def test_an_unmeasured_random_policy_leaves_raw_returns():
    scale = scale_of([], [90, 110], SCRATCH, 475)
    assert scale.is_raw
    assert math.isnan(scale.random)
    assert "not measured" in scale.reason


def test_chance_accuracy_is_a_single_number():
    scale = scale_of([0.1], [0.88, 0.9, 0.92], SCRATCH)
    assert scale.score(0.5) == pytest.approx(0.5)


@settings(deadline=None)
@given(
    st.lists(st.floats(-1e3, 1e3), max_size=6),
    st.lists(st.floats(-1e3, 1e3), max_size=6),
    st.one_of(st.none(), st.floats(-1e3, 1e3)),
)
def test_scores_always_grow_with_returns(random, scratch, threshold):
    scale = scale_of(random, scratch, SCRATCH, threshold)
    assert scale.is_raw or scale.span > 0
    assert scale.is_raw == math.isnan(scale.reference)

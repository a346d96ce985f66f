"""Where arms part: one band for all points of a difference of curves."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from benchmarks.validity.curves import SHAPES, TIME, band_coverage, called_flat
from benchmarks.validity.times import coverage
from rl_transfer.analysis import analyse, summary
from rl_transfer.analysis.arm_statistics import FloatArray, welch_interval
from rl_transfer.analysis.parting import DifferenceBand, difference_band
from rl_transfer.analysis.special import t_quantile

from .hand_made import FAST, SLOW, shifted, two_arms

UNUSED = np.random.default_rng(0)


def band(x: FloatArray, y: FloatArray, confidence: float = 0.95) -> DifferenceBand:
    found = difference_band(np.arange(x.shape[1], dtype=float), x, y, confidence, UNUSED)
    assert found is not None
    return found


def arms(seed: int, runs: int, others: int, points: int = 3) -> tuple[FloatArray, FloatArray]:
    generator = np.random.default_rng(seed)
    return generator.normal(size=(runs, points)), 2 * generator.normal(size=(others, points)) + 1


def test_the_band_is_that_of_every_relabelling_written_out():
    x, y = arms(8, 4, 5, points=6)
    centred = [*(x - x.mean(axis=0)), *(y - y.mean(axis=0))]
    largest = []
    for chosen in itertools.combinations(range(9), 4):
        first = np.array([centred[i] for i in chosen])
        second = np.array([centred[i] for i in range(9) if i not in chosen])
        error = np.sqrt(first.var(axis=0, ddof=1) / 4 + second.var(axis=0, ddof=1) / 5)
        largest.append(np.abs((first.mean(axis=0) - second.mean(axis=0)) / error).max())
    # 126 relabellings: the 123rd is the least that 97.5 % of them do not exceed
    critical = sorted(largest)[122]
    found = band(x, y)
    for place in range(6):
        pointwise = welch_interval(x[:, place], y[:, place], 0.95)
        part_x, part_y = x[:, place].var(ddof=1) / 4, y[:, place].var(ddof=1) / 5
        degrees = (part_x + part_y) ** 2 / (part_x**2 / 3 + part_y**2 / 4)
        rounded = math.floor(10 * degrees) / 10
        half = critical * math.sqrt(part_x + part_y) * t_quantile(0.975, rounded) / t_quantile(0.975, 7)
        assert found.high[place] - found.mean[place] == pytest.approx(half)
        assert found.mean[place] - found.low[place] == pytest.approx(half)
        assert found.mean[place] == pytest.approx(pointwise.point)
        assert half > pointwise.high - pointwise.point


def test_the_band_is_nowhere_narrower_than_the_interval_at_a_step():
    x, y = arms(1, 4, 5)  # few relabellings, none of them extreme
    found = band(x, y)
    for place in range(3):
        pointwise = welch_interval(x[:, place], y[:, place], 0.95)
        assert (found.low[place], found.high[place]) == pytest.approx(
            (pointwise.low, pointwise.high), rel=0.02
        )


def test_the_unit_of_returns_does_not_matter():
    x, y = arms(2, 5, 5)
    plain, large = band(x, y), band(1e6 * x - 3e8, 1e6 * y - 3e8)
    assert large.low / 1e6 == pytest.approx(plain.low)


def test_more_confidence_is_a_wider_band():
    x, y = arms(3, 5, 5)
    assert (band(x, y, 0.99).high > band(x, y, 0.9).high).all()


def critical_of(x: FloatArray, y: FloatArray, place: int) -> float:
    """c of arms of five, read off a point where no run stands at an end."""
    found, variances = band(x, y), (x[:, place].var(ddof=1), y[:, place].var(ddof=1))
    a, b = (each / 5 for each in variances)
    degrees = math.floor(10 * (a + b) ** 2 / (a**2 / 4 + b**2 / 4)) / 10
    per_t = math.sqrt(a + b) * t_quantile(0.975, degrees) / t_quantile(0.975, 8)
    return float(found.high[place] - found.mean[place]) / per_t


def test_an_arm_at_its_cap_takes_one_more_run_from_the_other_end():
    x, y = arms(4, 5, 5)
    x[:, 2], y[:, 2] = [9.0, 9.0, 9.0, 8.0, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0]
    found, lowest = band(x, y), min(x.min(), y.min())
    more = np.append(x[:, 2], lowest)
    a, b = more.var(ddof=1) / 6, y[:, 2].var(ddof=1) / 5
    degrees = math.floor(10 * (a + b) ** 2 / (a**2 / 5 + b**2 / 4)) / 10
    half = critical_of(x, y, 0) * math.sqrt(a + b) * t_quantile(0.975, degrees) / t_quantile(0.975, 8)
    mean = more.mean() - 3
    assert found.mean[2] == pytest.approx(8 - 3)
    assert found.low[2] == pytest.approx(mean - half)
    assert found.high[2] == pytest.approx(mean + half)
    two = x.copy()
    two[0, 2] = 8.9  # two runs of five at the highest are fewer than half
    free = band(two, y)
    assert free.high[2] - free.mean[2] == pytest.approx(free.mean[2] - free.low[2])


def test_floors_are_guarded_as_caps_are_and_all_alike_stays_a_point():
    x, y = arms(4, 5, 5)
    x[:, 2] = [9.0, 9.0, 9.0, 8.0, 5.0]
    up, down = band(x, y), band(-x, -y)
    assert down.low == pytest.approx(-up.high)
    assert down.high == pytest.approx(-up.low)
    flat = band(np.full((5, 3), -200.0), np.full((5, 3), -200.0))
    assert (flat.low.tolist(), flat.high.tolist()) == ([0.0] * 3, [0.0] * 3)


def test_points_where_nothing_varies_claim_little_and_disturb_no_other():
    x, y = arms(4, 5, 5)
    capped = np.column_stack([x, np.full(5, 500.0)]), np.column_stack([y, np.full(5, 500.0)])
    found = band(*capped)
    assert found.mean[-1] == 0
    assert found.low[-1] < -100
    assert found.high[-1] > 100, "five at the cap against five at the cap is no proof of equality"
    assert found.low[:-1] == pytest.approx(band(x, y).low)


def test_many_runs_at_the_cap_stand_apart_from_what_is_far_below():
    x, y = arms(6, 10, 10)
    spread = np.linspace(10, 30, 10)
    drawn = np.random.default_rng(0)
    x[:, 2], y[:, 2] = 500.0, spread
    found = difference_band(np.arange(3.0), x, y, 0.95, drawn)
    assert found is not None
    assert 100 < found.low[2] < 480


def test_few_runs_have_no_band():
    for runs, others in ((3, 9), (9, 3), (0, 5), (1, 1)):
        x, y = arms(5, runs, others)
        assert difference_band(np.arange(3.0), x, y, 0.95, UNUSED) is None


def test_many_relabellings_are_drawn_and_agree_with_all_of_them(monkeypatch):
    x, y = arms(6, 7, 7)  # 3,432 relabellings
    exact = band(x, y)
    monkeypatch.setattr("rl_transfer.analysis.parting.PERMUTATION_LIMIT", 1000)
    drawn = [difference_band(np.arange(3.0), x, y, 0.95, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert drawn[0] is not None
    assert drawn[1] is not None
    assert (drawn[0].high == drawn[1].high).all()
    assert (drawn[0].high - drawn[0].mean) / (exact.high - exact.mean) == pytest.approx(np.ones(3), rel=0.05)


def test_long_curves_are_taken_in_pieces(monkeypatch):
    x, y = arms(7, 5, 5)
    whole = band(x, y)
    monkeypatch.setattr("rl_transfer.analysis.parting._CELLS", 7)
    assert band(x, y).low == pytest.approx(whole.low)


def test_stretches_are_where_the_band_leaves_0_out():
    steps, low = np.arange(0.0, 60.0, 10.0), np.array([-1.0, 1.0, 2.0, -1.0, -5.0, -5.0])
    found = DifferenceBand(steps, low + 1, low, low + 2)
    assert found.parted.tolist() == [0, 1, 2, 0, -3, -3]
    assert [*found.stretches] == [(10, 20, 1), (40, 50, -1)]
    assert not DifferenceBand(steps, 0 * low, 0 * low - 1, 0 * low + 1).stretches


def test_cells_part_from_their_scratch_arm():
    spread = (-3, -1, 1, 3)
    matrix = analyse(two_arms([shifted(FAST, e) for e in spread], [shifted(SLOW, e) for e in spread]))
    base, tuned = (summary(matrix)[place]["parts"] for place in (0, 1))
    assert base == []
    # 20, 60 and 50 above it at steps 0, 100 and 200, and level from then on
    assert tuned == [{"from": 0, "to": 200, "sign": 1}]
    few = analyse(two_arms([FAST] * 3, [SLOW] * 3))
    assert [cell.parting for cell in few.cells] == [None, None]


def test_bands_hold_all_points_and_pointwise_ones_do_not():
    """In small: docs/validity.md has the table."""
    simultaneous, pointwise = band_coverage(SHAPES["normal"], 5, 100)
    assert simultaneous > 0.85
    assert pointwise < 0.85


def test_bands_of_capped_arms_hold_too():
    """In small: 0.87 without the run more (docs/validity.md)."""
    simultaneous, pointwise = band_coverage(SHAPES["capped"], 5, 200)
    assert simultaneous > 0.91
    assert pointwise < 0.8


def test_what_rises_by_a_fifth_of_the_span_is_not_called_flat():
    shown, unclear = called_flat(0.2, "scattered", 5, 150)
    assert shown == 0
    assert unclear > 0.6  # what was called flat


def test_the_interval_of_the_speed_up_holds_the_ratio():
    held, defined = coverage("half of scratch never", 10, 200)
    assert defined == 1
    assert held > 0.89


def test_curves_of_the_simulation_are_as_long_as_those_of_the_quickstart():
    assert all(shape(np.random.default_rng(0), 3).shape == (3, len(TIME)) for shape in SHAPES.values())

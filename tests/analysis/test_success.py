"""Success rates and the zero-shot gap."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import betabinom

from benchmarks.validity.success import success_coverage
from rl_transfer.analysis import Curve, Sweep, analyse, csv_text, summary
from rl_transfer.analysis.arm_statistics import Interval
from rl_transfer.analysis.special import t_quantile
from rl_transfer.analysis.success import SuccessRule, read_success, share_interval, success_interval
from rl_transfer.errors import StoreError

from .hand_made import FAST, FINE, SCRATCH, SLOW, arm, recorded, sweep, transfer_cell, two_arms

STEPS = np.array([0.0, 10.0, 20.0])


def with_success(given: Sweep, success: Any) -> Sweep:
    given.config["targets"]["task"]["success"] = success
    return given


def likely_rates(counts: list[tuple[int, int]], quantile: float) -> tuple[float, float]:
    # By SciPy's beta-binomial over a grid, its top found by the same grid
    rates, sizes = np.linspace(0.001, 0.999, 999), np.geomspace(0.02, 1e5, 60)
    m, size = rates[:, None], sizes[None, :]
    logs = sum(betabinom.logpmf(hits, of, m * size, (1 - m) * size) for hits, of in counts)
    profile = np.asarray(logs).max(axis=1)
    inside = rates[2 * (profile.max() - profile) <= quantile**2]
    return float(inside.min()), float(inside.max())


@pytest.mark.parametrize(
    "counts",
    [
        [(2, 10), (4, 10), (6, 10)],
        [(30, 30), (30, 30), (29, 30), (28, 30), (3, 30)],
        [(5, 10), (18, 30), (0, 4), (9, 20)],
        [(990, 1000), (978, 1000), (985, 1000), (981, 1000)],
        [(1990, 2000), (1978, 2000), (1985, 2000), (1981, 2000)],
    ],
)
def test_limits_hold_wilsons_and_what_a_beta_binomial_does_not_contradict(counts):
    found = success_interval(dict(enumerate(counts)), 0.95)
    k, t = len(counts), t_quantile(0.975, len(counts) - 1)
    rates = np.array([hits / of for hits, of in counts])
    p, n = sum(hits for hits, _ in counts) / sum(of for _, of in counts), sum(of for _, of in counts)
    n = min(n, p * (1 - p) * k / rates.var(ddof=1))
    centre = (p + t * t / (2 * n)) / (1 + t * t / n)
    half = t / (1 + t * t / n) * math.sqrt(p * (1 - p) / n + t * t / (4 * n * n))
    low, high = likely_rates(counts, t)
    assert found.point == pytest.approx(p)
    assert found.low == pytest.approx(min(centre - half, low), abs=0.0015)
    assert found.high == pytest.approx(max(centre + half, high), abs=0.0015)
    assert found.low <= centre - half + 1e-12
    assert found.high >= centre + half - 1e-12


def test_a_run_that_fails_a_little_among_good_ones_tells_of_others_that_fail_more():
    # Wilson's alone is [.872, .997]: the standard error knows only the run that was seen
    found = success_interval(dict(enumerate([(30, 30)] * 9 + [(24, 30)])), 0.95)
    assert (found.low, found.high) == pytest.approx((0.761, 0.9996), abs=0.001)


@pytest.mark.parametrize(("hits", "rate"), [(0, 0.0), (10, 1.0)])
def test_what_always_succeeds_is_known_as_well_as_there_are_runs(hits, rate):
    found = success_interval(dict.fromkeys(range(5), (hits, 10)), 0.95)
    t = t_quantile(0.975, 4)
    far = t * t / (5 + t * t)  # Wilson at 0 of n: z² / (n + z²)
    assert (found.point, found.high - found.low) == pytest.approx((rate, far))
    assert 0 <= found.low <= found.high <= 1


def test_the_share_of_runs_that_arrive_has_an_interval():
    cell = transfer_cell(two_arms([FAST, FAST, FAST, (0,) * 6], [SLOW] * 4))
    found, z = cell.metrics["threshold_reached"].value, 1.959964
    centre = (0.75 + z * z / 8) / (1 + z * z / 4)
    half = z / (1 + z * z / 4) * math.sqrt(0.1875 / 4 + z * z / 64)
    assert (found.mean, found.low, found.high) == pytest.approx((0.75, centre - half, centre + half))
    assert math.isnan(share_interval(0, 0, 0.95).point)


def test_few_runs_have_no_interval():
    assert math.isnan(success_interval({}, 0.95).point)
    one = success_interval({3: (4, 5)}, 0.95)
    assert (one.point, one.defined) == (0.8, False)


def test_rates_lie_between_their_limits_and_those_within_0_and_1():
    generator = np.random.default_rng(0)
    for _ in range(60):
        counts = {seed: (int(generator.integers(0, 4)), 3) for seed in range(int(generator.integers(2, 6)))}
        found: Interval = success_interval(counts, 0.95)
        assert 0 <= found.low <= found.point <= found.high <= 1


def test_episodes_are_counted_by_their_return_or_by_what_the_environment_said():
    returns = tuple(np.array(each) for each in ([0.0, 0.0], [5.0, 4.0], [5.0, 9.0]))
    plain = Curve(STEPS, returns)
    assert SuccessRule(5.0).counts(plain, 2) == (3, 4)
    assert SuccessRule(5.0).counts(plain, 1) == (2, 2)
    assert SuccessRule(None).counts(plain, 1) is None
    said = replace(plain, successes=tuple(np.array(each) for each in ([1.0, 1.0], [0.0, 0.0], [1.0, 0.0])))
    assert SuccessRule(None).counts(said, 2) == (1, 4)


def test_cells_have_a_rate_where_the_target_names_a_success():
    curves = [FAST, FAST, FAST, SLOW]
    plain = analyse(two_arms(curves, [SLOW] * 4))
    assert all("success_rate" not in cell.metrics for cell in plain.cells)
    # The final window is the last two of six evaluations; only these count.
    dip = (20, 60, 100, 100, 100, 90)
    matrix = analyse(with_success(two_arms([FAST, FAST, FAST, dip], [SLOW] * 4), {"return": 95}))
    rates = {cell.strategy: cell.metrics["success_rate"].value for cell in matrix.cells}
    assert rates["fine-tune"].per_seed == {0: 1, 1: 1, 2: 1, 3: 0.5}
    assert rates["fine-tune"].mean == 7 / 8
    assert rates["scratch"].mean == 1
    assert rates["scratch"].low < rates["scratch"].high == 1
    (row,) = (row for row in csv.DictReader(io.StringIO(csv_text(matrix))) if row["strategy"] == "fine-tune")
    assert row["success_rate_mean"] == "0.875"
    assert summary(matrix)[1]["metrics"]["success_rate"]["low"] == pytest.approx(rates["fine-tune"].low)


def test_runs_that_recorded_no_successes_have_no_rate():
    matrix = analyse(with_success(two_arms([FAST] * 4, [SLOW] * 4), {"info": "is_success"}))
    assert all("success_rate" not in cell.metrics for cell in matrix.cells)


@pytest.mark.parametrize(
    "said", [475, {}, {"return": "much"}, {"return": math.nan}, {"return": True}, {"info": 3}]
)
def test_a_manifest_that_says_something_else_is_told(said):
    with pytest.raises(StoreError, match=r"targets\.task\.success is a return or an entry of info"):
        read_success({"targets": {"task": {"success": said}}}, "task")


def gap(**record: Any) -> Any:
    return transfer_cell(two_arms([FAST] * 4, [SLOW] * 4, record)).metrics["zero_shot_gap"]


def test_the_zero_shot_gap_is_that_of_one_policy_in_two_environments():
    zero_shot, retention = {"returns": [10, 30]}, {"returns": [1], "source_returns": [80, 100]}
    matched = gap(zero_shot={**zero_shot, "source_returns": [70, 90]}, retention=retention)
    assert (matched.value.mean, matched.value.n, matched.score) == (-60, 4, None)
    older = gap(zero_shot=zero_shot, retention=retention)  # its own task was played on other seeds
    assert older.value.mean == -70
    for record in ({}, {"zero_shot": zero_shot}, {"retention": retention}):
        assert math.isnan(gap(**record).value.mean)


def test_the_gap_is_paired_by_seeds():
    """Sources that differ by 40 and gaps that differ by 2: the interval knows only of the latter."""
    said = [{"returns": [10.0 * seed], "source_returns": [11.0 * seed + 50]} for seed in range(4)]
    arms = {SCRATCH: arm(SCRATCH, [SLOW] * 4), FINE: recorded(arm(FINE, [FAST] * 4), zero_shot=said)}
    found = transfer_cell(sweep(arms)).metrics["zero_shot_gap"].value
    assert dict(found.per_seed) == {0: -50, 1: -51, 2: -52, 3: -53}
    half = t_quantile(0.975, 3) * math.sqrt(5 / 3 / 4)
    assert (found.low, found.high) == pytest.approx((-51.5 - half, -51.5 + half))


def test_the_interval_knows_that_episodes_come_in_runs():
    ours, pooled = success_coverage("much spread", 0.5, 10, 60)
    assert ours > 0.9
    assert pooled < 0.5

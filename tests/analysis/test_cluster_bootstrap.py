"""Source policies drawn whole: weights against values written out, few clusters, their spread."""

import math

import numpy as np
import pytest

from rl_transfer.analysis.bootstrap import interquartile_mean
from rl_transfer.analysis.cluster_bootstrap import (
    cluster_bootstrap,
    cluster_iqm,
    cluster_iqm_difference,
    few_interval,
    few_tail,
    weighted_iqm,
)

RNG = np.random.default_rng


def test_a_weighted_interquartile_mean_is_that_of_the_values_written_out() -> None:
    rng = RNG(0)
    values = rng.normal(size=9).round(1)
    weights = rng.integers(0, 4, size=(200, 9))
    weights[0] = [0, 0, 0, 1, 0, 0, 0, 0, 0]
    found = weighted_iqm(values)(weights.astype(float))
    expected = [interquartile_mean(np.repeat(values, row)) for row in weights]
    assert found == pytest.approx(expected)


def test_clusters_come_whole_and_as_many_as_there_are() -> None:
    def kept(weights: np.ndarray) -> np.ndarray:
        return weights

    drawn = cluster_bootstrap([0, 1, 1, 2, 0], kept, RNG(1), 3000)
    assert drawn.shape == (3000, 5)
    assert (drawn[:, 0] == drawn[:, 4]).all()
    assert (drawn[:, 1] == drawn[:, 2]).all()
    assert (drawn[:, [0, 1, 3]].sum(axis=1) == 3).all()
    # Each cluster is drawn binomially, 3 times 1 / 3: its variance is 2 / 3.
    assert drawn[:, [0, 1, 3]].var(axis=0) == pytest.approx([2 / 3] * 3, abs=0.06)


def test_draws_in_pieces_are_as_many_as_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rl_transfer.analysis.cluster_bootstrap._CHUNK", 20)
    assert (
        cluster_bootstrap([0, 1, 2], lambda weights: weights.sum(axis=1), RNG(0), 25).tolist() == [3.0] * 25
    )


def test_percentiles_of_few_clusters_lie_further_out() -> None:
    # t of 9 degrees at 97.5 % is 2.2622, times √(10 / 9) = 2.3846; Φ(−2.3846) = 0.00855
    assert few_tail(10, 0.95) == pytest.approx(0.00855, abs=1e-5)
    assert few_tail(10**6, 0.95) == pytest.approx(0.025, abs=1e-4)
    draws = np.linspace(0, 1, 100_001)
    found = few_interval(0.5, draws, 10, 0.95)
    assert (found.low, found.high) == pytest.approx((0.00855, 0.99145), abs=1e-4)
    assert math.isnan(few_interval(0.5, draws, 1, 0.95).low)
    wide = few_interval(0.5, draws, 2, 0.999999)
    assert (wide.low, wide.high) == (0, 1)


def test_differences_of_clusters_and_runs_have_the_spread_of_both() -> None:
    x, y = np.repeat(RNG(2).normal(size=40), 3), RNG(3).normal(size=40)
    clusters = np.repeat(np.arange(40), 3).tolist()
    alone = cluster_iqm(x, clusters, RNG(4), 2000, 0.95)
    both = cluster_iqm_difference(x, y, clusters, RNG(4), 2000, 0.95)
    other = cluster_iqm(y, [*range(40)], RNG(5), 2000, 0.95)
    assert both.point == interquartile_mean(x) - interquartile_mean(y)
    together = math.hypot(alone.high - alone.low, other.high - other.low)
    assert both.high - both.low == pytest.approx(together, rel=0.1)

import math

import numpy as np
import pytest

from benchmarks.mbtl import gap_slope, next_source
from rl_transfer.analysis.gaussian_process import (
    LENGTHS,
    NOISES,
    covariance,
    fit_process,
    predict_left_out,
)


def test_prediction_by_hand():
    # one point of value 3 is its own mean: everywhere 3
    process = fit_process(np.array([[0.5]]), np.array([3.0]))
    assert process.predict(np.array([[0.0], [1.0]]))[0].tolist() == [3.0, 3.0]


@pytest.mark.parametrize("kernel", ["rbf", "matern"])
def test_the_likelihood_is_that_of_the_normal_distribution_and_the_greatest_of_the_grid(kernel):
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(12, 2))
    y = np.sin(5 * x[:, 0]) + 0.1 * rng.normal(size=12)
    found = fit_process(x, y, kernel)
    centred = y - y.mean()

    def likelihood(length, noise):
        matrix = covariance(x, x, length, kernel) + noise * np.eye(12)
        variance = centred @ np.linalg.solve(matrix, centred) / 12
        logdet = np.linalg.slogdet(2 * math.pi * variance * matrix)[1]
        return -0.5 * (logdet + centred @ np.linalg.solve(variance * matrix, centred))

    grid = {(length, noise): likelihood(length, noise) for length in LENGTHS for noise in NOISES}
    assert found.log_likelihood == pytest.approx(max(grid.values()))
    assert grid[found.length, found.noise] == pytest.approx(max(grid.values()))
    mean, spread = found.predict(x[:3] + 0.01)
    matrix = covariance(x, x, found.length, kernel) + found.noise * np.eye(12)
    cross = covariance(x[:3] + 0.01, x, found.length, kernel)
    assert mean == pytest.approx(y.mean() + cross @ np.linalg.solve(matrix, centred))
    left = 1 - np.einsum("ij,ji->i", cross, np.linalg.solve(matrix, cross.T))
    assert spread == pytest.approx(np.sqrt(found.variance * left))


def test_covariances_are_those_of_the_book():
    near, far = np.array([[0.0]]), np.array([[1.0]])
    assert covariance(near, far, 0.5, "rbf")[0, 0] == pytest.approx(math.exp(-2))
    r = math.sqrt(5) / 0.5
    assert covariance(near, far, 0.5, "matern")[0, 0] == pytest.approx((1 + r + r * r / 3) * math.exp(-r))


def test_a_target_is_told_by_the_others_alone():
    where = np.linspace(0, 1, 7)[:, None]
    truth = -np.abs(where - where.T)
    values = truth.copy()
    values[:, 3] = 1e6  # what nobody may look at
    found = predict_left_out(where, where, values)
    assert np.isfinite(found).all()
    blind = np.where(np.arange(7) == 3, math.nan, truth)
    assert found[:, 3] == pytest.approx(predict_left_out(where, where, blind)[:, 3])
    assert int(found[:, 3].argmax()) == 3


def test_next_source_takes_the_middle_first_and_then_what_is_badly_served():
    contexts = np.arange(5.0)[:, None]
    assert next_source(contexts, [], np.empty((0, 5))) == 2
    # the policy of the middle serves 0 … 3 and fails on 4: its neighbourhood is next
    returns = np.array([[1.0, 1.0, 1.0, 1.0, 0.0]])
    assert next_source(contexts, [2], returns) in {3, 4}
    with pytest.raises(ValueError, match="every context"):
        next_source(contexts, [0, 1, 2, 3, 4], np.ones((5, 5)))


def test_a_slope_is_never_below_zero():
    assert gap_slope(np.array([1.0, 2.0]), np.array([-3.0, -5.0])) == 0
    assert gap_slope(np.zeros(2), np.ones(2)) == 0

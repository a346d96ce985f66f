"""LogME against the evidence that it maximises, LEEP against a case by hand."""

import itertools

import numpy as np
import pytest

from rl_transfer.core.logme import leep, logme


def evidence(features, labels, alpha, beta):
    """log p(y) of y ~ N(0, I/β + FFᵀ/α), per sample: what LogME is a maximum of."""
    covariance = np.eye(len(labels)) / beta + features @ features.T / alpha
    _, logdet = np.linalg.slogdet(covariance)
    quadratic = labels @ np.linalg.solve(covariance, labels)
    return -0.5 * (len(labels) * np.log(2 * np.pi) + logdet + quadratic) / len(labels)


@pytest.mark.parametrize("shape", [(40, 5), (30, 60)])
def test_logme_is_the_maximum_of_the_evidence(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    features = rng.standard_normal(shape)
    labels = features @ rng.standard_normal(shape[1]) + 2 * rng.standard_normal(shape[0])
    found = logme(features, labels)
    precisions = np.logspace(-3, 3, 61)
    best = max(evidence(features, labels, *each) for each in itertools.product(precisions, precisions))
    assert best <= found + 1e-9, "no pair of precisions does better"
    assert found - best < 2e-3, "and the grid comes near"


def test_one_feature_of_one_sample_by_hand() -> None:
    """F = [[1]], y = [y]: y ~ N(0, s) with s = 1/α + 1/β, greatest at s = y²: −½ (log 2π + log y² + 1)."""
    for y in (0.5, 2.0):
        wanted = -0.5 * (np.log(2 * np.pi) + np.log(y**2) + 1)
        assert logme(np.array([[1.0]]), np.array([y])) == pytest.approx(wanted, abs=1e-6)


def test_features_that_explain_are_better_than_those_that_do_not() -> None:
    rng = np.random.default_rng(1)
    labels = rng.standard_normal(200)
    useful = np.column_stack([labels + 0.1 * rng.standard_normal(200), rng.standard_normal(200)])
    useless = rng.standard_normal((200, 2))
    assert logme(useful, labels) > logme(useless, labels) + 1
    nothing = -0.5 * (np.log(2 * np.pi) + np.log(np.mean(labels**2)) + 1)
    assert logme(useless, labels) == pytest.approx(nothing, abs=0.02), "about the evidence of no feature"


def test_the_unit_of_labels_shifts_and_the_unit_of_features_does_not_matter() -> None:
    rng = np.random.default_rng(2)
    features, labels = rng.standard_normal((50, 3)), rng.standard_normal(50)
    assert logme(features, 10 * labels) == pytest.approx(logme(features, labels) - np.log(10))
    assert logme(7 * features, labels) == pytest.approx(logme(features, labels))
    rotation, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    assert logme(features @ rotation, labels) == pytest.approx(logme(features, labels))


def test_classes_are_the_mean_over_one_hot_columns() -> None:
    rng = np.random.default_rng(3)
    features, classes = rng.standard_normal((60, 4)), np.eye(3)[rng.integers(3, size=60)]
    each = [logme(features, column) for column in classes.T]
    assert logme(features, classes) == pytest.approx(np.mean(each))


def test_a_perfect_fit_is_finite_and_nothing_is_nan() -> None:
    features = np.column_stack([np.arange(10.0), np.ones(10)])
    assert 0 < logme(features, 2 * np.arange(10.0)) < 100
    assert np.isnan(logme(features, np.zeros(10)))


@pytest.mark.parametrize(
    ("features", "labels"),
    [
        (np.ones((3, 2)), np.ones(4)),
        (np.ones(3), np.ones(3)),
        (np.ones((0, 2)), np.ones(0)),
        (np.full((2, 2), np.nan), np.ones(2)),
    ],
)
def test_what_is_no_sample_is_refused(features: np.ndarray, labels: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"expected features|must be finite"):
        logme(features, labels)


def test_leep_by_hand() -> None:
    """θ = (.8, .2), (.6, .4) for y = 0 and (.1, .9), (.3, .7) for y = 1.

    P̂(y, z): y=0: .35, .15; y=1: .1, .4. P̂(0|z) = .35/.45, .15/.55; P̂(1|z) = .1/.45, .4/.55.
    """
    theta = np.array([[0.8, 0.2], [0.6, 0.4], [0.1, 0.9], [0.3, 0.7]])
    given_z = np.array([[0.35 / 0.45, 0.15 / 0.55]] * 2 + [[0.1 / 0.45, 0.4 / 0.55]] * 2)
    wanted = np.log((theta * given_z).sum(axis=1)).mean()
    assert leep(theta, np.array([0, 0, 1, 1])) == pytest.approx(wanted)


def test_leep_of_a_source_that_knows_and_of_one_that_knows_nothing() -> None:
    labels = np.array([0, 1, 2, 0, 1, 2])
    assert leep(np.eye(3)[labels], labels) == pytest.approx(0.0)
    assert leep(np.full((6, 4), 0.25), labels) == pytest.approx(np.log(1 / 3)), "the entropy of the labels"


@pytest.mark.parametrize("rows", [[[0.5, 0.6]], [[1.5, -0.5]], [[0.5, 0.5], [0.5, 0.5]]])
def test_leep_takes_probabilities_only(rows: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="probabilities"):
        leep(np.array(rows), np.array([0]))

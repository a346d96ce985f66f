"""LogME and LEEP: what a pretrained model's features and predictions say of labels, without training."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

ITERATIONS = 200
TOLERANCE = 1e-9
"""Relative change of the evidence's two precisions at which they are taken to have converged."""
LEAST_SHARE = 1e-10
"""Least share of ‖y‖² that a residual, or the weights' part of the fit, is taken to have: without it a
perfect fit, and labels that no feature explains, would have an infinite precision."""


def logme(features: Floats, labels: Floats) -> float:
    """The log maximum evidence of labels given features, per sample.

        y | w ~ N(Fw, β⁻¹ I),  w ~ N(0, α⁻¹ I),  LogME = max over α, β of log p(y | F, α, β) / n

        log p = ½ [n log β + d log α − n log 2π − β ‖Fm − y‖² − α ‖m‖² − log |A|],
        A = α I + β FᵀF,  m = β A⁻¹ Fᵀ y

    by the fixed point γ = Σ_i β σ_i² / (α + β σ_i²), α = γ / ‖m‖², β = (n − γ) / ‖Fm − y‖², with σ the
    singular values of F. As published there is no intercept: whoever wants one appends a column of ones. The
    scale of the labels shifts the value by its logarithm: standardise them where it is arbitrary.

    Args:
        features: ``[n, d]``, F.
        labels: ``[n]``, y; or ``[n, classes]``, one-hot rows for a classifier, of which the mean is taken.

    Returns:
        Nats per sample; higher is better. NaN where the labels are all 0.

    Raises:
        ValueError: shapes that do not match, no sample, or numbers that are not finite.

    Source:
        You, Liu, Wang, Long (2021), "LogME: Practical Assessment of Pre-trained Models for Transfer
        Learning", ICML, Algorithm 1.
    """
    columns = labels[:, None] if labels.ndim == 1 else labels
    if features.ndim != 2 or columns.ndim != 2 or len(features) != len(columns) or not features.size:
        raise ValueError(f"expected features [n, d] and labels of n, got {features.shape} and {labels.shape}")
    if not (np.isfinite(features).all() and np.isfinite(columns).all()):
        raise ValueError("features and labels must be finite")
    left, scales, _ = np.linalg.svd(features.astype(np.float64), full_matrices=False)
    return float(np.mean([_evidence(left, scales**2, features.shape[1], column) for column in columns.T]))


def _evidence(left: Floats, squares: Floats, size: int, labels: Floats) -> float:
    """Of one column of labels, at the fixed point."""
    count, whole = len(labels), float(labels @ labels)
    if whole == 0:
        return float("nan")
    along = (left.T @ labels) ** 2
    outside = max(whole - float(along.sum()), 0.0)
    alpha, beta = 1.0, count / whole
    for _ in range(ITERATIONS):
        shrunk = alpha + beta * squares
        gamma = float((beta * squares / shrunk).sum())
        weights, residual = _fit(along, squares, outside, alpha, beta, whole)
        after = (max(gamma, LEAST_SHARE) / weights, max(count - gamma, LEAST_SHARE) / residual)
        moved = max(abs(after[0] / alpha - 1), abs(after[1] / beta - 1))
        alpha, beta = after
        if moved < TOLERANCE:
            break
    weights, residual = _fit(along, squares, outside, alpha, beta, whole)
    volume = float(np.log(alpha + beta * squares).sum()) + (size - len(squares)) * np.log(alpha)
    total = count * np.log(beta) + size * np.log(alpha) - count * np.log(2 * np.pi)
    return float(0.5 * (total - beta * residual - alpha * weights - volume) / count)


def _fit(
    along: Floats, squares: Floats, outside: float, alpha: float, beta: float, whole: float
) -> tuple[float, float]:
    """‖m‖² and ‖Fm − y‖², neither of them 0."""
    shrunk = alpha + beta * squares
    weights = float((beta**2 * squares * along / shrunk**2).sum())
    residual = float((along * (alpha / shrunk) ** 2).sum()) + outside
    largest = max(float(squares.max(initial=0.0)), np.finfo(float).tiny)
    return max(weights, LEAST_SHARE * whole / largest), max(residual, LEAST_SHARE * whole)


def leep(probabilities: Floats, labels: NDArray[np.int64]) -> float:
    """The log expected empirical prediction of target labels through a source model's own classes.

        P̂(y, z) = 1/n Σ_{i: y_i = y} θ(x_i)_z,  P̂(y | z) = P̂(y, z) / P̂(z)
        LEEP = 1/n Σ_i log Σ_z P̂(y_i | z) θ(x_i)_z

    Args:
        probabilities: ``[n, source classes]``, θ(x_i): rows that sum to 1.
        labels: ``int[n]``, y_i ≥ 0, classes of the target.

    Returns:
        Nats per sample, at most 0; higher is better.

    Raises:
        ValueError: shapes that do not match, no sample, or rows that are no probabilities.

    Source:
        Nguyen, Hassner, Seeger, Archambeau (2020), "LEEP: A New Measure to Evaluate Transferability of
        Learned Representations", ICML, equations 1–2.
    """
    if probabilities.ndim != 2 or labels.shape != probabilities.shape[:1] or not probabilities.size:
        raise ValueError(
            f"expected probabilities [n, z] and n labels, got {probabilities.shape}, {labels.shape}"
        )
    if not ((probabilities >= 0).all() and np.allclose(probabilities.sum(axis=1), 1, atol=1e-4)):
        raise ValueError("every row of probabilities must be of numbers from 0 that sum to 1")
    joint = np.zeros((int(labels.max()) + 1, probabilities.shape[1]))
    np.add.at(joint, labels, probabilities / len(labels))
    given = joint / np.maximum(joint.sum(axis=0), np.finfo(float).tiny)
    return float(np.log((given[labels] * probabilities).sum(axis=1)).mean())

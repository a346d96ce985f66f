"""A Gaussian process over contexts: what sources gain on targets that nobody has tried.

Sources: Rasmussen & Williams 2006, Gaussian processes for machine learning, algorithm 2.1 and section 5.4.1
(prediction, marginal likelihood), equation 4.17 (Matérn 5/2); Cho et al. 2024 (NeurIPS), Model-based transfer
learning for contextual reinforcement learning (returns over contexts as a Gaussian process).
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rl_transfer.analysis.arm_statistics import FloatArray

Kernel = Literal["rbf", "matern"]
LENGTHS = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)
"""Length-scales that the marginal likelihood chooses from, in shares of each context's range."""
NOISES = (1e-4, 1e-3, 1e-2, 0.1, 0.3, 1.0)
"""Variances of the noise that it chooses from, as multiples of the signal's variance."""


@dataclass(frozen=True, eq=False)
class GaussianProcess:
    """A fitted process: k(x, x′) = s² κ(‖x − x′‖ / l) + n s² δ(x, x′), constant mean."""

    kernel: Kernel
    points: FloatArray
    """Contexts it was fitted to, [point, dimension], scaled."""
    length: float
    """l, in scaled contexts."""
    noise: float
    """n, as a multiple of the signal's variance."""
    variance: float
    """s², in the squared unit of the values."""
    mean: float
    """Of the values."""
    log_likelihood: float
    """Of the values at the maximum over the grid."""
    _factor: FloatArray
    _weights: FloatArray

    def predict(self, points: FloatArray) -> tuple[FloatArray, FloatArray]:
        """The function without noise at some contexts.

        Args:
            points: scaled contexts, [point, dimension].

        Returns:
            Posterior mean and standard deviation, arrays [point] in the unit of the values.
        """
        cross = covariance(points, self.points, self.length, self.kernel)
        half = np.linalg.solve(self._factor, cross.T)
        spread = self.variance * np.clip(1 - (half**2).sum(axis=0), 0, None)
        return self.mean + cross @ self._weights, np.sqrt(spread)


def covariance(x: FloatArray, y: FloatArray, length: float, kernel: Kernel) -> FloatArray:
    """Correlations of the function at two sets of contexts.

    RBF: exp(−r² / 2); Matérn 5/2: (1 + √5 r + 5 r² / 3) exp(−√5 r), with r = ‖x − y‖ / l.

    >>> covariance(np.array([[0.0]]), np.array([[0.0], [2.0]]), 2.0, "rbf").round(4).tolist()
    [[1.0, 0.6065]]

    Args:
        x: [point, dimension].
        y: [other point, dimension].
        length: l, > 0.
        kernel: which.

    Returns:
        Array [point, other point], in [0, 1].
    """
    squared = ((x[:, None, :] - y[None, :, :]) ** 2).sum(axis=-1) / length**2
    if kernel == "rbf":
        found: FloatArray = np.exp(-squared / 2)
        return found
    r = np.sqrt(5 * squared)
    smooth: FloatArray = (1 + r + r**2 / 3) * np.exp(-r)
    return smooth


def fit_process(points: FloatArray, values: FloatArray, kernel: Kernel = "matern") -> GaussianProcess:
    """The process of the greatest marginal likelihood over a grid of length-scales and noises.

    For each of them the signal's variance of greatest likelihood is s² = yᵀ C⁻¹ y / n, and
    log L = −(n log(2π s²) + log |C| + n) / 2, with C = κ + n I and y the values less their mean.

    Args:
        points: scaled contexts, [point, dimension].
        values: one per point, in any unit.
        kernel: which.

    Returns:
        The fitted process.

    Raises:
        ValueError: there is no point, or shapes do not fit.
    """
    if not len(points) or points.ndim != 2 or values.shape != (len(points),):
        raise ValueError(
            f"a process needs values [point] at points [point, dimension], got "
            f"{values.shape} at {points.shape}"
        )
    mean = float(values.mean())
    centred, count = values - mean, len(values)
    best: GaussianProcess | None = None
    for length, noise in itertools.product(LENGTHS, NOISES):
        matrix = covariance(points, points, length, kernel) + noise * np.eye(count)
        factor = np.asarray(np.linalg.cholesky(matrix), dtype=np.float64)
        half = np.linalg.solve(factor, centred)
        variance = max(float(half @ half) / count, 1e-300)
        likelihood = -(count * math.log(2 * math.pi * variance) + count) / 2 - float(
            np.log(np.diag(factor)).sum()
        )
        if best is None or likelihood > best.log_likelihood + 1e-12:
            weights = np.linalg.solve(factor.T, half)
            best = GaussianProcess(kernel, points, length, noise, variance, mean, likelihood, factor, weights)
    assert best is not None
    return best


def scaled(contexts: FloatArray) -> FloatArray:
    """Contexts with each dimension from 0 to 1; a dimension that does not vary is 0.

    >>> scaled(np.array([[1.0, 5.0], [3.0, 5.0], [2.0, 5.0]])).tolist()
    [[0.0, 0.0], [1.0, 0.0], [0.5, 0.0]]

    Args:
        contexts: [point, dimension].
    """
    low, high = contexts.min(axis=0), contexts.max(axis=0)
    found: FloatArray = (contexts - low) / np.where(high > low, high - low, 1.0)
    return found


def predict_left_out(
    sources: FloatArray, targets: FloatArray, values: FloatArray, kernel: Kernel = "matern"
) -> FloatArray:
    """What each source is worth on each target, from the pairs of all other targets.

    A process over pairs of contexts (source, target), both scaled together. A target's own pairs take no
    part in what is predicted of it.

    Args:
        sources: contexts, [source, dimension].
        targets: contexts, [target, dimension].
        values: of finished pairs, [source, target]; NaN where there is none.
        kernel: which.

    Returns:
        Array [source, target] in the unit of the values; NaN for a target without pairs on others.
    """
    contexts = scaled(np.concatenate([sources, targets]))
    x, y = contexts[: len(sources)], contexts[len(sources) :]
    pairs = np.concatenate(
        [np.repeat(x[:, None], len(y), axis=1), np.repeat(y[None], len(x), axis=0)], axis=-1
    )
    found = np.full(values.shape, math.nan)
    for target in range(len(y)):
        known = np.isfinite(values)
        known[:, target] = False
        if known.any():
            found[:, target] = fit_process(pairs[known], values[known], kernel).predict(pairs[:, target])[0]
    return found

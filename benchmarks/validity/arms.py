"""Arms of which the truth is known: final returns as runs of reinforcement learning give them, [repeat, run].

The task is a CartPole: the random policy gets 22, nothing is above 500, and δ is 25.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
Shape = Callable[[np.random.Generator, tuple[int, ...], float], FloatArray]
"""(generator, [repeat, run], mean) → runs of that mean."""

RANDOM, RANDOM_SPREAD, EPISODES = 22.0, 10.0, 100
CAP, DELTA = 500.0, 25.0
SPREAD = 60.0


def normal(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> FloatArray:
    """Normal, standard deviation 60."""
    return mean + SPREAD * rng.normal(size=shape)


def skewed(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> FloatArray:
    """An exponential tail of bad runs, standard deviation 60, skewness −2."""
    return mean + SPREAD * (1 - rng.exponential(size=shape))


def bimodal(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> FloatArray:
    """Seven runs in ten succeed and end 200 higher than the others; each mode has standard deviation 15."""
    high = rng.random(shape) < 0.7
    return mean + np.where(high, 60.0, -140.0) + 15 * rng.normal(size=shape)


def heavy(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> FloatArray:
    """Student's t with 3 degrees of freedom, standard deviation 60."""
    return mean + SPREAD / 3**0.5 * rng.standard_t(3, size=shape)


def capped(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> FloatArray:
    """At the cap of 500 in nine runs of ten, else far below: the mean is what the failures leave."""
    failed = rng.random(shape) < 0.1
    runs: FloatArray = np.where(failed, CAP - 10 * (CAP - mean), CAP)
    return runs


SHAPES: Mapping[str, Shape] = {
    "normal": normal,
    "skewed": skewed,
    "bimodal": bimodal,
    "heavy-tailed": heavy,
    "capped": capped,
}

"""Confidence sets for a ratio of estimates, Fieller's: every θ that the data do not contradict.

A ratio θ is written as the root of a difference, D(θ) = constant + θ · slope, whose two parts are sums over
independent samples of runs. Where the denominator is uncertain too, no symmetric interval about the estimate
covers θ; the set {θ : D(θ)² ≤ t²_ν(θ) V(θ)} does, and may be unbounded.

Sources: Fieller 1954, JRSS B 16:175–185; Satterthwaite 1946, Biometrics Bulletin 2:110–114.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

import numpy as np

from rl_transfer.analysis.arm_statistics import UNDEFINED, FloatArray, Interval
from rl_transfer.analysis.special import log_t_quantile, log_t_quantile_of_one, t_cdf

Number = TypeVar("Number", float, FloatArray)

_AROUND = 192
_OVER = 512
_PRECISION = 1e-13
_LEAST_ANGLE = 1e-18


@dataclass(frozen=True)
class Sample:
    """Independent runs, each of which adds ``constant[i] + θ · slope[i]``; their mean enters D(θ)."""

    constant: FloatArray
    slope: FloatArray


@dataclass(frozen=True)
class Line:
    """D(θ) = Σ over samples of mean(constant + θ · slope), plus a line that is known exactly.

    A sample of one run has no spread to estimate and counts as known.
    """

    samples: Sequence[Sample]
    known: tuple[float, float] = (0.0, 0.0)
    """Constant and slope of what is not estimated."""

    @property
    def constant(self) -> float:
        """D(0): the numerator."""
        return self.known[0] + sum(_mean(sample.constant) for sample in self.samples)

    @property
    def slope(self) -> float:
        """Minus the denominator."""
        return self.known[1] + sum(_mean(sample.slope) for sample in self.samples)

    @property
    def root(self) -> float:
        """The estimate of θ; NaN where the denominator is 0."""
        return -self.constant / self.slope if self.slope else math.nan

    @cached_property
    def _moments(self) -> list[tuple[float, float, float, int]]:
        """Of each sample the variances of constant and slope and their covariance, over n; and n − 1."""
        found = []
        for sample in self.samples:
            n = sample.constant.size
            if n > 1:
                u, v = _centred(sample.constant), _centred(sample.slope)
                over = (n - 1) * n
                found.append((float(u @ u) / over, float(v @ v) / over, float(u @ v) / over, n - 1))
        return found

    @cached_property
    def _ends(self) -> tuple[float, float]:
        return self.constant, self.slope

    def errors(self, cosine: Number, sine: Number) -> tuple[Number, Number, Number]:
        """D, its variance, and 1 / Satterthwaite's degrees of freedom along ``cosine · u + sine · v``.

        Args:
            cosine: weights of the constants, numbers or arrays [place].
            sine: weights of the slopes, of the same shape.

        Returns:
            Three of that shape; the last is 0 where nothing varies.
        """
        d = self._ends[0] * cosine + self._ends[1] * sine
        total, inverse = 0.0 * cosine, 0.0 * cosine
        parts = []
        for u, v, both, degrees in self._moments:
            part = u * cosine * cosine + v * sine * sine + 2 * both * cosine * sine
            parts.append((part * (part > 0), degrees))  # what cancels may round to less than nothing
            total = total + parts[-1][0]
        for part, degrees in parts:
            share = part / (total + (total == 0))  # squares of tiny parts would underflow
            inverse = inverse + share * share / degrees
        return d, total, inverse

    def one_sided_p(self, theta: float) -> tuple[float, float]:
        """P of *θ ≤ theta* and of *θ ≥ theta* as null hypotheses, for a denominator above 0.

        Args:
            theta: the value in question.

        Returns:
            Both p; they add up to 1 unless nothing varies.
        """
        d, variance, inverse = self.errors(1.0, theta)
        if not variance > 0 < inverse:
            return float(d <= 0), float(d >= 0)
        below = t_cdf(d / math.sqrt(variance), 1 / inverse)
        return 1 - below, below


def confidence_set(line: Line, confidence: float, *, positive: bool = True) -> Interval:
    """Fieller's set of a ratio as an interval; its limits may be infinite or missing.

    D² − t²V is followed along the half circle θ = tan φ, on which no θ is out of reach, at places that crowd
    about the estimate; where its sign changes, bisection finds the limit.

    - A bounded set is given by its ends.
    - Of two rays that leave out 0, the one on the estimate's side stays if the denominator is known to be
      ``positive``: *at least* low (high is infinite) or *at most* high (low is infinite).
    - Any other unbounded set has no limits (NaN): the denominator is too close to 0 to divide by.

    Args:
        line: D(θ).
        confidence: coverage, in (0, 1).
        positive: whether the denominator is above 0 whatever the sample says.

    Returns:
        Estimate and limits; pure numbers.
    """
    point = line.root
    if not math.isfinite(point) or any(sample.constant.size == 0 for sample in line.samples):
        return UNDEFINED
    if not any(line.errors(*weights)[1] for weights in ((0.6, 0.8), (0.8, -0.6))):
        return Interval(point, point, point)
    log_t = log_t_quantile((1 + confidence) / 2)
    log_t_of_one = log_t_quantile_of_one((1 + confidence) / 2)

    def excess(angle: float) -> float:
        """D² − t²V at tan(angle), times cos²: above 0 outside the set."""
        d, variance, inverse = line.errors(math.cos(angle), math.sin(angle))
        return d * d - math.exp(2 * log_t_of_one(inverse)) * variance

    places = _places(math.atan(point))
    d, variance, inverse = line.errors(np.cos(places), np.sin(places))
    outside = d * d - np.exp(2 * log_t(inverse)) * variance > 0
    if outside.all():  # only the estimate itself
        return Interval(point, point, point)
    changes = np.flatnonzero(outside[:-1] != outside[1:])
    limits = [
        math.tan(_limit(excess, *(float(each) for each in places[i : i + 2]), outside=bool(outside[i])))
        for i in changes
    ]
    if excess(math.pi / 2) > 0:
        return Interval(point, min([*limits, point]), max([*limits, point]))
    if not excess(0.0) > 0 or not positive or line.slope >= 0:
        return Interval(point, math.nan, math.nan)
    beyond = [limit for limit in limits if (limit > 0) == (point > 0)] or [point]
    return Interval(point, min(beyond), math.inf) if point > 0 else Interval(point, -math.inf, max(beyond))


def _places(start: float) -> FloatArray:
    """Angles from start − π/2 to start + π/2, ever closer to ``start``."""
    near = math.pi / 2 * 2.0 ** (-np.arange(_AROUND) / 4)
    arms = np.union1d(near, np.linspace(0, math.pi / 2, _OVER))
    return start + np.concatenate([-arms[::-1], arms[1:]])


def _limit(excess: Callable[[float], float], low: float, high: float, *, outside: bool) -> float:
    """Where ``excess`` changes its sign between two angles; ``outside`` says on which side the first lies."""
    while high - low > max(_PRECISION * max(abs(low), abs(high)), _LEAST_ANGLE):
        middle = (low + high) / 2
        if (excess(middle) > 0) == outside:
            low = middle
        else:
            high = middle
    return high if outside else low


def _centred(values: FloatArray) -> FloatArray:
    return np.zeros_like(values) if np.ptp(values) == 0 else values - values.mean()


def _mean(values: FloatArray) -> float:
    """Mean; of equal values exactly that value."""
    if values.size == 0:
        return math.nan
    return float(values[0]) if np.ptp(values) == 0 else float(values.mean())

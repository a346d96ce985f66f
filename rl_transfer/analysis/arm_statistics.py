"""Intervals, tests and effect sizes for two independent arms of a few runs each.

Every function takes one number per run (``x[i]``: transfer arm, ``y[j]``: from-scratch
arm) and says NaN where a figure is undefined.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from rl_transfer.analysis.special import t_quantile

FloatArray = npt.NDArray[np.float64]
Values = Sequence[float] | FloatArray

PERMUTATION_LIMIT = 20_000
"""Most permutations that are enumerated; above it the same number is sampled."""


@dataclass(frozen=True)
class Interval:
    """A point estimate with its confidence limits; NaN where undefined, infinite where there is no limit."""

    point: float
    low: float
    high: float

    @property
    def defined(self) -> bool:
        """Whether both limits exist (two runs or more in every arm)."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    @property
    def limited(self) -> bool:
        """Whether there is a limit at all, on one side at least."""
        return math.isfinite(self.low) or math.isfinite(self.high)

    def within(self, low: float, high: float) -> Interval:
        """The interval as far as it lies between two values that nothing can exceed; the point stays.

        Args:
            low: the least possible value.
            high: the greatest possible value.

        Returns:
            The same point with limits moved inside; missing ones stay missing.
        """
        if math.isnan(self.low):
            return self
        ends = (min(max(self.low, low), high), max(min(self.high, high), low))
        return Interval(self.point, min(ends[0], self.point), max(ends[1], self.point))

    def scaled(self, factor: float, offset: float = 0.0) -> Interval:
        """The interval of ``factor × estimate + offset``; limits swap under a negative factor.

        >>> Interval(2.0, 1.0, 4.0).scaled(-1.0)
        Interval(point=-2.0, low=-4.0, high=-1.0)

        Args:
            factor: what the estimate is multiplied with.
            offset: what is added then, in the unit of the result.

        Returns:
            Point and limits, in the unit that ``factor`` and ``offset`` lead to.
        """
        ends = (self.low * factor + offset, self.high * factor + offset)
        low, high = ends if factor >= 0 else ends[::-1]
        return Interval(self.point * factor + offset, low, high)


def hull(intervals: Sequence[Interval]) -> Interval:
    """The least interval that contains all of them, about the point of the first.

    Args:
        intervals: of the same quantity, at least one.

    Returns:
        Limits are missing if one of them has none.
    """
    lows, highs = [each.low for each in intervals], [each.high for each in intervals]
    if any(math.isnan(limit) for limit in (*lows, *highs)):
        return Interval(intervals[0].point, math.nan, math.nan)
    return Interval(intervals[0].point, min(lows), max(highs))


UNDEFINED = Interval(math.nan, math.nan, math.nan)


def as_values(values: Values, name: str = "values") -> FloatArray:
    """``values`` as an array; refuses what is not one finite number per run.

    Args:
        values: one number per run.
        name: what the caller calls them, for the message.

    Returns:
        Array [run] of floats.

    Raises:
        ValueError: the rank is not 1, or a value is NaN or infinite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name} must be one number per run (rank 1), got shape {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, got {array.tolist()}")
    return array


def mean_interval(values: Values, confidence: float) -> Interval:
    """Mean of one arm with its Student t interval, m ± t · s / √n.

    With one value the limits are NaN; with none everything is.

    >>> interval = mean_interval([1.0, 2.0, 3.0], 0.95)  # t of 2 degrees: 4.303; s / √3 = 0.577
    >>> round(interval.point, 3), round(interval.low, 3), round(interval.high, 3)
    (2.0, -0.484, 4.484)

    Args:
        values: one number per run.
        confidence: coverage, in (0, 1).

    Returns:
        Point and limits, in the unit of ``values``.
    """
    x = as_values(values)
    if x.size == 0:
        return UNDEFINED
    point = exact_mean(x)
    if x.size == 1:
        return Interval(point, math.nan, math.nan)
    half = t_quantile((1 + confidence) / 2, x.size - 1) * math.sqrt(_variance(x) / x.size)
    return Interval(point, point - half, point + half)


def welch_interval(x: Values, y: Values, confidence: float) -> Interval:
    """Difference of means x̄ − ȳ with Welch's t interval (unequal variances).

    (x̄ − ȳ) ± t_ν √(s_x²/n_x + s_y²/n_y), with the Welch–Satterthwaite degrees of freedom ν.
    Limits are NaN with fewer than two values in an arm. If neither arm varies the interval is the point.

    Source: Welch 1947, Biometrika 34:28–35.

    Args:
        x: the first arm, one number per run.
        y: the second arm, in the same unit; sizes may differ.
        confidence: coverage, in (0, 1).

    Returns:
        Difference and limits, in the unit of the arms.
    """
    x, y = as_values(x, "x"), as_values(y, "y")
    if min(x.size, y.size) == 0:
        return UNDEFINED
    point = exact_mean(x) - exact_mean(y)
    if min(x.size, y.size) < 2:
        return Interval(point, math.nan, math.nan)
    error, degrees = welch_error(_variance(x), x.size, _variance(y), y.size)
    half = error * t_quantile((1 + confidence) / 2, degrees)
    return Interval(point, point - half, point + half)


def welch_error(variance_x: float, n_x: int, variance_y: float, n_y: int) -> tuple[float, float]:
    """Standard error of x̄ − ȳ and its Welch–Satterthwaite degrees of freedom.

    Args:
        variance_x: unbiased sample variance of the first arm.
        n_x: its runs, at least 2.
        variance_y: the same of the second arm.
        n_y: its runs, at least 2.

    Returns:
        The error, in the unit of the arms, and the degrees, not necessarily whole.
    """
    part_x, part_y = variance_x / n_x, variance_y / n_y
    total = part_x + part_y
    if total <= 0:
        return 0.0, float(n_x + n_y - 2)
    share_x, share_y = part_x / total, part_y / total  # shares: squares of tiny parts would underflow
    return math.sqrt(total), 1 / (share_x**2 / (n_x - 1) + share_y**2 / (n_y - 1))


def permutation_p(x: Values, y: Values, generator: np.random.Generator) -> float:
    """Two-sided permutation test of equal means, arms unpaired.

    p = share of the C(n_x + n_y, n_x) splits of the pooled values whose |difference of means| is at least
    the observed one (the observed split counts itself). Above L = :data:`PERMUTATION_LIMIT` splits, L random
    ones are drawn and p = (1 + hits) / (1 + L).

    >>> permutation_p([5.0, 6.0], [1.0, 2.0], np.random.default_rng(0))  # 2 of the 6 splits are as extreme
    0.3333333333333333

    Source: Fisher 1935; the +1 of the sampled form: Phipson & Smyth 2010.

    Args:
        x: the first arm, one number per run.
        y: the second arm, in the same unit; sizes may differ.
        generator: source of randomness; untouched where all splits are enumerated.

    Returns:
        p in (0, 1]; NaN if an arm is empty.
    """
    x, y = as_values(x, "x"), as_values(y, "y")
    if min(x.size, y.size) == 0:
        return math.nan
    pooled = np.concatenate([x, y])
    pooled = pooled - pooled.mean()
    # With a pooled mean of 0 the difference of means is proportional to the first arm's sum.
    observed = abs(pooled[: x.size].sum())
    tolerance = 1e-9 * float(np.abs(pooled).max())
    if math.comb(pooled.size, x.size) <= PERMUTATION_LIMIT:
        sums = np.abs(pooled[splits(pooled.size, x.size)].sum(axis=1))
        return float(np.mean(sums >= observed - tolerance))
    hits, left = 0, PERMUTATION_LIMIT
    while left:
        rows = min(left, 4096)
        shuffled = generator.permuted(np.broadcast_to(pooled, (rows, pooled.size)), axis=1)
        sums = np.abs(shuffled[:, : x.size].sum(axis=1))
        hits += int(np.count_nonzero(sums >= observed - tolerance))
        left -= rows
    return (1 + hits) / (1 + PERMUTATION_LIMIT)


@lru_cache(maxsize=32)
def splits(total: int, first: int) -> npt.NDArray[np.intp]:
    """Every choice of some places out of all.

    Args:
        total: number of places.
        first: how many are chosen.

    Returns:
        Array [C(total, first), first] of indices.
    """
    return np.array(list(itertools.combinations(range(total), first)), dtype=np.intp)


def benjamini_hochberg(p_values: Values) -> FloatArray:
    """Adjusted p-values of one family: p̃₍ᵢ₎ = min over j ≥ i of m p₍ⱼ₎ / j, in the given order.

    None is above 1: the largest p stays as it is.

    >>> benjamini_hochberg([0.01, 0.5, 0.02]).tolist()  # 0.01 · 3/1 and 0.02 · 3/2 are both 0.03
    [0.03, 0.5, 0.03]

    Source: Benjamini & Hochberg 1995, JRSS B 57:289–300.

    Args:
        p_values: one per test of the family, in [0, 1].

    Returns:
        Array [test] of adjusted p-values; a test is significant at the false-discovery rate q if its is < q.

    Raises:
        ValueError: a value lies outside [0, 1].
    """
    p = as_values(p_values, "p_values")
    if ((p < 0) | (p > 1)).any():
        raise ValueError(f"p-values lie in [0, 1], got {p.tolist()}")
    order = np.argsort(p, kind="stable")
    stepped = p[order] * p.size / np.arange(1, p.size + 1)
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum.accumulate(stepped[::-1])[::-1]
    return adjusted


def probability_of_improvement(x: Values, y: Values) -> float:
    """P(X > Y) + ½ P(X = Y) over all pairs of runs: the Mann–Whitney U divided by n_x n_y.

    >>> probability_of_improvement([1.0, 3.0], [1.0, 2.0])  # one tie, one loss, two wins
    0.625

    Source: Agarwal et al. 2021 (NeurIPS), "Deep RL at the edge of the statistical precipice".

    Args:
        x: the first arm, one number per run.
        y: the second arm, in the same unit; sizes may differ.

    Returns:
        A share in [0, 1]; NaN if an arm is empty.
    """
    x, y = as_values(x, "x"), as_values(y, "y")
    if min(x.size, y.size) == 0:
        return math.nan
    difference = np.sign(x[:, None] - y[None, :])
    return float((difference.mean() + 1) / 2)


def cohens_d(x: Values, y: Values) -> float:
    """(x̄ − ȳ) / s, with s² the pooled variance; NaN if no arm varies or there are too few runs.

    Args:
        x: the first arm, one number per run.
        y: the second arm, in the same unit; sizes may differ.

    Returns:
        The effect in pooled standard deviations.
    """
    x, y = as_values(x, "x"), as_values(y, "y")
    degrees = x.size + y.size - 2
    if min(x.size, y.size) == 0 or degrees < 1:
        return math.nan
    squares = ((x - x.mean()) ** 2).sum() + ((y - y.mean()) ** 2).sum()
    deviation = math.sqrt(float(squares) / degrees)
    return float(x.mean() - y.mean()) / deviation if deviation > 0 else math.nan


def hedges_g(x: Values, y: Values) -> float:
    """Cohen's d without its small-sample bias: g = d · Γ(ν/2) / (√(ν/2) Γ((ν−1)/2)), ν = n_x + n_y − 2.

    NaN where d is, and for ν < 2. Source: Hedges 1981, J. Educational Statistics 6:107–128.

    Args:
        x: the first arm, one number per run.
        y: the second arm, in the same unit; sizes may differ.

    Returns:
        The effect in pooled standard deviations.
    """
    degrees = len(x) + len(y) - 2
    if degrees < 2:
        return math.nan
    log_factor = math.lgamma(degrees / 2) - math.lgamma((degrees - 1) / 2) - math.log(degrees / 2) / 2
    return cohens_d(x, y) * math.exp(log_factor)


def exact_mean(x: FloatArray) -> float:
    """Mean; of equal values exactly that value, which rounding of their sum could miss.

    Args:
        x: values, array [n], n > 0.
    """
    return float(x[0]) if np.ptp(x) == 0 else float(x.mean())


def _variance(x: FloatArray) -> float:
    """Unbiased sample variance; of equal values exactly 0."""
    return 0.0 if np.ptp(x) == 0 else float(x.var(ddof=1))

"""Intraclass correlation: how much alike runs of one source policy are."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from rl_transfer.analysis.arm_statistics import UNDEFINED, Interval, Values, as_values
from rl_transfer.analysis.special import f_quantile


def intraclass_correlation(groups: Sequence[Values], confidence: float) -> Interval:
    """Share of the variance that lies between groups: ρ = σ²_a / (σ²_a + σ²_e), by a one-way analysis.

    Of m groups of n_i values, N in all, with mean squares MS_a between and MS_e within them, and
    n₀ = (N − Σ n_i² / N) / (m − 1): ρ = (MS_a − MS_e) / (MS_a + (n₀ − 1) MS_e), cut at 0. Limits from
    F = ñ s² / MS_e, s² the variance of the groups' means and ñ the harmonic mean of the n_i:
    ρ = (F / F_q − 1) / (F / F_q + ñ − 1) with F_q the quantiles of F(m − 1, N − m). They are exact for normal
    values in groups of equal size.

    >>> found = intraclass_correlation([[1.0, 3.0], [5.0, 7.0], [9.0, 11.0]], 0.95)  # MS 32 and 2
    >>> round(found.point, 4)  # 30 / 34
    0.8824

    Sources: Fisher 1925; Shrout & Fleiss 1979 (Psychological Bulletin 86:420–428), ICC(1,1); Thomas &
    Hultquist 1978 (Annals of Statistics 6:582–587) for unequal sizes.

    Args:
        groups: the values of each group, in one unit.
        confidence: coverage of the limits, in (0, 1).

    Returns:
        Estimate and limits within [0, 1]; undefined with fewer than two groups, where no group has two
        values, and where nothing varies.
    """
    arrays = [each for group in groups if (each := as_values(group, "group")).size]
    sizes = np.array([each.size for each in arrays])
    m, total = len(arrays), int(sizes.sum())
    if m < 2 or total <= m:
        return UNDEFINED
    means = np.array([each.mean() for each in arrays])
    grand = float(np.concatenate(arrays).mean())
    between = float(sizes @ (means - grand) ** 2) / (m - 1)
    within = sum(float(((each - mean) ** 2).sum()) for each, mean in zip(arrays, means, strict=True))
    within /= total - m
    largest = max(float(np.abs(each).max()) for each in arrays)
    if max(between, within) <= (1e-12 * largest) ** 2:
        return UNDEFINED
    n0 = (total - float(sizes @ sizes) / total) / (m - 1)
    point = max(0.0, (between - within) / (between + (n0 - 1) * within))
    harmonic = m / float((1 / sizes).sum())
    ratio = harmonic * float(means.var(ddof=1)) / within if within > 0 else math.inf
    low, high = (
        _correlation(ratio / f_quantile(tail, m - 1, total - m), harmonic)
        for tail in ((1 + confidence) / 2, (1 - confidence) / 2)
    )
    return Interval(point, min(low, point), max(high, point))


def _correlation(ratio: float, size: float) -> float:
    """(F − 1) / (F + n − 1), cut at 0."""
    return 1.0 if math.isinf(ratio) else max(0.0, (ratio - 1) / (ratio + size - 1))

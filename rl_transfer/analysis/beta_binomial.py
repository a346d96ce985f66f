"""Limits for a success rate whose runs have rates of their own: a beta-binomial's profile likelihood."""

from __future__ import annotations

import math
from collections.abc import Collection

import numpy as np
import numpy.typing as npt

from rl_transfer.analysis.arm_statistics import FloatArray

IntArray = npt.NDArray[np.int64]

_FAR = 12.0
_LOGITS = np.linspace(-_FAR, _FAR, 49)
"""Log odds of the mean rate where the profile is looked at before its peak and its limits are sought."""
_CONCENTRATIONS = np.exp(np.linspace(math.log(0.02), math.log(1e6), 40))
"""α + β of the Beta distribution of the runs' rates: from all or nothing to one rate for all."""
_STEPS = 20
_MANY = 1_000
"""Factors beyond which a rising factorial is taken from gamma functions: sums of so many cost more."""


def profile_limits(counts: Collection[tuple[int, int]], quantile: float) -> tuple[float, float]:
    """The mean rates m that the runs do not contradict: {m : 2 (max ℓ − ℓ(m)) ≤ quantile²}.

    Each run's rate is drawn from a Beta distribution of mean m, its successes from a binomial one; ℓ(m) is
    the likelihood at the best concentration α + β. Where most runs succeed and one fails, this likelihood is
    skewed as the runs are, while an interval from their standard error is not.

    Source: Griffiths 1973 (Biometrics 29:637–648) on the beta-binomial; limits by its likelihood ratio.

    Args:
        counts: successes and episodes of each run; at least one episode each.
        quantile: of a standard normal distribution, or Student's with the runs' degrees of freedom.

    Returns:
        Lowest and highest such m; 0 or 1 where nothing tells m from them.
    """
    seen = {float(logit): _profile(counts, float(logit)) for logit in _LOGITS}
    peak = _peak(counts, max(seen, key=seen.__getitem__))
    seen[peak] = _profile(counts, peak)
    least = max(seen.values()) - quantile**2 / 2
    inside = [logit for logit, value in seen.items() if value >= least]
    low, high = min(inside), max(inside)
    below = max((logit for logit in seen if logit < low), default=None)
    above = min((logit for logit in seen if logit > high), default=None)
    return (
        0.0 if below is None else _rate(_crossing(counts, below, low, least)),
        1.0 if above is None else _rate(_crossing(counts, above, high, least)),
    )


def _peak(counts: Collection[tuple[int, int]], near: float) -> float:
    """Where the profile is highest, to a hundredth of what separates the points beside ``near``."""
    step = float(_LOGITS[1] - _LOGITS[0])
    low, high = max(near - step, -_FAR), min(near + step, _FAR)
    for _ in range(_STEPS):
        third = (high - low) / 3
        if _profile(counts, low + third) < _profile(counts, high - third):
            low += third
        else:
            high -= third
    return (low + high) / 2


def _crossing(counts: Collection[tuple[int, int]], outside: float, inside: float, least: float) -> float:
    for _ in range(_STEPS):
        middle = (outside + inside) / 2
        if _profile(counts, middle) >= least:
            inside = middle
        else:
            outside = middle
    return outside


def _rate(logit: float) -> float:
    return 1 / (1 + math.exp(-logit))


def _profile(counts: Collection[tuple[int, int]], logit: float) -> float:
    """Log likelihood of a mean rate at the best concentration, but for the binomial coefficients."""
    hits, episodes = np.array([*counts]).T
    successes = _rising(_CONCENTRATIONS * _rate(logit), hits)
    failures = _rising(_CONCENTRATIONS * _rate(-logit), episodes - hits)
    return float((successes + failures - _rising(_CONCENTRATIONS, episodes)).sum(axis=0).max())


def _rising(start: FloatArray, factors: IntArray) -> FloatArray:
    """Logarithms of the rising factorials start · (start + 1) · …, [numbers of factors, start]."""
    most = int(factors.max())
    if most > _MANY:
        found: FloatArray = _log_gamma(start + factors[:, None]) - _log_gamma(start)
        return found
    logs = np.log(start + np.arange(most)[:, None])
    return np.concatenate([np.zeros((1, len(start))), np.cumsum(logs, axis=0)])[factors]


_log_gamma = np.vectorize(math.lgamma, otypes=[float])

"""Values that are drawn anew at every reset.

| form | meaning |
|---|---|
| ``{uniform: [lo, hi]}`` | uniform (integers: both ends included) |
| ``{uniform: [[a, b], [c, d]]}`` | uniform over a union of intervals, each as likely as it is long |
| ``{log_uniform: …}`` | either of these, uniform in the logarithm |
| ``{normal: [mean, std]}`` | normal, truncated to the parameter's bounds; the moments of the uncut one |
| ``{choice: [a, b, c]}`` | one of the values |
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist

import numpy as np

from rl_transfer_envs.aliases import Value
from rl_transfer_envs.errors import InvalidValueError
from rl_transfer_envs.values.drift import DRIFT, ends, is_drift
from rl_transfer_envs.values.quantity import Number, Quantity, resolve

DISTRIBUTIONS = ("uniform", "log_uniform", "normal", "choice")
RESERVED = frozenset({*DISTRIBUTIONS, DRIFT, "severity", "towards"})

LEAST_SHARE = 0.01
"""Share of a normal distribution that must lie within the bounds: what is cut down further is another one."""


def is_distribution(value: object) -> bool:
    """Whether a canonical value is drawn anew at every reset.

    Args:
        value: a canonical value.

    >>> is_distribution({"uniform": [0.5, 1.5]}), is_distribution("x1.5")
    (True, False)
    """
    return isinstance(value, Mapping) and any(name in value for name in DISTRIBUTIONS)


def is_relative(value: Value) -> bool:
    """Whether a canonical value (or every value of its distribution) multiplies the default.

    Args:
        value: a canonical value.

    Returns:
        True for ``"x1.5"`` and for ``{"choice": ["x0.5", "x2"]}``.
    """
    if is_distribution(value) or is_drift(value):
        value = next(iter(value.values()))[0]
        value = value[0] if isinstance(value, list) else value
    return isinstance(value, str)


def draw(
    quantity: Quantity, value: Mapping[str, Value], default: Value, rng: np.random.Generator, key: str
) -> Value:
    """One absolute value from a canonical distribution.

    Args:
        quantity: what the value is of.
        value: the distribution, ``{"uniform": [low, high]}`` or another form of the table above.
        default: the environment's own value, which relative values multiply.
        rng: the stream to draw from; every form takes one number of it.
        key: key path for errors.

    Returns:
        The value in the quantity's unit.

    Raises:
        InvalidValueError: relative to a default of 0 or to no default, or nearly all of a normal
            distribution lies out of the bounds.
        OutOfBoundsError: the distribution reaches out of the bounds.
    """
    ((name, items),) = value.items()
    if name == "choice":
        options = [resolve(quantity, item, default, key) for item in items]
        return options[int(rng.integers(len(options)))]
    if name == "normal":
        normal, low, high = truncated_normal(quantity, items, default, key)
        share = rng.uniform(normal.cdf(low), normal.cdf(high))
        return min(max(normal.inv_cdf(share), low), high) if 0 < share < 1 else normal.mean
    intervals = _intervals(quantity, items, default, key)
    if quantity.kind == "integer":
        return _whole(intervals, rng)
    if name == "log_uniform":
        return math.exp(_real([(math.log(low), math.log(high)) for low, high in intervals], rng))
    return _real(intervals, rng)


def extremes(quantity: Quantity, value: Value, default: Value, key: str) -> tuple[Value, Value]:
    """Smallest and largest absolute value that ``value`` can become.

    Args:
        quantity: what the value is of.
        value: a canonical value; one that is neither drawn nor drifts is both.
        default: the environment's own value, which relative values multiply.
        key: key path for errors.

    Returns:
        The two, in the quantity's unit.

    Raises:
        InvalidValueError: relative to a default of 0 or to no default, or nearly all of a normal
            distribution lies out of the bounds.
        OutOfBoundsError: either lies outside the bounds.
    """
    if is_drift(value):
        both = ends(quantity, value, default, key)
        return min(both), max(both)
    if not is_distribution(value):
        fixed = resolve(quantity, value, default, key)
        return fixed, fixed
    ((name, items),) = value.items()
    if name == "normal":
        return truncated_normal(quantity, items, default, key)[1:]
    flat = [each for item in items for each in (item if isinstance(item, list) else [item])]
    options = [resolve(quantity, item, default, key) for item in flat]
    return min(options), max(options)


def truncated_normal(
    quantity: Quantity, moments: Sequence[Number | str], default: Number | None, key: str
) -> tuple[NormalDist, float, float]:
    """A normal distribution and where it is cut off.

    Args:
        quantity: what the value is of; its bounds, and its factors of the default, cut the distribution.
        moments: canonical mean and standard deviation of the uncut distribution, both relative or neither.
        default: the environment's own value, which relative values multiply.
        key: key path for errors.

    Returns:
        The uncut distribution, the smallest and the largest value, in the quantity's unit.

    Raises:
        InvalidValueError: there are no bounds, the standard deviation is 0, or less than
            :data:`LEAST_SHARE` of the distribution lies within the bounds.
        OutOfBoundsError: the mean lies outside the bounds.
    """
    mean = float(resolve(quantity, moments[0], default, key))
    spread = moments[1]
    std = abs(float(spread[1:]) * (default or 0)) if isinstance(spread, str) else float(spread)
    low, high = quantity.bounds or (-math.inf, math.inf)
    if quantity.factors and default is not None:
        ends = sorted(factor * default for factor in quantity.factors)
        low, high = max(low, ends[0]), min(high, ends[1])
    if not math.isfinite(high - low):
        raise InvalidValueError(
            f"{quantity.name}: a normal distribution is cut off at the bounds, and {quantity.name} has none; "
            "register a parameter with bounds, or give uniform.",
            key=key,
        )
    if std == 0:
        raise InvalidValueError(
            f"{quantity.name}: {spread!r} of a default of 0 is a standard deviation of 0; "
            f"give an absolute one in {quantity.unit}.",
            key=key,
        )
    normal = NormalDist(mean, std)
    share = normal.cdf(high) - normal.cdf(low)
    if share < LEAST_SHARE:
        raise InvalidValueError(
            f"{quantity.name}: of a normal distribution of mean {mean:g} and standard deviation {std:g} only "
            f"{share:.2%} lies within the bounds, {low:g} to {high:g}; give another mean, a smaller standard "
            "deviation, or uniform.",
            key=key,
        )
    return normal, low, high


def _intervals(
    quantity: Quantity, items: Sequence[object], default: object, key: str
) -> list[tuple[Number, Number]]:
    """One interval, or the several of a union, in the quantity's unit."""
    pairs: list[Sequence[object]] = [item for item in items if isinstance(item, list)] or [items]
    resolved = [sorted(resolve(quantity, item, default, key) for item in pair) for pair in pairs]
    return [(low, high) for low, high in resolved]


def _real(intervals: list[tuple[Number, Number]], rng: np.random.Generator) -> float:
    if len(intervals) == 1:
        return float(rng.uniform(*intervals[0]))
    ends = np.cumsum([high - low for low, high in intervals])
    place = rng.uniform(0.0, ends[-1])
    index = min(int(np.searchsorted(ends, place, side="right")), len(intervals) - 1)
    low, high = intervals[index]
    return float(min(max(high - (ends[index] - place), low), high))


def _whole(intervals: list[tuple[Number, Number]], rng: np.random.Generator) -> int:
    whole = [(int(low), int(high)) for low, high in intervals]
    if len(whole) == 1:
        return int(rng.integers(*whole[0], endpoint=True))
    ends = np.cumsum([high - low + 1 for low, high in whole])
    place = int(rng.integers(ends[-1]))
    index = int(np.searchsorted(ends, place, side="right"))
    return whole[index][1] + 1 - (int(ends[index]) - place)

"""Reads single numbers: absolute ones within bounds, and multiples of a default."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from numbers import Integral, Real

import numpy as np

from rl_transfer_envs.errors import InvalidValueError, OutOfBoundsError
from rl_transfer_envs.values.quantity import Number, Quantity, cast, check_bounds, resolve

_RELATIVE = re.compile(r"x\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")


def number(quantity: Quantity, raw: object, key: str) -> Number | str:
    """A finite number within bounds, or a relative value as ``"x<factor>"``.

    Args:
        quantity: what the value is of.
        raw: as a user gives it.
        key: key path for errors.

    Returns:
        The number in the quantity's unit, or the multiple as text.

    Raises:
        InvalidValueError: it is no number, not finite, or no whole one where it must be.
        OutOfBoundsError: it lies outside the bounds.
    """
    if isinstance(raw, str) and quantity.kind != "integers":
        return _relative(quantity, raw, key)
    if isinstance(raw, bool | np.bool_) or not isinstance(raw, Real | Integral):
        raise InvalidValueError(
            f"{quantity.name} must be a number in {quantity.unit}, not {raw!r} ({type(raw).__name__}).",
            key=key,
        )
    if not math.isfinite(raw):
        raise InvalidValueError(f"{quantity.name} must be finite, not {float(raw)}.", key=key)
    return check_bounds(quantity, cast(quantity, float(raw), key), key)


def _relative(quantity: Quantity, raw: str, key: str) -> Number | str:
    match = _RELATIVE.fullmatch(raw.strip())
    if match is None:
        raise InvalidValueError(
            f"{quantity.name}: cannot read {raw!r}; give a number in {quantity.unit}, "
            "a multiple of the default such as 'x1.5', a severity or a distribution.",
            key=key,
        )
    factor = float(match.group(1))
    if not math.isfinite(factor):
        raise InvalidValueError(f"{quantity.name} must be finite, not {raw!r}.", key=key)
    if quantity.factors and not quantity.factors[0] <= factor <= quantity.factors[1]:
        low, high = quantity.factors
        raise OutOfBoundsError(
            f"{quantity.name} = {raw} is outside x{low:g} to x{high:g} of the default.", key=key
        )
    text = f"x{factor!r}"
    if isinstance(quantity.default, int | float):
        resolve(quantity, text, quantity.default, key)
    return text


def sequence(quantity: Quantity, raw: object, key: str) -> Sequence[object]:
    """A list as it is.

    Args:
        quantity: what it is of.
        raw: as a user gives it.
        key: key path for errors.

    Returns:
        ``raw``.

    Raises:
        InvalidValueError: it is no list.
    """
    if isinstance(raw, str | bytes) or not isinstance(raw, Sequence):
        raise InvalidValueError(f"{quantity.name}: expected a list, not {raw!r}.", key=key)
    return raw

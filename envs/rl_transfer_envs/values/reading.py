"""Reads a value of a specification: validated, normalised, JSON-able.

The forms a value may take are listed in ``values.quantity`` and ``values.distributions``.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from numbers import Integral, Real

import numpy as np

from rl_transfer_envs.aliases import Entry, Value
from rl_transfer_envs.errors import EnvError, InvalidValueError, OutOfBoundsError, did_you_mean
from rl_transfer_envs.values.distributions import DISTRIBUTIONS, RESERVED, truncated_normal
from rl_transfer_envs.values.quantity import Number, Quantity, cast, check_bounds, resolve

_RELATIVE = re.compile(r"x\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)")


def canonical_value(quantity: Quantity, raw: object, key: str) -> Value:
    """The validated JSON form of ``raw``: severity resolved, numbers plain, relative kept.

    Args:
        quantity: what the value is of.
        raw: the value as a user gives it.
        key: key path for errors.

    Returns:
        A number, ``"x<factor>"``, flag, word, list of these, or ``{distribution: values}``.

    >>> length = Quantity(
    ...     name="length", unit="m", default=0.5, bounds=(0.1, 2.5), source="-", summary="-"
    ... )
    >>> canonical_value(length, {"severity": 0.5, "towards": "high"}, "length")
    1.5
    >>> canonical_value(length, "x 2", "length")
    'x2.0'

    Raises:
        InvalidValueError: wrong type, NaN, malformed severity or distribution.
        OutOfBoundsError: outside the bounds of ``quantity``.
    """
    if quantity.kind == "flag":
        if not isinstance(raw, bool | np.bool_):
            raise InvalidValueError(f"{quantity.name} must be true or false, not {raw!r}.", key=key)
        return bool(raw)
    if quantity.kind == "word":
        return _word(quantity, raw, key)
    if quantity.kind == "integers":
        return [_number(quantity, item, f"{key}.{i}") for i, item in enumerate(_list(quantity, raw, key))]
    if quantity.kind == "name":
        return _names(quantity, [raw], key)[0]
    if quantity.kind == "names":
        return _names(quantity, raw, key)
    if isinstance(raw, Mapping):
        return _mapping(quantity, raw, key)
    if quantity.kind == "numbers" and isinstance(raw, Sequence) and not isinstance(raw, str):
        if not raw:
            raise InvalidValueError(f"{quantity.name} is an empty list.", key=key)
        return [_number(quantity, item, f"{key}.{i}") for i, item in enumerate(raw)]
    return _number(quantity, raw, key)


def canonical_arguments(name: str, quantities: Sequence[Quantity], raw: object, key: str) -> Entry:
    """The validated arguments of a perturbation, without those at their default.

    Args:
        name: the perturbation's, for errors.
        quantities: its arguments; the first is the one a bare value stands for.
        raw: a mapping argument → value, or one value for the first argument.
        key: key path for errors.

    Returns:
        Argument → canonical value, in the order of ``quantities``.

    Raises:
        InvalidValueError: an unknown argument or a malformed value; ``key`` names it.
        OutOfBoundsError: a value outside the bounds of its argument.
    """
    known = {quantity.name: quantity for quantity in quantities}
    if not isinstance(raw, Mapping) or (raw and {str(each) for each in raw} <= RESERVED):
        main = quantities[0]
        value = canonical_value(main, raw, key)
        return {} if value == main.default else {main.name: value}
    arguments = {}
    for argument, value in raw.items():
        if argument not in known:
            raise InvalidValueError(
                f"{name} has no argument {argument!r}; it has {', '.join(known)}."
                f"{did_you_mean(str(argument), known)}",
                key=f"{key}.{argument}",
            )
        canonical = canonical_value(known[argument], value, f"{key}.{argument}")
        if canonical != known[argument].default:
            arguments[argument] = canonical
    return {argument: arguments[argument] for argument in known if argument in arguments}


def _number(quantity: Quantity, raw: object, key: str) -> Number | str:
    """A finite number within bounds, or a relative value as ``"x<factor>"``."""
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


def _mapping(quantity: Quantity, raw: Mapping[object, object], key: str) -> Value:
    keys = {str(name) for name in raw}
    if "severity" in keys:
        return _severity(quantity, raw, key)
    if len(keys) != 1 or not keys <= set(DISTRIBUTIONS):
        given = ", ".join(sorted(keys))
        raise InvalidValueError(
            f"{quantity.name}: {{{given}}} is no value; expected exactly one of severity, "
            f"{', '.join(DISTRIBUTIONS)}.{did_you_mean(given, RESERVED)}",
            key=key,
        )
    name, items = next(iter(raw.items()))
    return _distribution(quantity, str(name), items, f"{key}.{name}")


def _distribution(quantity: Quantity, name: str, items: object, key: str) -> Entry:
    if not quantity.per_episode:
        raise InvalidValueError(
            f"{quantity.name} cannot be drawn per episode (it shapes the spaces); give one value.", key=key
        )
    given = _list(quantity, items, key)
    if name == "normal":
        return {name: _normal(quantity, given, key)}
    if name != "choice" and given and all(isinstance(item, list | tuple) for item in given):
        return {name: _union(quantity, name, given, key)}
    values = _numbers(quantity, name, given, key)
    if name != "choice":
        _check_interval(quantity, name, values, key)
    return {name: values}


def _numbers(quantity: Quantity, name: str, items: Sequence[object], key: str) -> list[Number | str]:
    values = [_number(quantity, item, f"{key}.{i}") for i, item in enumerate(items)]
    if not values:
        raise InvalidValueError(f"{quantity.name}: {name} needs values.", key=key)
    _check_same(quantity, name, values, key)
    return values


def _check_same(quantity: Quantity, name: str, values: Sequence[Number | str], key: str) -> None:
    if len({isinstance(value, str) for value in values}) == 2:
        raise InvalidValueError(f"{quantity.name}: mix of relative and absolute values in {name}.", key=key)


def _check_interval(quantity: Quantity, name: str, values: Sequence[Number | str], key: str) -> None:
    sizes = [_size(value) for value in values]
    if len(sizes) != 2 or not sizes[0] < sizes[1]:
        raise InvalidValueError(f"{quantity.name}: {name} needs [low, high] with low < high.", key=key)
    if name == "log_uniform" and (sizes[0] <= 0 or quantity.kind == "integer"):
        raise InvalidValueError(f"{quantity.name}: log_uniform needs real numbers above 0.", key=key)


def _size(value: Number | str) -> float:
    """A number, or the factor of a relative value."""
    return float(value[1:]) if isinstance(value, str) else float(value)


def _union(quantity: Quantity, name: str, items: Sequence[object], key: str) -> Sequence[object]:
    """Intervals in rising order; a single one stands for itself."""
    found = []
    for i, item in enumerate(items):
        values = _numbers(quantity, name, _list(quantity, item, f"{key}.{i}"), f"{key}.{i}")
        _check_interval(quantity, name, values, f"{key}.{i}")
        found.append(values)
    _check_same(quantity, name, [value for values in found for value in values], key)
    found.sort(key=lambda values: _size(values[0]))
    for before, after in pairwise(found):
        if _size(after[0]) <= _size(before[1]):
            raise InvalidValueError(
                f"{quantity.name}: the intervals {before} and {after} of {name} overlap or touch; "
                "give one for both.",
                key=key,
            )
    return found if len(found) > 1 else found[0]


def _normal(quantity: Quantity, items: Sequence[object], key: str) -> list[Number | str]:
    """Mean and standard deviation, checked against the bounds as far as the default is known."""
    if quantity.kind == "integer":
        raise InvalidValueError(f"{quantity.name}: normal needs real numbers, and these are whole.", key=key)
    if len(items) != 2:
        raise InvalidValueError(f"{quantity.name}: normal needs [mean, standard deviation].", key=key)
    unbounded = replace(quantity, bounds=None, factors=None)
    moments = [_number(quantity, items[0], f"{key}.0"), _number(unbounded, items[1], f"{key}.1")]
    _check_same(quantity, "normal", moments, key)
    if _size(moments[1]) <= 0:
        raise InvalidValueError(
            f"{quantity.name}: a standard deviation is above 0, not {items[1]!r}.", key=f"{key}.1"
        )
    needs_default = isinstance(moments[0], str) or quantity.factors is not None
    if isinstance(quantity.default, int | float) or not needs_default:
        truncated_normal(quantity, moments, quantity.default, key)
    return moments


def _severity(quantity: Quantity, raw: Mapping[object, object], key: str) -> Value:
    unknown = {str(name) for name in raw} - {"severity", "towards"}
    if unknown:
        raise InvalidValueError(
            f"{quantity.name}: unknown key {sorted(unknown)[0]!r} beside severity; only 'towards' may stand.",
            key=key,
        )
    severity = raw["severity"]
    if isinstance(severity, bool) or not isinstance(severity, int | float) or not 0 <= severity <= 1:
        raise OutOfBoundsError(
            f"{quantity.name}: severity must be a number from 0 (default) to 1 (bound), not {severity!r}.",
            key=f"{key}.severity",
        )
    default: Value = 1.0 if quantity.factors else quantity.default
    limits = quantity.factors or quantity.bounds
    if limits is None or not isinstance(default, int | float):
        raise InvalidValueError(f"{quantity.name} has no bounds to measure a severity against.", key=key)
    bound = _bound(quantity, default, limits, raw.get("towards"), key)
    number = _interpolate(quantity, float(default), bound, float(severity), key)
    if quantity.factors:
        return f"x{number!r}"
    return round(number) if quantity.kind == "integer" else number


def _bound(
    quantity: Quantity, default: float, limits: tuple[float, float], towards: object, key: str
) -> float:
    sides = {side: bound for side, bound in zip(("low", "high"), limits, strict=True) if bound != default}
    if towards is None:
        if len(sides) == 1:
            return next(iter(sides.values()))
        raise InvalidValueError(
            f"{quantity.name} can go both ways from its default {default:g} "
            f"({limits[0]:g} to {limits[1]:g}); add towards: low or towards: high.",
            key=f"{key}.towards",
        )
    if towards not in sides:
        raise InvalidValueError(
            f"{quantity.name}: towards must be {' or '.join(sides)}, not {towards!r}.", key=f"{key}.towards"
        )
    return sides[towards]


def _interpolate(quantity: Quantity, default: float, bound: float, severity: float, key: str) -> float:
    if severity == 0:
        return default
    if severity == 1:
        return float(bound)
    if quantity.severity_scale == "linear":
        return default + severity * (bound - default)
    if default <= 0 or bound <= 0:
        raise EnvError(f"{quantity.name}: a logarithmic severity needs positive bounds.", key=key)
    return float(default * (bound / default) ** severity)


def _list(quantity: Quantity, raw: object, key: str) -> Sequence[object]:
    if isinstance(raw, str | bytes) or not isinstance(raw, Sequence):
        raise InvalidValueError(f"{quantity.name}: expected a list, not {raw!r}.", key=key)
    return raw


def _word(quantity: Quantity, raw: object, key: str) -> str | list[int]:
    if isinstance(raw, str) and raw in quantity.words:
        return raw
    if quantity.list_allowed and isinstance(raw, Sequence) and not isinstance(raw, str):
        for i, item in enumerate(raw):
            if isinstance(item, bool) or not isinstance(item, Integral):
                raise InvalidValueError(f"{quantity.name}: {item!r} is no whole number.", key=f"{key}.{i}")
        return [int(item) for item in raw]
    expected = ", ".join(repr(word) for word in quantity.words)
    if quantity.list_allowed:
        expected += " or a list of whole numbers"
    raise InvalidValueError(
        f"{quantity.name}: expected {expected}, not {raw!r}.{did_you_mean(str(raw), quantity.words)}", key=key
    )


def _names(quantity: Quantity, raw: object, key: str) -> list[str]:
    names: list[str] = []
    for i, item in enumerate(_list(quantity, raw, key)):
        if not isinstance(item, str):
            place = key if quantity.kind == "name" else f"{key}.{i}"
            raise InvalidValueError(f"{quantity.name}: {item!r} is no name.", key=place)
        if item in names:
            raise InvalidValueError(f"{quantity.name} lists {item!r} twice.", key=f"{key}.{i}")
        names.append(item)
    return names

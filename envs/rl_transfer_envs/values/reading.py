"""Reads a value of a specification: validated, normalised, JSON-able.

The forms a value may take are listed in ``values.quantity`` and ``values.distributions``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Integral

import numpy as np

from rl_transfer_envs.aliases import Entry, Value
from rl_transfer_envs.errors import EnvError, InvalidValueError, OutOfBoundsError, did_you_mean
from rl_transfer_envs.values.distributions import DISTRIBUTIONS, RESERVED
from rl_transfer_envs.values.drift import DRIFT
from rl_transfer_envs.values.quantity import Quantity
from rl_transfer_envs.values.single import number, sequence
from rl_transfer_envs.values.varying import distribution, drift


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
        return [number(quantity, item, f"{key}.{i}") for i, item in enumerate(sequence(quantity, raw, key))]
    if quantity.kind == "name":
        return _names(quantity, [raw], key)[0]
    if quantity.kind == "names":
        return _names(quantity, raw, key)
    if isinstance(raw, Mapping):
        return _mapping(quantity, raw, key)
    if quantity.kind == "numbers" and isinstance(raw, Sequence) and not isinstance(raw, str):
        if not raw:
            raise InvalidValueError(f"{quantity.name} is an empty list.", key=key)
        return [number(quantity, item, f"{key}.{i}") for i, item in enumerate(raw)]
    return number(quantity, raw, key)


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


def _mapping(quantity: Quantity, raw: Mapping[object, object], key: str) -> Value:
    keys = {str(name) for name in raw}
    if "severity" in keys:
        return _severity(quantity, raw, key)
    if keys == {DRIFT}:
        return drift(quantity, raw[DRIFT], f"{key}.{DRIFT}")
    if len(keys) != 1 or not keys <= set(DISTRIBUTIONS):
        given = ", ".join(sorted(keys))
        raise InvalidValueError(
            f"{quantity.name}: {{{given}}} is no value; expected exactly one of severity, drift, "
            f"{', '.join(DISTRIBUTIONS)}.{did_you_mean(given, RESERVED)}",
            key=key,
        )
    name, items = next(iter(raw.items()))
    return distribution(quantity, str(name), items, f"{key}.{name}")


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
    for i, item in enumerate(sequence(quantity, raw, key)):
        if not isinstance(item, str):
            place = key if quantity.kind == "name" else f"{key}.{i}"
            raise InvalidValueError(f"{quantity.name}: {item!r} is no name.", key=place)
        if item in names:
            raise InvalidValueError(f"{quantity.name} lists {item!r} twice.", key=f"{key}.{i}")
        names.append(item)
    return names

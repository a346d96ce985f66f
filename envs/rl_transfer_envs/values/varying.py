"""Reads values that vary: drawn at every reset, or drifting within an episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from numbers import Integral

from rl_transfer_envs.aliases import Entry
from rl_transfer_envs.errors import InvalidValueError
from rl_transfer_envs.values.distributions import truncated_normal
from rl_transfer_envs.values.drift import DRIFT
from rl_transfer_envs.values.quantity import Number, Quantity
from rl_transfer_envs.values.single import number, sequence


def drift(quantity: Quantity, items: object, key: str) -> Entry:
    """A value that moves within an episode, in canonical form (``values.drift``).

    Args:
        quantity: what the value is of.
        items: ``[first, last]`` or ``[first, last, steps]`` as a user gives it.
        key: key path for errors.

    Returns:
        ``{"drift": [first, last]}``, with the steps where they are given.

    Raises:
        InvalidValueError: the quantity cannot drift, or this is no drift.
        OutOfBoundsError: an end lies outside the bounds.
    """
    if not quantity.drifts:
        raise InvalidValueError(
            f"{quantity.name} cannot drift within an episode: only physics that the environment reads at "
            "every step can; give one value, or a distribution that is drawn at every reset.",
            key=key,
        )
    given = sequence(quantity, items, key)
    if len(given) not in (2, 3):
        raise InvalidValueError(f"{quantity.name}: drift needs [first, last], or steps as a third.", key=key)
    values = _numbers(quantity, DRIFT, given[:2], key)
    steps = list(given[2:])
    if any(isinstance(each, bool) or not isinstance(each, Integral) or each < 2 for each in steps):
        raise InvalidValueError(
            f"{quantity.name}: the steps of a drift are a whole number of 2 or more, not {steps[0]!r}.",
            key=f"{key}.2",
        )
    if values[0] == values[1]:
        raise InvalidValueError(f"{quantity.name}: this drift begins where it ends; give one value.", key=key)
    return {DRIFT: [*values, *(int(str(each)) for each in steps)]}


def distribution(quantity: Quantity, name: str, items: object, key: str) -> Entry:
    """A distribution in canonical form (``values.distributions``).

    Args:
        quantity: what the value is of.
        name: of the distribution.
        items: what it is given, as a user writes it.
        key: key path for errors.

    Returns:
        ``{name: values}``.

    Raises:
        InvalidValueError: the quantity cannot be drawn per episode, or this is no such distribution.
        OutOfBoundsError: it reaches out of the bounds.
    """
    if not quantity.per_episode:
        raise InvalidValueError(
            f"{quantity.name} cannot be drawn per episode (it shapes the spaces); give one value.", key=key
        )
    given = sequence(quantity, items, key)
    if name == "normal":
        return {name: _normal(quantity, given, key)}
    if name != "choice" and given and all(isinstance(item, list | tuple) for item in given):
        return {name: _union(quantity, name, given, key)}
    values = _numbers(quantity, name, given, key)
    if name != "choice":
        _check_interval(quantity, name, values, key)
    return {name: values}


def _numbers(quantity: Quantity, name: str, items: Sequence[object], key: str) -> list[Number | str]:
    values = [number(quantity, item, f"{key}.{i}") for i, item in enumerate(items)]
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
        values = _numbers(quantity, name, sequence(quantity, item, f"{key}.{i}"), f"{key}.{i}")
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
    moments = [number(quantity, items[0], f"{key}.0"), number(unbounded, items[1], f"{key}.1")]
    _check_same(quantity, "normal", moments, key)
    if _size(moments[1]) <= 0:
        raise InvalidValueError(
            f"{quantity.name}: a standard deviation is above 0, not {items[1]!r}.", key=f"{key}.1"
        )
    needs_default = isinstance(moments[0], str) or quantity.factors is not None
    if isinstance(quantity.default, int | float) or not needs_default:
        truncated_normal(quantity, moments, quantity.default, key)
    return moments

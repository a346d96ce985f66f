"""What may stand for a value in a specification, and how it becomes a number.

| form | meaning |
|---|---|
| ``1.5`` | absolute, in the parameter's unit |
| ``"x1.5"`` | relative to the environment's own default |
| ``{severity: 0.7}`` / ``{severity: 0.7, towards: low}`` | share of the way from default to bound |
| ``{drift: [first, last]}`` | moves within every episode (``values.drift``) |
| a distribution, such as ``{uniform: [lo, hi]}`` | drawn at every reset (``values.distributions``) |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from rl_transfer_envs.aliases import Value
from rl_transfer_envs.errors import InvalidValueError, OutOfBoundsError

Number = int | float
Kind = Literal["number", "integer", "numbers", "integers", "flag", "word", "name", "names"]


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """One value that a perturbation takes: name, unit, default, bounds, source.

    Attributes:
        name: as it is written in a specification.
        unit: SI unit, ``"1"`` for a pure number, ``"steps"`` for counts of steps.
        default: value of the unperturbed environment (the identity, for wrappers);
            None where only the environment instance knows it.
        bounds: smallest and largest value accepted, both included, in ``unit``.
        source: where default and meaning come from (Gymnasium file, paper).
        summary: one line.
        kind: ``number``, ``integer``, ``numbers`` (one number or one per dimension),
            ``integers`` (a list), ``flag``, ``word`` (one of ``words``, or a list of
            integers where ``list_allowed``), ``name`` (any word), or ``names`` (a list of them, none twice).
        words: the words a ``word`` may be.
        list_allowed: whether a ``word`` may be a list of integers instead.
        factors: smallest and largest multiple of the default, for parameters whose
            default differs from element to element; severity is then a multiple too.
        severity_scale: whether severity moves linearly or geometrically to the bound.
        per_episode: whether the value may be a distribution.
        drifts: whether the value may move within an episode.
    """

    name: str
    unit: str
    default: Value
    bounds: tuple[float, float] | None
    source: str
    summary: str
    kind: Kind = "number"
    words: tuple[str, ...] = ()
    list_allowed: bool = False
    factors: tuple[float, float] | None = None
    severity_scale: Literal["linear", "log"] = "linear"
    per_episode: bool = True
    drifts: bool = False


def resolve(quantity: Quantity, value: Value, default: Value, key: str) -> Value:
    """A fixed canonical value as an absolute one.

    Args:
        quantity: what the value is of.
        value: a canonical value that is no distribution.
        default: the environment's own value, in the quantity's unit; relative values multiply it.
        key: key path for errors.

    Returns:
        The value in the quantity's unit.

    Raises:
        InvalidValueError: relative to a default of 0 or to no default.
        OutOfBoundsError: the absolute value lies outside the bounds.
    """
    if not isinstance(value, str) or quantity.kind in ("word", "name"):
        return value
    factor = float(value[1:])
    if default is None or isinstance(default, list):
        raise InvalidValueError(
            f"{quantity.name}: {value!r} is relative, but there is no default to multiply; "
            f"give an absolute value in {quantity.unit}.",
            key=key,
        )
    if default == 0 and factor != 1:
        raise InvalidValueError(
            f"{quantity.name}: {value!r} multiplies a default of 0 and would change nothing; "
            f"give an absolute value in {quantity.unit}.",
            key=key,
        )
    product = factor * default
    if quantity.kind == "integer":
        product = round(product)
    return check_bounds(quantity, cast(quantity, product, key), key, given=value)


def check_bounds(quantity: Quantity, number: Number, key: str, *, given: object = None) -> Number:
    """``number`` itself, if it lies within the bounds.

    Args:
        quantity: what the number is of.
        number: in the quantity's unit.
        key: key path for errors.
        given: what the user wrote, where that is not the number.

    Returns:
        ``number``.

    Raises:
        OutOfBoundsError: it does not; the message names bound and unit.
    """
    if quantity.bounds is None:
        return number
    low, high = quantity.bounds
    if low <= number <= high:
        return number
    side, bound = ("below the lower", low) if number < low else ("above the upper", high)
    unit = "" if quantity.unit in ("1", "") else f" {quantity.unit}"
    shown = f"{number:g}{unit}" if given is None else f"{given} = {number:g}{unit}"
    raise OutOfBoundsError(
        f"{quantity.name} = {shown} is {side} bound {bound:g}{unit}; "
        f"give a value from {low:g} to {high:g}{unit}.",
        key=key,
    )


def cast(quantity: Quantity, number: float, key: str) -> Number:
    """``number`` as the kind of number that ``quantity`` takes.

    Args:
        quantity: what the number is of.
        number: in the quantity's unit.
        key: key path for errors.

    Returns:
        An int for whole numbers, a float otherwise.

    Raises:
        InvalidValueError: whole numbers are wanted, and it is none.
    """
    if quantity.kind not in ("integer", "integers"):
        return float(number)
    if not float(number).is_integer():
        raise InvalidValueError(f"{quantity.name} must be a whole number, not {number!r}.", key=key)
    return int(number)

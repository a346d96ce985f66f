"""Values that move within an episode: ``{drift: [first, last]}``, linear over its steps.

``{drift: [x1, x2]}`` takes as long as the time limit, ``{drift: [x1, x2, 200]}`` 200 steps and then stays.
The first step is made at the first value, the last of the steps at the last one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeGuard

from rl_transfer_envs.values.quantity import Number, Quantity, resolve

DRIFT = "drift"

Drift = Mapping[str, Sequence[Number | str]]
"""``{"drift": [first, last]}`` in canonical form, perhaps with a number of steps as a third."""


def is_drift(value: object) -> TypeGuard[Drift]:
    """Whether a canonical value moves within an episode.

    Args:
        value: a canonical value.

    >>> is_drift({"drift": [0.5, 1.5]}), is_drift({"uniform": [0.5, 1.5]})
    (True, False)
    """
    return isinstance(value, Mapping) and DRIFT in value


def ends(quantity: Quantity, value: Drift, default: object, key: str) -> tuple[float, float]:
    """First and last value of a drift.

    Args:
        quantity: what the value is of.
        value: a canonical drift.
        default: the environment's own value, which relative values multiply.
        key: key path for errors.

    Returns:
        The two, in the quantity's unit.

    Raises:
        InvalidValueError: relative to a default of 0 or to no default.
        OutOfBoundsError: either lies outside the bounds.
    """
    first, last = (resolve(quantity, each, default, key) for each in value[DRIFT][:2])
    return first, last


def share(value: Drift, step: int, limit: int | None) -> float:
    """How far a drift has come.

    Args:
        value: a canonical drift.
        step: steps that were made before in this episode.
        limit: the time limit in steps; a drift without a number of steps takes as long.

    Returns:
        0 at the first step, 1 at the last and beyond.

    >>> [share({"drift": [1.0, 2.0, 5]}, step, None) for step in (0, 2, 4, 9)]
    [0.0, 0.5, 1.0, 1.0]
    """
    steps = int(value[DRIFT][2]) if len(value[DRIFT]) > 2 else limit
    return 1.0 if steps is None or steps < 2 else min(step / (steps - 1), 1.0)


def held(entry: Mapping[str, object]) -> dict[str, object]:
    """A perturbation with every drift kept at its first value.

    Args:
        entry: canonical, name → value or name → element → value.

    Returns:
        The same, without drifts.
    """
    return {name: _held(value) for name, value in entry.items()}


def _held(value: object) -> object:
    if isinstance(value, Mapping):
        return value[DRIFT][0] if DRIFT in value else held(value)
    return value

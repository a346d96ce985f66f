"""The registry of interface perturbations (wrappers), and the reading of their arguments."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from rl_transfer_envs.errors import DuplicateRegistrationError, InvalidValueError, did_you_mean
from rl_transfer_envs.registry.wrapping import Perturbation
from rl_transfer_envs.values.quantity import RESERVED
from rl_transfer_envs.values.reading import canonical_value

P = TypeVar("P", bound=type[Perturbation])

_perturbations: dict[str, type[Perturbation]] = {}


def register_perturbation(wrapper: P) -> P:
    """Class decorator: make a :class:`Perturbation` available under its ``name``.

    Raises:
        DuplicateRegistrationError: the name is taken.
    """
    if wrapper.name in _perturbations:
        raise DuplicateRegistrationError(f"perturbation {wrapper.name!r} is registered already.")
    _perturbations[wrapper.name] = wrapper
    return wrapper


def perturbations() -> Mapping[str, type[Perturbation]]:
    """The registered interface perturbations by name."""
    return MappingProxyType(_perturbations)


def canonical_arguments(wrapper: type[Perturbation], raw: Any, key: str) -> dict[str, Any]:
    """The validated arguments of ``wrapper``, without those at their default.

    Args:
        wrapper: the perturbation.
        raw: a mapping argument → value, or one value for the first argument.
        key: key path for errors.

    Raises:
        InvalidValueError, OutOfBoundsError: a bad argument; ``key`` names it.
    """
    known = {quantity.name: quantity for quantity in wrapper.arguments}
    if not isinstance(raw, Mapping) or (raw and {str(name) for name in raw} <= RESERVED):
        main = wrapper.arguments[0]
        value = canonical_value(main, raw, key)
        return {} if value == main.default else {main.name: value}
    arguments = {}
    for name, value in raw.items():
        if name not in known:
            raise InvalidValueError(
                f"{wrapper.name} has no argument {name!r}; it has {', '.join(known)}."
                f"{did_you_mean(str(name), known)}",
                key=f"{key}.{name}",
            )
        canonical = canonical_value(known[name], value, f"{key}.{name}")
        if canonical != known[name].default:
            arguments[name] = canonical
    return {name: arguments[name] for name in known if name in arguments}

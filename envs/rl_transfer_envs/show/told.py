"""What is perturbed in an environment, in words and numbers: from which value to which."""

from __future__ import annotations

import re
from collections.abc import Mapping

from rl_transfer_envs.aliases import Given
from rl_transfer_envs.build.bare import with_own_default
from rl_transfer_envs.build.specification import canonical
from rl_transfer_envs.registry.parameters import Parameter, parameters
from rl_transfer_envs.registry.perturbations import perturbations
from rl_transfer_envs.values.distributions import is_distribution
from rl_transfer_envs.values.drift import DRIFT, is_drift
from rl_transfer_envs.values.quantity import Quantity

_FACTOR = r"x[-+.\deE]+"
_MOST = 6
"""Entries of a list, or elements, that are told one by one."""


def told(spec: Given) -> list[str]:
    """Each perturbation of a specification: name, values with their unit, what it is.

    >>> told({"id": "CartPole-v1", "perturb": [{"length": "x3"}, {"action_remap": "reverse"}]})
    ["length ×3: 0.5 → 1.5 m (half the pole's length)", 'action_remap: reverse (permute discrete actions)']
    >>> told("CartPole-v1")
    []

    Args:
        spec: an environment's specification or id.

    Returns:
        A phrase for each, in the order in which they are applied.

    Raises:
        EnvError: the specification is wrong, or an environment that says its own defaults cannot be built.
    """
    full = canonical(spec)
    found = []
    for entry in full["perturb"]:
        ((name, value),) = entry.items()
        known = parameters(full["id"])
        if name in known:
            parameter = with_own_default(full["id"], full["kwargs"], known[name], "x1")
            found.append(f"{name}{_physics(parameter, value)}{_of(parameter.summary)}")
        else:
            wrapper = perturbations()[name]
            parts = [_argument(each, value) for each in wrapper.arguments if each.name in value]
            found.append(f"{name}: {', '.join(parts)}{_of(wrapper.summary)}" if parts else name)
    return found


def _of(summary: str) -> str:
    """What it is, without what follows from it."""
    first = re.split(r"[;(:]", summary, maxsplit=1)[0].strip()
    return f" ({first})" if first else ""


def _physics(parameter: Parameter, value: object) -> str:
    if isinstance(value, Mapping) and not is_distribution(value) and not is_drift(value):
        elements = [f"{name}{_physics(parameter, each)}" for name, each in value.items()]
        return f" of {_cut(elements)}"
    return _change(parameter, value)


def _change(quantity: Quantity, value: object) -> str:
    """`` ×3: 0.5 → 1.5 m``, ``: 9.8 → 1.6 m/s^2, ×0.163``, `` ×1.4``, or what is drawn or moves."""
    default, unit = quantity.default, _unit(quantity)
    known = isinstance(default, int | float) and not isinstance(default, bool)
    before = f"{_number(default)} → " if known else ""
    if isinstance(value, str) and re.fullmatch(_FACTOR, value):
        factor = float(value[1:])
        if not isinstance(default, int | float):
            return f" ×{factor:g}"
        return f" ×{factor:g}: {before}{_number(default * factor)}{unit}"
    if isinstance(value, Mapping):
        ((kind, limits),) = value.items()
        how = "moves within each episode" if kind == DRIFT else f"drawn for each episode: {kind}"
        was = f", unperturbed {_number(default)}" if known else ""
        shown = _number(_absolute(limits, default) if known else limits)
        return f" {how} {shown}{'' if '×' in shown else unit}{was}"
    times = ""
    if isinstance(default, int | float) and isinstance(value, int | float) and known and default and value:
        times = f", ×{value / default:.3g}"
    return f": {before}{_number(value)}{unit}{times}"


def _absolute(value: object, default: object) -> object:
    """``x2`` of the default, wherever in a list it stands."""
    if isinstance(value, list):
        return [_absolute(each, default) for each in value]
    relative = isinstance(value, str) and re.fullmatch(_FACTOR, value) and isinstance(default, int | float)
    return float(str(value)[1:]) * float(str(default)) if relative else value


def _argument(quantity: Quantity, given: Mapping[str, object]) -> str:
    """One argument of a wrapper; the first one is what the wrapper is about, the others have names."""
    value = given[quantity.name]
    if quantity.kind in ("word", "name", "names", "flag") or isinstance(value, list):
        return f"{_number(value)}" if quantity.kind != "flag" else f"{quantity.name} {value}".lower()
    change = _change(quantity, value).replace(": ", " ", 1).strip()
    return change if quantity.name == quantity.unit else f"{quantity.name} {change}"


def _unit(quantity: Quantity) -> str:
    unit = quantity.unit.partition(" (")[0]
    return "" if unit in ("", "1") or unit.startswith("as the environment") else f" {unit}"


def _number(value: object) -> str:
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, int | float):
        return f"{value:g}"
    if isinstance(value, list):
        return f"[{_cut([_number(each) for each in value])}]"
    return str(value).replace("x", "×") if re.fullmatch(_FACTOR, str(value)) else str(value)


def _cut(parts: list[str]) -> str:
    more = f" and {len(parts) - _MOST} more" if len(parts) > _MOST else ""
    return f"{', '.join(parts[:_MOST])}{more}"

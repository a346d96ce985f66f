"""The registry of physics parameters: what can be changed on an environment, and how.

A parameter writes to ``env.unwrapped`` only, on one instance, before every reset at which
its value changes; ``derive`` then recomputes whatever the environment cached from it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from rl_transfer_envs.aliases import Simulator, Value
from rl_transfer_envs.errors import DuplicateRegistrationError, EnvError
from rl_transfer_envs.registry.perturbations import perturbations
from rl_transfer_envs.values.quantity import Quantity

ANY_ENVIRONMENT = "*"


@dataclass(frozen=True, kw_only=True)
class Parameter(Quantity):
    """A physics parameter of one family of environments.

    Attributes:
        get: ``get(env.unwrapped)`` → the present value; for a keyed parameter a mapping
            element → value.
        set: ``set(env.unwrapped, value)`` writes an absolute value (keyed: a mapping with
            the elements to change). None for a parameter that lives in ``reset_options``.
        derive: ``derive(env.unwrapped)`` recomputes cached quantities and spaces; called once
            after all parameters are set, however many share the same function.
        keyed: whether the value is per element (body, joint, attribute path).
        free_elements: keyed, and the elements cannot be listed (attribute paths).
        entry_point: ``"module:Class"`` that replaces the environment's own entry point while
            this parameter is perturbed, for literals buried in the environment's equations.
            Must be bit-equal to the original at default values.
        reset_options: value → options handed to ``reset``, for parameters Gymnasium reads there.
        note_multiples: keyed only: gets ``env.unwrapped`` and the elements whose value multiplies their
            default, before ``set``. Where other parameters move that default (a longer link is
            heavier), it is the moved one that is multiplied.
        probes: names of probe policies to try first (see ``registry.probes``).
        drifts: whether it may be written within an episode: never in ``reset_options`` or where it is a whole
            number, and False for what the environment reads when it is built or reset.
    """

    get: Callable[[Simulator], Value]
    set: Callable[[Simulator, Value], None] | None = None
    derive: Callable[[Simulator], None] | None = None
    keyed: bool = False
    free_elements: bool = False
    entry_point: str | None = None
    reset_options: Callable[[Value], dict[str, Value]] | None = None
    note_multiples: Callable[[object, Collection[str]], None] | None = None
    probes: tuple[str, ...] = ()
    drifts: bool = True

    def __post_init__(self) -> None:
        if self.set is None and self.reset_options is None:
            raise EnvError(f"parameter {self.name!r} needs a setter or reset options.")
        if self.set is None or self.kind == "integer":
            object.__setattr__(self, "drifts", False)


_parameters: dict[str, dict[str, Parameter]] = {}


def register_parameter(env_id: str | Sequence[str], *several: Parameter) -> None:
    """Make parameters available on one or several environments.

    A user's own environment module calls this beside ``gymnasium.register``::

        register_parameter(
            "MyCar-v0",
            attribute_parameter(
                "wheel_radius", "wheel.radius", unit="m", default=0.3, bounds=(0.1, 1.0),
                source="my_pkg/car.py", summary="radius of all wheels",
                derive=lambda car: car.recompute_gear_ratio(),
            ),
        )

    Args:
        env_id: Gymnasium id(s), or ``"*"`` for every environment.
        several: see :class:`Parameter`; ``derive`` is the hook for derived values.

    Raises:
        DuplicateRegistrationError: a name is taken on that environment.
    """
    ids = [env_id] if isinstance(env_id, str) else list(env_id)
    for parameter in several:
        for one in ids:
            taken = {**_parameters.get(one, {}), **_parameters.get(ANY_ENVIRONMENT, {}), **perturbations()}
            if parameter.name in taken:
                raise DuplicateRegistrationError(f"{one}: {parameter.name!r} is registered already.")
        for one in ids:
            _parameters.setdefault(one, {})[parameter.name] = parameter


def attribute_parameter(
    name: str,
    attribute: str | None = None,
    *,
    unit: str,
    default: float,
    bounds: tuple[float, float],
    source: str,
    summary: str,
    **more: Any,
) -> Parameter:
    """A parameter that is one number at an attribute path of ``env.unwrapped``.

    Args:
        name: as it is written in a specification.
        attribute: dotted path; the name itself if not given.
        unit: SI unit, ``"1"`` for a pure number.
        default: the environment's own value.
        bounds: smallest and largest value accepted.
        source: where default and meaning come from.
        summary: one line.
        more: further fields of :class:`Parameter`.

    Returns:
        The parameter, to be registered.
    """
    *parents, last = (attribute or name).split(".")

    def owner(env: Simulator) -> Simulator:
        for parent in parents:
            env = getattr(env, parent)
        return env

    return Parameter(
        name=name,
        unit=unit,
        default=default,
        bounds=bounds,
        source=source,
        summary=summary,
        get=lambda env: getattr(owner(env), last),
        set=lambda env, value: setattr(owner(env), last, value),
        **more,
    )


def parameters(env_id: str) -> Mapping[str, Parameter]:
    """The physics parameters of an environment.

    Args:
        env_id: Gymnasium id.

    Returns:
        By name; empty if none are registered. Those for every environment (``attribute`` …) come last.

    >>> sorted(parameters("CartPole-v1"))[:3]
    ['attribute', 'force_mag', 'gravity']
    """
    own = _parameters.get(env_id, {})
    return MappingProxyType({**own, **_parameters.get(ANY_ENVIRONMENT, {})})


def own_parameters(env_id: str) -> Mapping[str, Parameter]:
    """The parameters registered for exactly one environment, by name.

    Args:
        env_id: Gymnasium id.
    """
    return MappingProxyType(_parameters.get(env_id, {}))


def environments() -> list[str]:
    """Ids of all environments with registered physics parameters, sorted."""
    return sorted(name for name in _parameters if name != ANY_ENVIRONMENT)

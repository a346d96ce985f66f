"""The specification of a perturbed environment: plain JSON, validated and normalised.

{"id": "CartPole-v1", "kwargs": {}, "perturb": [{"length": 1.5}, {"action_delay": 2}],
 "env_module": "my_pkg.envs"}
"""

from __future__ import annotations

import contextlib
import importlib
import json
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from types import MappingProxyType
from typing import Any

import gymnasium as gym

from rl_transfer_envs.aliases import Entry, Given, Spec, Value
from rl_transfer_envs.build.bare import with_own_default
from rl_transfer_envs.build.moved import MOVED
from rl_transfer_envs.errors import (
    InvalidSpecError,
    MissingExtraError,
    UnknownEnvironmentError,
    UnknownParameterError,
    did_you_mean,
)
from rl_transfer_envs.registry.parameters import Parameter, environments, parameters
from rl_transfer_envs.registry.perturbations import perturbations
from rl_transfer_envs.values.distributions import RESERVED
from rl_transfer_envs.values.reading import canonical_arguments, canonical_value

ENTRY_POINT_GROUP = "rl_transfer_envs"
OWN_ENTRY_POINT = "rl_transfer_envs.build.ids:make_registered"
_KEYS = ("id", "kwargs", "perturb", "env_module")

_module_of: dict[str, str] = {}


def canonical(spec: Given) -> Spec:
    """The normalised, validated form of ``spec``: equal dictionaries build equal environments.

    Ids of the form ``module:Id`` become ``env_module`` and ``id``; ids that this package
    registers are expanded into base and perturbations; severities become numbers; arguments at
    their default, or as registered, are dropped; physics comes first, then the time limit, then
    the wrappers in the given order, the first one innermost.

    Args:
        spec: a mapping as above, or just an id.

    Returns:
        A JSON-able dictionary with the keys ``id``, ``kwargs``, ``perturb`` and, if there is
        one, ``env_module``.

    Raises:
        EnvError: the subclass says what is wrong, ``key`` says where.
    """
    return canonical_with_positions(spec)[0]


def canonical_with_positions(spec: Given) -> tuple[Spec, list[int]]:
    """:func:`canonical`, and where its perturbations come from.

    Args:
        spec: a mapping as above, or just an id.

    Returns:
        The canonical specification, and for each entry of its ``perturb`` the position it was given at.

    Raises:
        EnvError: as :func:`canonical`.
    """
    given = _mapping(spec)
    env_id, module = _identify(given)
    import_module(module)
    base = _expand(_known(env_id), given.get("kwargs", {}))
    own = len(base["perturb"])
    entries = [
        canonical_entry(base["id"], entry, f"perturb.{i}", base["kwargs"])
        for i, entry in enumerate(_sequence(given.get("perturb", [])))
    ]
    entries = [*base["perturb"], *entries]
    order = _order(base["id"], entries, own)
    result: Spec = {
        "id": base["id"],
        "kwargs": _json(base["kwargs"], "kwargs"),
        "perturb": [entries[i] for i in order],
    }
    positions = [i - own if given.get("perturb") else i for i in order]
    module = base.get("env_module", module)
    if module is None:
        return result, positions
    _module_of[base["id"]] = module
    return {**result, "env_module": module}, positions


def canonical_entry(
    env_id: str, entry: object, key: str, kwargs: Mapping[str, object] = MappingProxyType({})
) -> Entry:
    """One validated perturbation.

    Args:
        env_id: the environment it is for.
        entry: ``{name: value}`` as a user gives it.
        key: key path for errors.
        kwargs: constructor arguments; a severity goes by what the environment has under them.

    Returns:
        ``{name: canonical value}``.

    Raises:
        InvalidSpecError: not one name with one value.
        UnknownParameterError: no parameter or perturbation of that name.
        InvalidValueError: a malformed value.
        OutOfBoundsError: a value outside its bounds.
    """
    if isinstance(entry, str) or not isinstance(entry, Mapping) or len(entry) != 1:
        raise InvalidSpecError(
            f"a perturbation is one name and one value, such as {{length: 1.5}}, not {entry!r}.", key=key
        )
    ((name, raw),) = entry.items()
    physics, wrappers = parameters(env_id), perturbations()
    if name in physics:
        parameter = with_own_default(env_id, kwargs, physics[name], raw)
        return {name: _physics_value(parameter, raw, f"{key}.{name}")}
    if name in wrappers:
        wrapper = wrappers[name]
        return {name: canonical_arguments(name, wrapper.arguments, raw, f"{key}.{name}")}
    known = [*physics, *wrappers]
    raise UnknownParameterError(
        f"{env_id} has no parameter or perturbation {name!r}.{did_you_mean(str(name), known)} "
        f"Physics: {', '.join(physics) or 'none'}; wrappers: {', '.join(wrappers)}.",
        key=f"{key}.{name}",
    )


def is_physics(env_id: str, name: str) -> bool:
    """Whether a name is a physics parameter of an environment (otherwise it is a wrapper).

    Args:
        env_id: Gymnasium id.
        name: of a perturbation.
    """
    return name in parameters(env_id)


def module_of(env_id: str) -> str | None:
    """The module that a specification of this process named for ``env_id``, if any did.

    Args:
        env_id: Gymnasium id.
    """
    return _module_of.get(env_id)


def import_module(module: str | None) -> None:
    """Import the module that registers a user's environments.

    Args:
        module: its dotted name, or None for no module.

    Raises:
        InvalidSpecError: the module does not exist, or fails while it is imported.
        MissingExtraError: the module exists but needs another one that is not installed.
    """
    if module is None:
        return
    try:
        with contextlib.chdir("."):  # a module may change the current folder
            importlib.import_module(MOVED.get(module, module))
    except ModuleNotFoundError as error:
        missing = error.name or module
        if module == missing or module.startswith(f"{missing}."):
            raise InvalidSpecError(
                f"env_module {module!r} cannot be imported: there is no module {missing!r} on the path; "
                "install it, start from its folder, or put it beside the YAML file that names it.",
                key="env_module",
            ) from error
        raise MissingExtraError(
            f"env_module {module!r} needs {missing!r}; pip install {missing.split('.')[0]}.",
            key="env_module",
        ) from error
    except (Exception, SystemExit) as error:
        raise InvalidSpecError(
            f"env_module {module!r} fails on import with {type(error).__name__}: {error}", key="env_module"
        ) from error


def _mapping(spec: Given) -> Mapping[str, Any]:
    if isinstance(spec, str):
        return {"id": spec}
    if not isinstance(spec, Mapping):
        raise InvalidSpecError(f"an environment is an id or a mapping with an id, not {spec!r}.")
    for key in spec:
        if key not in _KEYS:
            raise InvalidSpecError(
                f"unknown key {key!r}; an environment has {', '.join(_KEYS)}.{did_you_mean(str(key), _KEYS)}",
                key=str(key),
            )
    return spec


def _identify(spec: Mapping[str, Any]) -> tuple[str, str | None]:
    env_id, module = spec.get("id"), spec.get("env_module")
    if not isinstance(env_id, str) or not env_id:
        raise InvalidSpecError(
            f"id must name an environment such as 'CartPole-v1', not {env_id!r}.", key="id"
        )
    if module is not None and not isinstance(module, str):
        raise InvalidSpecError(f"env_module must be a module name, not {module!r}.", key="env_module")
    prefix, colon, name = env_id.rpartition(":")
    if not colon:
        return env_id, module
    if module is not None and module != prefix:
        raise InvalidSpecError(
            f"id names the module {prefix!r}, env_module {module!r}; give one of them.", key="env_module"
        )
    return name, prefix


def _known(env_id: str) -> str:
    if env_id in gym.registry:
        return env_id
    for entry_point in entry_points(group=ENTRY_POINT_GROUP):
        entry_point.load()
    if env_id in gym.registry:
        return env_id
    raise UnknownEnvironmentError(
        f"no environment {env_id!r} is registered.{did_you_mean(env_id, gym.registry)} "
        f"{len(environments())} have registered parameters (rl-transfer envs list); "
        "an environment of your own needs env_module (the module that registers it).",
        key="id",
    )


def _expand(env_id: str, kwargs: Any) -> Spec:
    """Base and perturbations of an id that this package registers; others unchanged."""
    if not isinstance(kwargs, Mapping):
        raise InvalidSpecError(
            f"kwargs must be a mapping of constructor arguments, not {kwargs!r}.", key="kwargs"
        )
    registered = gym.registry[env_id]
    if registered.entry_point != OWN_ENTRY_POINT:
        known = registered.kwargs
        own = {name: value for name, value in kwargs.items() if name not in known or known[name] != value}
        return {"id": env_id, "kwargs": own, "perturb": []}
    merged = {**registered.kwargs, **kwargs}
    base = merged.pop("base", None)
    if base is None:
        raise InvalidSpecError(f"{env_id} needs base: the environment to perturb.", key="kwargs.base")
    inner = merged.pop("perturb", [])
    base = {"id": base} if isinstance(base, str) else dict(base)
    return canonical({**base, "kwargs": {**base.get("kwargs", {}), **merged}, "perturb": inner})


def _sequence(perturb: object) -> Sequence[object]:
    if isinstance(perturb, str | Mapping) or not isinstance(perturb, Sequence):
        raise InvalidSpecError(
            f"perturb must be a list such as [{{length: 1.5}}, {{action_delay: 2}}], not {perturb!r}.",
            key="perturb",
        )
    return perturb


def _physics_value(parameter: Parameter, raw: object, key: str) -> Value:
    if not parameter.keyed:
        return canonical_value(parameter, raw, key)
    if isinstance(raw, Mapping) and not {str(name) for name in raw} <= RESERVED:
        return {str(name): canonical_value(parameter, value, f"{key}.{name}") for name, value in raw.items()}
    if parameter.free_elements:
        raise InvalidSpecError(f"{parameter.name} needs a mapping of name → value, not {raw!r}.", key=key)
    return canonical_value(parameter, raw, key)


def _order(env_id: str, entries: list[Entry], own: int) -> list[int]:
    """Positions of physics, time limit, wrappers; physics parameters may stand once."""
    ranks: list[int] = []
    seen: set[str] = set()
    for i, entry in enumerate(entries):
        (name,) = entry
        ranks.append(0 if is_physics(env_id, name) else 1 if name == "time_limit" else 2)
        if ranks[-1] < 2 and name in seen:
            raise InvalidSpecError(
                f"{name} is given twice; a parameter has one value.", key=f"perturb.{i - own}.{name}"
            )
        seen.add(name)
    return sorted(range(len(entries)), key=ranks.__getitem__)


def _json(value: object, key: str) -> Value:
    try:
        return json.loads(json.dumps(value, allow_nan=False))
    except (TypeError, ValueError) as error:
        raise InvalidSpecError(f"{key} must be plain JSON values: {error}.", key=key) from error

"""From a specification to an environment, and back."""

from __future__ import annotations

import pkgutil

import gymnasium as gym

from rl_transfer_envs.aliases import Entry, Env, Given, Spec
from rl_transfer_envs.build.bare import bare
from rl_transfer_envs.build.specification import (
    canonical,
    canonical_with_positions,
    is_physics,
    module_of,
)
from rl_transfer_envs.errors import (
    EnvError,
    InvalidSpecError,
    key_prefix,
)
from rl_transfer_envs.registry.perturbations import Perturbation, perturbations
from rl_transfer_envs.registry.wrapping import layers, time_limit
from rl_transfer_envs.wrappers.physics import Physics

_TRANSPARENT = {
    "PassiveEnvChecker",
    "OrderEnforcing",
    "TimeLimit",
    "Monitor",
    "RecordEpisodeStatistics",
    "RecordVideo",
    "HumanRendering",
    "RenderCollection",
}


def make(spec: Given, render_mode: str | None = None) -> Env:
    """The environment that ``spec`` describes: Gymnasium's own, plus the perturbations.

    Args:
        spec: ``{"id": …, "kwargs": {…}, "perturb": […], "env_module": …}`` or an id.
        render_mode: as in ``gymnasium.make``.

    Returns:
        An environment that never shares state with another one; without perturbations
        exactly what ``gymnasium.make`` returns.

    Raises:
        EnvError: unknown, out of bounds, incompatible or missing; ``key`` says where.
    """
    full, positions = canonical_with_positions(spec)
    try:
        return build(full, render_mode)
    except EnvError as error:
        error.key = _as_given(error.key, positions)
        raise


def spec_of(env: Env) -> Spec:
    """The canonical specification from which ``env`` can be rebuilt by :func:`make`.

    Args:
        env: an environment, wrapped by nothing but this package and what changes no number.

    Returns:
        The specification, as :func:`rl_transfer_envs.canonical` gives it.

    Raises:
        InvalidSpecError: the environment is unregistered, or wrapped by something that
            changes it and is none of this package's.
    """
    base = env.unwrapped.spec
    if base is None:
        raise InvalidSpecError(f"{env} was not made through Gymnasium's registry, so it cannot be rebuilt.")
    kwargs = {name: value for name, value in base.kwargs.items() if name != "render_mode"}
    spec = canonical({"id": base.id, "kwargs": kwargs})
    perturb: list[Entry] = []
    registered = _additional(env)
    for layer in layers(env):
        if layer not in registered:
            perturb = [*_entries_of(layer), *perturb]
    if not any("time_limit" in entry for entry in perturb):
        perturb += _changed_limit(env, gym.registry[spec["id"]].max_episode_steps)
    module = module_of(spec["id"])
    named = {} if module is None else {"env_module": module}
    return canonical({**spec, "perturb": perturb, **named})


def build(spec: Spec, render_mode: str | None = None) -> Env:
    """:func:`make` for a specification that is canonical already.

    Args:
        spec: the specification.
        render_mode: as in ``gymnasium.make``.

    Returns:
        The environment.

    Raises:
        EnvError: as :func:`make`, with keys into the canonical specification.
    """
    env = bare(spec, render_mode)
    physics = [entry for entry in spec["perturb"] if is_physics(spec["id"], _name(entry))]
    try:
        if physics:
            env = Physics(env, perturb=physics)
        for i, entry in enumerate(spec["perturb"][len(physics) :], start=len(physics)):
            ((name, arguments),) = entry.items()
            with key_prefix(f"perturb.{i}"):
                env = perturbations()[name](env, **arguments)
    except EnvError:
        env.close()
        raise
    return env


def _as_given(key: str | None, positions: list[int]) -> str | None:
    """A key into the canonical ``perturb`` list as a key into the list that was given."""
    parts = (key or "").split(".")
    if parts[0] != "perturb" or len(parts) < 2:
        return key
    return ".".join(["perturb", str(positions[int(parts[1])]), *parts[2:]])


def _name(entry: Entry) -> str:
    (name,) = entry
    return name


def _entries_of(layer: Env) -> list[Entry]:
    if isinstance(layer, Physics):
        return [dict(entry) for entry in layer._saved_kwargs["perturb"]]
    if isinstance(layer, Perturbation):
        return [{layer.name: dict(layer._saved_kwargs)}]
    if isinstance(layer, gym.Wrapper) and type(layer).__name__ not in _TRANSPARENT:
        raise InvalidSpecError(
            f"the wrapper {type(layer).__name__} is none of this package's, so the environment "
            "cannot be rebuilt from JSON; take spec_of before adding it."
        )
    return []


def _additional(env: Env) -> list[Env]:
    """The wrappers that the registry itself puts around the environment, innermost first."""
    spec = env.unwrapped.spec
    expected = list(gym.registry[spec.id].additional_wrappers) if spec else []
    found: list[Env] = []
    for layer in reversed(list(layers(env))):
        if expected and type(layer) is pkgutil.resolve_name(expected[0].entry_point):
            found.append(layer)
            expected.pop(0)
    return found


def _changed_limit(env: Env, registered: int | None) -> list[Entry]:
    limit = time_limit(env)
    return [{"time_limit": limit}] if limit is not None and limit != registered else []

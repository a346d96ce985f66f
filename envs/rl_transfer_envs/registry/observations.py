"""Names of the entries of vector observations, so that people need not count them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gymnasium as gym

from rl_transfer_envs.aliases import Env
from rl_transfer_envs.errors import DuplicateRegistrationError

Names = tuple[str, ...]
Naming = Callable[[object], Sequence[str] | None]
"""``env.unwrapped`` → its names, for environments whose model or arguments decide."""

_registered: dict[str, Sequence[str] | Naming] = {}


def register_observation_names(env_id: str | Sequence[str], names: Sequence[str] | Naming) -> None:
    """Name the entries of an environment's observations.

    An environment of your own can also have an attribute ``observation_names``.

    Args:
        env_id: Gymnasium id(s).
        names: one per entry, or a function that reads them off ``env.unwrapped``.

    Raises:
        DuplicateRegistrationError: the environment's observations have names already.
    """
    for one in [env_id] if isinstance(env_id, str) else env_id:
        if one in _registered:
            raise DuplicateRegistrationError(f"{one}: its observations are named already.")
        _registered[one] = names


def observation_names(env: Env) -> Names | None:
    """The names of an environment's observation entries, perturbations included.

    What reorders or removes entries reorders or removes their names; entries that it appends are called
    ``distractor_0`` and so on. A wrapper that changes the shape in another way takes the names away.

    >>> import rl_transfer_envs
    >>> rl_transfer_envs.observation_names(rl_transfer_envs.make({"id": "CartPole-v1"}))
    ('cart_position', 'cart_velocity', 'pole_angle', 'pole_angular_velocity')

    Args:
        env: as Gymnasium or this package makes it.

    Returns:
        One name per entry of a vector observation; None where nobody named them.
    """
    base = env.unwrapped
    spec = base.spec
    known = _registered.get(str(spec.kwargs.get("base", spec.id))) if spec is not None else None
    found = getattr(base, "observation_names", None) or (known(base) if callable(known) else known)
    names = None if found is None else tuple(found)
    for layer in reversed(_layers(env)):
        if names is not None and hasattr(layer, "renamed"):
            names = layer.renamed(names)
        shape = layer.observation_space.shape
        if names is None or shape is None or shape != (len(names),):
            return None
    return names


def _layers(env: Env) -> list[Env]:
    """The environment and everything that it wraps, outermost first."""
    found = [env]
    while isinstance(found[-1], gym.Wrapper):
        found.append(found[-1].env)
    return found

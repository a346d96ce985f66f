"""Environment ids for ``gymnasium.make("rl_transfer_envs:…")``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium as gym

from rl_transfer_envs.aliases import Entry, Env, Given, Value
from rl_transfer_envs.build.make import make
from rl_transfer_envs.build.specification import OWN_ENTRY_POINT

VARIANTS: dict[str, dict[str, Value]] = {
    "CartPoleLongPole-v1": {"base": "CartPole-v1", "perturb": [{"length": "x3"}]},
    "CartPoleWeakMotor-v1": {"base": "CartPole-v1", "perturb": [{"force_mag": "x0.5"}]},
    "CartPoleReversed-v1": {"base": "CartPole-v1", "perturb": [{"action_remap": "reverse"}]},
    "CartPoleNoisy-v1": {"base": "CartPole-v1", "perturb": [{"observation_noise": 0.05}]},
}
NEW: dict[str, dict[str, Value]] = {
    "PixelCatch-v0": {
        "entry_point": "rl_transfer_envs.physics.pixels.equations:PixelCatch",
        "reward_threshold": 9.0,
        "max_episode_steps": 1000,
    },
}


def make_registered(
    base: Given,
    perturb: Sequence[Entry] = (),
    render_mode: str | None = None,
    **kwargs: Any,
) -> Env:
    """Entry point of the registered ids: base environment, its arguments, perturbations.

    Args:
        base: id (``module:Id`` allowed) or specification of the base environment.
        perturb: perturbations as in a specification.
        render_mode: as in ``gymnasium.make``.
        kwargs: constructor arguments of the base environment.

    Returns:
        The perturbed environment.

    Raises:
        EnvError: as :func:`rl_transfer_envs.make`.
    """
    spec: dict[str, Value] = {"id": base} if isinstance(base, str) else dict(base)
    inner = [*spec.get("perturb", []), *perturb]
    return make({**spec, "kwargs": {**spec.get("kwargs", {}), **kwargs}, "perturb": inner}, render_mode)


def register_ids() -> None:
    """Register this package's own environments, ``Perturbed-v0`` and the named variants, once."""
    for env_id, arguments in NEW.items():
        if env_id not in gym.registry:
            gym.register(env_id, **arguments)
    for env_id, kwargs in {"Perturbed-v0": {}, **VARIANTS}.items():
        if env_id in gym.registry:
            continue
        base = gym.registry.get(str(kwargs.get("base")))
        gym.register(
            env_id,
            entry_point=OWN_ENTRY_POINT,
            # The named variants are classic control, which has batched versions.
            vector_entry_point="rl_transfer_envs.vector:make_registered" if kwargs else None,
            kwargs=dict(kwargs),
            reward_threshold=base.reward_threshold if base else None,
            order_enforce=False,
            disable_env_checker=True,
        )

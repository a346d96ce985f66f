"""``gymnasium.make_vec`` for this package's ids."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
from gymnasium.vector import AutoresetMode

from rl_transfer_envs.aliases import Entry, Given
from rl_transfer_envs.build.specification import OWN_ENTRY_POINT, canonical
from rl_transfer_envs.errors import EnvError, InvalidSpecError
from rl_transfer_envs.vector.environment import BatchedVectorEnv

ENTRY_POINT = "rl_transfer_envs.vector:make_registered"
CLASSIC = ("CartPole", "Acrobot", "MountainCar", "Pendulum")


def make(
    specs: Given | Sequence[Given],
    num_envs: int | None = None,
    *,
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    render_mode: str | None = None,
) -> BatchedVectorEnv:
    """A batched vector environment.

    Args:
        specs: one specification (or id) for all instances, or one per instance, for example eight
            CartPoles with eight pole lengths.
        num_envs: how many instances; 1 for a single specification if not given.
        autoreset_mode: when finished instances begin a new episode.
        render_mode: None or ``"rgb_array"``.

    Returns:
        The vector environment.

    Raises:
        InvalidSpecError: ``num_envs`` contradicts the number of specifications.
        IncompatiblePerturbationError: an environment or perturbation does not vectorise.
        EnvError: a specification is wrong.
    """
    if num_envs is not None and (isinstance(num_envs, bool) or not isinstance(num_envs, int) or num_envs < 1):
        raise InvalidSpecError(f"num_envs must be a whole number from 1 on, not {num_envs!r}.")
    if isinstance(specs, str | Mapping):
        try:
            return BatchedVectorEnv([canonical(specs)] * (num_envs or 1), autoreset_mode, render_mode)
        except EnvError as error:
            error.key = (error.key or "").removeprefix("0").removeprefix(".") or None
            raise
    if num_envs is not None and num_envs != len(specs):
        raise InvalidSpecError(f"num_envs is {num_envs}, but {len(specs)} specifications were given.")
    return BatchedVectorEnv(specs, autoreset_mode, render_mode)


def make_registered(
    num_envs: int = 1,
    *,
    base: Given | None = None,
    perturb: Sequence[Entry] = (),
    autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
    render_mode: str | None = None,
    **kwargs: Any,
) -> BatchedVectorEnv:
    """Entry point of ``gymnasium.make_vec``.

    Args:
        num_envs: how many instances.
        base: id or specification of the base environment.
        perturb: perturbations as in a specification.
        autoreset_mode: when finished instances begin a new episode.
        render_mode: None or ``"rgb_array"``.
        kwargs: constructor arguments of the base environment.

    Returns:
        The vector environment.

    Raises:
        EnvError: as :func:`make`.
    """
    given = {} if base is None else {"base": base}
    spec = {"id": "Perturbed-v0", "kwargs": {**given, "perturb": list(perturb), **kwargs}}
    return make(spec, num_envs, autoreset_mode=autoreset_mode, render_mode=render_mode)


def register() -> None:
    """Let ``make_vec`` find the batched versions of this package's classic-control ids."""
    for spec in gym.registry.values():
        if spec.entry_point == OWN_ENTRY_POINT and _is_classic(spec.kwargs.get("base")):
            spec.vector_entry_point = ENTRY_POINT


def _is_classic(base: Given | None) -> bool:
    """Whether a registered id can have a batched version; one without a base may get any."""
    if base is None:
        return True
    base_id = base if isinstance(base, str) else str(base.get("id"))
    return base_id.rpartition(":")[2].startswith(CLASSIC)

"""One instance of a batch: Gymnasium's own environment, taken apart into what can be batched.

The environment is built exactly as a single one would be. It keeps its random streams, resets,
drawn parameters and wrapper objects; only its steps are computed elsewhere, for all instances at
once. So seeds, start states and draws are those of the single environment by construction.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gymnasium.wrappers import OrderEnforcing, PassiveEnvChecker
from gymnasium.wrappers import TimeLimit as GymnasiumTimeLimit

from rl_transfer_envs.aliases import Env, Given, Simulator
from rl_transfer_envs.build.make import make
from rl_transfer_envs.errors import IncompatiblePerturbationError
from rl_transfer_envs.registry.perturbations import Perturbation
from rl_transfer_envs.registry.wrapping import layers
from rl_transfer_envs.vector.kernels import KERNELS
from rl_transfer_envs.vector.kernels.base import USE_SYNC
from rl_transfer_envs.wrappers.physics import Physics
from rl_transfer_envs.wrappers.time_limit import TimeLimit

NO_LIMIT = 2**62
_INNER = (Physics, TimeLimit, GymnasiumTimeLimit, OrderEnforcing, PassiveEnvChecker)


@dataclass(frozen=True)
class Instance:
    """An environment and its parts.

    Attributes:
        env: the whole environment, as :func:`rl_transfer_envs.make` returns it.
        inner: ``env`` without the wrappers between agent and environment; its ``reset`` draws
            per-episode physics and the start state.
        base: ``env.unwrapped``.
        wrappers: the perturbations between agent and environment, from the inside out.
        timers: the time limits.
    """

    env: Env
    inner: Env
    base: Simulator
    wrappers: tuple[Perturbation, ...]
    timers: tuple[GymnasiumTimeLimit[Any, Any], ...]

    def limit(self) -> int:
        """Steps after which the present episode is truncated."""
        return min((timer._max_episode_steps for timer in self.timers), default=NO_LIMIT)

    def elapse(self, steps: int) -> None:
        """Tell the time limits how far the present episode is.

        Args:
            steps: since its reset.
        """
        for timer in self.timers:
            timer._elapsed_steps = steps  # type: ignore[assignment]  # None before the first reset


def build(spec: Given, render_mode: str | None) -> Instance:
    """The instance that a specification describes.

    Args:
        spec: the specification.
        render_mode: as in ``gymnasium.make``.

    Returns:
        The instance, built but not reset.

    Raises:
        IncompatiblePerturbationError: the environment has no batched equations, or something
            wraps it that is none of this package's.
        EnvError: the specification is wrong.
    """
    env = make(spec, render_mode)
    try:
        return take_apart(env)
    except IncompatiblePerturbationError:
        env.close()
        raise


def take_apart(env: Env) -> Instance:
    """The parts of an environment.

    Args:
        env: as :func:`rl_transfer_envs.make` returns it; it is not changed.

    Returns:
        The instance.

    Raises:
        IncompatiblePerturbationError: the environment has no batched equations, or something
            wraps it that is none of this package's.
    """
    found: list[Perturbation] = []
    inner = env
    while isinstance(inner, Perturbation) and not isinstance(inner, TimeLimit):
        found.append(inner)
        inner = inner.env
    _check(env, inner)
    timers = tuple(layer for layer in layers(inner) if isinstance(layer, GymnasiumTimeLimit))
    return Instance(env, inner, env.unwrapped, tuple(reversed(found)), timers)


def _check(env: Env, inner: Env) -> None:
    base = env.unwrapped
    label = base.spec.id if base.spec else type(base).__name__
    if type(base) not in KERNELS:
        known = ", ".join(sorted({kernel.environment for kernel in KERNELS.values()}))
        raise IncompatiblePerturbationError(
            f"{label} ({type(base).__name__}) has no batched equations; {known} have. {USE_SYNC}",
            key="id",
        )
    for layer in layers(inner):
        if isinstance(layer, Physics) and layer.drifting:
            raise IncompatiblePerturbationError(
                f"{label} has physics that drift within an episode, and a batch reads physics at "
                f"resets only. {USE_SYNC}",
                key="perturb",
            )
        if layer is not base and not isinstance(layer, _INNER):
            raise IncompatiblePerturbationError(
                f"{label} is wrapped by {type(layer).__name__}, which does not vectorise. {USE_SYNC}",
                key="id",
            )

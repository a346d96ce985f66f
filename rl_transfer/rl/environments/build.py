"""From an environment config to Gymnasium and SB3 environments, with errors for people."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

import rl_transfer_envs
from rl_transfer.errors import EnvironmentSpecError
from rl_transfer.rl.environments.batch import BatchedVecEnv
from rl_transfer.rl.environments.described import as_spec, translate
from rl_transfer.rl.environments.spaces import Env
from rl_transfer.spec import Environment

VECTORIZATION = "training.vectorization"

Wrapper = Callable[[Env], Env]


def observation_names(config: Environment) -> tuple[str, ...] | None:
    """The names of an environment's observation entries, perturbations included.

    Args:
        config: the environment and its perturbations.

    Returns:
        One per entry of a vector observation; None where nobody named them.

    Raises:
        EnvironmentSpecError: it cannot be built.
        MissingExtraError: it needs an extra that is not installed.
    """
    env = make_env(config)
    names = rl_transfer_envs.observation_names(env)
    env.close()
    return names


def make_env(config: Environment, render_mode: str | None = None, key: str | None = None) -> Env:
    """Build one perturbed environment.

    Args:
        config: the environment and its perturbations.
        render_mode: passed to Gymnasium.
        key: where the config stands in the user's file, for error messages.

    Returns:
        The environment, not yet reset.

    Raises:
        EnvironmentSpecError: it cannot be built.
        MissingExtraError: it needs an extra that is not installed.
    """
    try:
        return rl_transfer_envs.make(as_spec(config), render_mode=render_mode)
    except rl_transfer_envs.EnvError as error:
        raise translate(error, key) from None


def make_vec_env(
    config: Environment,
    n_envs: int,
    wrappers: Sequence[Wrapper] = (),
    vectorization: Literal["sync", "batched"] = "sync",
) -> VecEnv:
    """``n_envs`` monitored copies of the environment, stepped in lockstep in this process.

    Args:
        config: the environment.
        n_envs: how many.
        wrappers: put around each copy, the first one innermost.
        vectorization: ``sync`` steps the copies one after another; ``batched`` steps them at once,
            to the same numbers, where environment and perturbations have a batched form.

    Returns:
        The environments.

    Raises:
        EnvironmentSpecError: the environment cannot be built or, at ``training.vectorization``, it
            has no batched form or wrappers are given for single copies.
    """
    if vectorization == "batched":
        return _batched(config, n_envs, wrappers)

    def build() -> Env:
        env = make_env(config)
        for wrap in wrappers:
            env = wrap(env)
        return Monitor(env)

    return DummyVecEnv([build for _ in range(n_envs)])


def _batched(config: Environment, n_envs: int, wrappers: Sequence[Wrapper]) -> BatchedVecEnv:
    if wrappers:
        raise EnvironmentSpecError(
            "training.vectorization is batched, but the strategy wraps single environments; use sync",
            key=VECTORIZATION,
        )
    try:
        return BatchedVecEnv([as_spec(config)] * n_envs)
    except rl_transfer_envs.IncompatiblePerturbationError as error:
        raise EnvironmentSpecError(
            f"training.vectorization is batched, but {error.message}", key=VECTORIZATION
        ) from None
    except rl_transfer_envs.EnvError as error:
        raise translate(error, None) from None

"""Evaluation on environments of its own: seeded per episode, vectorised, without a trace.

SB3's ``evaluate_policy`` resets unseeded. Here every episode has its seed, all episodes run
side by side through one batched forward pass, and the global random state is left untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import spaces

from rl_transfer.core import isolated
from rl_transfer.errors import EnvironmentSpecError
from rl_transfer.rl.environments.build import make_env
from rl_transfer.rl.environments.finite import refuse_non_finite
from rl_transfer.rl.environments.spaces import Array, Observation, Space
from rl_transfer.spec import Environment

Act = Callable[[Any], Array]
"""Observations of all episodes → their actions, both ``[episode, …]``."""

STEP_LIMIT = 1_000_000


@dataclass(frozen=True)
class Episodes:
    """``returns[episode]`` in reward units and ``lengths[episode]`` in environment steps."""

    returns: list[float]
    lengths: list[int]

    @property
    def mean_return(self) -> float:
        """Mean return over the episodes."""
        return float(np.mean(self.returns))


class Evaluator:
    """Evaluates policies in one environment; its environments are reused between evaluations.

    Args:
        config: the environment and its perturbations.
        episodes: the most that one evaluation plays.
        key: where the config stands in the user's file, for error messages.

    Raises:
        EnvironmentSpecError: the environment cannot be built.
    """

    def __init__(self, config: Environment, episodes: int, key: str | None = None) -> None:
        self._envs = [make_env(config, key=key) for _ in range(episodes)]
        self._name = config.id
        self.observation_space = self._envs[0].observation_space
        self.action_space = self._envs[0].action_space

    def run(self, act: Act, seeds: Sequence[int]) -> Episodes:
        """Play one episode per seed, to its termination or truncation.

        Args:
            act: the policy; it always gets the observations of all episodes, finished ones
                included, so that the batch's shape (and so its rounding) never changes.
            seeds: one per episode; the environments' and, for stochastic policies, the sampling's.

        Returns:
            Return and length of each episode, in the seeds' order.

        Raises:
            EnvironmentSpecError: an episode does not end, or something in it is NaN or infinite.
        """
        envs = self._envs[: len(seeds)]
        with isolated(seeds[0]):
            observations = [env.reset(seed=seed)[0] for env, seed in zip(envs, seeds, strict=True)]
            returns = np.zeros(len(envs))
            lengths = np.zeros(len(envs), dtype=int)
            active = list(range(len(envs)))
            steps = 0
            rewards = np.zeros(len(envs))
            while active:
                batch = stack(observations, self.observation_space)
                refuse_non_finite(self._name, batch, rewards, f"step {steps:,} of an evaluation")
                actions = act(batch)
                steps += 1
                for index in tuple(active):
                    observation, reward, terminated, truncated, _ = envs[index].step(actions[index])
                    observations[index] = observation
                    rewards[index] = float(reward)
                    returns[index] += rewards[index]
                    lengths[index] += 1
                    if terminated or truncated:
                        active.remove(index)
                if active and lengths[active[0]] >= STEP_LIMIT:
                    raise EnvironmentSpecError(
                        f"an evaluation episode of {self._name} did not end within {STEP_LIMIT} steps; "
                        "give the environment a time limit"
                    )
            batch = stack(observations, self.observation_space)
            refuse_non_finite(self._name, batch, rewards, f"step {steps:,} of an evaluation")
        return Episodes(returns.tolist(), lengths.tolist())

    def close(self) -> None:
        """Close the environments."""
        for env in self._envs:
            env.close()


def random_act(space: Space, seed: int) -> Act:
    """Uniform-random actions from a space, on its own generator.

    Args:
        space: of actions; its generator is seeded.
        seed: of all actions of all episodes.

    Returns:
        Any observations ``[episode, …]`` → as many actions.
    """
    space.seed(seed)

    def act(observations: Observation) -> Array:
        return np.stack([np.asarray(space.sample()) for _ in range(count(observations))])

    return act


def count(observations: Observation) -> int:
    """How many observations a batch holds.

    Args:
        observations: ``[episode, …]``, or a dict of such arrays.
    """
    return len(next(iter(observations.values())) if isinstance(observations, dict) else observations)


def stack(observations: Sequence[Any], space: Space) -> Observation:
    """Observations of several episodes as one batch.

    Args:
        observations: one per episode, as the environments give them.
        space: of one observation.

    Returns:
        ``[episode, …]``; for dict spaces a dict of such arrays.
    """
    if isinstance(space, spaces.Dict):
        return {name: np.stack([each[name] for each in observations]) for name in space.spaces}
    return np.stack(observations)

"""Evaluation on environments of its own: seeded per episode, vectorised, without a trace.

SB3's ``evaluate_policy`` resets unseeded. Here every episode has its seed, all episodes run
side by side through one batched forward pass, and the global random state is left untouched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces

from rl_transfer.core import isolated
from rl_transfer.errors import EnvironmentSpecError
from rl_transfer.rl.environments.build import make_env
from rl_transfer.rl.environments.finite import refuse_non_finite
from rl_transfer.rl.environments.spaces import Array, Observation, Space
from rl_transfer.spec import Environment
from rl_transfer.wording import in_words

Act = Callable[[Any], Array]
"""Observations of all episodes → their actions, both ``[episode, …]``."""

STEP_LIMIT = 1_000_000


@dataclass(frozen=True)
class Episodes:
    """What was played: ``returns[episode]`` in reward units, ``lengths[episode]`` in environment steps."""

    returns: list[float]
    lengths: list[int]
    successes: list[bool] | None = None
    """``successes[episode]`` where the environment was asked for them."""

    @property
    def mean_return(self) -> float:
        """Mean return over the episodes."""
        return float(np.mean(self.returns))


class Players(Protocol):
    """Environments in which several episodes are played side by side."""

    @property
    def observation_space(self) -> Space:
        """Of one episode."""

    @property
    def action_space(self) -> Space:
        """Of one episode."""

    def reset(self, seeds: Sequence[int]) -> Observation:
        """Begin one episode per seed.

        Args:
            seeds: one per episode, no more than there are environments.

        Returns:
            Observations ``[episode, …]``.
        """

    def play(self, act: Act, seeds: Sequence[int]) -> Episodes | None:
        """Play one episode per seed to its end, where that can be done in one go.

        Args:
            act: the policy.
            seeds: one per episode, no more than there are environments.

        Returns:
            What :meth:`reset` and :meth:`step` come to; None where only they can tell.
        """

    def step(self, actions: Array, active: Sequence[int]) -> tuple[Observation, Array, list[int]]:
        """One step of the episodes that go on.

        Args:
            actions: ``[episode, …]``; those of finished episodes do not matter.
            active: numbers of the episodes that go on, rising.

        Returns:
            Observations ``[episode, …]``, those of finished episodes as they were; rewards of ``active``
            as ``float64``; the numbers of the episodes that ended with this step.
        """

    @property
    def successes(self) -> list[bool] | None:
        """Of the episodes that began last, all ended, whether each succeeded; None: nobody asked for it."""

    def close(self) -> None:
        """Close the environments."""


class SinglePlayers:
    """Environments that are stepped one after another.

    Args:
        config: the environment and its perturbations.
        episodes: how many.
        key: where the config stands in the user's file, for error messages.
        success: entry of an episode's last ``info`` that says whether it succeeded; None: not asked for.

    Raises:
        EnvironmentSpecError: the environment cannot be built.
    """

    def __init__(
        self, config: Environment, episodes: int, key: str | None = None, success: str | None = None
    ) -> None:
        self._name, self._success, self._succeeded = config.id, success, [False] * episodes
        self._envs = [make_env(config, key=key) for _ in range(episodes)]
        self._observations: list[Observation] = []
        self.observation_space: Space = self._envs[0].observation_space
        self.action_space: Space = self._envs[0].action_space

    def reset(self, seeds: Sequence[int]) -> Observation:
        """As :class:`Players` says."""
        envs = self._envs[: len(seeds)]
        self._succeeded = [False] * len(seeds)
        self._observations = [env.reset(seed=seed)[0] for env, seed in zip(envs, seeds, strict=True)]
        return stack(self._observations, self.observation_space)

    def play(self, act: Act, seeds: Sequence[int]) -> Episodes | None:
        """Nothing: these environments are stepped one after another.

        Args:
            act: the policy that would play.
            seeds: one per episode.
        """
        return None

    def step(self, actions: Array, active: Sequence[int]) -> tuple[Observation, Array, list[int]]:
        """As :class:`Players` says."""
        rewards, over = np.zeros(len(active)), []
        for place, index in enumerate(active):
            observation, reward, terminated, truncated, info = self._envs[index].step(actions[index])
            self._observations[index] = observation
            rewards[place] = float(reward)
            if terminated or truncated:
                over.append(index)
                self._succeeded[index] = self._says_success(info)
        return stack(self._observations, self.observation_space), rewards, over

    def _says_success(self, info: Mapping[str, Any]) -> bool:
        if self._success is None:
            return False
        if self._success not in info:
            there = in_words(sorted(map(str, info))) if info else "nothing"
            raise EnvironmentSpecError(
                f"{self._name} does not say at an episode's end whether it succeeded: its info has no "
                f"{self._success!r}, but {there}. Name another entry, "
                "or a least return (success: {return: …} in a suite)"
            )
        return bool(np.all(info[self._success]))

    @property
    def successes(self) -> list[bool] | None:
        """As :class:`Players` says."""
        return None if self._success is None else self._succeeded

    def close(self) -> None:
        """Close the environments."""
        for env in self._envs:
            env.close()


class Evaluator:
    """Evaluates policies in one environment; its environments are reused between evaluations.

    Args:
        config: the environment and its perturbations.
        episodes: the most that one evaluation plays.
        key: where the config stands in the user's file, for error messages.
        players: what plays the episodes; environments stepped one after another if not given.

    Attributes:
        players: what plays the episodes.

    Raises:
        EnvironmentSpecError: the environment cannot be built.
    """

    def __init__(
        self, config: Environment, episodes: int, key: str | None = None, players: Players | None = None
    ) -> None:
        self.players = players or SinglePlayers(config, episodes, key)
        self._name = config.id
        self.observation_space = self.players.observation_space
        self.action_space = self.players.action_space

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
        with isolated(seeds[0]):
            played = self.players.play(act, seeds)
            if played is not None:
                return played
            batch = self.players.reset(seeds)
            returns = np.zeros(len(seeds))
            lengths = np.zeros(len(seeds), dtype=int)
            rewards = np.zeros(len(seeds))
            active = list(range(len(seeds)))
            steps = 0
            while active:
                refuse_non_finite(self._name, batch, rewards, f"step {steps:,} of an evaluation")
                steps += 1
                batch, rewards[active], over = self.players.step(act(batch), active)
                returns[active] += rewards[active]
                lengths[active] += 1
                if over:
                    active = [index for index in active if index not in over]
                if active and lengths[active[0]] >= STEP_LIMIT:
                    raise EnvironmentSpecError(
                        f"an evaluation episode of {self._name} did not end within {STEP_LIMIT} steps; "
                        "give the environment a time limit"
                    )
            refuse_non_finite(self._name, batch, rewards, f"step {steps:,} of an evaluation")
        return Episodes(returns.tolist(), lengths.tolist(), self.players.successes)

    def close(self) -> None:
        """Close the environments."""
        self.players.close()


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

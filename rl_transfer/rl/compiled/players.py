"""Evaluation through the engine: compiled physics for all episodes at once, compiled networks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
from stable_baselines3.common.policies import BasePolicy

import rl_transfer_envs
from rl_transfer.rl.compiled.greedy import greedy_act
from rl_transfer.rl.compiled.physics import CompiledPhysics
from rl_transfer.rl.environments.described import as_spec
from rl_transfer.rl.environments.evaluate import Act, Players, SinglePlayers
from rl_transfer.rl.environments.spaces import Array, Observation
from rl_transfer.rl.policies.bundle import as_act
from rl_transfer.rl.policies.normalization import Normalizer
from rl_transfer.rl.sb3_seams import StandIn
from rl_transfer.spec import Environment
from rl_transfer_envs.vector import Batch


def players(config: Environment, episodes: int, key: str | None = None) -> Players:
    """What plays the episodes of an evaluation; the numbers are those of single environments, to the bit.

    Args:
        config: the environment and its perturbations.
        episodes: how many.
        key: where the config stands in the user's file, for error messages.

    Returns:
        A batch with compiled physics where the environment has one; else single environments.

    Raises:
        EnvironmentSpecError: the environment cannot be built.
    """
    try:
        return _BatchPlayers(Batch([as_spec(config)] * episodes))
    except rl_transfer_envs.EnvError:
        return SinglePlayers(config, episodes, key)


class _BatchPlayers:
    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._observations: Array = np.zeros(0)
        self.observation_space, self.action_space = batch.observation_space, batch.action_space
        StandIn(batch, "advance", CompiledPhysics(batch.kernel).step_anew).attach()
        self._none = np.zeros((batch.num_envs, *(self.action_space.shape or ())), self.action_space.dtype)

    def reset(self, seeds: Sequence[int]) -> Observation:
        self._observations = np.array(self._batch.reset(list(range(len(seeds))), list(seeds)))
        return self._observations.copy()

    def step(self, actions: Array, active: Sequence[int]) -> tuple[Observation, Array, list[int]]:
        if len(actions) < self._batch.num_envs:
            given = self._none.copy()
            given[: len(actions)] = actions
            actions = given
        rows = np.asarray(active)
        step = self._batch.step(actions, rows)
        self._observations[rows] = step.observations
        return self._observations.copy(), step.rewards, rows[step.terminated | step.truncated].tolist()

    @property
    def successes(self) -> None:
        """Batches have no ``info``; who asks for successes gets single environments."""
        return None

    def close(self) -> None:
        self._batch.close()


def act_of(policy: BasePolicy, normalize: Normalizer | None, deterministic: bool) -> Act:
    """A policy as a function of stacked observations, through the engine where it can compute it.

    Args:
        policy: ``model.policy``; its tensors are read once, now.
        normalize: what it expects its observations to have gone through; None: nothing.
        deterministic: the likeliest action; a sampled one is SB3's.

    Returns:
        Observations ``[episode, …]`` as the environment gives them → actions ``[episode, …]``.
    """
    greedy = greedy_act(policy) if deterministic else None
    if greedy is None:
        return as_act(policy, normalize, deterministic)
    if normalize is None:
        return greedy

    def act(observations: Observation) -> Array:
        return greedy(cast(Array, normalize(observations)))

    return act

"""Evaluation through the engine: compiled physics for all episodes at once, compiled networks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.policies import BasePolicy

import rl_transfer_envs
from rl_transfer.engine.compiling import kernel
from rl_transfer.rl.compiled.greedy import greedy_act
from rl_transfer.rl.compiled.physics import CompiledPhysics
from rl_transfer.rl.environments.described import as_spec
from rl_transfer.rl.environments.evaluate import STEP_LIMIT, Act, Episodes, Players, SinglePlayers
from rl_transfer.rl.environments.spaces import Array, Observation
from rl_transfer.rl.policies.bundle import as_act
from rl_transfer.rl.policies.normalization import Normalizer
from rl_transfer.rl.sb3_seams import StandIn
from rl_transfer.spec import Environment
from rl_transfer_envs.vector import Batch


@kernel(exact=True)
def _count(
    observations: NDArray[np.float32],
    rewards: NDArray[np.float64],
    terminated: NDArray[np.bool_],
    limits: NDArray[np.int64],
    active: NDArray[np.bool_],
    returns: NDArray[np.float64],
    lengths: NDArray[np.int64],
) -> int:
    """Count a step of the episodes that go on; how many do after it. −1: something is NaN or infinite."""
    left, fine = 0, True
    for row in range(rewards.size):
        if active[row]:
            returns[row] += rewards[row]
            lengths[row] += 1
            fine = fine and np.isfinite(rewards[row])
            for k in range(observations.shape[1]):
                fine = fine and np.isfinite(observations[row, k])
            active[row] = not (terminated[row] or lengths[row] >= limits[row])
            left += active[row]
    return left if fine else -1


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
        self._physics = CompiledPhysics(batch.kernel)
        StandIn(batch, "advance", self._physics.step_anew).attach()
        self._none = np.zeros((batch.num_envs, *(self.action_space.shape or ())), self.action_space.dtype)

    def reset(self, seeds: Sequence[int]) -> Observation:
        self._observations = np.array(self._batch.reset(list(range(len(seeds))), list(seeds)))
        return self._observations.copy()

    def play(self, act: Act, seeds: Sequence[int]) -> Episodes | None:
        """Two calls a step, for the physics and for what is counted, where nothing lies in between.

        The same numbers as of :meth:`step` for step, to the bit. None where that cannot be promised, where
        an action may not be one, and where something is NaN: :meth:`step` says which.
        """
        batch, physics = self._batch, self._physics
        whole = len(seeds) == batch.num_envs and batch.limits.max() < STEP_LIMIT
        if batch.layers or not whole or not isinstance(act, EngineAct):
            return None
        self.reset(seeds)
        physics.observations[...] = self._observations
        returns, lengths = np.zeros(len(seeds)), np.zeros(len(seeds), dtype=np.int64)
        active, left = np.ones(len(seeds), dtype=np.bool_), len(seeds)
        if not np.isfinite(physics.observations).all():
            return None
        while left > 0:
            physics.step(act(physics.observations), active)
            left = _count(
                physics.observations,
                physics.rewards,
                physics.terminated,
                batch.limits,
                active,
                returns,
                lengths,
            )
        return None if left < 0 else Episodes(returns.tolist(), lengths.tolist())

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


@dataclass(frozen=True)
class EngineAct:
    """The likeliest actions of a policy through the engine; always within the space, but for NaN."""

    greedy: Callable[[Array], Array]
    normalize: Normalizer | None

    def __call__(self, observations: Observation) -> Array:
        """Observations ``[episode, …]`` as the environment gives them → actions ``[episode, …]``."""
        seen = observations if self.normalize is None else self.normalize(observations)
        return self.greedy(cast(Array, seen))


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
    return as_act(policy, normalize, deterministic) if greedy is None else EngineAct(greedy, normalize)

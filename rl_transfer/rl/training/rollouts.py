"""A short rollout of a policy as data: for looking at a network, never for training it."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.common.vec_env import VecEnv
from torch import Tensor

from rl_transfer.rl.environments.evaluate import count
from rl_transfer.rl.environments.spaces import Array, Observation
from rl_transfer.rl.policies.bundle import as_act
from rl_transfer.rl.policies.normalization import Normalizer

COPIES = 8
"""Environments side by side; the first half of them against the second are the halves of a rollout."""
STEPS = 64
"""Steps of each."""


@dataclass(frozen=True)
class Rollout:
    """Transitions ``[step, copy, …]``.

    Attributes:
        observations: as the environments gave them.
        following: the observations after; those that ended an episode, not those that begin the next.
        actions: as the algorithm learns from them: whole numbers, or scaled to [−1, 1] for actor-critics
            off policy, or as sampled, not clipped, on policy.
        rewards: as the environments gave them.
        terminated: where an episode ended, time limits aside.
        ended: where an episode ended for whatever reason.
    """

    observations: Observation
    following: Observation
    actions: Array
    rewards: NDArray[np.float64]
    terminated: NDArray[np.bool_]
    ended: NDArray[np.bool_]

    def of_copies(self, chosen: slice) -> Rollout:
        """The transitions of some of the copies.

        Args:
            chosen: which.
        """

        def cut(arrays: list[Array]) -> Array:
            return arrays[0][:, chosen]

        return replace(
            self,
            observations=_combined([self.observations], cut),
            following=_combined([self.following], cut),
            actions=self.actions[:, chosen],
            rewards=self.rewards[:, chosen],
            terminated=self.terminated[:, chosen],
            ended=self.ended[:, chosen],
        )


Actor = Callable[[Observation], tuple[Array, Array]]
"""Observations ``[copy, …]`` → actions as environments take them, and as the algorithm learns them."""


def roll_out(env: VecEnv, act: Actor, seed: int) -> Rollout:
    """Act for a while.

    Args:
        env: ``COPIES`` environments that nothing else uses.
        act: chooses the actions.
        seed: of the environments.

    Returns:
        ``STEPS`` steps of each.
    """
    env.seed(seed)
    observation = cast(Observation, env.reset())  # SB3 types it as tuples too, which no space here is
    before: list[Observation] = []
    after: list[Observation] = []
    taken: list[Array] = []
    rewards, terminated, ended = (np.zeros((STEPS, env.num_envs)) for _ in range(3))
    for step in range(STEPS):
        played, learned = act(observation)
        before.append(_copied(observation))
        taken.append(learned)
        reached, rewards[step], ended[step], infos = env.step(played)
        observation = cast(Observation, reached)
        last = _copied(observation)
        for place, info in enumerate(infos):
            if ended[step, place]:
                _put(last, place, info["terminal_observation"])
                terminated[step, place] = not info.get("TimeLimit.truncated", False)
        after.append(last)
    return Rollout(
        _combined(before, np.stack),
        _combined(after, np.stack),
        np.stack(taken),
        rewards,
        terminated.astype(bool),
        ended.astype(bool),
    )


def random_actor(model: BaseAlgorithm, seed: int) -> Actor:
    """Uniform-random actions, whatever is observed.

    Args:
        model: of which the actions are.
        seed: of all actions.

    Returns:
        An actor with a generator of its own.
    """
    space = copy.deepcopy(model.action_space)
    space.seed(seed)

    def act(observations: Observation) -> tuple[Array, Array]:
        actions = np.stack([np.asarray(space.sample()) for _ in range(count(observations))])
        return actions, learned_actions(model.policy, actions)

    return act


def learned_actions(policy: BasePolicy, actions: Array) -> Array:
    """Actions within an environment's bounds as an algorithm off policy keeps them.

    Args:
        policy: whose they are.
        actions: as environments take them.

    Returns:
        Scaled to [−1, 1] for continuous actions off policy; else as they are.
    """
    scaled = isinstance(policy.action_space, spaces.Box) and not isinstance(policy, ActorCriticPolicy)
    return policy.scale_action(actions) if scaled else actions


def policy_actor(model: BaseAlgorithm, normalize: Normalizer | None) -> Actor:
    """A model's policy as it samples its actions, without exploration noise.

    Draws from torch's global generator.

    Args:
        model: its policy acts; nothing of the model changes but the matrices of gSDE.
        normalize: what the policy expects its observations to have gone through.
    """
    policy, space = model.policy, model.action_space
    if not isinstance(policy, ActorCriticPolicy):
        play = as_act(policy, normalize, deterministic=False)

        def sample(observations: Observation) -> tuple[Array, Array]:
            actions = play(observations)
            return actions, learned_actions(model.policy, actions)

        return sample
    if policy.use_sde:
        policy.reset_noise(COPIES)

    def draw(observations: Observation) -> tuple[Array, Array]:
        with torch.no_grad():
            actions = policy(seen(policy, observations, normalize))[0].cpu().numpy()
        if not isinstance(space, spaces.Box):
            return actions, actions
        if policy.squash_output:
            return policy.unscale_action(actions), actions
        return np.clip(actions, space.low, space.high), actions

    return draw


def seen(policy: BasePolicy, observations: Observation, normalize: Normalizer | None) -> PyTorchObs:
    """Observations as the networks see them.

    Args:
        policy: whose networks.
        observations: ``[row, …]`` as environments give them.
        normalize: statistics in between; None: none.

    Returns:
        ``float32[row, …]``, per key for dict observations.
    """
    return policy.obs_to_tensor(normalize(observations) if normalize else observations)[0]


def flat(observations: Observation) -> Observation:
    """Observations ``[step, copy, …]`` → ``[step · copy, …]``.

    Args:
        observations: an array, or a dict of such.
    """
    return _combined([observations], lambda arrays: arrays[0].reshape(-1, *arrays[0].shape[2:]))


def _combined(observations: Sequence[Observation], combine: Callable[[list[Array]], Array]) -> Observation:
    """What becomes of several observations, key by key where they have keys."""
    keyed = [each if isinstance(each, dict) else {"": each} for each in observations]
    found = {key: combine([each[key] for each in keyed]) for key in keyed[0]}
    return found if isinstance(observations[0], dict) else found[""]


def _copied(observations: Observation) -> Observation:
    return _combined([observations], lambda arrays: arrays[0].copy())


def _put(observations: Observation, place: int, one: Observation) -> None:
    if isinstance(observations, dict) and isinstance(one, dict):
        for key, value in observations.items():
            value[place] = one[key]
    elif not isinstance(observations, dict) and not isinstance(one, dict):
        observations[place] = one


def column(values: Array) -> Tensor:
    """Numbers ``[step, copy]`` as ``float32[row, 1]``.

    Args:
        values: of any type.
    """
    return torch.as_tensor(values.reshape(-1, 1), dtype=torch.float32)

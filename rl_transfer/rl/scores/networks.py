"""What a source's networks say of transitions: features, and temporal-difference errors of the critic."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import Tensor

from rl_transfer.core import isolated
from rl_transfer.errors import TransferError
from rl_transfer.rl.environments.evaluate import stack
from rl_transfer.rl.environments.spaces import Observation
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.normalization import EPSILON, PREFIX
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.rl.scores.sampling import Transitions
from rl_transfer.rl.training.rollouts import seen

Floats = NDArray[np.float64]
BATCH = 512
"""Observations that pass through a network at once."""


class SourceNetworks:
    """A policy's networks as functions of observations.

    Args:
        policy: the source.
    """

    def __init__(self, policy: Policy) -> None:
        self._policy, self._traits = policy, traits_of(policy.algorithm.name)

    def features(self, observations: list[Observation]) -> Floats:
        """What enters the action head: the representation that the policy acts by.

        Args:
            observations: of the source's space.

        Returns:
            ``[n, d]``.

        Raises:
            TransferError: the policy has no action head of its own.
        """
        head = self._policy.parts["action_head"].layers
        if not head:
            raise TransferError("the policy has no action head")
        caught: list[Tensor] = []
        layer = self._policy.module.get_submodule(head[0].path)
        handle = layer.register_forward_pre_hook(lambda _, inputs: caught.append(inputs[0].detach()))
        try:
            for batch in self._batches(observations):
                with torch.no_grad(), isolated(0):  # the forward pass samples actions, which nobody takes
                    self._policy.module(batch)
        finally:
            handle.remove()
        return torch.cat([each.flatten(1) for each in caught]).double().cpu().numpy()

    def temporal_difference(self, played: Transitions) -> tuple[Floats, Floats]:
        """TD errors δ = r + γ V(s′) − V(s), with V(s′) = 0 where the episode terminated.

        V is the critic of an actor-critic on policy; elsewhere Q of the action taken, and of the greedy or
        computed one in s′ (the least of several critics, means of quantiles), without an entropy bonus.
        Rewards are scaled as the source's training scaled them.

        Args:
            played: transitions in the source's spaces.

        Returns:
            δ and V(s), each ``[n]``.
        """
        policy, gamma = self._policy, float(policy_gamma(self._policy))
        with torch.no_grad(), isolated(0):
            if isinstance(policy.module, ActorCriticPolicy):
                module = policy.module
                now = _joined([module.predict_values(each) for each in self._batches(played.observations)])
                then = _joined([module.predict_values(each) for each in self._batches(played.following)])
            elif self._traits.network:
                now = self._greedy(played.observations, np.asarray(played.actions))
                then = self._greedy(played.following, None)
            else:
                scaled = policy.module.scale_action(np.asarray(played.actions))
                now = self._critic(played.observations, torch.as_tensor(scaled, dtype=torch.float32))
                then = self._critic(played.following, None)
        going_on = 1.0 - np.asarray(played.terminated, dtype=np.float64)
        return self._rewards(played) + gamma * going_on * then - now, now

    def _greedy(self, observations: list[Observation], actions: NDArray[np.generic] | None) -> Floats:
        network = self._policy.module.get_submodule(self._traits.network)
        values = torch.cat([network(each) for each in self._batches(observations)])
        values = values.mean(dim=1) if self._traits.quantiles else values
        if actions is None:
            return _joined([values.max(dim=1).values])
        chosen = torch.as_tensor(actions.astype(np.int64)).reshape(-1, 1)
        return _joined([values.gather(1, chosen)])

    def _critic(self, observations: list[Observation], actions: Tensor | None) -> Floats:
        actor, critic = (self._policy.module.get_submodule(name) for name in ("actor", "critic"))
        found, begun = [], 0
        for batch in self._batches(observations):
            size = len(next(iter(batch.values())) if isinstance(batch, dict) else batch)
            taken = actor(batch) if actions is None else actions[begun : begun + size]
            values = critic(batch, taken)
            means = values.mean(dim=2) if self._traits.quantiles else torch.cat(values, dim=1)
            found.append(means.min(dim=1).values)
            begun += size
        return _joined(found)

    def _batches(self, observations: list[Observation]) -> list[Tensor | dict[str, Tensor]]:
        space = self._policy.module.observation_space
        parts = [observations[at : at + BATCH] for at in range(0, len(observations), BATCH)]
        return [
            seen(self._policy.module, stack(each, space), self._policy.normalizer) for each in parts if each
        ]

    def _rewards(self, played: Transitions) -> Floats:
        """As the source's training had them."""
        rewards = np.asarray(played.rewards, dtype=np.float64)
        config = self._policy.algorithm.normalize
        variance = self._policy.bundle.tensors.get(f"{PREFIX}reward//var")
        if config is None or not config.reward or variance is None:
            return rewards
        scaled = rewards / np.sqrt(float(variance) + EPSILON)
        found: Floats = np.clip(scaled, -config.clip_reward, config.clip_reward)
        return found


def policy_gamma(policy: Policy) -> float:
    """The discount that a policy's critic was trained with.

    Args:
        policy: the source.
    """
    return float(policy.algorithm.gamma)


def _joined(values: list[Tensor]) -> Floats:
    return torch.cat([each.flatten() for each in values]).double().cpu().numpy()

"""State-dependent exploration (gSDE) while a policy is measured: matrices of its own for each episode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from stable_baselines3.common.distributions import StateDependentNoiseDistribution
from stable_baselines3.common.policies import BasePolicy

_FIELDS = ("weights_dist", "exploration_mat", "exploration_matrices")


class MeasuredNoise:
    """Exploration matrices for the episodes of one evaluation, one each.

    SB3 keeps those of the last rollout in the policy: whoever plays with it would play with them, and
    a source and its copy, equal in every tensor, would act differently.

    Args:
        policy: whose actions are sampled; without gSDE nothing happens.
    """

    def __init__(self, policy: BasePolicy) -> None:
        owner = getattr(policy, "actor", None) or policy
        found = getattr(owner, "action_dist", None)
        self._distribution = found if isinstance(found, StateDependentNoiseDistribution) else None
        self._log_std = getattr(owner, "log_std", None)
        self._own: dict[str, object] = {}
        self._episodes = 0

    @contextmanager
    def playing(self, episodes: int) -> Iterator[None]:
        """Put the own matrices in the place of training's, and take them out again.

        Args:
            episodes: observations in the batch; for another number than before, matrices are drawn anew
                from torch's global generator.

        Yields:
            Nothing; the policy acts inside the context.
        """
        distribution = self._distribution
        if distribution is None or not isinstance(self._log_std, torch.Tensor):
            yield
            return
        training = {name: getattr(distribution, name) for name in _FIELDS}
        if episodes != self._episodes:
            with torch.no_grad():
                distribution.sample_weights(self._log_std, batch_size=episodes)
            self._own, self._episodes = {name: getattr(distribution, name) for name in _FIELDS}, episodes
        self._put(distribution, self._own)
        try:
            yield
        finally:
            self._put(distribution, training)

    @staticmethod
    def _put(distribution: StateDependentNoiseDistribution, matrices: dict[str, object]) -> None:
        for name, value in matrices.items():
            setattr(distribution, name, value)

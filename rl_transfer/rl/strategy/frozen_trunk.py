"""Which layers of an actor-critic are frozen up to the first trained one, and whether their rows may be kept.

    observation ─ features ┬─ policy_trunk ─ action_head       frozen up to the kept rows,
                           └─ value_trunk ── value_head        trained behind them

A row may be kept where it is fixed by its observation alone: nothing in front of it is trained, behaves
otherwise in training, is listened to, or rounds by the row's place in a minibatch.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import CombinedExtractor, FlattenExtractor, MlpExtractor
from stable_baselines3.common.type_aliases import PyTorchObs
from stable_baselines3.common.utils import obs_as_tensor
from torch import Tensor, nn

from rl_transfer.core import FrozenParts, PartMap, isolated
from rl_transfer.rl.environments.spaces import Array, Observation

Branches = tuple[Tensor, Tensor]
"""Actor's and critic's rows behind the frozen layers; one and the same tensor where they share it."""

SAME_IN_TRAINING = (
    nn.Flatten, nn.Identity, nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.Tanh, nn.ReLU, nn.ELU,
    nn.LeakyReLU, nn.SiLU, nn.GELU, FlattenExtractor, CombinedExtractor, MlpExtractor,
)  # fmt: skip
"""Modules without state that compute the same in training and in evaluation mode."""

TRIALS = 3
"""Random orders of a minibatch in which a row's features must come out the same."""


@dataclass(frozen=True)
class FrozenTrunk:
    """The layers of a policy from the observation up to the first trained one.

    Attributes:
        policy: an ``ActorCriticPolicy`` whose features extractors are frozen.
        actor, critic: whether the actor's or the critic's trunk behind them is frozen as well.
    """

    policy: ActorCriticPolicy
    actor: bool
    critic: bool

    def __call__(self, observations: PyTorchObs) -> Branches:
        """Observations as SB3 gives them to a policy → ``float32[row, width]`` behind the frozen layers."""
        features = self.policy.extract_features(observations)
        actor, critic = (features, features) if isinstance(features, Tensor) else features
        nets = self.policy.mlp_extractor
        return (
            nets.forward_actor(actor) if self.actor else actor,
            nets.forward_critic(critic) if self.critic else critic,
        )

    def latents(self, branches: Branches) -> Branches:
        """What the heads read: the rest of the trunks, which is trained, applied to the rows.

        Args:
            branches: what calling this gave, ``float32[row, width]`` each.
        """
        actor, critic = branches
        nets = self.policy.mlp_extractor
        return (
            actor if self.actor else nets.forward_actor(actor),
            critic if self.critic else nets.forward_critic(critic),
        )

    @cached_property
    def modules(self) -> list[nn.Module]:
        """Every module of the frozen layers, once."""
        nets = self.policy.mlp_extractor
        roots: list[nn.Module] = [self.policy.pi_features_extractor, self.policy.vf_features_extractor]
        roots += [nets.policy_net] * self.actor + [nets.value_net] * self.critic
        return list(dict.fromkeys(module for root in roots for module in root.modules()))

    @cached_property
    def tensors(self) -> list[Tensor]:
        """Every parameter and buffer of the frozen layers."""
        return [
            tensor
            for module in self.modules
            for tensor in (*module.parameters(recurse=False), *module.buffers(recurse=False))
        ]

    def unfit(self) -> str | None:
        """Why a row's features are not fixed by its observation, or needed by others; None if they are."""
        if any(tensor.requires_grad for tensor in self.tensors):
            return "trainable parameters were added to the frozen layers"
        if any(module._forward_hooks or module._forward_pre_hooks for module in self.modules):
            return "a forward hook listens to the frozen layers"
        was_training = self.policy.training
        self.policy.set_training_mode(True)
        moving = [type(module).__name__ for module in self._two_faced if module.training]
        self.policy.set_training_mode(was_training)
        return f"a {moving[0]} of the frozen layers still enters training mode" if moving else None

    def holds(self) -> bool:
        """Whether the layers are frozen at this moment."""
        trained = any(tensor.requires_grad for tensor in self.tensors)
        return not trained and not any(module.training for module in self._two_faced)

    @cached_property
    def _two_faced(self) -> list[nn.Module]:
        return [module for module in self.modules if type(module) not in SAME_IN_TRAINING]


def frozen_trunk(policy: ActorCriticPolicy, parts: PartMap, frozen: FrozenParts | None) -> FrozenTrunk | str:
    """The frozen layers in front of the trained ones.

    Args:
        policy: of an on-policy model.
        parts: of that policy.
        frozen: what is frozen; None if nothing is.

    Returns:
        The layers, or in words why there are none.
    """
    if frozen is None:
        return "nothing is frozen"
    held = set(frozen.tensors)

    def fixed(part: str) -> bool:
        return set(parts[part].tensor_names) <= held

    if not (fixed("features") and fixed("value_features")):
        return "a features extractor is trained, or its statistics follow the data"
    trunk = FrozenTrunk(policy, actor=fixed("policy_trunk"), critic=fixed("value_trunk"))
    return trunk if trunk.tensors else "no trunk is frozen as a whole"


def rounds_differently(trunk: FrozenTrunk, total: int, batch: int) -> str | None:
    """Whether a row's features depend on its place in a minibatch, to the bit.

    Rounding depends on shapes and positions, not on values, so random observations show it.

    Args:
        trunk: the frozen layers.
        total: rows of a rollout.
        batch: rows of a minibatch.

    Returns:
        How they depend, in words; None if they do not.
    """
    batch = min(batch, total)
    rng = np.random.default_rng(0)
    observations = _random_observations(trunk.policy.observation_space, batch, rng)

    def features(index: NDArray[np.int64]) -> Branches:
        picked = (
            {key: array[index] for key, array in observations.items()}
            if isinstance(observations, dict)
            else observations[index]
        )
        return trunk(obs_as_tensor(picked, trunk.policy.device))

    with isolated(0), torch.no_grad():
        expected = features(np.arange(batch))
        for rows in (batch, total % batch):  # the last minibatch may be smaller
            for index in [rng.permutation(batch)[:rows] for _ in range(TRIALS if rows else 0)]:
                if any(not torch.equal(a, b[index]) for a, b in zip(features(index), expected, strict=True)):
                    return f"features depend on a row's place in a minibatch ({batch} rows, then {rows})"
    return None


def _random_observations(space: gym.Space[object], rows: int, rng: np.random.Generator) -> Observation:
    """``rows`` observations of the shapes and types of ``space``, with many different values."""
    if isinstance(space, spaces.Dict):
        return {key: _random_array(inner, rows, rng) for key, inner in space.spaces.items()}
    return _random_array(space, rows, rng)


def _random_array(space: gym.Space[object], rows: int, rng: np.random.Generator) -> Array:
    if isinstance(space, spaces.Box):
        shape = (rows, *space.shape)
        whole_numbers = np.issubdtype(space.dtype, np.integer)
        drawn: Array = rng.integers(256, size=shape) if whole_numbers else rng.random(shape)
        return drawn.astype(space.dtype)
    own = copy.deepcopy(space)
    own.seed(int(rng.integers(2**31)))
    return np.stack([np.asarray(own.sample()) for _ in range(rows)])

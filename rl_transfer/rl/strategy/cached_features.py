"""Features of frozen trunks: computed once per rollout, reused over the epochs of ``train()``.

PPO passes every observation through the whole network once per epoch. What is frozen gives the same
features each time, so they are kept from the first epoch; later ones compute only what is trained.

    observation ─ features ┬─ policy_trunk ─ action_head       frozen up to the kept rows,
                           └─ value_trunk ── value_head        trained behind them

The numbers are those of a run without the cache, to the bit. The first epoch computes what it always
does. A matrix product may round a row differently with its position among others, so reuse is refused
where it does; :func:`install` tries this with the network itself. Features are not taken from the
rollout, where they were computed among ``n_envs`` rows: they would round differently for few
environments, and the saved pass through the trunk was measured to cost as much to keep.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium import spaces
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import CombinedExtractor, FlattenExtractor, MlpExtractor
from stable_baselines3.common.utils import obs_as_tensor
from torch import Tensor, nn

from rl_transfer.core import FrozenParts, PartMap, isolated

CACHED = "cached"

Branches = tuple[Tensor, Tensor]
"""Actor's and critic's rows behind the frozen layers; one and the same tensor where they share it."""

SAME_IN_TRAINING = (
    nn.Flatten, nn.Identity, nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.Tanh, nn.ReLU, nn.ELU,
    nn.LeakyReLU, nn.SiLU, nn.GELU, FlattenExtractor, CombinedExtractor, MlpExtractor,
)  # fmt: skip
"""Modules without state that compute the same in training and in evaluation mode."""

TRIALS = 3
"""Random orders of a minibatch in which a row's features must come out the same."""


def install(model: BaseAlgorithm, part_map: PartMap, frozen_parts: FrozenParts | None) -> str:
    """Keep the features of frozen trunks from now on, until :func:`uninstall`.

    Call it after everything that freezes parts of the network or changes it, and again after a thaw.
    ``train``, ``predict``, ``save`` and the state dict stay as they are.

    Args:
        model: any SB3 model; PPO with several epochs has something to gain.
        part_map: the parts of ``model.policy``.
        frozen_parts: what is frozen; None if nothing is.

    Returns:
        ``"cached"``, or why nothing is kept; the model is then as it was without a cache.
    """
    uninstall(model)
    found = _misfit(model) or _frozen_trunk(model.policy, part_map, frozen_parts)
    if isinstance(found, str):
        return found
    reason = found.unfit() or _rounds_differently(model, found)
    if reason is not None:
        return reason
    _FeatureCache(model.policy, model.rollout_buffer, found).attach()  # type: ignore[attr-defined]
    return CACHED


def uninstall(model: BaseAlgorithm) -> None:
    """Compute everything anew from now on; does nothing where nothing is installed.

    Call it when parts thaw. A cache that was left in place gives no wrong numbers: its rows are dropped
    when a tensor that they rest on is written to, and not used while one is trainable.
    """
    buffer = getattr(model, "rollout_buffer", None)
    cache = getattr(getattr(buffer, "reset", None), "__self__", None)
    if isinstance(cache, _FeatureCache):
        cache.detach()


def _misfit(model: Any) -> str | None:
    """Why this model gains nothing, whatever is frozen; None if it can."""
    if not isinstance(model, PPO):
        return f"{type(model).__name__} does not train several epochs on a rollout, as PPO does"
    if model.n_epochs == 1:
        return "n_epochs is 1, so nothing is computed twice"
    policy = model.policy
    for name in ("evaluate_actions", "extract_features"):
        if name in vars(policy) or getattr(type(policy), name) is not getattr(ActorCriticPolicy, name):
            return f"{type(policy).__name__} has its own {name}"
    if type(policy.mlp_extractor) is not MlpExtractor:
        return f"the trunks are a {type(policy.mlp_extractor).__name__}, not SB3's MlpExtractor"
    return None


def _frozen_trunk(policy: Any, parts: PartMap, frozen: FrozenParts | None) -> _FrozenTrunk | str:
    """The frozen layers in front of the trained ones, or why there are none."""
    if frozen is None:
        return "nothing is frozen"
    held = set(frozen.tensors)

    def fixed(part: str) -> bool:
        return set(parts[part].tensor_names) <= held

    if not (fixed("features") and fixed("value_features")):
        return "a features extractor is trained, or its statistics follow the data"
    trunk = _FrozenTrunk(policy, actor=fixed("policy_trunk"), critic=fixed("value_trunk"))
    return trunk if trunk.tensors else "no trunk is frozen as a whole"


@dataclass(frozen=True)
class _FrozenTrunk:
    """The layers of a policy from the observation up to the first trained one.

    Attributes:
        policy: an ``ActorCriticPolicy`` whose features extractors are frozen.
        actor, critic: whether the actor's or the critic's trunk behind them is frozen as well.
    """

    policy: Any
    actor: bool
    critic: bool

    def __call__(self, observations: Any) -> Branches:
        """Observations as SB3 gives them to a policy → rows behind the frozen layers."""
        features = self.policy.extract_features(observations)
        actor, critic = (features, features) if self.policy.share_features_extractor else features
        nets = self.policy.mlp_extractor
        return (
            nets.forward_actor(actor) if self.actor else actor,
            nets.forward_critic(critic) if self.critic else critic,
        )

    def latents(self, branches: Branches) -> Branches:
        """What the heads read: the rest of the trunks, which is trained, applied to the rows."""
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
        roots = [self.policy.pi_features_extractor, self.policy.vf_features_extractor]
        roots += [nets.policy_net] * self.actor + [nets.value_net] * self.critic
        return list(dict.fromkeys(module for root in roots for module in root.modules()))

    @cached_property
    def tensors(self) -> list[Tensor]:
        """Every parameter and buffer of the frozen layers."""
        held = (each for module in self.modules for each in (module._parameters, module._buffers))
        return [tensor for tensors in held for tensor in tensors.values() if tensor is not None]

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


class _FeatureCache:
    """Stands in for one method of a policy and two of its rollout buffer.

    The buffer's say when a rollout begins and which rows a minibatch holds. The policy's computes as
    SB3's own does, but takes the rows behind the frozen layers from the cache where it has them.
    """

    def __init__(self, policy: Any, buffer: Any, trunk: _FrozenTrunk) -> None:
        self._policy, self._buffer, self._trunk = policy, buffer, trunk
        self._stand_ins = (
            (policy, "evaluate_actions", self.evaluate_actions),
            (buffer, "reset", self.reset),
            (buffer, "_get_samples", self.get_samples),
        )
        self._active = True
        self._rows: Branches | None = None
        self._known = np.zeros(buffer.buffer_size * buffer.n_envs, dtype=bool)
        self._versions: list[tuple[int, int]] = []
        self._minibatch: tuple[Any, np.ndarray[Any, Any]] | None = None

    def attach(self) -> None:
        """Take the methods' places."""
        for owner, name, method in self._stand_ins:
            setattr(owner, name, method)

    def detach(self) -> None:
        """Give the places back; where something was put on top, only compute from now on."""
        self._active = False
        self._rows = self._minibatch = None
        for owner, name, method in self._stand_ins:
            if vars(owner).get(name) == method:
                delattr(owner, name)

    def reset(self) -> None:
        """A rollout begins: nothing is known of it."""
        self._known[:] = False
        self._minibatch = None
        type(self._buffer).reset(self._buffer)

    def get_samples(self, batch_inds: np.ndarray[Any, Any], *args: Any, **kwargs: Any) -> Any:
        """A minibatch; remembers which rows it holds."""
        samples = type(self._buffer)._get_samples(self._buffer, batch_inds, *args, **kwargs)
        self._minibatch = (samples.observations, batch_inds)
        return samples

    def evaluate_actions(self, obs: Any, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """As ``ActorCriticPolicy.evaluate_actions``, with the rows of a minibatch from the cache."""
        policy = self._policy
        latent_pi, latent_vf = self._trunk.latents(self._branches(obs))
        distribution = policy._get_action_dist_from_latent(latent_pi)
        log_prob = distribution.log_prob(actions)
        return policy.value_net(latent_vf), log_prob, distribution.entropy()

    def _branches(self, obs: Any) -> Branches:
        """Rows of the present minibatch, from the cache if it has them; others are computed."""
        if self._minibatch is None or obs is not self._minibatch[0] or not self._usable():
            return self._trunk(obs)
        rows = self._minibatch[1]
        if self._rows is not None and self._known[rows].all():
            index = torch.as_tensor(rows, device=self._rows[0].device)
            actor = self._rows[0][index]
            return actor, actor if self._rows[1] is self._rows[0] else self._rows[1][index]
        branches = self._trunk(obs)
        self._write(rows, branches)
        return branches

    def _write(self, rows: np.ndarray[Any, Any], branches: Branches) -> None:
        if self._rows is None:
            actor, critic = (each.new_empty((len(self._known), *each.shape[1:])) for each in branches)
            self._rows = (actor, actor if branches[1] is branches[0] else critic)
        index = torch.as_tensor(rows, device=self._rows[0].device)
        self._rows[0][index] = branches[0]
        if self._rows[1] is not self._rows[0]:
            self._rows[1][index] = branches[1]
        self._known[rows] = True

    def _usable(self) -> bool:
        """Whether rows may be kept now; drops those that rest on tensors written to since."""
        if not self._active or not self._trunk.holds():
            return False
        versions = [(each.data_ptr(), each._version) for each in self._trunk.tensors]
        if versions != self._versions:
            self._known[:] = False
            self._versions = versions
        return True


def _rounds_differently(model: Any, trunk: _FrozenTrunk) -> str | None:
    """Whether a row's features depend on its place in a minibatch, to the bit; None if they do not.

    Rounding depends on shapes and positions, not on values, so random observations show it.
    """
    total = model.rollout_buffer.buffer_size * model.rollout_buffer.n_envs
    batch = min(model.batch_size, total)
    rng = np.random.default_rng(0)
    observations = _random_observations(model.observation_space, batch, rng)

    def features(index: np.ndarray[Any, Any]) -> Branches:
        picked: Any = (
            {key: array[index] for key, array in observations.items()}
            if isinstance(observations, dict)
            else observations[index]
        )
        return trunk(obs_as_tensor(picked, model.policy.device))

    with isolated(0), torch.no_grad():
        expected = features(np.arange(batch))
        for rows in (batch, total % batch):  # the last minibatch may be smaller
            for index in [rng.permutation(batch)[:rows] for _ in range(TRIALS if rows else 0)]:
                if any(not torch.equal(a, b[index]) for a, b in zip(features(index), expected, strict=True)):
                    return f"features depend on a row's place in a minibatch ({batch} rows, then {rows})"
    return None


def _random_observations(space: gym.Space[Any], rows: int, rng: np.random.Generator) -> Any:
    """``rows`` observations of the shapes and types of ``space``, with many different values."""
    if isinstance(space, spaces.Dict):
        return {key: _random_observations(inner, rows, rng) for key, inner in space.spaces.items()}
    if isinstance(space, spaces.Box):
        shape = (rows, *space.shape)
        whole_numbers = np.issubdtype(space.dtype, np.integer)
        drawn = rng.integers(256, size=shape) if whole_numbers else rng.random(shape)
        return drawn.astype(space.dtype)
    own = copy.deepcopy(space)
    own.seed(int(rng.integers(2**31)))
    return np.stack([own.sample() for _ in range(rows)])

"""Features of frozen trunks: computed once per rollout, reused over the epochs of ``train()``.

PPO passes every observation through the whole network once per epoch. What is frozen gives the same
features each time, so they are kept from the first epoch; later ones compute only what is trained.
Which layers these are, and when their rows may be kept, is for :mod:`rl_transfer.rl.strategy.frozen_trunk`.

The numbers are those of a run without the cache, to the bit. The first epoch computes what it always
does. A matrix product may round a row differently with its position among others, so reuse is refused
where it does; :func:`install` tries this with the network itself. Features are not taken from the
rollout, where they were computed among ``n_envs`` rows: they would round differently for few
environments, and the saved pass through the trunk was measured to cost as much to keep.
"""

from __future__ import annotations

from typing import Protocol, cast

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import RolloutBuffer
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import MlpExtractor
from stable_baselines3.common.type_aliases import PyTorchObs, RolloutBufferSamples
from stable_baselines3.common.vec_env import VecNormalize
from torch import Tensor

from rl_transfer.core import FrozenParts, PartMap
from rl_transfer.rl import sb3_seams
from rl_transfer.rl.policies.traits import TRAITS, names_with
from rl_transfer.rl.strategy.frozen_trunk import Branches, FrozenTrunk, frozen_trunk, rounds_differently
from rl_transfer.wording import in_words

CACHED = "cached"


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
    epochs = _several_epochs(model)
    if isinstance(epochs, str):
        return epochs
    found = frozen_trunk(epochs.policy, part_map, frozen_parts)
    if isinstance(found, str):
        return found
    buffer = epochs.rollout_buffer
    reason = found.unfit() or rounds_differently(found, buffer.buffer_size * buffer.n_envs, epochs.batch_size)
    if reason is not None:
        return reason
    _FeatureCache(epochs.policy, buffer, found).attach()
    return CACHED


def uninstall(model: BaseAlgorithm) -> None:
    """Compute everything anew from now on; does nothing where nothing is installed.

    Call it when parts thaw. A cache that was left in place gives no wrong numbers: its rows are dropped
    when a tensor that they rest on is written to, and not used while one is trainable.

    Args:
        model: any SB3 model.
    """
    buffer = getattr(model, "rollout_buffer", None)
    cache = getattr(getattr(buffer, "reset", None), "__self__", None)
    if isinstance(cache, _FeatureCache):
        cache.detach()


class _SeveralEpochs(Protocol):
    """A model that passes each rollout through an actor-critic ``n_epochs`` times."""

    policy: ActorCriticPolicy
    rollout_buffer: RolloutBuffer
    n_epochs: int
    batch_size: int


def _several_epochs(model: BaseAlgorithm) -> _SeveralEpochs | str:
    """The model, or why it gains nothing, whatever is frozen."""
    name = type(model).__name__
    if name not in TRAITS or not TRAITS[name].several_epochs or not isinstance(model, OnPolicyAlgorithm):
        able = in_words(names_with(lambda traits: traits.several_epochs))
        return f"{name} does not train several epochs on a rollout, as {able} does"
    found = cast(_SeveralEpochs, model)
    if found.n_epochs == 1:
        return "n_epochs is 1, so nothing is computed twice"
    policy = found.policy
    for name in ("evaluate_actions", "extract_features"):
        if name in vars(policy) or getattr(type(policy), name) is not getattr(ActorCriticPolicy, name):
            return f"{type(policy).__name__} has its own {name}"
    if type(policy.mlp_extractor) is not MlpExtractor:
        return f"the trunks are a {type(policy.mlp_extractor).__name__}, not SB3's MlpExtractor"
    return found


class _FeatureCache:
    """Stands in for one method of a policy and two of its rollout buffer.

    The buffer's say when a rollout begins and which rows a minibatch holds. The policy's computes as
    SB3's own does, but takes the rows behind the frozen layers from the cache where it has them.
    """

    def __init__(self, policy: ActorCriticPolicy, buffer: RolloutBuffer, trunk: FrozenTrunk) -> None:
        self._policy, self._buffer, self._trunk = policy, buffer, trunk
        self._stand_ins = (
            sb3_seams.StandIn(policy, "evaluate_actions", self.evaluate_actions),
            sb3_seams.StandIn(buffer, "reset", self.reset),
            sb3_seams.minibatch_stand_in(buffer, self.get_samples),
        )
        self._active = True
        self._rows: Branches | None = None
        self._known = np.zeros(buffer.buffer_size * buffer.n_envs, dtype=bool)
        self._versions: list[tuple[int, int]] = []
        self._minibatch: tuple[PyTorchObs, NDArray[np.int64]] | None = None

    def attach(self) -> None:
        """Take the methods' places."""
        for stand_in in self._stand_ins:
            stand_in.attach()

    def detach(self) -> None:
        """Give the places back; where something was put on top, only compute from now on."""
        self._active = False
        self._rows = self._minibatch = None
        for stand_in in self._stand_ins:
            stand_in.detach()

    def reset(self) -> None:
        """A rollout begins: nothing is known of it."""
        self._known[:] = False
        self._minibatch = None
        type(self._buffer).reset(self._buffer)

    def get_samples(
        self, batch_inds: NDArray[np.int64], env: VecNormalize | None = None
    ) -> RolloutBufferSamples:
        """A minibatch; remembers which rows it holds."""
        samples = sb3_seams.minibatch(self._buffer, batch_inds, env)
        self._minibatch = (samples.observations, batch_inds)
        return samples

    def evaluate_actions(self, obs: PyTorchObs, actions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """As ``ActorCriticPolicy.evaluate_actions``, with the rows of a minibatch from the cache."""
        policy = self._policy
        latent_pi, latent_vf = self._trunk.latents(self._branches(obs))
        distribution = sb3_seams.action_distribution(policy, latent_pi)
        log_prob = distribution.log_prob(actions)
        return policy.value_net(latent_vf), log_prob, distribution.entropy()

    def _branches(self, obs: PyTorchObs) -> Branches:
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

    def _write(self, rows: NDArray[np.int64], branches: Branches) -> None:
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

"""Which SB3 models the compiled engine can train, and why not the others."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.distributions import (
    CategoricalDistribution,
    DiagGaussianDistribution,
    MultiCategoricalDistribution,
)
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.dqn.policies import DQNPolicy
from torch import nn

from rl_transfer.rl.compiled.networks import KINDS
from rl_transfer.rl.compiled.optimization import KINDS as OPTIMIZERS
from rl_transfer.rl.policies.algorithms import algorithm_class
from rl_transfer.rl.policies.traits import names_with
from rl_transfer.wording import in_words

_PLAIN = {
    "weight_decay": 0, "amsgrad": False, "maximize": False, "momentum": 0, "centered": False,
    "decoupled_weight_decay": False, "differentiable": False, "capturable": False,
}  # fmt: skip


def why_not(model: BaseAlgorithm, anchored: bool = False) -> str | None:
    """Why the engine cannot train a model.

    Args:
        model: complete, its strategy applied.
        anchored: whether what hooks into its optimizer are anchors alone, which the engine knows.

    Returns:
        The first reason, for people; None if it can.
    """
    return next(_reasons(model, anchored), None)


def _reasons(model: BaseAlgorithm, anchored: bool) -> Iterator[str]:
    name, known = type(model).__name__, names_with(lambda traits: bool(traits.compiled))
    if name not in known or type(model) is not algorithm_class(name):
        yield f"{name} is none of {in_words(known)}"
        return
    if model.use_sde:
        yield "gSDE draws its noise from states"
    if model.device.type != "cpu":
        yield f"the model is on {model.device}"
    space = model.observation_space
    if not isinstance(space, spaces.Box | spaces.Discrete):
        yield f"observations are {type(space).__name__}, and it reads vectors and whole numbers"
    yield from of_policy(model.policy)
    yield from _of_optimizer(model.policy.optimizer, anchored)
    if isinstance(model, OffPolicyAlgorithm):
        yield from _of_buffer(model)


def of_policy(policy: nn.Module) -> Iterator[str]:
    """Why the engine cannot compute a policy.

    Args:
        policy: ``model.policy``.

    Yields:
        Reasons, for people.
    """
    if type(policy) not in (ActorCriticPolicy, DQNPolicy):
        yield f"the policy is a {type(policy).__name__}"
        return
    for name, module in policy.named_modules():
        if type(module) in (FlattenExtractor, nn.Sequential) or not _is_leaf(module):
            continue
        if type(module) is not nn.Linear and type(module) not in KINDS and not isinstance(module, nn.Flatten):
            yield f"{name} is a {type(module).__name__}, and it knows dense layers alone"
        if type(module) is nn.ELU and module.alpha != 1.0:
            yield f"{name} is an ELU with alpha {module.alpha}"
        if type(module) is nn.LeakyReLU and module.negative_slope != 0.01:
            yield f"{name} is a LeakyReLU with slope {module.negative_slope}"
        if type(module) is nn.GELU and module.approximate != "none":
            yield f"{name} is an approximate GELU"
    made = getattr(policy, "action_dist", None)
    kinds = (CategoricalDistribution, MultiCategoricalDistribution, DiagGaussianDistribution)
    if isinstance(policy, ActorCriticPolicy) and type(made) not in kinds:
        yield f"actions are distributed as {type(made).__name__}"
    if any(each.dtype != torch.float32 for each in policy.parameters()):
        yield "its tensors are not float32"


def _is_leaf(module: nn.Module) -> bool:
    return next(module.children(), None) is None


def _of_optimizer(optimizer: torch.optim.Optimizer, anchored: bool) -> Iterator[str]:
    if type(optimizer) not in OPTIMIZERS:
        yield f"the optimizer is {type(optimizer).__name__}"
        return
    first = optimizer.param_groups[0]
    for group in optimizer.param_groups:
        for name, plain in _PLAIN.items():
            if group.get(name, plain) not in (plain, None):
                yield f"the optimizer's {name} is {group[name]}"
        if any(group.get(name) != first.get(name) for name in ("betas", "alpha", "eps")):
            yield "the optimizer's groups have different constants"
    before, after = optimizer._optimizer_step_pre_hooks, optimizer._optimizer_step_post_hooks
    if after or (before and not anchored):
        yield "something of the strategy hooks into the optimizer's steps"


def _of_buffer(model: OffPolicyAlgorithm) -> Iterator[str]:
    buffer = model.replay_buffer
    if type(buffer) is not ReplayBuffer:
        yield f"the replay buffer is a {type(buffer).__name__}"
    elif buffer.optimize_memory_usage:
        yield "the replay buffer keeps each observation once"
    if model.train_freq.unit.value != "step":  # type: ignore[union-attr]
        yield "updates come after episodes"

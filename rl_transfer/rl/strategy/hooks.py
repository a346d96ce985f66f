"""The three hooks of a strategy that data cannot say: ``loss``, ``behaviour``, ``architecture``.

A user's hook is a class named by import path under ``hooks:``; it is built with one
:class:`HookContext`. The built-in anchors and kickstarting are loss hooks, the guide policy of
jump-start RL is a behaviour hook.

A loss hook's gradient is added to every parameter's right before its optimizer steps (torch's
``register_step_pre_hook``), after SB3's gradient clipping.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from rl_transfer.core import PartMap
from rl_transfer.rl import sb3_seams
from rl_transfer.rl.environments.spaces import Env
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.strategy.architecture import optimizers
from rl_transfer.rl.strategy.checked_hooks import CheckedHook, HookKind
from rl_transfer.spec import RLRun, StrategyVerbs


@dataclass(frozen=True)
class HookContext:
    """What a hook is built with.

    ``seed`` seeds the hook's own generators; ``source`` is the source policy, if there is one.
    """

    run: RLRun
    source: Policy | None
    seed: int


class LossHook(Protocol):
    """An extra term of the training loss."""

    def loss(self, model: BaseAlgorithm, parts: PartMap, progress: float) -> Tensor | None:
        """The term for the present parameters, a scalar with gradient; none: nothing to add.

        Args:
            model: the SB3 model in training; its buffer holds the data of this update.
            parts: the named parts of ``model.policy``.
            progress: share of the budget spent, 0 to 1.
        """


class BehaviourHook(Protocol):
    """A change of how training data are collected."""

    def wrap(self, env: Env) -> Env:
        """Wrap one training environment; evaluation environments are never wrapped.

        Args:
            env: perturbed, not yet monitored.
        """


class ArchitectureHook(Protocol):
    """A change of the network, after the transfer and before training."""

    def build(self, model: BaseAlgorithm, parts: PartMap) -> None:
        """Change ``model.policy`` in place; give new parameters to ``model.policy.optimizer``.

        Args:
            model: fresh, its tensors copied.
            parts: the named parts of ``model.policy``.
        """


def user_hook(strategy: StrategyVerbs, kind: HookKind, context: HookContext) -> CheckedHook | None:
    """The user's hook of a kind, built.

    Args:
        strategy: its ``hooks`` may name a class.
        kind: ``loss``, ``behaviour`` or ``architecture``.
        context: what the hook is built with.

    Returns:
        The hook, its returns checked; None if the strategy names none.

    Raises:
        ConfigError: there is no such class, it cannot be built with the context, or it lacks the method
            of its kind or takes other arguments.
    """
    path = strategy.hooks.get(kind)
    return None if path is None else CheckedHook(path, kind, context)


def install_losses(model: BaseAlgorithm, parts: PartMap, hooks: Iterable[LossHook]) -> None:
    """Add the gradients of the hooks' losses to every optimizer step of the model.

    Args:
        model: everything that adds parameters done.
        parts: the named parts of ``model.policy``.
        hooks: none at all leave the model as it is.
    """
    hooks = list(hooks)
    if not hooks:
        return
    for optimizer in optimizers(model):
        optimizer.register_step_pre_hook(_adder(model, parts, hooks))


def _adder(model: BaseAlgorithm, parts: PartMap, hooks: list[LossHook]) -> Callable[..., None]:
    def add(optimizer: torch.optim.Optimizer, *_: object) -> None:
        parameters = [p for g in optimizer.param_groups for p in g["params"] if p.requires_grad]
        if not parameters:
            return
        progress = min(1.0, 1.0 - sb3_seams.progress_remaining(model))
        for hook in hooks:
            with torch.enable_grad():
                term = hook.loss(model, parts, progress)
            if term is None or not term.requires_grad:
                continue
            gradients = torch.autograd.grad(term, parameters, allow_unused=True)
            for parameter, gradient in zip(parameters, gradients, strict=True):
                if gradient is not None:
                    parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient

    return add

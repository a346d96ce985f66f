"""TRPO with frozen parameters: its natural gradient is taken over the trainable ones only.

sb3-contrib differentiates with respect to every policy parameter, which raises on frozen ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn

from rl_transfer.errors import TransferError
from rl_transfer.spec import StrategyVerbs


def refuse_optimizer_verbs(strategy: StrategyVerbs) -> None:
    """Refuse what works through the actor's optimizer: TRPO steps its actor by a natural gradient.

    Raises:
        TransferError: the strategy has a loss term, or learning rates of parts.
    """
    verbs = {
        "anchor": strategy.anchor is not None,
        "kickstart": strategy.kickstart is not None,
        "learning_rates": bool(strategy.learning_rates),
        "hooks.loss": "loss" in strategy.hooks,
    }
    for key, used in verbs.items():
        if used:
            raise TransferError(
                f"{key} acts through the optimizer, but TRPO's actor has none: it takes a natural-gradient "
                "step inside a trust region, which an extra gradient would bypass; use PPO",
                key=f"strategy.{key}",
            )


def skip_frozen(model: BaseAlgorithm) -> None:
    """Let a TRPO model's actor gradient see trainable parameters only; other models are left alone.

    Raises:
        TransferError: no parameter of the actor would be left.
    """
    original = getattr(model, "_compute_actor_grad", None)
    if original is None:
        return
    policy: Any = model.policy
    if not any(each.requires_grad for key, each in policy.named_parameters() if "value" not in key):
        raise TransferError(
            "TRPO takes a natural-gradient step of the policy at every update, so it cannot be frozen "
            "as a whole, not even for a while; freeze less, or use PPO",
            key="strategy.freeze",
        )

    def trainable(*args: Any, **kwargs: Any) -> Iterator[tuple[str, nn.Parameter]]:
        named = nn.Module.named_parameters(policy, *args, **kwargs)
        return ((name, parameter) for name, parameter in named if parameter.requires_grad)

    def compute(*args: Any, **kwargs: Any) -> Any:
        policy.named_parameters = trainable
        try:
            return original(*args, **kwargs)
        finally:
            del policy.named_parameters

    model._compute_actor_grad = compute  # type: ignore[attr-defined]

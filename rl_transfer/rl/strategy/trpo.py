"""Natural gradients with frozen parameters: they are taken over the trainable ones only.

sb3-contrib's TRPO differentiates with respect to every policy parameter, which raises on frozen ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from stable_baselines3.common.base_class import BaseAlgorithm
from torch import nn

from rl_transfer.errors import TransferError
from rl_transfer.rl import sb3_seams
from rl_transfer.rl.policies.traits import names_with
from rl_transfer.spec import StrategyVerbs
from rl_transfer.wording import in_words


def refuse_optimizer_verbs(algorithm: str, strategy: StrategyVerbs) -> None:
    """Refuse what works through the actor's optimizer, for an algorithm that has none.

    Args:
        algorithm: one that takes natural gradients.
        strategy: the verbs.

    Raises:
        TransferError: the strategy has a loss term, or learning rates of parts.
    """
    verbs = {
        "anchor": strategy.anchor is not None,
        "kickstart": strategy.kickstart is not None,
        "match": strategy.match is not None,
        "learning_rates": bool(strategy.learning_rates),
        "hooks.loss": "loss" in strategy.hooks,
    }
    for key, used in verbs.items():
        if used:
            raise TransferError(
                f"{key} acts through the optimizer, but {algorithm}'s actor has none: it takes a "
                "natural-gradient step inside a trust region, which an extra gradient would bypass; "
                f"use {_alternatives()}",
                key=f"strategy.{key}",
            )


def skip_frozen(model: BaseAlgorithm, algorithm: str) -> None:
    """Let a model's natural gradient see trainable parameters only.

    Args:
        model: of an algorithm that takes natural gradients; frozen as the strategy says.
        algorithm: SB3's name of it.

    Raises:
        TransferError: no parameter of the actor would be left.
    """
    policy = model.policy
    if not any(each.requires_grad for key, each in policy.named_parameters() if "value" not in key):
        raise TransferError(
            f"{algorithm} takes a natural-gradient step of the policy at every update, so it cannot be "
            f"frozen as a whole, not even for a while; freeze less, or use {_alternatives()}",
            key="strategy.freeze",
        )

    def trainable(prefix: str = "", recurse: bool = True) -> Iterator[tuple[str, nn.Parameter]]:
        named = nn.Module.named_parameters(policy, prefix, recurse)
        return ((name, parameter) for name, parameter in named if parameter.requires_grad)

    @contextmanager
    def only_trainable() -> Iterator[None]:
        stand_in = sb3_seams.StandIn(policy, "named_parameters", trainable)
        stand_in.attach()
        try:
            yield
        finally:
            stand_in.detach()

    sb3_seams.compute_actor_gradient_within(model, only_trainable)


def _alternatives() -> str:
    return in_words(names_with(lambda traits: not traits.off_policy and not traits.natural_gradient), "or")

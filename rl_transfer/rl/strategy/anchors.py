"""The anchor of a strategy as a loss hook: L2-SP and EWC hold the policy near its source."""

from __future__ import annotations

from collections.abc import Mapping

from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from rl_transfer import core
from rl_transfer.core import PartMap, isolated
from rl_transfer.errors import TransferError
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.traits import names_with, traits_of
from rl_transfer.rl.strategy.distributions import Point, distribution
from rl_transfer.rl.strategy.translate import expand
from rl_transfer.rl.strategy.visited import visited
from rl_transfer.spec import StrategyVerbs
from rl_transfer.spec.strategy import EWCConfig


def anchor_loss(
    strategy: StrategyVerbs, parts: PartMap, copied: Mapping[str, Tensor], source: Policy, seed: int
) -> AnchorLoss | None:
    """The loss hook of a strategy's ``anchor``; none if it has none.

    Args:
        strategy: the verbs.
        parts: of the target's policy.
        copied: state-dict name → the source's value, for what was copied.
        source: the policy that the weights are held near.
        seed: of the states on which EWC measures the Fisher information.

    Raises:
        TransferError: EWC, and the source's policy has no likelihood.
    """
    if strategy.anchor is None:
        return None
    selected = set(parts.select(expand(strategy.anchor.parts, parts), key="strategy.anchor.parts"))
    reference = {name: value for name, value in copied.items() if name in selected}
    if not isinstance(strategy.anchor, EWCConfig):
        return AnchorLoss(core.L2SP(reference, strength=strategy.anchor.strength))
    fisher = policy_fisher(source, strategy.anchor.samples, seed)
    known = {name: value for name, value in fisher.items() if name in reference}
    return AnchorLoss(core.EWC(reference, known, strength=strategy.anchor.strength))


class AnchorLoss:
    """An anchor as a loss hook.

    Args:
        anchor: of the policy's parameters.
    """

    def __init__(self, anchor: core.Anchor) -> None:
        self.anchor = anchor

    def loss(self, model: BaseAlgorithm, parts: PartMap, progress: float) -> Tensor | None:
        """The penalty.

        Args:
            model: the SB3 model in training.
            parts: not used.
            progress: not used.

        Returns:
            A scalar with gradient.
        """
        return self.anchor.penalty(model.policy)


def policy_fisher(source: Policy, samples: int, seed: int) -> dict[str, Tensor]:
    """Diagonal Fisher information of the source policy on states that it visits in its own environment.

    Actions are sampled from the policy itself, as the definition asks. The critic does not act, so
    its Fisher information is 0 and EWC leaves it free.

    Args:
        source: a policy with a likelihood.
        samples: number of states.
        seed: of the states and of the actions drawn in them.

    Returns:
        Parameter name → array of the parameter's shape, in squared log-likelihood per parameter unit.

    Raises:
        TransferError: the policy has no likelihood.
    """
    name = source.algorithm.name
    if traits_of(name).actions != "distribution":
        works = names_with(lambda each: each.actions == "distribution" and not each.natural_gradient)
        raise TransferError(
            f"EWC needs a policy with a likelihood; {name} has none. It works with {', '.join(works)}; "
            "L2-SP works with every algorithm",
            key="strategy.anchor",
        )
    with isolated(seed):
        observations, _ = source.module.obs_to_tensor(visited(source, samples, seed).observations)

        def log_probabilities() -> Tensor:
            found = distribution(source.module, name, observations)
            if isinstance(found, Point):
                raise TransferError(f"a {name} policy has no likelihood", key="strategy.anchor")
            return found.log_likelihood()

        parameters = {key: p for key, p in source.module.named_parameters() if p.requires_grad}
        return core.fisher_diagonal(log_probabilities, parameters)

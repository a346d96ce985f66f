"""What silently destroys a jump-start in SB3, each with a default that does not, and on the record.

Off-policy algorithms act randomly for ``learning_starts`` steps and Q-learning restarts at
epsilon 1; SAC's entropy coefficient lies outside the policy; target networks stay random when only
the online network is copied.
"""

from __future__ import annotations

import math
from collections.abc import Collection

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm
from torch import Tensor, nn

from rl_transfer.errors import TransferError
from rl_transfer.rl.policies.bundle import Policy, log_entropy_coefficient
from rl_transfer.rl.policies.traits import Traits, names_with, traits_of
from rl_transfer.spec import Algorithm, StrategyVerbs


def target_pairs(policy: nn.Module, traits: Traits) -> list[tuple[nn.Module, nn.Module]]:
    """Online networks of a policy, each with its target network; empty for on-policy ones.

    Args:
        policy: ``model.policy``.
        traits: of its algorithm.
    """
    return [(policy.get_submodule(online), policy.get_submodule(target)) for online, target in traits.targets]


def apply_knobs(
    model: BaseAlgorithm,
    algorithm: Algorithm,
    strategy: StrategyVerbs,
    source: Policy | None,
    copied: Collection[str] = (),
) -> dict[str, str | float]:
    """Set what lies outside the copied tensors.

    Args:
        model: fresh, its tensors copied.
        algorithm: what it was built from.
        strategy: the verbs, knobs included.
        source: the source policy, if there is one.
        copied: state-dict names of the copied tensors.

    Returns:
        What was done, for the record.

    Raises:
        TransferError: a knob asks for something that the target does not have.
    """
    done: dict[str, str | float] = {"optimizer": "fresh"}
    knobs, traits = strategy.knobs, traits_of(algorithm.name)
    gaussian = isinstance(getattr(model.policy, "log_std", None), Tensor)
    if isinstance(knobs.log_std, float) and not gaussian:
        raise TransferError(
            f"knobs.log_std is {knobs.log_std}, but the policy has no log_std of its own; it is for "
            f"{', '.join(names_with(lambda each: not each.off_policy))} on continuous actions",
            key="strategy.knobs.log_std",
        )
    if gaussian:
        done["log_std"] = "keep" if "log_std" in copied else "reset"
    if isinstance(knobs.log_std, float):
        with torch.no_grad():
            model.policy.log_std.fill_(knobs.log_std)  # type: ignore[operator]
        done["log_std"] = knobs.log_std
    if isinstance(model, OffPolicyAlgorithm):
        done["target_networks"] = knobs.target_networks
        done["learning_starts"] = model.learning_starts
        if knobs.target_networks == "sync":
            for online, target in target_pairs(model.policy, traits):
                target.load_state_dict(online.state_dict())
    if traits.family == "q-learning":
        done["exploration_initial_eps"] = model.exploration_initial_eps  # type: ignore[attr-defined]
    if traits.learns_entropy:
        asked = knobs.entropy if strategy.copies or isinstance(knobs.entropy, float) else "reset"
        done["entropy"] = _entropy(model, asked, source)
    return done


def _entropy(model: BaseAlgorithm, choice: str | float, source: Policy | None) -> str | float:
    learned = log_entropy_coefficient(model)
    number = getattr(model, "ent_coef", None)
    fixed = f"fixed: the target's ent_coef is {number}" if learned is None else ""
    if isinstance(choice, float):
        value = math.log(choice)
    elif choice == "keep":
        found = source.metadata.get("log_ent_coef") if source is not None else None
        if found is None:
            return fixed or "reset: the source has no learned entropy coefficient"
        value = float(found)
    else:
        return fixed or "reset"
    if learned is None:
        raise TransferError(
            f"knobs.entropy is {choice!r}, but the target's ent_coef is the fixed number {number}; set "
            "ent_coef: auto to start from that coefficient, or knobs.entropy: reset for the fixed one",
            key="strategy.knobs.entropy",
        )
    with torch.no_grad():
        learned.fill_(value)
    return choice


class HeldTargets:
    """Keeps target networks of frozen tensors bit-equal to the online ones.

    SB3's ``polyak_update`` changes even identical tensors by rounding. Before every forward pass
    of a target network the frozen tensors are copied from the online network, so the drift is
    never used; :meth:`restore` removes it at the end.

    Args:
        policy: ``model.policy``, everything frozen that will be.
        traits: of its algorithm.
    """

    def __init__(self, policy: nn.Module, traits: Traits) -> None:
        self._pairs: list[tuple[Tensor, Tensor]] = []
        for online, target in target_pairs(policy, traits):
            frozen = [
                (mine, theirs)
                for (_, mine), (_, theirs) in zip(
                    online.named_parameters(), target.named_parameters(), strict=True
                )
                if not mine.requires_grad
            ]
            self._pairs += frozen
            if frozen:
                target.register_forward_pre_hook(lambda *_: self.restore())

    def restore(self) -> None:
        """Copy the frozen online tensors into the target networks."""
        with torch.no_grad():
            for online, target in self._pairs:
                if not online.requires_grad:
                    target.copy_(online)

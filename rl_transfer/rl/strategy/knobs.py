"""What silently destroys a jump-start in SB3, each with a default that does not, and on the record.

Off-policy algorithms act randomly for ``learning_starts`` steps and Q-learning restarts at
epsilon 1; SAC's entropy coefficient lies outside the policy; target networks stay random when only
the online network is copied.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor, nn

from rl_transfer.errors import TransferError
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.spec import Algorithm, StrategyVerbs

TARGETS = {
    "q_net": "q_net_target",
    "quantile_net": "quantile_net_target",
    "critic": "critic_target",
    "actor": "actor_target",
}


def transfer_algorithm(algorithm: Algorithm, strategy: StrategyVerbs) -> Algorithm:
    """The algorithm config as a transfer with a copied policy needs it.

    Copied policies act from the first step (``learning_starts`` 0) and explore as much as the
    source did at its end (initial epsilon = final epsilon), unless the knobs say otherwise.
    """
    knobs, copied = strategy.knobs, bool(strategy.copy_)
    changes: dict[str, float] = {}
    if hasattr(algorithm, "learning_starts") and (copied or knobs.learning_starts is not None):
        changes["learning_starts"] = knobs.learning_starts or 0
    final = getattr(algorithm, "exploration_final_eps", None)
    if final is not None and (copied or knobs.exploration_initial is not None):
        initial = knobs.exploration_initial
        changes["exploration_initial_eps"] = final if initial is None else initial
    changed: Algorithm = algorithm.model_copy(update=changes)
    return changed


def target_pairs(policy: nn.Module) -> list[tuple[nn.Module, nn.Module]]:
    """Online and target networks of an off-policy policy; empty for on-policy ones."""
    pairs = []
    for online, target in TARGETS.items():
        first, second = getattr(policy, online, None), getattr(policy, target, None)
        if isinstance(first, nn.Module) and isinstance(second, nn.Module):
            pairs.append((first, second))
    return pairs


def apply_knobs(model: BaseAlgorithm, strategy: StrategyVerbs, source: Policy | None) -> dict[str, Any]:
    """Set what lies outside the copied tensors; returns what was done, for the record.

    Raises:
        TransferError: a knob asks for something that the source does not have.
    """
    done: dict[str, Any] = {"optimizer": "fresh"}
    knobs = strategy.knobs
    gaussian = isinstance(getattr(model.policy, "log_std", None), Tensor)
    if isinstance(knobs.log_std, float) and not gaussian:
        raise TransferError(
            f"knobs.log_std is {knobs.log_std}, but the policy has no log_std of its own; it is for "
            "PPO, A2C and TRPO on continuous actions",
            key="strategy.knobs.log_std",
        )
    if isinstance(knobs.log_std, float):
        with torch.no_grad():
            model.policy.log_std.fill_(knobs.log_std)  # type: ignore[operator]
    if gaussian:
        done["log_std"] = knobs.log_std
    pairs = target_pairs(model.policy)
    if pairs:
        done["target_networks"] = knobs.target_networks
        done["learning_starts"] = model.learning_starts  # type: ignore[attr-defined]
        if knobs.target_networks == "sync":
            for online, target in pairs:
                target.load_state_dict(online.state_dict())
    if hasattr(model, "exploration_initial_eps"):
        done["exploration_initial_eps"] = model.exploration_initial_eps
    if hasattr(model, "log_ent_coef"):
        asked = knobs.entropy if strategy.copy_ or isinstance(knobs.entropy, float) else "reset"
        done["entropy"] = _entropy(model, asked, source)
    return done


def _entropy(model: Any, choice: str | float, source: Policy | None) -> str | float:
    if isinstance(choice, float):
        value = math.log(choice)
    elif choice == "keep":
        found = source.metadata.get("log_ent_coef") if source is not None else None
        if found is None:
            return "reset: the source has no learned entropy coefficient"
        value = float(found)
    else:
        return "reset"
    if model.log_ent_coef is None:
        raise TransferError(
            f"knobs.entropy is {choice!r}, but the target's ent_coef is a fixed number; "
            "use ent_coef: auto, or leave knobs.entropy out",
            key="strategy.knobs.entropy",
        )
    with torch.no_grad():
        model.log_ent_coef.fill_(value)
    return choice


class HeldTargets:
    """Keeps target networks of frozen tensors bit-equal to the online ones.

    SB3's ``polyak_update`` changes even identical tensors by rounding. Before every forward pass
    of a target network the frozen tensors are copied from the online network, so the drift is
    never used; :meth:`restore` removes it at the end.
    """

    def __init__(self, policy: nn.Module) -> None:
        self._pairs: list[tuple[Tensor, Tensor]] = []
        for online, target in target_pairs(policy):
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

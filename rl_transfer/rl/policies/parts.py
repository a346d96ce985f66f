"""The table of parts: which modules of an SB3 policy are its features, trunks, heads and targets.

| algorithm | features | trunks | heads | auxiliary |
|---|---|---|---|---|
| PPO, A2C, TRPO | `features`, `value_features` | `policy_trunk`, `value_trunk` | `action_head`, `value_head`,
`log_std` | |
| DQN, QRDQN | `features` | `policy_trunk` | `action_head` | `target` |
| SAC, TQC | `features`, `value_features` | `policy_trunk`, `value_trunk` … | `action_head`, `log_std`,
`value_head` … | `target` |
| TD3, DDPG | `features`, `value_features` | `policy_trunk`, `value_trunk` … | `action_head`, `value_head` … |
`target` |

`features` is the features extractor (without parameters for MlpPolicy); `value_features` is the critic's
own, where it is not shared. In Q-learning the network is the policy, hence `policy_trunk` and
`action_head`. Actor-critics with several critics have `value_trunk`, `value_trunk_1`, … and
`value_head`, `value_head_1`, …. The entropy coefficient of SAC and TQC lies outside the policy
(`knobs.entropy`).
"""

from __future__ import annotations

from torch import nn

from rl_transfer.core import PartMap, PartRule
from rl_transfer.rl.policies.traits import Traits, traits_of


def policy_parts(algorithm: str, policy: nn.Module) -> PartMap:
    """The named parts of an SB3 policy.

    Args:
        algorithm: SB3's name of the algorithm.
        policy: ``model.policy``.

    Returns:
        The parts in the order of the table above, those without tensors included.

    Raises:
        TransferError: the algorithm is unknown, or the policy has tensors that no part covers.
    """
    traits = traits_of(algorithm)
    rules = {"on-policy": _on_policy, "q-learning": _q_learning, "actor-critic": _actor_critic}
    return PartMap.build(policy, rules[traits.family](policy, traits))


def _on_policy(policy: nn.Module, traits: Traits) -> dict[str, PartRule]:
    return {
        "features": PartRule(("features_extractor", "pi_features_extractor"), "trunk"),
        "value_features": PartRule(("vf_features_extractor",), "trunk"),
        "policy_trunk": PartRule(("mlp_extractor.policy_net",), "trunk"),
        "value_trunk": PartRule(("mlp_extractor.value_net",), "trunk"),
        "action_head": PartRule(("action_net",), "head"),
        "value_head": PartRule(("value_net",), "head"),
        "log_std": PartRule(("log_std",), "head"),
    }


def _q_learning(policy: nn.Module, traits: Traits) -> dict[str, PartRule]:
    network = traits.network
    trunk, head = _split(policy, f"{network}.{network}")
    return {
        "features": PartRule((f"{network}.features_extractor",), "trunk"),
        "policy_trunk": PartRule(trunk, "trunk"),
        "action_head": PartRule(head, "head"),
        "target": _targets(traits),
    }


def _actor_critic(policy: nn.Module, traits: Traits) -> dict[str, PartRule]:
    if traits.actions == "deterministic":  # one network, its head last
        policy_trunk, action_head = _split(policy, "actor.mu")
        log_std: tuple[str, ...] = ()
    else:
        policy_trunk, action_head, log_std = ("actor.latent_pi",), ("actor.mu",), ("actor.log_std",)
    rules = {
        "features": PartRule(("actor.features_extractor",), "trunk"),
        "value_features": PartRule(("critic.features_extractor",), "trunk"),
        "policy_trunk": PartRule(policy_trunk, "trunk"),
        "action_head": PartRule(action_head, "head"),
    }
    if log_std:
        rules["log_std"] = PartRule(log_std, "head")
    critic = policy.get_submodule("critic")
    critics = [name for name, child in critic.named_children() if isinstance(child, nn.Sequential)]
    for index, name in enumerate(critics):
        trunk, head = _split(policy, f"critic.{name}")
        suffix = f"_{index}" if index else ""
        rules[f"value_trunk{suffix}"] = PartRule(trunk, "trunk")
        rules[f"value_head{suffix}"] = PartRule(head, "head")
    rules["target"] = _targets(traits)
    return rules


def _targets(traits: Traits) -> PartRule:
    return PartRule(tuple(target for _, target in traits.targets), "auxiliary")


def _split(policy: nn.Module, path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Module paths of a Sequential's layers with tensors: all but the last, and the last (the head)."""
    layers = [
        f"{path}.{name}"
        for name, child in policy.get_submodule(path).named_children()
        if next(child.parameters(), None) is not None
    ]
    return tuple(layers[:-1]), (layers[-1],)

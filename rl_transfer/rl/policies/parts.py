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
from rl_transfer.errors import TransferError

ON_POLICY = ("PPO", "A2C", "TRPO")
Q_LEARNING = {"DQN": "q_net", "QRDQN": "quantile_net"}
ACTOR_CRITIC = ("SAC", "TQC", "TD3", "DDPG")
ALGORITHMS = (*ON_POLICY, *Q_LEARNING, *ACTOR_CRITIC)


def policy_parts(algorithm: str, policy: nn.Module) -> PartMap:
    """The named parts of an SB3 policy.

    Args:
        algorithm: SB3's name of the algorithm, one of ``ALGORITHMS``.
        policy: ``model.policy``.

    Raises:
        TransferError: the algorithm is unknown, or the policy has tensors that no part covers.
    """
    if algorithm in ON_POLICY:
        rules = _on_policy()
    elif algorithm in Q_LEARNING:
        rules = _q_learning(policy, Q_LEARNING[algorithm])
    elif algorithm in ACTOR_CRITIC:
        rules = _actor_critic(policy)
    else:
        raise TransferError(f"{algorithm!r} has no table of parts; known: {', '.join(ALGORITHMS)}")
    return PartMap.build(policy, rules)


def _on_policy() -> dict[str, PartRule]:
    return {
        "features": PartRule(("features_extractor", "pi_features_extractor"), "trunk"),
        "value_features": PartRule(("vf_features_extractor",), "trunk"),
        "policy_trunk": PartRule(("mlp_extractor.policy_net",), "trunk"),
        "value_trunk": PartRule(("mlp_extractor.value_net",), "trunk"),
        "action_head": PartRule(("action_net",), "head"),
        "value_head": PartRule(("value_net",), "head"),
        "log_std": PartRule(("log_std",), "head"),
    }


def _q_learning(policy: nn.Module, network: str) -> dict[str, PartRule]:
    trunk, head = _split(policy, f"{network}.{network}")
    return {
        "features": PartRule((f"{network}.features_extractor",), "trunk"),
        "policy_trunk": PartRule(trunk, "trunk"),
        "action_head": PartRule(head, "head"),
        "target": PartRule((f"{network}_target",), "auxiliary"),
    }


def _actor_critic(policy: nn.Module) -> dict[str, PartRule]:
    actor, critic = policy.get_submodule("actor"), policy.get_submodule("critic")
    if not hasattr(actor, "latent_pi"):  # TD3 and DDPG: one network, its head last
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
    critics = [name for name, child in critic.named_children() if isinstance(child, nn.Sequential)]
    for index, name in enumerate(critics):
        trunk, head = _split(policy, f"critic.{name}")
        suffix = f"_{index}" if index else ""
        rules[f"value_trunk{suffix}"] = PartRule(trunk, "trunk")
        rules[f"value_head{suffix}"] = PartRule(head, "head")
    rules["target"] = PartRule(("actor_target", "critic_target"), "auxiliary")
    return rules


def _split(policy: nn.Module, path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Module paths of a Sequential's layers with tensors: all but the last, and the last (the head)."""
    layers = [
        f"{path}.{name}"
        for name, child in policy.get_submodule(path).named_children()
        if next(child.parameters(), None) is not None
    ]
    return tuple(layers[:-1]), (layers[-1],)

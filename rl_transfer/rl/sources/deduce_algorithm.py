"""Which algorithm's policy foreign tensors are, read off their names, shapes and SB3's plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from torch import Tensor

from rl_transfer.errors import BundleError
from rl_transfer.rl.policies.parts import ON_POLICY, Q_LEARNING

Data = Mapping[str, Any]
State = Mapping[str, Tensor]

_REFUSED = {
    "lstm_actor.": "a recurrent policy (RecurrentPPO), which carries a hidden state between steps",
    "actor.latent_pi.0.running_mean": "a CrossQ policy, whose batch renormalisation has no counterpart here",
}
_MASKABLE = "sb3_contrib.common.maskable"


def deduce_algorithm(state: State, data: Data, given: str | None, named: str | None, where: str) -> str:
    """The algorithm whose policy the tensors are.

    Args:
        state: tensors by SB3's names.
        data: plain data of an SB3 zip, or empty; its hyperparameters tell PPO, A2C and TRPO apart.
        given: the user's word. PPO, A2C and TRPO share their networks, so any of them may be given.
        named: what the file's name says, used only where tensors and data leave a choice.
        where: the file's name, for errors.

    Raises:
        BundleError: the tensors are no policy of a known algorithm, contradict ``given``, or fit
            several algorithms alike.
    """
    candidates = _candidates(state, where)
    if given is not None:
        if given not in candidates:
            raise BundleError(
                f"{where}: algorithm {given} was given, but the tensors are those of "
                f"{' or '.join(candidates)}; give one of these, or leave the algorithm out"
            )
        return given
    if str(_said(data, "policy_class").get("__module__", "")).startswith(_MASKABLE):
        raise BundleError(
            f"{where} is a policy of MaskablePPO, which acts under masks of allowed actions; give algorithm "
            "PPO to take its network without the masks"
        )
    choices = [each for each in candidates if _agrees(each, data)] or list(candidates)
    if len(choices) > 1 and named in choices:
        return named
    if len(choices) > 1:
        raise BundleError(
            f"{where}: the tensors fit {', '.join(choices[:-1])} and {choices[-1]} alike, and nothing in the "
            "file tells them apart; say which algorithm it is"
        )
    return choices[0]


def linear_layers(state: State, prefix: str) -> list[tuple[int, int]]:
    """(outputs, inputs) of the linear layers ``prefix.<index>``, in order."""
    pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\.weight")
    found = {int(match[1]): each for name, each in state.items() if (match := pattern.fullmatch(name))}
    return [(each.shape[0], each.shape[1]) for _, each in sorted(found.items()) if each.ndim == 2]


def critic_count(state: State) -> int:
    """How many critics ``critic.qf0``, ``critic.qf1`` … there are."""
    count = 0
    while linear_layers(state, f"critic.qf{count}"):
        count += 1
    return count


def _candidates(state: State, where: str) -> tuple[str, ...]:
    for prefix, what in _REFUSED.items():
        if any(name.startswith(prefix) for name in state):
            raise BundleError(f"{where} holds {what}; it cannot be used here")
    if "action_net.weight" in state and "value_net.weight" in state:
        return ON_POLICY
    for algorithm, network in Q_LEARNING.items():
        if linear_layers(state, f"{network}.{network}"):
            return (algorithm,)
    critics = critic_count(state)
    if any(name.startswith("actor.mu.") for name in state) and critics:
        if any(name.startswith("actor.log_std") for name in state):
            return ("SAC",) if linear_layers(state, "critic.qf0")[-1][0] == 1 else ("TQC",)
        return ("TD3",) if critics > 1 else ("DDPG", "TD3")
    names = sorted(state)
    raise BundleError(
        f"{where} holds no policy of Stable-Baselines3 with actor and critic. Its tensors: "
        f"{', '.join(names[:6])}{' …' if len(names) > 6 else ''}. "
        "Tensors under other names need a name map: their prefixes → SB3's"
    )


def _agrees(algorithm: str, data: Data) -> bool:
    """Whether the hyperparameters that SB3 saved are the algorithm's."""
    if algorithm in ON_POLICY and "gae_lambda" in data:
        return algorithm == ("PPO" if "clip_range" in data else "TRPO" if "cg_max_steps" in data else "A2C")
    if algorithm in ("TD3", "DDPG") and "policy_delay" in data:
        return (algorithm == "DDPG") == (data["policy_delay"] == 1 and data.get("target_noise_clip") == 0)
    return True


def _said(data: Data, key: str) -> Data:
    found = data.get(key)
    return found if isinstance(found, Mapping) else {}

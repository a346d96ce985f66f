"""Which algorithm's policy foreign tensors are, read off their names, shapes and SB3's plain data."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from rl_transfer.errors import BundleError
from rl_transfer.rl.policies.traits import ANY, MASKED, RECURRENT, TRAITS, UNMASKED, names_with
from rl_transfer.spec.base import Json
from rl_transfer.wording import in_words

Data = Mapping[str, Json]
State = Mapping[str, Tensor]

_REFUSED = {
    r"lstm_actor\..*": f"a recurrent policy ({RECURRENT}), which carries a hidden state between steps",
    r"actor\.latent_pi\.\d+\.(ra|running)_mean": "a CrossQ policy, whose batch renormalisation has no "
    "counterpart here",
    r"action_net\.\d+\.weight": "an ARS policy, which random search finds without a critic",
}
_MASKABLE = "sb3_contrib.common.maskable"


def deduce_algorithm(state: State, data: Data, given: str | None, named: str | None, where: str) -> str:
    """The algorithm whose policy the tensors are.

    Args:
        state: tensors by SB3's names.
        data: plain data of an SB3 zip, or empty; its hyperparameters tell apart what has the same tensors.
        given: the user's word. Algorithms that share their networks may each be given.
        named: what the file's name says, used only where tensors and data leave a choice.
        where: the file's name, for errors.

    Returns:
        SB3's name of it.

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
        _refuse_contradiction(given, _agreeing(candidates, data), candidates, where)
        return given
    if str(_said(data, "policy_class").get("__module__", "")).startswith(_MASKABLE):
        raise BundleError(
            f"{where} is a policy of {MASKED}, which acts under masks of allowed actions; give "
            f"algorithm {UNMASKED} to take its network without the masks"
        )
    choices = _agreeing(candidates, data)
    if len(choices) > 1 and named in choices:
        return named
    if len(choices) > 1:
        raise BundleError(
            f"{where}: the tensors fit {', '.join(choices[:-1])} and {choices[-1]} alike, and nothing in the "
            "file tells them apart; say which algorithm it is"
        )
    return choices[0]


def _refuse_contradiction(given: str, agreeing: list[str], candidates: tuple[str, ...], where: str) -> None:
    """Refuse a user's word against which the saved hyperparameters speak."""
    if given not in agreeing and len(agreeing) < len(candidates):
        raise BundleError(
            f"{where}: algorithm {given} was given, but its hyperparameters are those of "
            f"{in_words(agreeing, 'or')}; give that, or leave the algorithm out"
        )


def linear_layers(state: State, prefix: str) -> list[tuple[int, int]]:
    """The sizes of a sequence's linear layers.

    Args:
        state: tensors by SB3's names.
        prefix: the sequence; its layers are ``prefix.<index>``.

    Returns:
        (outputs, inputs) of each, in order.
    """
    pattern = re.compile(rf"{re.escape(prefix)}\.(\d+)\.weight")
    found = {int(match[1]): each for name, each in state.items() if (match := pattern.fullmatch(name))}
    return [(each.shape[0], each.shape[1]) for _, each in sorted(found.items()) if each.ndim == 2]


def critic_count(state: State) -> int:
    """How many critics there are.

    Args:
        state: tensors by SB3's names: ``critic.qf0``, ``critic.qf1`` …
    """
    count = 0
    while linear_layers(state, f"critic.qf{count}"):
        count += 1
    return count


def _candidates(state: State, where: str) -> tuple[str, ...]:
    for pattern, what in _REFUSED.items():
        if any(re.fullmatch(pattern, name) for name in state):
            raise BundleError(f"{where} holds {what}; it cannot be used here")
    if "action_net.weight" in state and "value_net.weight" in state:
        return names_with(lambda traits: traits.family == "on-policy")
    for algorithm, traits in TRAITS.items():
        if traits.network and linear_layers(state, f"{traits.network}.{traits.network}"):
            return (algorithm,)
    critics = critic_count(state)
    if any(name.startswith("actor.mu.") for name in state) and critics:
        drawn = any(name.startswith("actor.log_std") for name in state)
        several_outputs = drawn and linear_layers(state, "critic.qf0")[-1][0] > 1
        return names_with(
            lambda traits: (
                traits.family == "actor-critic"
                and traits.actions == ("distribution" if drawn else "deterministic")
                and (traits.quantiles == "critics") == several_outputs
                and (critics == 1 or traits.policy_defaults.get("n_critics") != 1)
            )
        )
    names = sorted(state)
    raise BundleError(
        f"{where} holds no policy of Stable-Baselines3 with actor and critic. Its tensors: "
        f"{', '.join(names[:6])}{' …' if len(names) > 6 else ''}. "
        "Tensors under other names need a name map: their prefixes → SB3's"
    )


def _agreeing(candidates: tuple[str, ...], data: Data) -> list[str]:
    """The candidates whose signature the saved hyperparameters bear out at most length; else all."""

    def borne_out(algorithm: str) -> int:
        signature = TRAITS[algorithm].signature
        fits = all(key in data and value in (ANY, data[key]) for key, value in signature.items())
        return len(signature) if fits else 0

    longest = max(borne_out(each) for each in candidates)
    return [each for each in candidates if borne_out(each) == longest]


def _said(data: Data, key: str) -> Data:
    found = data.get(key)
    return found if isinstance(found, Mapping) else {}

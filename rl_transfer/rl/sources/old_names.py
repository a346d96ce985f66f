"""Tensor names of older SB3 versions, and tensors that a file may leave out, as SB3 has them now."""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from rl_transfer.rl.policies.traits import TRAITS

_SHARED = re.compile(r"mlp_extractor\.shared_net\.(\d+)\.(weight|bias)")
_HEADS = re.compile(r"mlp_extractor\.(policy_net|value_net)\.(\d+)\.(weight|bias)")
_EXTRACTORS = ("features_extractor.", "pi_features_extractor.", "vf_features_extractor.")
_TARGETS = sorted({pair for traits in TRAITS.values() for pair in traits.targets})


def modernize(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    """The state under the names of today's SB3, and what was done, in words.

    - Layers that policy and value shared (``shared_net``, gone in SB3 2.0) are put in front of both
      networks: the same function of the observation.
    - The three names of an on-policy features extractor (two of them new in SB3 1.7) are filled
      from whichever there is.
    - Missing target networks get the online network's tensors.

    Args:
        state: tensors by the names of any SB3 version.

    Returns:
        The renamed state, and one sentence for each thing done.
    """
    renamed, notes = _unshare(dict(state))
    _fill_extractors(renamed)
    notes += _fill_targets(renamed)
    return renamed, notes


def same_tensors(state: Mapping[str, Tensor], first: str, second: str) -> bool:
    """Whether the same names under two prefixes hold the same numbers.

    Args:
        state: tensors by name.
        first: one prefix, dot included.
        second: the other.
    """
    mine = {name.removeprefix(first): each for name, each in state.items() if name.startswith(first)}
    theirs = {name.removeprefix(second): each for name, each in state.items() if name.startswith(second)}
    return mine.keys() == theirs.keys() and all(torch.equal(mine[name], theirs[name]) for name in mine)


def _unshare(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], list[str]]:
    shared = {name: found for name in state if (found := _SHARED.fullmatch(name))}
    if not shared:
        return state, []
    shift = max(int(found[1]) for found in shared.values()) + 2  # each Linear is followed by its activation
    renamed: dict[str, Tensor] = {}
    for name, tensor in state.items():
        if found := shared.get(name):
            for head in ("policy_net", "value_net"):
                renamed[f"mlp_extractor.{head}.{found[1]}.{found[2]}"] = tensor.clone()
        elif found := _HEADS.fullmatch(name):
            renamed[f"mlp_extractor.{found[1]}.{int(found[2]) + shift}.{found[3]}"] = tensor
        else:
            renamed[name] = tensor
    return renamed, ["layers shared by policy and value were put in front of both: the same function"]


def _fill_extractors(state: dict[str, Tensor]) -> None:
    known = [prefix for prefix in _EXTRACTORS if any(name.startswith(prefix) for name in state)]
    if not known:
        return
    tensors = {name.removeprefix(known[0]): each for name, each in state.items() if name.startswith(known[0])}
    for prefix in _EXTRACTORS:
        if prefix not in known:
            state.update({prefix + name: each for name, each in tensors.items()})


def _fill_targets(state: dict[str, Tensor]) -> list[str]:
    notes = []
    stochastic = any(name.startswith("actor.log_std") for name in state)  # SAC, TQC: no actor_target
    for online, target in ((f"{mine}.", f"{twin}.") for mine, twin in _TARGETS):
        names = [name for name in state if name.startswith(online)]
        needless = target == "actor_target." and stochastic
        if not names or needless or any(name.startswith(target) for name in state):
            continue
        state.update({target + name.removeprefix(online): state[name].clone() for name in names})
        notes.append(f"{target.rstrip('.')} is missing and was filled from {online.rstrip('.')}")
    return notes

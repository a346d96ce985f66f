"""Refuses copied tensors in a network that would compute something else with them than the source's."""

from __future__ import annotations

import inspect
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from gymnasium.spaces import Box, Dict
from stable_baselines3.common.policies import BasePolicy
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from rl_transfer.core import TransferPlan
from rl_transfer.errors import TransferError
from rl_transfer.rl.environments import spaces
from rl_transfer.rl.environments.spaces import Space
from rl_transfer.rl.policies.algorithms import import_object
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.spec import Algorithm
from rl_transfer.spec.base import Json
from rl_transfer.spec.network import network
from rl_transfer.wording import listing

_EXTRACTORS = {"features", "value_features"}
_EXTRACTOR = ("features_extractor", "features_extractor_kwargs", "normalize_images")


def refuse_other_function(
    plan: TransferPlan,
    algorithm: Algorithm,
    observation_space: Space,
    source: Policy,
    normalization: str,
    mapped: bool = False,
) -> None:
    """Compare what tensors do not show: activation, features extractor, number of critics, gSDE, clipping.

    Only what the copied parts depend on is compared. Widths and depths are tensors, which the plan compares.

    Args:
        plan: what is copied.
        algorithm: the target's config.
        observation_space: the target's.
        source: the policy that is copied from.
        normalization: what becomes of the source's statistics, as in a strategy.
        mapped: whether the strategy declares input maps; only without is an order compared.

    Raises:
        TransferError: with both sides, and the key of the first difference.
    """
    copied = {row.part for row in plan.entries if row.action == "copied" and row.part is not None}
    trunks = {row.part for row in plan.entries if row.part is not None and "_trunk" in row.part}
    if not mapped and copied & (trunks or copied - _EXTRACTORS):
        _refuse_other_order(source.module.observation_space, observation_space)
    theirs, mine = (_described(each) for each in (source.algorithm, algorithm))
    same_inputs = spaces.same(source.module.observation_space, observation_space)
    features = any(row.part == "features" and row.target_shape is not None for row in plan.entries)
    depends = _Dependence(frozenset(copied), features, same_inputs and not features)
    found = {
        _key(name): (theirs[name], mine[name])
        for name in mine
        if name in theirs and theirs[name] != mine[name] and depends.on(name, theirs[name], algorithm)
    }
    if normalization != "fresh" and copied:
        found |= _clipping(source.algorithm, algorithm)
    if not found:
        return
    lines = [f"  {key}: {_text(a)} in the source, {_text(b)} here" for key, (a, b) in found.items()]
    raise TransferError(
        "with the copied tensors the target's network would compute something else than the source's:\n"
        + "\n".join(lines)
        + "\nLeave these keys out to take the source's network over, set them as the source has them, or do "
        "not copy the parts that depend on them.",
        key=next(iter(found)),
    )


def refuse_other_features(
    plan: TransferPlan, policy: BasePolicy, source: Policy, order: Sequence[int | None]
) -> None:
    """Try out whether a mapped features extractor gives what the source's does, for the same observations.

    A map reaches the first layer of an extractor; a user's own may read observations in several.

    Args:
        plan: what is copied.
        policy: the target's, the plan applied.
        source: the policy that is copied from.
        order: per observation of the target the source's, or None.

    Raises:
        TransferError: it gives other features.
    """
    features = [row for row in plan.entries if row.part in _EXTRACTORS and row.target_shape is not None]
    if not features or any(row.action != "copied" for row in features):
        return
    seen = _the_same_observations(source.module.observation_space, policy.observation_space, order)
    if seen is None:
        return
    training = policy.training
    policy.set_training_mode(False)
    extractors = {
        name: each for name, each in policy.named_modules() if isinstance(each, BaseFeaturesExtractor)
    }
    apart = []
    with torch.no_grad():
        for name, theirs in source.module.named_modules():
            if name in extractors:
                wanted, found = theirs(seen[0]), extractors[name](seen[1])
                if (wanted - found).abs().max() > 1e-3 * (1 + wanted.abs().max()):
                    apart.append(name)
    policy.set_training_mode(training)
    if apart:
        raise TransferError(
            f"with input_maps the {listing(apart)} gives other features than the source's for the same "
            "observations: it reads them in more places than its first layer. Map each layer that does "
            "(features.0, features.1 …), or list features under reset",
            key="strategy.input_maps",
        )


def _the_same_observations(
    theirs: Space, mine: Space, order: Sequence[int | None]
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Eight observations as both see them, 0 where only one does; None but for vectors and images."""
    if not (isinstance(theirs, Box) and isinstance(mine, Box)):
        return None
    shapes = [each.shape if is_image_space(each) else (math.prod(each.shape),) for each in (theirs, mine)]
    if shapes[1][0] != len(order) or shapes[0][1:] != shapes[1][1:]:
        return None
    known = {here: there for here, there in enumerate(order) if there is not None}
    drawn = torch.rand(8, *shapes[0], generator=torch.Generator().manual_seed(0))
    source, target = torch.zeros(8, *shapes[0]), torch.zeros(8, *shapes[1])
    source[:, list(known.values())] = drawn[:, list(known.values())]
    target[:, list(known)] = drawn[:, list(known.values())]
    return source.reshape(8, *theirs.shape), target.reshape(8, *mine.shape)


def _refuse_other_order(theirs: Space, mine: Space) -> None:
    """Refuse the members of a dict observation in another order: trunks read them side by side."""
    if not (isinstance(theirs, Dict) and isinstance(mine, Dict)):
        return
    orders = [list(each.spaces) for each in (theirs, mine)]
    if orders[0] != orders[1] and sorted(orders[0]) == sorted(orders[1]):
        raise TransferError(
            f"the entries of the dict observation stand in the order {listing(orders[0])} in the source and "
            f"{listing(orders[1])} here, and the layers behind read them side by side: the copy would take "
            "one for another. Declare input_maps, or give the target's space the source's order",
            key="strategy.input_maps",
        )


def other_action_bounds(plan: TransferPlan, source: Policy, action_space: Space) -> str | None:
    """Where a copied policy acts in other bounds: tanh outputs are scaled to them, others are clipped.

    Args:
        plan: what is copied.
        source: the policy that is copied from.
        action_space: the target's.

    Returns:
        Both bounds, for the record; None where they are the same, or no head is copied.
    """
    theirs = source.module.action_space
    copied = any(row.part == "action_head" and row.action == "copied" for row in plan.entries)
    if not (copied and isinstance(theirs, Box) and isinstance(action_space, Box)):
        return None
    pairs = ((theirs.low, action_space.low), (theirs.high, action_space.high))
    if theirs.shape != action_space.shape or all(np.array_equal(*pair) for pair in pairs):
        return None
    return f"{_range(action_space)} here, {_range(theirs)} in the source"


def _range(space: Box) -> str:
    """``-2 to 2``, or the bounds of every action."""
    bounds = [np.unique(each) if len(np.unique(each)) == 1 else each for each in (space.low, space.high)]
    return " to ".join(listing([f"{value:g}" for value in each.ravel()]) for each in bounds)


@dataclass(frozen=True)
class _Dependence:
    """What the copied parts depend on.

    ``features``: the extractor has tensors; ``flat``: it has none, and both sides read the same observations.
    """

    copied: frozenset[str]
    features: bool
    flat: bool

    def on(self, name: str, theirs: Json, algorithm: Algorithm) -> bool:
        """Whether they depend on a part of the network that differs."""
        critic = any(part.startswith("value_") for part in self.copied)
        if name == "activation":
            return any("_trunk" in part for part in self.copied)
        if name in _EXTRACTOR:
            own = self.copied & _EXTRACTORS
            return bool(own) or (self.flat and any("_trunk" in part for part in self.copied))
        if name == "share_features_extractor":  # separate ones that become one; not the other way round
            return critic and self.features and theirs is False
        if name == "n_critics":
            return critic
        if name == "use_sde":  # the mean of an off-policy gSDE actor is clipped as well
            head = {"action_head"} if traits_of(algorithm.name).off_policy else set()
            return bool(self.copied & {"log_std", *head})
        return False


def _described(algorithm: Algorithm) -> dict[str, Json]:
    """The network, with the default arguments of its features extractor written out."""
    found = network(algorithm)
    extractor = import_object(str(found["features_extractor"]), "algorithm.policy_kwargs.features_extractor")
    parameters = inspect.signature(extractor).parameters.values() if callable(extractor) else ()
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
    given = algorithm.policy_kwargs.features_extractor_kwargs
    return {**found, "features_extractor_kwargs": {**defaults, **given}}


def _clipping(theirs: Algorithm, mine: Algorithm) -> dict[str, tuple[Json, Json]]:
    pair = [each.normalize for each in (theirs, mine)]
    clips = [each.clip_observation for each in pair if each is not None and each.observation]
    if len(clips) < 2 or clips[0] == clips[1]:
        return {}
    return {"algorithm.normalize.clip_observation": (clips[0], clips[1])}


def _key(name: str) -> str:
    return "algorithm.use_sde" if name == "use_sde" else f"algorithm.policy_kwargs.{name}"


def _text(value: Json) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

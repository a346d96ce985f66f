"""Declared maps of inputs and outputs in the terms of tensors: names, quantiles, target networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rl_transfer import core
from rl_transfer.core import PartMap
from rl_transfer.errors import TransferError
from rl_transfer.rl.environments.build import observation_names
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.traits import Traits, traits_of
from rl_transfer.rl.strategy.action_maps import ACTIONS, OUTPUTS, Map, action_count, critic_inputs
from rl_transfer.rl.strategy.translate import expand
from rl_transfer.spec import StrategyVerbs
from rl_transfer.wording import did_you_mean, listing


def with_maps(
    strategy: core.Strategy, verbs: StrategyVerbs, algorithm: str, parts: PartMap, source: Policy | None
) -> core.Strategy:
    """A strategy with its declared maps.

    Names of observations become indices, the actions of a quantile head become its outputs, ``actions``
    becomes the maps of all that is in their order, and a map of a network holds for its target network
    too, where that is copied.

    Args:
        strategy: in the core's words, without maps.
        verbs: as parsed from YAML.
        algorithm: SB3's name of the target's.
        parts: of the target's policy.
        source: what is copied from.

    Returns:
        The strategy, with ``input_maps`` and ``output_maps``.

    Raises:
        TransferError: a name that the source's environment does not have, or gives to no entry; ``actions``
            beside other output maps, of another length, or where nothing that it maps is copied.
    """
    if not (verbs.input_maps or verbs.output_maps):
        return strategy
    traits = traits_of(algorithm)
    copied = set(parts.select(strategy.copy)) - set(parts.select(strategy.reset))
    declared_inputs, declared_outputs = dict(verbs.input_maps), dict(verbs.output_maps)
    if ACTIONS in declared_outputs and source is not None:
        of_critics, declared_outputs = _of_actions(verbs, algorithm, parts, source, copied)
        declared_inputs |= of_critics
    inputs: dict[str, Map] = {}
    for selector, given in declared_inputs.items():
        indices = tuple(_index(each, source, f"strategy.input_maps.{selector}") for each in given)
        inputs |= dict.fromkeys(_places("input_maps", selector, parts, traits, copied), indices)
    outputs: dict[str, Map] = {}
    for selector, actions in declared_outputs.items():
        rows = _quantiles(actions, source) if traits.quantiles == "head" and source is not None else actions
        outputs |= dict.fromkeys(_places("output_maps", selector, parts, traits, copied), rows)
    return replace(strategy, input_maps=inputs, output_maps=outputs)


def _of_actions(
    verbs: StrategyVerbs, algorithm: str, parts: PartMap, source: Policy, copied: set[str]
) -> tuple[dict[str, Map], dict[str, Map]]:
    """The map of ``actions`` as input maps of critics and output maps, of what is copied."""
    key = f"strategy.output_maps.{ACTIONS}"
    others = [selector for selector in verbs.output_maps if selector != ACTIONS]
    if others:
        raise TransferError(
            f"{ACTIONS} maps all that is in the order of the actions; leave out {listing(others)}", key=key
        )
    actions = verbs.output_maps[ACTIONS]
    if traits_of(algorithm).family != "q-learning":  # whose heads are checked where they are mapped
        _check_actions(actions, action_count(parts), action_count(source.parts), key)
    mapped = parts.layers(expand(verbs.input_maps, parts), key="strategy.input_maps")
    inputs: dict[str, Map] = {
        critic.selector: critic.columns(actions)
        for critic in critic_inputs(algorithm, parts, source)
        if copied.intersection(critic.layer.tensors)
        and critic.layer not in mapped
        and critic.features == critic.source_features
    }
    heads = [
        name for name in OUTPUTS if name in parts.names and copied.intersection(parts[name].tensor_names)
    ]
    if not inputs and not heads:
        raise TransferError("nothing that is in the order of the actions is copied", key=key)
    return inputs, dict.fromkeys(heads, actions)


def _check_actions(actions: Map, here: int, there: int, key: str) -> None:
    if len(actions) != here:
        raise TransferError(
            f"the map has {len(actions)} entries, but the target has {here} actions; give one source action "
            "or null per target action",
            key=key,
        )
    outside = [str(each) for each in actions if each is not None and not 0 <= each < there]
    if outside:
        raise TransferError(
            f"output map index {listing(outside)} is outside the source's actions 0 to {there - 1}", key=key
        )


def _places(verb: str, selector: str, parts: PartMap, traits: Traits, copied: set[str]) -> Iterator[str]:
    """The selector, groups written out, and the same layers of copied target networks."""
    for each in expand([selector], parts):
        yield each
        for layer in parts.layers([each], key=f"strategy.{verb}"):
            twins = {
                name.replace(f"{online}.", f"{target}.", 1)
                for name in layer.tensors
                for online, target in traits.targets
                if name.startswith(f"{online}.")
            }
            if twins & copied:
                twin = next(one for one in parts["target"].layers if twins & set(one.tensors))
                yield f"{twin.part}.{twin.index}"


def _quantiles(actions: Map, source: Policy) -> Map:
    """Outputs of a quantile head: all actions' first quantile, then all actions' second …"""
    count = int(getattr(source.module.action_space, "n", 0))
    quantiles = int(getattr(source.module, "n_quantiles", 1))
    outside = [str(each) for each in actions if each is not None and not 0 <= each < count]
    if outside:
        raise TransferError(
            f"output map index {listing(outside)} is outside the source's actions 0 to {count - 1}",
            key="strategy.output_maps",
        )
    return tuple(None if each is None else q * count + each for q in range(quantiles) for each in actions)


def _index(entry: int | str | None, source: Policy | None, key: str) -> int | None:
    """A source's feature by its index; names are looked up in its environment."""
    if not isinstance(entry, str):
        return entry
    if source is None:
        raise TransferError(
            f"{entry!r} names an observation of a source, but the strategy copies none", key=key
        )
    names = observation_names(source.env)
    if names is None:
        raise TransferError(
            f"{entry!r}: {source.env.id}, as the source saw it, does not name its observations; give indices",
            key=key,
        )
    if names.count(entry) != 1:
        raise TransferError(
            f"{source.env.id} has no observation {entry!r}.{did_you_mean(entry, names)} It names "
            f"{listing(names, 40)}",
            key=key,
        )
    return names.index(entry)

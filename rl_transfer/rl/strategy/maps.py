"""Declared maps of inputs and outputs in the terms of tensors: names, quantiles, target networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from gymnasium import spaces

from rl_transfer import core
from rl_transfer.core import PartMap
from rl_transfer.errors import TransferError
from rl_transfer.rl.environments.build import observation_names
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.traits import Traits, traits_of
from rl_transfer.rl.strategy.half_maps import ACTIONS, OUTPUTS
from rl_transfer.rl.strategy.readers import OBSERVATIONS, Map, Reader, action_count, readers
from rl_transfer.rl.strategy.translate import expand
from rl_transfer.spec import StrategyVerbs
from rl_transfer.wording import did_you_mean, listing

EXTRACTORS = ("features", "value_features")


def with_maps(
    strategy: core.Strategy, verbs: StrategyVerbs, algorithm: str, parts: PartMap, source: Policy | None
) -> core.Strategy:
    """A strategy with its declared maps.

    Names of observations become indices, the actions of a quantile head become its outputs, ``observations``
    and ``actions`` become the maps of all that is in their order, and a map of a network holds for its
    target network too, where that is copied.

    Args:
        strategy: in the core's words, without maps.
        verbs: as parsed from YAML; without ``copy`` the maps are those of all that could be copied.
        algorithm: SB3's name of the target's.
        parts: of the target's policy.
        source: what is copied from.

    Returns:
        The strategy, with ``input_maps`` and ``output_maps``.

    Raises:
        TransferError: a name that the source's environment does not have, or gives to no entry;
            ``observations`` or ``actions`` of another length, or where nothing that it maps is copied;
            ``actions`` beside other output maps.
    """
    if not (verbs.input_maps or verbs.output_maps):
        return strategy
    traits = traits_of(algorithm)
    copied = set(parts.select(strategy.copy)) - set(parts.select(strategy.reset))
    copied = copied if verbs.copy_ else set(parts.tensors)
    declared_inputs: dict[str, Map] = {
        selector: tuple(_index(each, source, f"strategy.input_maps.{selector}") for each in given)
        for selector, given in verbs.input_maps.items()
    }
    declared_outputs = dict(verbs.output_maps)
    if source is not None and (OBSERVATIONS in declared_inputs or ACTIONS in declared_outputs):
        read = [each for each in readers(algorithm, parts, source) if copied.intersection(each.layer.tensors)]
        observations = declared_inputs.pop(OBSERVATIONS, None)
        if observations is not None:
            _check_observations(observations, read, source)
        actions = declared_outputs.pop(ACTIONS, None)
        if actions is not None:
            heads = [
                name
                for name in OUTPUTS
                if name in parts.names and copied.intersection(parts[name].tensor_names)
            ]
            _check_actions(
                verbs, algorithm, parts, source, nothing=not heads and not any(r.actions for r in read)
            )
            declared_outputs = dict.fromkeys(heads, actions)
        mapped = parts.layers(expand(declared_inputs, parts), key="strategy.input_maps")
        others = [each for each in read if each.layer not in mapped]
        declared_inputs |= _implied(others, observations, actions)
    inputs: dict[str, Map] = {}
    for selector, columns in declared_inputs.items():
        inputs |= dict.fromkeys(_places("input_maps", selector, parts, traits, copied), columns)
    outputs: dict[str, Map] = {}
    for selector, given in declared_outputs.items():
        rows = _quantiles(given, source) if traits.quantiles == "head" and source is not None else given
        outputs |= dict.fromkeys(_places("output_maps", selector, parts, traits, copied), rows)
    return replace(strategy, input_maps=inputs, output_maps=outputs)


def _implied(read: list[Reader], observations: Map | None, actions: Map | None) -> dict[str, Map]:
    """The input maps that ``observations`` and ``actions`` stand for.

    A layer with other counts of what is not given is left alone: the plan refuses it, or resets it.
    """
    return {
        each.selector: each.columns(observations if each.observed else None, actions)
        for each in read
        if (observations is not None and each.observed) or (actions is not None and each.actions)
        if (observations is not None and each.observed) or each.same_features()
        if actions is not None or each.same_actions()
    }


def _check_observations(observations: Map, read: list[Reader], source: Policy) -> None:
    key = f"strategy.input_maps.{OBSERVATIONS}"
    observed = [each for each in read if each.observed]
    if not observed:
        raise TransferError("nothing that reads the observations is copied", key=key)
    if isinstance(source.module.observation_space, spaces.Dict) and observed[0].layer.part in EXTRACTORS:
        raise TransferError(
            "an extractor reads each entry of a dict observation by itself; map its layers one by one",
            key=key,
        )
    reader = observed[0]
    if len(observations) != reader.features:
        raise TransferError(
            f"the map has {len(observations)} entries, but the target has {reader.features} observations; "
            "give one source observation or null per target observation",
            key=key,
        )
    outside = [str(i) for i in observations if i is not None and not 0 <= i < reader.source_features]
    if outside:
        raise TransferError(
            f"input map index {listing(outside)} is outside the source's observations "
            f"0 to {reader.source_features - 1}",
            key=key,
        )


def _check_actions(
    verbs: StrategyVerbs, algorithm: str, parts: PartMap, source: Policy, nothing: bool
) -> None:
    key = f"strategy.output_maps.{ACTIONS}"
    others = [selector for selector in verbs.output_maps if selector != ACTIONS]
    if others:
        raise TransferError(
            f"{ACTIONS} maps all that is in the order of the actions; leave out {listing(others)}", key=key
        )
    if nothing:
        raise TransferError("nothing that is in the order of the actions is copied", key=key)
    if traits_of(algorithm).family == "q-learning":  # whose heads are checked where they are mapped
        return
    actions, here, there = verbs.output_maps[ACTIONS], action_count(parts), action_count(source.parts)
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

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
from rl_transfer.rl.strategy.translate import expand
from rl_transfer.spec import StrategyVerbs
from rl_transfer.wording import did_you_mean, listing

Map = tuple[int | None, ...]


def with_maps(
    strategy: core.Strategy, verbs: StrategyVerbs, algorithm: str, parts: PartMap, source: Policy | None
) -> core.Strategy:
    """A strategy with its declared maps.

    Names of observations become indices, the actions of a quantile head become its outputs, and a map
    of a network holds for its target network too, where that is copied.

    Args:
        strategy: in the core's words, without maps.
        verbs: as parsed from YAML.
        algorithm: SB3's name of the target's.
        parts: of the target's policy.
        source: what is copied from.

    Returns:
        The strategy, with ``input_maps`` and ``output_maps``.

    Raises:
        TransferError: a name that the source's environment does not have, or gives to no entry.
    """
    if not (verbs.input_maps or verbs.output_maps):
        return strategy
    traits = traits_of(algorithm)
    copied = set(parts.select(strategy.copy)) - set(parts.select(strategy.reset))
    inputs: dict[str, Map] = {}
    for selector, given in verbs.input_maps.items():
        indices = tuple(_index(each, source, f"strategy.input_maps.{selector}") for each in given)
        inputs |= dict.fromkeys(_places("input_maps", selector, parts, traits, copied), indices)
    outputs: dict[str, Map] = {}
    for selector, actions in verbs.output_maps.items():
        rows = _quantiles(actions, source) if traits.quantiles == "head" and source is not None else actions
        outputs |= dict.fromkeys(_places("output_maps", selector, parts, traits, copied), rows)
    return replace(strategy, input_maps=inputs, output_maps=outputs)


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

"""Half maps are refused: what is copied takes a space's entries in one order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rl_transfer import core
from rl_transfer.core import Layer, PartMap, TransferPlan
from rl_transfer.errors import TransferError
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.strategy.readers import (
    FEATURES,
    OBSERVATIONS,
    Map,
    Reader,
    action_count,
    readers,
    selector,
)
from rl_transfer.spec import StrategyVerbs
from rl_transfer.wording import listing

ACTIONS = "actions"
"""The selector of an output map for whatever is in the order of the actions."""
OUTPUTS = ("action_head", "log_std")
"""The parts with an output per action (a quantile head: several)."""

_Orders = dict[str, tuple[Map, bool]]
"""Layer, as a strategy writes it → the source's entries in its order; whether a map says so."""


def refuse_half_maps(
    plan: TransferPlan,
    strategy: core.Strategy,
    verbs: StrategyVerbs,
    algorithm: str,
    parts: PartMap,
    source: Policy,
) -> None:
    """Compare the orders in which the copied layers take the source's observations, and its actions.

    A layer without a map keeps the source's order; an entry that starts fresh fits any order.

    Args:
        plan: what is copied.
        strategy: in the core's words, with its maps.
        verbs: as parsed from YAML.
        algorithm: SB3's name of the target's.
        parts: of the target's policy.
        source: the policy that is copied from.

    Raises:
        TransferError: one layer takes an entry of the target from another entry of the source than
            another layer does; with the lines to be added.
    """
    if not (verbs.input_maps or verbs.output_maps):
        return
    copied = set(plan.names("copied"))
    read = {each.selector: each for each in readers(algorithm, parts, source)}
    read_by, acted = _input_orders(strategy, parts, read.values(), copied)
    acted = _output_orders(strategy, verbs, parts, copied) | acted
    actions = _agreed(acted)
    orders = {reads: _agreed(found) for reads, found in read_by.items()}
    lines = {name: each.columns(orders.get(each.reads), actions) for name, each in read.items()}
    _refuse_rows_of_observations(orders.get(OBSERVATIONS), parts, copied)
    for reads, found in read_by.items():
        wrong = _wrong(found, orders[reads])
        if wrong:
            at_once = reads == OBSERVATIONS and FEATURES not in read_by
            raise _of_observations(orders[reads], wrong, lines, at_once)
    wrong = _wrong(acted, actions)
    if wrong:
        raise _of_actions(actions, wrong, lines)


def _refuse_rows_of_observations(order: Map | None, parts: PartMap, copied: set[str]) -> None:
    """Without trunk or extractor gSDE's ``log_std`` has a row per observation, which no map reaches."""
    hidden = [name for name in ("features", "policy_trunk") if parts[name].tensors]
    deviations = parts["log_std"].tensors if "log_std" in parts.names else ()
    rows = [each for each in deviations if not each.name.endswith(("weight", "bias")) and len(each.shape) > 1]
    moved = order is not None and order != tuple(range(len(order)))
    if moved and not hidden and copied.intersection(each.name for each in rows):
        raise TransferError(
            "without a trunk log_std has a row per observation, and input maps do not reach it; list log_std "
            "under reset",
            key="strategy.input_maps",
        )


def observation_order(strategy: core.Strategy, algorithm: str, parts: PartMap, source: Policy) -> Map | None:
    """Per observation of the target the source's, or None, as the strategy's input maps have it.

    Args:
        strategy: in the core's words, with its maps.
        algorithm: SB3's name of the target's.
        parts: of the target's policy.
        source: the policy that is copied from.

    Returns:
        The order, of members of a dict observation the first that is another one; None where no layer that
        reads observations has a map.
    """
    every = readers(algorithm, parts, source) if strategy.input_maps else []
    read_by, _ = _input_orders(strategy, parts, every, set(parts.tensors))
    found = [order for order in map(_agreed, read_by.values()) if order is not None]
    moved = [order for order in found if order != tuple(range(len(order)))]
    return next(iter([*moved, *found]), None)


def _input_orders(
    strategy: core.Strategy, parts: PartMap, read: Iterable[Reader], copied: set[str]
) -> tuple[dict[str, _Orders], _Orders]:
    """How layers take what they read in common, and actions."""
    declared = _by_layer(strategy.input_maps, parts)
    read_by: dict[str, _Orders] = {}
    acted: _Orders = {}
    for reader in read:
        if copied.intersection(reader.layer.tensors):
            mapped = reader.layer in declared
            columns = declared.get(reader.layer, tuple(range(reader.features + reader.actions)))
            features, actions = reader.parted(columns)
            if reader.reads:
                read_by.setdefault(reader.reads, {})[reader.selector] = (features, mapped)
            if reader.actions:
                acted[reader.selector] = (actions, mapped)
    return read_by, acted


def _output_orders(
    strategy: core.Strategy, verbs: StrategyVerbs, parts: PartMap, copied: set[str]
) -> _Orders:
    """How heads give actions."""
    declared = _by_layer(strategy.output_maps, parts)
    kept = tuple(range(action_count(parts)))
    found: _Orders = {}
    for layer in (layer for name in OUTPUTS if name in parts.names for layer in parts[name].layers[-1:]):
        overwritten = layer.part == "log_std" and isinstance(verbs.knobs.log_std, float)
        if copied.intersection(layer.tensors) and not overwritten:
            found[selector(layer)] = (declared.get(layer, kept), layer in declared)
    return found


def _agreed(orders: _Orders) -> Map | None:
    """The order of the layers with a map; an entry that is fresh in one may be known in another."""
    mapped = [order for order, is_mapped in orders.values() if is_mapped]
    if not mapped or len({len(order) for order in mapped}) > 1:
        return None
    return tuple(
        next((each for each in entry if each is not None), None) for entry in zip(*mapped, strict=True)
    )


def _wrong(found: _Orders, order: Map | None) -> list[str]:
    """The layers that take something in another order than those with a map do."""
    if order is None:
        return []
    return [name for name, (each, mapped) in found.items() if not _agree(each, order, mapped)]


def _agree(order: Map, wanted: Map, mapped: bool) -> bool:
    """Whether two layers take each entry from the same one; a map may leave entries fresh."""
    if not mapped:
        return order == wanted
    return all(None in pair or pair[0] == pair[1] for pair in zip(order, wanted, strict=True))


def _of_observations(
    wanted: Map | None, wrong: list[str], columns: Mapping[str, Map], at_once: bool
) -> TransferError:
    text = _yaml(wanted or ())
    every = [
        "One line maps all of them (instead of the input maps of single parts):",
        "  input_maps:",
        f"    {OBSERVATIONS}: {text}",
        "Or give these their own:",
    ]
    lines = [
        f"the maps take the source's observations in the order {text}, but {listing(wrong)} is copied in "
        "another order: policy and critics would see different observations.",
        *(every if at_once else ["Give these their own maps:"]),
        "  input_maps:",
        *(f"    {each}: {_yaml(columns[each])}" for each in wrong),
        "Or list them under reset.",
    ]
    return TransferError("\n".join(lines), key="strategy.input_maps")


def _of_actions(wanted: Map | None, wrong: list[str], columns: Mapping[str, Map]) -> TransferError:
    text = _yaml(wanted or ())
    heads = [each for each in wrong if each.split(".")[0] in OUTPUTS]
    outputs = [f"    {each.removesuffix('.0')}: {text}" for each in heads]
    inputs = [f"    {each}: {_yaml(columns[each])}" for each in wrong if each not in heads]
    lines = [
        f"the maps take the source's actions in the order {text}, but {listing(wrong)} is copied in another "
        "order: means, deviations and critics would speak of different actions. One line maps all of them "
        "(instead of the maps of single parts):",
        "  output_maps:",
        f"    {ACTIONS}: {text}",
        "Or give these their own:",
        *(["  output_maps:", *outputs] if outputs else []),
        *(["  input_maps:", *inputs] if inputs else []),
        "Or list them under reset.",
    ]
    return TransferError("\n".join(lines), key="strategy.output_maps")


def _yaml(order: Map) -> str:
    return f"[{', '.join('null' if each is None else str(each) for each in order)}]"


def _by_layer(maps: Mapping[str, Map], parts: PartMap) -> dict[Layer, Map]:
    return {layer: order for selector, order in maps.items() for layer in parts.layers([selector])}

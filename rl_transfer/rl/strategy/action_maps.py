"""What is in the order of the actions: mapped by the one selector ``actions``, refused where half is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from rl_transfer import core
from rl_transfer.core import Layer, PartMap, TransferPlan
from rl_transfer.errors import TransferError
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.spec import StrategyVerbs
from rl_transfer.wording import listing

Map = tuple[int | None, ...]

ACTIONS = "actions"
"""The selector of an output map for whatever is in the order of the actions."""
OUTPUTS = ("action_head", "log_std")
"""The parts with an output per action (a quantile head: several)."""


@dataclass(frozen=True)
class CriticInput:
    """The first layer of a critic of features and actions.

    Attributes:
        layer: of the target.
        features, actions: how many of each the target's reads, features first.
        source_features: how many features the source's reads; its actions come after them.
    """

    layer: Layer
    features: int
    actions: int
    source_features: int

    @property
    def selector(self) -> str:
        """As a strategy writes the layer."""
        return _selector(self.layer)

    def columns(self, actions: Map) -> Map:
        """The input map of the layer that leaves the features that both have and maps its actions.

        Args:
            actions: per target action the source's, or None.
        """
        mapped = (None if each is None else self.source_features + each for each in actions)
        features = (each if each < self.source_features else None for each in range(self.features))
        return (*features, *mapped)

    def actions_of(self, columns: Map) -> Map:
        """Per target action the source's, or None: the last entries of an input map of the layer.

        Args:
            columns: the input map.
        """
        last = columns[self.features :]
        return tuple(None if each is None else each - self.source_features for each in last)


def action_count(parts: PartMap) -> int:
    """Outputs of the action head: one per action, but for a quantile head.

    Args:
        parts: of a policy.
    """
    return max(parts.tensors[name].shape[0] for name in parts["action_head"].layers[-1].tensors)


def critic_inputs(algorithm: str, parts: PartMap, source: Policy) -> Iterator[CriticInput]:
    """The first layers of critics that read actions, where source and target both have such critics.

    Args:
        algorithm: SB3's name of the target's.
        parts: of the target's policy.
        source: the policy that is copied from.
    """
    theirs = source.parts
    if any(traits_of(each).family != "actor-critic" for each in (algorithm, source.algorithm.name)):
        return
    here, there = action_count(parts), action_count(theirs)
    for end in (name.removeprefix("value_head") for name in parts.names if name.startswith("value_head")):
        if f"value_head{end}" in theirs.names:
            (mine, width), (_, their_width) = (_first_layer(each, end) for each in (parts, theirs))
            yield CriticInput(mine, width - here, here, their_width - there)


def refuse_half_maps(
    plan: TransferPlan,
    strategy: core.Strategy,
    verbs: StrategyVerbs,
    algorithm: str,
    parts: PartMap,
    source: Policy,
) -> None:
    """Compare the order in which the copied layers take the source's actions.

    A layer without a map keeps the source's order; an entry that starts fresh fits any order.

    Args:
        plan: what is copied.
        strategy: in the core's words, with its maps.
        verbs: as parsed from YAML.
        algorithm: SB3's name of the target's.
        parts: of the target's policy.
        source: the policy that is copied from.

    Raises:
        TransferError: one layer takes an action of the target from another action of the source than
            another layer does; with the lines to be added.
    """
    if not (verbs.input_maps or verbs.output_maps):
        return
    copied = set(plan.names("copied"))
    critics = {each.selector: each for each in critic_inputs(algorithm, parts, source)}
    found: dict[str, tuple[Map, bool]] = {}
    declared = _by_layer(strategy.output_maps, parts)
    kept = tuple(range(action_count(parts)))
    for layer in (layer for name in OUTPUTS if name in parts.names for layer in parts[name].layers[-1:]):
        overwritten = layer.part == "log_std" and isinstance(verbs.knobs.log_std, float)
        if copied.intersection(layer.tensors) and not overwritten:
            found[_selector(layer)] = (declared.get(layer, kept), layer in declared)
    columns = _by_layer(strategy.input_maps, parts)
    for selector, critic in critics.items():
        if copied.intersection(critic.layer.tensors):
            every = columns.get(critic.layer, tuple(range(critic.features + critic.actions)))
            found[selector] = (critic.actions_of(every), critic.layer in columns)
    orders = [order for order, mapped in found.values() if mapped]
    if not orders:
        return
    wanted = tuple(next((a for a in action if a is not None), None) for action in zip(*orders, strict=True))
    wrong = [selector for selector, (order, mapped) in found.items() if not _agree(order, wanted, mapped)]
    if wrong:
        raise _refusal(wanted, wrong, critics)


def _agree(order: Map, wanted: Map, mapped: bool) -> bool:
    """Whether two layers take each action from the same one; a map may leave entries fresh."""
    if not mapped:
        return order == wanted
    return all(None in pair or pair[0] == pair[1] for pair in zip(order, wanted, strict=True))


def _refusal(wanted: Map, wrong: list[str], critics: Mapping[str, CriticInput]) -> TransferError:
    text = _yaml(wanted)
    outputs = [f"    {each.removesuffix('.0')}: {text}" for each in wrong if each not in critics]
    inputs = [f"    {each}: {_yaml(critics[each].columns(wanted))}" for each in wrong if each in critics]
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


def _first_layer(parts: PartMap, end: str) -> tuple[Layer, int]:
    """The first layer of a critic with a weight matrix, and how many inputs it has."""
    for part in (f"value_trunk{end}", f"value_head{end}"):
        for layer in parts[part].layers:
            for name in layer.tensors:
                if len(parts.tensors[name].shape) == 2:
                    return layer, parts.tensors[name].shape[1]
    raise TransferError(f"value_head{end} has no weight matrix")


def _selector(layer: Layer) -> str:
    return f"{layer.part}.{layer.index}"

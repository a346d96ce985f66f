"""The verb ``adapt``: train only the layers that depend on a space in which source and target differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from rl_transfer import core
from rl_transfer.core import Layer, PartMap
from rl_transfer.errors import TransferError
from rl_transfer.rl.environments import spaces
from rl_transfer.rl.environments.spaces import Space
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.spec import StrategyVerbs


def with_adaptation(
    strategy: core.Strategy,
    verbs: StrategyVerbs,
    algorithm: str,
    parts: PartMap,
    target: tuple[Space, Space],
    source: Policy | None,
) -> core.Strategy:
    """A strategy that freezes what no difference of spaces reaches.

    Where observations differ (or are mapped), the first layers train that read them; where actions
    differ (or are mapped), the heads do, and the first layers of critics that read actions. What of
    these does not fit starts fresh; so does, and trains, any other layer of another shape (the dense
    layer behind convolutions over larger images).

    Args:
        strategy: in the core's words.
        verbs: as parsed from YAML.
        algorithm: SB3's name of the target's.
        parts: of the target's policy.
        target: its spaces of observations and of actions.
        source: what is copied from.

    Returns:
        The strategy as it is without ``adapt``; else with ``freeze`` and ``reset_on_mismatch`` filled in.

    Raises:
        TransferError: the spaces are the same, so that nothing would train.
    """
    if verbs.adapt is None or source is None:
        return strategy
    pairs = zip((source.module.observation_space, source.module.action_space), target, strict=True)
    mapped = (verbs.input_maps, verbs.output_maps)
    differ = [not spaces.same(a, b) or bool(m) for (a, b), m in zip(pairs, mapped, strict=True)]
    if not any(differ):
        raise TransferError(
            "source and target have the same spaces, so no layer depends on a difference and nothing would "
            "train; take fine-tune or a frozen trunk, or declare input_maps or output_maps",
            key="strategy.adapt",
        )
    trained = [*_readers(parts, algorithm, *differ), *_misfits(parts, source)]
    layers = [layer for part in parts if part.role in ("trunk", "head") for layer in part.layers]
    targets = ["auxiliary"] if any(part.role == "auxiliary" and part.tensors for part in parts) else []
    return replace(
        strategy,
        freeze=tuple(_selector(layer) for layer in layers if layer not in trained),
        reset_on_mismatch=(*strategy.reset_on_mismatch, *map(_selector, trained), *targets),
    )


def _readers(parts: PartMap, algorithm: str, observations: bool, actions: bool) -> Iterator[Layer]:
    """The layers next to a space that differs."""
    heads = [part.name.removeprefix("value_head") for part in parts if part.name.startswith("value_head")]
    features = [name for name in ("value_features", "features") if name in parts.names]
    critics = [[*features, f"value_trunk{end}", f"value_head{end}"] for end in heads]
    if observations:
        for chain in (["features", "policy_trunk", "action_head"], *critics):
            yield next(layer for name in chain for layer in parts[name].layers)
    if actions:
        yield from (layer for part in parts if part.role == "head" for layer in part.layers)
        if traits_of(algorithm).family == "actor-critic":
            yield from (layer for *_, trunk, _ in critics for layer in parts[trunk].layers[:1])


def _misfits(parts: PartMap, source: Policy) -> Iterator[Layer]:
    """Layers with a tensor of another shape than the source's of the same name."""
    for part in parts:
        if part.role in ("trunk", "head"):
            for layer in part.layers:
                theirs = {name: source.state[name].shape for name in layer.tensors if name in source.state}
                if any(tuple(shape) != parts.tensors[name].shape for name, shape in theirs.items()):
                    yield layer


def _selector(layer: Layer) -> str:
    return f"{layer.part}.{layer.index}"

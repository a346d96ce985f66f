"""The layers that read a space: first layers of networks, and of critics that read actions as well."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from gymnasium import spaces

from rl_transfer.core import Layer, PartMap
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.traits import traits_of

Map = tuple[int | None, ...]

OBSERVATIONS = "observations"
"""The selector of an input map for whatever reads the observations."""
FEATURES = "features"


@dataclass(frozen=True)
class Reader:
    """A layer whose inputs are in the order of a space, in source and target.

    Attributes:
        layer: of the target.
        features, source_features: inputs that are no actions; they come first.
        actions, source_actions: inputs that are actions; 0 for all but critics that read them.
        reads: what the features are: ``observations``, or what readers with the same word have in common;
            empty for what an extractor makes of all observations.
    """

    layer: Layer
    features: int
    source_features: int
    actions: int
    source_actions: int
    reads: str

    @property
    def observed(self) -> bool:
        """Whether the features are the observations themselves."""
        return self.reads == OBSERVATIONS

    @property
    def selector(self) -> str:
        """As a strategy writes the layer."""
        return selector(self.layer)

    def columns(self, features: Map | None, actions: Map | None) -> Map:
        """The input map of the layer; what is not given stays, as far as both have it.

        Args:
            features: per feature of the target the source's, or None.
            actions: per action of the target the source's, or None.
        """
        features = _kept(self.features, self.source_features) if features is None else features
        actions = _kept(self.actions, self.source_actions) if actions is None else actions
        mapped = (None if each is None else self.source_features + each for each in actions)
        return (*features, *(mapped if self.actions else ()))

    def same_features(self) -> bool:
        """Whether source and target have as many inputs that are no actions."""
        return self.features == self.source_features

    def same_actions(self) -> bool:
        """Whether source and target have as many inputs that are actions."""
        return self.actions == self.source_actions

    def parted(self, columns: Map) -> tuple[Map, Map]:
        """An input map of the layer as those of the features and of the actions.

        Args:
            columns: per input of the target's layer the source's, or None.
        """
        last = columns[self.features :]
        return columns[: self.features], tuple(
            None if each is None else each - self.source_features for each in last
        )


def readers(algorithm: str, parts: PartMap, source: Policy) -> list[Reader]:
    """The layers of a policy that read observations or actions, where the source has such a layer too.

    Of a dict observation each member may have an extractor of its own, and some go on as they are.

    Args:
        algorithm: SB3's name of the target's.
        parts: of the target's policy.
        source: the policy that is copied from.
    """
    theirs = source.parts
    acting = [traits_of(each).family == "actor-critic" for each in (algorithm, source.algorithm.name)]
    counts = (action_count(parts), action_count(theirs)) if all(acting) else (0, 0)
    found: dict[Layer, Reader] = {}
    members = isinstance(source.module.observation_space, spaces.Dict)
    for extractors, network in _networks(parts, critics=acting[0] == acting[1]):
        critic = network[0].startswith("value_")
        layers, behind = _layers(parts, extractors), _layers(parts, network)
        places = [
            (layer, (0, 0), f"{FEATURES}.{index}" if index else OBSERVATIONS)
            for index, layer in enumerate(layers if members else layers[:1])
        ]
        if not layers or members or (critic and any(counts)):
            reads = OBSERVATIONS if not layers else FEATURES if members else ""
            places += [(layer, counts if critic else (0, 0), reads) for layer in behind[:1]]
        for layer, (actions, source_actions), reads in places:
            width = _width(parts, layer)
            source_width = _width(theirs, _counterpart(layer, theirs))
            if width is not None and source_width is not None:
                features = (width - actions, source_width - source_actions)
                found.setdefault(layer, Reader(layer, *features, actions, source_actions, reads))
    return list(found.values())


def action_count(parts: PartMap) -> int:
    """Outputs of the action head: one per action, but for a quantile head.

    Args:
        parts: of a policy.
    """
    return max(parts.tensors[name].shape[0] for name in parts["action_head"].layers[-1].tensors)


def selector(layer: Layer) -> str:
    """As a strategy writes a layer.

    Args:
        layer: of any part.
    """
    return f"{layer.part}.{layer.index}"


def _networks(parts: PartMap, critics: bool) -> Iterator[tuple[list[str], list[str]]]:
    """Parts in the order in which observations go through them: extractors, then trunk and head."""
    yield ["features"], ["policy_trunk", "action_head"]
    if "log_std" in parts.names:  # reads observations itself where there is no trunk
        yield ["features"], ["policy_trunk", "log_std"]
    for end in (name.removeprefix("value_head") for name in parts.names if name.startswith("value_head")):
        if critics:
            yield ["value_features", "features"], [f"value_trunk{end}", f"value_head{end}"]


def _layers(parts: PartMap, names: list[str]) -> tuple[Layer, ...]:
    """Those of the first part that has any."""
    return next((parts[name].layers for name in names if name in parts.names and parts[name].layers), ())


def _width(parts: PartMap, layer: Layer | None) -> int | None:
    """Inputs of a layer with a weight matrix."""
    names = layer.tensors if layer is not None else ()
    shapes = [parts.tensors[name].shape for name in names if name.endswith("weight")]
    return next((shape[1] for shape in shapes if len(shape) > 1), None)


def _counterpart(layer: Layer, theirs: PartMap) -> Layer | None:
    layers = theirs[layer.part].layers if layer.part in theirs.names else ()
    return layers[layer.index] if layer.index < len(layers) else None


def _kept(here: int, there: int) -> Map:
    return tuple(each if each < there else None for each in range(here))

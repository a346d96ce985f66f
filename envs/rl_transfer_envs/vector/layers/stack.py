"""From the wrappers of all instances to layers, innermost first."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rl_transfer_envs.errors import IncompatiblePerturbationError
from rl_transfer_envs.registry.perturbations import Perturbation
from rl_transfer_envs.vector.instances import Instance
from rl_transfer_envs.vector.kernels.base import USE_SYNC
from rl_transfer_envs.vector.layers.actions import ACTION_LAYERS
from rl_transfer_envs.vector.layers.base import BatchLayer, PartialLayer
from rl_transfer_envs.vector.layers.observations import OBSERVATION_LAYERS
from rl_transfer_envs.vector.layers.rewards import REWARD_LAYERS
from rl_transfer_envs.vector.layers.rowwise import (
    RowwiseActionLayer,
    RowwiseObservationLayer,
    RowwiseRewardLayer,
)
from rl_transfer_envs.wrappers.action import ActionPerturbation
from rl_transfer_envs.wrappers.observation import ObservationPerturbation
from rl_transfer_envs.wrappers.reward import RewardPerturbation

Build = Callable[[Sequence[Perturbation | None]], BatchLayer]

_BATCHED: dict[type[Perturbation], Build] = {**ACTION_LAYERS, **OBSERVATION_LAYERS, **REWARD_LAYERS}
_ROWWISE: dict[type[Perturbation], Build] = {
    ActionPerturbation: RowwiseActionLayer,
    ObservationPerturbation: RowwiseObservationLayer,
    RewardPerturbation: RowwiseRewardLayer,
}


def stack_layers(instances: Sequence[Instance]) -> list[BatchLayer]:
    """Layers for the wrappers of ``instances``, from the inside out.

    Instances may carry different wrappers: the k-th layers hold the k-th wrapper of each, one
    layer per kind of wrapper.

    Args:
        instances: of one batch.

    Returns:
        The layers.

    Raises:
        IncompatiblePerturbationError: a wrapper does not vectorise, or the instances'
            observations or actions differ in shape at some level.
    """
    layers: list[BatchLayer] = []
    for level in range(max(len(instance.wrappers) for instance in instances)):
        _check_shapes(instances, level)
        present = [instance.wrappers[level : level + 1] for instance in instances]
        for kind in dict.fromkeys(type(wrapper) for wrappers in present for wrapper in wrappers):
            own = [wrappers[0] if wrappers and type(wrappers[0]) is kind else None for wrappers in present]
            layer = builder(kind)(own)
            layers.append(layer if None not in own else PartialLayer(layer))
    return layers


def builder(kind: type[Perturbation]) -> Build:
    """What builds the layer for a kind of wrapper.

    Args:
        kind: the wrapper's class.

    Returns:
        ``build(wrappers)``, with ``wrappers[instance]`` or None for an instance without.

    Raises:
        IncompatiblePerturbationError: it does not vectorise.
    """
    if kind in _BATCHED:
        return _BATCHED[kind]
    for side, layer in _ROWWISE.items():
        if issubclass(kind, side) and kind.step is side.step and kind.reset is side.reset:
            return layer
    raise IncompatiblePerturbationError(
        f"{kind.name} does not vectorise: {kind.__name__} has a step or reset of its own. "
        "Implement the hooks of ActionPerturbation, ObservationPerturbation or RewardPerturbation "
        f"alone. {USE_SYNC}",
        key=kind.name,
    )


def _check_shapes(instances: Sequence[Instance], level: int) -> None:
    for side in ("observation_space", "action_space"):
        shapes: dict[tuple[int, ...], tuple[int, object]] = {}
        for row, instance in enumerate(instances):
            inside = instance.wrappers[level] if level < len(instance.wrappers) else instance.env
            shapes.setdefault(getattr(inside, side).shape, (row, getattr(inside, side)))
        if len(shapes) > 1:
            (first, one), (second, other) = list(shapes.values())[:2]
            raise IncompatiblePerturbationError(
                f"instances {first} and {second} differ in shape after {level + 1} wrappers: "
                f"{side} {one} and {other}. One batch holds instances of one shape."
            )

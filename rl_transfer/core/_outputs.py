"""Heads on another action space: outputs permuted and padded by a map."""

from __future__ import annotations

from torch import Tensor

from rl_transfer.core._sorting import owner_path
from rl_transfer.core.parts import Layer, PartMap
from rl_transfer.core.strategy import OutputMap, Strategy
from rl_transfer.errors import TransferError
from rl_transfer.wording import listing


def output_maps(part_map: PartMap, strategy: Strategy, wanted: set[str]) -> dict[Layer, OutputMap]:
    """The strategy's output maps by layer, their lengths checked against the target.

    Raises:
        TransferError: a map for a layer that is not copied or of another length than the layer
            has outputs, two maps for one layer.
    """
    maps: dict[Layer, OutputMap] = {}
    for selector, outputs in strategy.output_maps.items():
        key = strategy.key_of("output_maps", selector)
        for layer in part_map.layers((selector,), key=strategy.key_of("output_maps")):
            if not wanted.intersection(layer.tensors):
                raise TransferError(
                    f"the output map of {selector!r} covers {layer.path!r}, which is not copied", key=key
                )
            for name in layer.tensors:
                shape = part_map.tensors[name].shape
                if shape[_axis(name, len(shape))] != len(outputs):
                    raise TransferError(
                        f"the output map of {selector!r} has {len(outputs)} entries, but {name} gives "
                        f"{shape[_axis(name, len(shape))]} outputs; give one source index or None per "
                        "target output",
                        key=key,
                    )
            if layer in maps:
                raise TransferError(f"two output maps cover {layer.path!r}", key=key)
            maps[layer] = outputs
    return maps


def map_outputs(name: str, source: Tensor, target: Tensor, outputs: OutputMap) -> Tensor:
    """A tensor of the target's shape whose output i is the source's output ``outputs[i]``.

    Args:
        name: state-dict name of the target's tensor; a weight has its outputs first, all else last.
        source: the source's tensor, without gradient.
        target: read for its shape and where the map says None.
        outputs: per target output the source's, None where the target's own stays.

    Returns:
        The mapped tensor; ``source`` itself where the two differ in more than their outputs.

    Raises:
        TransferError: an index outside the source's outputs.
    """
    axis = _axis(name, source.ndim)
    rest = [(*tensor.shape[:axis], *tensor.shape[axis + 1 :]) for tensor in (source, target)]
    if source.ndim != target.ndim or rest[0] != rest[1]:
        return source
    outside = [str(each) for each in outputs if each is not None and not 0 <= each < source.shape[axis]]
    if outside:
        raise TransferError(
            f"output map index {listing(outside)} is outside the source's outputs "
            f"0 to {source.shape[axis] - 1}"
        )
    mapped = target.detach().clone().movedim(axis, 0)
    given = source.to(mapped.device).movedim(axis, 0)
    for here, there in enumerate(outputs):
        if there is not None:
            mapped[here] = given[there]
    return mapped.movedim(0, axis).contiguous()


def output_note(outputs: OutputMap) -> str:
    """``output map: 1 of 2 outputs from the source, the others fresh``."""
    known = sum(each is not None for each in outputs)
    rest = "" if known == len(outputs) else ", the others fresh"
    return f"output map: {known} of {len(outputs)} outputs from the source{rest}"


def _axis(name: str, dimensions: int) -> int:
    """Where a tensor's outputs lie: first in a layer's weight, last in biases and free parameters."""
    path = owner_path(name)
    local = name.removeprefix(f"{path}.") if path else name
    return 0 if local == "weight" else dimensions - 1

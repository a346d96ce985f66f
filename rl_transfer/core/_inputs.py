"""First layers on another observation space: columns permuted and padded by a feature map."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from rl_transfer.core.parts import Layer, PartMap
from rl_transfer.core.strategy import InputFill, InputMap, Strategy
from rl_transfer.errors import TransferError
from rl_transfer.wording import listing


def layer_maps(part_map: PartMap, strategy: Strategy, wanted: set[str]) -> dict[Layer, InputMap]:
    """The strategy's input maps by layer, their lengths checked against the target.

    Raises:
        TransferError: a map for a layer without weights or that is not copied, a map of
            another length than the layer has inputs, two maps for one layer.
    """
    maps: dict[Layer, InputMap] = {}
    for selector, columns in strategy.input_maps.items():
        key = strategy.key_of("input_maps", selector)
        for layer in part_map.layers((selector,), key=strategy.key_of("input_maps")):
            weights = [part_map.tensors[n] for n in layer.tensors if len(part_map.tensors[n].shape) > 1]
            if not weights or not wanted.intersection(layer.tensors):
                raise TransferError(
                    f"the input map of {selector!r} covers {layer.path!r}, "
                    + ("which is not copied" if weights else "which has no weight matrix"),
                    key=key,
                )
            wrong = [w for w in weights if w.shape[1] != len(columns)]
            if wrong:
                raise TransferError(
                    f"the input map of {selector!r} has {len(columns)} entries, but {wrong[0].name} takes "
                    f"{wrong[0].shape[1]} features; give one source index or None per target feature",
                    key=key,
                )
            if layer in maps:
                raise TransferError(f"two input maps cover {layer.path!r}", key=key)
            maps[layer] = columns
    return maps


def map_columns(source: Tensor, target: Tensor, columns: InputMap, fill: InputFill) -> Tensor:
    """A weight of the target's shape whose input i holds the source's input ``columns[i]``.

    Args:
        source: weight[out, in_source, …], without gradient.
        target: weight[out, in_target, …], read for its shape and for ``fresh``.
        columns: per target input the source input, None where there is none.
        fill: what stands at None: 0 or the target's own column.

    Raises:
        TransferError: an index outside the source's inputs.
    """
    outside = [str(c) for c in columns if c is not None and not 0 <= c < source.shape[1]]
    if outside:
        raise TransferError(
            f"input map index {listing(outside)} is outside the source's features 0 to {source.shape[1] - 1}"
        )
    mapped = target.detach().clone() if fill == "fresh" else torch.zeros_like(target, requires_grad=False)
    known: Mapping[int, int] = {i: c for i, c in enumerate(columns) if c is not None}
    mapped[:, list(known)] = source[:, list(known.values())].to(mapped.device)
    return mapped


def mapping_note(columns: InputMap, fill: InputFill) -> str:
    """``input map: 3 of 4 features from the source, the others zero``."""
    known = sum(column is not None for column in columns)
    rest = "" if known == len(columns) else f", the others {fill}"
    return f"input map: {known} of {len(columns)} features from the source{rest}"

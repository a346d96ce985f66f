"""The dense networks of SB3 policies as tables of layers, their tensors as views of flat arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rl_transfer.engine.activations import (
    ELU,
    GELU,
    IDENTITY,
    LEAKY_RELU,
    RELU,
    SILU,
    TANH,
)
from rl_transfer.engine.network import DenseLayer

KINDS: Mapping[type[nn.Module], int] = {
    nn.Tanh: TANH,
    nn.ReLU: RELU,
    nn.ELU: ELU,
    nn.LeakyReLU: LEAKY_RELU,
    nn.SiLU: SILU,
    nn.GELU: GELU,
}
ALIGNMENT = 16
"""Tensors begin at multiples of 16 numbers, a cache line."""


class Layout:
    """Where the tensors of a network lie in a flat vector.

    Args:
        named: name → tensor, each once.

    Attributes:
        offsets: name → where it begins.
        size: of the vector.
    """

    def __init__(self, named: Mapping[str, Tensor]) -> None:
        self.offsets: dict[str, int] = {}
        self.size = 0
        for name, tensor in named.items():
            self.offsets[name] = self.size
            self.size += -(-tensor.numel() // ALIGNMENT) * ALIGNMENT

    def spans(self, named: Mapping[str, Tensor]) -> NDArray[np.int64]:
        """Begin and end of each tensor, and whether it is trained.

        Args:
            named: name → tensor.

        Returns:
            ``[tensor, column]``.
        """
        return np.array(
            [
                (start, start + named[name].numel(), named[name].requires_grad)
                for name, start in self.offsets.items()
            ],
            dtype=np.int64,
        ).reshape(-1, 3)


class Store:
    """A flat array in which tensors lie.

    Args:
        named: name → tensor, ``float32`` and on the CPU.
        layout: where each lies.

    Attributes:
        array: ``[number]``.
    """

    def __init__(self, named: Mapping[str, Tensor], layout: Layout) -> None:
        self.array: NDArray[np.float32] = np.zeros(layout.size, dtype=np.float32)
        base = self.array.ctypes.data
        self._places = [(named[name], base + 4 * start, start) for name, start in layout.offsets.items()]

    def adopt(self) -> None:
        """Let all tensors lie in the array, with the values that they have now."""
        for tensor, address, start in self._places:
            if tensor.data_ptr() != address:
                adopt(tensor, self.array, start)


def adopt(tensor: Tensor, flat: NDArray[np.float32], start: int) -> None:
    """Let a tensor lie in a flat array, with its values.

    Args:
        tensor: ``float32``, on the CPU.
        flat: ``[number]``.
        start: where it begins.
    """
    view = torch.from_numpy(flat[start : start + tensor.numel()]).view(tensor.shape)
    with torch.no_grad():
        view.copy_(tensor)
    tensor.data = view


@dataclass(frozen=True)
class Chain:
    """Dense layers one after another, each with its activation function.

    Attributes:
        layers: the layers and the names of their modules.
        end: node of the last one.
    """

    layers: list[DenseLayer]
    end: int


def chain(modules: Iterable[tuple[str, nn.Module]], source: int, first: int, layout: Layout) -> Chain:
    """The layers of a sequence of modules.

    Args:
        modules: name → ``Linear`` or an activation function behind one.
        source: node that the first one reads.
        first: node of the first one.
        layout: where the tensors lie.

    Raises:
        ValueError: something else is among them.
    """
    found: list[DenseLayer] = []
    items = list(modules)
    for index, (name, module) in enumerate(items):
        if type(module) in KINDS and index > 0 and type(items[index - 1][1]) is nn.Linear:
            continue
        if type(module) is not nn.Linear or module.bias is None:
            raise ValueError(f"{name} is a {type(module).__name__}")
        after = type(items[index + 1][1]) if index + 1 < len(items) else nn.Linear
        found.append(
            DenseLayer(
                source,
                module.in_features,
                module.out_features,
                layout.offsets[f"{name}.weight"],
                layout.offsets[f"{name}.bias"],
                KINDS.get(after, IDENTITY),
                module.weight.requires_grad or module.bias.requires_grad,
            )
        )
        source = first + len(found) - 1
    return Chain(found, source)

"""Low-rank adapters on frozen layers (Hu et al. 2021, LoRA), on Linear and Conv2d."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from rl_transfer.core.digest import tensors_of
from rl_transfer.core.parts import PartMap
from rl_transfer.errors import TransferError
from rl_transfer.wording import listing

Adaptable = nn.Linear | nn.Conv2d


class LowRankUpdate(nn.Module):
    """The trainable update of one frozen weight.

        W' = W + scale · up @ down,  scale = α / r

    with ``up[out, r]`` at 0 and ``down[r, in]`` Kaiming-uniform, so that W' = W at the start.
    A convolution's weight is taken as the matrix [out, in · height · width].
    """

    def __init__(self, weight: Tensor, rank: int, scale: float, generator: torch.Generator) -> None:
        super().__init__()
        rows, columns = weight.shape[0], weight[0].numel()
        rank = min(rank, rows, columns)
        down = torch.empty(rank, columns, dtype=weight.dtype)
        nn.init.kaiming_uniform_(down, a=math.sqrt(5), generator=generator)
        self.down = nn.Parameter(down.to(weight.device))
        self.up = nn.Parameter(torch.zeros(rows, rank, dtype=weight.dtype, device=weight.device))
        self.scale = scale

    def forward(self, weight: Tensor) -> Tensor:
        """W'[…] in the shape of ``weight``."""
        return weight + (self.scale * (self.up @ self.down)).view_as(weight)


class LowRankAdapters:
    """The adapters that :func:`add_low_rank` put on a model."""

    def __init__(self, model: nn.Module, layers: dict[str, Adaptable], updates: list[LowRankUpdate]) -> None:
        self._model = model
        self._layers = layers
        self._updates = updates

    @property
    def paths(self) -> tuple[str, ...]:
        """Paths of the adapted layers; empty after :meth:`merge`."""
        return tuple(self._layers)

    def parameters(self) -> list[nn.Parameter]:
        """The trainable parameters, to be given to the optimizer."""
        return [p for update in self._updates for p in update.parameters()]

    def merged_state(self) -> dict[str, Tensor]:
        """The state dict with the updates folded in, under the names from before the adapters.

        The model is not changed. A network without adapters that loads it computes the same.

        Returns:
            State-dict name → tensor, detached; unadapted tensors are not copied.
        """
        state: dict[str, Tensor] = {}
        for name, tensor in tensors_of(self._model).items():
            path, separator, _ = name.rpartition(".parametrizations.weight.")
            layer = self._model.get_submodule(path)
            if not separator or layer not in self._layers.values():
                state[name] = tensor.detach()
            elif isinstance(layer.weight, Tensor):
                state[f"{path}.weight"] = layer.weight.detach()
        return state

    def merge(self) -> None:
        """Fold the updates into the weights and take the adapters off, in place.

        The weights keep their identity and stay as frozen as they were. Merging changes frozen
        tensors by design: verify a freeze before, not after.
        """
        for layer in self._layers.values():
            parametrize.remove_parametrizations(layer, "weight")
            if layer.bias is not None:  # removing registers the weight last; the order was weight, bias
                layer._parameters["bias"] = layer._parameters.pop("bias")
        self._layers, self._updates = {}, []


def add_low_rank(
    model: nn.Module,
    part_map: PartMap,
    selectors: Iterable[str],
    *,
    rank: int,
    alpha: float | None = None,
    generator: torch.Generator,
    key: str | None = None,
) -> LowRankAdapters:
    """Put a trainable low-rank update on every frozen Linear and Conv2d weight selected.

    The network computes the same as before until the adapters are trained. The state dict
    gets ``<layer>.parametrizations.weight.*`` instead of ``<layer>.weight`` until
    :meth:`LowRankAdapters.merge`; part maps built anew sort the adapters with their layer.

    Args:
        model: changed in place.
        part_map: of the model without adapters.
        selectors: layers; those that are neither Linear nor Conv2d are passed over.
        rank: r ≥ 1; a layer with a smaller side than r gets that side's rank.
        alpha: α, the update's scale; r by default (scale 1).
        generator: draws the initial ``down`` matrices.
        key: config path of the selectors, for errors.

    Returns:
        The adapters; their parameters belong into the optimizer.

    Raises:
        TransferError: no Linear or Conv2d selected, a weight that is not frozen, a rank out
            of range. The model is then untouched.
    """
    paths = [layer.path for layer in part_map.layers(selectors, key=key)]
    modules = {path: model.get_submodule(path) for path in paths}
    layers = {path: module for path, module in modules.items() if isinstance(module, Adaptable)}
    if not layers:
        raise TransferError(f"no Linear or Conv2d layer to adapt among {listing(paths)}", key=key)
    trainable = [path for path, layer in layers.items() if layer.weight.requires_grad]
    if trainable:
        raise TransferError(
            f"low-rank adapters belong on frozen layers; {listing(trainable)} is trainable: freeze it first",
            key=key,
        )
    if rank < 1:
        raise TransferError(f"rank {rank} is out of range; give at least 1", key=key)
    scale = 1.0 if alpha is None else alpha / rank
    updates = [LowRankUpdate(layer.weight, rank, scale, generator) for layer in layers.values()]
    for layer, update in zip(layers.values(), updates, strict=True):
        parametrize.register_parametrization(layer, "weight", update)
    return LowRankAdapters(model, layers, updates)

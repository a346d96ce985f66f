"""A network part by part: what its units give on a batch, and what gradients of two halves agree on."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rl_transfer.core.diagnostics import agreement, dormant, effective_rank, saturated
from rl_transfer.core.parts import Part, PartMap

_BOUNDED = (nn.Tanh, nn.Sigmoid, nn.Hardtanh, nn.Hardsigmoid, nn.Softsign)
_ZERO_TO_ONE = (nn.Sigmoid, nn.Hardsigmoid)
_ACTIVATIONS = (
    *_BOUNDED, nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.RReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU,
    nn.SiLU, nn.Mish, nn.Softplus, nn.Hardswish,
)  # fmt: skip

PartLoss = tuple[Tensor, str]
"""A loss, and what the names of the parameters that learn by it begin with."""


@dataclass(frozen=True)
class PartActivity:
    """What the units of one part give on a batch.

    Attributes:
        units: behind activations, over all its layers.
        dormant: share of them, 0 to 1 (:func:`rl_transfer.core.diagnostics.dormant`, layer by layer).
        saturated: share of those behind a bounded activation; NaN where there are none.
        features: that the part ends with; maps are averaged over their places.
        effective_rank: of these (:func:`rl_transfer.core.diagnostics.effective_rank`).
    """

    units: int
    dormant: float
    saturated: float
    features: int
    effective_rank: float


@dataclass
class _Counts:
    """Over the activations of a part so far; large maps are not kept."""

    units: int = 0
    dormant: int = 0
    bounded: int = 0
    saturated: int = 0
    features: Tensor | None = None

    def add(self, output: Tensor, module: nn.Module) -> None:
        """Count the units of one activation, whose last axis they are."""
        values = 2 * output - 1 if isinstance(module, _ZERO_TO_ONE) else output
        rows = values.flatten(0, -2)
        self.units += rows.shape[-1]
        self.dormant += int(dormant(output.flatten(0, -2)).sum())
        if isinstance(module, _BOUNDED):
            self.bounded += rows.shape[-1]
            self.saturated += int(saturated(rows).sum())
        self.features = output.flatten(1, -2).mean(dim=1) if output.ndim > 2 else output.clone()


def part_activity(model: nn.Module, parts: PartMap, forward: Callable[[], object]) -> dict[str, PartActivity]:
    """Run a network once and look at the units behind every activation of its trunks.

    Args:
        model: in evaluation mode.
        parts: its named parts.
        forward: runs it on a batch.

    Returns:
        Part → activity; parts that are no trunk, and those without an activation module, are left out.
    """
    found: dict[str, _Counts] = {}
    handles = []
    for part in parts:
        if part.role != "trunk":
            continue
        for path, last in _activations(model, part):
            seen = found.setdefault(part.name, _Counts())
            module = model.get_submodule(path)
            handles.append(module.register_forward_hook(_catcher(seen, last)))
    try:
        with torch.no_grad():
            forward()
    finally:
        for handle in handles:
            handle.remove()
    return {
        name: _activity(counts, counts.features)
        for name, counts in found.items()
        if counts.features is not None
    }


def _activations(model: nn.Module, part: Part) -> Iterator[tuple[str, bool]]:
    """Paths of a part's activations, and whether their units are on the last axis."""
    for layer in part.layers:
        last = isinstance(model.get_submodule(layer.path), nn.Linear | nn.LayerNorm)
        for path in layer.followers:
            if isinstance(model.get_submodule(path), _ACTIVATIONS):
                yield path, last


def _catcher(counts: _Counts, last: bool) -> Callable[..., None]:
    def catch(module: nn.Module, _: object, output: Tensor) -> None:
        counts.add(output if last or output.ndim < 3 else output.movedim(1, -1), module)

    return catch


def _activity(counts: _Counts, features: Tensor) -> PartActivity:
    rank = effective_rank(features)
    known = math.isfinite(rank)  # of units that give no numbers nothing is known
    return PartActivity(
        units=counts.units,
        dormant=counts.dormant / counts.units if known else math.nan,
        saturated=counts.saturated / counts.bounded if known and counts.bounded else math.nan,
        features=features.shape[-1],
        effective_rank=rank,
    )


def part_agreement(
    model: nn.Module, parts: PartMap, halves: Sequence[Callable[[], Sequence[PartLoss]]]
) -> dict[str, float]:
    """The cosine between the gradients of the same loss on two halves of the data, part by part.

    Frozen parameters count as all others do: the gradient is the one that freezing holds back.

    Args:
        model: in evaluation mode; flags and gradients are afterwards what they were.
        parts: its named parts.
        halves: each computes the losses on its data.

    Returns:
        Part → :func:`rl_transfer.core.diagnostics.agreement`; trunks and heads with a gradient only.
    """
    with _trainable(model):
        first, second = (_gradients(model, half()) for half in halves)
    found = {}
    for part in parts:
        names = [name for name in part.tensor_names if name in first and name in second]
        if part.role == "auxiliary" or not names:
            continue
        value = agreement([first[name] for name in names], [second[name] for name in names])
        if math.isfinite(value):
            found[part.name] = value
    return found


def _gradients(model: nn.Module, losses: Sequence[PartLoss]) -> dict[str, Tensor]:
    """Name → gradient, of the parameters that a loss reaches."""
    found: dict[str, Tensor] = {}
    for loss, prefix in losses:
        named: Mapping[str, nn.Parameter] = {
            name: parameter for name, parameter in model.named_parameters() if name.startswith(prefix)
        }
        gradients = torch.autograd.grad(loss, [*named.values()], retain_graph=True, allow_unused=True)
        for name, gradient in zip(named, gradients, strict=True):
            if gradient is not None:
                found[name] = gradient
    return found


@contextmanager
def _trainable(model: nn.Module) -> Iterator[None]:
    """Every parameter with a gradient; afterwards those that had one."""
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    for parameter, _ in flags:
        parameter.requires_grad_(True)
    try:
        with torch.enable_grad():
            yield
    finally:
        for parameter, flag in flags:
            parameter.requires_grad_(flag)

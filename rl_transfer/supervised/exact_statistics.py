"""Statistics of normalisation layers as the network of now has them, instead of running averages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from rl_transfer.core.randomness import isolated
from rl_transfer.supervised.batches import Batch
from rl_transfer.supervised.evaluate import Forward, in_training

RUNNING = ("running_mean", "running_var", "moving_mean", "moving_variance")
"""What torch and Keras call the running averages of a normalisation layer."""
VARIANCES = {"running_mean": "running_var", "moving_mean": "moving_variance"}


def settle(model: nn.Module, forward: Forward, batches: Iterator[Batch], device: torch.device) -> list[str]:
    """Replace running statistics by those of all batches together under the present weights.

    A running average follows slowly: after t steps momentum**t of its start is left (Keras keeps 0.99 a
    step: 0.37 of it after 100), and the rest is of weights that are no more. Trained on few items, a network
    that has learnt them is measured with numbers of its initialisation.

    Layers whose averages move in a forward pass in training mode are settled; modules held in evaluation
    mode, frozen ones, keep theirs. A pass that starts at 0 and one that starts at c end at s·b and
    (1 − s)·c + s·b: b, the batch's own, follows for any share s. Both passes draw the same. Variances of
    batches are joined by the law of total variance; each batch is normalised by its own, as in training.
    Weights, gradients, other buffers and the global generators stay as they are, and so do the averages where
    a pass fails.

    Source: Wu & Johnson 2021 (arXiv:2105.07576), PreciseBN.

    Args:
        model: changed in place.
        forward: the model as a function of a batch.
        batches: of the training items, as the model trains on them.
        device: where it is.

    Returns:
        Names of the buffers that were replaced; empty where none moves.
    """
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    found: dict[str, Tensor] = {}
    squares: dict[str, Tensor] = {}
    count = 0
    try:
        with in_training(model), torch.no_grad():
            for batch, _ in batches:
                inputs = batch.to(device)
                names = [*found] if count else _followers(model, forward, inputs, before)
                if not names:
                    return []
                for name, own in _of_batch(model, forward, inputs, before, names).items():
                    found[name] = found.get(name, 0.0) + len(inputs) * own
                    squares[name] = squares.get(name, 0.0) + len(inputs) * own**2
                count += len(inputs)
    finally:
        _put(model, before)
    settled = {name: total / count for name, total in found.items()}
    for name in settled:
        path, _, last = name.rpartition(".")
        variance = f"{path}.{VARIANCES.get(last)}".lstrip(".")
        if variance in settled:
            settled[variance] += squares[name] / count - settled[name] ** 2
    _put(model, settled)
    return [*settled]


def _followers(model: nn.Module, forward: Forward, inputs: Tensor, before: Mapping[str, Tensor]) -> list[str]:
    """Running averages of the layers that follow the data."""
    ends = _passed(model, forward, inputs, before)
    places = {name: name.rpartition(".") for name in before}
    moved = {places[name][0] for name, start in before.items() if not torch.equal(ends[name], start)}
    return [name for name, (path, _, last) in places.items() if path in moved and last in RUNNING]


def _of_batch(
    model: nn.Module, forward: Forward, inputs: Tensor, before: Mapping[str, Tensor], names: Sequence[str]
) -> dict[str, Tensor]:
    """The batch's own statistics, float64."""
    zeros = {name: torch.zeros_like(before[name]) for name in names}
    low = _passed(model, forward, inputs, {**before, **zeros})
    # Far above what it is added to: the share is read off without loss.
    far = {name: zeros[name] + 100 * max(1.0, float(low[name].abs().max())) for name in names}
    high = _passed(model, forward, inputs, {**before, **far})
    share = {name: 1 - (high[name] - low[name]).double() / far[name].double() for name in names}
    return {
        name: torch.where(share[name] == 0, before[name].double(), low[name].double() / share[name])
        for name in names
    }


def _passed(
    model: nn.Module, forward: Forward, inputs: Tensor, starts: Mapping[str, Tensor]
) -> dict[str, Tensor]:
    """The buffers after one pass that starts from these."""
    _put(model, starts)
    with isolated(0):
        forward(inputs)
    return {name: buffer.clone() for name, buffer in model.named_buffers()}


def _put(model: nn.Module, values: Mapping[str, Tensor]) -> None:
    for name, buffer in model.named_buffers():
        if name in values:
            buffer.copy_(values[name])

"""Statistics of normalisation layers as the network of now has them, instead of running averages."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from rl_transfer.core.randomness import isolated
from rl_transfer.supervised.batches import Batch
from rl_transfer.supervised.evaluate import Forward, in_training

RUNNING = ("running_mean", "running_var", "moving_mean", "moving_variance")
"""What torch and Keras call the running averages of a normalisation layer."""


def settle(model: nn.Module, forward: Forward, batches: Iterator[Batch], device: torch.device) -> list[str]:
    """Replace running statistics by the mean of the batches' own under the present weights.

    A running average follows slowly: after t steps momentum**t of its start is left (Keras keeps 0.99 a
    step: 0.37 of it after 100), and the rest is of weights that are no more. Trained on few items, a network
    that has learnt them is measured with numbers of its initialisation.

    What moves in a forward pass in training mode counts: modules held in evaluation mode, frozen ones, keep
    theirs. A pass that starts at 0 and one that starts at c end at s·b and
    (1 − s)·c + s·b: b, the batch's own, follows for any share s, in every library. Both passes draw the same.
    Weights, gradients and the global generators stay as they are.

    Source: Wu & Johnson 2021 (arXiv:2105.07576), PreciseBN.

    Args:
        model: changed in place.
        forward: the model as a function of a batch.
        batches: of the training items, as the model trains on them.
        device: where it is.

    Returns:
        Names of the buffers that were replaced; empty where none moves.
    """
    moved: list[str] = []
    totals: dict[str, Tensor] = {}
    count = 0
    with in_training(model), torch.no_grad():
        buffers = dict(model.named_buffers())
        before = {name: buffer.clone() for name, buffer in buffers.items()}
        for number, (batch, _) in enumerate(batches):
            inputs = batch.to(device)
            if not number:
                ends = _passed(forward, inputs, buffers, before)
                averages = [name for name in ends if name.rpartition(".")[2] in RUNNING]
                moved = [name for name in averages if not torch.equal(ends[name], before[name])]
                if not moved:
                    return []
            zeros = {name: torch.zeros_like(before[name]) for name in moved}
            low = _passed(forward, inputs, buffers, before | zeros)
            # Far above what it is added to: the share is read off without loss.
            starts = {name: zeros[name] + 100 * max(1.0, float(low[name].abs().max())) for name in moved}
            high = _passed(forward, inputs, buffers, before | starts)
            for name in moved:
                share = 1 - (high[name] - low[name]).double() / starts[name].double()
                own = torch.where(share > 0, low[name].double() / share, before[name].double())
                totals[name] = totals.get(name, 0.0) + len(inputs) * own
            count += len(inputs)
        for name in moved:
            buffers[name].copy_(totals[name] / count)
    return moved


def _passed(
    forward: Forward, inputs: Tensor, buffers: dict[str, Tensor], starts: dict[str, Tensor]
) -> dict[str, Tensor]:
    """The buffers after one pass that starts from these; then they are put back there."""
    for name, buffer in buffers.items():
        buffer.copy_(starts[name])
    with isolated(0):
        forward(inputs)
    ends = {name: buffer.clone() for name, buffer in buffers.items()}
    for name, buffer in buffers.items():
        buffer.copy_(starts[name])
    return ends

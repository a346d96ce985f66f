"""Measuring a classifier: accuracy on the whole test part, without a trace in its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.predictions import Predictions

Forward = Callable[[Tensor], Tensor]
"""A batch of inputs (or of features) → logits [n, classes]."""


def predict(forward: Forward, batches: Batches, batch_size: int, device: torch.device) -> Predictions:
    """The predictions on every item of a part, in its order.

    Args:
        forward: the network in evaluation mode, or its head where the batches hold features.
        batches: the part.
        batch_size: items per forward pass.
        device: where the network is.

    Returns:
        Probabilities and true labels.
    """
    found = []
    with torch.no_grad():
        for inputs, _ in batches.in_order(batch_size):
            logits = forward(inputs.to(device)).float()
            found.append(functional.softmax(logits, dim=1).cpu().numpy())
    return Predictions(np.concatenate(found), batches.items.labels)


def measuring(model: nn.Module) -> AbstractContextManager[None]:
    """The model in evaluation mode; afterwards every module is in the mode that it was in.

    Args:
        model: any network.
    """
    return _in_mode(model, False)


def in_training(model: nn.Module) -> AbstractContextManager[None]:
    """The model in training mode (held modules stay as they are held); afterwards as it was.

    Args:
        model: any network.
    """
    return _in_mode(model, True)


@contextmanager
def _in_mode(model: nn.Module, training: bool) -> Iterator[None]:
    modes = [(module, module.training) for module in model.modules()]
    model.train(training)
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode

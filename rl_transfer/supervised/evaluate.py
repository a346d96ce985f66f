"""Measuring a classifier: accuracy on the whole test part, without a trace in its training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from rl_transfer.supervised.batches import Batches

Forward = Callable[[Tensor], Tensor]
"""A batch of images (or of features) → logits [n, classes]."""


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a classifier says of n images.

    Attributes:
        probabilities: softmax of the logits, [n, classes].
        labels: true labels [n].
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most likely class of every image."""
        found: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return found

    @property
    def accuracy(self) -> float:
        """Share of the images whose most likely class is the true one."""
        return float((self.predicted == self.labels).mean())

    def loss(self) -> float:
        """Mean cross-entropy in nats."""
        chosen = self.probabilities[np.arange(len(self.labels)), self.labels]
        return float(-np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).mean())

    def confusion(self, classes: int) -> NDArray[np.int64]:
        """``confusion[true, predicted]``: numbers of images."""
        table = np.zeros((classes, classes), dtype=np.int64)
        np.add.at(table, (self.labels, self.predicted), 1)
        return table


def predict(forward: Forward, batches: Batches, batch_size: int, device: torch.device) -> Predictions:
    """The predictions on every image of a part, in its order."""
    found = []
    with torch.no_grad():
        for images, _ in batches.in_order(batch_size):
            logits = forward(images.to(device)).float()
            found.append(functional.softmax(logits, dim=1).cpu().numpy())
    return Predictions(np.concatenate(found), batches.images.labels)


def named_accuracy(predictions: Predictions, own: Sequence[str], asked: Sequence[str]) -> float:
    """Accuracy by class name: the predictor's classes are ``own``, the labels index ``asked``.

    A prediction of a class that is not asked for is wrong.
    """
    names = np.array(own)[predictions.predicted]
    return float((names == np.array(asked)[predictions.labels]).mean())


def speaks_of(own: Sequence[str] | None, asked: Sequence[str]) -> bool:
    """Whether a predictor with the classes ``own`` can name every class that is asked for."""
    return own is not None and set(asked) <= set(own)


def measuring(model: nn.Module) -> AbstractContextManager[None]:
    """The model in evaluation mode; afterwards every module is in the mode that it was in."""
    return _in_mode(model, False)


def in_training(model: nn.Module) -> AbstractContextManager[None]:
    """The model in training mode (held modules stay as they are held); afterwards as it was."""
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


def per_class(predictions: Predictions, classes: Sequence[str]) -> dict[str, Any]:
    """Accuracy within each class, by name."""
    table = predictions.confusion(len(classes))
    totals = np.maximum(table.sum(axis=1), 1)
    return {name: float(table[i, i] / totals[i]) for i, name in enumerate(classes)}

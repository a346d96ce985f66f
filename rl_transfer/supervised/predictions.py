"""What a classifier said of a test part, as numbers: accuracy, loss, confusion, accuracy by class name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a classifier says of n items.

    Attributes:
        probabilities: softmax of the logits, [n, classes].
        labels: true labels [n].
    """

    probabilities: NDArray[np.float32]
    labels: NDArray[np.int64]

    @property
    def predicted(self) -> NDArray[np.int64]:
        """The most likely class of every item, int64 [n]."""
        found: NDArray[np.int64] = self.probabilities.argmax(axis=1)
        return found

    @property
    def accuracy(self) -> float:
        """Share of the items whose most likely class is the true one."""
        return float((self.predicted == self.labels).mean())

    def loss(self) -> float:
        """Mean cross-entropy of the true classes.

        Returns:
            In nats; probabilities of 0 count as the smallest float32.
        """
        chosen = self.probabilities[np.arange(len(self.labels)), self.labels]
        return float(-np.log(np.maximum(chosen, np.finfo(np.float32).tiny)).mean())

    def confusion(self, classes: int) -> NDArray[np.int64]:
        """Numbers of items by true and predicted class.

        Args:
            classes: how many there are.

        Returns:
            int64 ``confusion[true, predicted]``.
        """
        table = np.zeros((classes, classes), dtype=np.int64)
        np.add.at(table, (self.labels, self.predicted), 1)
        return table


def named_accuracy(predictions: Predictions, own: Sequence[str], asked: Sequence[str]) -> float:
    """Accuracy by class name; a prediction of a class that is not asked for is wrong.

    Args:
        predictions: on the items that are asked for.
        own: the predictor's class names, in the order of its logits.
        asked: the class names that the labels index.

    Returns:
        Share of the items whose predicted name is the true one.
    """
    names = np.array(own)[predictions.predicted]
    return float((names == np.array(asked)[predictions.labels]).mean())


def speaks_of(own: Sequence[str] | None, asked: Sequence[str]) -> bool:
    """Whether a predictor can name every class that is asked for.

    Args:
        own: its classes; None if nobody knows them.
        asked: the classes of the data.
    """
    return own is not None and set(asked) <= set(own)


def per_class(predictions: Predictions, classes: Sequence[str]) -> dict[str, float]:
    """Accuracy within each class.

    Args:
        predictions: by a classifier with exactly these classes.
        classes: their names, in the order of the labels.

    Returns:
        Class name → share of its items that were told right.
    """
    table = predictions.confusion(len(classes))
    totals = np.maximum(table.sum(axis=1), 1)
    return {name: float(table[i, i] / totals[i]) for i, name in enumerate(classes)}

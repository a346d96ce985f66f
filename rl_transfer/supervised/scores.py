"""How promising a classifier looks on other data before anything is trained (docs/choosing-a-source.md)."""

from __future__ import annotations

import numpy as np
import torch

from rl_transfer.core.logme import leep, logme
from rl_transfer.errors import ConfigError
from rl_transfer.frame.scores import SourceScores, TransferScore
from rl_transfer.seeding import generator
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.spec.optimization import SupervisedEvaluation, SupervisedTraining
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.classifier import Network
from rl_transfer.supervised.data import LabelledSet
from rl_transfer.supervised.evaluate import measuring, predict
from rl_transfer.supervised.features import Penultimate
from rl_transfer.supervised.kind import DataKind
from rl_transfer.supervised.loop import choose_device
from rl_transfer.supervised.predictions import Predictions, named_accuracy, speaks_of
from rl_transfer.supervised.seen import seen_by_source


class LabelledTarget:
    """The labelled training items of a target that a source may use: the same for every source.

    Args:
        kind: of the data.
        data: the target.
        items: how many, ≥ 1; of more, so many are drawn.
        root_seed: root of the random streams.

    Attributes:
        classes: names that the labels index.
        items: the drawn ones.

    Raises:
        ConfigError: there are fewer than two classes among them.
        RLTransferError: the data cannot be opened.
    """

    def __init__(self, kind: DataKind, data: LabelledData, items: int, root_seed: int) -> None:
        self.kind = kind
        planned = data.planned()
        splits = kind.split(planned, root_seed, 0)
        self.classes = splits.classes
        order = generator(root_seed, "scores", planned.split_digest).permutation(len(splits.train))
        self.items: LabelledSet = splits.train.subset(np.sort(order[:items]))
        if len({*self.items.labels.tolist()}) < 2:
            raise ConfigError(
                f"{len(self.items)} labelled {kind.items} of the target are of one class, and tell no source "
                "from another; give more of them (--budget), or data of several classes"
            )


def score_network(network: Network, target: LabelledTarget) -> SourceScores:
    """Score a classifier on labelled items of a target.

    Args:
        network: the source.
        target: what it is asked about.

    Returns:
        LogME of the features before its head, with a 1 for the intercept, on one-hot labels; LEEP of its
        predictions, and its accuracy where it names the classes (both need a trained head); how long it was
        trained, in epochs.
    """
    batches = Batches(target.items, network.classifier.preprocessing)
    size, device = SupervisedEvaluation().batch_size, choose_device(SupervisedTraining())
    with measuring(network.module):
        network.module.to(device)
        features = Penultimate(network.module, network.classifier.heads[0]).of_part(batches, size, device)
        predictions = predict(network.module, batches, size, device)
    features = features.mean(dim=(2, 3)) if features.ndim == 4 else features
    rows = features.flatten(1).double().numpy()
    inputs = np.hstack([rows, np.ones((len(rows), 1))])
    labels = torch.from_numpy(target.items.labels)
    present = np.unique(target.items.labels)
    one_hot = torch.nn.functional.one_hot(labels, len(target.classes)).double().numpy()[:, present]
    training = network.metadata.get("training")
    epochs = training.get("epochs") if isinstance(training, dict) else None
    scores = {
        "zero_shot_return": _accuracy(network, predictions, target),
        "logme": TransferScore.of(logme(inputs, one_hot)),
        "leep": _leep(network, predictions),
        "source_budget": TransferScore.of(epochs)
        if isinstance(epochs, int)
        else TransferScore.none("nothing says how long it was trained here"),
    }
    seen = seen_by_source(target.items, network)
    known = 0 if seen is None else int(str(seen["seen"]))
    notes = (
        f"it was trained on {known} of the {len(target.items)} {target.kind.items}: scores tell memory too",
    )
    return SourceScores(len(target.items), scores, notes=notes if known else ())


def _leep(network: Network, predictions: Predictions) -> TransferScore:
    if not network.has_head:
        return TransferScore.none("its head was never trained")
    probabilities = predictions.probabilities.astype(np.float64)
    return TransferScore.of(
        leep(probabilities / probabilities.sum(axis=1, keepdims=True), predictions.labels)
    )


def _accuracy(network: Network, predictions: Predictions, target: LabelledTarget) -> TransferScore:
    if not network.has_head or network.classes is None or not speaks_of(network.classes, target.classes):
        return TransferScore.none("it does not name the classes of the target")
    return TransferScore.of(named_accuracy(predictions, network.classes, target.classes))

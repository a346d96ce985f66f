"""How promising a classifier looks on other data before anything is trained (docs/choosing-a-source.md)."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rl_transfer.core.gaps import LEAST, mmd
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
from rl_transfer.supervised.measures import Home
from rl_transfer.supervised.predictions import Predictions, named_accuracy, speaks_of
from rl_transfer.supervised.probe import fit_probe
from rl_transfer.supervised.seen import seen_by_source

FOLDS = 5
"""Of the linear probe: each is told by a probe on the others; fewer where a class has fewer items."""
PROBE_NUMBERS = 4_000_000
"""Items × features above which there is no linear probe: it would take minutes."""
GAP_ITEMS = 512
"""Of either side, at most, that the gap between domains is estimated from."""


class LabelledTarget:
    """The labelled training items of a target that a source may use: the same for every source.

    Args:
        kind: of the data.
        data: the target.
        items: how many, ≥ 1; of more, so many are drawn, two of different classes first.
        root_seed: root of the random streams.
        seed: seed index; the items are drawn from those that training with it has.

    Attributes:
        classes: names that the labels index.
        items: the drawn ones.

    Raises:
        ConfigError: there are fewer than two classes among them.
        RLTransferError: the data cannot be opened.
    """

    def __init__(self, kind: DataKind, data: LabelledData, items: int, root_seed: int, seed: int = 0) -> None:
        self.kind = kind
        planned = data.planned()
        splits = kind.split(planned, root_seed, seed)
        self.classes = splits.classes
        self._stream = (root_seed, "scores", planned.split_digest)
        order = generator(*self._stream).permutation(len(splits.train))
        labels = splits.train.labels[order]
        other = np.flatnonzero(labels != labels[0])[:1]
        order = np.concatenate([order[:1], order[other], np.delete(order, [0, *other])])
        self.items: LabelledSet = splits.train.subset(np.sort(order[:items]))
        if len({*self.items.labels.tolist()}) < 2:
            raise ConfigError(
                f"{len(self.items)} labelled {kind.items} of the target are of one class, and tell no source "
                "from another; give more of them (--budget), or data of several classes"
            )

    def generator(self, *names: str) -> np.random.Generator:
        """A stream of randomness that is the same for every source.

        Args:
            names: its address below the target's.
        """
        return generator(*self._stream, *names)


def score_network(network: Network, target: LabelledTarget, bar: float | None = None) -> SourceScores:
    """Score a classifier on labelled items of a target. Test items of the target are not touched.

    Args:
        network: the source.
        target: what it is asked about.
        bar: what its own accuracy is measured against; None: 1.

    Returns:
        LogME of the features before its head, with a 1 for the intercept, on one-hot labels; LEEP of its
        predictions, and its accuracy where it names the classes (both need a trained head); a linear probe's
        accuracy; the gap to its own data; its accuracy at home; how long it was trained, in epochs.
    """
    size, device = SupervisedEvaluation().batch_size, choose_device(SupervisedTraining())
    batches = Batches(target.items, network.classifier.preprocessing)
    with measuring(network.module):
        network.module.to(device)
        predictions = predict(network.module, batches, size, device)
    rows = _features(network, target.items)
    inputs = np.hstack([rows, np.ones((len(rows), 1))])
    present, labels = np.unique(target.items.labels, return_inverse=True)
    one_hot = np.eye(len(present))[labels]
    training = network.metadata.get("training")
    epochs = training.get("epochs") if isinstance(training, dict) else None
    scores = {
        "zero_shot_return": _accuracy(network, predictions, target),
        "logme": TransferScore.of(logme(inputs, one_hot)),
        "leep": _leep(network, predictions),
        "linear_probe": _probe(rows, labels, target),
        "domain_gap": _gap(network, rows, target),
        "source_quality": _quality(network, bar),
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


def _features(network: Network, items: LabelledSet) -> NDArray[np.float64]:
    """What enters the head, ``[item, feature]``; maps are averaged over space."""
    size, device = SupervisedEvaluation().batch_size, choose_device(SupervisedTraining())
    batches = Batches(items, network.classifier.preprocessing)
    with measuring(network.module.to(device)):
        found = Penultimate(network.module, network.classifier.heads[0]).of_part(batches, size, device)
    found = found.mean(dim=(2, 3)) if found.ndim == 4 else found
    return found.flatten(1).double().numpy()


def _probe(rows: NDArray[np.float64], labels: NDArray[np.int64], target: LabelledTarget) -> TransferScore:
    """Accuracy of logistic regression on the features, cross-validated on the labelled items.

    A share, higher is better. Folds have the classes' shares and are the same for every source.
    """
    counts = np.bincount(labels)
    folds = min(FOLDS, int(counts.min()))
    if folds < 2:
        return TransferScore.none("a class has one labelled item, and none is left to measure a probe on")
    if rows.size > PROBE_NUMBERS:
        return TransferScore.none(f"{rows.size:,} items × features; {PROBE_NUMBERS:,} are probed at most")
    fold_of, stream = np.zeros(len(labels), dtype=np.int64), target.generator("folds")
    for label in range(len(counts)):
        fold_of[stream.permutation(np.flatnonzero(labels == label))] = np.arange(counts[label]) % folds
    features, told = torch.from_numpy(rows), torch.from_numpy(labels)
    right = 0.0
    for fold in range(folds):
        held = torch.from_numpy(fold_of == fold)
        probe = fit_probe(features[~held], told[~held], len(counts))
        right += probe.accuracy(features[held], told[held]) * int(held.sum())
    return TransferScore.of(right / len(labels), folds=folds)


def _gap(network: Network, rows: NDArray[np.float64], target: LabelledTarget) -> TransferScore:
    """MMD² between the features of the source's own test items and those of the target's; lower is better.

    See :func:`rl_transfer.core.gaps.mmd`; features are the source's own, its width is the rows' own.
    """
    home = Home(target.kind, network, SupervisedEvaluation().batch_size)
    if home.splits is None:
        return TransferScore.none("; ".join(home.notes) or "nothing says what data it was trained on")
    test, stream = home.splits.test, target.generator("home")
    own = test.subset(np.sort(stream.permutation(len(test))[:GAP_ITEMS]))
    mine = rows[np.sort(stream.permutation(len(rows))[:GAP_ITEMS])]
    if min(len(own), len(mine)) < LEAST:
        return TransferScore.none(f"a gap needs {LEAST} items of each side")
    sides: list[Tensor] = [torch.from_numpy(each) for each in (_features(network, own), mine)]
    return TransferScore.of(float(mmd(*sides)), source_items=len(own), target_items=len(mine))


def _quality(network: Network, bar: float | None) -> TransferScore:
    """(accuracy − chance) / (bar − chance) on its own test items; unit 1, higher is better."""
    score = network.score
    if score is None or not network.classes:
        return TransferScore.none("nothing says how accurate it is on its own data")
    chance, goal = 1 / len(network.classes), 1.0 if bar is None else bar
    if goal == chance:
        return TransferScore.none(f"its bar, {goal:g}, is chance")
    return TransferScore.of((score - chance) / (goal - chance), score=score, bar=goal, random=chance)


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

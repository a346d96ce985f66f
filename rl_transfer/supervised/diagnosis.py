"""What is inside a classifier before and after training; measured on a twin when the run has ended."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor
from torch.nn import functional

from rl_transfer.core import isolated
from rl_transfer.core.activity import PartLoss, part_activity, part_agreement
from rl_transfer.frame.diagnosis import NetworkMoment, diagnostics_record
from rl_transfer.seeding import generator
from rl_transfer.spec.base import Json
from rl_transfer.spec.optimization import SupervisedTraining
from rl_transfer.supervised.batches import Batch, Batches, Indices
from rl_transfer.supervised.classifier import Classifier
from rl_transfer.supervised.evaluate import measuring
from rl_transfer.supervised.loop import class_weights
from rl_transfer.supervised.splits import Splits

MOST_ITEMS = 256
"""Items of the test part that units and features are measured on."""


class ClassifierDiagnosis:
    """Compares a classifier with what became of it.

    Args:
        twin: the same network, built anew and used by nobody else.
        splits: units and features are measured on items of the test part, gradients on two minibatches of the
            training part; nothing is augmented.
        training: batch size and loss.
        seed: of the choice of items; the same for every strategy on a target.
        start: every tensor before training, the transfer done.
        reference: the source's own values by the names of the tensors that they were copied to.
    """

    def __init__(
        self,
        twin: Classifier,
        splits: Splits,
        training: SupervisedTraining,
        seed: int,
        start: Mapping[str, Tensor],
        reference: Mapping[str, Tensor],
    ) -> None:
        self._twin, self._training, self._seed = twin, training, seed
        self._reference = {name: each.clone().cpu() for name, each in reference.items()}
        self._start = {name: each.clone().cpu() for name, each in start.items()}
        test, train = (Batches(part, twin.preprocessing) for part in (splits.test, splits.train))
        ((self._inputs, _),) = test.at(self._chosen("units", len(test))[:MOST_ITEMS], MOST_ITEMS)
        size = min(training.batch_size, len(train) // 2)
        order = self._chosen("gradients", len(train))[: 2 * size]
        self._halves = [*train.at(order, size)] if size else []
        self._weights = class_weights(training, train, len(splits.classes))

    def _chosen(self, purpose: str, count: int) -> Indices:
        return generator(self._seed, "diagnostics", purpose).permutation(count)

    def record(self, end: Mapping[str, Tensor]) -> dict[str, Json]:
        """Measure both networks.

        Args:
            end: every tensor of the network that is kept, adapters folded in.

        Returns:
            The record's ``diagnostics``.
        """
        parts = self._twin.parts
        with isolated(self._seed), measuring(self._twin.module):
            start, last = (self._moment(each) for each in (self._start, end))
        transitions = sum(len(labels) for _, labels in self._halves)
        batch = {"items": len(self._inputs), "training_items": transitions}
        return diagnostics_record(parts, start, last, self._reference, batch)

    def _moment(self, weights: Mapping[str, Tensor]) -> NetworkMoment:
        model, parts = self._twin.module, self._twin.parts
        model.load_state_dict(weights)
        activity = part_activity(model, parts, lambda: model(self._inputs))
        if not self._halves:
            return NetworkMoment(weights, activity)
        halves = [partial(self._loss, half) for half in self._halves]
        return NetworkMoment(weights, activity, part_agreement(model, parts, halves))

    def _loss(self, half: Batch) -> list[PartLoss]:
        inputs, labels = half
        loss = functional.cross_entropy(
            self._twin.module(inputs).float(),
            labels,
            weight=self._weights,
            label_smoothing=self._training.label_smoothing,
        )
        return [(loss, "")]

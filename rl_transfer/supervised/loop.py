"""The training loop: epochs of updates, with evaluations between them and a clear end when it diverges."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypedDict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from rl_transfer import core
from rl_transfer.errors import TransferError
from rl_transfer.spec.base import Json
from rl_transfer.spec.optimization import SupervisedTraining
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.evaluate import Forward, measuring, predict
from rl_transfer.supervised.exact_statistics import settle
from rl_transfer.supervised.optimizers import build_optimizer, rate_factor
from rl_transfer.supervised.predictions import Predictions
from rl_transfer.supervised.transfer import ClassifierTransfer


@dataclass
class EpochEnd:
    """What the loop knows when an epoch ends.

    Attributes:
        epoch: epochs finished; 0 before the first update.
        train_loss: mean loss over the epoch's items; None before the first.
        learning_rates: by part.
        validation: predictions on the validation part; None without one.
    """

    epoch: int
    train_loss: float | None
    learning_rates: dict[str, float]
    validation: Predictions | None


@dataclass
class BestEpoch:
    """The best network so far, by validation."""

    epoch: int = 0
    value: float = -math.inf
    state: dict[str, Tensor] = field(default_factory=dict)


class LoopState(TypedDict):
    """What a checkpoint holds of a loop beside network and optimizer."""

    best: tuple[int, float, dict[str, Tensor]]
    thawed: list[Json]


class TrainingLoop:
    """Trains a classifier.

    Args:
        model: with the strategy applied; on ``device``.
        forward: what is trained, as a function of a batch: the model, or its head on cached features.
        transfer: follows thaw schedules and adds loss terms.
        training: the budget.
        train: batches to learn from.
        validation: batches that choose an epoch, or None.
        num_classes: number of classes.
        seed: of the order of the items and of augmentation.
        device: where the model is.
        every: epochs between two evaluations of the model.

    Attributes:
        optimizer: over all parameters.
        best: the network that is kept so far, where validation chooses one.
        stopped_at: epochs finished when training ended early; None if it did not.
        thawed: what became trainable in which epoch.
    """

    def __init__(
        self,
        model: nn.Module,
        forward: Forward,
        transfer: ClassifierTransfer,
        training: SupervisedTraining,
        train: Batches,
        validation: Batches | None,
        num_classes: int,
        seed: int,
        device: torch.device,
        every: int,
    ) -> None:
        self._model, self._forward, self._transfer = model, forward, transfer
        self._training, self._train, self._validation = training, train, validation
        self._seed, self._device, self._every = seed, device, every
        self.optimizer = build_optimizer(training.optimizer, model.parameters())
        self._rates = core.PartLearningRates(
            self.optimizer, model, transfer.parts, transfer.learning_rates, key="strategy.learning_rates"
        )
        self._weights = class_weights(training, train, num_classes).to(device)
        self._rate = training.optimizer.learning_rate
        self.best = BestEpoch()
        self.stopped_at: int | None = None
        self.thawed: list[Json] = []

    def run(
        self,
        on_epoch: Callable[[EpochEnd], None],
        between: Callable[[int], None] = lambda _: None,
        finished: int | None = None,
    ) -> None:
        """Train for the whole budget, or until early stopping ends it.

        Args:
            on_epoch: called before the first update and after every epoch, while the model is the network
                that would be kept if training ended there: under ``keep: best`` and early stopping the best
                so far by validation.
            between: called before the next epoch with the epochs finished, while the model is the one that
                trains on.
            finished: epochs after which training goes on, everything restored; None: it begins.

        Raises:
            TransferError: the loss is not finite.
        """
        if finished is None:
            on_epoch(self._end(0, None))
        for epoch in range(finished or 0, self._training.epochs):
            loss = self._epoch(epoch)
            if self._training.statistics == "exact":
                self._settle(epoch)
            end = self._end(epoch + 1, loss)
            enough = self._should_stop(end)
            with self._kept(epoch + 1):
                on_epoch(end)
            if enough:
                self.stopped_at = epoch + 1
                break
            between(epoch + 1)
        if self.best.state:
            self._model.load_state_dict(self.best.state)

    def state(self) -> LoopState:
        """What a checkpoint holds of it beside network and optimizer.

        Returns:
            Plain data and tensors for :meth:`restore`.
        """
        return {"best": (self.best.epoch, self.best.value, self.best.state), "thawed": self.thawed}

    def restore(self, state: LoopState) -> None:
        """Go on from there.

        Args:
            state: what :meth:`state` gave.
        """
        self.best, self.thawed = BestEpoch(*state["best"]), state["thawed"]

    @contextlib.contextmanager
    def _kept(self, epoch: int) -> Iterator[None]:
        """The network that would be kept now, in the place of the one that trains on."""
        if not self.best.state or self.best.epoch == epoch:
            yield
            return
        current = _copied(self._model)
        self._model.load_state_dict(self.best.state)
        try:
            yield
        finally:
            self._model.load_state_dict(current)

    def _epoch(self, epoch: int) -> float:
        """One pass over the items; returns the mean loss."""
        self._model.train()
        total, count = 0.0, 0
        batch_size = self._training.batch_size
        for inputs, labels in self._train.shuffled(batch_size, self._seed, epoch):
            share = (epoch + count / len(self._train)) / self._training.epochs
            self._follow(epoch, share)
            loss = self._update(inputs.to(self._device), labels.to(self._device), epoch, share)
            total += loss * len(labels)
            count += len(labels)
        return total / count

    def _settle(self, epoch: int) -> None:
        """Exact statistics of what this epoch saw, where the model is measured now."""
        done = epoch + 1
        if self._validation is not None or done == self._training.epochs or done % self._every == 0:
            batches = self._train.shuffled(self._training.batch_size, self._seed, epoch)
            settle(self._model, self._forward, batches, self._device)

    def _follow(self, epoch: int, share: float) -> None:
        """Bring learning rate and thaw schedule to this share of the budget."""
        base = self._training.optimizer.learning_rate
        self._rate = base * rate_factor(self._training.schedule, epoch, share)
        self._rates.rescale(self._rate)
        thawed = self._transfer.progress(share)
        if thawed:
            self.thawed.append({"epoch": epoch, "parts": [*thawed]})
            self._model.train()

    def _update(self, inputs: Tensor, labels: Tensor, epoch: int, share: float) -> float:
        training = self._training
        with self._precision():
            logits = self._forward(inputs)
        loss = functional.cross_entropy(
            logits.float(), labels, weight=self._weights, label_smoothing=training.label_smoothing
        )
        for term in self._transfer.terms:
            loss = loss + term(inputs, logits.float(), share)
        match = self._transfer.match
        if match is not None:
            loss = loss + match(inputs, labels, share)
        value = float(loss.detach())
        if not math.isfinite(value):
            strength = "" if match is None else "strategy.match.strength or "
            raise TransferError(
                f"the loss became {value} in epoch {epoch + 1}; training diverged. Lower {strength}"
                "training.optimizer.learning_rate, or set training.max_grad_norm. Parts thawed late keep "
                "their old scale and are the first to diverge at a high rate",
                key="training.optimizer.learning_rate",
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if training.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(self._model.parameters(), training.max_grad_norm)
        self.optimizer.step()
        if match is not None:
            match.after_update(self._rate)
        return value

    def _precision(self) -> contextlib.AbstractContextManager[object]:
        if self._training.precision == "bfloat16":
            return torch.autocast(self._device.type, dtype=torch.bfloat16)
        return contextlib.nullcontext()

    def _end(self, epoch: int, loss: float | None) -> EpochEnd:
        rates = core.learning_rates_by_part(self.optimizer, self._model, self._transfer.parts)
        predictions = None
        if self._validation is not None:
            with measuring(self._model):
                predictions = predict(self._forward, self._validation, 256, self._device)
        return EpochEnd(epoch, loss, rates, predictions)

    def _should_stop(self, end: EpochEnd) -> bool:
        """Keep the best network by validation; whether patience has run out."""
        stopping = self._training.early_stopping
        if end.validation is None or (stopping is None and self._training.keep == "final"):
            return False
        value = -end.validation.loss() if stopping is not None else end.validation.accuracy
        least = stopping.min_delta if stopping is not None else 0.0
        if value > self.best.value + least or not self.best.state:
            self.best = BestEpoch(end.epoch, value, _copied(self._model))
        return stopping is not None and end.epoch - self.best.epoch >= stopping.patience


def _copied(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.detach().clone() for name, tensor in model.state_dict().items()}


def class_weights(training: SupervisedTraining, train: Batches, num_classes: int) -> Tensor:
    """Weight of every class in the loss.

    ``balanced``: n / (classes · n_c), scikit-learn's rule; with equal counts all are 1.

    Args:
        training: says whether classes are weighed.
        train: what is learned from.
        num_classes: how many classes there are.

    Returns:
        float32 [num_classes].
    """
    if training.class_weights == "none":
        return torch.ones(num_classes)
    counts = np.bincount(train.items.labels, minlength=num_classes)
    return torch.tensor(len(train) / (num_classes * np.maximum(counts, 1)), dtype=torch.float32)


def choose_device(training: SupervisedTraining) -> torch.device:
    """The device of a run.

    Args:
        training: names it.

    Returns:
        The CPU, or the first GPU where one is asked for, or free under ``auto``.

    Raises:
        TransferError: a GPU is asked for and there is none.
    """
    available = torch.cuda.is_available()
    if training.device == "cuda" and not available:
        raise TransferError(
            "training.device is cuda, but torch sees no CUDA GPU; use cpu or auto", key="training.device"
        )
    return torch.device("cuda" if training.device != "cpu" and available else "cpu")

"""The learning curve over epochs: accuracy on the test part, logged and drawn."""

from __future__ import annotations

import time

import numpy as np
import torch
from torch import nn

from rl_transfer.core import count_parameters
from rl_transfer.frame import Say
from rl_transfer.frame.events import EventWriter
from rl_transfer.results import RunFolder
from rl_transfer.spec.supervised import SupervisedRun
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.evaluate import Forward, measuring, predict
from rl_transfer.supervised.kind import DataKind
from rl_transfer.supervised.loop import EpochEnd
from rl_transfer.supervised.predictions import Predictions
from rl_transfer.supervised.splits import Splits

BEAT_SECONDS = 0.5


class EpochCurve:
    """Evaluates on schedule; called by the loop before the first update and after every epoch.

    Args:
        run: says how often.
        folder: where the curve is written.
        model: what is measured.
        forward: the model as a function of a batch (or its head on cached features).
        test: batches of the test part, inputs of ``forward``.
        events: of the run.
        say: gets a line per evaluation.

    Attributes:
        points: the accuracies so far.
        predictions: of the last measurement.
    """

    def __init__(
        self,
        run: SupervisedRun,
        folder: RunFolder,
        model: nn.Module,
        forward: Forward,
        test: Batches,
        events: EventWriter,
        say: Say,
    ) -> None:
        self._run, self._folder, self._model, self._forward = run, folder, model, forward
        self._test, self._events, self._say = test, events, say
        self.points: list[float] = []
        self._last_beat = float("-inf")
        self.predictions: Predictions | None = None

    @property
    def score(self) -> float:
        """Accuracy of the network that was kept.

        Raises:
            ValueError: nothing was measured yet.
        """
        if self.predictions is None:
            raise ValueError("nothing was measured yet")
        return self.predictions.accuracy

    def __call__(self, end: EpochEnd) -> None:
        """Measure and log, if an evaluation is due after this epoch.

        Args:
            end: what the loop knows.
        """
        self._log_training(end)
        self._beat(end.epoch)
        if end.epoch % self._run.evaluation.every == 0:
            self._append(end.epoch, self._measure())

    def _beat(self, epoch: int) -> None:
        """A sign of life, at most twice a second."""
        now = time.monotonic()
        if now - self._last_beat >= BEAT_SECONDS:
            self._last_beat = now
            score = self.points[-1] if self.points else None
            self._folder.beat(epoch, self._run.total_steps, score)

    def restore(self, points: list[float]) -> None:
        """Go on from there; the curve's file is written anew.

        Args:
            points: the accuracies until then.
        """
        self.points = points
        for k, accuracy in enumerate(points):
            self._write(k, accuracy)

    def _write(self, k: int, accuracy: float) -> None:
        self._folder.append_evaluation(k, k * self._run.evaluation.every, [accuracy], [len(self._test)])

    def complete(self, stopped_at: int | None) -> None:
        """Fill the grid up to the budget and measure the network that was kept.

        After an early stop (or without any training) the network no longer changes, so its accuracy
        holds at every later evaluation: all arms of a comparison keep the same steps.

        Args:
            stopped_at: epochs finished when training ended early; None if it did not.
        """
        self._measure()
        every, total = self._run.evaluation.every, self._run.total_steps
        if stopped_at is not None or not self.points:
            for epoch in range(len(self.points) * every, total + 1, every):
                self._append(epoch, self.score)

    def draw(self, kind: DataKind, splits: Splits) -> None:
        """Write the pictures that the kind has of its predictions, as files and into TensorBoard.

        Args:
            kind: of the data.
            splits: what was predicted.
        """
        if self.predictions is None:
            return
        figures = self._folder.path / "figures"
        for name, picture in kind.draw(splits.test, self.predictions, splits.classes, figures).items():
            self._events.add_image(name, picture, self._run.total_steps)

    def _measure(self) -> float:
        parameter = next(self._model.parameters())
        with measuring(self._model):
            self.predictions = predict(
                self._forward, self._test, self._run.evaluation.batch_size, torch.device(parameter.device)
            )
        return self.predictions.accuracy

    def _append(self, epoch: int, accuracy: float) -> None:
        self._write(len(self.points), accuracy)
        self.points.append(accuracy)
        numbers = {"evaluation/accuracy": accuracy}
        if self.predictions is not None:
            numbers["evaluation/loss"] = self.predictions.loss()
        self._events.add_scalars(numbers, epoch)
        self._say(f"epoch {epoch:>5,}  accuracy {accuracy:.4f}")

    def _log_training(self, end: EpochEnd) -> None:
        numbers: dict[str, float] = {"parameters/trainable": count_parameters(self._model)["trainable"]}
        if end.train_loss is not None and np.isfinite(end.train_loss):
            numbers["train/loss"] = end.train_loss
        if end.validation is not None:
            numbers["validation/accuracy"] = end.validation.accuracy
            numbers["validation/loss"] = end.validation.loss()
        numbers |= {f"learning_rate/{part}": rate for part, rate in end.learning_rates.items()}
        self._events.add_scalars(numbers, end.epoch)

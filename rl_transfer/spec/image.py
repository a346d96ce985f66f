"""The configs of the image side: one run, a source, a target, a suite. Same shape as the RL side's."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from rl_transfer.spec.base import KeyedValueError, Name
from rl_transfer.spec.experiment import (
    RunConfig,
    SingleConfig,
    SingleTransferConfig,
    SourceConfig,
    TargetConfig,
)
from rl_transfer.spec.image_data import Data, fingerprint
from rl_transfer.spec.image_model import ImageEvaluation, ImageTraining, Model, Weights, WeightsConfig
from rl_transfer.spec.matrix import Entry, MatrixConfig
from rl_transfer.spec.strategy import StrategyConfig, StrategyVerbs

HEAD_ONLY = StrategyVerbs(copy_=("trunk",), freeze=("trunk",))
"""The textbook's transfer: keep the pretrained trunk, freeze it, train a new head."""


def check_training(training: ImageTraining, evaluation: ImageEvaluation, data: Data | None) -> None:
    """Refuse evaluations that miss the end of the budget, and a choice of epoch without validation."""
    if training.epochs % evaluation.every:
        raise KeyedValueError(
            "evaluation.every",
            f"evaluation.every is {evaluation.every}, which does not divide training.epochs "
            f"({training.epochs}); the last evaluation would come before the last update",
        )
    wants = "early_stopping" if training.early_stopping else "keep" if training.keep == "best" else None
    if wants and data is not None and data.validation == 0:
        raise KeyedValueError(
            f"training.{wants}",
            f"training.{wants} chooses an epoch by a validation part, but data.validation is 0; "
            "set data.validation to the share of labelled images to keep for it, for example 0.2",
        )


class ImageRun(RunConfig):
    """One image run, completely."""

    kind: Literal["image"] = "image"
    policy: Literal["trained", "random", "pretrained"] = "trained"
    """``random`` measures chance; ``pretrained`` takes weights as they are, as a source."""
    data: Data | None = None
    model: Model | None = None
    weights: Weights | None = None
    """Pretrained weights that the strategy copies from, or that a ``pretrained`` run imports."""
    training: ImageTraining | None = None
    evaluation: ImageEvaluation = ImageEvaluation()

    @property
    def total_steps(self) -> int:
        """The training budget in epochs; 0 where nothing is trained."""
        return self.training.epochs if self.training else 0


class ImageTrainConfig(SingleConfig):
    """``rl-transfer train``: one run on one data set, from scratch or from pretrained weights."""

    kind: Literal["image"] = "image"
    name: Name = "train"
    data: Data
    model: Model
    weights: Weights | None = None
    """Pretrained weights; with them the default strategy is a frozen trunk under a new head."""
    strategy: StrategyConfig | None = None
    training: ImageTraining = ImageTraining()
    evaluation: ImageEvaluation = ImageEvaluation()

    @model_validator(mode="after")
    def _check(self) -> ImageTrainConfig:
        check_training(self.training, self.evaluation, self.data)
        self._check_strategy()
        return self

    def _check_strategy(self) -> None:
        if self.strategy is not None and self.strategy.needs_source and self.weights is None:
            raise KeyedValueError(
                "strategy",
                f"strategy {self.strategy.name!r} copies from a source; give weights, or run "
                "`rl-transfer transfer` with --source",
            )

    def run(self) -> ImageRun:
        """The run that this config describes."""
        default = HEAD_ONLY if self.weights else StrategyVerbs()
        verbs = default if self.strategy is None else self.strategy.verbs()
        return ImageRun(
            data=self.data.planned(),
            model=self.model,
            weights=planned_weights(self.weights) if verbs.needs_source else None,
            training=self.training,
            evaluation=self.evaluation,
            strategy=verbs,
            root_seed=self.root_seed,
            seed=self.seed,
        )


class ImageTransferConfig(ImageTrainConfig, SingleTransferConfig):
    """``rl-transfer transfer``: one run on a target data set with one strategy, from a bundle."""

    name: Name = "transfer"

    def _check_strategy(self) -> None:
        if self.weights is not None:
            raise KeyedValueError(
                "weights", "a transfer takes its weights from --source; leave the key weights out"
            )

    def transfer_run(self, source: str | None) -> ImageRun:
        """The run of this config when it starts from ``source`` (a run id or ``digest:…``)."""
        verbs = HEAD_ONLY if self.strategy is None else self.strategy.verbs()
        return self.run().model_copy(
            update={"strategy": verbs, "source": source if verbs.needs_source else None}
        )


class ImageSource(SourceConfig):
    """A source: a data set to train on, or pretrained weights (then ``data`` is only measured on)."""

    data: Data | None = None
    weights: Weights | None = None
    training: ImageTraining | None = None
    evaluation: ImageEvaluation | None = None

    @model_validator(mode="after")
    def _check(self) -> ImageSource:
        if self.data is None and self.weights is None:
            raise ValueError("a source needs data to train on, or pretrained weights")
        if self.weights is not None and self.training is not None:
            raise KeyedValueError("training", "pretrained weights are taken as they are; leave training out")
        return self

    @property
    def exists(self) -> bool:
        """Whether the source is pretrained weights."""
        return self.weights is not None


class ImageTarget(TargetConfig):
    """A target data set of a suite."""

    data: Data
    training: ImageTraining | None = None
    evaluation: ImageEvaluation | None = None


class ImageSuite(MatrixConfig):
    """``rl-transfer sweep``: sources × targets × strategies × seeds, on images."""

    kind: Literal["image"] = "image"
    model: Model
    training: ImageTraining = ImageTraining()
    evaluation: ImageEvaluation = ImageEvaluation()
    sources: Mapping[Name, ImageSource] = Field(min_length=1)
    targets: Mapping[Name, ImageTarget] = Field(min_length=1)

    def check_entry(self, entry: Entry) -> None:
        """Refuse evaluations that miss the end of the budget."""
        task = _task(entry)
        check_training(task.training or self.training, task.evaluation or self.evaluation, task.data)

    def trained_run(self, entry: Entry, verbs: StrategyVerbs, source: str | None, seed: int) -> ImageRun:
        """The run that trains on an entry's data."""
        task = _task(entry)
        return ImageRun(
            data=None if task.data is None else task.data.planned(),
            model=self.model,
            training=task.training or self.training,
            evaluation=task.evaluation or self.evaluation,
            strategy=verbs,
            source=source,
            root_seed=self.root_seed,
            seed=seed,
        )

    def given_run(self, name: str, source: SourceConfig) -> ImageRun:
        """The run that imports pretrained weights, and measures them where data are given."""
        task = _task(source)
        if not isinstance(task, ImageSource):
            raise TypeError(f"{name!r} is no source")
        return ImageRun(
            policy="pretrained",
            data=None if task.data is None else task.data.planned(),
            model=self.model,
            weights=planned_weights(task.weights),
            evaluation=task.evaluation or self.evaluation,
            root_seed=self.root_seed,
        )

    def random_run(self, name: str) -> ImageRun:
        """The run that states chance accuracy on target ``name``."""
        return ImageRun(
            policy="random",
            data=self.targets[name].data.planned(),
            evaluation=self.evaluation,
            root_seed=self.root_seed,
        )


def _task(entry: Entry) -> ImageSource | ImageTarget:
    if not isinstance(entry, ImageSource | ImageTarget):
        raise TypeError(f"an image suite has image sources and targets, not {type(entry).__name__}")
    return entry


def planned_weights(weights: WeightsConfig | None) -> WeightsConfig | None:
    """The weights with their file's full hash, where the user gave none: another file is another run."""
    if weights is None or weights.file is None or weights.sha256 is not None:
        return weights
    found = fingerprint(Path(weights.file)) if not weights.file.startswith("package://") else None
    return weights if found is None else weights.model_copy(update={"sha256": found})

"""The budget of a supervised run and how it is spent: optimizer, schedule, early stopping, evaluation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from rl_transfer.spec.base import (
    Frozen,
    Json,
    KeyedValueError,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Share,
    at_most,
)

LearningRate = Annotated[PositiveFloat, at_most(1_000, "weights overflow within a few updates")]


class SGDConfig(Frozen):
    """Stochastic gradient descent; the defaults are those of PyTorch's transfer-learning tutorial."""

    name: Literal["SGD"]
    learning_rate: LearningRate = 0.001
    """At the first step."""
    momentum: Share = 0.9
    """Share of the last step that the next one keeps."""
    weight_decay: NonNegativeFloat = 0.0
    """Factor of the weights that is added to their gradient."""
    nesterov: bool = False
    """Whether the gradient is taken ahead of the momentum's step."""

    @model_validator(mode="after")
    def _check(self) -> SGDConfig:
        if self.nesterov and self.momentum == 0:
            raise KeyedValueError("nesterov", "nesterov needs a momentum above 0")
        return self


class AdamConfig(Frozen):
    """Adam (Kingma & Ba 2015)."""

    name: Literal["Adam"]
    learning_rate: LearningRate = 0.001
    """At the first step."""
    weight_decay: NonNegativeFloat = 0.0
    """Factor of the weights that is added to their gradient."""


class AdamWConfig(Frozen):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: Literal["AdamW"]
    learning_rate: LearningRate = 0.001
    """At the first step."""
    weight_decay: NonNegativeFloat = 0.01
    """Share of the weights, times the rate, that every step takes away."""


Optimizer = Annotated[SGDConfig | AdamConfig | AdamWConfig, Field(discriminator="name")]


class StepScheduleConfig(Frozen):
    """The rate is multiplied by ``factor`` after every ``every`` epochs."""

    name: Literal["step"]
    every: PositiveInt = 7
    """Epochs between changes."""
    factor: Annotated[PositiveFloat, at_most(10, "the rate overflows within a few steps")] = 0.1
    """By which the rate is multiplied."""


class CosineScheduleConfig(Frozen):
    """The rate falls along half a cosine over the run's own budget (Loshchilov & Hutter 2017)."""

    name: Literal["cosine"]
    final: Share = 0.0
    """Rate at the end, as a share of the first."""


class ConstantScheduleConfig(Frozen):
    """The rate stays."""

    name: Literal["constant"]


Schedule = Annotated[
    StepScheduleConfig | CosineScheduleConfig | ConstantScheduleConfig, Field(discriminator="name")
]


class EarlyStoppingConfig(Frozen):
    """Stop when the validation loss has not improved for ``patience`` epochs; the best epoch is kept."""

    patience: PositiveInt = 5
    """Epochs without improvement before training ends."""
    min_delta: NonNegativeFloat = 0.0
    """Least decrease of the loss that is an improvement."""


class SupervisedTraining(Frozen):
    """The budget of a run and how it is spent."""

    epochs: Annotated[NonNegativeInt, at_most(1_000_000, "each passes over all items")] = 25
    """Passes over the labelled items; 0 leaves the network as it is (an untrained source)."""
    batch_size: PositiveInt = 32
    """Items of one gradient step."""
    optimizer: Optimizer = SGDConfig(name="SGD")
    """How gradients become steps."""
    schedule: Schedule = StepScheduleConfig(name="step")
    """How the learning rate goes over the epochs."""
    label_smoothing: Share = 0.0
    """Share of every label that is spread over all classes."""
    class_weights: Literal["none", "balanced"] = "none"
    """``balanced`` weighs each class by the inverse of its share of the training items."""
    early_stopping: EarlyStoppingConfig | None = None
    """When training ends before its budget; none: never."""
    keep: Literal["final", "best"] = "final"
    """Which network the bundle holds: the last one, or the one with the best validation accuracy."""
    max_grad_norm: PositiveFloat | None = None
    """Gradients are scaled down to this norm; none: they are not."""
    statistics: Literal["running", "exact"] = "running"
    """``exact`` measures with the statistics that normalisation layers have with the weights of now, over the
    training items, instead of running averages, which follow slowly (Wu & Johnson 2021). Frozen ones stay."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """``bfloat16`` runs the forward passes of training under autocast."""
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    """Where it trains; ``auto``: on a GPU where there is one."""
    workers: Annotated[NonNegativeInt, at_most(256, "each is a process")] = 0
    """Processes that decode and augment items; the numbers do not depend on it."""
    cache_features: Literal["auto", "never"] = "auto"
    """``auto`` computes the features of a wholly frozen trunk once, where nothing random precedes them."""
    checkpoint_minutes: NonNegativeFloat = 5.0
    """Wall-clock minutes between two checkpoints, from which an interrupted run goes on; 0: none."""

    @model_serializer(mode="wrap")
    def _plain(self, fields: SerializerFunctionWrapHandler) -> dict[str, Json]:
        """Leaves out what came later, at its default: ids and digests from before it stay as they were."""
        data: dict[str, Json] = fields(self)
        if self.checkpoint_minutes == SupervisedTraining.model_fields["checkpoint_minutes"].default:
            data.pop("checkpoint_minutes", None)
        if self.statistics == "running":
            data.pop("statistics", None)
        return data


class SupervisedEvaluation(Frozen):
    """How the learning curve is measured: accuracy on the whole test part, unless another is named."""

    every: PositiveInt = 1
    """Epochs between evaluations; there is one before the first and one after the last update."""
    batch_size: PositiveInt = 256
    """Items that pass through the network at once."""
    probe: bool = True
    """Whether a converged linear probe stands beside a head on a copied or frozen trunk."""
    diagnostics: bool = False
    """Whether the record says what is inside the network before and after training: dormant units, effective
    rank, distances, gradient agreement."""
    gaps: bool = False
    """Whether the record says how far apart source and target lie in every layer, before and after."""
    part: Literal["test", "validation"] = "test"
    """What accuracy is measured on; tuning runs of a suite take the validation part."""

    @model_serializer(mode="wrap")
    def _plain(self, fields: SerializerFunctionWrapHandler) -> dict[str, Json]:
        """Leaves out what came later, at its default: ids from before it stay as they were."""
        data: dict[str, Json] = fields(self)
        for name in ("diagnostics", "gaps"):
            if not getattr(self, name):
                data.pop(name, None)
        if self.part == "test":
            data.pop("part", None)
        return data

"""Image classifiers and their training as data: backbone, weights, optimizer, schedule, augmentation."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter, model_validator

from rl_transfer.spec.base import (
    Frozen,
    JsonValue,
    KeyedValueError,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Share,
)
from rl_transfer.spec.image_data import FromText, tag_of


class InputConfig(Frozen):
    """How an image becomes the network's input; what is left out comes from the weights' metadata."""

    size: PositiveInt | None = None
    """Height and width in pixels."""
    resize: PositiveInt | None = None
    """Length of the shorter side before the centre crop to ``size``; none: the metadata's, or ``size``."""
    mean: tuple[float, ...] | None = None
    """Per channel, on values in [0, 1]."""
    std: tuple[PositiveFloat, ...] | None = None
    interpolation: Literal["nearest", "bilinear", "bicubic"] | None = None


class _Model(Frozen):
    input: InputConfig = InputConfig()
    head: str | None = None
    """Path of the classifier's module (``fc``); none: found."""


class SmallResNetConfig(_Model):
    """Our own small residual network (He et al. 2016, the CIFAR form): depth 2·sum(blocks) + 2."""

    name: Literal["small-resnet"]
    width: PositiveInt = 16
    """Channels of the first stage; they double with every stage."""
    blocks: tuple[PositiveInt, ...] = Field(default=(1, 1, 1), min_length=1)
    """Residual blocks per stage; (1, 1, 1) is ResNet-8."""
    channels: Literal[1, 3] = 1
    norm: Literal["batch", "group"] = "batch"


class TorchvisionConfig(_Model):
    """A classifier of ``torchvision.models``."""

    name: Literal["torchvision"]
    architecture: str
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)


class TimmConfig(_Model):
    """A classifier of ``timm``; ``hf-hub:`` and ``local-dir:`` names are timm's own."""

    name: Literal["timm"]
    architecture: str
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)


def named_model(text: str) -> SmallResNetConfig | TorchvisionConfig | TimmConfig:
    """The classifier that a plain text means."""
    library, slash, architecture = text.partition("/")
    if slash and library == "timm":
        return TimmConfig(name="timm", architecture=architecture)
    if text == "small-resnet":
        return SmallResNetConfig(name="small-resnet")
    return TorchvisionConfig(name="torchvision", architecture=text.removeprefix("torchvision/"))


Model = Annotated[
    Annotated[SmallResNetConfig, Tag("small-resnet")]
    | Annotated[TorchvisionConfig, Tag("torchvision")]
    | Annotated[TimmConfig, Tag("timm")]
    | Annotated[TorchvisionConfig, FromText(named_model), Tag("text")],
    Discriminator(tag_of),
]
"""A classifier by ``name``; a plain text is ``small-resnet``, ``timm/NAME`` or a torchvision model."""


def parse_model(plain: dict[str, Any]) -> Model:
    """The classifier that :meth:`Frozen.plain` described.

    Raises:
        ValueError: it is none.
    """
    parsed: Model = TypeAdapter(Model).validate_json(json.dumps(plain))
    return parsed


class WeightsConfig(Frozen):
    """Where the tensors of a pretrained network lie. Nothing is downloaded unless ``download`` says so."""

    name: str | None = None
    """torchvision: an entry of the weights enum, ``DEFAULT`` included; timm: a pretrained tag."""
    file: str | None = None
    """A ``.pth`` or ``.safetensors`` file, or ``package://PACKAGE/PATH`` inside an installed package."""
    sha256: str | None = Field(default=None, pattern=r"^[0-9a-f]{8,64}$")
    """The file's SHA-256, or its first digits (at least 8)."""
    remap: bool = False
    """timm: match the file's tensors to the network's in order, where their names differ."""
    download: bool = False
    """Let torchvision or timm fetch the file into its cache if it is not there."""

    @model_validator(mode="after")
    def _check(self) -> WeightsConfig:
        if (self.name is None) == (self.file is None):
            raise ValueError("weights needs either a name (DEFAULT) or a file")
        return self


def _weights_tag(value: object) -> str:
    return "text" if isinstance(value, str) else "mapping"


def named_weights(text: str) -> WeightsConfig:
    """The weights that a plain text means."""
    is_file = "/" in text or text.endswith((".pth", ".pt", ".bin", ".safetensors"))
    return WeightsConfig(file=text) if is_file else WeightsConfig(name=text)


Weights = Annotated[
    Annotated[WeightsConfig, Tag("mapping")] | Annotated[WeightsConfig, FromText(named_weights), Tag("text")],
    Discriminator(_weights_tag),
]
"""Pretrained weights; a plain text is a file where it looks like one, else a name such as ``DEFAULT``."""


class SGDConfig(Frozen):
    """Stochastic gradient descent; the defaults are those of PyTorch's transfer-learning tutorial."""

    name: Literal["SGD"]
    learning_rate: PositiveFloat = 0.001
    momentum: Share = 0.9
    weight_decay: NonNegativeFloat = 0.0
    nesterov: bool = False

    @model_validator(mode="after")
    def _check(self) -> SGDConfig:
        if self.nesterov and self.momentum == 0:
            raise KeyedValueError("nesterov", "nesterov needs a momentum above 0")
        return self


class AdamConfig(Frozen):
    """Adam (Kingma & Ba 2015)."""

    name: Literal["Adam"]
    learning_rate: PositiveFloat = 0.001
    weight_decay: NonNegativeFloat = 0.0


class AdamWConfig(Frozen):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2019)."""

    name: Literal["AdamW"]
    learning_rate: PositiveFloat = 0.001
    weight_decay: NonNegativeFloat = 0.01


Optimizer = Annotated[SGDConfig | AdamConfig | AdamWConfig, Field(discriminator="name")]


class StepScheduleConfig(Frozen):
    """The rate is multiplied by ``factor`` after every ``every`` epochs."""

    name: Literal["step"]
    every: PositiveInt = 7
    factor: PositiveFloat = 0.1


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


class AugmentationConfig(Frozen):
    """Random changes of training images; none by default."""

    resized_crop: tuple[Share, Share] | None = None
    """Crop a random area with a share in this range and scale it to the input size."""
    horizontal_flip: Share = 0.0
    """Probability of a left-right flip."""
    shift: NonNegativeInt = 0
    """Largest shift in pixels, each direction; uncovered pixels repeat the border's mean."""
    rotation: NonNegativeFloat = 0.0
    """Largest turn in degrees."""
    brightness: NonNegativeFloat = 0.0
    contrast: NonNegativeFloat = 0.0

    @model_validator(mode="after")
    def _check(self) -> AugmentationConfig:
        if self.resized_crop and not 0 < self.resized_crop[0] <= self.resized_crop[1]:
            raise KeyedValueError("resized_crop", f"resized_crop {self.resized_crop} is no range in (0, 1]")
        return self

    @property
    def any(self) -> bool:
        """Whether images are changed at all."""
        return self != AugmentationConfig()


class EarlyStoppingConfig(Frozen):
    """Stop when the validation loss has not improved for ``patience`` epochs; the best epoch is kept."""

    patience: PositiveInt = 5
    min_delta: NonNegativeFloat = 0.0


class ImageTraining(Frozen):
    """The budget of a run and how it is spent."""

    epochs: NonNegativeInt = 25
    """Passes over the labelled images; 0 leaves the network as it is (an untrained source)."""
    batch_size: PositiveInt = 32
    optimizer: Optimizer = SGDConfig(name="SGD")
    schedule: Schedule = StepScheduleConfig(name="step")
    augmentation: AugmentationConfig = AugmentationConfig()
    label_smoothing: Share = 0.0
    class_weights: Literal["none", "balanced"] = "none"
    """``balanced`` weighs each class by the inverse of its share of the training images."""
    early_stopping: EarlyStoppingConfig | None = None
    keep: Literal["final", "best"] = "final"
    """Which network the bundle holds: the last one, or the one with the best validation accuracy."""
    max_grad_norm: PositiveFloat | None = None
    precision: Literal["float32", "bfloat16"] = "float32"
    """``bfloat16`` runs the forward passes of training under autocast."""
    device: Literal["cpu", "cuda", "auto"] = "cpu"
    workers: NonNegativeInt = 0
    """Processes that decode and augment images; the numbers do not depend on it."""
    cache_features: Literal["auto", "never"] = "auto"
    """``auto`` computes the features of a wholly frozen trunk once, where nothing random precedes them."""


class ImageEvaluation(Frozen):
    """How the learning curve is measured: accuracy on the whole test part."""

    every: PositiveInt = 1
    """Epochs between evaluations; there is one before the first and one after the last update."""
    batch_size: PositiveInt = 256
    probe: bool = True
    """Whether a converged linear probe stands beside a head on a copied or frozen trunk."""

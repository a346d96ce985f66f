"""Image classifiers as data: backbone, input, pretrained weights, augmentation."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from rl_transfer.errors import RLTransferError
from rl_transfer.spec.addresses import resolve_file
from rl_transfer.spec.base import (
    FiniteFloat,
    Frozen,
    JsonValue,
    KeyedValueError,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Share,
    at_most,
    numbers_at_most,
)
from rl_transfer.spec.keras_files import ENDINGS, read_architecture
from rl_transfer.spec.optimization import SupervisedTraining
from rl_transfer.spec.shorthand import FromText, tag_of
from rl_transfer.spec.supervised import ModelConfig, PretrainedWeights

Pixels = Annotated[PositiveInt, at_most(4_096, "pictures of a batch are in memory as floats")]
Shift = Annotated[NonNegativeInt, at_most(4_096, "nothing of a picture is left")]
_SIZES, _MOST_PIXELS = ("img_size", "image_size", "input_size"), 1_024


def _bearable_input(arguments: dict[str, JsonValue]) -> dict[str, JsonValue]:
    """Refuse an input whose positions alone take hundreds of MiB: masks, embeddings, activations."""
    for key in _SIZES:
        value = arguments.get(key)
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, int | float) and each > _MOST_PIXELS:
                raise KeyedValueError(
                    key,
                    f"{key} is {value}, more than {_MOST_PIXELS:,} pixels: what a network keeps for each of "
                    "their positions grows with the square, before the first picture is seen",
                )
    return arguments


Arguments = Annotated[
    dict[str, JsonValue],
    numbers_at_most(4_096, "no argument of an architecture is that large"),
    AfterValidator(_bearable_input),
]
_STAGE = Annotated[PositiveInt, at_most(256, "each is two layers")]


class InputConfig(Frozen):
    """How an image becomes the network's input; what is left out comes from the weights' metadata."""

    size: Pixels | None = None
    """Height and width in pixels."""
    resize: Pixels | None = None
    """Length of the shorter side before the centre crop to ``size``; none: the metadata's, or ``size``."""
    mean: tuple[FiniteFloat, ...] | None = None
    """Per channel, on values in [0, 1]."""
    std: tuple[PositiveFloat, ...] | None = None
    """Per channel, likewise; pixels become (value − mean) / std."""
    interpolation: Literal["nearest", "bilinear", "bicubic"] | None = None
    """How pictures are scaled; none: as the weights were trained, or bilinear."""


class ImageModel(ModelConfig):
    """What every image classifier has."""

    input: InputConfig = InputConfig()
    head: str | None = None
    """Path of the classifier's module (``fc``); none: found."""


class SmallResNetConfig(ImageModel):
    """Our own small residual network (He et al. 2016, the CIFAR form): depth 2·sum(blocks) + 2."""

    name: Literal["small-resnet"]
    width: Annotated[PositiveInt, at_most(1_024, "channels double with every stage")] = 16
    """Channels of the first stage; they double with every stage."""
    blocks: tuple[_STAGE, ...] = Field(default=(1, 1, 1), min_length=1, max_length=6)
    """Residual blocks per stage; (1, 1, 1) is ResNet-8."""
    channels: Literal[1, 3] = 1
    """1: grey values; 3: colours."""
    norm: Literal["batch", "group"] = "batch"
    """Batch or group normalisation."""


class TorchvisionConfig(ImageModel):
    """A classifier of ``torchvision.models``."""

    name: Literal["torchvision"]
    architecture: str
    """Its name there, such as ``resnet18``."""
    kwargs: Arguments = Field(default_factory=dict)
    """Further arguments of its constructor."""


class TimmConfig(ImageModel):
    """A classifier of ``timm``; ``hf-hub:`` and ``local-dir:`` names are timm's own."""

    name: Literal["timm"]
    architecture: str
    """Its name there, such as ``efficientnet_lite0``."""
    kwargs: Arguments = Field(default_factory=dict)
    """Further arguments of its constructor."""


class KerasConfig(ImageModel):
    """A model of Keras: the one in a file, or an architecture of ``keras.applications``.

    Its head is a layer's full name.
    """

    name: Literal["keras"]
    file: str | None = None
    """A ``.keras`` file, a whole model in HDF5, or a ``.json`` of ``model.to_json()``; ``package://`` too."""
    application: str | None = None
    """A name of ``keras.applications``."""
    architecture: dict[str, JsonValue] | None = None
    """What the file says of the architecture; filled in when a run is planned."""
    channel_order: Literal["rgb", "bgr"] | None = None
    """Order in which the network reads colours; none: that of its application, or red first."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if (self.application is None) == (self.file is None and self.architecture is None):
            raise ValueError("a model of Keras needs either a file or an application")
        return self

    def planned(self) -> Self:
        """The model with the architecture in its file; as it is where it cannot be read."""
        try:
            return self.found()
        except RLTransferError:
            return self

    def found(self) -> Self:
        """The model with the architecture in its file.

        Returns:
            The model itself, where it is an application or has its architecture already.

        Raises:
            RLTransferError: the file is not there, or no model of Keras.
        """
        if self.file is None or self.architecture is not None:
            return self
        key = "model.file"
        return self.model_copy(update={"architecture": read_architecture(resolve_file(self.file, key), key)})


Backbone = SmallResNetConfig | TorchvisionConfig | TimmConfig
"""A classifier that is made of torch's own modules."""


def named_model(text: str) -> Backbone | KerasConfig:
    """The classifier that a plain text means.

    Args:
        text: ``small-resnet``, ``timm/<architecture>``, ``keras:`` with a file or a name of
            ``keras.applications``, or a name of torchvision's.

    Returns:
        The config of that classifier.
    """
    library, slash, architecture = text.partition("/")
    if slash and library == "timm":
        return TimmConfig(name="timm", architecture=architecture)
    if text.startswith("keras:"):
        address = text.removeprefix("keras:")
        if "/" in address or address.endswith(ENDINGS):
            return KerasConfig(name="keras", file=address)
        return KerasConfig(name="keras", application=address)
    if text == "small-resnet":
        return SmallResNetConfig(name="small-resnet")
    return TorchvisionConfig(name="torchvision", architecture=text.removeprefix("torchvision/"))


Model = Annotated[
    Annotated[SmallResNetConfig, Tag("small-resnet")]
    | Annotated[TorchvisionConfig, Tag("torchvision")]
    | Annotated[TimmConfig, Tag("timm")]
    | Annotated[KerasConfig, Tag("keras")]
    | Annotated[TorchvisionConfig, FromText(named_model), Tag("text")],
    Discriminator(tag_of),
]
"""A classifier by ``name``; as text ``small-resnet``, ``timm/NAME``, ``keras:FILE`` or torchvision's name."""


class WeightsConfig(PretrainedWeights):
    """Where the tensors of a pretrained network lie. Nothing is downloaded unless ``download`` says so."""

    name: str | None = None
    """torchvision: an entry of the weights enum, ``DEFAULT`` included; timm: a pretrained tag."""
    remap: bool = False
    """timm: match the file's tensors to the network's in order, where their names differ."""
    download: bool = False
    """Let torchvision or timm fetch the file into its cache if it is not there."""
    classes: tuple[str, ...] | None = None
    """Names of the head's classes in the order of its outputs, where the file does not say them."""

    @model_validator(mode="after")
    def _check(self) -> WeightsConfig:
        if (self.name is None) == (self.file is None):
            raise ValueError("weights needs either a name (DEFAULT) or a file")
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            raise KeyedValueError("classes", f"classes has duplicates: {list(self.classes)}")
        return self

    @model_serializer(mode="wrap")
    def _plain(self, given: SerializerFunctionWrapHandler) -> dict[str, JsonValue]:
        """Leaves ``classes`` out at its default: run ids and digests from before it stay as they were."""
        data: dict[str, JsonValue] = given(self)
        if self.classes is None:
            data.pop("classes", None)
        return data


def _weights_tag(value: object) -> str:
    return "text" if isinstance(value, str) else "mapping"


def named_weights(text: str) -> WeightsConfig:
    """The weights that a plain text means.

    Args:
        text: a file, or a name such as ``DEFAULT``.

    Returns:
        The config of those weights.
    """
    is_file = "/" in text or text.endswith((".pth", ".pt", ".bin", ".safetensors", *ENDINGS))
    return WeightsConfig(file=text) if is_file else WeightsConfig(name=text)


Weights = Annotated[
    Annotated[WeightsConfig, Tag("mapping")] | Annotated[WeightsConfig, FromText(named_weights), Tag("text")],
    Discriminator(_weights_tag),
]
"""Pretrained weights; a plain text is a file where it looks like one, else a name such as ``DEFAULT``."""


class AugmentationConfig(Frozen):
    """Random changes of training images; none by default."""

    resized_crop: tuple[Share, Share] | None = None
    """Crop a random area with a share in this range and scale it to the input size."""
    horizontal_flip: Share = 0.0
    """Probability of a left-right flip."""
    shift: Shift = 0
    """Largest shift in pixels, each direction; uncovered pixels repeat the border's mean."""
    rotation: NonNegativeFloat = 0.0
    """Largest turn in degrees."""
    brightness: NonNegativeFloat = 0.0
    """Largest change of the brightness, as a share of it."""
    contrast: NonNegativeFloat = 0.0
    """Largest change of the contrast, as a share of it."""

    @model_validator(mode="after")
    def _check(self) -> AugmentationConfig:
        if self.resized_crop and not 0 < self.resized_crop[0] <= self.resized_crop[1]:
            raise KeyedValueError("resized_crop", f"resized_crop {self.resized_crop} is no range in (0, 1]")
        return self

    @property
    def any(self) -> bool:
        """Whether images are changed at all."""
        return self != AugmentationConfig()


class ImageTraining(SupervisedTraining):
    """The budget of a run on images; they may be changed at random."""

    augmentation: AugmentationConfig = AugmentationConfig()

"""From an image to the network's input: resize, centre crop, scale to [0, 1], normalise.

The same arithmetic as torchvision's ``ImageClassification`` preset and timm's evaluation transform
(Pillow resamples with antialiasing), read from a weights entry's metadata.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from rl_transfer.errors import BundleError, ConfigError
from rl_transfer.spec.base import Json
from rl_transfer.spec.image_model import InputConfig

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@dataclass(frozen=True)
class ImagePreprocessing:
    """What happens to an image before the network sees it.

    Attributes:
        channels: 1 (luminance) or 3; grey images are repeated, colour images converted.
        size: height and width in pixels after the crop.
        resize: length of the shorter side before the crop.
        mean, std: per channel, on values in [0, 1].
        interpolation: ``nearest``, ``bilinear`` or ``bicubic``.
    """

    channels: int
    size: int
    resize: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    interpolation: str = "bilinear"

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        return (self.channels, self.size, self.size)

    def overridden(self, config: InputConfig) -> ImagePreprocessing:
        """With what the user set; a new size without ``resize`` keeps the proportion of the two.

        Args:
            config: what to change.

        Returns:
            A preprocessing with the same channels.

        Raises:
            ConfigError: the changes contradict the network or each other.
        """
        size = config.size or self.size
        resize = config.resize or (size * self.resize // self.size if config.size else self.resize)
        mean, std = config.mean or self.mean, config.std or self.std
        for name, values in (("mean", mean), ("std", std)):
            if len(values) != self.channels:
                raise ConfigError(
                    f"input.{name} has {len(values)} values, but the network takes {self.channels} "
                    "channel(s); give one value per channel",
                    key=f"model.input.{name}",
                )
        if resize < size:
            raise ConfigError(
                f"input.resize ({resize}) is smaller than input.size ({size}); the crop would not fit",
                key="model.input.resize",
            )
        return ImagePreprocessing(
            self.channels, size, resize, mean, std, config.interpolation or self.interpolation
        )

    def prepare(self, image: Image.Image) -> Image.Image:
        """The image in the right mode, resized and centre-cropped.

        Args:
            image: of any size and mode.

        Returns:
            Of ``size`` × ``size`` pixels.
        """
        image = to_mode(image, self.channels)
        width, height = image.size
        short, long = min(width, height), max(width, height)
        if short != self.resize:
            new = (self.resize, int(self.resize * long / short))
            image = image.resize(new if width <= height else new[::-1], RESAMPLING[self.interpolation])
        width, height = image.size
        if (width, height) == (self.size, self.size):
            return image
        left, top = round((width - self.size) / 2.0), round((height - self.size) / 2.0)
        return image.crop((left, top, left + self.size, top + self.size))

    def tensor(self, image: Image.Image) -> Tensor:
        """A prepared image as the network's input.

        Args:
            image: as :meth:`prepare` gave it.

        Returns:
            Normalised float32 [channels, size, size].
        """
        pixels = torch.from_numpy(np.array(image, dtype=np.uint8))
        pixels = pixels.reshape(self.size, self.size, self.channels).permute(2, 0, 1)
        mean = torch.tensor(self.mean).reshape(-1, 1, 1)
        std = torch.tensor(self.std).reshape(-1, 1, 1)
        return (pixels.to(torch.float32) / 255 - mean) / std

    def __call__(self, image: Image.Image) -> Tensor:
        """Any image as the network's input."""
        return self.tensor(self.prepare(image))

    def relied_on(self) -> Mapping[str, object]:
        """Channels, mean and deviation: weights trained with others would see other images."""
        return {"channels": self.channels, "mean": self.mean, "std": self.std}

    def pixels(self, tensor: Tensor) -> NDArray[np.uint8]:
        """The image that an input tensor stands for.

        Args:
            tensor: float32 [channels, size, size].

        Returns:
            uint8 [size, size] or [size, size, 3].
        """
        mean = torch.tensor(self.mean).reshape(-1, 1, 1)
        std = torch.tensor(self.std).reshape(-1, 1, 1)
        values = ((tensor.cpu() * std + mean) * 255).round().clamp(0, 255).to(torch.uint8)
        array: NDArray[np.uint8] = values.permute(1, 2, 0).numpy()
        return array[:, :, 0] if self.channels == 1 else array

    def to_json(self) -> dict[str, Json]:
        """As data for a bundle."""
        return {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ImagePreprocessing:
        """What :meth:`to_json` wrote.

        Args:
            data: as read from a bundle.

        Returns:
            The preprocessing that wrote it.

        Raises:
            BundleError: it is something else.
        """
        try:
            return cls(
                int(data["channels"]),
                int(data["size"]),
                int(data["resize"]),
                tuple(map(float, data["mean"])),
                tuple(map(float, data["std"])),
                str(data["interpolation"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BundleError(f"the bundle's preprocessing is damaged: {error!r}") from None


def to_mode(image: Image.Image, channels: int) -> Image.Image:
    """The image as 8-bit grey or RGB.

    Args:
        image: of any mode.
        channels: 1 (grey) or 3 (RGB).

    Returns:
        The image itself, if it has that mode already.
    """
    image = eight_bits(image)
    mode = "L" if channels == 1 else "RGB"
    return image if image.mode == mode else image.convert(mode)


def eight_bits(image: Image.Image) -> Image.Image:
    """Grey values of 16 bits or between 0 and 1 in 8 bits; images that have these already stay as they are.

    Args:
        image: of any mode.

    Returns:
        16-bit grey scaled down, not clipped; floats times 255, rounded.

    Raises:
        ConfigError: integers of 32 bits, or floats beyond 0 and 1: nobody says what white is.
    """
    if image.mode.startswith("I;16"):
        return Image.fromarray((np.array(image, dtype=np.int64) >> 8).astype(np.uint8))
    if image.mode not in ("I", "F"):
        return image
    values = np.array(image)
    if image.mode == "F" and values.min() >= 0 and values.max() <= 1:
        return Image.fromarray(np.round(values * 255).astype(np.uint8))
    kind = "integers of 32 bits" if image.mode == "I" else "floats"
    raise ConfigError(
        f"its values are {kind} from {values.min():g} to {values.max():g}, and nothing says which of them is "
        "white; expected 8 or 16 bits, or floats between 0 and 1",
        key="data",
    )


def plain(channels: int, size: int) -> ImagePreprocessing:
    """No crop, values scaled to [−1, 1]: for networks of our own.

    Args:
        channels: 1 or 3.
        size: height and width in pixels.
    """
    return ImagePreprocessing(channels, size, size, (0.5,) * channels, (0.5,) * channels)


def imagenet() -> ImagePreprocessing:
    """What torchvision's classifiers were trained with: 224 × 224 of 256 pixels on the shorter side."""
    return ImagePreprocessing(3, 224, 256, IMAGENET_MEAN, IMAGENET_STD)


def of_preset(preset: Any) -> ImagePreprocessing:
    """From a torchvision ``ImageClassification`` preset.

    Args:
        preset: ``weights.transforms()``.
    """
    return ImagePreprocessing(
        channels=len(preset.mean),
        size=int(preset.crop_size[0]),
        resize=int(preset.resize_size[0]),
        mean=tuple(map(float, preset.mean)),
        std=tuple(map(float, preset.std)),
        interpolation=str(preset.interpolation.value),
    )


def of_timm(config: dict[str, Any]) -> ImagePreprocessing:
    """From timm's data config.

    Args:
        config: of ``timm.data.resolve_model_data_config``.

    Returns:
        The same resizing, cropping and scaling.
    """
    channels, size, _ = config["input_size"]
    interpolation = config["interpolation"]
    return ImagePreprocessing(
        channels=int(channels),
        size=int(size),
        resize=math.floor(size / config.get("crop_pct", 1.0)),
        mean=tuple(map(float, config["mean"])),
        std=tuple(map(float, config["std"])),
        interpolation=interpolation if interpolation in RESAMPLING else "bicubic",
    )

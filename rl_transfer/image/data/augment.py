"""Random changes of training images, seeded per image and epoch.

The randomness of one image depends on (run, epoch, image) alone, so neither the number of
data-loader workers nor the order of the images changes it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance, ImageStat
from torch import Tensor

from rl_transfer.image.preprocessing import RESAMPLING, ImagePreprocessing, to_mode
from rl_transfer.spec.image_model import AugmentationConfig

ASPECT = (3 / 4, 4 / 3)
"""Range of the aspect ratio of random crops, as in Szegedy et al. 2015."""


@dataclass(frozen=True)
class RandomChanges:
    """Random crop, flip, turn, shift, brightness and contrast, in that order.

    Attributes:
        config: how strong each is.
        preprocessing: of the network; the result has its size and mode.
    """

    config: AugmentationConfig
    preprocessing: ImagePreprocessing

    def __call__(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """A changed image, ready for ``preprocessing.tensor``.

        Args:
            image: of any size and mode.
            rng: all randomness comes from it.
        """
        config = self.config
        if config.resized_crop is not None:
            image = self._resized_crop(to_mode(image, self.preprocessing.channels), rng)
        else:
            image = self.preprocessing.prepare(image)
        if config.horizontal_flip and rng.random() < config.horizontal_flip:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        if config.rotation or config.shift:
            image = self._moved(image, rng)
        for strength, enhancer in (
            (config.brightness, ImageEnhance.Brightness),
            (config.contrast, ImageEnhance.Contrast),
        ):
            if strength:
                image = enhancer(image).enhance(rng.uniform(max(0.0, 1 - strength), 1 + strength))
        return image

    def _resized_crop(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """A random area and aspect ratio, scaled to the input size (Szegedy et al. 2015)."""
        low, high = self.config.resized_crop or (1.0, 1.0)
        width, height = image.size
        area = width * height * rng.uniform(low, high)
        aspect = math.exp(rng.uniform(*np.log(ASPECT)))
        crop_width = min(width, max(1, round(math.sqrt(area * aspect))))
        crop_height = min(height, max(1, round(math.sqrt(area / aspect))))
        left = int(rng.integers(0, width - crop_width + 1))
        top = int(rng.integers(0, height - crop_height + 1))
        size = (self.preprocessing.size, self.preprocessing.size)
        box = (left, top, left + crop_width, top + crop_height)
        return image.resize(size, RESAMPLING[self.preprocessing.interpolation], box=box)

    def _moved(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        """Turned and shifted; what comes into view has the mean colour of the border."""
        turn = rng.uniform(-self.config.rotation, self.config.rotation)
        right, down = rng.integers(-self.config.shift, self.config.shift + 1, size=2)
        return image.rotate(
            turn,
            resample=Image.Resampling.BILINEAR,
            translate=(int(right), int(down)),
            fillcolor=_border_colour(image),
        )


def augmented(changes: RandomChanges, image: Image.Image, rng: np.random.Generator) -> Tensor:
    """A changed image as the network's input.

    Args:
        changes: which, and for which network.
        image: of any size and mode.
        rng: all randomness comes from it.

    Returns:
        float32 [channels, size, size].
    """
    return changes.preprocessing.tensor(changes(image, rng))


def _border_colour(image: Image.Image) -> int | tuple[int, ...]:
    mask = Image.new("L", image.size, 255)
    if min(image.size) > 2:
        mask.paste(0, (1, 1, image.width - 1, image.height - 1))
    means = [round(value) for value in ImageStat.Stat(image, mask).mean]
    return means[0] if len(means) == 1 else tuple(means)

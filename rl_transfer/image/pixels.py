"""What an ONNX graph of an image classifier takes: the pixels of prepared pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from rl_transfer.image.preprocessing import ImagePreprocessing
from rl_transfer.supervised.classifier import GraphInput
from rl_transfer.supervised.kind import narrowed


class PixelsAsInput(nn.Module):
    """Pixels of 8 bits [n, height, width, channels] → the network's input.

    Args:
        preprocessing: of the network.
    """

    def __init__(self, preprocessing: ImagePreprocessing) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(preprocessing.mean).reshape(-1, 1, 1))
        self.register_buffer("std", torch.tensor(preprocessing.std).reshape(-1, 1, 1))

    def forward(self, pixels: Tensor) -> Tensor:
        """Scaled to [0, 1] and normalised: float32 [n, channels, height, width]."""
        scaled = pixels.permute(0, 3, 1, 2).to(torch.float32) / 255
        return (scaled - self.get_buffer("mean")) / self.get_buffer("std")


def pixel_input(preprocessing: ImagePreprocessing) -> GraphInput:
    """Scaling and normalisation stand in the graph; resizing and cropping, Pillow's, do not.

    Args:
        preprocessing: of the network.
    """
    size, channels = preprocessing.size, preprocessing.channels

    def raw(image: object) -> NDArray[np.generic]:
        pixels = np.asarray(preprocessing.prepare(narrowed(image, Image.Image)), dtype=np.uint8)
        return pixels.reshape(size, size, channels)

    def drawn(generator: np.random.Generator, count: int) -> Sequence[Image.Image]:
        return [_noise(generator, size, channels, grain=2 ** (place % 4)) for place in range(count)]

    told = (
        f"`image` is uint8 [n, {size}, {size}, {channels}]: {'grey' if channels == 1 else 'RGB'} pictures, "
        f"by Pillow resized to {preprocessing.resize} pixels on the shorter side "
        f"({preprocessing.interpolation}, antialiased) and cropped in the middle. Scaling and normalisation "
        "are in the graph."
    )
    return GraphInput("image", told, PixelsAsInput(preprocessing), raw, drawn)


def _noise(generator: np.random.Generator, size: int, channels: int, grain: int) -> Image.Image:
    """A picture of squares in random colours between two random ones, ``grain`` pixels wide."""
    low, high = np.sort(generator.integers(0, 256, 2))
    across = -(-size // grain)
    cells = generator.integers(low, high + 1, (across, across, channels), dtype=np.int64).astype(np.uint8)
    pixels = cells.repeat(grain, axis=0).repeat(grain, axis=1)[:size, :size]
    return Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)

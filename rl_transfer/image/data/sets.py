"""Data sets by name: every one becomes class names, integer labels and a function that loads an image."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from rl_transfer.errors import MissingExtraError
from rl_transfer.image.data.arrays import array_images, open_arrays
from rl_transfer.image.data.folders import open_folder
from rl_transfer.image.data.glyphs import open_glyphs
from rl_transfer.image.data.library_sets import open_torchvision
from rl_transfer.spec.image_data import (
    ArrayData,
    DigitsData,
    FacesData,
    FolderData,
    GlyphData,
    TorchvisionData,
)
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.supervised.data import OpenedData


def open_images(data: LabelledData, key: str = "data") -> OpenedData:
    """Open a data set: its images are found and counted, few or none are decoded yet.

    Args:
        data: the config, one of ``rl_transfer.spec.image_data``.
        key: config path of it, for errors.

    Raises:
        ConfigError: it is not there, or damaged.
        MissingExtraError: the package that ships it is not installed.
    """
    return _OPENERS[type(data)](data, key)


def _open_digits(data: DigitsData, key: str) -> OpenedData:
    found = _shipped("sklearn.datasets", "scikit-learn", key).load_digits()
    images = np.round(found.images * (255 / 16)).astype(np.uint8)
    return OpenedData(tuple(map(str, range(10))), array_images(images, found.target))


def _open_faces(data: FacesData, key: str) -> OpenedData:
    images = _shipped("skimage.data", "scikit-image", key).lfw_subset()
    labels = np.repeat([0, 1], 100)
    grey = np.round(np.clip(images, 0, 1) * 255).astype(np.uint8)
    return OpenedData(("face", "no face"), array_images(grey, labels))


def _shipped(module: str, package: str, key: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise MissingExtraError(
            f"these images come with {package}, which is not installed; "
            f"install it with: pip install {package}",
            key=f"{key}.name",
        ) from None


_OPENERS: dict[type[LabelledData], Callable[[Any, str], OpenedData]] = {
    ArrayData: open_arrays,
    DigitsData: _open_digits,
    FacesData: _open_faces,
    FolderData: open_folder,
    GlyphData: open_glyphs,
    TorchvisionData: open_torchvision,
}

"""Data sets by name: every one becomes class names, integer labels and a function that loads an image."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rl_transfer.errors import ConfigError, MissingExtraError
from rl_transfer.image.data.folders import open_folder
from rl_transfer.image.data.glyphs import open_glyphs
from rl_transfer.image.data.images import ArrayLoader, ImageSet, OpenedData
from rl_transfer.image.data.library_sets import open_torchvision
from rl_transfer.spec.image_data import (
    ArrayData,
    DigitsData,
    FacesData,
    FolderData,
    GlyphData,
    ImageData,
    TorchvisionData,
    fingerprint,
)
from rl_transfer.wording import listing

__all__ = ["ImageSet", "OpenedData", "open_data"]


def open_data(data: ImageData, key: str = "data") -> OpenedData:
    """Open a data set: its images are found and counted, few or none are decoded yet.

    Args:
        data: the config.
        key: config path of it, for errors.

    Raises:
        ConfigError: it is not there, has an empty class, unknown classes, damaged files, or its
            files are not those that the run was planned with.
        MissingExtraError: the package that ships it is not installed.
    """
    _refuse_changed(data, key)
    opened = _OPENERS[type(data)](data, key)
    if data.classes is not None:
        opened = _only(opened, data.classes, key)
    for part in (opened.pool, *([opened.test] if opened.test is not None else [])):
        _refuse_empty_classes(opened.classes, part, key)
    return opened


def _refuse_changed(data: ImageData, key: str) -> None:
    if data.files is None or data.fingerprint is None:
        return
    if fingerprint(data.files) != data.fingerprint:
        raise ConfigError(
            f"{data.files} has changed since this run was planned; start it again, "
            "so that it gets a run id of its own",
            key=key,
        )


def _only(opened: OpenedData, classes: Sequence[str], key: str) -> OpenedData:
    unknown = [name for name in classes if name not in opened.classes]
    if unknown:
        raise ConfigError(
            f"classes names {', '.join(unknown)}, which the data set does not have; "
            f"it has {listing(opened.classes, 20)}",
            key=f"{key}.classes",
        )
    return OpenedData(
        tuple(classes),
        opened.pool.with_classes(opened.classes, classes),
        None if opened.test is None else opened.test.with_classes(opened.classes, classes),
        opened.skipped,
    )


def _refuse_empty_classes(classes: Sequence[str], part: ImageSet, key: str) -> None:
    counts = np.bincount(part.labels, minlength=len(classes))
    empty = [name for name, count in zip(classes, counts, strict=True) if count == 0]
    if empty:
        raise ConfigError(
            f"class {listing(empty, 20)} has no images; remove it, or name the classes to use under classes",
            key=key,
        )
    if len(classes) < 2:
        raise ConfigError(
            f"only one class ({classes[0]}) was found; there is nothing to tell apart. A folder holds one "
            "sub-folder per class, or train and test folders of such",
            key=key,
        )


def _open_arrays(data: ArrayData, key: str) -> OpenedData:
    path = Path(data.path)
    try:
        with np.load(path, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file", key=f"{key}.path") from None
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{path} cannot be read as a .npz file of plain arrays: {error}", key=f"{key}.path"
        ) from None
    missing = [name for name in ("images", "labels") if name not in arrays]
    if missing:
        raise ConfigError(
            f"{path} has no array {' and no '.join(missing)}; it holds {', '.join(arrays) or 'nothing'}",
            key=f"{key}.path",
        )
    labels = arrays["labels"]
    names = arrays.get("classes")
    classes = tuple(map(str, names if names is not None else range(int(labels.max(initial=0)) + 1)))
    pool = _array_set(arrays["images"], labels, len(classes), path, key)
    test = None
    if "test_images" in arrays and "test_labels" in arrays:
        test = _array_set(arrays["test_images"], arrays["test_labels"], len(classes), path, key)
    return OpenedData(classes, pool, test)


def _array_set(images: NDArray[Any], labels: NDArray[Any], count: int, path: Path, key: str) -> ImageSet:
    """Check shapes, types and ranges at the door.

    Raises:
        ConfigError: they are not those of labelled images.
    """
    shape = images.shape
    if images.ndim not in (3, 4) or (images.ndim == 4 and shape[-1] not in (1, 3)):
        raise ConfigError(
            f"{path}: images has the shape {shape}; expected [n, height, width] or [n, height, width, 3]",
            key=f"{key}.path",
        )
    if labels.shape != shape[:1] or not np.issubdtype(labels.dtype, np.integer):
        raise ConfigError(
            f"{path}: labels has the shape {labels.shape} and type {labels.dtype}; "
            f"expected one integer for each of the {shape[0]} images",
            key=f"{key}.path",
        )
    if len(labels) and not 0 <= labels.min() <= labels.max() < count:
        raise ConfigError(
            f"{path}: labels run from {labels.min()} to {labels.max()}, but there are {count} classes",
            key=f"{key}.path",
        )
    if images.dtype != np.uint8:
        if not np.issubdtype(images.dtype, np.floating) or images.min() < 0 or images.max() > 1:
            raise ConfigError(
                f"{path}: images is of type {images.dtype}; expected uint8, or floats between 0 and 1",
                key=f"{key}.path",
            )
        images = np.round(images * 255).astype(np.uint8)
    return array_images(images, labels)


def array_images(images: NDArray[np.uint8], labels: NDArray[Any]) -> ImageSet:
    """Images [n, h, w] or [n, h, w, 1 or 3] in memory."""
    flat = images[..., 0] if images.ndim == 4 and images.shape[-1] == 1 else images
    return ImageSet(labels.astype(np.int64), ArrayLoader(np.ascontiguousarray(flat)))


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


_OPENERS: dict[type[ImageData], Callable[[Any, str], OpenedData]] = {
    ArrayData: _open_arrays,
    DigitsData: _open_digits,
    FacesData: _open_faces,
    FolderData: open_folder,
    GlyphData: open_glyphs,
    TorchvisionData: open_torchvision,
}

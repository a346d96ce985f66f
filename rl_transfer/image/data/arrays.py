"""Images that lie in memory as arrays, and ``.npz`` files of such, checked at the door."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rl_transfer.errors import ConfigError
from rl_transfer.spec.image_data import ArrayData
from rl_transfer.supervised.data import LabelledSet, OpenedData


@dataclass(frozen=True, eq=False)
class ArrayLoader:
    """Images [n, height, width] or [n, height, width, 3] in memory."""

    images: NDArray[np.uint8]

    def __call__(self, index: int) -> Image.Image:
        """Image ``index``."""
        return Image.fromarray(self.images[index])


def open_arrays(data: ArrayData, key: str) -> OpenedData:
    """Read a ``.npz`` file of images; nothing is unpickled.

    Args:
        data: names the file.
        key: config path of it, for errors.

    Returns:
        Its images in memory, with a test part where the file has one.

    Raises:
        ConfigError: there is no such file, or its arrays are not labelled images.
    """
    path = data.files
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as content:
            arrays = {name: content[name] for name in content.files}
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file", key=f"{key}.path") from None
    except (OSError, ValueError, EOFError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise ConfigError(
            f"{path} cannot be read as a .npz file of plain arrays: {error}", key=f"{key}.path"
        ) from None
    wanted = ["images", "labels"]
    if "test_images" in arrays or "test_labels" in arrays:
        wanted += ["test_images", "test_labels"]
    missing = [name for name in wanted if name not in arrays]
    if missing:
        raise ConfigError(
            f"{path} has no array {' and no '.join(missing)}; it holds {', '.join(arrays) or 'nothing'}",
            key=f"{key}.path",
        )
    classes = _classes(arrays["labels"], arrays.get("classes"), path, key)
    labels = arrays["labels"]
    pool = _array_set(arrays["images"], labels, len(classes), path, key)
    test = None
    if "test_images" in arrays:
        test = _array_set(arrays["test_images"], arrays["test_labels"], len(classes), path, key)
    return OpenedData(classes, pool, test)


def _classes(
    labels: NDArray[np.generic], names: NDArray[np.generic] | None, path: Path, key: str
) -> tuple[str, ...]:
    """The names in the file, else a number for each label.

    Raises:
        ConfigError: the labels are no numbers of classes, or the names no list of different ones.
    """
    if not np.issubdtype(labels.dtype, np.integer):
        raise ConfigError(
            f"{path}: labels is of type {labels.dtype}; expected integers, which index classes (0, 1, …)",
            key=f"{key}.path",
        )
    if names is None:
        most = int(labels.astype(object).max(initial=0))
        if most >= max(labels.size, 1):
            raise ConfigError(
                f"{path}: labels go up to {most:,}, but there are {labels.size:,} of them; number the "
                "classes 0, 1, …, or name them in an array classes",
                key=f"{key}.path",
            )
        return tuple(map(str, range(most + 1)))
    classes = tuple(map(str, names.tolist())) if names.ndim == 1 else ()
    if not classes or len(set(classes)) < len(classes):
        raise ConfigError(
            f"{path}: classes has the shape {names.shape} and {len(set(classes))} different names; "
            "expected one name for each class",
            key=f"{key}.path",
        )
    return classes


def _array_set(images: NDArray[Any], labels: NDArray[Any], count: int, path: Path, key: str) -> LabelledSet:
    """Check shapes, types and ranges at the door.

    Raises:
        ConfigError: they are not those of labelled images.
    """
    shape = images.shape
    if images.ndim not in (3, 4) or (images.ndim == 4 and shape[-1] not in (1, 3)) or 0 in shape[1:]:
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
        if not np.issubdtype(images.dtype, np.floating) or not (images.min() >= 0 and images.max() <= 1):
            raise ConfigError(
                f"{path}: images is of type {images.dtype}; expected uint8, or floats between 0 and 1",
                key=f"{key}.path",
            )
        images = np.round(images * 255).astype(np.uint8)
    return array_images(images, labels)


def array_images(images: NDArray[np.uint8], labels: NDArray[Any]) -> LabelledSet:
    """Images in memory as a labelled set.

    Args:
        images: [n, height, width] or [n, height, width, 1 or 3].
        labels: integers [n].

    Returns:
        Labelled 8-bit images, grey or RGB.
    """
    flat = images[..., 0] if images.ndim == 4 and images.shape[-1] == 1 else images
    return LabelledSet(labels.astype(np.int64), ArrayLoader(np.ascontiguousarray(flat)))

"""What a data set is to the rest of the room."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Labelled images: ``labels[i]`` indexes the class names, ``load(i)`` gives image i."""

    labels: NDArray[np.int64]
    load: Callable[[int], Image.Image]

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: NDArray[np.int64]) -> ImageSet:
        """The images at ``indices``, in that order."""
        chosen = indices.astype(np.int64)
        return ImageSet(self.labels[chosen], _Chosen(self.load, chosen))

    def with_classes(self, old: Sequence[str], new: Sequence[str]) -> ImageSet:
        """The images of the classes ``new``, labelled by their place there."""
        place = np.array([new.index(name) if name in new else -1 for name in old], dtype=np.int64)
        labels = place[self.labels]
        kept = np.flatnonzero(labels >= 0)
        return ImageSet(labels[kept], _Chosen(self.load, kept))


@dataclass(frozen=True)
class _Chosen:
    """Image i of a subset; a class, not a closure, so that data-loader workers can receive it."""

    load: Callable[[int], Image.Image]
    indices: NDArray[np.int64]

    def __call__(self, index: int) -> Image.Image:
        return self.load(int(self.indices[index]))


@dataclass(frozen=True, eq=False)
class ArrayLoader:
    """Images [n, h, w] or [n, h, w, 3] in memory."""

    images: NDArray[np.uint8]

    def __call__(self, index: int) -> Image.Image:
        """Image ``index``."""
        return Image.fromarray(self.images[index])


@dataclass(frozen=True, eq=False)
class OpenedData:
    """A data set, opened.

    Attributes:
        classes: names, in the order of the labels.
        pool: images to learn from (and to split a test part off, where ``test`` is None).
        test: the data set's own test part.
        skipped: files that were left out because they could not be decoded.
    """

    classes: tuple[str, ...]
    pool: ImageSet
    test: ImageSet | None = None
    skipped: tuple[str, ...] = ()

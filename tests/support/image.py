"""Small image data and runs that take well under a second each."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rl_transfer.results import RunFolder
from rl_transfer.spec.image import ImageRun

SMALL: dict[str, Any] = {
    "name": "small-resnet", "width": 4, "blocks": [1, 1], "input": {"size": 8},
}  # fmt: skip
TRAINING: dict[str, Any] = {
    "epochs": 4,
    "batch_size": 16,
    "optimizer": {"name": "SGD", "learning_rate": 0.1},
    "schedule": {"name": "constant"},
}


def stripes(count: int, classes: int = 3, seed: int = 0) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images [count, 8, 8] of noisy bright rows; the class is which row, so all are told apart easily."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    images = rng.integers(0, 60, size=(count, 8, 8))
    for image, label in zip(images, labels, strict=True):
        image[1 + 2 * label] += 150
    return images.astype(np.uint8), labels


def save_arrays(path: Path, names: tuple[str, ...] = ("a", "b", "c"), invert: bool = False) -> Path:
    """An ``.npz`` data set of 20 images per class."""
    images, labels = stripes(20 * len(names), len(names))
    np.savez(path, images=255 - images if invert else images, labels=labels, classes=np.array(names))
    return path


def save_folder(root: Path, counts: dict[str, int], size: tuple[int, int] = (10, 8)) -> Path:
    """A folder with one sub-folder per class and PNG files in them, ``size`` = (width, height)."""
    rng = np.random.default_rng(0)
    for name, count in counts.items():
        (root / name).mkdir(parents=True, exist_ok=True)
        for index in range(count):
            pixels = rng.integers(0, 256, size=(size[1], size[0], 3)).astype(np.uint8)
            Image.fromarray(pixels).save(root / name / f"{index}.png")
    return root


def make_run(data: Any, **changes: Any) -> ImageRun:
    """A run of the small network on a data set given by config or by path of an ``.npz`` file."""
    if isinstance(data, Path):
        data = {"name": "arrays", "path": str(data)}
    fields: dict[str, Any] = {"data": data, "model": SMALL, "training": TRAINING, "strategy": {}, **changes}
    run = ImageRun.model_validate(fields)
    return run if run.data is None else run.model_copy(update={"data": run.data.planned()})


Execute = Callable[..., RunFolder]
"""Executes a run and returns its finished folder."""

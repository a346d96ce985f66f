"""Folders of image files: one sub-folder per class, or Hugging Face's ``imagefolder`` layout."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from rl_transfer.errors import ConfigError
from rl_transfer.image.data.files import FileLoader, damage
from rl_transfer.spec.image_data import FolderData
from rl_transfer.spec.image_folders import Labelled, find_images
from rl_transfer.spec.saved_sets import DICT, STATE
from rl_transfer.supervised.data import LabelledSet, OpenedData


def open_folder(data: FolderData, key: str = "data") -> OpenedData:
    """Find the images and their classes.

    A folder with ``train`` and ``test`` (or ``val``) in it has its own test part; otherwise one is
    split off. Classes are sorted by name, as torchvision's ``ImageFolder`` does.

    Args:
        data: names folder and layout.
        key: config path of it, for errors.

    Returns:
        The images, none of them decoded yet.

    Raises:
        ConfigError: there is no such folder, a class without images, a damaged file (all are named).
    """
    root = data.files
    saved = next((root / name for name in (DICT, STATE) if (root / name).is_file()), None)
    if saved is not None:
        raise ConfigError(
            f"{root} is a data set of Hugging Face's ({saved.name}), of which texts are read, not pictures; "
            "write these into folders with `datasets` (docs/images.md has the lines)",
            key=f"{key}.path",
        )
    found = find_images(root, data.layout, key)
    pool, held_out = found.pool, found.test
    classes = tuple(sorted({label for _, label in pool}))
    if len(classes) == 1:
        raise ConfigError(
            f"only one class ({classes[0]}) was found in {root}; expected one sub-folder per class, or "
            "train and test folders of such",
            key=f"{key}.path",
        )
    if held_out is not None:
        unknown = sorted({label for _, label in held_out} - set(classes))
        if unknown:
            raise ConfigError(
                f"{root}: the test part has the class {', '.join(unknown)}, which the part to learn from "
                "does not have",
                key=f"{key}.path",
            )
    skipped = _check_files([path for path, _ in (*pool, *(held_out or ()))], data.skip_corrupt, key)
    return OpenedData(
        classes,
        _image_set(pool, classes, skipped),
        None if held_out is None else _image_set(held_out, classes, skipped),
        tuple(sorted(map(str, skipped))),
        tuple(
            f"nothing is read from {path}: another folder is the test part, and validation is a share of the "
            "images to learn from (data.validation)"
            for path in found.ignored
        ),
    )


def _image_set(files: Labelled, classes: tuple[str, ...], skipped: set[Path]) -> LabelledSet:
    kept = [(path, label) for path, label in files if path not in skipped]
    labels = np.array([classes.index(label) for _, label in kept], dtype=np.int64)
    return LabelledSet(labels, FileLoader(tuple(path for path, _ in kept)))


def _check_files(paths: list[Path], skip: bool, key: str) -> set[Path]:
    """The damaged ones. Headers are always checked; with ``skip`` every image is decoded to be sure.

    Raises:
        ConfigError: some are damaged and ``skip`` is false.
    """
    damaged = {path: reason for path in paths if (reason := damage(path, decode=skip))}
    if damaged and not skip:
        named = "; ".join(f"{path} ({reason})" for path, reason in list(damaged.items())[:10])
        more = f" and {len(damaged) - 10} more" if len(damaged) > 10 else ""
        raise ConfigError(
            f"{len(damaged)} file(s) are no images that can be used: {named}{more}. Repair or remove "
            f"them, or leave such files out with {key}.skip_corrupt: true",
            key=key,
        )
    return set(damaged)

"""Folders of image files: one sub-folder per class, or Hugging Face's ``imagefolder`` layout."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError

from rl_transfer.errors import ConfigError
from rl_transfer.spec.image_data import FolderData
from rl_transfer.supervised.data import LabelledSet, OpenedData

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
TRAIN = ("train", "training")
TEST = ("test", "val", "valid", "validation")
Labelled = list[tuple[Path, str]]


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
    root = Path(data.path).expanduser()
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder", key=f"{key}.path")
    train = next((root / name for name in TRAIN if (root / name).is_dir()), None)
    test = next((root / name for name in TEST if (root / name).is_dir()), None)
    read = _read_hugging_face if data.layout == "huggingface" else _read_classes
    if train is None or test is None:
        pool, held_out = read(root, key), None
    else:
        pool, held_out = read(train, key), read(test, key)
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
                f"{test} has the class {', '.join(unknown)}, which {train} does not have", key=f"{key}.path"
            )
    skipped = _check_files([path for path, _ in (*pool, *(held_out or ()))], data.skip_corrupt, key)
    return OpenedData(
        classes,
        _image_set(pool, classes, skipped),
        None if held_out is None else _image_set(held_out, classes, skipped),
        tuple(sorted(map(str, skipped))),
    )


@dataclass(frozen=True)
class FileLoader:
    """Decodes image files."""

    paths: tuple[Path, ...]

    def __call__(self, index: int) -> Image.Image:
        """Image ``index``.

        Raises:
            ConfigError: the file cannot be decoded.
        """
        path = self.paths[index]
        try:
            with Image.open(path) as image:
                image.load()
                return image.copy() if image.mode != "P" else image.convert("RGBA")
        except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
            raise ConfigError(
                f"{path} is no image that can be decoded ({error}); repair or remove it, "
                "or leave such files out with data.skip_corrupt: true",
                key="data",
            ) from None


def _image_set(files: Labelled, classes: tuple[str, ...], skipped: set[Path]) -> LabelledSet:
    kept = [(path, label) for path, label in files if path not in skipped]
    labels = np.array([classes.index(label) for _, label in kept], dtype=np.int64)
    return LabelledSet(labels, FileLoader(tuple(path for path, _ in kept)))


def _read_classes(root: Path, key: str) -> Labelled:
    """Path and class of every image below the sub-folders of ``root``."""
    folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
    if not folders:
        raise ConfigError(
            f"{root} has no sub-folders; expected one per class, named after it, with its images inside",
            key=f"{key}.path",
        )
    found: Labelled = []
    for folder in folders:
        images = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not images:
            raise ConfigError(
                f"the class folder {folder} has no images ({', '.join(sorted(SUFFIXES))}); "
                "fill or remove it, or name the classes to use under classes",
                key=f"{key}.path",
            )
        found += [(path, folder.name) for path in images]
    return found


def _read_hugging_face(root: Path, key: str) -> Labelled:
    """As ``load_dataset("imagefolder", data_dir=root)``: metadata files first, else sub-folders."""
    lines = root / "metadata.jsonl"
    table = root / "metadata.csv"
    if lines.is_file():
        rows = [json.loads(line) for line in lines.read_text(encoding="utf-8").splitlines() if line.strip()]
        return _labelled(root, rows, lines, key)
    if table.is_file():
        with table.open(newline="", encoding="utf-8") as stream:
            return _labelled(root, list(csv.DictReader(stream)), table, key)
    return _read_classes(root, key)


def _labelled(root: Path, rows: Iterable[dict[str, object]], source: Path, key: str) -> Labelled:
    found = []
    for number, row in enumerate(rows, 1):
        if row.get("file_name") is None or row.get("label") is None:
            raise ConfigError(
                f"{source}, row {number}: expected file_name and label, got {', '.join(map(str, row))}",
                key=f"{key}.path",
            )
        path = root / str(row["file_name"])
        if not path.is_file():
            raise ConfigError(f"{source}, row {number}: {path} does not exist", key=f"{key}.path")
        found.append((path, str(row["label"])))
    if not found:
        raise ConfigError(f"{source} lists no images", key=f"{key}.path")
    return found


def _check_files(paths: list[Path], skip: bool, key: str) -> set[Path]:
    """The damaged ones. Headers are always checked; with ``skip`` every image is decoded to be sure.

    Raises:
        ConfigError: some are damaged and ``skip`` is false.
    """
    damaged = {path: reason for path in paths if (reason := _damage(path, decode=skip))}
    if damaged and not skip:
        named = "; ".join(f"{path} ({reason})" for path, reason in list(damaged.items())[:10])
        more = f" and {len(damaged) - 10} more" if len(damaged) > 10 else ""
        raise ConfigError(
            f"{len(damaged)} file(s) are no images that can be decoded: {named}{more}. Repair or remove "
            f"them, or leave such files out with {key}.skip_corrupt: true",
            key=key,
        )
    return set(damaged)


def _damage(path: Path, decode: bool) -> str | None:
    """What is wrong with an image file; None if nothing was found."""
    try:
        with Image.open(path) as image:
            image.load() if decode else image.verify()
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError) as error:
        return str(error).replace(str(path), path.name) or type(error).__name__
    return None

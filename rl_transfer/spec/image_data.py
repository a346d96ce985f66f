"""Labelled images as data: where they come from, which classes, how many labels, which split."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    Discriminator,
    Field,
    GetCoreSchemaHandler,
    Tag,
    TypeAdapter,
    model_validator,
)

from rl_transfer.spec.base import (
    Frozen,
    JsonValue,
    KeyedValueError,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    Share,
    digest,
)


class ImageData(Frozen):
    """What every data set has: classes, a test part, and the labelled images that may be trained on."""

    classes: tuple[str, ...] | None = None
    """Keep these classes only, in this order; none: all, in the data set's own order."""
    shots: PositiveInt | None = None
    """Labelled images per class, drawn anew for each seed; none: all that are not held out."""
    validation: Share = 0.0
    """Share of each class's labelled images kept from training, for early stopping and ``keep: best``."""
    test: Share = 0.25
    """Share of each class held out for evaluation, where the data set has no test part of its own."""
    fingerprint: str | None = None
    """Digest of the files' names and sizes (of a single file's content); filled in when a run is planned."""

    @model_validator(mode="after")
    def _check_shares(self) -> ImageData:
        if not 0 < self.test < 1:
            raise KeyedValueError("test", f"test is {self.test}; hold out a share between 0 and 1")
        if self.validation >= 1:
            raise KeyedValueError("validation", "validation is 1; nothing would be left to train on")
        if self.classes is not None and len(set(self.classes)) != len(self.classes):
            raise KeyedValueError("classes", f"classes has duplicates: {list(self.classes)}")
        if self.classes is not None and len(self.classes) < 2:
            raise KeyedValueError("classes", "classes names fewer than two; there is nothing to tell apart")
        return self

    @property
    def digest(self) -> str:
        """Identity of the task; the random streams of its runs depend on it."""
        return digest(self._identity())

    @property
    def split_digest(self) -> str:
        """Identity of what is split; the test part is the same for any number of shots."""
        return digest(self._identity(("shots", "validation")))

    def _identity(self, without: tuple[str, ...] = ()) -> dict[str, Any]:
        """The config without the named keys; files that are known by content may lie anywhere."""
        place = ("path",) if self.fingerprint is not None else ()
        return {name: value for name, value in self.plain().items() if name not in (*without, *place)}

    @property
    def files(self) -> Path | None:
        """The folder or file that holds the images, if the data set is one of files."""
        return None

    def planned(self) -> ImageData:
        """This data set with the fingerprint of its files, so that other files are another run."""
        found = None if self.files is None else fingerprint(self.files)
        return self if found is None else self.model_copy(update={"fingerprint": found})


class GlyphData(ImageData):
    """Characters rendered from font faces that matplotlib ships, each a little turned and shifted."""

    name: Literal["glyphs"]
    characters: str = "letters"
    """``letters``, ``lowercase``, ``uppercase``, ``digits``, or the characters themselves."""
    faces: tuple[str, ...] = Field(min_length=1)
    """Font faces: file names in matplotlib's font folder without ``.ttf``, or paths of font files."""
    label: Literal["character", "face"] = "character"
    """What the classes are."""
    variants: PositiveInt = 20
    """Images per character and face."""
    size: PositiveInt = 16
    """Height and width of the images in pixels."""
    scale: PositiveFloat = 0.75
    """Font size as a share of the image's height; a capital letter is about 0.7 of the font size."""
    jitter: NonNegativeFloat = 1.0
    """Strength of the turns, shifts and size changes; 0: every variant is the same image."""


class DigitsData(ImageData):
    """Handwritten digits, 1,797 images of 8 × 8 pixels (UCI, as scikit-learn ships them)."""

    name: Literal["digits"]


class FacesData(ImageData):
    """Faces and what is none, 200 images of 25 × 25 pixels (LFW, as scikit-image ships it)."""

    name: Literal["lfw-subset"]


class ArrayData(ImageData):
    """A ``.npz`` file with ``images`` [n, h, w] or [n, h, w, 3], ``labels`` [n], perhaps ``classes``."""

    name: Literal["arrays"]
    path: str

    @property
    def files(self) -> Path:
        """The file."""
        return Path(self.path)


class FolderData(ImageData):
    """A folder with one sub-folder per class, or with ``train`` and ``test`` folders of such.

    ``layout: huggingface`` also reads a ``metadata.csv`` or ``metadata.jsonl`` with ``file_name``
    and ``label``, as the ``imagefolder`` builder of Hugging Face ``datasets`` does.
    """

    name: Literal["folder"]
    path: str
    layout: Literal["classes", "huggingface"] = "classes"
    skip_corrupt: bool = False
    """Leave out images that cannot be decoded (they are named in the log) instead of refusing them."""

    @property
    def files(self) -> Path:
        """The folder."""
        return Path(self.path)


class TorchvisionData(ImageData):
    """A data set of ``torchvision.datasets`` that is on disk; nothing is downloaded."""

    name: Literal["torchvision"]
    dataset: str
    """Class name: ``MNIST``, ``CIFAR10``, ``FakeData`` …"""
    root: str | None = None
    """Folder that holds its files."""
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    """Further constructor arguments."""


def tag_of(value: object) -> str:
    """Which branch of a config with a shorthand a value belongs to: its ``name``, or ``text``."""
    if isinstance(value, str):
        return "text"
    name = value.get("name") if isinstance(value, dict) else getattr(value, "name", None)
    return str(name)


class FromText:
    """A branch of a union that is written as plain text: the text goes through a function.

    Unlike a "before" validator it leaves the other branches to be read as JSON, lists as tuples.
    """

    def __init__(self, build: Callable[[str], Any]) -> None:
        self._build = build

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> Any:
        return handler.generate_schema(Annotated[str, AfterValidator(self._build)])


def _folder(path: str) -> FolderData:
    return FolderData(name="folder", path=path)


Data = Annotated[
    Annotated[GlyphData, Tag("glyphs")]
    | Annotated[DigitsData, Tag("digits")]
    | Annotated[FacesData, Tag("lfw-subset")]
    | Annotated[ArrayData, Tag("arrays")]
    | Annotated[FolderData, Tag("folder")]
    | Annotated[TorchvisionData, Tag("torchvision")]
    | Annotated[FolderData, FromText(_folder), Tag("text")],
    Discriminator(tag_of),
]
"""A data set by ``name``; a plain text is the path of a folder with one sub-folder per class."""


def parse_data(plain: dict[str, Any]) -> ImageData:
    """The data set that :meth:`Frozen.plain` described.

    Raises:
        ValueError: it is none.
    """
    parsed: ImageData = TypeAdapter(Data).validate_json(json.dumps(plain))
    return parsed


def fingerprint(path: Path) -> str | None:
    """SHA-256 of a file's content, or of the names and sizes of a folder's files; None if absent."""
    if path.is_file():
        status = path.stat()
        return file_sha256(str(path.resolve()), status.st_size, status.st_mtime_ns)
    if not path.is_dir():
        return None
    folders = [path, *(child for child in path.iterdir() if child.is_dir())]
    changed = tuple(sorted((str(folder), folder.stat().st_mtime_ns) for folder in folders))
    return _folder_fingerprint(str(path.resolve()), changed)


@lru_cache(maxsize=64)
def file_sha256(path: str, size: int, changed: int) -> str:
    """SHA-256 (hex) of a file; ``size`` and ``changed`` (ns) make the cache notice another content."""
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@lru_cache(maxsize=64)
def _folder_fingerprint(path: str, changed: tuple[tuple[str, int], ...]) -> str:
    """``changed``: when files came into or left the upper folders (ns), so that the cache notices."""
    found: list[tuple[str, int]] = []
    for folder, _, names in os.walk(path):
        for name in names:
            full = os.path.join(folder, name)
            found.append((Path(full).relative_to(path).as_posix(), os.path.getsize(full)))
    items: list[Any] = [list(item) for item in sorted(found)]
    return digest(items, length=64)

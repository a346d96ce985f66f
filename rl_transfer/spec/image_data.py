"""Labelled images as data: where they come from."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Discriminator, Field, Tag

from rl_transfer.errors import ConfigError
from rl_transfer.spec.base import JsonValue, NonNegativeFloat, PositiveFloat, PositiveInt, at_most
from rl_transfer.spec.image_folders import find_images
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.spec.shorthand import FromText, tag_of


class GlyphData(LabelledData):
    """Characters rendered from font faces that matplotlib ships, each a little turned and shifted."""

    name: Literal["glyphs"]
    characters: str = "letters"
    """``letters``, ``lowercase``, ``uppercase``, ``digits``, or the characters themselves."""
    faces: tuple[str, ...] = Field(min_length=1)
    """Font faces: file names in matplotlib's font folder without ``.ttf``, or paths of font files."""
    label: Literal["character", "face"] = "character"
    """What the classes are."""
    variants: Annotated[PositiveInt, at_most(10_000, "all images are in memory")] = 20
    """Images per character and face."""
    size: Annotated[PositiveInt, at_most(1_024, "all images are in memory")] = 16
    """Height and width of the images in pixels."""
    scale: Annotated[PositiveFloat, at_most(10, "nothing of a character is left")] = 0.75
    """Font size as a share of the image's height; a capital letter is about 0.7 of the font size."""
    jitter: Annotated[NonNegativeFloat, at_most(100, "nothing of a character is left")] = 1.0
    """Strength of the turns, shifts and size changes; 0: every variant is the same image."""

    def read_files(self) -> Iterable[Path]:
        """The font files that the user names by path; matplotlib's own go with its version."""
        return [Path(face) for face in self.faces if Path(face).suffix in (".ttf", ".otf")]


class DigitsData(LabelledData):
    """Handwritten digits, 1,797 images of 8 × 8 pixels (UCI, as scikit-learn ships them)."""

    name: Literal["digits"]


class FacesData(LabelledData):
    """Faces and what is none, 200 images of 25 × 25 pixels (LFW, as scikit-image ships it)."""

    name: Literal["lfw-subset"]


class ArrayData(LabelledData):
    """A ``.npz`` file with ``images`` [n, h, w] or [n, h, w, 3], ``labels`` [n], perhaps ``classes``."""

    name: Literal["arrays"]
    path: str
    """The file."""

    @property
    def files(self) -> Path:
        """The file."""
        return Path(self.path).expanduser()


class FolderData(LabelledData):
    """A folder with one sub-folder per class, or with ``train`` and ``test`` folders of such.

    ``layout: huggingface`` also reads a ``metadata.csv`` or ``metadata.jsonl`` with ``file_name``
    and ``label``, as the ``imagefolder`` builder of Hugging Face ``datasets`` does.
    """

    name: Literal["folder"]
    path: str
    """The folder."""
    layout: Literal["classes", "huggingface"] = "classes"
    """Whether classes are sub-folders alone, or metadata files name them."""
    skip_corrupt: bool = False
    """Leave out images that cannot be decoded (they are named in the log) instead of refusing them."""

    @property
    def files(self) -> Path:
        """The folder."""
        return Path(self.path).expanduser()

    def read_files(self) -> Iterable[Path]:
        """The images and the metadata; none where the folder cannot be read, which opening it explains."""
        try:
            return find_images(self.files, self.layout).paths
        except ConfigError:
            return ()


class TorchvisionData(LabelledData):
    """A data set of ``torchvision.datasets`` that is on disk; nothing is downloaded."""

    name: Literal["torchvision"]
    dataset: str
    """Class name: ``MNIST``, ``CIFAR10``, ``FakeData`` …"""
    root: str | None = None
    """Folder that holds its files."""
    kwargs: dict[str, JsonValue] = Field(default_factory=dict)
    """Further constructor arguments."""

    @property
    def files(self) -> Path | None:
        """Its root."""
        return None if self.root is None else Path(self.root).expanduser()

    def read_files(self) -> Iterable[Path]:
        """The folders that are named after the data set (``cifar-10-batches-py``), else the whole root."""
        root = self.files
        children = [] if root is None else sorted(root.iterdir())
        own = [
            path
            for path in children
            if path.is_dir() and _letters(path.name).startswith(_letters(self.dataset))
        ]
        return (path for each in own or children for path in (each, *each.rglob("*")) if not path.is_dir())


def _letters(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


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

"""Labelled data as data, whatever is labelled: which classes, how many labels, which split, which files."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Self

from pydantic import model_validator

from rl_transfer.spec.base import Frozen, JsonValue, KeyedValueError, PositiveInt, Share, digest


class LabelledData(Frozen):
    """What every data set has: classes, a test part, and the labelled items that may be trained on."""

    classes: tuple[str, ...] | None = None
    """Keep these classes only, in this order; none: all, in the data set's own order."""
    shots: PositiveInt | None = None
    """Labelled items per class, drawn anew for each seed; none: all that are not held out."""
    validation: Share = 0.0
    """Share of each class's labelled items kept from training, for early stopping and ``keep: best``."""
    test: Share = 0.25
    """Share of each class held out for evaluation, where the data set has no test part of its own."""
    fingerprint: str | None = None
    """Digest of the content of the files that are read; filled in when a run is planned."""

    @model_validator(mode="after")
    def _check_shares(self) -> LabelledData:
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

    def _identity(self, without: tuple[str, ...] = ()) -> dict[str, JsonValue]:
        """The config without the named keys; files that are known by content may lie anywhere."""
        place = ("path", "root") if self.fingerprint is not None else ()
        return {name: value for name, value in self.plain().items() if name not in (*without, *place)}

    def holds_the_items_of(self, other: LabelledData) -> bool:
        """Whether another config names the same items, whichever of them it chooses or holds out.

        Args:
            other: as planned, so that files are compared by their content.

        Returns:
            False for two paths whose files were not fingerprinted, unless they are the same.
        """
        choice = ("classes", "shots", "validation", "test", "skip_corrupt")
        return type(self) is type(other) and self._identity(choice) == other._identity(choice)

    @property
    def files(self) -> Path | None:
        """The folder or file that holds the items, if the data set is one of files."""
        return None

    def read_files(self) -> Iterable[Path]:
        """Those of the files that are read; a kind of data that leaves some alone says so here.

        Returns:
            Every file in the folder, unless a kind of data knows better.
        """
        place = self.files
        return () if place is None else (path for path in place.rglob("*") if not path.is_dir())

    def planned(self) -> Self:
        """This data set with the fingerprint of its files, so that other files are another run.

        Returns:
            The data set as it is, where it has no files.
        """
        found = self._content()
        return self if found is None else self.model_copy(update={"fingerprint": found})

    @property
    def is_as_planned(self) -> bool:
        """Whether the files are those that were fingerprinted; true where none were."""
        if self.fingerprint is None:
            return True
        if self.files is not None and self.files.is_dir() and not self.fingerprint.startswith(CONTENT):
            return names_and_sizes(self.files) == self.fingerprint
        return self._content() == self.fingerprint

    def _content(self) -> str | None:
        place = self.files
        if place is not None and not place.is_dir():
            return file_digest(place)
        found = sorted(
            {
                (path.name if place is None else os.path.relpath(path, place), file_digest(path))
                for path in self.read_files()
            }
        )
        items: list[JsonValue] = [list(item) for item in found]
        return None if not items else CONTENT + digest(items, length=64)


CONTENT = "content:"
"""Before a fingerprint of a folder's contents; without it, it is one of 0.1.0, of names and sizes."""
SETTLED_NS = 2_000_000_000
"""A file that changed less than this long ago may change again without another time of change."""


def file_digest(path: Path) -> str | None:
    """SHA-256 of a file's content, read again whenever the file may have changed.

    Args:
        path: of the file.

    Returns:
        64 hexadecimal digits; None if there is no such file, or it cannot be read.
    """
    try:
        if not path.is_file():
            return None
        found = path.stat()
        changed = (found.st_mtime_ns, found.st_ctime_ns)
        settled = time.time_ns() - max(changed) > SETTLED_NS
        read = _sha256 if settled else _sha256.__wrapped__
        return read(os.path.abspath(path), found.st_ino, found.st_size, *changed)
    except OSError:
        return None


@lru_cache(maxsize=2**20)
def _sha256(path: str, inode: int, size: int, modified: int, changed: int) -> str:
    """Of a file; what else is given makes the cache notice another content.

    The time of a file's last change (ctime) cannot be set back, as its time of modification can.
    """
    with Path(path).open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def names_and_sizes(path: Path) -> str:
    """How 0.1.0 fingerprinted a folder; for bundles that it wrote.

    Args:
        path: of the folder.

    Returns:
        64 hexadecimal digits.
    """
    found = sorted(
        (each.relative_to(path).as_posix(), each.stat().st_size)
        for folder, _, names in os.walk(path)
        for each in (Path(folder, name) for name in names)
        if each.is_file()
    )
    items: list[JsonValue] = [list(item) for item in found]
    return digest(items, length=64)

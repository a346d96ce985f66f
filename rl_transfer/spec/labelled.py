"""Labelled data as data, whatever is labelled: which classes, how many labels, which split, which files."""

from __future__ import annotations

import hashlib
import os
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
    """Digest of the files' names and sizes (of a single file's content); filled in when a run is planned."""

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
        place = ("path",) if self.fingerprint is not None else ()
        return {name: value for name, value in self.plain().items() if name not in (*without, *place)}

    @property
    def files(self) -> Path | None:
        """The folder or file that holds the items, if the data set is one of files."""
        return None

    def planned(self) -> Self:
        """This data set with the fingerprint of its files, so that other files are another run.

        Returns:
            The data set as it is, where it has no files.
        """
        found = None if self.files is None else fingerprint(self.files)
        return self if found is None else self.model_copy(update={"fingerprint": found})


def fingerprint(path: Path) -> str | None:
    """SHA-256 of a file's content, or of the names and sizes of a folder's files; None if absent.

    Args:
        path: of a file or folder.

    Returns:
        64 hexadecimal digits, or None.
    """
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
    """SHA-256 (hex) of a file; ``size`` and ``changed`` (ns) make the cache notice another content.

    Args:
        path: of the file.
        size: in bytes.
        changed: time of its last change, in ns.

    Returns:
        64 hexadecimal digits.
    """
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
    items: list[JsonValue] = [list(item) for item in sorted(found)]
    return digest(items, length=64)

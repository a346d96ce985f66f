"""Atomic, durable writes and strict reads of files."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from rl_transfer import bounded
from rl_transfer.errors import StoreError

MOST_BYTES = 32 * 2**20
"""More than any record or manifest takes."""


def write_json(path: Path, data: object, *, compact: bool = False, durable: bool = True) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one, never a part.

    Args:
        path: the file; its folder exists.
        data: JSON data without NaN or infinity.
        compact: one line instead of indented ones.
        durable: as :func:`write_text` has it.

    Raises:
        StoreError: the folder cannot be written to, or the disk is full.
    """
    text = json.dumps(data, indent=None if compact else 2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n", durable=durable)


def write_text(path: Path, text: str, *, durable: bool = True) -> None:
    """Write ``text`` atomically, as :func:`write_json` does.

    Args:
        path: the file; its folder exists.
        text: its whole content, written as UTF-8.
        durable: wait until it would survive a loss of power.

    Raises:
        StoreError: the folder cannot be written to, or the disk is full.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        partial.write_text(text, encoding="utf-8")
        if durable:
            sync_file(partial)
        partial.replace(path)
        if durable:
            sync_folder(path.parent)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StoreError(f"{path} cannot be written: {error.strerror}") from None


def read_only(path: Path) -> bool:
    """Whether a file system was mounted read-only, or became so after an error of the disk.

    Args:
        path: a file or folder on it.

    Returns:
        False where that cannot be told.
    """
    try:
        return bool(os.statvfs(path).f_flag & os.ST_RDONLY)
    except (OSError, AttributeError):  # Windows has no statvfs
        return False


def sync_file(path: Path) -> None:
    """Wait until what was written to a file is on the disk, whoever wrote it.

    Args:
        path: the file.

    Raises:
        OSError: it is missing, or the disk failed.
    """
    with path.open("r+b") as stream:
        os.fsync(stream.fileno())


def sync_folder(path: Path) -> None:
    """Wait until the names in a folder are on the disk: of new files, renamed and removed ones.

    Args:
        path: the folder.

    Raises:
        OSError: it is missing, or the disk failed.
    """
    if os.name == "nt":  # Windows opens no folders, and its file system keeps a journal of names
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_digest(path: Path) -> str:
    """The SHA-256 of a file's bytes, read piece by piece.

    Args:
        path: a regular file of any size.

    Returns:
        64 hexadecimal digits.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it is no regular file.
    """
    bounded.regular_size(path)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Args:
        path: the file.

    Returns:
        What the file holds: an object, a list, a text, a number, a truth value or None.

    Raises:
        StoreError: it is missing, unreadable, or not JSON.
    """
    try:
        return bounded.parse_json(bounded.read_bytes(path, MOST_BYTES))
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise StoreError(f"{path} is damaged: {error}") from None


def make_folder(path: Path) -> Path:
    """Create ``path`` with its parents and check that files can be written in it.

    Args:
        path: the folder; it may exist.

    Returns:
        The same path.

    Raises:
        StoreError: it cannot be created or written to.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".write-probe.{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StoreError(
            f"folder {path} cannot be written to ({error.strerror}); choose another with --output"
        ) from None
    return path

"""Atomic writes and strict reads of JSON files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from rl_transfer import bounded
from rl_transfer.errors import StoreError

MOST_BYTES = 32 * 2**20
"""More than any record or manifest takes."""


def write_json(path: Path, data: object, *, compact: bool = False) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one, never a part.

    Args:
        path: the file; its folder exists.
        data: JSON data without NaN or infinity.
        compact: one line instead of indented ones.

    Raises:
        StoreError: the folder cannot be written to, or the disk is full.
    """
    text = json.dumps(data, indent=None if compact else 2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` atomically, as :func:`write_json` does.

    Args:
        path: the file; its folder exists.
        text: its whole content, written as UTF-8.

    Raises:
        StoreError: the folder cannot be written to, or the disk is full.
    """
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        partial.replace(path)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StoreError(f"{path} cannot be written: {error.strerror}") from None


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

"""Atomic writes and strict reads of JSON files."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from rl_transfer.errors import StoreError


def write_json(path: Path, data: Any, *, compact: bool = False) -> None:
    """Write ``data`` to ``path`` so that a reader sees the old file or the new one, never a part.

    Raises:
        StoreError: the folder cannot be written to, or the disk is full.
    """
    text = json.dumps(data, indent=None if compact else 2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def write_text(path: Path, text: str) -> None:
    """Write ``text`` atomically, as :func:`write_json` does."""
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

    Raises:
        StoreError: it is missing, unreadable, or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise StoreError(f"{path}: no such file") from None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise StoreError(f"{path} is damaged: {error}") from None


def make_folder(path: Path) -> Path:
    """Create ``path`` with its parents and check that files can be written in it.

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

"""Files of strangers: read up to a bound and refused beyond it, before the memory is spent."""

from __future__ import annotations

import json
import stat
from pathlib import Path

MOST_VALUES = 2**20
"""Values in one JSON text; as Python objects they take up to 72 bytes each."""

_Container = dict[str, object] | list[object]

DEEPEST = 100
"""Lists and objects within one another; what this package writes has fewer than ten."""


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a regular file, if it is no larger than that.

    Args:
        path: the file; devices, pipes and folders are no regular files, nor are links to them.
        most: bytes that are read; one more and the file is refused.

    Returns:
        All of it.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it is larger, or no regular file.
    """
    size = regular_size(path, most)
    with path.open("rb") as stream:
        content = stream.read(min(most, size) + 1)
    if len(content) > most:
        raise ValueError(f"it is larger than {_in_words(most)}")
    return content


def regular_size(path: Path, most: int | None = None) -> int:
    """The size of a regular file; opening anything else may wait for ever.

    Args:
        path: the file; devices, pipes and folders are no regular files, nor are links to them.
        most: bytes that it may have; None: any number.

    Returns:
        Bytes.

    Raises:
        OSError: it is missing.
        ValueError: it is larger, or no regular file.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("it is no regular file")
    if most is not None and status.st_size > most:
        raise ValueError(f"it is larger than {_in_words(most)}")
    return status.st_size


def is_file(path: Path) -> bool:
    """Whether it is a file that can be seen; text that can name none (a NUL in it, too long) is none.

    Args:
        path: whatever somebody wrote.

    Returns:
        False also where the folder may not be looked into.
    """
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _in_words(size: int) -> str:
    return f"{size >> 20} MiB" if size >= 2**20 else f"{size >> 10} KiB"


def parse_json(content: bytes) -> object:
    """What a JSON text says, if that is a reasonable number of values at a reasonable depth.

    Args:
        content: the text, UTF-8.

    Returns:
        Objects, lists, texts, numbers, truth values and None.

    Raises:
        ValueError: it is no JSON, or holds too much.
    """
    if sum(content.count(each) for each in (b",", b"[", b"{")) > MOST_VALUES:
        raise ValueError(f"it holds more than {MOST_VALUES:,} values")
    try:
        parsed: object = json.loads(content.decode("utf-8"))
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    level, depth = _containers([parsed]), 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise ValueError(f"it is nested more than {DEEPEST} levels deep")
        level = [each for value in level for each in _containers(value)]
    return parsed


def _containers(value: _Container) -> list[_Container]:
    members = value.values() if isinstance(value, dict) else value
    return [each for each in members if isinstance(each, dict | list)]

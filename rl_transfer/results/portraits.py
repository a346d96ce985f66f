"""``portraits.json``: what the tasks of a sweep are, in words and small pictures, as its room saw them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rl_transfer.errors import StoreError
from rl_transfer.results.files import read_json, write_json
from rl_transfer.spec.base import Json
from rl_transfer.wording import shortened

NAME = "portraits.json"
SCHEMA = 1
MOST_BYTES = 60_000
"""Of a picture; a larger one in a file of somebody's is left out."""
_MOST_PIXELS = 1000
"""Of its width and height."""
_MOST_WORDS = 20
_LONGEST = 300
_FAILED = "no picture:"
_PNG = b"\x89PNG\r\n\x1a\n"


@dataclass(frozen=True)
class Portrait:
    """A task, as people can see it.

    Attributes:
        env: what is perturbed: an environment's id.
        words: each perturbation, from which value to which; empty for an unperturbed task.
        base: PNG file of what is unperturbed; None where nothing is shown.
        picture: PNG file of the task itself; there where ``base`` is.
        note: why there is no picture; empty where there is one, and where there is nothing to see.
    """

    env: str
    words: tuple[str, ...] = ()
    base: bytes | None = None
    picture: bytes | None = None
    note: str = ""


@dataclass(frozen=True)
class Portraits:
    """The portraits of a sweep.

    Attributes:
        key: of everything that was portrayed; the same key needs no second look.
        targets: name → portrait.
        sources: name → portrait.
    """

    key: str = ""
    targets: Mapping[str, Portrait] = field(default_factory=dict)
    sources: Mapping[str, Portrait] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether a picture could not be drawn, which may go better another time."""
        return any(each.note.startswith(_FAILED) for each in (*self.targets.values(), *self.sources.values()))


def write_portraits(folder: Path, portraits: Portraits) -> None:
    """Write ``portraits.json``; a reader sees the old file or the new one.

    Args:
        folder: the sweep's; it exists.
        portraits: all of them.

    Raises:
        StoreError: the folder cannot be written to.
    """
    groups = {"targets": portraits.targets, "sources": portraits.sources}
    data = {name: {key: _plain(each) for key, each in group.items()} for name, group in groups.items()}
    write_json(folder / NAME, {"schema": SCHEMA, "key": portraits.key, **data}, compact=True, durable=False)


def read_portraits(folder: Path) -> Portraits:
    """Read ``portraits.json``, of which nothing but the look of a page depends.

    Args:
        folder: a sweep's.

    Returns:
        What is there and sound; nothing for a folder without the file, or with a damaged or newer one.
    """
    try:
        data = read_json(folder / NAME)
    except StoreError:
        return Portraits()
    if not isinstance(data, dict) or data.get("schema") != SCHEMA:
        return Portraits()
    return Portraits(str(data.get("key") or ""), _group(data.get("targets")), _group(data.get("sources")))


def portrait_of(data: Json) -> Portrait:
    """A portrait from plain data.

    Args:
        data: an object with ``env``, ``words``, ``base``, ``picture`` (Base64 or None) and ``note``; what is
            missing, or of another type, is left out.

    Returns:
        The portrait; empty where nothing of it is sound.
    """
    given = data if isinstance(data, dict) else {}
    words = given.get("words")
    base, picture = _png(given.get("base")), _png(given.get("picture"))
    both = base is not None and picture is not None
    return Portrait(
        env=_line(given.get("env")),
        words=tuple(map(_line, words[:_MOST_WORDS])) if isinstance(words, list) else (),
        base=base if both else None,
        picture=picture if both else None,
        note=_line(given.get("note")),
    )


def _line(text: Json) -> str:
    """Text for a page: short, and without what cannot be seen."""
    return "".join(filter(str.isprintable, shortened(str(text or ""), _LONGEST)))


def _group(data: Json) -> dict[str, Portrait]:
    return {name: portrait_of(each) for name, each in data.items()} if isinstance(data, dict) else {}


def _plain(portrait: Portrait) -> dict[str, Json]:
    return {
        "env": portrait.env,
        "words": [*portrait.words],
        "base": _text(portrait.base),
        "picture": _text(portrait.picture),
        "note": portrait.note,
    }


def _text(picture: bytes | None) -> str | None:
    return None if picture is None else base64.b64encode(picture).decode("ascii")


def _png(text: Json) -> bytes | None:
    """A picture, if it is one and small: whatever a file says goes into a page."""
    if not isinstance(text, str) or len(text) > 2 * MOST_BYTES:
        return None
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    head = found[:8], found[12:16]
    sides = [int.from_bytes(found[start : start + 4], "big") for start in (16, 20)]
    sound = head == (_PNG, b"IHDR") and all(0 < side <= _MOST_PIXELS for side in sides)
    return found if sound and len(found) <= MOST_BYTES else None

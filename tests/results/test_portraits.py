"""Portraits of tasks on disk: what is damaged, huge or no picture never reaches a page."""

import base64
import json
import struct
from pathlib import Path
from typing import Any

import pytest

from rl_transfer.results.portraits import (
    MOST_BYTES,
    NAME,
    Portrait,
    Portraits,
    portrait_of,
    read_portraits,
    write_portraits,
)


def png_of(width: int) -> bytes:
    """The beginning of a picture of that width."""
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII", 13, b"IHDR", width, 200)


PNG = png_of(300)
WHOLE = Portraits(
    "key",
    targets={"longer": Portrait("CartPole-v1", ("length ×3",), PNG + b"base", PNG + b"other")},
    sources={"base": Portrait("CartPole-v1", note="no picture")},
)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    write_portraits(tmp_path, WHOLE)
    assert read_portraits(tmp_path) == WHOLE


@pytest.mark.parametrize(
    "text", [None, "", "{", "[]", '{"schema": 2, "key": "k"}', '{"schema": 1, "targets": 3}']
)
def test_a_folder_without_sound_portraits_has_none(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / NAME).write_text(text)
    assert read_portraits(tmp_path) == Portraits()


def encoded(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    "picture",
    [
        None,
        3,
        "!",
        encoded(b"GIF89a"),
        encoded(PNG + bytes(MOST_BYTES)),
        encoded(PNG[:8]),
        encoded(png_of(1001)),
        encoded(png_of(0)),
    ],
)
def test_a_picture_that_is_none_is_left_out_with_its_base(tmp_path: Path, picture: Any) -> None:
    entry = {"env": "E", "words": ["w"], "base": encoded(PNG), "picture": picture, "note": ""}
    (tmp_path / NAME).write_text(json.dumps({"schema": 1, "key": "k", "targets": {"t": entry}}))
    assert read_portraits(tmp_path).targets["t"] == Portrait("E", ("w",))


def test_words_are_few_and_short_and_can_be_seen() -> None:
    found = portrait_of({"env": "E\0\n\u202e", "words": ["w" * 10**6] * 100, "note": "n" * 10**6})
    assert found.env == "E"
    assert len(found.words) == 20
    assert max(map(len, (*found.words, found.note))) <= 301

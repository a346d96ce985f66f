"""JSON objects that carry a digest of themselves: records and manifests."""

from __future__ import annotations

import json

from rl_transfer.spec import JsonObject, digest

SCHEMA = 2
"""Version of records and manifests. 1, that of 0.1.0, had no digests."""


def sealed(data: JsonObject) -> JsonObject:
    """The object with the SHA-256 of its canonical JSON under ``digest``.

    Args:
        data: a JSON object without NaN or infinity; a ``digest`` that it has is replaced.

    Returns:
        What is written to disk, as it will be read back.
    """
    plain: JsonObject = json.loads(json.dumps(data))
    return {**plain, "digest": _digest(plain)}


def intact(data: JsonObject) -> bool:
    """Whether an object still says what it said when it was sealed.

    Args:
        data: as it was read.
    """
    try:
        return data.get("digest") == _digest(data)
    except ValueError:  # NaN: nothing of ours holds one
        return False


def _digest(data: JsonObject) -> str:
    return digest({key: value for key, value in data.items() if key != "digest"}, 64)

"""Of what kind everything in ``sweep.json`` is that is read without asking.

A digest tells that nothing was changed since it was made, not that a sweep made it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from rl_transfer.results.looks import LATE, LOOKS
from rl_transfer.results.tolerance import TOLERANCES
from rl_transfer.spec import JsonObject
from rl_transfer.spec.base import LARGEST_INT
from rl_transfer.spec.seeds import MOST_SEEDS

_MOST_BYTES = 255
"""Of a file's name."""
_GROUPS = ("sources", "targets")


@dataclass(frozen=True)
class _Kind:
    """What may stand somewhere."""

    words: str
    holds: Callable[[object], bool]


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST_INT


def _is_object(value: object) -> bool:
    return isinstance(value, dict)


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def _all_are(value: object, holds: Callable[[object], bool]) -> bool:
    return isinstance(value, list) and all(map(holds, value))


def _are_stages(value: object) -> bool:
    if not isinstance(value, list) or not all(_all_are(stage, _is_whole) and stage for stage in value):
        return False
    seeds = [seed for stage in value for seed in stage]
    return len({*seeds}) == len(seeds)


def _is_folder_name(value: object) -> bool:
    return (
        isinstance(value, str)
        and value not in ("", ".", "..")
        and not {*"/\\\0"} & {*value}
        and len(value.encode(errors="replace")) <= _MOST_BYTES
    )


_TEXT = _Kind("a text", _is_text)
_WHOLE = _Kind("a whole number from 0", _is_whole)
_TRUTH = _Kind("true or false", lambda value: isinstance(value, bool))
_OBJECT = _Kind("an object", _is_object)
_LIST = _Kind("a list", _is_list)
_NAME = _Kind("the name of a folder", _is_folder_name)
_TEXTS = _Kind("a list of texts", lambda value: _all_are(value, _is_text))
_NAMES = _Kind("a text or a list of texts", lambda value: _is_text(value) or _all_are(value, _is_text))
_OBJECTS = _Kind("an object or a list", lambda value: _is_object(value) or _is_list(value))
_SEEDS = _Kind(
    f"a number of seeds up to {MOST_SEEDS:,}, a list of whole numbers, or a plan",
    lambda value: (
        (_is_whole(value) and isinstance(value, int) and 1 <= value <= MOST_SEEDS)
        or _all_are(value, _is_whole)
        or _is_object(value)
    ),
)
_STAGES = _Kind("lists of whole numbers, none empty and no number twice", _are_stages)

_MANIFEST = {
    "name": _TEXT, "kind": _TEXT, "unit": _TEXT, "measure": _TEXT, "labels": _OBJECT, "config": _OBJECT,
    TOLERANCES: _OBJECT, LOOKS: _STAGES, LATE: _WHOLE,
}  # fmt: skip
_CONFIG = {
    "name": _TEXT, "kind": _TEXT, "summary": _TEXT, "baseline": _TEXT, "root_seed": _WHOLE, "seeds": _SEEDS,
    "strategies": _OBJECTS, "sources": _OBJECT, "targets": _OBJECT, "analysis": _OBJECT,
}  # fmt: skip
_STRATEGY = {"summary": _TEXT, "control": _TRUTH, "control_for": _NAMES, "copy": _NAMES, "freeze": _NAMES}
_TASK = {"summary": _TEXT, "axis": _TEXT, "env": _OBJECT, "notes": _LIST}
_ENVIRONMENT = {"id": _TEXT, "perturb": _LIST}
_ROW = {
    "id": _NAME, "role": _TEXT, "source": _TEXT, "target": _TEXT, "strategy": _TEXT, "seed": _WHOLE,
    "needs": _TEXTS, "point": _WHOLE,
}  # fmt: skip
_NEEDED = ("id", "role", "seed")
"""Of a row of ``runs``; everything else may be missing, or null."""


def wrong_kind(manifest: JsonObject) -> str | None:
    """What in a manifest is of no kind that a sweep writes.

    Args:
        manifest: the content of ``sweep.json``, with anything in it.

    Returns:
        ``config.root_seed is 'abc', expected a whole number from 0`` for the first such value; None where
        there is none.
    """
    for address, value, kind in _values(manifest):
        if not kind.holds(value):
            return f"{address} is {str(value)[:40]!r}, expected {kind.words}"
    return None


def _values(manifest: JsonObject) -> Iterator[tuple[str, object, _Kind]]:
    """Address, value and the kind it must be of. What holds others comes before them: nothing is entered that
    is of a wrong kind, for the reader has stopped by then.
    """
    yield "runs", manifest.get("runs"), _LIST
    for number, row in enumerate(manifest["runs"]):
        start = f"runs.{number}"
        yield start, row, _OBJECT
        yield from ((f"{start}.{key}", row.get(key), _ROW[key]) for key in _NEEDED)
        yield from _given(row, _ROW, f"{start}.")
    yield from _given(manifest, _MANIFEST, "")
    for name, entry in (manifest.get(TOLERANCES) or {}).items():
        yield f"{TOLERANCES}.{name}", entry or {}, _OBJECT
    config = manifest.get("config") or {}
    yield from _given(config, _CONFIG, "config.")
    yield from _of_strategies(config)
    for group in _GROUPS:
        for name, entry in (config.get(group) or {}).items():
            yield f"config.{group}.{name}", entry or {}, _OBJECT
            yield from _given(entry or {}, _TASK, f"config.{group}.{name}.")
            yield from _given((entry or {}).get("env") or {}, _ENVIRONMENT, f"config.{group}.{name}.env.")


def _of_strategies(config: JsonObject) -> Iterator[tuple[str, object, _Kind]]:
    given = config.get("strategies") or {}
    named = isinstance(given, dict)
    for name, entry in given.items() if named else enumerate(given):
        start = f"config.strategies.{name}"
        yield start, entry, _OBJECT
        if not named:
            yield f"{start}.name", entry.get("name"), _TEXT
        yield from _given(entry, _STRATEGY, f"{start}.")


def _given(part: JsonObject, kinds: dict[str, _Kind], start: str) -> Iterator[tuple[str, object, _Kind]]:
    """What an object has of these keys; null counts as missing."""
    return ((start + key, part[key], kind) for key, kind in kinds.items() if part.get(key) is not None)

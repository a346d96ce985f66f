"""From pydantic's errors to messages with file, line, key, what was given and what is accepted."""

from __future__ import annotations

import inspect
import typing
from typing import Any, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from rl_transfer.spec.base import KeyedValueError
from rl_transfer.spec.yaml_map import Document, Key
from rl_transfer.wording import did_you_mean, shortened

_SHOWN = 50
"""Mistakes that are told at once."""
_ACCEPTED = " Accepted: "
_KINDS = ("Value", "Dictionary", "Tuple", "List", "String")
_PLAIN = {
    "a valid integer": "an integer",
    "a valid array": "a list",
    "a valid tuple": "a list",
    "a valid ": "a ",
    "an object": "a mapping",
    "String should match pattern": "text that matches",
}


def explain(error: ValidationError, model: object, document: Document) -> str:
    """The mistakes of a config, one line each; of very many, the first.

    Args:
        error: what pydantic found.
        model: what the config should have been: a model, or a union of models.
        document: the config and the places of its keys.

    Returns:
        Lines of ``file:line:column: dotted.key: what is wrong``; the place only where one is known.
    """
    found: dict[Key, list[ErrorDetails]] = {}
    for item in error.errors(include_url=False):
        key = _data_key(item["loc"], document.data)
        cause = item.get("ctx", {}).get("error")
        if isinstance(cause, KeyedValueError):
            beside = (*key, *(cause.beside or "").split("."))
            key = (*key, *cause.key)
            if cause.beside and _by_hand(beside, document) and not _by_hand(key, document):
                key = beside
        found.setdefault(key, []).append(item)
    lines = []
    told: set[str] = set()
    for key, items in [*found.items()][:_SHOWN]:
        text = _sentence(items, key, model)
        head, _, accepted = text.partition(_ACCEPTED)
        text = head if accepted in told else text
        told |= {accepted} - {""}
        dotted = ".".join(map(str, key))
        place = document.place(document.key_of(dotted))
        parts = (str(place) if place else "", shortened(dotted, 200), text)
        lines.append(": ".join(part for part in parts if part))
    if len(found) > _SHOWN:
        lines.append(f"and {len(found) - _SHOWN} more")
    return "\n".join(lines)


def _by_hand(key: Key, document: Document) -> bool:
    """Whether a value was written on the command line: it has a place, which has no line."""
    place = document.places.get(document.key_of(".".join(map(str, key))))
    return place is not None and place.line is None


def _data_key(loc: tuple[str | int, ...], data: Any) -> Key:
    """``loc`` without the union tags that pydantic inserts; keys that are absent stay at the end."""
    key: list[str | int] = []
    for index, part in enumerate(loc):
        in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if in_list or (isinstance(data, dict) and part in data):
            key.append(part)
            data = data[part]
        elif index == len(loc) - 1 and isinstance(data, dict):
            key.append(part)
    return tuple(key)


def _sentence(items: list[ErrorDetails], key: Key, model: object) -> str:
    """What is wrong with the value at ``key``: a union complains once for each of its arms."""
    decisive = [item for item in items if item["type"] in ("extra_forbidden", "value_error")]
    item, others = (decisive[-1], []) if decisive else (items[0], items[1:])
    alternatives = "".join(f", or {_expected(other)}" for other in others)
    kind = item["type"]
    if kind == "extra_forbidden":
        name = str(key[-1])
        accepted = sorted(_fields_at(model, item["loc"][:-1]))
        return (
            f"unknown key {shortened(name)!r}.{did_you_mean(name, accepted)}{_ACCEPTED}{', '.join(accepted)}."
        )
    if kind == "missing":
        return "this key is required and missing"
    if kind == "value_error":
        return str(item["ctx"]["error"])
    given = _short(item["input"])
    if kind in ("union_tag_invalid", "literal_error"):
        expected = str(item["ctx"].get("expected_tags") or item["ctx"].get("expected"))
        options = [option.strip(" '\"") for option in expected.replace(" or ", ", ").split(",")]
        value = item["input"]
        if kind == "union_tag_invalid" and isinstance(value, dict):
            given = _short(value.get("name", value.get("kind", value)))
        meant = did_you_mean(given.strip("'"), options)
        return f"got {given}, accepted: {', '.join(options)}{alternatives}.{meant}"
    if kind == "union_tag_not_found":
        return f"the key {item['ctx']['discriminator']} is required and missing"
    return f"got {given} ({_yaml_type(item['input'])}), expected {_expected(item)}{alternatives}"


def _expected(item: ErrorDetails) -> str:
    message = str(item["msg"])
    for prefix in ("Input should be ", *(f"{kind} should have " for kind in _KINDS)):
        message = message.removeprefix(prefix)
    for formal, plain in _PLAIN.items():
        message = message.replace(formal, plain)
    return message


def _yaml_type(value: object) -> str:
    names = {dict: "a mapping", list: "a list", str: "text", bool: "a truth value", type(None): "nothing"}
    return names.get(type(value), "a number")


def _short(value: object) -> str:
    return shortened(repr(value), 60)


def _fields_at(model: object, loc: tuple[str | int, ...]) -> set[str]:
    """The keys that the config accepts at ``loc`` (pydantic's location, union tags included)."""
    candidates = _models(model)
    for part in loc:
        found: list[type[BaseModel]] = []
        for candidate in candidates:
            for name, field in candidate.model_fields.items():
                if part in (name, field.alias):
                    found += _models(field.annotation)
            if candidate.__name__ == part or part in _tags(candidate):
                found = [candidate]
                break
        # An index of a list or the key of a mapping of models: stay where we are.
        candidates = found or candidates
    return {field.alias or name for each in candidates for name, field in each.model_fields.items()}


def _tags(model: type[BaseModel]) -> set[object]:
    tags: set[object] = set()
    for name in ("name", "kind"):
        field = model.model_fields.get(name)
        if field is not None and get_origin(field.annotation) is typing.Literal:
            tags |= set(get_args(field.annotation))
    return tags


def _models(annotation: object) -> list[type[BaseModel]]:
    """All config models that occur in a type annotation."""
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]

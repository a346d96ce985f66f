"""Strict YAML: plain data, and for every key the place in the file where it stands."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from rl_transfer.errors import ConfigError
from rl_transfer.spec.base import JsonObject

Key = tuple[str | int, ...]


@dataclass(frozen=True)
class Place:
    """Where a value stands: a file with line and column (from 1), or the command line."""

    source: str
    line: int | None = None
    column: int | None = None

    def __str__(self) -> str:
        return ":".join(str(part) for part in (self.source, self.line, self.column) if part is not None)


@dataclass(frozen=True)
class Document:
    """Parsed YAML: ``data`` is plain JSON-able Python, ``places`` maps key paths to places."""

    data: Any
    places: dict[Key, Place]

    def key_of(self, dotted: str) -> Key:
        """The keys and indices of a dotted path, names with dots in them included.

        Args:
            dotted: such as ``targets.heavy-0.25.env.perturb.0``.

        Returns:
            Keys from the root down; what the data do not have is split at every dot.
        """
        key: Key = ()
        data, parts = self.data, dotted.split(".")
        while parts:
            names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
            name = next((each for each in names if isinstance(data, dict) and each in data), parts[0])
            index = int(name) if name.isdigit() and isinstance(data, list) else None
            key = (*key, name if index is None else index)
            if isinstance(data, dict):
                data = data.get(name)
            else:
                data = data[index] if index is not None and index < len(data) else None
            parts = parts[name.count(".") + 1 :]
        return key

    def place(self, key: Key) -> Place | None:
        """The place of ``key``, or of its nearest ancestor that has one.

        Args:
            key: keys and indices from the root down; it may be absent from the data.

        Returns:
            The place; None where not even the root has one.
        """
        for length in range(len(key), -1, -1):
            if key[:length] in self.places:
                return self.places[key[:length]]
        return None

    def files(self) -> list[str]:
        """The files that its values stand in, in the order of the values; the command line is none."""
        return list(dict.fromkeys(place.source for place in self.places.values() if place.line is not None))


def parse_value(text: str) -> Any:
    """One YAML value, as in an override ``key=value``.

    Args:
        text: YAML.

    Raises:
        ConfigError: it is no YAML, or has a key twice.
    """
    return _parse(text, "command line").data


def read_yaml(path: Path) -> Document:
    """Read the mapping in ``path``.

    Args:
        path: a YAML file in UTF-8.

    Returns:
        Plain data, and the place of every key.

    Raises:
        ConfigError: the file is missing, unreadable, no YAML, not a mapping, or has a key twice.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder; a config is a .yaml file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; a config is a .yaml file") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    document = _parse(text, str(path))
    if not isinstance(document.data, dict):
        found = "nothing" if document.data is None else type(document.data).__name__
        raise ConfigError(f"{path}: expected a mapping of keys to values, found {found}")
    return document


def _parse(text: str, source: str) -> Document:
    yaml = YAML(typ="safe", pure=True)
    try:
        node = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(source, mark.line + 1, mark.column + 1) if mark else Place(source)
        raise ConfigError(f"{place}: not valid YAML: {error.problem or error}") from None
    except YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML: {error}") from None
    places: dict[Key, Place] = {}
    data = None if node is None else _convert(yaml, node, (), source, places, ())
    return Document(data, places)


def _convert(
    yaml: YAML, node: Node, key: Key, source: str, places: dict[Key, Place], parents: tuple[int, ...]
) -> Any:
    place = Place(source, node.start_mark.line + 1, node.start_mark.column + 1)
    places.setdefault(key, place)
    if id(node) in parents:
        raise ConfigError(f"{place}: an alias that contains itself")
    inner = (*parents, id(node))
    if isinstance(node, SequenceNode):
        return [
            _convert(yaml, child, (*key, index), source, places, inner)
            for index, child in enumerate(node.value)
        ]
    if isinstance(node, MappingNode):
        result: JsonObject = {}
        for key_node, child in node.value:
            name = _convert_key(key_node, source)
            child_key = (*key, name)
            here = Place(source, key_node.start_mark.line + 1, key_node.start_mark.column + 1)
            if name in result:
                raise ConfigError(f"{here}: key {name!r} stands twice; the first is at {places[child_key]}")
            places[child_key] = here
            result[name] = _convert(yaml, child, child_key, source, places, inner)
        return result
    try:
        value = yaml.constructor.construct_object(node, deep=True)
    except YAMLError:
        raise ConfigError(f"{place}: {node.tag} is no tag of plain data") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{place}: {node.value} is not a finite number")
    if value is None or isinstance(value, (str, int, float, bool)):
        return value
    raise ConfigError(f"{place}: {node.value!r} reads as a {type(value).__name__}; put it in quotes")


def _convert_key(node: Node, source: str) -> str:
    place = Place(source, node.start_mark.line + 1, node.start_mark.column + 1)
    if not isinstance(node, ScalarNode) or str(node.tag).endswith(":merge"):
        raise ConfigError(f"{place}: a key is a plain word; merge keys and compound keys are not supported")
    return str(node.value)

"""Strict YAML: plain data, and for every key the place in the file where it stands."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.composer import Composer
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from rl_transfer import bounded
from rl_transfer.errors import ConfigError
from rl_transfer.spec.base import LARGEST_INT, Json, JsonObject
from rl_transfer.wording import shortened

Key = tuple[str | int, ...]

MOST_BYTES = 2**18
"""Of a config's text, which a parser takes a second for; the largest that this package ships has 2 KiB."""
MOST_VALUES = 10_000
"""Keys and values of a config, aliases written out."""
DEEPEST = 50
"""Lists and maps within one another; configs have fewer than ten."""


@dataclass(frozen=True)
class Place:
    """Where a value stands: a file with line and column (from 1), or the command line."""

    source: str
    line: int | None = None
    column: int | None = None
    shipped: str | None = None
    """The line of a shipped config that is named here, where the value stands in one."""

    def __str__(self) -> str:
        here = ":".join(str(part) for part in (self.source, self.line, self.column) if part is not None)
        return here if self.shipped is None else f"{here} (which names {self.shipped})"


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
        key: list[str | int] = []
        data, rest = self.data, f"{dotted}."
        while rest:
            known = [each for each in data if rest.startswith(f"{each}.")] if isinstance(data, dict) else []
            name = max(known, key=len, default=rest.partition(".")[0])
            rest = rest[len(name) + 1 :]
            if isinstance(data, list):
                index = index_in(data, name)
                key.append(name if index is None else index)
                data = None if index is None else data[index]
            else:
                key.append(name)
                data = data.get(name) if isinstance(data, dict) else None
        return tuple(key)

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


def index_in(items: list[object], step: str) -> int | None:
    """The index that a step of a dotted path means in a list.

    Args:
        items: the list.
        step: text.

    Returns:
        0 to the last index; None where the text is no such number.
    """
    if not step.isascii() or not step.isdigit() or len(step) > len(str(len(items))):
        return None
    return int(step) if int(step) < len(items) else None


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
        text = bounded.read_bytes(path, MOST_BYTES).decode("utf-8")
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise ConfigError(f"{path} is a folder; a config is a .yaml file") from None
    except UnicodeDecodeError:
        raise ConfigError(f"{path} is not UTF-8 text; a config is a .yaml file") from None
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}") from None
    except ValueError as error:
        raise ConfigError(f"{path} cannot be read: {error}; a config is a .yaml file") from None
    document = _parse(text, str(path))
    if not isinstance(document.data, dict):
        found = "nothing" if document.data is None else type(document.data).__name__
        raise ConfigError(f"{path}: expected a mapping of keys to values, found {found}")
    return document


class _BoundedComposer(Composer):
    """Refuses what is too much while it is being read, not after."""

    depth = 0
    values = 0

    def compose_node(self, parent: Node | None, index: object) -> Node:
        mark = self.parser.peek_event().start_mark
        self.values += 1
        if self.values > MOST_VALUES:
            raise MarkedYAMLError(problem=_TOO_MANY, problem_mark=mark)
        if self.depth > DEEPEST:
            raise MarkedYAMLError(problem=_TOO_DEEP, problem_mark=mark)
        self.depth += 1
        node: Node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_TOO_MANY = f"more than {MOST_VALUES:,} keys and values; a config is a page, not a data set"
_TOO_DEEP = f"lists and maps more than {DEEPEST} levels deep"


def _parse(text: str, source: str) -> Document:
    yaml = YAML(typ="safe", pure=True)
    yaml.Composer = _BoundedComposer
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ReusedAnchorWarning)  # YAML allows it: the later one counts
            node = yaml.compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(source, mark.line + 1, mark.column + 1) if mark else Place(source)
        what = "" if error.problem in (_TOO_MANY, _TOO_DEEP) else "not valid YAML: "
        raise ConfigError(f"{place}: {what}{error.problem or error}") from None
    except YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML: {error}") from None
    except (ValueError, OverflowError) as error:  # a character's code that is none, a version that is none
        raise ConfigError(f"{source}: not valid YAML: {error}") from None
    reader = _Reader(yaml, source)
    data = None if node is None else reader.value(node, (), ())
    return Document(data, reader.places)


class _Reader:
    """From the nodes of a YAML text to plain data and their places."""

    def __init__(self, yaml: YAML, source: str) -> None:
        self._yaml, self._source = yaml, source
        self._values = 0
        self.places: dict[Key, Place] = {}

    def value(self, node: Node, key: Key, parents: tuple[int, ...]) -> Json:
        """What a node says; an alias is written out wherever it stands."""
        place = self._place(node)
        self.places.setdefault(key, place)
        self._values += 1
        if id(node) in parents:
            raise ConfigError(f"{place}: an alias that contains itself")
        if self._values > MOST_VALUES:
            raise ConfigError(f"{place}: {_TOO_MANY}, aliases written out")
        if len(parents) > DEEPEST:
            raise ConfigError(f"{place}: {_TOO_DEEP}, aliases written out")
        inner = (*parents, id(node))
        if isinstance(node, SequenceNode):
            return [self.value(child, (*key, index), inner) for index, child in enumerate(node.value)]
        if not isinstance(node, MappingNode):
            return self._scalar(node, place)
        result: JsonObject = {}
        for key_node, child in node.value:
            name, here = self._name(key_node), self._place(key_node)
            child_key = (*key, name)
            if name in result:
                first = self.places[child_key]
                raise ConfigError(f"{here}: key {shortened(name)!r} stands twice; the first is at {first}")
            self.places[child_key] = here
            result[name] = self.value(child, child_key, inner)
        return result

    def _name(self, node: Node) -> str:
        place = self._place(node)
        if not isinstance(node, ScalarNode) or str(node.tag).endswith(":merge"):
            raise ConfigError(
                f"{place}: a key is a plain word; merge keys and compound keys are not supported"
            )
        return _utf8(str(node.value), place)

    def _scalar(self, node: Node, place: Place) -> Json:
        said, tag = shortened(str(node.value)), str(node.tag).rpartition(":")[2]
        try:
            value = self._yaml.constructor.construct_object(node, deep=True)
        except YAMLError:
            raise ConfigError(f"{place}: {said!r}: {node.tag} is no tag of plain data") from None
        except (ValueError, OverflowError, KeyError):  # a date that is none, endless digits, "!!int x"
            raise ConfigError(f"{place}: {said!r} cannot be read as {tag}") from None
        if isinstance(value, float) and not math.isfinite(value):
            raise ConfigError(f"{place}: {said} is not a finite number")
        if isinstance(value, int) and abs(value) > LARGEST_INT:
            raise ConfigError(f"{place}: {said} is too large; whole numbers go up to 2^128 - 1")
        if isinstance(value, str):
            return _utf8(value, place)
        if value is None or isinstance(value, (int, float, bool)):
            return value
        raise ConfigError(f"{place}: {said!r} reads as a {type(value).__name__}; put it in quotes")

    def _place(self, node: Node) -> Place:
        return Place(self._source, node.start_mark.line + 1, node.start_mark.column + 1)


def _utf8(text: str, place: Place) -> str:
    """Text that can be written to a file; half of a surrogate pair cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ConfigError(f"{place}: {shortened(text)!a} has half a character (U+D800 to U+DFFF)") from None
    return text

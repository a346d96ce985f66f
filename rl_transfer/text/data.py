"""Labelled texts from tables and folders: read, named, and each used once."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from rl_transfer.errors import ConfigError
from rl_transfer.spec.saved_sets import SavedTable
from rl_transfer.spec.text import TextData
from rl_transfer.spec.text_files import find_texts, texts_in
from rl_transfer.supervised.arrow_tables import holds_text, read_saved
from rl_transfer.supervised.data import LabelledSet, OpenedData, refuse_other_columns
from rl_transfer.wording import counted, listing

MOST_CLASSES = 1_000
"""More are a column of something else; whoever means it names them under ``classes``."""
_QUOTES = (
    'A text with quotation marks in it stands in such marks itself, its own doubled ("say ""so"""); or save '
    "the table as JSONL"
)

Row = tuple[str, str]
"""A text and its class."""


@dataclass(frozen=True)
class Texts:
    """Text i of a list; a class, so that data-loader workers can receive it."""

    texts: tuple[str, ...]

    def __call__(self, index: int) -> str:
        """Text ``index``."""
        return self.texts[index]


def open_texts(data: TextData, key: str = "data") -> OpenedData:
    """Read labelled texts.

    The same text, whatever its case and spaces, is used once: a copy of a test text is no text to learn from,
    and a text that stands there with two classes is left out.

    Args:
        data: the config.
        key: config path of it, for errors.

    Returns:
        Texts and classes, with what was left out among the notes.

    Raises:
        ConfigError: files are missing, in another encoding, or hold something else.
    """
    files = find_texts(data.files, key, data.parts)
    reader = _Reader(data, key)
    pool = reader.rows(files.pool)
    test = None if files.test is None else reader.rows(files.test)
    kept, kept_test, notes = _each_once(pool, test)
    if reader.incomplete:
        notes = (f"{counted(reader.incomplete, 'text')} without text or label left out", *notes)
    unread = files.pool.others if isinstance(files.pool, SavedTable) else files.others
    unused = sorted({*(data.names or {})} - reader.labels)
    found = {label for _, label in (*kept, *(kept_test or ()))}
    alike = Counter(map(str.casefold, found))
    for told, which in (
        ("splits that are not read", unread),
        ("names of labels that no text has", unused),
        ("classes that differ in case alone", sorted(name for name in found if alike[name.casefold()] > 1)),
    ):
        notes += (f"{told}: {listing(which, 10)}",) if which else ()
    classes = _classes(data, found, len(pool), reader.order, key)
    missing = sorted({label for _, label in kept_test or ()} - {label for _, label in kept})
    if missing and data.classes is None:
        raise ConfigError(
            f"class {listing(missing, 5)} has texts in the test part only; nothing could be learned of it. "
            "Add texts to learn from, or name the classes to use under classes",
            key=key,
        )
    opened = OpenedData(classes, _labelled(kept, classes), notes=notes)
    return opened if kept_test is None else replace(opened, test=_labelled(kept_test, classes))


def _labelled(rows: Sequence[Row], classes: Sequence[str]) -> LabelledSet:
    place = {name: index for index, name in enumerate(classes)}
    labels = np.array([place[label] for _, label in rows], dtype=np.int64)
    return LabelledSet(labels, Texts(tuple(text for text, _ in rows)))


def _classes(data: TextData, found: set[str], rows: int, own: Sequence[str], key: str) -> tuple[str, ...]:
    """In the order of ``names``, else the data set's own, else of numbers, else of the alphabet."""
    if len(found) > MOST_CLASSES and data.classes is None:
        raise ConfigError(
            f"the column {data.label!r} has {len(found):,} different values in {rows:,} rows; is it the "
            "label? Name the column under label, or the classes to use under classes",
            key=f"{key}.label",
        )
    order = [*((data.names or {}).values() or own)]
    if not order and all(name.isdecimal() and len(name) < 20 for name in found):
        return tuple(sorted(found, key=int))
    return tuple(sorted(found, key=lambda name: (order.index(name) if name in order else len(order), name)))


class _Reader:
    """Reads the parts of a data set and counts what is incomplete."""

    def __init__(self, data: TextData, key: str) -> None:
        self._data, self._key = data, key
        self.incomplete = 0
        self.labels: set[str] = set()
        self.order: tuple[str, ...] = ()

    def rows(self, part: Path | SavedTable) -> list[Row]:
        """Every complete item of a part."""
        place = part.place if isinstance(part, SavedTable) else part
        raw = (
            self._saved(part) if isinstance(part, SavedTable)
            else self._folder(part) if part.is_dir() else self._table(part)
        )  # fmt: skip
        found = [row for where, text, label in raw if (row := self._row(where, text, label)) is not None]
        if not found:
            raise self._wrong(f"{place} holds no labelled texts")
        return found

    def _row(self, where: str, text: object, label: object) -> Row | None:
        lacks = (
            "text" if not isinstance(text, str) or not _says(text)
            else "label" if label is None or isinstance(label, float | list | dict) or not _says(str(label))
            else None
        )  # fmt: skip
        if lacks is None:
            name = str(label).strip()
            self.labels.add(name)
            return str(text), (self._data.names or {}).get(name, name)
        if not self._data.skip_incomplete:
            given = text if lacks == "text" else label
            raise self._wrong(
                f"{where} has no {lacks} (expected {'some text' if lacks == 'text' else 'a class'}, got "
                f"{str(given)[:40]!r}); fill it in, or leave such items out with skip_incomplete: true"
            )
        self.incomplete += 1
        return None

    def _wrong(self, message: str) -> ConfigError:
        return ConfigError(message, key=f"{self._key}.path")

    def _read(self, path: Path) -> str:
        encoding = self._data.encoding
        try:
            content = path.read_bytes()
            text = content.decode(encoding).removeprefix("\ufeff")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            raise self._other_encoding(
                f"{path}, line {line}: the file is not in {encoding} ({error.reason}); save it again as "
                "UTF-8, or name its encoding (encoding: cp1252)"
            ) from None
        except (LookupError, ValueError):
            raise self._other_encoding(
                f"there is no encoding {encoding!r}; utf-8, utf-16, latin-1 and cp1252 are usual"
            ) from None
        except OSError as error:
            raise self._wrong(f"{path} cannot be read: {error.strerror}") from None
        if 4 * text.count("\0") > len(text):
            raise self._other_encoding(
                f"{path}: the file is not in {encoding} (it is full of NUL characters); save it again as "
                "UTF-8, or name its encoding (encoding: utf-16-le)"
            )
        return text

    def _other_encoding(self, message: str) -> ConfigError:
        return ConfigError(message, key=f"{self._key}.encoding")

    def _folder(self, root: Path) -> Iterator[tuple[str, object, object]]:
        folders = sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))
        if not folders:
            raise self._wrong(f"{root} has no sub-folders; expected one per class, with .txt files inside")
        for folder in folders:
            paths = texts_in(folder)
            if not paths:
                raise self._wrong(f"the class folder {folder} has no .txt files; fill or remove it")
            for path in paths:
                yield str(path), self._read(path), folder.name

    def _saved(self, table: SavedTable) -> Iterator[tuple[str, object, object]]:
        found = read_saved(table, ("text", self._data.text), self._data.label, holds_text, self._key)
        self.order = tuple(dict.fromkeys((*self.order, *found.classes)))
        for number, (text, label) in enumerate(zip(found.items, found.labels, strict=True), 1):
            yield f"{table.place}, row {number}", text, label

    def _table(self, path: Path) -> Iterator[tuple[str, object, object]]:
        content, suffix = self._read(path), path.suffix.lower()
        try:
            found = (
                _json_rows(content, suffix)
                if suffix in (".json", ".jsonl")
                else _csv_rows(content, suffix, (self._data.text, self._data.label))
            )
            rows = list(found)
        except (ValueError, RecursionError) as error:
            raise self._wrong(f"{path}: {error}") from None
        if rows:
            known = {name for _, row in rows for name in row}
            refuse_other_columns(path, known, {"text": self._data.text, "label": self._data.label}, self._key)
        for number, row in rows:
            yield f"{path}, line {number}", row.get(self._data.text), row.get(self._data.label)


def _csv_rows(content: str, suffix: str, wanted: Sequence[str]) -> Iterator[tuple[int, Mapping[str, object]]]:
    tabs = suffix == ".tsv"
    reader = csv.DictReader(io.StringIO(content, newline=""), delimiter="\t" if tabs else ",", strict=True)
    try:
        twice = [name for name in wanted if list(reader.fieldnames or ()).count(name) > 1]
        if twice:
            raise ValueError(f"it has the column {listing(twice)} more than once")
        for row in reader:
            if row.get(None):
                raise ValueError(
                    f'line {reader.line_num} has more cells than the table has columns; quote texts: "a, b"'
                )
            if tabs and any("\t" in cell and "\n" in cell for cell in row.values() if cell):
                raise ValueError(
                    f"the cell that ends in line {reader.line_num} holds tabs and lines. {_QUOTES}"
                )
            yield reader.line_num, row
    except csv.Error as error:
        raise ValueError(f"the row that begins in line {reader.line_num + 1}: {error}. {_QUOTES}") from None


def _json_rows(content: str, suffix: str) -> Iterator[tuple[int, Mapping[str, object]]]:
    if suffix == ".json":
        items: Iterable[object] = json.loads(content)
        numbered = list(enumerate(items if isinstance(items, list) else [items], 1))
    else:
        lines = enumerate(content.split("\n"), 1)
        numbered = [(number, json.loads(line)) for number, line in lines if line.strip()]
    for number, row in numbered:
        if not isinstance(row, dict):
            raise ValueError(f"entry {number} is no JSON object but {type(row).__name__}")
        yield number, row


def _each_once(
    pool: Sequence[Row], test: Sequence[Row] | None
) -> tuple[list[Row], list[Row] | None, tuple[str, ...]]:
    """Without copies, with one line for each kind of them."""
    says: dict[str, set[str]] = {}
    for text, label in (*pool, *(test or ())):
        says.setdefault(_plain(text), set()).add(label)
    torn = {text for text, labels in says.items() if len(labels) > 1}
    tested = {_plain(text) for text, _ in test or ()}
    counts: Counter[str] = Counter()

    def once(rows: Sequence[Row], others: set[str]) -> list[Row]:
        seen: set[str] = set()
        kept = []
        for row in rows:
            text = _plain(row[0])
            why = (
                "that stand there with several classes" if text in torn
                else "to learn from that are in the test part too" if text in others
                else "that stand there twice" if text in seen
                else None
            )  # fmt: skip
            seen.add(text)
            if why is None:
                kept.append(row)
            else:
                counts[why] += 1
        return kept

    kept, kept_test = once(pool, tested), None if test is None else once(test, set())
    notes = tuple(f"{counted(count, 'text')} {why} left out" for why, count in sorted(counts.items()))
    return kept, kept_test, notes


def _says(text: str) -> bool:
    """Whether it is more than white space, and characters all through: JSON can hold halves of them."""
    return bool(text.strip()) and not any("\ud800" <= each <= "\udfff" for each in text)


def _plain(text: str) -> str:
    """A text without what copies differ in: case, white space, and whether accents are characters."""
    return " ".join(unicodedata.normalize("NFC", text).casefold().split())

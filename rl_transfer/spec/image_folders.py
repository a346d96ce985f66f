"""The files of a folder of labelled images: which of them are read, and as what; nothing is decoded."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rl_transfer.bounded import is_file
from rl_transfer.errors import ConfigError
from rl_transfer.wording import listing

SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
TRAIN = ("train", "training")
TEST = ("test", "val", "valid", "validation")
METADATA = ("metadata.jsonl", "metadata.csv")
Labelled = list[tuple[Path, str]]
"""Image files and their classes."""


@dataclass(frozen=True)
class ImageFiles:
    """What a folder of labelled images is made of.

    Attributes:
        pool: to learn from (and to split a test part off, where ``test`` is None).
        test: of a folder that has a test part of its own.
        tables: metadata files that say what the classes are.
        ignored: part folders (``val`` beside ``test``) that nothing is read from.
    """

    pool: Labelled
    test: Labelled | None = None
    tables: tuple[Path, ...] = ()
    ignored: tuple[Path, ...] = ()

    @property
    def paths(self) -> list[Path]:
        """Every file that is read."""
        return [*self.tables, *(path for path, _ in (*self.pool, *(self.test or ())))]


def find_images(root: Path, layout: str, key: str = "data") -> ImageFiles:
    """Find the images and their classes.

    A folder with ``train`` and ``test`` (or ``val``) in it has its own test part; otherwise one is
    split off. A folder that holds nothing but one part, or ``test`` and ``val``, is that part.

    Args:
        root: the folder.
        layout: ``classes`` or ``huggingface``.
        key: config path of the data, for errors.

    Returns:
        Its files, in the order of their names (of the metadata's rows, where there are any).

    Raises:
        ConfigError: there is no such folder, a class without images, damaged metadata.
    """
    if not root.is_dir():
        raise ConfigError(f"{root}: no such folder", key=f"{key}.path")
    train = next((root / name for name in TRAIN if (root / name).is_dir()), None)
    tests = [root / name for name in TEST if (root / name).is_dir()]
    read = _read_hugging_face if layout == "huggingface" else _read_classes
    if train is None or not tests:
        alone = _lone_part(root, [*([train] if train is not None else []), *tests])
        pool, tables = read(root if alone is None else alone, key)
        return ImageFiles(pool, None, tables, tuple(tests[1:] if alone is not None else ()))
    pool, tables = read(train, key)
    test, test_tables = read(tests[0], key)
    return ImageFiles(pool, test, (*tables, *test_tables), tuple(tests[1:]))


def _lone_part(root: Path, parts: list[Path]) -> Path | None:
    """The first part folder of a root that holds nothing but part folders: ``photos/val/ants``."""
    folders = [path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")]
    if not parts or len(folders) > len(parts):
        return None
    inside = any(path.is_dir() or path.name in METADATA for path in parts[0].iterdir())
    return parts[0] if inside else None


def _read_classes(root: Path, key: str) -> tuple[Labelled, tuple[Path, ...]]:
    """Path and class of every image below the sub-folders of ``root``."""
    shown = sorted(path for path in root.iterdir() if not path.name.startswith("."))
    lost = [path for path in shown if path.is_symlink() and not path.exists()]
    if lost:
        raise ConfigError(
            f"{listing([*map(str, lost)], 3)}: a link that leads nowhere; its images would be missing. "
            "Repair or remove it",
            key=f"{key}.path",
        )
    folders = [path for path in shown if path.is_dir()]
    if not folders:
        raise ConfigError(
            f"{root} has no sub-folders; expected one per class, named after it, with its images inside",
            key=f"{key}.path",
        )
    found: Labelled = []
    for folder in folders:
        images = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
        if not images:
            raise ConfigError(
                f"the class folder {folder} has no images ({', '.join(sorted(SUFFIXES))}); "
                "fill or remove it, or name the classes to use under classes",
                key=f"{key}.path",
            )
        _refuse_half_characters(folder.name, str(folder.parent), key)
        found += [(path, folder.name) for path in images]
    return found, ()


def _read_hugging_face(root: Path, key: str) -> tuple[Labelled, tuple[Path, ...]]:
    """As ``load_dataset("imagefolder", data_dir=root)``: metadata files first, else sub-folders."""
    table = next((root / name for name in METADATA if (root / name).is_file()), None)
    if table is None:
        return _read_classes(root, key)
    try:
        text = table.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        line = table.read_bytes()[: error.start].count(b"\n") + 1
        raise ConfigError(
            f"{table}, line {line}: the file is not in UTF-8 ({error.reason}); save it again as UTF-8",
            key=f"{key}.path",
        ) from None
    except OSError as error:
        raise ConfigError(f"{table} cannot be read: {error.strerror}", key=f"{key}.path") from None
    rows = _json_rows(text, table, key) if table.suffix == ".jsonl" else _csv_rows(text, table, key)
    return _labelled(root, rows, table, key), (table,)


def _json_rows(text: str, table: Path, key: str) -> Iterable[Mapping[str, object]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ConfigError(
                f"{table}, line {number} is no JSON object: {error}; expected one object per line, with "
                "file_name and label",
                key=f"{key}.path",
            ) from None
        if not isinstance(row, dict):
            raise ConfigError(
                f"{table}, line {number} is no JSON object but {type(row).__name__}; expected one object "
                "per line, with file_name and label",
                key=f"{key}.path",
            )
        yield row


def _csv_rows(text: str, table: Path, key: str) -> Iterable[Mapping[str, object]]:
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        twice = [name for name, count in Counter(reader.fieldnames or ()).items() if count > 1]
        if twice:
            raise ConfigError(
                f"{table} has the column {listing(twice)} more than once; expected one of each",
                key=f"{key}.path",
            )
        for row in reader:
            if any(row.get(None) or ()):
                raise ConfigError(
                    f"{table}, line {reader.line_num} has more cells than the table has columns; "
                    'a name with a comma in it stands in quotes: "a, b.png"',
                    key=f"{key}.path",
                )
            yield row
    except csv.Error as error:
        raise ConfigError(
            f"{table}, line {reader.line_num} is no row of a table: {error}", key=f"{key}.path"
        ) from None


def _shown(path: Path) -> str:
    """A path as text that can be printed."""
    return str(path).encode(errors="backslashreplace").decode()


def _refuse_half_characters(name: str, where: str, key: str) -> None:
    """A class must have a name that can be written into records and shown."""
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{where}: the class {name!a} has half a character, which no text can hold; rename it",
            key=f"{key}.path",
        ) from None


def _labelled(root: Path, rows: Iterable[Mapping[str, object]], source: Path, key: str) -> Labelled:
    found = []
    for number, row in enumerate(rows, 1):
        if row.get("file_name") is None or row.get("label") is None:
            raise ConfigError(
                f"{source}, row {number}: expected file_name and label, got {', '.join(map(str, row))}",
                key=f"{key}.path",
            )
        path, label = root / str(row["file_name"]), row["label"]
        if not is_file(path):
            raise ConfigError(
                f"{source}, row {number}: {_shown(path)} "
                f"{'is no file' if path == root else 'does not exist'}",
                key=f"{key}.path",
            )
        if not isinstance(label, str | int) or label == "":
            raise ConfigError(
                f"{source}, row {number}: the label is {label!r}; expected one class, "
                "a text or a whole number",
                key=f"{key}.path",
            )
        _refuse_half_characters(str(label), f"{source}, row {number}", key)
        found.append((path, str(label)))
    if not found:
        raise ConfigError(f"{source} lists no images", key=f"{key}.path")
    twice = [path for path, count in Counter(path for path, _ in found).items() if count > 1]
    if twice:
        raise ConfigError(
            f"{source} lists {listing([*map(str, twice)], 3)} more than once; "
            "an image has one row and one class",
            key=f"{key}.path",
        )
    return found

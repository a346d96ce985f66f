"""Tables of Arrow and Parquet: one column of items and one of classes, read whole and checked."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import BinaryIO

from rl_transfer import bounded
from rl_transfer.errors import ConfigError, MissingExtraError
from rl_transfer.spec.saved_sets import PARQUET, SavedTable
from rl_transfer.supervised.data import refuse_other_columns
from rl_transfer.wording import listing

_END = b"\xff\xff\xff\xff\0\0\0\0"
"""Last bytes of a stream of Arrow; one that was cut between two batches lacks them, and nothing else."""
_POINTER = b"version https://git-lfs"
_MOST_ROWS = 10**8
"""As Python objects they take gigabytes; a column of nothing could say that it has more in a few bytes."""
_UNLABELLED = -1
"""How the Hub marks items whose class is kept secret."""


@dataclass(frozen=True)
class SavedRows:
    """The rows of a split.

    Attributes:
        items: one per row; None where there is none.
        labels: name of its class, or what stands there; None where there is none.
        classes: names in the order of the data set's own; none: it has no order.
    """

    items: Sequence[object]
    labels: Sequence[object]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class _Column:
    """A column of one file: a type of Arrow's, and a value per row."""

    kind: object
    values: list[object]


def read_saved(
    table: SavedTable, item: tuple[str, str], label: str, fits: Callable[[object], bool], key: str
) -> SavedRows:
    """Read two columns of a split.

    Args:
        table: where it lies.
        item: the setting that names the column of the items, and the column.
        label: the column of the classes.
        fits: whether a type of Arrow's holds such items.
        key: config path of the data, for errors.

    Returns:
        Its rows, chosen and ordered as the data set says.

    Raises:
        ConfigError: a file is damaged, a column is absent or holds something else, or no row has a class.
        MissingExtraError: pyarrow is not installed.
    """
    option, column = item
    items: list[object] = []
    labels: list[object] = []
    classes: tuple[str, ...] = ()
    for path in table.files:
        found, features = _columns(path, {option: column, "label": label}, key)
        if not fits(found[column].kind):
            raise ConfigError(
                f"{path}: the column {column!r} holds {found[column].kind}, no {option}s; name another one "
                f"under {option}",
                key=f"{key}.{option}",
            )
        feature = (features if table.features is None else table.features).get(label)
        names = _class_names(feature, path, key)
        _refuse_no_classes(found[label].kind, names is not None, label, path, key)
        items += found[column].values
        labels += found[label].values if names is None else _named(found[label].values, names, path, key)
        classes = tuple(dict.fromkeys((*classes, *(names or ()))))
    if table.indices:
        order = _order(table, len(items), key)
        items, labels = [items[i] for i in order], [labels[i] for i in order]
    if labels and all(each is None for each in labels):
        raise _unlabelled(table, key)
    return SavedRows(items, labels, classes)


def holds_text(kind: object) -> bool:
    """Whether a type of Arrow's is text.

    Args:
        kind: a ``pyarrow.DataType``.

    Returns:
        True for texts of any length.
    """
    types = _pyarrow("pyarrow.types")
    return any(is_text(kind) for is_text in (types.is_string, types.is_large_string, types.is_string_view))


def _pyarrow(name: str = "pyarrow") -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise MissingExtraError(
            f"data sets of Hugging Face need pyarrow, which is not installed ({error}); install it with: "
            "pip install 'rl-transfer[arrow]'",
            key="data",
        ) from None


def _columns(
    path: Path, wanted: Mapping[str, str], key: str
) -> tuple[dict[str, _Column], Mapping[str, object]]:
    """The columns that settings name, checked to the last byte, and what the file says of its columns."""
    pa, parquet = _pyarrow(), path.suffix == PARQUET
    try:
        bounded.regular_size(path)
        with pa.memory_map(str(path)) as source:
            _refuse_other_bytes(source, parquet)
            reader = (
                _pyarrow("pyarrow.parquet").ParquetFile(source) if parquet else pa.ipc.open_stream(source)
            )
            schema = reader.schema_arrow if parquet else reader.schema
            refuse_other_columns(path, schema.names, wanted, key)
            columns = list(dict.fromkeys(wanted.values()))
            twice = [name for name in columns if schema.names.count(name) > 1]
            if twice:
                raise ValueError(f"it has the column {listing(twice)} more than once")
            table = reader.read(columns, use_threads=False) if parquet else reader.read_all().select(columns)
            table.validate(full=True)  # reading values from what was not validated can end the process
            if table.num_rows > _MOST_ROWS:
                raise ValueError(f"it says that it has {table.num_rows:,} rows")
            kinds = {name: table.field(name).type for name in columns}
            plain = {
                name: kind.value_type if pa.types.is_dictionary(kind) else kind
                for name, kind in kinds.items()
            }
            found = {name: _Column(kind, table[name].to_pylist()) for name, kind in plain.items()}
            return found, _features(schema.metadata)
    except (pa.ArrowException, OSError, ValueError, MemoryError, OverflowError) as error:
        raise _wrong(
            f"{path} cannot be read as a table of {'Parquet' if parquet else 'Arrow'}: "
            f"{str(error)[:300] or type(error).__name__}. Fetch or save it again",
            key,
        ) from None


def _refuse_other_bytes(source: BinaryIO, parquet: bool) -> None:
    start = source.read(len(_POINTER))
    if start == _POINTER:
        raise ValueError("it is a pointer of Git LFS, and git lfs pull fetches the table")
    if not parquet:
        if start.startswith(b"ARROW1"):
            raise ValueError("it is in the file format (Feather); expected the stream format of save_to_disk")
        source.seek(-len(_END), 2)
        if source.read() != _END:
            raise ValueError("its end is missing")
    source.seek(0)


def _features(metadata: Mapping[bytes, bytes] | None) -> Mapping[str, object]:
    """What `datasets` wrote beside the columns of a table."""
    content = (metadata or {}).get(b"huggingface")
    match {} if content is None else bounded.parse_json(content):
        case {"info": {"features": dict(features)}}:
            return features
        case {"info": {"features": features}} if features is not None:
            raise ValueError("what it says of its columns is damaged")
    return {}


def _class_names(feature: object, path: Path, key: str) -> tuple[str, ...] | None:
    """Of a ClassLabel feature that has them."""
    match feature:
        case {"_type": "ClassLabel", "names": [*names]} if all(isinstance(name, str) for name in names):
            return tuple(names)
        case {"_type": "ClassLabel", "names": names} if names is not None:
            raise _wrong(f"{path}: the names of its classes are damaged: {str(feature)[:80]!a}", key)
    return None


def _refuse_no_classes(kind: object, named: bool, column: str, path: Path, key: str) -> None:
    types = _pyarrow("pyarrow.types")
    whole = types.is_integer(kind)
    if not (whole or (not named and (types.is_boolean(kind) or holds_text(kind)))):
        raise ConfigError(
            f"{path}: the column {column!r} holds {kind}; expected one class per row: a ClassLabel, "
            "whole numbers or texts. Name another column under label",
            key=f"{key}.label",
        )


def _named(values: Sequence[object], names: Sequence[str], path: Path, key: str) -> list[str | None]:
    """The classes by name; None for rows without one."""
    named: list[str | None] = []
    for value in values:
        if value is None or value == _UNLABELLED:
            named.append(None)
        elif isinstance(value, int) and 0 <= value < len(names):
            named.append(names[value])
        else:
            raise _wrong(f"{path}: a row has the class {value}, and there are {len(names)} classes", key)
    return named


def _order(table: SavedTable, rows: int, key: str) -> list[int]:
    """The rows that a filtered or shuffled data set consists of."""
    order: list[int] = []
    for path in table.indices:
        found, _ = _columns(path, {"indices": "indices"}, key)
        for each in found["indices"].values:
            if not isinstance(each, int) or not 0 <= each < rows:
                raise _wrong(f"{path} names row {each} of {rows}", key)
            order.append(each)
    return order


def _unlabelled(table: SavedTable, key: str) -> ConfigError:
    which = f"the split {table.split!r} of {table.place}" if table.split else str(table.place)
    there = f"; there are {listing(table.others, 20)} too" if table.others else ""
    return _wrong(
        f"no row of {which} has a class: it was published without them. Name splits that have them under "
        f"split and test_split{there}",
        key,
    )


def _wrong(message: str, key: str) -> ConfigError:
    return ConfigError(message, key=f"{key}.path")

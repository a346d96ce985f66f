"""The files of labelled texts: which of them are read, and as which part; no text is parsed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rl_transfer.errors import ConfigError
from rl_transfer.spec.image_folders import TEST, TRAIN
from rl_transfer.spec.saved_sets import (
    ARROW,
    PARQUET,
    SavedTable,
    chosen_parts,
    find_saved,
    refuse_splits,
)
from rl_transfer.wording import listing

TABLES = (".csv", ".tsv", ".jsonl", ".json")


@dataclass(frozen=True)
class TextFiles:
    """Where labelled texts lie: tables, or folders with one sub-folder per class.

    Attributes:
        pool: to learn from.
        test: of data that have a test part of their own.
        others: parts with a usual name that are not read.
    """

    pool: Path | SavedTable
    test: Path | SavedTable | None = None
    others: tuple[str, ...] = ()

    @property
    def paths(self) -> list[Path]:
        """Every file that is read."""
        return [path for part in (self.pool, self.test) if part is not None for path in _paths(part)]


def _paths(part: Path | SavedTable) -> list[Path]:
    if isinstance(part, SavedTable):
        return part.paths
    return [part] if part.is_file() else texts_in(part)


def texts_in(folder: Path) -> list[Path]:
    """The ``.txt`` files of a folder, however deep.

    Args:
        folder: of one class, or above several.

    Returns:
        Sorted; the ending may be in capitals.
    """
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".txt")


def find_texts(
    place: Path, key: str = "data", wanted: tuple[str | None, str | None] = (None, None)
) -> TextFiles:
    """Find the parts of labelled texts.

    Args:
        place: a table, or a folder.
        key: config path of the data, for errors.
        wanted: names of the part to learn from and of the part to measure on; None: by their usual names.

    Returns:
        A table or a folder per part.

    Raises:
        ConfigError: there is nothing of the kind.
    """
    if not place.is_file() and not place.is_dir():
        raise ConfigError(f"{place}: no such file or folder", key=f"{key}.path")
    saved = find_saved(place, wanted, key)
    if saved is not None:
        _refuse_beside(place, key)
        return TextFiles(*saved)
    if place.is_file():
        if place.suffix.lower() not in TABLES:
            raise ConfigError(
                f"{place}: expected a table ({', '.join((*TABLES, ARROW, PARQUET))}) or a folder",
                key=f"{key}.path",
            )
        refuse_splits(wanted, place, key)
        return TextFiles(place)
    if any(wanted):
        split, test_split = chosen_parts(_names(place), wanted, place, key)
        train = _part(place, (split,), key)
        test = None if test_split is None else _part(place, (test_split,), key)
    else:
        train, test = _part(place, TRAIN, key), _part(place, TEST, key)
    if train is not None:
        read = {train.stem, *([] if test is None else [test.stem])}
        usual = {name for name in _names(place) if name in (*TRAIN, *TEST)}
        return TextFiles(train, test, tuple(sorted(usual - read)))
    deeper = next((path for end in (ARROW, PARQUET) for path in sorted(place.rglob(f"*{end}"))), None)
    if deeper is not None:
        raise ConfigError(
            f"{place} is no data set as Hugging Face saves them, but {deeper.parent} has {deeper.name}; name "
            "that file or its folder as path, or save the data set with save_to_disk",
            key=f"{key}.path",
        )
    if any(path.is_dir() for path in place.iterdir()):
        return TextFiles(place)
    found = listing(sorted(path.name for path in place.iterdir())) or "nothing"
    raise ConfigError(
        f"{place}: expected one folder of .txt files per class, or a table called train "
        f"({', '.join(TABLES)}), perhaps with one called test; found {found}",
        key=f"{key}.path",
    )


def _refuse_beside(place: Path, key: str) -> None:
    """Refuse tables called like parts beside a data set of Hugging Face, of which nothing would be read."""
    tables = [] if place.is_file() else [path for path in place.iterdir() if path.suffix in TABLES]
    beside = sorted(path.name for path in tables if path.stem in (*TRAIN, *TEST))
    if beside:
        raise ConfigError(
            f"{place} has a data set of Hugging Face, and beside it {listing(beside)}; which one is meant? "
            "Keep one of them there",
            key=f"{key}.path",
        )


def _names(place: Path) -> list[str]:
    """What its parts could be called."""
    return [path.stem for path in place.iterdir() if path.is_dir() or path.suffix in TABLES]


def _part(place: Path, names: tuple[str, ...], key: str) -> Path | None:
    """The first table or folder of such a name."""
    for name in names:
        found = [path for end in (*TABLES, "") if (path := place / f"{name}{end}").exists()]
        if len(found) > 1:
            raise ConfigError(
                f"{place} has {listing([path.name for path in found])}; which one is the part {name!r}? Keep "
                "one of them there, or name it as path",
                key=f"{key}.path",
            )
        if found:
            return found[0]
    return None

"""Data sets of Hugging Face on disk: which files hold which split; no table of them is opened."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rl_transfer import bounded
from rl_transfer.errors import ConfigError
from rl_transfer.spec.image_folders import TEST, TRAIN
from rl_transfer.wording import listing

DICT, STATE, INFO = "dataset_dict.json", "state.json", "dataset_info.json"
ARROW, PARQUET = ".arrow", ".parquet"
_INDICES = ("_indices_data_files", "_indices_files")
_SHARD = re.compile(r"(?P<split>.+)-\d{5}-of-(?P<count>\d{5})(-[0-9a-f]{16})?")
"""How the Hub calls the Parquet files of a split."""
_MOST_BYTES = 2**24


@dataclass(frozen=True)
class SavedTable:
    """One split of a data set.

    Attributes:
        place: the file, or the folder of the split; for errors.
        files: Arrow or Parquet tables with the same columns, in the order of their rows.
        features: column → what ``dataset_info.json`` says of it; None: what the tables say.
        indices: Arrow tables that say which of the rows belong to it, in which order; none: all.
        about: JSON files that were read to know this.
        split: its name, if it has one.
        others: names of the data set's other splits.
    """

    place: Path
    files: tuple[Path, ...]
    features: Mapping[str, object] | None = None
    indices: tuple[Path, ...] = ()
    about: tuple[Path, ...] = ()
    split: str | None = None
    others: tuple[str, ...] = ()

    @property
    def paths(self) -> list[Path]:
        """Every file that is read."""
        return [*self.about, *self.files, *self.indices]


def find_saved(
    place: Path, wanted: tuple[str | None, str | None], key: str
) -> tuple[SavedTable, SavedTable | None] | None:
    """Find the splits of a data set that `datasets` saved, or that lies as it does on the Hub.

    Args:
        place: a folder that ``save_to_disk`` wrote, a folder of Parquet files, an Arrow or Parquet file.
        wanted: the split to learn from (None: ``train``, or the only one) and the one to measure on (None:
            ``test`` or ``validation``, if there is one).
        key: config path of the data, for errors.

    Returns:
        What is learned from, and what accuracy is measured on, if that is apart. None: it is something else.

    Raises:
        ConfigError: it is damaged, or the splits cannot be told.
    """
    if place.is_file():
        if place.suffix not in (ARROW, PARQUET):
            return None
        refuse_splits(wanted, place, key)
        return SavedTable(place, (place,)), None
    if (place / DICT).is_file():
        names = _json(place / DICT, key).get("splits")
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise _wrong(f"{place / DICT} is damaged: splits are no list of names", key)
        return _parts(
            names, lambda name: _saved(_inside(place, name, key), key, (place / DICT,)), place, wanted, key
        )
    if (place / STATE).is_file():
        refuse_splits(wanted, place, key)
        return _saved(place, key), None
    saved = [path.name for path in place.iterdir() if (path / STATE).is_file()]
    if saved:
        return _parts(saved, lambda name: _saved(place / name, key), place, wanted, key)
    shards = _shards(place) or _shards(place / "data")
    return (
        _parts([*shards], lambda name: _parquet(shards[name], name, key), place, wanted, key)
        if shards
        else None
    )


def chosen_parts(
    there: Sequence[str], wanted: tuple[str | None, str | None], place: Path, key: str
) -> tuple[str, str | None]:
    """Which split is learned from and which is measured on.

    Args:
        there: names of the splits.
        wanted: the settings ``split`` and ``test_split``.
        place: where they lie, for errors.
        key: config path of the data, for errors.

    Returns:
        Two different names; None: a test part is split off.

    Raises:
        ConfigError: a split that is named is not there, or several could be meant.
    """
    found = listing(sorted(there), 20) or "none"
    for option, name in zip(("split", "test_split"), wanted, strict=True):
        if name is not None and name not in there:
            raise ConfigError(f"{place} has no split {name!r}; it has {found}", key=f"{key}.{option}")
    split, test = wanted
    if split is not None and split == test:
        raise ConfigError(
            f"{split!r} cannot be learned from and be the test part too; {place} has {found}. Leave "
            "test_split out, and a share of each class is held out (test)",
            key=f"{key}.test_split",
        )
    if split is None:
        rest = [name for name in there if name != test]
        split = next((name for name in TRAIN if name in rest), rest[0] if len(rest) == 1 else None)
    if split is None:
        raise ConfigError(
            f"{place} has the splits {found}; which one is learned from? Name it under split, and the one to "
            "measure on under test_split",
            key=f"{key}.split",
        )
    return split, test or next((name for name in TEST if name in there and name != split), None)


def refuse_splits(wanted: tuple[str | None, str | None], place: Path, key: str) -> None:
    """Refuse the name of a split where there are none.

    Args:
        wanted: the settings ``split`` and ``test_split``.
        place: a single table.
        key: config path of the data, for errors.

    Raises:
        ConfigError: one of them is given.
    """
    for option, name in zip(("split", "test_split"), wanted, strict=True):
        if name is not None:
            raise ConfigError(
                f"{place} is one table, without splits; leave {option} out", key=f"{key}.{option}"
            )


def _parts(
    there: Sequence[str],
    read: Callable[[str], SavedTable],
    place: Path,
    wanted: tuple[str | None, str | None],
    key: str,
) -> tuple[SavedTable, SavedTable | None]:
    """The chosen splits; the others may be damaged or absent."""
    split, test = chosen_parts(there, wanted, place, key)
    others = tuple(sorted(set(there) - {split, test}))
    return (
        replace(read(split), split=split, others=others),
        None if test is None else replace(read(test), split=test, others=others),
    )


def _saved(folder: Path, key: str, about: tuple[Path, ...] = ()) -> SavedTable:
    """What ``Dataset.save_to_disk`` wrote."""
    state_file, info_file = folder / STATE, folder / INFO
    state = _json(state_file, key)
    indices: list[str] = []
    for name, value in state.items():
        if name in _INDICES and value:
            indices += _files(value, state_file, name, key)
        elif name.startswith("_indices") and value:
            raise _wrong(
                f"{state_file} chooses rows by {name!a}, which is not known here; write the data set again "
                "with dataset.flatten_indices().save_to_disk(FOLDER)",
                key,
            )
    features: Mapping[str, object] | None = None
    if info_file.exists():
        match _json(info_file, key).get("features"):
            case dict(features) | (None as features):
                pass
            case _:
                raise _wrong(f"{info_file} is damaged: features are no object", key)
        about = (*about, info_file)
    return SavedTable(
        folder,
        tuple(
            _inside(folder, name, key)
            for name in _files(state.get("_data_files"), state_file, "_data_files", key)
        ),
        features,
        tuple(_inside(folder, name, key) for name in indices),
        (*about, state_file),
    )


def _shards(folder: Path) -> dict[str, list[Path]]:
    """Files by split: ``train-00000-of-00002.parquet``, ``train.parquet`` or ``train/0000.parquet``."""
    shards: dict[str, list[Path]] = {}
    for path in sorted([*folder.glob(f"*{PARQUET}"), *folder.glob(f"*/[0-9]*{PARQUET}")]):
        found = _SHARD.fullmatch(path.stem)
        split = path.parent.name if path.parent != folder else found["split"] if found else path.stem
        shards.setdefault(split, []).append(path)
    return shards


def _parquet(paths: Sequence[Path], split: str, key: str) -> SavedTable:
    folder = paths[0].parent
    for path in paths:
        found = _SHARD.fullmatch(path.stem)
        count = int(found["count"]) if found else len(paths)
        if count != len(paths):
            raise _wrong(
                f"{folder} has {len(paths)} of the {count} files of the split {split!r}; fetch all of them",
                key,
            )
    return SavedTable(folder, tuple(paths))


def _json(path: Path, key: str) -> dict[str, object]:
    try:
        content = bounded.parse_json(bounded.read_bytes(path, _MOST_BYTES))
    except (OSError, ValueError) as error:
        raise _wrong(f"{path} cannot be read: {error}", key) from None
    if not isinstance(content, dict):
        raise _wrong(f"{path} is damaged: it is no JSON object", key)
    return content


def _files(value: object, source: Path, name: str, key: str) -> list[str]:
    """The names in ``[{"filename": …}, …]``; older versions could name a part of a file there."""
    match value:
        case [*entries]:
            names = [
                each["filename"] for each in entries
                if isinstance(each, dict) and isinstance(each.get("filename"), str) and len(each) == 1
            ]  # fmt: skip
            if len(names) == len(entries):
                return names
    raise _wrong(
        f"{source} says {name} = {str(value)[:80]!a}; expected a list of "
        '{"filename": NAME}. Write the data set again with a newer version of datasets: '
        "load_from_disk(FOLDER).save_to_disk(ANOTHER)",
        key,
    )


def _inside(folder: Path, name: str, key: str) -> Path:
    path = folder / name
    if Path(name).name != name or name in ("", ".."):
        raise _wrong(f"{folder} names {name!a}, which is no name of a file or folder in it", key)
    try:
        there = path.exists()
    except OSError:
        there = False
    if not there:
        raise _wrong(f"{folder} lacks {name!a}, which belongs to the data set; copy the folder whole", key)
    return path


def _wrong(message: str, key: str) -> ConfigError:
    return ConfigError(message, key=f"{key}.path")

"""The files of labelled texts: which of them are read, and as which part; nothing is parsed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rl_transfer.errors import ConfigError
from rl_transfer.spec.image_folders import TEST, TRAIN
from rl_transfer.wording import listing

TABLES = (".csv", ".tsv", ".jsonl", ".json")
ARROW = (".arrow", ".parquet")


@dataclass(frozen=True)
class TextFiles:
    """Where labelled texts lie: tables, or folders with one sub-folder per class.

    Attributes:
        pool: to learn from.
        test: of data that have a test part of their own.
    """

    pool: Path
    test: Path | None = None

    @property
    def paths(self) -> list[Path]:
        """Every file that is read."""
        return [
            path
            for part in (self.pool, self.test)
            if part is not None
            for path in ([part] if part.is_file() else sorted(part.rglob("*.txt")))
        ]


def find_texts(place: Path, key: str = "data") -> TextFiles:
    """Find the parts of labelled texts.

    Args:
        place: a table, or a folder.
        key: config path of the data, for errors.

    Returns:
        A table or a folder per part.

    Raises:
        ConfigError: there is nothing of the kind.
    """
    key = f"{key}.path"
    if place.is_file():
        if place.suffix.lower() not in TABLES:
            raise ConfigError(f"{place}: expected a table ({', '.join(TABLES)}) or a folder", key=key)
        return TextFiles(place)
    if not place.is_dir():
        raise ConfigError(f"{place}: no such file or folder", key=key)
    arrow = [path for path in place.rglob("*") if path.suffix in ARROW]
    if arrow:
        raise ConfigError(
            f"{place} is a data set in {arrow[0].suffix} files ({arrow[0].name}), which are not read; write "
            'it as JSON lines with `datasets`: load_from_disk(…)["train"].to_json("train.jsonl"), '
            'and "test" likewise',
            key=key,
        )
    train, test = _part(place, TRAIN), _part(place, TEST)
    if train is not None:
        return TextFiles(train, test)
    if any(path.is_dir() for path in place.iterdir()):
        return TextFiles(place)
    found = listing(sorted(path.name for path in place.iterdir())) or "nothing"
    raise ConfigError(
        f"{place}: expected one folder of .txt files per class, or a table called train "
        f"({', '.join(TABLES)}), perhaps with one called test; found {found}",
        key=key,
    )


def _part(place: Path, names: tuple[str, ...]) -> Path | None:
    """The first table or folder of that name."""
    found = (path for name in names for path in (*(place / f"{name}{end}" for end in TABLES), place / name))
    return next((path for path in found if path.exists()), None)

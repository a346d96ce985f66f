"""Scores that whoever published agents wrote beside them: ``results.json``, ``benchmark.md``, CSV tables."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rl_transfer import bounded
from rl_transfer.wording import listing

RESULTS_NAME = "results.json"
"""What huggingface_sb3 writes beside an agent."""

TABLE_NAMES = ("*.csv", "benchmark.md")
"""What rl-zoo writes of all its agents; the columns say which is which."""

_MOST_BYTES = 4 * 2**20
_COLUMNS = {
    "algorithm": ("algo", "algorithm"),
    "env": ("env_id", "env", "environment"),
    "mean": ("mean_reward", "mean", "score"),
    "std": ("std_reward", "std"),
}
_LINK = re.compile(r"\[([^\]]*)\]\([^)]*\)")
_VERBATIM = re.compile(r"[`*\s]+")


@dataclass(frozen=True)
class Score:
    """A published score: mean return of an episode, and its standard deviation where that is said."""

    mean: float
    std: float | None


Scores = Mapping[tuple[str, str], Score]
"""(algorithm in lower case, environment as it was called then) → score."""


def read_tables(folder: Path) -> tuple[Scores, list[str]]:
    """Every published score in the tables of a folder and the folders in it.

    Args:
        folder: where the agents lie.

    Returns:
        The scores, and one sentence for each table that was not read or contradicts another.
    """
    scores: dict[tuple[str, str], Score] = {}
    notes = []
    for path in sorted(each for name in TABLE_NAMES for each in folder.rglob(name)):
        try:
            text = bounded.read_bytes(path, _MOST_BYTES).decode("utf-8")
            rows = list(_csv_rows(text) if path.suffix == ".csv" else _markdown_rows(text))
        except (OSError, ValueError, csv.Error) as error:
            notes.append(f"{path.relative_to(folder)} was not read: {error}")
            continue
        found = dict(_scores(rows))
        clashes = [" ".join(key) for key, score in found.items() if scores.get(key, score) != score]
        if clashes:
            notes.append(f"{path.relative_to(folder)} contradicts another table on {listing(clashes)}")
        scores = {**found, **scores}
    return scores, notes


def read_results(zip_path: Path) -> Score | None:
    """The score in the ``results.json`` beside an agent.

    Args:
        zip_path: the agent.

    Returns:
        The score; None where there is no such file, or it says none.
    """
    try:
        said = bounded.parse_json(bounded.read_bytes(zip_path.with_name(RESULTS_NAME), _MOST_BYTES))
    except (OSError, ValueError):
        return None
    return _score(said.get("mean_reward"), said.get("std_reward")) if isinstance(said, dict) else None


def _scores(rows: Iterable[Mapping[str, str]]) -> Iterable[tuple[tuple[str, str], Score]]:
    for row in rows:
        said = {
            what: next((row[name] for name in names if name in row), "") for what, names in _COLUMNS.items()
        }
        score = _score(said["mean"], said["std"])
        if said["algorithm"] and said["env"] and score is not None:
            yield (said["algorithm"].lower(), said["env"]), score


def _score(mean: object, std: object) -> Score | None:
    numbers = []
    for value in (mean, std):
        try:
            number = float(str(value).replace(",", ""))
        except ValueError:
            number = math.nan
        numbers.append(number if math.isfinite(number) else None)
    return None if numbers[0] is None else Score(numbers[0], numbers[1])


def _csv_rows(text: str) -> Iterable[dict[str, str]]:
    for row in csv.DictReader(text.splitlines()):
        yield {_word(name): _word(value) for name, value in row.items() if isinstance(value, str)}


def _markdown_rows(text: str) -> Iterable[dict[str, str]]:
    """The rows of every table of a Markdown page, links read as their text."""
    header: list[str] = []
    for line in text.splitlines():
        if not line.strip().startswith("|"):
            header = []
            continue
        cells = [_word(_LINK.sub(r"\1", cell)) for cell in line.strip().strip("|").split("|")]
        if not header:
            header = cells
        elif set("".join(cells)) - set("-:"):
            yield dict(zip(header, cells, strict=False))


def _word(cell: str) -> str:
    return _VERBATIM.sub("", cell)

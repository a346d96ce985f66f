"""The looks of a sweep: which seeds were declared to be judged together, before any of them had run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rl_transfer.spec import JsonObject
from rl_transfer.spec.seeds import LEAST_SEEDS
from rl_transfer.wording import counted

LOOKS = "looks"
"""Key of ``sweep.json``: a list of seed indices for each look, those that it adds."""

LATE = "declared_after"
"""Key of ``sweep.json``: how many runs on targets had ended when its looks, δ or level were declared."""

Stages = tuple[tuple[int, ...], ...]


def read_looks(manifest: JsonObject) -> Stages:
    """The seeds that each look of a sweep adds.

    Args:
        manifest: the content of ``sweep.json``.

    Returns:
        One tuple per look; one look of all seeds where none are declared (an older version, or a hand).
    """
    declared = manifest.get(LOOKS)
    if isinstance(declared, list) and declared and all(map(_is_stage, declared)):
        return tuple(map(tuple, declared))
    rows = manifest.get("runs") or []
    return (tuple(sorted({int(row["seed"]) for row in rows if row.get("role") == "target"})),)


def _is_stage(stage: object) -> bool:
    return isinstance(stage, list) and bool(stage) and all(isinstance(seed, int) for seed in stage)


def in_words(stages: Sequence[Sequence[int]]) -> str:
    """Seeds per arm at each look: ``5, 10, 15, 20``.

    Args:
        stages: as :func:`read_looks` gives them.

    Returns:
        Their sizes so far, with commas.
    """
    sizes = [len(stage) for stage in stages]
    return ", ".join(str(sum(sizes[: place + 1])) for place in range(len(sizes)))


def late_words(manifest: JsonObject) -> str:
    """That what is judged was declared when results were there.

    Args:
        manifest: the content of ``sweep.json``.

    Returns:
        A sentence; empty where everything was declared before, as far as the folder tells.
    """
    runs = manifest.get(LATE)
    if not runs:
        return ""
    return (
        f"{counted(runs, 'run')} on targets had ended when seeds, δ, level or final window were declared, or "
        "declared anew: what was seen may have decided them. Verdicts here are exploratory; fresh seeds in "
        "another folder have none of this"
    )


def is_taken(manifest: JsonObject, states: Mapping[str, str], stages: Stages) -> bool:
    """Whether somebody may have seen what the first look of a sweep says.

    A look of fewer seeds than any verdict needs says nothing.

    Args:
        manifest: the content of ``sweep.json``.
        states: run id → ``finished``, ``failed``, ``unfinished`` or ``damaged``.
        stages: its looks.

    Returns:
        Whether all runs of the first look have ended.
    """
    first = {*stages[0]}
    if len(first) < LEAST_SEEDS:
        return False
    rows: Sequence[JsonObject] = [
        row for row in manifest.get("runs") or [] if row.get("role") == "random" or row.get("seed") in first
    ]
    return bool(rows) and all(_ended(row, states) for row in rows)


def _ended(row: JsonObject, states: Mapping[str, str]) -> bool:
    """A run whose source failed never begins, and has ended with it."""
    return states.get(row["id"]) != "unfinished" or any(
        states.get(need) in ("failed", "damaged") for need in row.get("needs") or []
    )

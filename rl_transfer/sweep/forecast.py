"""What a sweep would do: how many runs, in what time, on how much disk. Nothing is written."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from rl_transfer.errors import StoreError
from rl_transfer.results import RunStore
from rl_transfer.sweep.estimate import TimeLeft
from rl_transfer.sweep.graph import Graph

SAMPLE = 200
"""Finished runs of each role whose folders are measured."""


@dataclass(frozen=True)
class Forecast:
    """What is to be done.

    Attributes:
        runs: role → how many runs, each counted once.
        finished: the runs that are reused.
        reused: role → how many of them.
        damaged: run → what is wrong with what is there; it will be moved aside and computed again.
        steps: the budgets of what is to be computed.
        seconds: until the last run ends, by finished runs of the folder; None where there are none.
        bytes: that the new runs will take, by finished runs of the folder; None where there are none.
        measured: how many finished runs this rests on.
    """

    runs: dict[str, int]
    finished: frozenset[str]
    reused: dict[str, int]
    damaged: dict[str, str]
    steps: int
    seconds: float | None
    bytes: int | None
    measured: int

    @property
    def to_do(self) -> int:
        """How many runs are to be computed."""
        return sum(self.runs.values()) - sum(self.reused.values())


def forecast(graph: Graph, store: RunStore, workers: int) -> Forecast:
    """Look at a folder and say what a sweep would do there.

    Runs that the folder has and the graph does not, such as those of a shorter budget, are measured too.

    Args:
        graph: what would run.
        store: where; it may not exist.
        workers: how many would run at a time.

    Returns:
        The numbers.

    Raises:
        StoreError: a newer version wrote a record.
    """
    left = TimeLeft(graph, workers)
    role = {identifier: rows[0].role for identifier, rows in graph.rows_of.items()}
    reused, damaged = set[str](), dict[str, str]()
    sizes: dict[str, list[int]] = {}
    measured = 0
    for identifier in sorted(store.identifiers()):
        reading = store.folder(identifier).read()
        if reading.state == "damaged" and identifier in role:
            damaged[identifier] = str(reading.problem)
        if reading.record is None:
            continue
        seconds, steps = (float(reading.record.get(key, 0)) for key in ("wall_seconds", "total_steps"))
        measured += 1
        if identifier in role:
            reused.add(identifier)
            left.learn_like(identifier, seconds)
        left.learn(int(steps), seconds)
        group = sizes.setdefault(role.get(identifier, "target"), [])
        if len(group) < SAMPLE:
            group.append(_size(store.folder(identifier).path))
    to_do = [identifier for identifier in graph.specs if identifier not in reused]
    for identifier in to_do:
        left.wait(identifier)
    return Forecast(
        runs=dict(Counter(role[each] for each in graph.specs)),
        finished=frozenset(reused),
        reused=dict(Counter(role[each] for each in reused)),
        damaged=damaged,
        steps=sum(graph.specs[each].total_steps for each in to_do),
        seconds=left.seconds_left(0.0),
        bytes=_bytes(sizes, Counter(role[each] for each in to_do)),
        measured=measured,
    )


def _bytes(sizes: dict[str, list[int]], to_do: Counter[str]) -> int | None:
    everything = [size for group in sizes.values() for size in group]
    if not everything:
        return None
    means = {role: sum(group) / len(group) for role, group in sizes.items()}
    mean = sum(everything) / len(everything)
    return round(sum(number * means.get(role, mean) for role, number in to_do.items()))


def _size(folder: Path) -> int:
    """What the files of a folder hold."""
    try:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    except OSError as error:
        raise StoreError(f"{folder} cannot be read: {error.strerror}") from None

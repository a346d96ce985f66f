"""Where a sweep stands, seen from outside: what has ended, what runs and how far it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rl_transfer.results.address import shortest
from rl_transfer.results.manifest import NAME, read_manifest
from rl_transfer.results.reading import CURVE, FAILURE, SPEC
from rl_transfer.results.scores import is_number
from rl_transfer.results.store import RunFolder, RunStore
from rl_transfer.results.tuning import TUNING
from rl_transfer.spec import JsonObject

_SIGNS = (SPEC, "heartbeat.json", CURVE, "log.txt")
_RECORD = "record.json"


@dataclass(frozen=True)
class Underway:
    """A run that somebody executes."""

    id: str
    name: str
    """Its address within the sweep."""
    step: int
    """Environment steps (epochs for images) taken, by its last sign of life."""
    steps: int
    """Its budget in the same unit; 0 before its first sign of life."""
    score: float | None
    """Mean of the last evaluation, in the sweep's measure."""
    begun: float
    """Seconds since the epoch."""
    seen: float
    """When it showed its last sign of life, in seconds since the epoch."""


@dataclass(frozen=True)
class Standing:
    """Where a sweep stands; each run counts once."""

    manifest: JsonObject
    rows: Mapping[str, JsonObject]
    """Run id → the first row of the matrix that it fills, in the order of the matrix."""
    finished: Mapping[str, tuple[int, float]]
    """Run id → its budget, and the seconds that it took."""
    failed: tuple[str, ...]
    """Runs that failed, or are damaged."""
    skipped: tuple[str, ...]
    """Runs that wait for one that failed."""
    running: tuple[Underway, ...]
    waiting: tuple[str, ...]
    seen: float
    """When the sweep showed its last sign of life, in seconds since the epoch."""

    @property
    def all_ended(self) -> bool:
        """Whether nothing runs and nothing waits: by the matrix so far, to which a later look may add."""
        return not self.running and not self.waiting

    @property
    def tunes(self) -> bool:
        """Whether its arms have not chosen yet, so that nothing is judged."""
        return bool(self.rows) and all(row["role"] == TUNING for row in self.rows.values())

    @property
    def ends(self) -> tuple[object, ...]:
        """What verdicts can rest on: two standings with equal ends have the same."""
        return self.manifest.get("digest"), len(self.rows), {*self.finished}, self.failed, self.skipped


class Onlooker:
    """Looks at a sweep's folder again and again; a finished run is read once.

    Args:
        folder: the sweep's.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._store = folder, RunStore(folder)
        self._finished: dict[str, tuple[int, float]] = {}
        self._last = 0.0

    def look(self) -> Standing:
        """Look once.

        Returns:
            Where the sweep stands.

        Raises:
            StoreError: it is no sweep folder, its manifest cannot be used, or a newer version wrote a record.
        """
        manifest = read_manifest(self._folder)
        session = _changed(self._folder / NAME)
        self._last = max(self._last, session)
        rows: dict[str, JsonObject] = {}
        for row in manifest["runs"]:
            rows.setdefault(row["id"], row)
        names, there = shortest(manifest), self._store.identifiers()
        failed, waiting, running = list[str](), list[str](), list[Underway]()
        for each in rows:
            if each in self._finished:
                continue
            state = self._read(each) if each in there else "waiting"
            if state in ("failed", "damaged"):
                failed.append(each)
            elif state != "finished":
                found = self._underway(each, names.get(each, each), session) if each in there else None
                if found is None:
                    waiting.append(each)
                else:
                    running.append(found)
        lost = _lost(rows, {*failed})
        return Standing(
            manifest=manifest,
            rows=rows,
            finished={each: self._finished[each] for each in rows if each in self._finished},
            failed=tuple(failed),
            skipped=tuple(each for each in waiting if each in lost),
            running=tuple(running),
            waiting=tuple(each for each in waiting if each not in lost),
            seen=self._last,
        )

    def _read(self, identifier: str) -> str:
        folder = self._store.folder(identifier)
        reading = folder.read()
        if reading.state != "unfinished":
            self._last = max(self._last, *(_changed(folder.path / name) for name in (_RECORD, FAILURE)))
        if reading.record is not None:
            steps, seconds = (reading.record.get(key) or 0 for key in ("total_steps", "wall_seconds"))
            self._finished[identifier] = int(steps), float(seconds)
        return reading.state

    def _underway(self, identifier: str, name: str, session: float) -> Underway | None:
        """A run that showed a sign of life since the sweep began; None for what an earlier one left."""
        folder = self._store.folder(identifier)
        seen = max(_changed(folder.path / sign) for sign in _SIGNS)
        self._last = max(self._last, seen)
        if not seen or seen < session:
            return None
        return _told(folder, identifier, name, seen)


def _told(folder: RunFolder, identifier: str, name: str, seen: float) -> Underway:
    beat = folder.heartbeat()
    step, steps, score = (_number(beat.get(key)) for key in ("step", "total_steps", "score"))
    return Underway(
        id=identifier,
        name=name,
        step=int(step or 0),
        steps=int(steps or 0),
        score=score,
        begun=_changed(folder.path / SPEC) or seen,
        seen=seen,
    )


def _lost(rows: Mapping[str, JsonObject], failed: set[str]) -> set[str]:
    """Runs that need one that failed; they will not come."""
    needs: dict[str, Sequence[str]] = {each: row.get("needs") or () for each, row in rows.items()}
    return {each for each, needed in needs.items() if failed.intersection(needed)}


def _number(value: object) -> float | None:
    """What a heartbeat says, if it is a number that can be shown."""
    return float(value) if is_number(value) else None


def _changed(path: Path) -> float:
    """When a file was changed, in seconds since the epoch; 0 where there is none."""
    try:
        return path.stat().st_mtime
    except OSError:
        return 0.0

"""The run store: one folder per run id; ``record.json`` is written last and means "finished"."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rl_transfer.errors import StoreError
from rl_transfer.results.files import make_folder, read_json, write_json
from rl_transfer.spec import Frozen, JsonObject, digest
from rl_transfer.wording import listing

SCHEMA = 1
"""Version of the record format; it enters every run id."""


def run_id(spec: Frozen) -> str:
    """The id of a run: a hash of everything that can change its result, and of the record format.

    Args:
        spec: the resolved config of the run; ``spec.identity()`` is what counts.
    """
    return digest({"schema": SCHEMA, "spec": spec.identity()})


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, and the files in it (docs/architecture.md)."""

    path: Path

    @property
    def bundle(self) -> Path:
        """The policy bundle."""
        return self.path / "bundle"

    @property
    def tensorboard(self) -> Path:
        """The run's event files."""
        return self.path / "tensorboard"

    @property
    def log(self) -> Path:
        """What the run printed."""
        return self.path / "log.txt"

    @property
    def finished(self) -> bool:
        """Whether the run ended well; its record is then complete."""
        return (self.path / "record.json").is_file()

    def record(self) -> JsonObject:
        """The finished run's record.

        Returns:
            The content of ``record.json`` (docs/architecture.md).
        """
        record: JsonObject = read_json(self.path / "record.json")
        return record

    def failure(self) -> JsonObject | None:
        """What made the run fail: ``error`` and ``message``; none if it did not fail.

        Returns:
            The two texts, or None.
        """
        path = self.path / "failure.json"
        return read_json(path) if path.is_file() else None

    def forget_failure(self) -> None:
        """Remove what an earlier attempt left, so that it is not taken for this one's."""
        (self.path / "failure.json").unlink(missing_ok=True)

    def heartbeat(self) -> JsonObject:
        """The last sign of life: ``step``, ``total_steps``, ``score``, ``time``; empty before the first.

        Returns:
            The last beat; ``time`` is in seconds since the epoch.
        """
        path = self.path / "heartbeat.json"
        try:
            beat: JsonObject = read_json(path)
        except StoreError:
            return {}
        return beat

    def curve(self) -> list[JsonObject]:
        """The evaluations so far.

        Returns:
            One object per evaluation, in order: ``evaluation``, ``step``, ``returns[episode]``,
            ``lengths[episode]``; empty before the first.
        """
        path = self.path / "curve.jsonl"
        if not path.is_file():
            return []
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line]

    def begin(self, spec: Frozen) -> None:
        """Clear what an interrupted attempt left behind and write the resolved config.

        Args:
            spec: the resolved config of the run.

        Raises:
            StoreError: the run is finished (results are never overwritten), or the folder cannot
                be written.
        """
        if self.finished:
            raise StoreError(f"{self.path} holds a finished run, which is never overwritten")
        if self.path.exists():
            for child in self.path.iterdir():
                if child == self.log:
                    continue
                shutil.rmtree(child) if child.is_dir() else child.unlink()
        make_folder(self.path)
        write_json(self.path / "spec.json", spec.plain())

    def append_evaluation(
        self, evaluation: int, step: int, returns: Sequence[float], lengths: Sequence[int]
    ) -> None:
        """Add one point of the learning curve.

        Args:
            evaluation: k, counted from 0.
            step: environment steps (epochs for images) taken before it.
            returns: one return per evaluation episode, in reward units.
            lengths: one length per episode, in environment steps.

        Raises:
            StoreError: the curve cannot be written.
        """
        line = {
            "evaluation": evaluation,
            "step": step,
            "returns": [float(value) for value in returns],
            "lengths": [int(value) for value in lengths],
        }
        try:
            with (self.path / "curve.jsonl").open("a", encoding="utf-8") as stream:
                stream.write(json.dumps(line, allow_nan=False) + "\n")
        except OSError as error:
            raise StoreError(f"{self.path}: curve.jsonl cannot be written: {error.strerror}") from None

    def beat(self, step: int, total_steps: int, score: float | None) -> None:
        """Write a sign of life that the progress display reads.

        Args:
            step: environment steps (epochs for images) taken so far.
            total_steps: the budget, in the same unit.
            score: mean of the last evaluation, None before the first.
        """
        data = {"step": step, "total_steps": total_steps, "score": score, "time": time.time()}
        write_json(self.path / "heartbeat.json", data, compact=True)

    def finish(self, record: JsonObject) -> None:
        """Write the record; from now on the run is finished.

        Args:
            record: all of ``record.json`` but ``schema`` and ``id`` (docs/architecture.md).
        """
        write_json(self.path / "record.json", {"schema": SCHEMA, "id": self.path.name, **record})

    def fail(self, error: str, message: str) -> None:
        """Note that the run failed, and why.

        Args:
            error: name of the exception's class.
            message: what people are told.
        """
        write_json(self.path / "failure.json", {"error": error, "message": message})


class RunStore:
    """All runs of an output folder.

    Args:
        root: the output folder; :meth:`open` makes it.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def folder(self, identifier: str) -> RunFolder:
        """The folder of run ``identifier``, whether it exists or not.

        Args:
            identifier: the run's id.
        """
        return RunFolder(self.root / "runs" / identifier)

    def identifiers(self) -> set[str]:
        """The ids of all runs that have a folder, finished or not.

        Returns:
            Names of folders; none where the store does not exist.
        """
        try:
            return {entry.name for entry in os.scandir(self.root / "runs")}
        except FileNotFoundError:
            return set()

    def open(self) -> RunStore:
        """Create the store's folder.

        Returns:
            Itself, for chaining.

        Raises:
            StoreError: it cannot be created or written to.
        """
        make_folder(self.root / "runs")
        return self

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the store for one writer; a second one is refused at once.

        Raises:
            StoreError: another process is writing to this folder.
        """
        try:
            import fcntl
        except ImportError:  # Windows has no flock; two sweeps in one folder are then not detected.
            yield
            return
        path = self.root / ".lock"
        with path.open("w", encoding="utf-8") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(
                    f"another rl-transfer process is writing to {self.root}; wait for it, or choose "
                    "another folder with --output"
                ) from None
            yield


def find_run(path: Path) -> RunFolder:
    """The finished run at ``path``: a run folder, or an output folder that holds exactly one run.

    Args:
        path: an existing folder.

    Returns:
        The run's folder.

    Raises:
        StoreError: there is none, or more than one.
    """
    if (path / "record.json").is_file():
        return RunFolder(path)
    found = sorted(folder.parent for folder in (path / "runs").glob("*/record.json"))
    if len(found) == 1:
        return RunFolder(found[0])
    if found:
        names = listing([str(folder) for folder in found], 5)
        raise StoreError(f"{path} holds {len(found)} finished runs; name one of them: {names}")
    if (path / "spec.json").is_file():
        raise StoreError(f"{path} is a run that has not finished; run it again to finish it")
    raise StoreError(f"{path} is neither a finished run nor a policy bundle")

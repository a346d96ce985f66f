"""The run store: one folder per run id; ``record.json`` is written last, with digests of the rest."""

from __future__ import annotations

import errno
import json
import os
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from rl_transfer import bounded
from rl_transfer.errors import StoreError
from rl_transfer.results.files import (
    file_digest,
    make_folder,
    read_json,
    read_only,
    sync_file,
    sync_folder,
    write_json,
)
from rl_transfer.results.locks import LOCK
from rl_transfer.results.reading import (
    COVERED,
    CURVE,
    FAILURE,
    MOST_CURVE_BYTES,
    SPEC,
    RunReading,
    parse_curve,
    read_failure,
    read_run,
)
from rl_transfer.results.seal import SCHEMA, sealed
from rl_transfer.spec import Frozen, JsonObject, digest

INCOMING = ".incoming"
"""Where runs lie that a cluster executes, until they have ended."""
CHECKPOINTS = "checkpoints"
"""Of a long run that has not finished, in its folder."""
ID_SCHEMA = 1
"""Enters every run id. It stays when the format of records changes: the same run keeps its id."""


def run_id(spec: Frozen) -> str:
    """The id of a run: a hash of everything that can change its result.

    Args:
        spec: the resolved config of the run; ``spec.identity()`` is what counts.
    """
    return digest({"schema": ID_SCHEMA, "spec": spec.identity()})


@dataclass(frozen=True)
class RunFolder:
    """The folder of one run, and the files in it (docs/architecture.md).

    Attributes:
        path: the folder.
        events: whether a run that is executed in it writes TensorBoard's event files.
    """

    path: Path
    events: bool = True

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

    def read(self, *, bundle: bool = False) -> RunReading:
        """Read the run and check it: its record, its config, its curve.

        Args:
            bundle: check the bundle's files too, which may be large.

        Returns:
            Record and curve of a finished, sound run; of any other, why it cannot be used.

        Raises:
            StoreError: a newer version wrote the record.
        """
        return read_run(self.path, self.path.name, bundle=bundle)

    @property
    def finished(self) -> bool:
        """Whether the run ended well, and its record, config and curve are still those that it wrote."""
        return self.read().state == "finished"

    def record(self) -> JsonObject:
        """The finished run's record.

        Returns:
            The content of ``record.json`` (docs/architecture.md).

        Raises:
            StoreError: the run is not finished, or damaged.
        """
        reading = self.read()
        if reading.record is None:
            raise StoreError(f"{self.path} is {reading.problem}")
        return reading.record

    def failure(self) -> JsonObject | None:
        """What made the run fail: ``error``, ``message`` and ``attempts``; none if it did not fail.

        Returns:
            These three as they were written; of a damaged file, a message that says so; or None.
        """
        return read_failure(self.path)

    def forget_failure(self) -> None:
        """Remove what an earlier attempt left, so that it is not taken for this one's."""
        (self.path / FAILURE).unlink(missing_ok=True)

    def heartbeat(self) -> JsonObject:
        """The last sign of life: ``step``, ``total_steps``, ``score``, ``time``; empty before the first.

        Returns:
            The last beat; ``time`` is in seconds since the epoch.
        """
        path = self.path / "heartbeat.json"
        try:
            beat = read_json(path)
        except StoreError:
            return {}
        return beat if isinstance(beat, dict) else {}

    def curve(self) -> list[JsonObject]:
        """The evaluations so far, as they lie there; :meth:`read` gives those of a finished run, checked.

        Returns:
            One object per evaluation, in order: ``evaluation``, ``step``, ``returns[episode]``,
            ``lengths[episode]``; empty before the first.

        Raises:
            StoreError: the file is too large, or a line of it is no JSON.
        """
        path = self.path / CURVE
        if not path.is_file():
            return []
        try:
            return [*parse_curve(bounded.read_bytes(path, MOST_CURVE_BYTES))]
        except (OSError, ValueError, RecursionError) as error:
            raise StoreError(f"{path} cannot be read: {error}") from None

    def begin(self, spec: Frozen, keep: Collection[str] = ()) -> None:
        """Clear what an interrupted attempt left behind and write the resolved config.

        Args:
            spec: the resolved config of the run.
            keep: names in the folder that are not cleared: what the run goes on from.

        Raises:
            StoreError: the folder has a record (results are never overwritten), or cannot be written.
        """
        self._refuse_record()
        if self.path.exists():
            for child in self.path.iterdir():
                if child == self.log or child.name in keep:
                    continue
                shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
        make_folder(self.path)
        write_json(self.path / SPEC, spec.plain(), durable=False)

    def _refuse_record(self) -> None:
        if (self.path / "record.json").exists():
            raise StoreError(f"{self.path} holds a finished run, which is never overwritten")

    def append_evaluation(
        self,
        evaluation: int,
        step: int,
        returns: Sequence[float],
        lengths: Sequence[int],
        successes: Sequence[bool] | None = None,
    ) -> None:
        """Add one point of the learning curve.

        Args:
            evaluation: k, counted from 0.
            step: environment steps (epochs for images) taken before it.
            returns: one return per evaluation episode, in reward units.
            lengths: one length per episode, in environment steps.
            successes: whether each episode succeeded, where the environment was asked for it.

        Raises:
            StoreError: the curve cannot be written.
        """
        line = {
            "evaluation": evaluation,
            "step": step,
            "returns": [float(value) for value in returns],
            "lengths": [int(value) for value in lengths],
            **({} if successes is None else {"successes": [bool(value) for value in successes]}),
        }
        try:
            with (self.path / CURVE).open("a", encoding="utf-8") as stream:
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
        write_json(self.path / "heartbeat.json", data, compact=True, durable=False)

    def finish(self, record: JsonObject) -> None:
        """Write the record, once everything that it speaks of is on the disk; now the run is finished.

        Args:
            record: all of ``record.json`` but ``schema``, ``id``, ``files``, ``sync_seconds`` and ``digest``
                (docs/architecture.md).

        Raises:
            StoreError: there is a record already, or the disk is full or failed.
        """
        self._refuse_record()
        clock = time.monotonic()
        try:
            files = self._sync()
        except (OSError, ValueError) as error:
            raise StoreError(f"{self.path}: its files cannot be kept ({error})") from None
        whole = {
            "schema": SCHEMA,
            "id": self.path.name,
            **record,
            "files": files,
            "sync_seconds": time.monotonic() - clock,
        }
        write_json(self.path / "record.json", sealed(whole))

    def _sync(self) -> dict[str, str]:
        """Wait until the run's files are on the disk; returns name → SHA-256."""
        names = [name for name in COVERED if (self.path / name).exists()]
        for name in names:
            sync_file(self.path / name)
        folders = {(self.path / name).parent for name in names} | {self.path, self.path.parent}
        for folder in folders:
            sync_folder(folder)
        return {name: file_digest(self.path / name) for name in names}

    def fail(self, error: str, message: str, attempts: int) -> None:
        """Note that the run failed, and why.

        Args:
            error: name of the exception's class.
            message: what people are told.
            attempts: how many processes have begun the run, this one included.
        """
        write_json(self.path / FAILURE, {"error": error, "message": message, "attempts": attempts})


class RunStore:
    """All runs of an output folder.

    Args:
        root: the output folder; :meth:`open` makes it.
        events: whether runs that are executed in it write TensorBoard's event files.
    """

    def __init__(self, root: Path, *, events: bool = True) -> None:
        self.root, self._events = root, events

    def folder(self, identifier: str) -> RunFolder:
        """The folder of run ``identifier``, whether it exists or not.

        Args:
            identifier: the run's id.
        """
        return RunFolder(self.root / "runs" / identifier, self._events)

    def identifiers(self) -> set[str]:
        """The ids of all runs that have a folder, finished or not.

        Returns:
            Names of folders; none where the store does not exist. What file managers hide there is no run.
        """
        try:
            return {each.name for each in os.scandir(self.root / "runs") if not each.name.startswith(".")}
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

    def refuse_unwritable(self) -> None:
        """Refuse a folder that cannot be written to, without writing to it.

        Raises:
            StoreError: it, or the nearest folder above it that exists, is read-only or no folder.
        """
        path = next(each for each in (self.root, *self.root.absolute().parents) if each.exists())
        if not (path.is_dir() and os.access(path, os.W_OK | os.X_OK)):
            denied = errno.EROFS if read_only(path) else errno.EACCES
            why = os.strerror(denied if path.is_dir() else errno.ENOTDIR)
            raise StoreError(
                f"folder {self.root} cannot be written to ({why}: {path}); choose another with --output"
            )

    def set_aside(self, identifier: str) -> Path:
        """Move a damaged run to ``damaged/<id>-<n>``, where nothing reads it and nobody deletes it.

        Args:
            identifier: the run's id.

        Returns:
            Where it lies now.

        Raises:
            StoreError: it cannot be moved.
        """
        home = make_folder(self.root / "damaged")
        place = next(each for n in count(1) if not (each := home / f"{identifier}-{n}").exists())
        try:
            shutil.move(self.folder(identifier).path, place)  # "runs" may be a link to another disk
            sync_folder(home)
            sync_folder(self.root / "runs")
        except OSError as error:
            raise StoreError(
                f"{self.folder(identifier).path} is damaged and cannot be moved to {place}: {error.strerror}"
            ) from None
        return place

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
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            opened = (self.root / LOCK).open("a", encoding="utf-8")  # "a": who is refused changes nothing
        except OSError as error:
            raise StoreError(
                f"folder {self.root} cannot be written to ({error.strerror}); choose another with --output"
            ) from None
        with opened as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StoreError(
                    f"another rl-transfer process is writing to {self.root}; wait for it, or choose "
                    "another folder with --output"
                ) from None
            yield

"""Checkpoints of one run on disk: tensors and JSON, never a pickle; the last two are kept.

    checkpoints/<step>/checkpoint.json       what the run is, where it stood, the digests, the state's nodes
    checkpoints/<step>/tensors.safetensors   the state's tensors

A checkpoint is written beside its place and moved there when all of it is on the disk.
"""

from __future__ import annotations

import json
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from rl_transfer import bounded
from rl_transfer.frame.room import Say
from rl_transfer.frame.state import Captured
from rl_transfer.results import CHECKPOINTS, RunFolder
from rl_transfer.results.files import file_digest, sync_file, sync_folder
from rl_transfer.spec import digest
from rl_transfer.spec.base import Json, JsonObject

SCHEMA = 1
KEPT = 2
FOLDER = CHECKPOINTS
JSON_NAME = "checkpoint.json"
TENSORS_NAME = "tensors.safetensors"
MOST_JSON_BYTES = 64 * 2**20
MOST_BYTES = 8 * 2**30
"""A state beyond this (mostly a large replay buffer of images) is not written: it would fill disks."""


@dataclass(frozen=True)
class RunCheckpoint:
    """One sound checkpoint.

    Attributes:
        path: its folder.
        step: of the run's budget, in the kind's unit.
        state: as it was captured.
        about: what the run's kind wrote beside it.
    """

    path: Path
    step: int
    state: Captured
    about: JsonObject


class Checkpoints:
    """Writes the checkpoints of a run and finds the one to go on from.

    Args:
        folder: the run's folder; its name is the run's id.
        versions: of the libraries that can change a number, and digests of the user's own modules; a
            checkpoint of others is not used.
        minutes: wall-clock minutes between two; 0: none are written.
        say: gets a line for every checkpoint that cannot be used or written.

    Attributes:
        current: the checkpoint that this attempt goes on from; None: it begins anew.
        resumed: where later attempts went on: ``step``, and what became of the ``environments``.
    """

    def __init__(self, folder: RunFolder, versions: Mapping[str, str], minutes: float, say: Say) -> None:
        self._root, self._say = folder.path / FOLDER, say
        self._identity: JsonObject = {"schema": SCHEMA, "run": folder.path.name, "versions": dict(versions)}
        self._seconds = 60 * minutes
        self._last = self._began = time.monotonic()
        self._cpu = time.process_time()
        self.resumed: list[Json] = []
        self.current: RunCheckpoint | None = None
        self._find()

    @property
    def path(self) -> Path:
        """The folder that all checkpoints of the run lie in."""
        return self._root

    def _find(self) -> None:
        """Take the newest sound checkpoint; those that are not sound are moved aside."""
        self.current, self.resumed = None, []
        for path in sorted(self._root.glob("[0-9]*"), reverse=True):
            if not path.name.isdecimal():
                continue
            try:
                self.current = self._read(path)
            except (OSError, ValueError, KeyError, TypeError, SafetensorError) as error:
                self._move_aside(path, str(error) or type(error).__name__)
                continue
            self.resumed = list(self.current.about["resumed"])
            return

    def _read(self, path: Path) -> RunCheckpoint:
        content = bounded.parse_json(bounded.read_bytes(path / JSON_NAME, MOST_JSON_BYTES))
        if not isinstance(content, dict):
            raise ValueError("it is no checkpoint")
        rest = {key: value for key, value in content.items() if key != "digest"}
        if content.get("digest") != digest(rest, 64):
            raise ValueError("it is damaged: its digest does not match")
        for key, value in self._identity.items():
            if content[key] != value:
                what = "run" if key == "run" else "version of the libraries, or of your own code"
                raise ValueError(f"it was written by another {what}")
        if file_digest(path / TENSORS_NAME) != content["sha256"]:
            raise ValueError(f"it is damaged: the digest of {TENSORS_NAME} does not match")
        state = Captured(content["nodes"], load_file(path / TENSORS_NAME))
        about = content["about"]
        if not all(isinstance(each, dict) for each in about["resumed"]) or len(about["seconds"]) != 2:
            raise ValueError("it is no checkpoint")
        return RunCheckpoint(path, int(content["step"]), state, about)

    def set_aside(self, why: str) -> None:
        """Give up the current checkpoint and take the one before it, if there is any.

        Args:
            why: what is wrong with it.
        """
        if self.current is not None:
            self._move_aside(self.current.path, why)
        self._find()

    def _move_aside(self, path: Path, why: str) -> None:
        self._say(f"checkpoint {path.name} is not used: {why}")
        aside = path.with_name(f"unused-{path.name}")
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)

    @property
    def due(self) -> bool:
        """Whether it is time for the next one."""
        return 0 < self._seconds <= time.monotonic() - self._last

    def wait(self) -> None:
        """Let a whole interval pass before the next one is due."""
        self._last = time.monotonic()

    def stop(self, why: str) -> None:
        """Write none in this attempt.

        Args:
            why: for people.
        """
        self._seconds = 0.0
        self._say(f"no checkpoints are written: {why}")

    def seconds(self) -> tuple[float, float]:
        """How long the run has taken, its time before an interruption included.

        Returns:
            Wall-clock and processor seconds.
        """
        before = self.current.about["seconds"] if self.current is not None else (0.0, 0.0)
        wall, cpu = time.monotonic() - self._began, time.process_time() - self._cpu
        return float(before[0]) + wall, float(before[1]) + cpu

    def write(self, step: int, state: Captured, extra: JsonObject) -> None:
        """Write a checkpoint and remove all but the last two; a full disk is told and survived.

        Args:
            step: of the budget, in the kind's unit.
            state: everything that the rest of the run depends on.
            extra: what is needed before the state can be restored.
        """
        size = sum(each.numel() * each.element_size() for each in state.tensors.values())
        if size > MOST_BYTES:
            self.stop(f"one would take {size / 2**30:.1f} GiB, more than {MOST_BYTES >> 30}")
            return
        path = self._root / f"{step:012}"
        temporary = self._root / f".{path.name}.{uuid.uuid4().hex}.tmp"
        try:
            temporary.mkdir(parents=True)
            save_file(state.tensors, temporary / TENSORS_NAME)
            about = {**extra, "resumed": self.resumed, "seconds": list(self.seconds())}
            content = {
                **self._identity,
                "step": step,
                "about": about,
                "sha256": file_digest(temporary / TENSORS_NAME),
                "nodes": state.nodes,
            }
            text = json.dumps({**content, "digest": digest(content, 64)}, allow_nan=False)
            (temporary / JSON_NAME).write_text(text, encoding="utf-8")
            sync_file(temporary / TENSORS_NAME)
            sync_file(temporary / JSON_NAME)
            sync_folder(temporary)
            shutil.rmtree(path, ignore_errors=True)
            temporary.rename(path)
            sync_folder(self._root)
            sync_folder(self._root.parent)
        except (OSError, SafetensorError) as error:
            self._say(f"no checkpoint at step {step:,}: it cannot be written ({error})")
        finally:
            shutil.rmtree(temporary, ignore_errors=True)
        self.wait()
        for old in sorted(self._root.glob("[0-9]*"), reverse=True)[KEPT:]:
            shutil.rmtree(old, ignore_errors=True)

    def remove(self) -> None:
        """Remove all of them: the run has finished."""
        shutil.rmtree(self._root, ignore_errors=True)

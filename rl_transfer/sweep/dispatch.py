"""The one table that joins a config's ``kind`` to the room that runs it."""

from __future__ import annotations

import importlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rl_transfer.errors import StoreError
from rl_transfer.results import RunFolder, find_run, read_json
from rl_transfer.spec import Frozen, RLRun, RLSuite, TrainConfig, TransferConfig
from rl_transfer.spec.image import ImageRun, ImageSuite, ImageTrainConfig, ImageTransferConfig

MODULES = {"rl": "rl_transfer.rl.room", "image": "rl_transfer.image.room"}
"""kind → module with ``execute(run, folder, source)`` and ``preflight(suite)``."""

RUNS: dict[str, type[Frozen]] = {"rl": RLRun, "image": ImageRun}
SUITES: dict[str, type[Any]] = {"rl": RLSuite, "image": ImageSuite}
TRAIN: dict[str, type[Any]] = {"rl": TrainConfig, "image": ImageTrainConfig}
TRANSFER: dict[str, type[Any]] = {"rl": TransferConfig, "image": ImageTransferConfig}


class Room(Protocol):
    """What a room that can run experiments offers."""

    def execute(self, run: Frozen, folder: RunFolder, source: Path | None) -> None:
        """Execute one run and leave its finished record in ``folder``."""

    def resolve(self, suite: Any) -> Any:
        """Fill in what only the files tell: digests and environments of policies that exist."""

    def preflight(self, suite: Frozen) -> dict[str, Any]:
        """Refuse what would fail later; report facts for the manifest."""


def room(kind: str) -> Any:
    """The module that executes runs of ``kind``; imported on first use (it is heavy)."""
    return importlib.import_module(MODULES[kind])


def bundle_kind(argument: str) -> str:
    """The kind of the bundle that ``argument`` names: ``image``, or ``rl`` for everything else.

    Only JSON is read; whether the bundle is sound, its room finds out.
    """
    path = Path(argument)
    try:
        if not (path / "bundle.json").is_file():
            path = find_run(path).bundle
        metadata = read_json(path / "bundle.json").get("metadata", {})
    except StoreError:
        return "rl"
    return "image" if metadata.get("kind") == "image" else "rl"


@dataclass(frozen=True)
class Job:
    """One run to execute, as data that travels to a worker."""

    run: Frozen
    folder: Path
    source: Path | None = None
    """Bundle of the source policy."""

    def to_json(self) -> str:
        """The job as text."""
        return json.dumps(
            {
                "run": self.run.plain(),
                "folder": str(self.folder),
                "source": None if self.source is None else str(self.source),
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The job that :meth:`to_json` wrote."""
        data = json.loads(text)
        run = RUNS[data["run"]["kind"]].model_validate_json(json.dumps(data["run"]))
        source = None if data["source"] is None else Path(data["source"])
        return cls(run, Path(data["folder"]), source)

    def execute(self) -> None:
        """Run it in this process."""
        kind: str = self.run.kind  # type: ignore[attr-defined]
        room(kind).execute(self.run, RunFolder(self.folder), self.source)

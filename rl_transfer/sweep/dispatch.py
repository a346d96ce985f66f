"""The one table that joins a config's ``kind`` to its config types and to the room that runs it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rl_transfer.errors import BundleError, StoreError
from rl_transfer.frame import Room, bundle_folder
from rl_transfer.frame.provenance import adopt, origin
from rl_transfer.hub import SCHEME, find_bundle
from rl_transfer.results import RunFolder, read_json
from rl_transfer.spec import MatrixConfig, RLRun, RLSuite, TrainConfig, TransferConfig
from rl_transfer.spec.base import Json
from rl_transfer.spec.experiment import RunConfig, SingleConfig, SingleTransferConfig
from rl_transfer.spec.image import ImageRun, ImageSuite, ImageTrainConfig, ImageTransferConfig
from rl_transfer.spec.modules import import_modules
from rl_transfer.spec.text import TextRun, TextSuite, TextTrainConfig, TextTransferConfig
from rl_transfer.wording import in_words


@dataclass(frozen=True)
class Kind:
    """A kind of run: its config types, and the module whose ``ROOM`` executes it.

    The module is imported on first use: it is heavy.
    """

    module: str
    run: type[RunConfig]
    suite: type[MatrixConfig]
    train: type[SingleConfig]
    transfer: type[SingleTransferConfig]


KINDS: dict[str, Kind] = {
    "rl": Kind("rl_transfer.rl.room", RLRun, RLSuite, TrainConfig, TransferConfig),
    "image": Kind("rl_transfer.image.room", ImageRun, ImageSuite, ImageTrainConfig, ImageTransferConfig),
    "text": Kind("rl_transfer.text.room", TextRun, TextSuite, TextTrainConfig, TextTransferConfig),
}
"""A new kind of run is one row here."""

SUITES: dict[str, type[MatrixConfig]] = {name: kind.suite for name, kind in KINDS.items()}
TRAIN: dict[str, type[SingleConfig]] = {name: kind.train for name, kind in KINDS.items()}
TRANSFER: dict[str, type[SingleTransferConfig]] = {name: kind.transfer for name, kind in KINDS.items()}


def room(kind: str) -> Room[RunConfig, MatrixConfig]:
    """The room that executes runs of ``kind``.

    Each room is typed for its own configs; the table sees to it that it gets no others.

    Args:
        kind: a key of ``KINDS``, such as ``rl``.

    Returns:
        The room; its module is imported on the first call.
    """
    found: Room[RunConfig, MatrixConfig] = importlib.import_module(KINDS[kind].module).ROOM
    return found


def bundle_kind(argument: str) -> str:
    """The kind of the source that ``argument`` names.

    Only a bundle's JSON is read; that of a repository on the Hub is fetched. What is no bundle of ours, or
    says nothing, is left to the RL room, which knows foreign policies and says what is wrong.

    Args:
        argument: what a person gave as a source: a bundle, a run folder, a file or an address.

    Returns:
        A key of ``KINDS``.

    Raises:
        BundleError: the bundle says that it is of another kind.
    """
    try:
        fetched = find_bundle(argument) if argument.startswith(SCHEME) else None
        content = read_json(bundle_folder(fetched or Path(argument)) / "bundle.json")
    except (StoreError, BundleError):
        return _kind_of_run(Path(argument))
    metadata = content.get("metadata") if isinstance(content, dict) else None
    kind = metadata.get("kind") if isinstance(metadata, dict) else None
    if not isinstance(kind, str):
        return "rl"
    if kind not in KINDS:
        raise BundleError(
            f"{argument}: its bundle is of kind {kind!r}, and here are {in_words(list(KINDS))}; a newer "
            "version of rl-transfer, or the package that wrote it, may know more"
        )
    return kind


def _kind_of_run(folder: Path) -> str:
    """The kind of a run that has no bundle (yet); everything else is left to the RL room."""
    try:
        content = read_json(folder / "spec.json")
    except StoreError:
        return "rl"
    kind = content.get("kind") if isinstance(content, dict) else None
    return kind if isinstance(kind, str) and kind in KINDS else "rl"


@dataclass(frozen=True)
class Job:
    """One run to execute, as data that travels to a worker."""

    run: RunConfig
    folder: Path
    source: Path | None = None
    """Bundle of the source policy."""
    modules: tuple[str, ...] = ()
    """What the suite names of the user's own modules; the source's bundle may name them."""
    alone: bool = False
    """Whether it executes these modules, so that its process must not run anything after it."""
    events: bool = True
    """Whether it writes TensorBoard's event files."""
    attempt: int = 1
    """How many processes have begun it, this one included."""
    origin: Mapping[str, Json] = field(default_factory=origin)
    """Command and commit, for the record."""

    def to_json(self) -> str:
        """The job as text."""
        return json.dumps(
            {
                "run": self.run.plain(),
                "folder": str(self.folder),
                "source": None if self.source is None else str(self.source),
                "modules": list(self.modules),
                "alone": self.alone,
                "events": self.events,
                "attempt": self.attempt,
                "origin": {**self.origin},
            }
        )

    @classmethod
    def from_json(cls, text: str) -> Job:
        """The job that :meth:`to_json` wrote; absolute paths, as a run may change the current folder."""
        data = json.loads(text)
        run = KINDS[data["run"]["kind"]].run.model_validate_json(json.dumps(data["run"]))
        source = None if data["source"] is None else Path(data["source"]).absolute()
        return cls(
            run,
            Path(data["folder"]).absolute(),
            source,
            tuple(data["modules"]),
            data["alone"],
            data["events"],
            data["attempt"],
            data["origin"],
        )

    def execute(self) -> None:
        """Run it in this process."""
        adopt({**self.origin, "attempts": self.attempt})
        import_modules(self.modules)
        room(self.run.kind).execute(self.run, RunFolder(self.folder, self.events), self.source)

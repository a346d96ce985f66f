"""One run, from its config to the finished folder; one that is there already is reused."""

from __future__ import annotations

import traceback
from collections.abc import Collection, Iterator
from contextlib import chdir, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from rl_transfer.analysis.inputs import Curve, curve_of
from rl_transfer.errors import RLTransferError, StoreError, SweepFailed
from rl_transfer.frame import Say
from rl_transfer.results import Labels, RunFolder, RunStore, run_id
from rl_transfer.spec import JsonObject
from rl_transfer.spec.experiment import RunConfig, SingleConfig, SingleTransferConfig
from rl_transfer.sweep.dispatch import room
from rl_transfer.sweep.reuse import refuse_other_code
from rl_transfer.tracking import NamedRun, tracking
from rl_transfer.wording import what_was_raised


@dataclass(frozen=True)
class SingleRun:
    """A finished run that was asked for by itself.

    Attributes:
        files: its folder.
        points: its learning curve, an object per evaluation.
        labels: what its numbers are called.
        problem: what stopped a tracker, if anything did.
    """

    files: RunFolder
    points: tuple[JsonObject, ...]
    labels: Labels
    problem: str | None

    @property
    def folder(self) -> Path:
        """Where it lies; ``rl-transfer`` and the functions here take it as a source."""
        return self.files.path

    @property
    def bundle(self) -> Path:
        """Folder of the policy, or network, at the end."""
        return self.files.bundle

    @property
    def id(self) -> str:
        """The hash of everything that can change its result."""
        return str(self.record["id"])

    @cached_property
    def record(self) -> JsonObject:
        """``record.json``: plan, frozen tensors, versions, times (docs/architecture.md)."""
        return self.files.record()

    @property
    def config(self) -> JsonObject:
        """The resolved config, as the record has it."""
        config: JsonObject = self.record["spec"]
        return config

    @cached_property
    def curve(self) -> Curve:
        """The learning curve: ``steps``, ``means``, ``returns``."""
        return curve_of(self.points)

    def __fspath__(self) -> str:
        return str(self.folder)

    def __repr__(self) -> str:
        first, last = float(self.curve.means[0]), float(self.curve.means[-1])
        return (
            f"<SingleRun {self.labels.measure} {first:.4g} at {self.curve.steps[0]:,.0f}, {last:.4g} at "
            f"{self.curve.budget:,.0f} {self.labels.unit}, in {self.folder}>"
        )


def train_one(
    config: SingleConfig, store: RunStore, track: str | None, despite: Collection[str], say: Say
) -> SingleRun:
    """Train a source, or find it finished.

    Args:
        config: of the run.
        store: where its folder lies.
        track: the tracker that gets it; None: none does.
        despite: reuse a finished run though these differ: ``code``, ``versions``.
        say: gets a line now and then.

    Returns:
        The finished run.

    Raises:
        RLTransferError: what was given is wrong, or the run failed.
    """
    return _single_run(config.run(), store, None, config.name, track, despite, say)


def transfer_one(
    config: SingleTransferConfig,
    source: str,
    store: RunStore,
    track: str | None,
    despite: Collection[str],
    say: Say,
) -> SingleRun:
    """Transfer a source, or find that finished.

    Args:
        config: of the run.
        source: bundle, run folder, foreign file, or an address that the kind knows.
        store: where its folder lies.
        track: the tracker that gets it; None: none does.
        despite: reuse a finished run though these differ: ``code``, ``versions``.
        say: gets a line now and then, the transfer plan among them.

    Returns:
        The finished run.

    Raises:
        RLTransferError: what was given is wrong, or the run failed.
    """
    found = room(config.kind).find_source(source, store.root)
    for note in found.notes:
        say(f"note: {note}")
    run = config.transfer_run(found.identity, found.described)
    bundle = found.bundle if run.source else None
    return _single_run(run, store, bundle, config.name, track, despite, say)


def _single_run(
    run: RunConfig,
    store: RunStore,
    bundle: Path | None,
    name: str,
    track: str | None,
    despite: Collection[str],
    say: Say,
) -> SingleRun:
    runner = room(run.kind)
    run = runner.resolve_run(run, say)
    folder = store.folder(run_id(run))
    with tracking(track, store.root, runner.labels) as log, store.lock():
        store.open()
        reading = folder.read()
        if reading.state == "damaged":
            place = store.set_aside(folder.path.name)
            say(f"this run is {reading.problem}; moved to {place}, computed again")
        if reading.state == "finished":
            refuse_other_code({folder.path.name: run}, store, despite)
            say("this run is finished already; its results are reused")
        else:
            with _failures_kept(folder), chdir("."):  # code of the run may change the current folder
                whole = RunFolder(folder.path.absolute(), folder.events)
                runner.execute(run, whole, bundle and bundle.absolute(), say=say)
        if log is not None:
            role = "train" if bundle is None else "transfer"
            log.add(NamedRun(folder, name, name, role, (name, role)))
    reading = folder.read()
    curve = reading.curve
    if curve is None:
        raise StoreError(f"{folder.path} is {reading.problem or 'not measured'}")
    return SingleRun(folder, tuple(curve), runner.labels, None if log is None else log.problem)


@contextmanager
def _failures_kept(folder: RunFolder) -> Iterator[None]:
    """Leave in a run's folder why it failed; what code that is not ours raised is told in one line.

    Args:
        folder: of the run.

    Raises:
        SweepFailed: anything but an error of ours or of the system was raised; the log has the traceback.
    """
    try:
        yield
    except RLTransferError as error:
        folder.fail(type(error).__name__, error.message, attempts=1)
        raise
    except (OSError, MemoryError):
        raise
    except Exception as error:
        message = what_was_raised(error)
        folder.log.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
        folder.fail(type(error).__name__, message, attempts=1)
        raise SweepFailed(f"the run failed: {message}\n  log: {folder.log}") from error

"""Finished runs, logged to a tracker such as Weights & Biases, from their records and curves.

The records stay the truth: what a tracker does, or fails to do, changes no result and stops no sweep.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from rl_transfer.errors import ConfigError, MissingExtraError
from rl_transfer.results import Labels, RunFolder
from rl_transfer.spec import JsonObject

TRACKER = "wandb"
PROJECT = "rl-transfer"
LEAVE_SECONDS = 10.0
STILL_SECONDS = 120.0
"""How long a tracker may take over one run when all have ended; a service that hangs takes longer."""
PROJECT_BYTES = 128
"""The longest name of a project that Weights & Biases takes; it stands in a file's name too."""
TAG_LENGTH = 64
"""The longest tag that Weights & Biases takes."""


@dataclass(frozen=True)
class Tracked:
    """A finished run as a tracker gets it."""

    id: str
    name: str
    group: str
    role: str
    tags: tuple[str, ...]
    config: JsonObject
    curve: tuple[tuple[int, Mapping[str, float]], ...]
    """Step (epoch) and values of each evaluation."""
    summary: Mapping[str, float]


class Tracker(Protocol):
    """Where finished runs are logged."""

    def log(self, run: Tracked) -> None:
        """Log a run, all of it.

        Args:
            run: a finished one.
        """

    def close(self) -> None:
        """Nothing more comes."""


@dataclass(frozen=True)
class NamedRun:
    """What people call a run, and where it stands among others."""

    folder: RunFolder
    name: str
    group: str
    role: str
    tags: tuple[str, ...] = ()


def open_tracker(wanted: str, folder: Path) -> Tracker:
    """The tracker that an option names.

    Args:
        wanted: ``wandb``, or ``wandb:project``.
        folder: where it may keep files of its own.

    Raises:
        ConfigError: there is no such tracker, it does not know who you are, or takes no such project.
        MissingExtraError: it is not installed.
    """
    return _WeightsAndBiases(_project(wanted), folder)


def _project(wanted: str) -> str:
    name, _, project = wanted.partition(":")
    if name != TRACKER:
        raise ConfigError(f"--track {wanted}: expected {TRACKER}, or {TRACKER}:PROJECT")
    if not project.isprintable() or len(project.encode()) > PROJECT_BYTES:
        raise ConfigError(
            f"--track wandb:{ascii(project[:40])[1:-1]}…: expected a project's name of printable characters, "
            f"{PROJECT_BYTES} bytes at most"
        )
    return project or PROJECT


class Log:
    """Logs runs in a thread of its own, each once; the first error ends it, and is kept.

    Which runs were logged stands in a file, so that a sweep that continues logs none twice.

    Args:
        tracker: closed with the log.
        labels: what the runs' numbers are called.
        done: the file; made if it is missing.
    """

    def __init__(self, tracker: Tracker, labels: Labels, done: Path) -> None:
        self.problem: str | None = None
        self._left, self._logged = False, 0
        self._tracker, self._labels, self._done = tracker, labels, done
        self._known = set(done.read_text(encoding="utf-8").split()) if done.is_file() else set[str]()
        self._waiting: queue.Queue[NamedRun | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def add(self, named: NamedRun) -> None:
        """Have a finished run logged.

        Args:
            named: the run; passed over if it was logged before.
        """
        if named.folder.path.name not in self._known:
            self._known.add(named.folder.path.name)
            self._waiting.put(named)

    def close(self) -> None:
        """Wait until everything is logged, or the service has taken ``STILL_SECONDS`` over one run."""
        self._waiting.put(None)
        while self._thread.is_alive():
            logged = self._logged
            self._thread.join(STILL_SECONDS)
            if self._thread.is_alive() and self._logged == logged:
                self._left = True
                self.problem = (
                    f"the service has not answered for {STILL_SECONDS:g} seconds; the same command logs "
                    "what is missing"
                )
                return

    def leave(self) -> None:
        """Log no more than the run that is being logged; the rest comes another time."""
        self._left = True
        self._waiting.put(None)
        self._thread.join(LEAVE_SECONDS)

    def _work(self) -> None:
        try:
            while (named := self._waiting.get()) is not None and not self._left:
                self._tracker.log(read_tracked(named, self._labels))
                self._logged += 1
                with self._done.open("a", encoding="utf-8") as stream:
                    stream.write(f"{named.folder.path.name}\n")
            self._tracker.close()
        except Exception as error:  # noqa: BLE001 - somebody else's service; the results do not depend on it
            self.problem = f"{type(error).__name__}: {error}".splitlines()[0]


@contextlib.contextmanager
def tracking(wanted: str | None, folder: Path, labels: Labels) -> Iterator[Log | None]:
    """The log that an option asks for, while runs are executed.

    Args:
        wanted: as :func:`open_tracker` takes it; None: nothing is logged.
        folder: of the runs.
        labels: what their numbers are called.

    Yields:
        The log, or None.

    Raises:
        ConfigError: there is no such tracker, it does not know who you are, or takes no such project.
        MissingExtraError: it is not installed.
    """
    if wanted is None:
        yield None
        return
    tracker = open_tracker(wanted, folder)
    log = Log(tracker, labels, folder / f"tracked-wandb-{_project(wanted)}.txt")
    try:
        yield log
    except BaseException:
        log.leave()
        raise
    log.close()


def read_tracked(named: NamedRun, labels: Labels) -> Tracked:
    """A finished run, from its files.

    Args:
        named: the run.
        labels: what its numbers are called.

    Returns:
        Its config, curve and final numbers.

    Raises:
        StoreError: the run is not finished, or damaged.
    """
    record = named.folder.record()
    curve = tuple((int(point["step"]), _values(point, labels)) for point in named.folder.read().curve or ())
    summary = {
        name: float(record[name])
        for name in ("total_steps", "wall_seconds", "cpu_seconds", "source_steps", "source_score")
        if isinstance(record.get(name), int | float)
    }
    if curve:
        summary |= {f"final/{name.rpartition('/')[2]}": value for name, value in curve[-1][1].items()}
    if isinstance(zero_shot := record.get("zero_shot"), dict) and zero_shot.get("returns"):
        summary["zero_shot"] = _mean(zero_shot["returns"])
    tags = tuple(tag[:TAG_LENGTH] for tag in named.tags)
    return Tracked(
        str(record["id"]), named.name, named.group, named.role, tags, record["spec"], curve, summary
    )


def _values(point: JsonObject, labels: Labels) -> dict[str, float]:
    values = {labels.curve_tag: _mean(point["returns"])}
    if point.get("lengths"):
        values["evaluation/mean_length"] = _mean(point["lengths"])
    return values


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


class _WeightsAndBiases:
    """Runs as Weights & Biases keeps them: online, or in files with ``WANDB_MODE=offline``."""

    def __init__(self, project: str, folder: Path) -> None:
        try:
            import wandb
        except ImportError:
            raise MissingExtraError(
                "--track wandb needs Weights & Biases: pip install 'rl-transfer[wandb]'"
            ) from None
        self._wandb, self._project, self._folder = wandb, project, folder
        try:
            wandb.Settings(project=project)
        except (wandb.errors.UsageError, ValueError) as error:
            raise ConfigError(f"--track wandb:{project}: {error}") from None
        if wandb.setup().settings.mode == "online" and not wandb.login(prompt=False):
            raise ConfigError(
                "--track wandb: Weights & Biases does not know who you are; `wandb login` once, or set "
                "WANDB_MODE=offline and `wandb sync` later"
            )

    def log(self, run: Tracked) -> None:
        wandb = self._wandb
        quiet = wandb.Settings(silent=True, console="off", x_disable_stats=True, disable_git=True)
        logged = wandb.init(
            project=self._project, dir=self._folder, id=run.id, name=run.name, group=run.group,
            job_type=run.role, tags=run.tags, config=run.config, reinit="create_new", settings=quiet,
        )  # fmt: skip
        for step, values in run.curve:
            logged.log(dict(values), step=step)
        logged.summary.update(dict(run.summary))
        logged.finish()

    def close(self) -> None:
        self._wandb.teardown()

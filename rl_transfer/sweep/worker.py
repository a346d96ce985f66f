"""The body of a worker process: run what comes through the pipe, one job after the other."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from rl_transfer.errors import RLTransferError
from rl_transfer.frame.surroundings import Surroundings
from rl_transfer.results import RunFolder
from rl_transfer.spec.modules import import_modules
from rl_transfer.sweep.dispatch import Job


@dataclass(frozen=True)
class Report:
    """How a run ended.

    Attributes:
        error: why it failed; None: its record is written.
        leaves: whether the worker runs nothing more.
    """

    error: str | None
    leaves: bool


def serve(jobs: Connection, runs: int) -> None:
    """Run jobs until ``runs`` are done, one fails, or one leaves something behind in this process.

    Args:
        jobs: gives jobs as JSON, takes a :class:`Report` for each.
        runs: how many jobs, ≥ 1.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the mask that it was started with
    threading.Thread(target=_die_with_parent, daemon=True).start()
    sys.stdout = sys.stderr = os.fdopen(1, "w", encoding="utf-8", buffering=1, closefd=False)
    surroundings = Surroundings()
    for left in reversed(range(runs)):
        try:
            job = Job.from_json(jobs.recv())
        except EOFError:
            return
        error = _run(job, surroundings)
        leaves = left == 0 or error is not None or not surroundings.restore()
        jobs.send(Report(error, leaves))
        if leaves:
            return


def _run(job: Job, surroundings: Surroundings) -> str | None:
    """Run a job with all that it prints in the run's log; returns why it failed."""
    folder = RunFolder(job.folder)
    _print_to(folder.log)
    try:
        with warnings.catch_warnings():
            import_modules(job.modules)
            surroundings.accept()
            job.execute()
    except BaseException as error:  # noqa: BLE001 - the process boundary: reported, then exit
        traceback.print_exc()
        message = error.message if isinstance(error, RLTransferError) else f"{type(error).__name__}: {error}"
        folder.fail(type(error).__name__, message)
        return message
    finally:
        sys.stdout.flush()
    return None


def _print_to(log: Path) -> None:
    """Send standard output and error, that of native code included, to a new file."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def _die_with_parent() -> None:
    """End this worker when the sweep that started it is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)

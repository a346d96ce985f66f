"""The body of a worker process: run what comes through the pipe, one job after the other."""

from __future__ import annotations

import ctypes
import errno
import faulthandler
import multiprocessing
import os
import signal
import sys
import threading
import traceback
import warnings
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from rl_transfer.errors import RLTransferError
from rl_transfer.frame.surroundings import Surroundings
from rl_transfer.results import RunFolder
from rl_transfer.spec.modules import import_modules
from rl_transfer.sweep.dispatch import Job

PR_SET_PDEATHSIG = 1
NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
STACK: signal.Signals | None = getattr(signal, "SIGUSR1", None)
"""Makes a worker write the stacks of its threads to its log; Windows has nothing of the sort."""


@dataclass(frozen=True)
class Report:
    """How a run ended.

    Attributes:
        error: why it failed; None: its record is written.
        leaves: whether the worker runs nothing more.
        full: whether the disk is.
    """

    error: str | None
    leaves: bool
    full: bool


def serve(jobs: Connection, runs: int) -> None:
    """Run jobs until ``runs`` are done, one fails, or one leaves something behind in this process.

    Args:
        jobs: gives jobs as JSON, takes a :class:`Report` for each.
        runs: how many jobs, ≥ 1.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the mask that it was started with
    _die_with_server()
    threading.Thread(target=_die_with_parent, daemon=True).start()
    if STACK is not None:
        faulthandler.register(STACK, file=2, all_threads=True)
    sys.stdout = sys.stderr = os.fdopen(1, "w", encoding="utf-8", buffering=1, closefd=False)
    surroundings = Surroundings()
    for left in reversed(range(runs)):
        try:
            job = Job.from_json(jobs.recv())
        except EOFError:
            return
        error = _run(job, surroundings)
        leaves = left == 0 or error is not None or not surroundings.restore()
        jobs.send(Report(None if error is None else _words(error), leaves, full(error)))
        if leaves:
            return


def _run(job: Job, surroundings: Surroundings) -> BaseException | None:
    """Run a job with all that it prints in the run's log; returns why it failed."""
    folder = RunFolder(job.folder)
    try:
        _print_to(folder.log)
        with warnings.catch_warnings():
            import_modules(job.modules)
            surroundings.accept()
            job.execute()
    except BaseException as error:  # noqa: BLE001 - the process boundary: reported, then exit
        with suppress(OSError):
            traceback.print_exc()
        if not full(error):
            with suppress(RLTransferError):
                folder.fail(type(error).__name__, _words(error), job.attempt)
        return error
    finally:
        with suppress(OSError):
            sys.stdout.flush()
    return None


def _words(error: BaseException) -> str:
    if isinstance(error, SystemExit):
        return f"code of the run called sys.exit({error.code!r})"
    return error.message if isinstance(error, RLTransferError) else f"{type(error).__name__}: {error}"


def full(error: BaseException | None) -> bool:
    """Whether an error is one of a full disk, or came of one.

    Args:
        error: with whatever it was raised from, or while.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno in NO_ROOM:
            return True
        if os.strerror(errno.ENOSPC) in str(error):  # told by a library
            return True
        error = error.__cause__ or error.__context__
    return False


def _print_to(log: Path) -> None:
    """Send standard output and error, that of native code included, to a new file."""
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o666)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.close(file)


def _die_with_server() -> None:
    """The kernel ends this worker with its fork server, with which the sweep would take it for dead."""
    if sys.platform == "linux":
        server = os.getppid()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != server:
            os._exit(1)


def _die_with_parent() -> None:
    """End this worker when the sweep that started it is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)

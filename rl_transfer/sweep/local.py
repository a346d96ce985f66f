"""Local execution: one process per run, forked from a server that has SB3 already imported.

A pool would break as a whole when one worker is killed; here a dead worker is one failed run.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import traceback
from concurrent.futures import Future
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from rl_transfer.errors import RLTransferError
from rl_transfer.results import RunFolder
from rl_transfer.sweep.dispatch import Job
from rl_transfer.sweep.executor import RunFailed

PRELOAD = ["rl_transfer.sweep.preload"]


class LocalExecutor:
    """Runs each job in a process of its own; the caller limits how many at a time."""

    def __init__(self) -> None:
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self._context: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            self._context.set_forkserver_preload(PRELOAD)
        self._processes: dict[BaseProcess, threading.Thread] = {}
        self._of: dict[Future[None], BaseProcess] = {}
        self._cancelled: set[Future[None]] = set()
        self._closed = False

    def submit(self, job: str) -> Future[None]:
        """Start ``job`` now."""
        folder = RunFolder(Job.from_json(job).folder)
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.forget_failure()
        process = self._context.Process(target=_work, args=(job, str(folder.log)), daemon=True)
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()
        process.start()
        self._of[future] = process
        thread = threading.Thread(target=self._watch, args=(process, folder, future), daemon=True)
        self._processes[process] = thread
        thread.start()
        return future

    def _watch(self, process: BaseProcess, folder: RunFolder, future: Future[None]) -> None:
        wait([process.sentinel])
        process.join()
        code = process.exitcode
        del self._of[future]
        if not self._closed:
            del self._processes[process]
            process.close()
        problem = folder.read().problem
        if problem is None:
            future.set_result(None)
            return
        failure = folder.failure()
        if failure is None and not (self._closed or future in self._cancelled):
            reason = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            reason += "" if problem == "unfinished" else f"; what it left is {problem}"
            failure = {"error": "WorkerDied", "message": f"the worker process died ({reason})"}
            with contextlib.suppress(RLTransferError):
                folder.fail(failure["error"], failure["message"])
        message = failure["message"] if failure else "stopped"
        future.set_exception(RunFailed(f"{message}\n  log: {folder.log}"))

    def cancel(self, future: Future[None]) -> None:
        """Stop the process of a job."""
        process = self._of.get(future)
        if process is not None:
            self._cancelled.add(future)
            process.terminate()

    def close(self) -> None:
        """Stop all running jobs; their folders stay unfinished and are begun anew next time."""
        self._closed = True
        running = dict(self._processes)
        for process in running:
            if process.is_alive():
                process.terminate()
        for process, thread in running.items():
            process.join(5)
            if process.is_alive():
                process.kill()
            thread.join(5)


def _work(job: str, log: str) -> None:
    """The body of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    stream = Path(log).open("w", encoding="utf-8", buffering=1)  # noqa: SIM115 - lives as long as the process
    os.dup2(stream.fileno(), 1)
    os.dup2(stream.fileno(), 2)
    sys.stdout = sys.stderr = stream
    parsed = Job.from_json(job)
    try:
        parsed.execute()
    except BaseException as error:  # noqa: BLE001 - the process boundary: reported, then exit
        traceback.print_exc()
        stream.flush()
        message = error.message if isinstance(error, RLTransferError) else f"{type(error).__name__}: {error}"
        RunFolder(parsed.folder).fail(type(error).__name__, message)
        sys.exit(1)


def _die_with_parent() -> None:
    """End this worker when the sweep that started it is gone, however it went."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)

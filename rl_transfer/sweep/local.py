"""Local execution: workers forked from a server that has SB3 imported, each of them for many runs.

A pool would break as a whole when one worker is killed. Here no worker holds more than the run that it works
on: a dead worker is one failed run, and all others go to workers that live.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import signal
import threading
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from pathlib import Path
from typing import Any

from rl_transfer.errors import RLTransferError
from rl_transfer.results import RunFolder
from rl_transfer.sweep.executor import RunFailed
from rl_transfer.sweep.worker import Report, serve

PRELOAD = ["rl_transfer.sweep.preload", "rl_transfer.sweep.worker"]
RUNS_PER_WORKER = 100
"""A hundredth of a worker's start is in the cost of a run then; what leaks ends with the worker."""
PATIENCE = 5.0
"""Seconds that a worker gets to end before it is killed."""


@contextlib.contextmanager
def _no_interrupts() -> Iterator[None]:
    """What is started in here is deaf to Ctrl-C, which terminals send to every process, until it listens.

    A fork server ignores it only when it has imported everything, and gives workers back what it had before.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # started later, it would unblock the signal
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@dataclass(frozen=True)
class _Task:
    job: str
    future: Future[None]
    folder: RunFolder
    alone: bool


class _Worker:
    """A process and what it works on."""

    def __init__(self, context: BaseContext, runs: int) -> None:
        self.connection: Connection
        self.connection, far = context.Pipe()
        self.process = context.Process(  # type: ignore[attr-defined]
            target=serve, args=(far, runs), daemon=True
        )
        with _no_interrupts():
            self.process.start()
        far.close()
        self.task: _Task | None = None


class LocalExecutor:
    """Runs jobs in processes of this machine.

    Args:
        workers: how many run at a time.
        runs_per_worker: how many a process runs, one after the other, before a new one takes its place; after
            a failure, and after a run that left something behind in its process, one takes it at once. Jobs
            that execute the user's own modules always have a process of their own.
    """

    def __init__(self, workers: int, runs_per_worker: int) -> None:
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self._context: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            self._context.set_forkserver_preload(PRELOAD)
        self.slots, self._runs = workers, runs_per_worker
        self._tasks: deque[_Task] = deque()
        self._workers: list[_Worker] = []
        self._leaving: list[_Worker] = []
        self._stopped: set[Future[None]] = set()
        self._closed = False
        self._bell, self._rope = self._context.Pipe(duplex=False)
        self._thread = threading.Thread(target=self._supervise, daemon=True)
        self._thread.start()

    def submit(self, job: str) -> Future[None]:
        """Take a job; it starts as soon as a worker is free.

        Args:
            job: as ``Job.to_json`` writes it.

        Returns:
            A future that ends with the run, as :class:`Executor` has it.
        """
        content = json.loads(job)
        future: Future[None] = Future()
        self._tasks.append(_Task(job, future, RunFolder(Path(content["folder"])), content["alone"]))
        self._ring()
        return future

    def cancel(self, future: Future[None]) -> None:
        """Drop a job that waits, or end the process that runs it.

        Args:
            future: from :meth:`submit`.
        """
        if future.cancel():
            return
        self._stopped.add(future)
        for worker in tuple(self._workers):
            if worker.task is not None and worker.task.future is future:
                worker.process.terminate()

    def close(self) -> None:
        """Stop all running jobs; their folders stay unfinished and are begun anew next time."""
        self._closed = True
        self._ring()
        self._thread.join()

    def _ring(self) -> None:
        self._rope.send(None)

    def _supervise(self) -> None:
        """Hand out jobs and hear of their ends, until the executor is closed."""
        while not self._closed:
            self._hand_out()
            alive = {worker.connection: worker for worker in self._workers}
            sentinels = {worker.process.sentinel: worker for worker in (*self._workers, *self._leaving)}
            ready = wait([self._bell, *alive, *sentinels])
            if self._bell in ready:
                self._bell.recv()
            for each in ready:
                if isinstance(each, Connection) and each in alive:
                    self._hear(alive[each])
            for each in ready:
                if isinstance(each, int):
                    self._bury(sentinels[each])
        self._stop()

    def _hand_out(self) -> None:
        while self._tasks and sum(worker.task is not None for worker in self._workers) < self.slots:
            task = self._tasks.popleft()
            if not task.future.set_running_or_notify_cancel():
                continue
            task.folder.path.mkdir(parents=True, exist_ok=True)
            task.folder.forget_failure()
            try:
                worker = self._idle(task) or self._start(1 if task.alone else self._runs)
            except OSError as error:
                self._resolve(task, f"no worker process could be started: {error.strerror}")
                continue
            worker.task = task
            with contextlib.suppress(OSError):  # it has just died, which its sentinel tells
                worker.connection.send(task.job)
            if task.future in self._stopped:  # cancelled while the worker was being started
                worker.process.terminate()

    def _idle(self, task: _Task) -> _Worker | None:
        """A worker that waits for a job, for one that may share it."""
        if task.alone:
            return None
        return next((worker for worker in self._workers if worker.task is None), None)

    def _start(self, runs: int) -> _Worker:
        worker = _Worker(self._context, runs)
        self._workers.append(worker)
        return worker

    def _hear(self, worker: _Worker) -> None:
        """A worker says how its run ended, or its end of the pipe is gone, which its sentinel tells too."""
        try:
            report: Report = worker.connection.recv()
        except (EOFError, OSError):
            self._dismiss(worker)
            return
        task, worker.task = worker.task, None
        if report.leaves:
            self._dismiss(worker)
        if task is not None:
            self._resolve(task, report.error)

    def _dismiss(self, worker: _Worker) -> None:
        """No more jobs for a worker; its process is waited for in the background."""
        worker.connection.close()
        self._workers.remove(worker)
        self._leaving.append(worker)

    def _bury(self, worker: _Worker) -> None:
        """A process is gone; what it was working on failed, unless the record was written."""
        if worker in self._workers:
            if worker.connection.poll():
                self._hear(worker)
            if worker in self._workers:
                self._dismiss(worker)
        worker.process.join()
        code = worker.process.exitcode
        self._leaving.remove(worker)
        worker.process.close()
        task, worker.task = worker.task, None
        if task is None:
            return
        error = None
        problem = task.folder.read().problem
        if problem is not None:
            reason = f"killed by signal {-code}" if code is not None and code < 0 else f"exit code {code}"
            reason += "" if problem == "unfinished" else f"; what it left is {problem}"
            error = "stopped"
            if task.future not in self._stopped:
                error = f"the worker process died ({reason})"
                with contextlib.suppress(RLTransferError):
                    task.folder.fail("WorkerDied", error)
        self._resolve(task, error)

    def _resolve(self, task: _Task, error: str | None) -> None:
        self._stopped.discard(task.future)
        if error is None:
            task.future.set_result(None)
        else:
            task.future.set_exception(RunFailed(f"{error}\n  log: {task.folder.log}"))

    def _stop(self) -> None:
        for task in self._tasks:
            task.future.cancel()
        everybody = [*self._workers, *self._leaving]
        for worker in everybody:
            worker.process.terminate()
        for worker in everybody:
            worker.process.join(PATIENCE)
            if worker.process.is_alive():
                worker.process.kill()
            if worker.task is not None:
                worker.task.future.set_exception(RunFailed("stopped"))

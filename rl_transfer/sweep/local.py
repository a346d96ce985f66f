"""Local execution: workers forked from a server that has SB3 imported, each of them for many runs.

A pool would break as a whole when one worker is killed. Here no worker holds more than the run that it works
on: a dead worker is one failed run, and all others go to workers that live.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from pathlib import Path
from types import ModuleType
from typing import Any

from rl_transfer.errors import RLTransferError
from rl_transfer.frame import Say, silent
from rl_transfer.results import RunFolder
from rl_transfer.results.files import read_only
from rl_transfer.sweep.executor import RunFailed, UnusableDisk
from rl_transfer.sweep.watch import (
    Limits,
    Watch,
    how_it_died,
    is_dead,
    memory_kills,
    parent_of,
    shorten_log,
)
from rl_transfer.sweep.worker import STACK, Report, full, serve
from rl_transfer.wording import counted

PRELOAD = ["rl_transfer.sweep.preload", "rl_transfer.sweep.worker"]
RUNS_PER_WORKER = 100
"""A hundredth of a worker's start is in the cost of a run then; what leaks ends with the worker."""
PATIENCE = 5.0
"""Seconds that a worker gets to end before it is killed."""
LOOK_SECONDS = 0.5
"""Between two looks at what runs."""
ATTEMPTS = 3
BACK_OFF = (0.5, 4.0)
"""Seconds before the second and the third attempt at a run whose process died."""
UNKNOWN_CODE = 255
"""What Python says of a process whose server died before it could tell, and of one that ended with it."""
SERVER_DIED = "the server that starts workers has died; a new one is started"
KILLED = f"killed by signal {int(signal.SIGTERM)}", "killed by signal 9", SERVER_DIED
"""Somebody else's doing: that it comes twice does not say that it will come always."""


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


_MAIN = threading.Lock()


@contextlib.contextmanager
def _without_main() -> Iterator[None]:
    """Workers do not run the script again that starts a sweep; another thread must not take this for main."""
    with _MAIN:
        main, sys.modules["__main__"] = sys.modules["__main__"], ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def _end_server() -> None:
    """Kill the process that workers are forked from, if there is one; the next worker starts another."""
    found = getattr(getattr(forkserver, "_forkserver", None), "_forkserver_pid", None)
    if found is not None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(found, signal.SIGKILL)


@dataclass
class _Task:
    job: str
    future: Future[None]
    folder: RunFolder
    alone: bool
    attempt: int
    crashes: list[str] = field(default_factory=list)

    def begun_again(self) -> str:
        """The job, for the next process that begins it."""
        return json.dumps({**json.loads(self.job), "attempt": self.attempt + len(self.crashes)})


class _Worker:
    """A process and what it works on."""

    def __init__(self, context: BaseContext, runs: int, import_main: bool) -> None:
        self.connection: Connection
        self.connection, far = context.Pipe()
        self.process = context.Process(  # type: ignore[attr-defined]
            target=serve, args=(far, runs), daemon=True
        )
        with _no_interrupts(), contextlib.nullcontext() if import_main else _without_main():
            self.process.start()
        far.close()
        self.server = None if context.get_start_method() == "spawn" else parent_of(self.process.pid)
        self.task: _Task | None = None
        self.watch: Watch | None = None
        self.verdict: str | None = None
        self.left: float | None = None
        """When it got no more jobs, in monotonic seconds."""


class LocalExecutor:
    """Runs jobs in processes of this machine.

    Args:
        workers: how many run at a time.
        runs_per_worker: how many a process runs, one after the other, before a new one takes its place; after
            a failure, and after a run that left something behind in its process, one takes it at once. Jobs
            that execute the user's own modules always have a process of their own.
        limits: what ends a run that does not end by itself.
        say: is told of runs whose process died and that are tried again; from another thread.
        import_main: whether they import the main module, as Python has it: a program may add kinds there.
    """

    def __init__(
        self, workers: int, runs_per_worker: int, limits: Limits | None = None, say: Say = silent,
        *, import_main: bool = True,
    ) -> None:  # fmt: skip
        method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
        self._context: Any = multiprocessing.get_context(method)
        if method == "forkserver":
            self._context.set_forkserver_preload(PRELOAD)
        self.slots, self._runs = workers, runs_per_worker
        self._tasks: deque[_Task] = deque()
        self._workers: list[_Worker] = []
        self._leaving: list[_Worker] = []
        self._later: list[tuple[float, _Task]] = []
        self._stopped: set[Future[None]] = set()
        self._limits, self._say, self._import_main = limits or Limits(), say, import_main
        self._memory_kills = memory_kills()
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
        folder = RunFolder(Path(content["folder"]))
        self._tasks.append(_Task(job, future, folder, content["alone"], content["attempt"]))
        self._ring()
        return future

    def cancel(self, future: Future[None]) -> None:
        """Drop a job that waits, or end the process that runs it.

        Args:
            future: from :meth:`submit`.
        """
        if not future.cancel():
            self._stopped.add(future)
            self._ring()

    def close(self) -> None:
        """Stop all running jobs; their folders stay unfinished and are begun anew next time."""
        self._closed = True
        self._ring()
        self._thread.join(PATIENCE)
        if self._thread.is_alive():
            _end_server()  # which may be importing its libraries, while the thread waits for a worker of it
        self._thread.join()

    def _ring(self) -> None:
        self._rope.send(None)

    def _supervise(self) -> None:
        """Hand out jobs and hear of their ends, until the executor is closed."""
        try:
            self._loop()
        finally:
            self._closed = True
            self._stop()

    def _loop(self) -> None:
        while not self._closed:
            self._end_stopped()
            self._take_again()
            self._hand_out()
            self._look_after()
            alive = {worker.connection: worker for worker in self._workers}
            sentinels = {worker.process.sentinel: worker for worker in (*self._workers, *self._leaving)}
            busy = self._later or sentinels
            ready = wait([self._bell, *alive, *sentinels], LOOK_SECONDS if busy else None)
            if self._bell in ready:
                self._bell.recv()
            for each in ready:
                if isinstance(each, Connection) and each in alive:
                    self._hear(alive[each])
            for each in ready:
                if isinstance(each, int):
                    self._bury(sentinels[each])

    def _end_stopped(self) -> None:
        """End the processes of jobs that were cancelled."""
        for worker in self._workers:
            if worker.task is not None and worker.task.future in self._stopped:
                worker.process.terminate()

    def _take_again(self) -> None:
        """Jobs whose process died come back when their time has come."""
        now = time.monotonic()
        for each in [each for each in self._later if each[0] <= now or each[1].future in self._stopped]:
            self._later.remove(each)
            self._tasks.appendleft(each[1])

    def _look_after(self) -> None:
        """End runs that show no sign of life, and processes that do not end; keep logs short."""
        for worker in self._leaving:
            if worker.left is not None and time.monotonic() - worker.left > PATIENCE:
                worker.process.kill()  # its run is over; a thread that it left would keep it for ever
        for worker in self._workers:
            if worker.task is None or worker.watch is None:
                continue
            shorten_log(worker.task.folder.log)
            if worker.verdict is not None:  # its stack was asked for the last time
                worker.process.kill()
            else:
                worker.verdict = worker.watch.verdict()
                if worker.verdict is not None and worker.process.pid is not None and STACK is not None:
                    os.kill(worker.process.pid, STACK)

    def _hand_out(self) -> None:
        while self._tasks and sum(worker.task is not None for worker in self._workers) < self.slots:
            task = self._tasks.popleft()
            if not task.crashes and not task.future.set_running_or_notify_cancel():
                continue
            if task.future in self._stopped:
                self._resolve(task, "stopped")
                continue
            try:
                task.folder.path.mkdir(parents=True, exist_ok=True)
                task.folder.forget_failure()
            except OSError as error:
                self._resolve(task, f"{task.folder.path} cannot be written: {error.strerror}", full(error))
                continue
            worker = self._idle(task) or self._start(1 if task.alone else self._runs)
            if worker is None:
                again = "start the sweep again: finished runs are kept"
                self._resolve(task, f"no worker process could be started, tried twice; {again}")
                continue
            worker.task, worker.watch = task, Watch(task.folder, self._limits)
            with contextlib.suppress(OSError):  # it has just died, which its sentinel tells
                worker.connection.send(task.begun_again())

    def _idle(self, task: _Task) -> _Worker | None:
        """A worker that waits for a job, for one that may share it."""
        if task.alone:
            return None
        return next((worker for worker in self._workers if worker.task is None), None)

    def _start(self, runs: int) -> _Worker | None:
        """A new worker; the server that it is forked from is started again where it has died."""
        for _ in range(2):
            try:
                worker = _Worker(self._context, runs, self._import_main)
            except (OSError, EOFError) as error:
                if self._closed:
                    return None
                why = getattr(error, "strerror", None) or type(error).__name__
                self._say(f"a worker process could not be started ({why}); trying again")
                continue
            self._workers.append(worker)
            return worker
        return None

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
            shorten_log(task.folder.log)
            self._resolve(task, report.error, report.full)

    def _dismiss(self, worker: _Worker) -> None:
        """No more jobs for a worker; its process is waited for in the background."""
        worker.connection.close()
        worker.left = time.monotonic()
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
        problem = task.folder.read().problem
        if problem is None:
            self._resolve(task, None)
        elif task.future in self._stopped:
            self._resolve(task, "stopped")
        elif worker.verdict is not None:
            self._fail(task, "RunEnded", worker.verdict, task.attempt + len(task.crashes))
        else:
            kills, self._memory_kills = self._memory_kills, memory_kills()
            killed = how_it_died(code, self._memory_kills > kills)
            reason = SERVER_DIED if code == UNKNOWN_CODE and is_dead(worker.server) else killed
            self._crashed(task, reason + ("" if problem == "unfinished" else f"; what it left is {problem}"))

    def _crashed(self, task: _Task, reason: str) -> None:
        """Try a run again whose process died, unless it dies of the same by its own hand."""
        same = reason in task.crashes and not reason.startswith(KILLED)
        task.crashes.append(reason)
        tries = len(task.crashes)
        if same or tries == ATTEMPTS:
            times = f", {counted(tries, 'time')} in a row" if tries > 1 else ""
            message = f"the worker process died ({reason}){times}"
            self._fail(task, "WorkerDied", message, task.attempt + tries - 1)
            return
        self._later.append((time.monotonic() + BACK_OFF[tries - 1], task))
        self._say(
            f"run {task.folder.path.name}: the worker process died ({reason}); it is tried again, "
            f"{tries + 1} of {ATTEMPTS}"
        )

    def _fail(self, task: _Task, kind: str, error: str, attempts: int) -> None:
        with contextlib.suppress(RLTransferError):
            task.folder.fail(kind, error, attempts)
        self._resolve(task, error)

    def _resolve(self, task: _Task, error: str | None, full: bool = False) -> None:
        self._stopped.discard(task.future)
        if error is None:
            task.future.set_result(None)
        else:
            raised = UnusableDisk if full or read_only(task.folder.path) else RunFailed
            task.future.set_exception(raised(f"{error}\n  log: {task.folder.log}"))

    def _stop(self) -> None:
        for task in (*self._tasks, *(task for _, task in self._later)):
            if not task.future.cancel():
                task.future.set_exception(RunFailed("stopped"))
        everybody = [*self._workers, *self._leaving]
        for worker in everybody:
            worker.process.terminate()
        for worker in everybody:
            worker.process.join(PATIENCE)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join(PATIENCE)
            if worker.task is not None:
                worker.task.future.set_exception(RunFailed("stopped"))

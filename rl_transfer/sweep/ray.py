"""Execution on a Ray cluster: one task a run, placed on nodes that were asked first whether they fit.

A run is executed on its node as on a machine of its own, by the local executor, in a folder that nothing
else writes to. Only the sweep itself moves that folder to its place: a node that was taken for dead, and
goes on, changes nothing.
"""

from __future__ import annotations

import itertools
import math
import os
import shutil
import sys
import threading
import time
import uuid
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rl_transfer.errors import ClusterError
from rl_transfer.frame import Say
from rl_transfer.results import INCOMING, RunFolder
from rl_transfer.sweep import nodes
from rl_transfer.sweep.archive import bring, pack
from rl_transfer.sweep.dispatch import Job
from rl_transfer.sweep.executor import RunFailed
from rl_transfer.sweep.incoming import move_checkpoints, rescue_checkpoints
from rl_transfer.sweep.nodes import Node, NodeReport, Request
from rl_transfer.sweep.ray_link import RayLink
from rl_transfer.wording import counted

if TYPE_CHECKING:
    from ray import ObjectRef

TRIES = 3
"""How often a run is begun that was lost with its node or worker."""
LOOK_SECONDS = 1.0
CLOSE_SECONDS = 15.0
NOT_SENT = ("tensorboard", "figures", "log.txt", "heartbeat.json")
"""What a run leaves that nobody who starts from it reads."""


@dataclass(eq=False)
class Task:
    """A job on its way."""

    job: Job
    future: Future[None] = field(default_factory=Future)
    tries: int = 0
    attempt: Attempt | None = None
    """Where it is executed, while it is."""
    cancelled: bool = False


@dataclass(frozen=True, eq=False)
class Attempt:
    """One execution of a job."""

    node: Node
    folder: Path
    """Where its files are, or come to, until it has ended."""
    ref: ObjectRef[bytes | None]


class RayExecutor:
    """Runs each job as a task of a Ray cluster that exists; the cluster itself is left as it is.

    Results come by the sweep's folder where a node sees it, else over the network.

    Args:
        root: the sweep's folder.
        address: ``auto``, or ``host:port`` of the cluster's head.
        request: what a run asks for.
        share: use the sweep's folder from nodes that see it.
        say: gets a line when a node joins, is lost or does not fit.

    Raises:
        MissingExtraError: Ray is not installed.
        ClusterError: there is no cluster at the address, its nodes differ in what changes numbers, or none
            has room for a run.
    """

    def __init__(self, root: Path, address: str, request: Request, *, share: bool, say: Say) -> None:
        self._request, self._say, self._share = request, say, share
        self._runs, self._incoming = root.absolute() / "runs", root.absolute() / INCOMING
        self._lock = threading.RLock()
        self._nodes: dict[str, Node] = {}
        self._tasks: dict[Future[None], Task] = {}
        self._waiting: deque[Task] = deque()
        self._sources: dict[Path, ObjectRef[bytes]] = {}
        self._numbers = itertools.count()
        self._known = nodes.versions()
        self._complaints: list[str] = []
        self._closed = False
        self._link = RayLink(address)
        try:
            self._clear()
            self._incoming.mkdir()
            self._token = uuid.uuid4().hex
            (self._incoming / "token").write_text(self._token, encoding="utf-8")
            self._meet()
        except BaseException:
            self._leave()
            raise
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    @property
    def slots(self) -> int:
        """How many runs the cluster has room for at present."""
        with self._lock:
            slots = sum(node.slots for node in self._nodes.values() if node.state == "ready")
        return slots if self._request.workers is None else min(slots, self._request.workers)

    def submit(self, job: str) -> Future[None]:
        """Take a job; it waits until a node has room.

        Args:
            job: as :meth:`rl_transfer.sweep.dispatch.Job.to_json` writes it.

        Returns:
            A future that runs from the moment the job is placed.
        """
        task = Task(Job.from_json(job))
        with self._lock:
            self._tasks[task.future] = task
            self._waiting.append(task)
            self._place()
        return task.future

    def cancel(self, future: Future[None]) -> None:
        """Stop a job, whether it waits or runs.

        Args:
            future: from :meth:`submit`.
        """
        with self._lock:
            task = self._tasks.get(future)
            if task is None or task.cancelled:
                return
            task.cancelled = True
            if task.attempt is not None:
                self._link.cancel(task.attempt.ref)
                return
            if task not in self._waiting:  # it has ended, and its files are on their way
                return
            self._waiting.remove(task)
        self._finish(task, "stopped")

    def close(self) -> None:
        """Stop what is left and disconnect; the cluster goes on."""
        for future in tuple(self._tasks):
            self.cancel(future)
        deadline = time.monotonic() + CLOSE_SECONDS
        while self._tasks and time.monotonic() < deadline:
            time.sleep(0.02)
        self._closed = True
        self._link.wake()
        self._thread.join(CLOSE_SECONDS)
        self._leave()

    def _leave(self) -> None:
        self._link.leave()
        self._clear()

    def _clear(self) -> None:
        """Remove what attempts left that have not ended, but for their checkpoints."""
        rescue_checkpoints(self._incoming, self._runs)
        shutil.rmtree(self._incoming, ignore_errors=True)

    def _meet(self) -> None:
        """Ask every node that there is, and wait for the answers."""
        self._look()
        if not self._nodes:
            has = [
                ", ".join(f"{each.resources.get(name, 0):g} {name}" for name in ("CPU", "GPU"))
                for each in self._link.nodes()
            ]
            raise ClusterError(
                f"no node of the cluster has room for a run of {self._request.cpus:g} CPU and "
                f"{self._request.gpus:g} GPU; they have {'; '.join(has) or 'nothing'}. Ask for less with "
                "--cpus-per-run and --gpus-per-run, or start a larger node"
            )
        while any(node.state == "asked" for node in self._nodes.values()):
            self._link.handle_next()
        if self._complaints:
            raise ClusterError("\n".join(self._complaints))
        if not any(node.state == "ready" for node in self._nodes.values()):
            raise ClusterError("every node of the cluster was lost before it answered; see `ray status`")

    def _look(self) -> None:
        """Ask nodes that are new, or were lost and are alive; forget those that are gone."""
        alive = {each.id: each for each in self._link.nodes()}
        with self._lock:
            for gone in self._nodes.keys() - alive.keys():
                del self._nodes[gone]
            for identifier, each in alive.items():
                node = self._nodes.get(identifier)
                slots = self._request.slots(each.resources)
                if node is None and slots:
                    self._nodes[identifier] = Node(identifier, each.address, slots)
                    self._ask(self._nodes[identifier])
                elif node is not None and node.state == "lost":
                    node.state = "asked"
                    self._ask(node)

    def _ask(self, node: Node) -> None:
        probe = str(self._incoming / "token") if self._share else None
        ref = self._link.on(node.id, nodes.report)(probe, self._token)
        self._link.then(ref, partial(self._answered, node))

    def _answered(self, node: Node, done: Future[NodeReport]) -> None:
        error = done.exception()
        if error is not None and not self._link.raised(error):
            node.state = "lost"
            return
        if error is None:
            answer = done.result()
            complaint = nodes.difference(self._known, answer.versions, node.address)
        else:
            complaint = f"node {node.address} cannot run rl-transfer: {_last_line(error)}"
        if complaint is not None:
            node.state = "refused"
            self._complaints.append(f"{complaint}; install the same on every node")
            self._say(f"not used: {self._complaints[-1]}")
            return
        with self._lock:
            node.state, node.shared = "ready", answer.shared
            way = "by the shared folder" if node.shared else "over the network"
            self._say(f"node {node.address}: {counted(node.slots, 'run')} at a time, results {way}")
            self._place()

    def _place(self) -> None:
        """Start waiting jobs where there is room; the emptiest node first."""
        while self._waiting and self._running() < (self._request.workers or math.inf):
            free = [each for each in self._nodes.values() if each.state == "ready" and each.busy < each.slots]
            if not free:
                return
            task = self._waiting.popleft()
            if task.tries or task.future.set_running_or_notify_cancel():
                self._start(task, max(free, key=lambda each: each.slots - each.busy))

    def _running(self) -> int:
        return sum(node.busy for node in self._nodes.values())

    def _start(self, task: Task, node: Node) -> None:
        job = task.job
        final = RunFolder(job.folder)
        final.path.mkdir(parents=True, exist_ok=True)
        final.forget_failure()
        folder = self._incoming / str(next(self._numbers)) / final.path.name
        bundle = source = None
        if node.shared:
            move_checkpoints(final.path, folder)
        if job.source is not None and node.shared:
            bundle = job.source.absolute()
        elif job.source is not None:
            source = self._packed(job.source.parent)
        sent = replace(job, folder=folder, source=bundle, attempt=task.tries + 1).to_json()
        call = self._link.on(node.id, nodes.execute, self._request.cpus, self._request.gpus)
        ref = call(sent, self._request, node.shared, source, os.getcwd(), sys.path)
        attempt = Attempt(node, folder, ref)
        task.attempt = attempt
        task.tries += 1
        node.busy += 1
        self._link.then(ref, partial(self._ended, task, attempt))

    def _packed(self, run: Path) -> ObjectRef[bytes]:
        """The run of a source in Ray's store, for every node that asks for it."""
        if run not in self._sources:
            self._sources[run] = self._link.put(pack(run, NOT_SENT))
        return self._sources[run]

    def _ended(self, task: Task, attempt: Attempt, done: Future[bytes | None]) -> None:
        error = done.exception()
        problem, again = None, False
        with self._lock:
            attempt.node.busy -= 1
            task.attempt = None
            if task.cancelled:
                problem = "stopped"
            elif error is not None and self._link.raised(error):
                problem = _last_line(error)
            elif error is not None:
                attempt.node.state = "lost"
                again = task.tries < TRIES
                problem = f"lost with node {attempt.node.address} ({type(error).__name__})"
                if again:
                    move_checkpoints(attempt.folder, task.job.folder)
                    self._say(f"run {task.job.folder.name} was {problem}; it is begun again")
                    self._waiting.appendleft(task)
            self._place()
        if not again:
            self._finish(task, problem or bring(done.result(), attempt.folder, RunFolder(task.job.folder)))

    def _finish(self, task: Task, problem: str | None) -> None:
        with self._lock:
            del self._tasks[task.future]
        if problem is None:
            task.future.set_result(None)
        elif not task.future.cancel():
            task.future.set_exception(RunFailed(f"{problem}\n  log: {RunFolder(task.job.folder).log}"))

    def _watch(self) -> None:
        looked = time.monotonic()
        while not self._closed:
            self._link.handle_next(LOOK_SECONDS)
            if time.monotonic() - looked >= LOOK_SECONDS:
                looked = time.monotonic()
                with self._link.patiently():  # the head is out of reach: later
                    self._look()
                self._show_beats()

    def _attempts(self) -> list[tuple[Attempt, Path]]:
        """The runs under way, and where the progress display looks for signs of life of each."""
        with self._lock:
            return [(task.attempt, task.job.folder) for task in self._tasks.values() if task.attempt]

    def _show_beats(self) -> None:
        """Copy signs of life, or ask nodes for them; one that owes an answer is not asked again."""
        asked: dict[Node, list[str]] = {}
        for attempt, folder in self._attempts():
            if attempt.node.shared:
                nodes.show_beat(nodes.read_beat(attempt.folder), folder)
            elif not attempt.node.owing:
                asked.setdefault(attempt.node, []).append(folder.name)
        for node, runs in asked.items():
            node.owing = True
            self._link.then(self._link.on(node.id, nodes.beats)(runs), partial(self._heard, node))

    def _heard(self, node: Node, done: Future[dict[str, str]]) -> None:
        node.owing = False
        found = {} if done.exception() else done.result()
        for attempt, folder in self._attempts():
            if attempt.node is node:
                nodes.show_beat(found.get(folder.name), folder)


def _last_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[-1]

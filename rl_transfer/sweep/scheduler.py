"""Executes a graph of runs: reuse what is finished, start what is ready, skip what lost its source.

What happens costs what it touches: the run that ended and those that waited for it. Nothing looks at all
waiting runs.
"""

from __future__ import annotations

import heapq
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from queue import Empty, SimpleQueue
from typing import Literal

from rl_transfer.errors import StoreError
from rl_transfer.frame import Say, silent
from rl_transfer.results import RunStore
from rl_transfer.results.files import read_only
from rl_transfer.sweep.dispatch import Job
from rl_transfer.sweep.estimate import TimeLeft
from rl_transfer.sweep.executor import Executor, UnusableDisk
from rl_transfer.sweep.graph import Graph
from rl_transfer.sweep.looks import SeedLook
from rl_transfer.sweep.reuse import take_stock
from rl_transfer.sweep.stops import Stops

SIGN_OF_LIFE = 0.25
"""Seconds without an end of a run after which the state is shown anyway."""
AHEAD = 2
"""Jobs handed to the executor, per run at a time: none of its workers waits for the scheduler."""


@dataclass(frozen=True, slots=True)
class Event:
    """What happened to a run: it started, or came to an end, for the reason that people are told."""

    what: Literal["started", "finished", "failed", "skipped"]
    id: str
    reason: str = ""


class State:
    """Where a sweep stands; the progress display reads it.

    Args:
        graph: what to run.
        store: where the runs lie.
        workers: how many run at a time.
        look: of a seed plan, at which it stands; None: nobody looks before the end.

    Attributes:
        reused: runs that were finished before.
        waiting: runs that have not begun, those that the executor holds already included.
        running: runs that are being executed.
        done: runs that this session finished.
        failed: run → why.
        skipped: run → why.
        started: monotonic seconds.
        steps_finished: budgets of ``done``.
        steps_planned: budgets of everything but the reused, failed and skipped runs.
        cpu_seconds: what ``done`` took of processors, without starting their processes.
    """

    def __init__(self, graph: Graph, store: RunStore, workers: int, look: SeedLook | None = None) -> None:
        self.graph, self.store, self.workers, self.look = graph, store, workers, look
        self.estimate = TimeLeft(graph, workers)
        self.reused: set[str] = set()
        self.waiting: set[str] = set()
        self.running: set[str] = set()
        self.done: set[str] = set()
        self.failed: dict[str, str] = {}
        self.skipped: dict[str, str] = {}
        self.started = time.monotonic()
        self.steps_finished = self.steps_planned = 0
        self.cpu_seconds = 0.0

    def follow(self, before: State) -> None:
        """Go on from an earlier look: what it did counts, what failed or was skipped then is not tried again.

        Args:
            before: the state at its end, with runs that are all in this graph.
        """
        self.done, self.failed, self.skipped = {*before.done}, {**before.failed}, {**before.skipped}
        self.started, self.cpu_seconds = before.started, before.cpu_seconds
        self.steps_finished = self.steps_planned = before.steps_finished
        self.estimate.remember(before.estimate)

    @property
    def active(self) -> bool:
        """Whether anything is left to do."""
        return bool(self.waiting or self.running)

    def steps(self, identifier: str) -> int:
        """The training budget of a run.

        Args:
            identifier: of the run.
        """
        return self.graph.specs[identifier].total_steps

    def steps_done(self) -> int:
        """Steps trained in this session, running ones included (from their heartbeats).

        Returns:
            Their number, in the kind's unit.
        """
        beats = [self.store.folder(each).heartbeat() for each in self.running]
        return self.steps_finished + sum(int(beat.get("step", 0)) for beat in beats)

    def wait(self, identifier: str) -> None:
        """A run is to be done.

        Args:
            identifier: of the run.
        """
        self.waiting.add(identifier)
        self.steps_planned += self.steps(identifier)
        self.estimate.wait(identifier)

    def begin(self, identifier: str) -> None:
        """A waiting run began.

        Args:
            identifier: of the run.
        """
        self.waiting.remove(identifier)
        self.running.add(identifier)
        self.estimate.leave(identifier)
        self.estimate.begin(identifier, time.monotonic())

    def finish(self, identifier: str) -> None:
        """A running run has its record.

        Args:
            identifier: of the run.
        """
        self.running.remove(identifier)
        self.done.add(identifier)
        self.steps_finished += self.steps(identifier)
        try:
            record = self.store.folder(identifier).record()
        except StoreError:
            record = {}
        self.cpu_seconds += float(record.get("cpu_seconds", 0.0))
        took = time.monotonic() - self.estimate.begun[identifier]
        self.estimate.finish(identifier, float(record.get("wall_seconds", took)))

    def fail(self, identifier: str, reason: str) -> None:
        """A running run failed.

        Args:
            identifier: of the run.
            reason: why, for people.
        """
        self.running.remove(identifier)
        self.failed[identifier] = reason
        self.steps_planned -= self.steps(identifier)
        self.estimate.drop(identifier)

    def skip(self, identifier: str, reason: str) -> None:
        """A waiting run is given up.

        Args:
            identifier: of the run.
            reason: why, for people.
        """
        self.waiting.remove(identifier)
        self.skipped[identifier] = reason
        self.steps_planned -= self.steps(identifier)
        self.estimate.leave(identifier)


OnChange = Callable[[State, Sequence[Event]], None]
"""Gets the state and what happened since the last call: at every end of a run, and a few times a second."""


def run_graph(
    graph: Graph,
    store: RunStore,
    executor: Executor,
    on_change: OnChange,
    say: Say = silent,
    stops: Stops | None = None,
    *,
    look: SeedLook | None = None,
    before: State | None = None,
) -> State:
    """Bring every run of the graph to an end.

    Finished runs are reused; damaged ones are moved aside and computed again.
    A failed run leaves the others alone; what needs it is skipped.

    Args:
        graph: what to run.
        store: where the runs lie.
        executor: where they execute; closed by the caller.
        on_change: is told what happens.
        say: is told of damaged runs that were moved aside, and of runs that are taken on trust.
        stops: asked at every wake-up whether to go on; None: nobody notes signals.
        look: of a seed plan, for which this is the graph.
        before: where the sweep stood at the end of the look before it.

    Returns:
        The state at the end.

    Raises:
        KeyboardInterrupt: somebody stopped it; what was running is cancelled.
        StoreError: there is no more room on the disk; the same.
    """
    stops = stops or Stops()
    reused = take_stock(graph, store, say, stops)
    state = State(graph, store, executor.slots, look)
    if before is not None:
        state.follow(before)
    return _Scheduler(state, executor, stops).run(reused, on_change)


class _Scheduler:
    def __init__(self, state: State, executor: Executor, stops: Stops) -> None:
        self._state, self._executor, self._stops = state, executor, stops
        self._graph = state.graph
        self._order = {identifier: place for place, identifier in enumerate(state.graph.specs)}
        self._ready: list[tuple[bool, int, int, str]] = []
        self._missing: dict[str, int] = {}
        self._submitted: dict[str, Future[None]] = {}
        self._ended: SimpleQueue[str] = SimpleQueue()
        self._events: list[Event] = []

    def run(self, reused: set[str], on_change: OnChange) -> State:
        state = self._state
        self._sort_out(reused)
        try:
            while state.active:
                self._stops.check()
                self._submit()
                self._notice_begun()
                on_change(state, self._take_events())
                for identifier in self._wait():
                    self._collect(identifier)
        finally:
            for future in self._submitted.values():
                self._executor.cancel(future)
        on_change(state, self._take_events())
        return state

    def _sort_out(self, reused: set[str]) -> None:
        """What is not reused waits; what needs nothing that waits is ready."""
        state = self._state
        state.reused = reused - state.done
        over = {*reused, *state.failed, *state.skipped}
        for identifier in self._graph.specs:
            if identifier not in over:
                state.wait(identifier)
        for identifier in state.failed:
            self._skip_dependants(identifier)
        for identifier in self._graph.specs:
            if identifier in state.waiting:
                missing = sum(need in state.waiting for need in self._graph.needs(identifier))
                self._missing[identifier] = missing
                if not missing:
                    self._make_ready(identifier)

    def _make_ready(self, identifier: str) -> None:
        """The longest budgets first among those that others wait for: sources are what a sweep waits for."""
        needed = identifier in self._graph.dependants
        rank = (not needed, -self._state.steps(identifier), self._order[identifier], identifier)
        heapq.heappush(self._ready, rank)

    def _submit(self) -> None:
        state = self._state
        state.workers = state.estimate.workers = self._executor.slots
        while self._ready and len(self._submitted) < AHEAD * state.workers:
            identifier = heapq.heappop(self._ready)[-1]
            needs = self._graph.needs(identifier)
            source = state.store.folder(needs[0]).bundle if needs else None
            place = state.store.folder(identifier)
            alone = self._graph.alone(identifier)
            run, modules = self._graph.specs[identifier], self._graph.modules
            job = Job(run, place.path, source, modules, alone, place.events)
            future = self._executor.submit(job.to_json())
            self._submitted[identifier] = future
            future.add_done_callback(partial(self._note_end, identifier))

    def _note_end(self, identifier: str, _future: Future[None]) -> None:
        self._ended.put(identifier)

    def _notice_begun(self) -> None:
        for identifier, future in self._submitted.items():
            if identifier in self._state.waiting and (future.running() or future.done()):
                self._state.begin(identifier)
                self._events.append(Event("started", identifier))

    def _wait(self) -> Iterator[str]:
        """Runs that ended; a short while without any ends the wait."""
        try:
            yield self._ended.get(timeout=SIGN_OF_LIFE)
            while True:
                yield self._ended.get_nowait()
        except Empty:
            return

    def _collect(self, identifier: str) -> None:
        self._notice_begun()
        error = self._submitted.pop(identifier).exception()
        if isinstance(error, UnusableDisk):
            raise StoreError(
                f"{self._disk()}; the sweep stops, what is finished is kept, and the same command continues "
                f"when it can be written to again\n  {error}"
            )
        if error is None:
            self._state.finish(identifier)
            self._events.append(Event("finished", identifier))
            waiting = (each for each in self._graph.dependants.get(identifier, ()) if each in self._missing)
            for each in waiting:
                self._missing[each] -= 1
                if not self._missing[each]:
                    self._make_ready(each)
        else:
            self._state.fail(identifier, str(error))
            self._events.append(Event("failed", identifier, str(error)))
            self._skip_dependants(identifier)

    def _disk(self) -> str:
        root = self._state.store.root
        if read_only(root):
            return f"the disk is read-only now: {root}"
        return f"the disk is full: {shutil.disk_usage(root).free / 2**20:,.1f} MiB are free at {root}"

    def _skip_dependants(self, identifier: str) -> None:
        """Give up runs whose source failed or was itself given up."""
        reason = f"its source {self._graph.label(identifier)} failed"
        for each in self._graph.dependants.get(identifier, ()):
            if each in self._state.waiting:
                self._state.skip(each, reason)
                self._events.append(Event("skipped", each, reason))
                self._skip_dependants(each)

    def _take_events(self) -> list[Event]:
        events, self._events = self._events, []
        return events

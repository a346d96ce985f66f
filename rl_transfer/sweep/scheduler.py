"""Executes a graph of runs: reuse what is finished, start what is ready, skip what lost its source."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from typing import Any

from rl_transfer.results import RunStore
from rl_transfer.sweep.dispatch import Job
from rl_transfer.sweep.executor import Executor
from rl_transfer.sweep.graph import Graph

POLL_SECONDS = 0.25


@dataclass
class State:
    """Where a sweep stands; the progress display reads it."""

    graph: Graph
    store: RunStore
    workers: int
    reused: set[str] = field(default_factory=set)
    waiting: list[str] = field(default_factory=list)
    running: dict[str, Future[None]] = field(default_factory=dict)
    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    started: float = field(default_factory=time.monotonic)
    begun: dict[str, float] = field(default_factory=dict)
    """Run → when it was submitted in this session (monotonic seconds)."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Run → how long it took, where this session finished it."""

    def steps(self, identifier: str) -> int:
        """The training budget of a run."""
        budget: int = getattr(self.graph.specs[identifier], "total_steps", 0)
        return budget

    def steps_done(self) -> int:
        """Steps trained in this session, running ones included (from their heartbeats)."""
        finished = sum(self.steps(identifier) for identifier in self.done)
        beats: list[dict[str, Any]] = [self.store.folder(each).heartbeat() for each in self.running]
        return finished + sum(int(beat.get("step", 0)) for beat in beats)

    def steps_to_do(self) -> int:
        """Steps of this session in total: everything but the reused, failed and skipped runs."""
        return sum(self.steps(each) for each in (*self.done, *self.running, *self.waiting))


def default_workers() -> int:
    """As many processes as this process may use cores.

    Returns:
        At least 1.
    """
    try:
        return max(1, len(os.sched_getaffinity(0)))
    except AttributeError:  # not on macOS and Windows
        return max(1, os.cpu_count() or 1)


def run_graph(
    graph: Graph,
    store: RunStore,
    executor: Executor,
    workers: int,
    on_change: Callable[[State], None],
) -> State:
    """Bring every run of the graph to an end.

    Finished runs are reused. A failed run leaves the others alone; what needs it is skipped.

    Args:
        graph: what to run.
        store: where the runs lie.
        executor: where they execute; closed by the caller.
        workers: how many at a time.
        on_change: called a few times per second with the current state.
    """
    state = State(graph, store, workers)
    for identifier in graph.specs:
        bucket = state.reused.add if store.folder(identifier).finished else state.waiting.append
        bucket(identifier)
    # The longest budgets first among those that others wait for: sources are what a sweep waits for.
    needed = {need for row in graph.rows for need in row.needs}
    state.waiting.sort(key=lambda each: (each not in needed, -state.steps(each)))
    try:
        while state.waiting or state.running:
            _skip_orphans(state)
            _start_ready(state, executor)
            on_change(state)
            wait(state.running.values(), timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            _collect(state)
    finally:
        for future in state.running.values():
            executor.cancel(future)
    on_change(state)
    return state


def _skip_orphans(state: State) -> None:
    """Give up runs whose source failed or was itself given up."""
    for identifier in tuple(state.waiting):
        dead = [
            need for need in state.graph.needs(identifier) if need in state.failed or need in state.skipped
        ]
        if dead:
            state.waiting.remove(identifier)
            state.skipped[identifier] = f"its source {state.graph.label(dead[0])} failed"


def _start_ready(state: State, executor: Executor) -> None:
    for identifier in tuple(state.waiting):
        if len(state.running) >= state.workers:
            return
        needs = state.graph.needs(identifier)
        if all(need in state.done or need in state.reused for need in needs):
            source = state.store.folder(needs[0]).bundle if needs else None
            place = state.store.folder(identifier).path
            job = Job(state.graph.specs[identifier], place, source, state.graph.modules)
            state.waiting.remove(identifier)
            state.begun[identifier] = time.monotonic()
            state.running[identifier] = executor.submit(job.to_json())


def _collect(state: State) -> None:
    for identifier, future in tuple(state.running.items()):
        if future.done():
            del state.running[identifier]
            error = future.exception()
            if error is None:
                state.done.add(identifier)
                state.seconds[identifier] = time.monotonic() - state.begun[identifier]
            else:
                state.failed[identifier] = str(error)

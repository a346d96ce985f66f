"""The scheduler alone, with an executor that runs nothing: order, failures, how often it looks at what."""

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from rl_transfer.results import RunStore
from rl_transfer.sweep.dispatch import Job
from rl_transfer.sweep.executor import RunFailed
from rl_transfer.sweep.graph import Graph, Row
from rl_transfer.sweep.scheduler import AHEAD, Event, State, run_graph
from support.records import write_finished


class Spec:
    """A run that counts how often anybody asks for its budget."""

    asked = 0

    def __init__(self, steps: int) -> None:
        self.steps = steps

    @property
    def total_steps(self) -> int:
        type(self).asked += 1
        return self.steps


class Fake:
    """Ends every job at once; keeps in which order they came."""

    def __init__(self, fails: Callable[[str], bool] = lambda name: False, slots: int = 1) -> None:
        self.fails, self.order, self.slots = fails, list[str](), slots

    def submit(self, job: str) -> Future[None]:
        name = Path(job).name
        self.order.append(name)
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()
        if self.fails(name):
            future.set_exception(RunFailed("by order"))
        else:
            future.set_result(None)
        return future

    def cancel(self, future: Future[None]) -> None:
        """Every job is done already."""

    def close(self) -> None:
        """Nothing is open."""


@pytest.fixture(autouse=True)
def _jobs_are_their_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Job, "to_json", lambda job: str(job.folder))


def graph(targets: int, budget: int = 10) -> Graph:
    """One source ``s``, ``targets`` runs that need it, and a longer run ``long`` that needs nothing."""
    rows = [Row("s", "source", "s", None, None, 0, ())]
    rows += [Row(f"t{i}", "target", "s", f"t{i % 7}", "copy", i, ("s",)) for i in range(targets)]
    rows += [Row("long", "target", None, "t", "scratch", 0, ())]
    specs: Any = {row.id: Spec(budget) for row in rows}
    specs["long"] = Spec(10 * budget)
    return Graph(tuple(rows), specs)


def test_what_others_wait_for_comes_first_and_then_the_longest(tmp_path: Path) -> None:
    executor = Fake()
    state = run_graph(graph(3), RunStore(tmp_path), executor, lambda state, events: None)
    assert executor.order == ["s", "long", "t0", "t1", "t2"]
    assert state.done == {"s", "long", "t0", "t1", "t2"}
    assert not state.active


def test_a_failed_source_skips_what_needs_it_and_nothing_else(tmp_path: Path) -> None:
    events: list[Event] = []
    executor = Fake(lambda name: name == "s")
    state = run_graph(graph(2), RunStore(tmp_path), executor, lambda state, new: events.extend(new))
    assert (state.failed, state.done) == ({"s": "by order"}, {"long"})
    assert state.skipped == dict.fromkeys(["t0", "t1"], "its source source s/seed-0 failed")
    assert state.steps_planned == state.steps_finished == 100
    assert [(event.what, event.id) for event in events] == [
        ("started", "s"), ("started", "long"), ("failed", "s"), ("skipped", "t0"), ("skipped", "t1"),
        ("finished", "long"),
    ]  # fmt: skip


def test_finished_runs_are_reused_and_count_as_no_work(tmp_path: Path) -> None:
    store = RunStore(tmp_path).open()
    write_finished(store.folder("s").path)
    executor = Fake()
    state = run_graph(graph(2), store, executor, lambda state, events: None)
    assert executor.order == ["long", "t0", "t1"]
    assert (state.reused, state.steps_planned) == ({"s"}, 120)


def test_a_source_is_computed_again_while_what_it_fed_is_reused(tmp_path: Path) -> None:
    store = RunStore(tmp_path).open()
    write_finished(store.folder("t0").path)
    executor = Fake()
    state = run_graph(graph(2), store, executor, lambda state, events: None)
    assert executor.order == ["s", "long", "t1"]
    assert state.reused == {"t0"}


@pytest.mark.parametrize("workers", [1, 4])
def test_what_a_run_costs_the_scheduler_does_not_grow_with_the_runs_that_wait(
    tmp_path: Path, workers: int
) -> None:
    """Budgets asked for and lines printed, per run: the same at 200 and at 2,000 runs."""

    def asked(targets: int) -> float:
        Spec.asked = 0
        whole = graph(targets)

        def look(state: State, events: object) -> None:
            state.estimate.seconds_left(0.0)
            state.steps_done()

        run_graph(whole, RunStore(tmp_path), Fake(slots=workers), look)
        return Spec.asked / len(whole.specs)

    few, many = asked(200), asked(2_000)
    assert many <= 1.1 * few < 25


def test_room_that_comes_later_is_used(tmp_path: Path) -> None:
    class Growing(Fake):
        def submit(self, job: str) -> Future[None]:
            super().submit(job)
            future: Future[None] = Future()
            future.set_running_or_notify_cancel()
            return future

    executor = Growing()
    seen = []

    def grow(state: State, events: object) -> None:
        seen.append(len(state.running))
        executor.slots += 1
        if len(seen) == 3:
            raise KeyboardInterrupt

    rows = tuple(Row(f"r{i}", "target", None, "t", "scratch", i, ()) for i in range(9))
    specs: Any = {row.id: Spec(1) for row in rows}
    with pytest.raises(KeyboardInterrupt):
        run_graph(Graph(rows, specs), RunStore(tmp_path), executor, grow)
    assert seen == [AHEAD, 2 * AHEAD, 3 * AHEAD]


def test_what_is_submitted_is_cancelled_when_the_sweep_is_interrupted(tmp_path: Path) -> None:
    class Hanging(Fake):
        cancelled = 0

        def submit(self, job: str) -> Future[None]:
            return Future()

        def cancel(self, future: Future[None]) -> None:
            self.cancelled += 1

    def interrupt(state: State, events: object) -> None:
        raise KeyboardInterrupt

    executor = Hanging(slots=2)
    with pytest.raises(KeyboardInterrupt):
        run_graph(graph(5), RunStore(tmp_path), executor, interrupt)
    assert executor.cancelled == 2, "what needs nothing: s and long"

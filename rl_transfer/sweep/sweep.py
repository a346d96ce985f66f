"""A whole sweep: preflight, graph, execution, manifest."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

from rl_transfer.frame import Say, silent
from rl_transfer.results import RunStore, link_events, write_manifest
from rl_transfer.spec import MatrixConfig
from rl_transfer.sweep.dispatch import room
from rl_transfer.sweep.graph import Graph, build_graph, manifest
from rl_transfer.sweep.local import RUNS_PER_WORKER, LocalExecutor
from rl_transfer.sweep.scheduler import Event, OnChange, State, run_graph


def prepare(suite: MatrixConfig, output: Path, say: Say = silent) -> tuple[Graph, RunStore]:
    """Check a suite before anything is trained, and write ``sweep.json``.

    Args:
        suite: the suite as it was loaded.
        output: the sweep's folder; made if it is missing.
        say: gets a line now and then.

    Returns:
        The graph of runs and the open store that they go to.

    Raises:
        RLTransferError: an environment cannot be built, a perturbation has no effect, a strategy
            does not fit the network, the folder cannot be written.
    """
    store = RunStore(output).open()
    runner = room(suite.kind)
    suite = runner.resolve(suite)
    graph = build_graph(suite)
    facts = runner.preflight(suite, say)
    write_manifest(output, manifest(suite, graph, runner.labels, facts))
    return graph, store


def run_sweep(
    graph: Graph,
    store: RunStore,
    workers: int,
    on_change: OnChange,
    say: Say = silent,
    runs_per_worker: int = RUNS_PER_WORKER,
) -> State:
    """Execute the graph in local processes and keep the readable TensorBoard view up to date.

    Args:
        graph: what to run.
        store: where the runs lie.
        workers: processes at a time, ≥ 1.
        on_change: is told what happens, and where the sweep stands a few times per second.
        say: is told of damaged runs that were moved aside, and of runs that are taken on trust.
        runs_per_worker: how many a process runs, one after the other; 1 is a process for each.

    Returns:
        Where the sweep stands at its end: what was reused, done, failed and skipped.
    """
    linked: set[str] = set()

    def changed(state: State, events: Sequence[Event]) -> None:
        ended = {event.id for event in events if event.what == "finished"}
        for identifier in (ended | state.running) - linked:
            if store.folder(identifier).tensorboard.is_dir():
                link_events(store.root, graph.rows_of[identifier], several=graph.several_sources)
                linked.add(identifier)
        on_change(state, events)

    with store.lock(), closing(LocalExecutor(workers, runs_per_worker)) as executor:
        return run_graph(graph, store, executor, workers, changed, say)

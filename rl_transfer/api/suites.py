"""A whole sweep, from its plan to the last run that ended."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

from rl_transfer.analysis import choices, undecided
from rl_transfer.errors import SweepFailed
from rl_transfer.frame import Say
from rl_transfer.results import RunStore
from rl_transfer.spec import MatrixConfig
from rl_transfer.sweep.dispatch import room
from rl_transfer.sweep.executor import Executor
from rl_transfer.sweep.graph import Graph
from rl_transfer.sweep.scheduler import OnChange, State
from rl_transfer.sweep.sweep import Plan, run_sweep
from rl_transfer.tracking import NamedRun, tracking


def run_suite(
    suite: MatrixConfig,
    plan: Plan,
    make_executor: Callable[[Path], Executor],
    display: AbstractContextManager[OnChange],
    say: Say,
    *,
    track: str | None,
    replace: bool,
    own_process: bool,
) -> tuple[State, str | None]:
    """Execute a plan, its looks and its tuning judged by the analysis, its runs told to a tracker.

    Args:
        suite: what was planned.
        plan: of its runs.
        make_executor: what executes them, for the sweep's folder.
        display: entered around all of it; what it gives is told how the sweep goes.
        say: gets a line now and then.
        track: the tracker that gets finished runs; None: none does.
        replace: let the plan take the place of another matrix in the folder.
        own_process: whether a second Ctrl-C may end the process.

    Returns:
        Where the sweep stands at its end, and what stopped the tracker, if anything did.

    Raises:
        RLTransferError: the folder is in use, or holds another matrix.
        KeyboardInterrupt: somebody stopped it; what is finished is kept.
    """
    store = plan.store
    with tracking(track, store.root, room(suite.kind).labels) as log, display as update:

        def finished(graph: Graph, identifier: str) -> None:
            if log is not None:
                log.add(_named(store, graph, suite.name, identifier))

        state = run_sweep(
            plan, make_executor, update, say,
            decide=undecided, choose=choices, on_finished=finished, replace=replace, own_process=own_process,
            portray=partial(room(suite.kind).portray, suite),
        )  # fmt: skip
    return state, None if log is None else log.problem


def refuse_failures(state: State) -> None:
    """Say that a sweep lacks runs, if it does.

    Args:
        state: at its end.

    Raises:
        SweepFailed: runs failed.
    """
    if state.failed:
        raise SweepFailed(
            f"{len(state.failed)} of {len(state.graph.specs)} runs failed and {len(state.skipped)} were "
            "skipped; everything else is finished and kept, and the same command tries the failed ones again"
        )


def _named(store: RunStore, graph: Graph, group: str, identifier: str) -> NamedRun:
    """A run of a sweep, as a tracker is told of it.

    Args:
        store: where its runs lie.
        graph: its runs.
        group: its name.
        identifier: of the run; where it fills several places, the first one names it.
    """
    row = graph.rows_of[identifier][0]
    words = (row.source, row.target, row.strategy, f"seed-{row.seed}")
    tags = tuple(each for each in words if each is not None)
    return NamedRun(store.folder(identifier), graph.label(identifier), group, row.role, tags)

"""Which runs a sweep need not compute: finished ones that are still what they were when they ended."""

from __future__ import annotations

from rl_transfer.frame import Say, source_problem
from rl_transfer.results import RunStore
from rl_transfer.sweep.graph import Graph
from rl_transfer.wording import counted


def take_stock(graph: Graph, store: RunStore, say: Say) -> set[str]:
    """Find the finished, sound runs of a graph; damaged ones are moved aside and will be computed again.

    The bundle of a finished source is checked where a run that starts from it is still to be computed.

    Args:
        graph: what is to run.
        store: where the runs lie; its lock is held.
        say: gets a line for each run that was moved, and one on runs that are taken on trust.

    Returns:
        Ids of the runs to reuse.

    Raises:
        StoreError: a newer version wrote a record, or a damaged run cannot be moved.
    """
    reused: set[str] = set()
    trusted = 0
    there = store.identifiers()
    for identifier in (each for each in graph.specs if each in there):
        reading = store.folder(identifier).read()
        if reading.state == "finished":
            reused.add(identifier)
            trusted += reading.on_trust
        elif reading.state == "damaged":
            _set_aside(graph, store, identifier, str(reading.problem), say)
    needed = {need for row in graph.rows if row.id not in reused for need in row.needs}
    for identifier in sorted(needed & reused):
        problem = source_problem(store.folder(identifier))
        if problem is not None:
            reused.discard(identifier)
            _set_aside(graph, store, identifier, problem, say)
    if trusted:
        say(
            f"{counted(trusted, 'run')} of rl-transfer 0.1.0 reused on trust: its records have no digests of "
            "curves and bundles"
        )
    return reused


def _set_aside(graph: Graph, store: RunStore, identifier: str, problem: str, say: Say) -> None:
    place = store.set_aside(identifier)
    say(f"{graph.label(identifier)} ({identifier}) is {problem}; moved to {place}, computed again")

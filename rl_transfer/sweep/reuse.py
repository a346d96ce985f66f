"""Which runs a sweep need not compute: finished ones that are still what they were when they ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping

from rl_transfer.errors import StoreError
from rl_transfer.frame import Say, source_problem
from rl_transfer.frame.provenance import code_of
from rl_transfer.results import RunStore, library_versions, read_record
from rl_transfer.spec import JsonObject
from rl_transfer.spec.experiment import RunConfig
from rl_transfer.sweep.graph import Graph
from rl_transfer.sweep.stops import Stops
from rl_transfer.wording import counted, listing

DIFFERENCES = ("code", "versions")
"""In what finished runs may differ from what is here now."""
_Told = dict[str, Mapping[str, str]]
"""Kind of difference → what a record says of it: name → version or digest."""


def take_stock(graph: Graph, store: RunStore, say: Say, stops: Stops) -> set[str]:
    """Find the finished, sound runs of a graph; damaged ones are moved aside and will be computed again.

    The bundle of a finished source is checked where a run that starts from it is still to be computed.

    Args:
        graph: what is to run.
        store: where the runs lie; its lock is held.
        say: gets a line for each run that was moved, and one on runs that are taken on trust.
        stops: asked before each run whether to go on.

    Returns:
        Ids of the runs to reuse.

    Raises:
        KeyboardInterrupt: somebody stopped it.
        StoreError: a newer version wrote a record, or a damaged run cannot be moved.
    """
    reused: set[str] = set()
    trusted = 0
    there = store.identifiers()
    for identifier in (each for each in graph.specs if each in there):
        stops.check()
        reading = store.folder(identifier).read()
        if reading.state == "finished":
            reused.add(identifier)
            trusted += reading.on_trust
        elif reading.state == "damaged":
            _set_aside(graph, store, identifier, str(reading.problem), say)
    needed = {need for row in graph.rows if row.id not in reused for need in row.needs}
    for identifier in sorted(needed & reused):
        stops.check()
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


def refuse_other_code(specs: Mapping[str, RunConfig], store: RunStore, despite: Collection[str] = ()) -> None:
    """Refuse finished runs that other code computed than what is here now.

    Compared is what a record names: libraries by version (Python by its minor one), packages and modules of
    environments, hooks and networks by version or digest. Kinds of CPU are not: a report tells them.

    Args:
        specs: run id → config; its modules are imported and its environments registered.
        store: where finished runs may lie; nothing is written.
        despite: of :data:`DIFFERENCES`, what is let pass.

    Raises:
        StoreError: something differs; the message says what, in how many runs, and the ways out.
    """
    found: dict[str, Counter[str]] = {name: Counter() for name in DIFFERENCES}
    told, alike = dict[str, _Told](), dict[str, _Told]()
    for identifier in sorted(specs.keys() & store.identifiers()):
        record = read_record(store.folder(identifier).path)
        if record is not None:  # it is large, and thousands say the same: what is compared is kept, once
            says = {kind: _told(record, kind) for kind in DIFFERENCES}
            told[identifier] = alike.setdefault(repr(says), says)
    named = {name for says in alike.values() for name in says["versions"]}
    versions = library_versions(named - {"python"})
    differing = 0
    for identifier, says in told.items():
        code = code_of(specs[identifier]) if says["code"] else {}
        lines = [
            (kind, f"{name} {_short(name, text)} there, {_short(name, here.get(name))} here")
            for kind, here in (("code", code), ("versions", versions))
            if kind not in despite
            for name, text in says[kind].items()
            if _short(name, here.get(name)) != _short(name, text)
        ]
        differing += bool(lines)
        for kind, line in lines:
            found[kind][line] += 1
    if differing:
        kinds = [kind for kind, lines in found.items() if lines]
        each = [f"{line} ({counted(n, 'run')})" for kind in kinds for line, n in found[kind].items()]
        raise StoreError(
            f"{differing} of {counted(len(told), 'finished run')} in {store.root} are of other code: "
            f"{listing(each, 5, '; ')}. Choose another folder with --output; or reuse them with "
            f"--reuse-despite {','.join(kinds)}: the report says which runs were computed by what"
        )


def _told(record: JsonObject, kind: str) -> Mapping[str, str]:
    told = record.get(kind)
    return {str(k): str(v) for k, v in told.items()} if isinstance(told, dict) else {}


def _short(name: str, version: str | None) -> str:
    if version is None:
        return "missing"
    return ".".join(version.split(".")[:2]) if name == "python" else version


def _set_aside(graph: Graph, store: RunStore, identifier: str, problem: str, say: Say) -> None:
    place = store.set_aside(identifier)
    say(f"{graph.label(identifier)} ({identifier}) is {problem}; moved to {place}, computed again")

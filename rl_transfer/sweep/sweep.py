"""A whole sweep: preflight, graph, execution, manifest."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import chdir, closing, suppress
from dataclasses import dataclass
from pathlib import Path

from rl_transfer.errors import StoreError
from rl_transfer.frame import MEMORY, Facts, Say, silent
from rl_transfer.results import RunStore, keep_tolerances, link_events, read_manifest, write_manifest
from rl_transfer.results.looks import LATE, in_words, late_words, read_looks
from rl_transfer.results.manifest import CONFIG_DIGEST, write_config
from rl_transfer.results.tuning import JUDGED_BEFORE
from rl_transfer.spec import JsonObject, MatrixConfig, digest
from rl_transfer.spec.as_text import as_yaml
from rl_transfer.spec.seeds import SeedPlan
from rl_transfer.sweep.dispatch import room
from rl_transfer.sweep.executor import Executor
from rl_transfer.sweep.graph import Graph, build_graph, manifest
from rl_transfer.sweep.looks import (
    Decide,
    Looks,
    SeedLook,
    declared_after,
    declared_looks,
    nothing_goes_on,
    with_looks,
)
from rl_transfer.sweep.matrix import check_matrix, no_longer_planned
from rl_transfer.sweep.portraits import Portray, beside, nothing_is_portrayed
from rl_transfer.sweep.reuse import refuse_other_code
from rl_transfer.sweep.scheduler import Event, OnChange, State, run_graph
from rl_transfer.sweep.stops import Stops
from rl_transfer.sweep.tuning import Choose, SuiteTuning, nothing_is_chosen, pinned_choices, tuned
from rl_transfer.wording import listing


@dataclass(frozen=True)
class Plan:
    """A sweep that was checked, and of which nothing is written yet.

    Attributes:
        graph: its runs, with those that only later looks of a seed plan may need.
        store: the folder that they go to; it may not exist.
        manifest: the content of ``sweep.json`` if all of them were to run.
        tuning: what its arms choose from; None where nothing is tuned. Judged runs of arms that have not
            chosen stand in ``graph`` at the first point.
        memory: bytes that the largest run needs beside what every run needs, as far as they are known.
        notes: what was decided while it was planned, a line each.
        config: the suite as YAML, as it was loaded.
    """

    graph: Graph
    store: RunStore
    manifest: JsonObject
    notes: tuple[str, ...]
    memory: int = 0
    tuning: SuiteTuning | None = None
    config: str = ""

    @property
    def look_words(self) -> str:
        """Seeds per arm at each look of its seed plan."""
        return f"{in_words(read_looks(self.manifest))} seeds per arm"

    def next(self, decide: Decide) -> SeedLook:
        """What would run next: the tuning runs while an arm has not chosen, else the look that comes.

        Args:
            decide: which arms go on after a look.

        Returns:
            A part of the sweep that runs in one go.
        """
        if self.tuning is not None and self.tuning.open:
            return self.tuning.stage(self.manifest)
        return self.looks(decide).next()

    def finished(self) -> int:
        """How many of its runs are finished, whatever the arms chose meanwhile.

        Returns:
            A number of runs, each counted once.
        """
        known = {*self.graph.specs}
        with suppress(StoreError):
            known |= {str(row["id"]) for row in read_manifest(self.store.root)["runs"]}
        return sum(self.store.folder(each).finished for each in known)

    def looks(self, decide: Decide) -> Looks:
        """The looks of its seed plan; one look of everything where it has none.

        Args:
            decide: which arms go on after a look.
        """
        return Looks(self.graph, self.manifest, self.store, decide)


def prepare(
    suite: MatrixConfig,
    output: Path,
    say: Say = silent,
    *,
    replace: bool = False,
    despite: Collection[str] = (),
    events: bool = True,
) -> Plan:
    """Check a suite before anything is trained. Nothing is written.

    Args:
        suite: the suite as it was loaded.
        output: the sweep's folder; it may not exist.
        say: gets a line now and then.
        replace: let the suite take the place of another matrix in that folder.
        despite: reuse finished runs though these differ: ``code``, ``versions``.
        events: whether runs write TensorBoard's event files.

    Returns:
        What is to run.

    Raises:
        RLTransferError: an environment cannot be built, a perturbation has no effect, a strategy
            does not fit the network, the folder holds another matrix, results that were looked at under
            another seed plan, choices from another grid, or runs that other code computed, or cannot be
            written.
    """
    store = RunStore(output, events=events)
    store.refuse_unwritable()
    runner = room(suite.kind)
    notes: list[str] = []
    before = None if replace else pinned_choices(store, suite.tune)
    loaded, suite = suite, runner.resolve(suite, notes.append)
    tuning = tuned(loaded, suite, runner.resolve, before)
    if tuning is not None:
        tuning = tuning.looked_for_judged(suite, store)
        if tuning.late:
            notes.append(f"{JUDGED_BEFORE} in {store.root}; the report will say so")
    graph = build_graph(suite) if tuning is None else tuning.graph
    with chdir("."):  # code of the user's may change the current folder, where relative paths begin
        found = runner.preflight(suite, say)
        if tuning is not None:
            tuning.check(lambda each: runner.preflight(each, say))
    if not replace:  # after the preflight: a misspelt setting is no other matrix
        check_matrix(output, manifest(suite, graph, runner.labels, {}), graph.specs)
    sizes = [known.get(MEMORY) for named in found.values() for known in named.values()]
    planned = manifest(suite, graph, runner.labels, _without_memory(found))
    is_plan = isinstance(suite.seeds, SeedPlan)
    stages = suite.stages if replace else declared_looks(store, suite.stages, is_plan=is_plan)
    planned = with_looks(planned, stages)
    planned = planned if tuning is None else tuning.pinned(planned)
    planned = planned if replace else _with_first_tolerances(store, planned, notes.append)
    if late := declared_after(store, planned, graph):
        planned = {**planned, LATE: late}
        notes.append(f"{late_words(planned)}; the report will say so")
    refuse_other_code(graph.specs, store, despite)
    memory = max((each for each in sizes if isinstance(each, int)), default=0)
    text = as_yaml(loaded)
    planned = {**planned, CONFIG_DIGEST: digest(text, 64)}
    return Plan(graph, store, planned, tuple(notes), memory, tuning, text)


def _without_memory(facts: Facts) -> Facts:
    return {
        group: {name: {k: each for k, each in known.items() if k != MEMORY} for name, known in named.items()}
        for group, named in facts.items()
    }


def _with_first_tolerances(store: RunStore, planned: JsonObject, say: Say) -> JsonObject:
    """The manifest with the δ that the folder was given before its first run ended, if there is any."""
    try:
        before = read_manifest(store.root)
    except StoreError:  # missing or damaged
        return planned
    if not any((store.folder(each).path / "record.json").exists() for each in store.identifiers()):
        return planned
    kept, others = keep_tolerances(planned, before)
    if others:
        say(
            f"δ on {listing(others, 3)} stays what it was before the first run of this folder ended: one "
            "that is chosen after results were seen proves nothing. Another folder (--output) takes the "
            "new one"
        )
    return kept


def run_sweep(
    plan: Plan,
    make_executor: Callable[[Path], Executor],
    on_change: OnChange,
    say: Say = silent,
    *,
    decide: Decide = nothing_goes_on,
    choose: Choose = nothing_is_chosen,
    on_finished: Callable[[Graph, str], None] = lambda graph, identifier: None,
    portray: Portray = nothing_is_portrayed,
    replace: bool = False,
    own_process: bool = True,
) -> State:
    """Write ``sweep.json``, execute the graph and keep the readable TensorBoard view up to date.

    With a seed plan, that of one look after the other, as long as ``decide`` names arms that go on. Where
    something is tuned, tuning runs come first, and ``choose`` says which point each arm is judged at. The
    folder is locked before anything in it changes. Ctrl-C stops the sweep between two events.

    Args:
        plan: as :func:`prepare` gave it.
        make_executor: what executes the runs, for the sweep's folder; closed at the end.
        on_change: is told what happens, and where the sweep stands a few times per second.
        decide: which arms go on to the next look, by what the records of the last one say.
        choose: which point each arm chooses, by what the records of the tuning runs say.
        on_finished: gets the graph and each run that is finished, those that were before included.
        portray: what the tasks of the suite are, for the report; it is asked beside the first runs.
        say: is told of damaged runs that were moved aside, of runs that are taken on trust, and of runs
            that have no place in the matrix any more.
        replace: let the plan take the place of another matrix in the folder.
        own_process: whether a second Ctrl-C may end the process.

    Returns:
        Where the sweep stands at its end: what was reused, done, failed and skipped.

    Raises:
        StoreError: another process writes to the folder, or it holds another matrix; it is as it was.
        KeyboardInterrupt: somebody stopped it; what is finished is kept.
    """
    store = plan.store
    linked: set[str] = set()

    def changed(state: State, events: Sequence[Event]) -> None:
        ended = {event.id for event in events if event.what == "finished"}
        for identifier in (ended | state.running) - linked:
            if store.folder(identifier).tensorboard.is_dir():
                graph = state.graph
                link_events(store.root, graph.rows_of[identifier], several=graph.several_sources)
                linked.add(identifier)
        for identifier in ended:
            on_finished(state.graph, identifier)
        on_change(state, events)

    with Stops(own=own_process) as stops, store.lock():
        if not replace:
            check_matrix(store.root, plan.manifest, plan.graph.specs)
        store.open()
        planned = plan.manifest if replace else _with_first_tolerances(store, plan.manifest, say)
        if left := no_longer_planned(store, plan.manifest):
            say(
                f"{left} finished runs in {store.root} have no place in this matrix; they stay where they are"
            )
        write_config(store.root, plan.config)
        graph, tuning, state = plan.graph, plan.tuning, None
        with beside(store.root, portray), closing(make_executor(store.root)) as executor:
            if tuning is not None and tuning.open:
                stage = tuning.stage(planned)
                write_manifest(store.root, stage.manifest)
                state = run_graph(stage.graph, store, executor, changed, say, stops, look=stage)
                tuning = tuning.choose(choose(store.root, stage.manifest))
                graph, planned = tuning.graph, tuning.pinned(planned)
            looks = Looks(graph, planned, store, decide)
            look = looks.next()
            while True:
                write_manifest(store.root, look.manifest)
                state = run_graph(look.graph, store, executor, changed, say, stops, look=look, before=state)
                following = looks.after(look)
                if following is None:
                    break
                look = following
    for identifier in state.reused:
        on_finished(state.graph, identifier)
    return state

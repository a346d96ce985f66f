"""A seed plan as runs: who goes on, crashes at any point, seeds beyond the plan, plans that were changed."""

import json
import shutil
from collections.abc import Collection, Sequence
from concurrent.futures import Future
from dataclasses import replace
from pathlib import Path

import pytest

from rl_transfer.errors import StoreError
from rl_transfer.results import (
    PLAYED,
    TOLERANCES,
    RunStore,
    declared_tolerances,
    read_manifest,
    write_manifest,
)
from rl_transfer.results.looks import LATE, LOOKS, late_words
from rl_transfer.spec import JsonObject, RLSuite, load
from rl_transfer.sweep.dispatch import SUITES
from rl_transfer.sweep.graph import Graph, build_graph
from rl_transfer.sweep.json_lines import JsonLines
from rl_transfer.sweep.looks import CellPlace, Looks, declared_after, declared_looks, with_looks
from rl_transfer.sweep.progress import headline
from rl_transfer.sweep.scheduler import Event, State, run_graph
from rl_transfer.sweep.sweep import Plan, run_sweep
from support.records import write_finished
from support.sweeps import SUITE, write_suite

PLANNED = "seeds={plan: [4, 6, 9]}"
FINE: CellPlace = ("base", "reversed", "fine-tune")
SCRATCH: CellPlace = (None, "reversed", "scratch")


class Writes:
    """An executor that leaves the least record of each run; dies after so many, fails those it is told to."""

    slots = 2

    def __init__(self, dies: int = 10_000, fails: Collection[str] = ()) -> None:
        self.left, self.fails, self.ran = dies, fails, list[str]()

    def submit(self, job: str) -> Future[None]:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        folder = Path(json.loads(job)["folder"])
        self.ran.append(folder.name)
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()
        if folder.name in self.fails:
            future.set_exception(StoreError("by order"))
        else:
            write_finished(folder)
            future.set_result(None)
        return future

    def cancel(self, future: Future[None]) -> None:
        """Every job is done already."""

    def close(self) -> None:
        """Nothing is open."""


def plan_of(folder: Path, *overrides: str) -> Plan:
    """What ``prepare`` gives, without looking at environments."""
    loaded = load(str(write_suite(folder, SUITE)), SUITES, "suites", list(overrides)).config
    assert isinstance(loaded, RLSuite)
    graph, store = build_graph(loaded), RunStore(folder / "out")
    rows = [
        {"id": r.id, "role": r.role, "source": r.source, "target": r.target, "strategy": r.strategy,
         "seed": r.seed, "needs": [*r.needs]}
        for r in graph.rows
    ]  # fmt: skip
    planned = {"config": loaded.plain(), TOLERANCES: declared_tolerances(loaded.plain()), "runs": rows}
    stages = declared_looks(store, loaded.stages, is_plan=not isinstance(loaded.seeds, tuple))
    return Plan(graph, store, with_looks(planned, stages), ())


def fine_goes_on(_folder: Path, manifest: JsonObject) -> Collection[CellPlace]:
    """One cell and its from-scratch arm are never decided."""
    del manifest
    return {FINE, SCRATCH}


def place(graph: Graph, identifier: str) -> set[tuple[str, int]]:
    return {(row.strategy or row.role, row.seed) for row in graph.rows_of[identifier]}


def test_a_look_takes_the_arms_that_go_on_and_the_sources_that_they_need(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, PLANNED)
    looks = Looks(plan.graph, plan.manifest, plan.store, fine_goes_on)
    first = looks.first()
    assert (first.number, first.of, first.seeds) == (1, 3, 4)
    assert {row.seed for row in first.graph.rows} == {0, 1, 2, 3}
    second = looks.after(first)
    assert second is not None
    added = [row for row in second.graph.rows if row.seed in (4, 5)]
    assert {(row.role, row.source, row.target, row.strategy) for row in added} == {
        ("source", "base", None, None),
        ("target", "base", "reversed", "fine-tune"),
        ("target", None, "reversed", "scratch"),
    }
    assert len(second.manifest["runs"]) == len(second.graph.rows)
    third = looks.after(second)
    assert third is not None
    assert {
        row.seed for row in third.graph.rows if row.strategy == "fine-tune" and row.target == "reversed"
    } == {*range(9)}
    assert looks.after(third) is None


def test_a_sweep_ends_when_everything_is_decided(tmp_path: Path) -> None:
    plan, executor, asked = plan_of(tmp_path, PLANNED), Writes(), list[int]()

    def decide(_folder: Path, manifest: JsonObject) -> Collection[CellPlace]:
        asked.append(max(row["seed"] for row in manifest["runs"]))
        return {FINE, SCRATCH} if len(asked) == 1 else ()

    run_sweep(plan, lambda _: executor, lambda _, __: None, decide=decide)
    assert asked == [3, 5]
    written = read_manifest(plan.store.root)
    assert written[LOOKS] == [[0, 1, 2, 3], [4, 5], [6, 7, 8]]
    assert {row["id"] for row in written["runs"]} == {*executor.ran}
    assert len(executor.ran) == len({*executor.ran}), "nothing runs twice"


@pytest.mark.parametrize("dies", [0, 1, 7, 33, 34, 35, 40, 43])
def test_a_sweep_that_died_anywhere_ends_like_one_that_did_not(tmp_path: Path, dies: int) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    once = Writes()
    run_sweep(plan_of(whole, PLANNED), lambda _: once, lambda _, __: None, decide=fine_goes_on)
    first, rest = Writes(dies), Writes()
    with pytest.raises(KeyboardInterrupt):
        run_sweep(plan_of(cut, PLANNED), lambda _: first, lambda _, __: None, decide=fine_goes_on)
    run_sweep(plan_of(cut, PLANNED), lambda _: rest, lambda _, __: None, decide=fine_goes_on)
    assert sorted([*first.ran, *rest.ran]) == sorted(once.ran)
    assert read_manifest(whole / "out") == read_manifest(cut / "out")


def test_what_failed_is_not_tried_again_at_the_next_look_but_by_the_next_sweep(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, PLANNED)
    fails = next(row.id for row in plan.graph.rows if row.strategy == "random-frozen" and row.seed == 1)
    executor = Writes(fails=[fails])
    state = run_sweep(plan, lambda _: executor, lambda _, __: None, decide=fine_goes_on)
    assert executor.ran.count(fails) == 1
    assert [*state.failed] == [fails]
    assert state.look is not None
    assert state.look.number == 3
    again = Writes()
    run_sweep(plan_of(tmp_path, PLANNED), lambda _: again, lambda _, __: None, decide=fine_goes_on)
    assert again.ran == [fails]


def test_what_needs_a_source_that_failed_at_an_earlier_look_is_skipped(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, PLANNED)
    looks = plan.looks(fine_goes_on)
    source = next(row.id for row in plan.graph.rows if row.role == "source" and row.seed == 0)
    before = run_graph(looks.first().graph, plan.store, Writes(fails=[source]), lambda _, __: None)
    after = run_graph(looks.first().graph, plan.store, Writes(), lambda _, __: None, before=before)
    assert after.done == before.done
    assert {*after.skipped} == {*before.skipped} == {*plan.graph.dependants[source]}


def test_seeds_beyond_a_plan_come_after_it_and_for_every_arm(tmp_path: Path) -> None:
    run_sweep(plan_of(tmp_path, PLANNED), lambda _: Writes(), lambda _, __: None, decide=fine_goes_on)
    more, executor, numbers = plan_of(tmp_path, "seeds=11"), Writes(), set[int]()
    assert more.manifest[LOOKS] == [[0, 1, 2, 3], [4, 5], [6, 7, 8]]

    def note(state: State, _events: object) -> None:
        numbers.add(state.look.number if state.look else 0)

    run_sweep(more, lambda _: executor, note, decide=fine_goes_on)
    assert numbers == {4}
    assert {row["seed"] for row in read_manifest(more.store.root)["runs"]} == {*range(11)}
    decided = {
        seed for ran in executor.ran for name, seed in place(more.graph, ran) if name == "random-frozen"
    }
    assert decided == {*range(4, 11)}


def test_seeds_that_extend_a_single_look_are_no_part_of_it(tmp_path: Path) -> None:
    run_sweep(plan_of(tmp_path, "seeds=4"), lambda _: Writes(), lambda _, __: None)
    assert plan_of(tmp_path, "seeds=6").manifest[LOOKS] == [[0, 1, 2, 3]]
    assert plan_of(tmp_path, "seeds=[5, 3, 2, 1, 0]").manifest[LOOKS] == [[0, 1, 2, 3]]


@pytest.mark.parametrize(
    "overrides",
    [
        "seeds={plan: [4, 6]}",
        "seeds={plan: [4, 6, 9, 12]}",
        "seeds={plan: [6]}",
        "seeds={plan: [4, 6, 9], first: 1}",
        "seeds=4",
        "seeds=[0, 1, 2, 3, 12]",
    ],
)
def test_a_plan_cannot_be_changed_after_its_first_look(tmp_path: Path, overrides: str) -> None:
    plan = plan_of(tmp_path, PLANNED)
    look = plan.looks(fine_goes_on).first()
    plan.store.open()
    write_manifest(plan.store.root, look.manifest)
    plan_of(tmp_path, overrides)  # nobody has seen anything yet
    run_graph(look.graph, plan.store, Writes(), lambda _, __: None)
    with pytest.raises(StoreError, match="looked at with 4, 6, 9 seeds per arm") as raised:
        plan_of(tmp_path, overrides)
    assert "--output" in raised.value.message
    assert "--replace-matrix" in raised.value.message
    plan_of(tmp_path, PLANNED)


def test_a_look_of_fewer_seeds_than_a_verdict_needs_binds_nobody(tmp_path: Path) -> None:
    run_sweep(plan_of(tmp_path, "seeds=3"), lambda _: Writes(), lambda _, __: None)
    assert plan_of(tmp_path, PLANNED).manifest[LOOKS] == [[0, 1, 2, 3], [4, 5], [6, 7, 8]]
    assert plan_of(tmp_path, "seeds=2").manifest[LOOKS] == [[0, 1]]


def test_progress_names_the_look_and_scripts_are_told_of_the_next(tmp_path: Path) -> None:
    said, heads = list[JsonObject](), set[str]()
    lines = JsonLines(lambda line: said.append(json.loads(line)))

    def changed(state: State, events: Sequence[Event]) -> None:
        heads.add(headline(state, PLAYED).partition(" · ")[0])
        lines.update(state, events)

    run_sweep(plan_of(tmp_path, PLANNED), lambda _: Writes(), changed, decide=fine_goes_on)
    assert heads == {"look 1 of 3 (4 seeds)", "look 2 of 3 (6 seeds)", "look 3 of 3 (9 seeds)"}
    told = [(each["look"], each["of"], each["seeds"]) for each in said if each["event"] == "look"]
    assert told == [(2, 3, 6), (3, 3, 9)]
    last = [each for each in said if each["event"] == "progress"][-1]
    assert last["done"] == last["total"]


def test_every_look_is_judged_by_the_tolerances_that_the_folder_began_with(tmp_path: Path) -> None:
    plan, judged = plan_of(tmp_path, PLANNED), list[object]()

    def decide(_folder: Path, manifest: JsonObject) -> Collection[CellPlace]:
        judged.append(manifest[TOLERANCES])
        return {FINE, SCRATCH}

    def given(delta: float) -> Plan:
        return replace(plan, manifest={**plan.manifest, TOLERANCES: {"reversed": {"raw": delta}}})

    with pytest.raises(KeyboardInterrupt):
        run_sweep(given(3.0), lambda _: Writes(dies=3), lambda state, events: None)
    said: list[str] = []
    run_sweep(given(5.0), lambda _: Writes(), lambda state, events: None, said.append, decide=decide)
    assert judged == [{"reversed": {"raw": 3.0}}] * 2
    assert read_manifest(plan.store.root)[TOLERANCES] == judged[0]
    assert any("δ on reversed stays what it was" in line for line in said)


def late(folder: Path, *overrides: str) -> int:
    plan = plan_of(folder, *overrides)
    return declared_after(plan.store, plan.manifest, plan.graph)


def test_what_is_declared_when_results_are_there_is_marked_for_good(tmp_path: Path) -> None:
    assert late(tmp_path, "seeds=4") == 0
    run_sweep(plan_of(tmp_path, "seeds=4"), lambda _: Writes(), lambda _, __: None)
    manifest = tmp_path / "out/sweep.json"
    written = read_manifest(manifest.parent)
    on_targets = {row["id"] for row in written["runs"] if row["role"] == "target"}
    for unchanged in ("seeds=4", "seeds=9", "seeds=[3, 2, 1, 0]", "analysis.reference=threshold"):
        assert late(tmp_path, "seeds=4", unchanged) == 0, (
            "more seeds are exploratory, a scale decides nothing"
        )
    for level in ("analysis.q=0.2", "analysis.confidence=0.5", "analysis.final_share=0.3"):
        assert late(tmp_path, "seeds=4", level) == len(on_targets)
    write_manifest(manifest.parent, {**written, LATE: 7})
    assert late(tmp_path, "seeds=4") == 7, "a mark stays"
    write_manifest(manifest.parent, {**written, TOLERANCES: {"reversed": {"raw": 1.0}}})
    assert late(tmp_path, "seeds=4") == len(on_targets), "only a matrix that is replaced has another δ"
    manifest.unlink()
    assert late(tmp_path, "seeds=4") == len(on_targets)
    assert late(tmp_path, PLANNED) == len(on_targets)
    assert "runs on targets had ended when seeds, δ" in late_words({LATE: len(on_targets)})


def test_a_plan_that_is_changed_after_a_run_of_its_first_look_was_deleted_is_marked(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, "seeds=5")
    run_sweep(plan, lambda _: Writes(), lambda _, __: None)
    last = next(row for row in plan.graph.rows if row.strategy == "fine-tune" and row.seed == 4)
    shutil.rmtree(plan.store.folder(last.id).path)
    assert late(tmp_path, "seeds=5") == 0, "it is computed again"
    assert late(tmp_path, PLANNED) > 0


def test_fewer_runs_than_a_verdict_needs_mark_nothing(tmp_path: Path) -> None:
    run_sweep(plan_of(tmp_path, "seeds=3"), lambda _: Writes(), lambda _, __: None)
    (tmp_path / "out/sweep.json").unlink()
    assert late(tmp_path, PLANNED) == 0

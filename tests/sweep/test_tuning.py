"""Tuning as runs: what each arm is tried at, what it is judged at, crashes at any point, changed grids."""

import json
import math
import shutil
from collections.abc import Collection, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from rl_transfer.analysis import analyse, choices, read_sweep, summary
from rl_transfer.analysis.tuning_words import tuning_notes
from rl_transfer.errors import ConfigError, StoreError
from rl_transfer.results import PLAYED, RunFolder, RunStore, read_manifest
from rl_transfer.results.address import addresses, run_at
from rl_transfer.results.inventory import leftovers
from rl_transfer.results.tuning import TUNING, ArmPlace, read_tuning
from rl_transfer.spec import JsonObject, MatrixConfig, RLSuite, load
from rl_transfer.spec.tune import FIRST_SEED
from rl_transfer.sweep.dispatch import SUITES
from rl_transfer.sweep.forecast import forecast
from rl_transfer.sweep.graph import build_graph, manifest
from rl_transfer.sweep.json_lines import JsonLines
from rl_transfer.sweep.looks import with_looks
from rl_transfer.sweep.matrix import check_matrix
from rl_transfer.sweep.progress import headline
from rl_transfer.sweep.scheduler import State
from rl_transfer.sweep.sweep import Plan, run_sweep
from rl_transfer.sweep.tuning import pinned_choices, tuned
from support.records import change_manifest, write_record
from support.sweeps import SUITE, write_suite

ONE_TARGET = "".join(line for line in SUITE.splitlines(keepends=True) if "base-again" not in line)
GRID = "tune={grid: {algorithm.learning_rate: [0.001, 0.01, 0.1]}, seeds: 2}"
BEST = {"scratch": 0.01, "fine-tune": 0.1, "frozen-trunk-new-head": 0.001, "random-frozen": 0.01}
"""The rate at which :class:`Plays` scores best, by what a strategy copies and freezes."""
SCRATCH: ArmPlace = (None, "reversed", "scratch")
FINE: ArmPlace = ("base", "reversed", "fine-tune")


def called(strategy: JsonObject) -> str:
    if not strategy["copy"]:
        return "random-frozen" if strategy["freeze"] else "scratch"
    return "frozen-trunk-new-head" if strategy["freeze"] else "fine-tune"


def curve_of(run: JsonObject) -> list[float]:
    """J at three evaluations: the higher the nearer the rate is to the strategy's best; noise by seed."""
    if run["algorithm"] is None:
        return [10.0, 10.0, 10.0]
    strategy, rate, seed = called(run["strategy"]), run["algorithm"]["learning_rate"], run["seed"]
    off = abs(round(math.log10(rate / BEST[strategy])))
    noise = (seed * 7919) % 11
    return [10.0, 60.0 - 20 * off + noise, 90.0 - 20 * off + noise]


class Plays:
    """An executor that leaves a curve for each run; dies after so many, fails those it is told to."""

    slots = 2

    def __init__(self, dies: int = 10_000, fails: Collection[str] = ()) -> None:
        self.left, self.fails, self.ran = dies, fails, list[JsonObject]()

    def submit(self, job: str) -> Future[None]:
        if not self.left:
            raise KeyboardInterrupt
        self.left -= 1
        asked = json.loads(job)
        folder, run = Path(asked["folder"]), asked["run"]
        self.ran.append({"id": folder.name, **run})
        future: Future[None] = Future()
        future.set_running_or_notify_cancel()
        if folder.name in self.fails:
            future.set_exception(StoreError("by order"))
        else:
            folder.mkdir(parents=True)
            points = [
                {"evaluation": k, "step": 32 * k, "returns": [J, J], "lengths": [1, 1]}
                for k, J in enumerate(curve_of(run))
            ]
            (folder / "curve.jsonl").write_text("\n".join(map(json.dumps, points)) + "\n", encoding="utf-8")
            record = {"id": folder.name, "spec": run, "total_steps": 64, "source_run": run["source"]}
            write_record(folder, record)
            future.set_result(None)
        return future

    def cancel(self, future: Future[None]) -> None:
        """Every job is done already."""

    def close(self) -> None:
        """Nothing is open."""


def plan_of(folder: Path, *overrides: str, replace: bool = False) -> Plan:
    """What ``prepare`` gives, without looking at environments."""
    loaded = load(str(write_suite(folder, ONE_TARGET)), SUITES, "suites", [*overrides]).config
    assert isinstance(loaded, RLSuite)
    store = RunStore(folder / "out")
    found = None if replace else pinned_choices(store, loaded.tune)
    tuning = tuned(loaded, loaded, lambda each: each, found)
    tuning = None if tuning is None else tuning.looked_for_judged(loaded, store)
    graph = build_graph(loaded) if tuning is None else tuning.graph
    planned = manifest(loaded, graph, PLAYED, {"targets": {"reversed": {"reward_threshold": 475.0}}})
    planned = with_looks(planned, loaded.stages)
    planned = planned if tuning is None else tuning.pinned(planned)
    if not replace:
        check_matrix(store.root, planned, {})
    return Plan(graph, store, planned, (), tuning=tuning)


def sweep(folder: Path, *overrides: str, executor: Plays | None = None, **options: Any) -> Plays:
    ran = executor or Plays()
    plan = plan_of(folder, *overrides, replace=options.get("replace", False))
    run_sweep(plan, lambda _: ran, lambda _, __: None, choose=choices, **options)
    return ran


def chosen(folder: Path) -> Mapping[ArmPlace, int]:
    found = read_tuning(read_manifest(folder / "out"))
    assert found is not None
    return found.choices


def test_every_arm_is_tried_at_every_point_and_judged_at_its_own(tmp_path: Path) -> None:
    ran = sweep(tmp_path, GRID, "seeds=4").ran
    trained = [run for run in ran if run["policy"] == "trained"]
    tuning = [run for run in trained if run["seed"] >= FIRST_SEED]
    on_targets = [run for run in tuning if run["env"]["perturb"]]
    assert len(on_targets) == 4 * 3 * 2, "four strategies, three points, two seeds"
    budgets = {(run["training"]["total_steps"], run["evaluation"]["every"]) for run in on_targets}
    assert budgets == {(64, 32)}, "all of the same budget"
    judged = [run for run in trained if run["seed"] < FIRST_SEED and run["env"]["perturb"]]
    assert len(judged) == 4 * 4
    for run in judged:
        assert run["algorithm"]["learning_rate"] == BEST[called(run["strategy"])]
    sources = [run for run in trained if not run["env"]["perturb"] and run["source"] is None]
    own = {run["algorithm"]["learning_rate"] for run in sources if run["training"]["total_steps"] == 128}
    assert 3e-4 in own, "the suite's own rate trains the sources"
    assert len(ran) == len({run["id"] for run in ran}), "nothing runs twice"


def test_the_choice_is_the_argmax_of_means_recomputed_from_the_curves(tmp_path: Path) -> None:
    sweep(tmp_path, GRID)
    means: dict[ArmPlace, dict[int, list[float]]] = {}
    for row in read_manifest(tmp_path / "out")["runs"]:
        if row["role"] == TUNING and row["target"]:
            lines = (tmp_path / "out/runs" / row["id"] / "curve.jsonl").read_text("utf-8").splitlines()
            first, second, third = (json.loads(line)["returns"][0] for line in lines)
            area = (first + 2 * second + third) / 4  # two trapezoids of equal width
            arm = row["source"], row["target"], row["strategy"]
            means.setdefault(arm, {}).setdefault(row["point"], []).append(area)
    by_hand = {arm: max(points, key=lambda p: sum(points[p])) for arm, points in means.items()}
    assert chosen(tmp_path) == by_hand
    assert len(by_hand) == 4


def test_tuning_seeds_start_from_sources_of_their_own(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, GRID)
    assert plan.tuning is not None
    rows = {row.id: row for row in plan.graph.rows}
    fed = [row for row in plan.graph.rows if row.role == TUNING and row.needs]
    assert fed
    for row in fed:
        source = rows[row.needs[0]]
        assert (source.role, source.seed) == (TUNING, row.seed)
    seeds = {
        role: {row.seed for row in plan.graph.rows if (row.role == TUNING) is role} for role in (True, False)
    }
    assert not seeds[True] & seeds[False]
    assert {row.seed for row in fed} == {FIRST_SEED, FIRST_SEED + 1}


def test_without_tune_the_graph_and_the_manifest_are_what_they_were(tmp_path: Path) -> None:
    loaded = load(str(write_suite(tmp_path, ONE_TARGET)), SUITES, "suites", []).config
    assert isinstance(loaded, MatrixConfig)
    assert "tune" not in loaded.plain()
    rows = plan_of(tmp_path).manifest["runs"]
    assert {*rows[0]} == {"id", "role", "source", "target", "strategy", "seed", "needs"}
    assert TUNING not in plan_of(tmp_path).manifest


@pytest.mark.parametrize("dies", [0, 3, 25, 26, 27, 30, 36])
def test_a_killed_sweep_ends_like_one_that_was_not(tmp_path: Path, dies: int) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    sweep(whole, GRID)
    with pytest.raises(KeyboardInterrupt):
        sweep(cut, GRID, executor=Plays(dies=dies))
    again = sweep(cut, GRID)
    assert read_manifest(cut / "out") == read_manifest(whole / "out")
    assert len(again.ran) + dies == len({row["id"] for row in read_manifest(whole / "out")["runs"]})
    assert not [each for each in leftovers(cut / "out") if each.path.parent.name == "runs"]


def test_between_tuning_and_judging_nothing_is_reported_and_nothing_is_garbage(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, GRID, executor=Plays(dies=15))
    with pytest.raises(StoreError, match=r"still being tuned \(15 of 26 tuning runs finished\)"):
        read_sweep(tmp_path / "out")
    assert leftovers(tmp_path / "out") == []


def test_a_changed_grid_is_refused_once_the_arms_have_chosen(tmp_path: Path) -> None:
    sweep(tmp_path, GRID)
    for other in (
        "tune={grid: {algorithm.learning_rate: [0.001, 0.01, 0.1, 0.2]}, seeds: 2}",
        "tune={grid: {algorithm.learning_rate: [0.01, 0.1]}, seeds: 2}",
        "tune={grid: {algorithm.learning_rate: [0.001, 0.01, 0.1]}, seeds: 3}",
        "tune={grid: {algorithm.learning_rate: [0.001, 0.01, 0.1]}, seeds: 2, by: final_performance}",
    ):
        with pytest.raises(StoreError, match=r"this suite tunes otherwise.*--output.*--replace-matrix"):
            plan_of(tmp_path, other)
    with pytest.raises(StoreError, match="this suite does not tune"):
        plan_of(tmp_path)
    assert plan_of(tmp_path, GRID).tuning is not None


def test_a_grid_may_grow_before_anything_was_chosen(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, GRID, executor=Plays(dies=15))
    more = "tune={grid: {algorithm.learning_rate: [0.001, 0.01, 0.1, 0.2]}, seeds: 2}"
    sweep(tmp_path, more)
    assert chosen(tmp_path)[FINE] == 2


def test_a_folder_that_was_judged_without_tuning_is_not_tuned_later(tmp_path: Path) -> None:
    sweep(tmp_path)
    with pytest.raises(StoreError, match="declared after results were seen"):
        plan_of(tmp_path, GRID)
    sweep(tmp_path, GRID, replace=True)
    assert chosen(tmp_path)[SCRATCH] == 1


def test_choices_stay_when_seeds_and_strategies_are_added(tmp_path: Path) -> None:
    fewer = "strategies=[scratch, fine-tune]"
    sweep(tmp_path, GRID, fewer)
    before = chosen(tmp_path)
    new = sweep(tmp_path, GRID, "seeds=3")
    assert {arm: point for arm, point in chosen(tmp_path).items() if arm in before} == before
    assert len(chosen(tmp_path)) == 4
    fresh = {called(run["strategy"]) for run in new.ran if run["seed"] >= FIRST_SEED}
    assert fresh == {"frozen-trunk-new-head", "random-frozen"}, "tuned arms are not tuned again"
    assert {run["seed"] for run in new.ran if called(run["strategy"]) == "fine-tune"} == {2}


def test_judged_runs_of_arms_that_have_chosen_stay_listed_while_others_are_tuned(tmp_path: Path) -> None:
    sweep(tmp_path, GRID, "strategies=[scratch, fine-tune]")
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, GRID, executor=Plays(dies=3))
    assert [each for each in leftovers(tmp_path / "out") if each.path.parent.name == "runs"] == []
    assert chosen(tmp_path)[FINE] == 2


def test_a_point_that_lacks_a_run_never_wins(tmp_path: Path) -> None:
    rows = plan_of(tmp_path, GRID).graph.rows
    (first, _) = [
        row.id for row in rows
        if row.role == TUNING and (row.source, row.target, row.strategy) == FINE and row.point == 2
    ]  # fmt: skip
    sweep(tmp_path, GRID, executor=Plays(fails=[first]))
    assert chosen(tmp_path)[FINE] == 1, "the second best"
    sweep(tmp_path, GRID)
    assert chosen(tmp_path)[FINE] == 1, "what is pinned stays, though the run has come meanwhile"
    text = "\n".join(tuning_notes(analyse(read_sweep(tmp_path / "out"))))
    assert "fine-tune on reversed (learning_rate=0.1, not learning_rate=0.01)" in text


def test_an_arm_without_a_complete_point_takes_the_first_and_is_said_to_be_untuned(tmp_path: Path) -> None:
    rows = plan_of(tmp_path, GRID).graph.rows
    mine = [
        row.id for row in rows
        if row.role == TUNING and (row.source, row.target, row.strategy) == FINE and row.seed == FIRST_SEED
    ]  # fmt: skip
    sweep(tmp_path, GRID, executor=Plays(fails=mine))
    assert chosen(tmp_path)[FINE] == 0
    result = analyse(read_sweep(tmp_path / "out")).tuning
    assert result is not None
    assert [arm.key for arm in result.arms.values() if arm.untuned] == [FINE]
    sweep(tmp_path, GRID)
    result = analyse(read_sweep(tmp_path / "out")).tuning
    assert result is not None
    assert [arm.key for arm in result.arms.values() if arm.untuned] == [FINE], "its runs came too late"


def test_deleted_tuning_runs_make_no_arm_untuned(tmp_path: Path) -> None:
    sweep(tmp_path, GRID)
    for row in read_manifest(tmp_path / "out")["runs"]:
        if row["role"] == TUNING and row["strategy"] == "scratch":
            shutil.rmtree(tmp_path / "out/runs" / row["id"])
    text = "\n".join(tuning_notes(analyse(read_sweep(tmp_path / "out"))))
    assert "not tuned" not in text
    assert "scratch on reversed (none: no point has all its runs)" in text


@pytest.mark.parametrize("first", [GRID, "seeds=2"])
def test_a_choice_after_judged_runs_whose_pin_is_lost_is_marked_for_good(tmp_path: Path, first: str) -> None:
    sweep(tmp_path, first, "algorithm.learning_rate=0.002")
    (tmp_path / "out/sweep.json").unlink()
    other = "tune={grid: {algorithm.learning_rate: [0.001, 0.01]}, seeds: 2}"
    sweep(tmp_path, other, "algorithm.learning_rate=0.002")
    for _ in range(2):
        found = read_tuning(read_manifest(tmp_path / "out"))
        assert found is not None
        assert found.late
        text = "\n".join(tuning_notes(analyse(read_sweep(tmp_path / "out"))))
        assert "! judged runs of this suite were finished before its arms chose" in text
        assert sweep(tmp_path, other, "algorithm.learning_rate=0.002").ran == []


@pytest.mark.parametrize("lost", [True, False])
def test_judged_runs_at_values_that_the_grid_no_longer_has_are_noticed(tmp_path: Path, lost: bool) -> None:
    """fine-tune was judged at 0.1 and the others at 0.01 or 0.001; another budget is another question."""
    sweep(tmp_path, GRID)
    assert {*chosen(tmp_path).values()} == {0, 1, 2}
    if lost:
        (tmp_path / "out/sweep.json").unlink()
    other = "tune={grid: {algorithm.learning_rate: [0.0002, 0.0003]}, seeds: 2}"
    longer = plan_of(tmp_path, other, "training.total_steps=256", replace=not lost).tuning
    assert longer is not None
    assert not longer.late
    sweep(tmp_path, other, replace=not lost)
    found = read_tuning(read_manifest(tmp_path / "out"))
    assert found is not None
    assert found.late
    assert "judged runs of this suite were finished" in "\n".join(
        tuning_notes(analyse(read_sweep(tmp_path / "out")))
    )


def test_a_suite_that_does_not_tune_is_refused_where_the_pin_of_tuned_runs_is_lost(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, GRID, executor=Plays(dies=20))
    (tmp_path / "out/sweep.json").unlink()
    assert plan_of(tmp_path).tuning is None, "nothing was chosen, so nothing was judged"
    sweep(tmp_path, GRID)
    (tmp_path / "out/sweep.json").write_text("{", encoding="utf-8")
    said = r"has 26 finished tuning runs beside 10 others.*does not tune.*--output.*--replace-matrix"
    with pytest.raises(StoreError, match=said):
        plan_of(tmp_path)
    sweep(tmp_path, replace=True)
    assert plan_of(tmp_path).tuning is None, "said once"


def test_tuning_that_is_begun_anew_without_judged_runs_is_not_marked(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        sweep(tmp_path, GRID, executor=Plays(dies=20))
    (tmp_path / "out/sweep.json").unlink()
    sweep(tmp_path, GRID)
    found = read_tuning(read_manifest(tmp_path / "out"))
    assert found is not None
    assert not found.late


def test_looks_of_a_seed_plan_are_over_judged_seeds_alone(tmp_path: Path) -> None:
    seen: list[set[int]] = []

    def decide(_folder: Path, manifest: JsonObject) -> Collection[ArmPlace]:
        seen.append({row["seed"] for row in manifest["runs"] if row["role"] == "target"})
        return {SCRATCH, FINE}

    ran = sweep(tmp_path, GRID, "seeds={plan: [4, 6]}", decide=decide).ran
    assert seen == [{0, 1, 2, 3}]
    late = [run for run in ran if run["seed"] in (4, 5) and run["env"]["perturb"]]
    assert {called(run["strategy"]) for run in late} == {"scratch", "fine-tune"}
    assert all(run["algorithm"]["learning_rate"] == BEST[called(run["strategy"])] for run in late)
    listed = read_manifest(tmp_path / "out")["runs"]
    assert sum(row["role"] == TUNING for row in listed) == len([r for r in ran if r["seed"] >= FIRST_SEED])


def test_progress_dry_run_and_scripts_are_told_of_the_tuning(tmp_path: Path) -> None:
    plan = plan_of(tmp_path, GRID)
    look = plan.next(lambda _, __: ())
    assert (look.number, look.words) == (0, "tuning (2 seeds a point)")
    assert forecast(look.graph, plan.store, 1).runs == {TUNING: 26}
    told, lines = list[str](), list[str]()
    scripts = JsonLines(lines.append)

    def note(state: State, events: Any) -> None:
        told.append(headline(state, PLAYED))
        scripts.update(state, events)

    run_sweep(plan, lambda _: Plays(), note, choose=choices)
    assert told[0].startswith("tuning (2 seeds a point) · ")
    assert not told[-1].startswith("tuning")
    looks = [each for each in map(json.loads, lines) if each["event"] == "look"]
    assert [(each["look"], each["of"]) for each in looks] == [(1, 1)]
    assert plan.finished() == len(plan.graph.specs)
    assert plan_of(tmp_path, GRID).next(lambda _, __: ()).number == 1


def test_tuning_runs_have_names(tmp_path: Path) -> None:
    sweep(tmp_path, GRID)
    out = tmp_path / "out"
    names = addresses(read_manifest(out))
    assert f"tuning/point-1/reversed/fine-tune/{FIRST_SEED}" in names
    assert f"tuning/source/base/{FIRST_SEED}" in names
    assert len(names["reversed/fine-tune/0"]) == 1, "no tuning run answers to the name of a judged one"
    assert run_at(Path(f"{out}:tuning/point-1/reversed/scratch/{FIRST_SEED}")).is_dir()
    plan = plan_of(tmp_path, GRID)
    labels = {plan.graph.label(each) for each in plan.graph.specs}
    assert f"tuning base→reversed/fine-tune/point-1/seed-{FIRST_SEED}" in labels
    assert f"tuning source base/seed-{FIRST_SEED}" in labels


def test_what_is_judged_does_not_depend_on_how_the_arms_were_tuned(tmp_path: Path) -> None:
    """The tables of a tuned sweep are those of its judged runs alone."""
    sweep(tmp_path, GRID, "seeds=5")
    out = tmp_path / "out"
    found = summary(analyse(read_sweep(out)))
    alone = [row for row in read_manifest(out)["runs"] if row["role"] != TUNING]
    change_manifest(out, runs=alone, **{TUNING: None})
    without = summary(analyse(read_sweep(out)))
    assert [{k: v for k, v in cell.items() if k != TUNING} for cell in found] == without
    assert all(TUNING in cell for cell in found)
    assert {len(cell["seeds"]) for cell in found} == {5}


def test_the_choice_sees_no_judged_run(tmp_path: Path) -> None:
    """Whatever the judged curves say, and if there are none, the choice is the same; tuning's move it."""
    sweep(tmp_path, GRID)
    out, before = tmp_path / "out", chosen(tmp_path)
    planned = read_manifest(out)
    assert choices(out, planned) == before
    tuning = {row["id"] for row in planned["runs"] if row["role"] == TUNING}
    for row in planned["runs"]:
        if row["id"] not in tuning and row["role"] == "target":
            rewrite(out / "runs" / row["id"], 1000.0 * (row["seed"] + 1))
    assert choices(out, planned) == before
    for row in planned["runs"]:
        if row["id"] not in tuning:
            shutil.rmtree(out / "runs" / row["id"], ignore_errors=True)
    assert choices(out, planned) == before
    for row in planned["runs"]:
        if row["role"] == TUNING and row["target"]:
            rewrite(out / "runs" / row["id"], -10.0 * row["point"])
    assert {*choices(out, planned).values()} == {0}


def rewrite(run: Path, score: float) -> None:
    """Let a run have scored otherwise at every evaluation."""
    record = json.loads((run / "record.json").read_text("utf-8"))
    points = [json.loads(line) for line in (run / "curve.jsonl").read_text("utf-8").splitlines()]
    lines = [json.dumps({**point, "returns": [score, score]}) for point in points]
    (run / "curve.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_record(run, record)
    assert RunFolder(run).read().state == "finished"


def test_points_on_another_engine_are_refused(tmp_path: Path) -> None:
    loaded = load(str(write_suite(tmp_path, ONE_TARGET)), SUITES, "suites", [GRID]).config
    assert isinstance(loaded, RLSuite)

    class OnSB3(RLSuite):
        def plain(self) -> JsonObject:
            data = super().plain()
            for entry in data["targets"].values():
                entry["engine"] = {"name": "sb3"}
            return data

    def resolve(each: MatrixConfig) -> MatrixConfig:
        return OnSB3(**{name: getattr(each, name) for name in each.model_fields_set})

    with pytest.raises(ConfigError, match=r"at learning_rate=0.001 target 'reversed' would train on sb3"):
        tuned(loaded, _compiled(loaded), resolve, None)


def _compiled(suite: RLSuite) -> RLSuite:
    class Compiled(RLSuite):
        def plain(self) -> JsonObject:
            data = super().plain()
            for entry in data["targets"].values():
                entry["engine"] = {"name": "compiled"}
            return data

    return Compiled(**{name: getattr(suite, name) for name in suite.model_fields_set})

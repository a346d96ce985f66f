"""The benchmarks and the profiler still run against the code; nothing is timed here."""

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import engine_agreement, quickstart
from benchmarks.engines import kernels as kernels_module
from benchmarks.engines import tables
from benchmarks.engines.cases import CASES, every_case
from benchmarks.engines.contenders import Row, compete
from benchmarks.engines.floor import Floor
from benchmarks.engines.kernels import kernels, layers_of
from benchmarks.validity import __main__ as validity
from rl_transfer.results import RunStore, run_id
from rl_transfer.spec import RLRun

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py") if path.name != "profile_run.py")


def test_make_bench_runs_every_benchmark() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nbench:")[2].partition("\n##")[0]
    assert sorted(re.findall(r"benchmarks/(\w+\.py)", recipe)) == BENCHMARKS


def test_make_validity_runs_every_simulation_with_the_options_of_the_docs() -> None:
    found = [*validity.commands()]
    assert ["benchmarks.validity.sequential", "power", "--sweeps", "1000"] in found
    assert ["benchmarks.validity.ranking", "--draws", "200"] in found
    files = (ROOT / "benchmarks/validity").glob("[a-z]*.py")
    programs = {f"benchmarks.validity.{path.stem}" for path in files if "__main__" in path.read_text("utf-8")}
    assert {words[0] for words in found} == programs


def test_a_simulation_that_ran_is_kept_and_its_rows_are_sought_in_the_docs(tmp_path: Path) -> None:
    words = ["benchmarks.validity.verdicts", "--help"]
    done = validity.run(words, tmp_path)
    (kept,) = tmp_path.iterdir()
    assert "usage" in done.output
    assert done.cpu > 0
    kept.write_text(kept.read_text(encoding="utf-8").replace("usage", "before"), encoding="utf-8")
    assert "before" in validity.run(words, tmp_path).output
    printed = "shapes:\n| arms | K = 5 |\n|---|---:|\n| capped | 0.05 |\n| normal | 0.04 |\n"
    table = validity.Done("", printed, 0, 0)
    assert table.rows() == ["| capped | 0.05 |", "| normal | 0.04 |"]
    assert validity.lacking(table, ["| capped | 0.06 |\n", "\n| normal | 0.04 |\n"]) == ["| capped | 0.05 |"]
    with pytest.raises(SystemExit, match=r"validity\.verdicts nothing failed:\n(.*\n)*.*invalid choice"):
        validity.run(["benchmarks.validity.verdicts", "nothing"], tmp_path)


def test_a_case_of_the_feature_cache_is_cached_and_ends_with_the_same_weights() -> None:
    names = runpy.run_path(str(ROOT / "benchmarks" / "cached_features.py"))
    case = replace(names["CASES"][0], n_steps=8, batch_size=64, n_epochs=2)
    (*_, with_cache), (*_, without) = (names["measure"](case, cached) for cached in (True, False))
    assert with_cache.keys() == without.keys()
    assert all((with_cache[name] == without[name]).all() for name in without)


def test_planning_and_scheduling_are_measured_at_any_size(tmp_path: Path) -> None:
    names = runpy.run_path(str(ROOT / "benchmarks" / "scheduler.py"))
    count, *seconds = names["measure"](30, tmp_path)
    assert count == 2 * 16 + 3
    assert all(each > 0 for each in seconds)


@pytest.mark.full
def test_the_fixed_cost_of_a_run_is_measured_part_by_part() -> None:
    program = [sys.executable, str(ROOT / "benchmarks" / "run_cost.py"), "--runs", "2", "--steps", "256"]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for part in runpy.run_path(program[1])["PARTS"]:
        assert re.search(rf"^ *{part} +[0-9.]+", done.stdout, re.MULTILINE), part


@pytest.mark.full
def test_a_sweep_and_the_loops_of_a_plain_script_make_the_same_runs() -> None:
    names = runpy.run_path(str(ROOT / "benchmarks" / "shell_loop.py"))
    told: list[str] = []
    taken = names["measure"](2, 1, 1, told.append)
    assert taken.keys() == {"loop", "xargs", "sweep"}
    assert all(wall > 0 and cpu > 0 for wall, cpu in taken.values())
    assert len(told) == 3


@pytest.mark.full
def test_the_profiler_prints_where_a_run_spends_its_time() -> None:
    short = ["training.total_steps=256", "evaluation.every=256", "evaluation.episodes=1"]
    program = [sys.executable, str(ROOT / "benchmarks" / "profile_run.py"), "--top", "5", "train", "cartpole"]
    done = subprocess.run([*program, *short], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Ordered by: internal time" in done.stdout
    assert "Ordered by: cumulative time" in done.stdout


@pytest.mark.full
def test_growth_is_measured_and_drawn(tmp_path: Path) -> None:
    program = [
        sys.executable,
        str(ROOT / "benchmarks" / "growth.py"),
        "--runs",
        "20",
        "120",
        "--finished",
        "100",
    ]
    done = subprocess.run(
        [*program, "--picture", str(tmp_path / "growth.png")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    small, large = (line.split() for line in done.stdout.splitlines()[-2:])
    assert (small[0], large[0]) == ("19", "147")
    assert all(float(each) >= 0 for each in small[1:])
    assert large[-4:] == ["-"] * 4
    assert (tmp_path / "growth.png").stat().st_size > 10_000


@pytest.mark.full
def test_the_size_of_the_report_is_measured() -> None:
    script = str(ROOT / "benchmarks" / "report_size.py")
    program = [sys.executable, script, "--cells", "12", "--seeds", "2", "--live"]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    cells, runs, page, folder, *costs = map(float, done.stdout.splitlines()[-1].split())
    assert (cells, runs) == (12, 24)
    assert 0.1 < page < 1 < folder
    assert len(costs) == 5
    assert all(each > 0 for each in costs)


@pytest.mark.full
def test_contenders_take_turns_and_one_that_cannot_run_says_why() -> None:
    case = replace(every_case()["cartpole"].shortened(512), contenders=("sb3", "floor", "unheard of"))
    told: list[str] = []
    row = compete(case, 2, 0, None, told.append)
    assert [line.split()[1] for line in told] == ["sb3", "floor", "floor", "sb3"]
    assert row.failed.keys() == {"unheard of"}
    assert [result["steps"] for result in row.results["sb3"]] == [512, 512]
    text = "\n".join(tables.speeds([row]))
    assert "| cartpole | floor |" in text
    assert "| cartpole | unheard of: no such engine; expected sb3" in text


@pytest.mark.full
def test_a_profile_adds_up_to_the_whole_training() -> None:
    case = replace(every_case()["cartpole"].shortened(512), contenders=("sb3",))
    (result,) = compete(case, 1, 0, None, lambda _: None, profiled=True).results["sb3"]
    assert result["parts"].keys() == {"environment", "acting", "update", "rest"}
    assert result["cpu"] == pytest.approx(sum(result["parts"].values()), rel=0.05)


def test_the_kernels_of_a_minibatch_are_measured_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels_module, "ROUNDS", 1)
    monkeypatch.setattr(kernels_module, "CALLS", 2)
    costs = dict(kernels(every_case()["cartpole"]))
    assert all(cost > 0 for cost in costs.values())
    layers, count = layers_of(every_case()["cartpole"])
    assert count == (5 * 64 + 65 * 64 + 65 * 2) + (5 * 64 + 65 * 64 + 65)
    assert [layer.source for layer in layers] == [0, 1, 2, 0, 4, 5]


def test_a_row_compares_within_each_repeat() -> None:
    row = Row(CASES[0])
    row.results["sb3"] = [{"steps": 10, "cpu": 1.0, "wall": 2.0}, {"steps": 10, "cpu": 2.0, "wall": 2.0}]
    row.results["compiled"] = [{"steps": 10, "cpu": 0.1, "wall": 2.0}, {"steps": 10, "cpu": 0.1, "wall": 2.0}]
    assert row.ratios("compiled", "sb3") == pytest.approx([10.0, 20.0])
    assert row.speed("sb3") == 7.5
    assert row.speed("sb3", "wall") == 5.0


def test_the_floor_counts_the_products_of_a_training() -> None:
    # CartPole, per sample and network: 4·64 + 64·64 + 64·2 (or ·1) multiplications, two operations each;
    # an update adds as many for the weights, and for the inputs all but the first layer's.
    acting = 2 * (2 * (4 * 64 + 64 * 64) + 64 * 2 + 64)
    update = 3 * acting - 2 * 2 * (4 * 64)
    assert Floor(every_case()["cartpole"]).operations == acting + 20 * update
    heads = 2 * 2 * (64 * 2 + 64)  # forward and weights; a frozen trunk's features are those of acting
    assert Floor(every_case()["cartpole-frozen"]).operations == acting + 20 * heads
    # DQN: 1 row to act; every 4 steps 32 rows through the target, and through the network and back.
    network = 2 * (4 * 64 + 64 * 64 + 64 * 2)
    assert Floor(every_case()["dqn-cartpole"]).operations == network + 32 / 4 * (4 * network - 2 * (4 * 64))


def curve(store: RunStore, run: RLRun, returns: Sequence[float]) -> None:
    """A run's curve as training leaves it, without any training."""
    folder = store.folder(run_id(run))
    folder.begin(run)
    for index, value in enumerate(returns):
        folder.append_evaluation(index, index * 100, [value], [1])


def test_engines_agree_where_the_interval_of_their_difference_lies_within_delta(tmp_path: Path) -> None:
    task, store = engine_agreement.TASKS[0], RunStore(tmp_path).open()
    curve(store, task.random(), [20.0])
    solved = task.solved - 20.0
    for seed in range(6):
        jitter = 0.02 * (-1) ** seed
        for engine, shift in (("sb3", 0.0), ("compiled", 0.05)):
            end = 20.0 + solved * (0.8 + shift + jitter)
            curve(store, task.run(seed, engine), [20.0, end, end, end])
    area, final = engine_agreement.compare(task, store, 6)
    # Scores rise from 0 to 0.8 (0.85) in the first of three intervals: (0.4 + 0.8 + 0.8) / 3.
    assert area.means == pytest.approx((2 / 3, 0.85 * 2.5 / 3))
    assert final.means == pytest.approx((0.8, 0.85))
    assert (final.difference.low, final.difference.point) < (0.03, 0.0500001)
    assert area.equivalent
    assert final.equivalent
    curve(store, task.run(6, "sb3"), [20.0, 20.0, 20.0, 20.0])
    curve(store, task.run(6, "compiled"), [20.0, 475.0, 475.0, 475.0])
    assert not engine_agreement.compare(task, store, 7)[1].equivalent


def test_verdicts_of_finished_sweeps_are_counted_pair_by_pair(tmp_path: Path) -> None:
    found = {"sb3": ["positive", "negative"], "compiled": ["positive", "positive"], "again": ["positive"]}
    for name, verdicts in found.items():
        (tmp_path / name).mkdir()
        cells = [
            {"target": f"t{number}", "strategy": "s", "comparisons": {"auc_gain": {"outcome": verdict}}}
            for number, verdict in enumerate(verdicts)
        ]
        (tmp_path / name / "summary.json").write_text(json.dumps(cells))
    lines = [*engine_agreement.verdict_table([tmp_path / name for name in found])]
    assert lines[1].split()[-3:] == ["negative", "positive", "missing"]
    assert lines[2:] == [
        "sb3 and compiled: 1 of 2 verdicts are the same, 1 contradict each other",
        "sb3 and again: 1 of 2 verdicts are the same, 0 contradict each other",
        "compiled and again: 1 of 2 verdicts are the same, 0 contradict each other",
    ]


def test_what_was_trained_is_not_trained_again(tmp_path: Path) -> None:
    run = engine_agreement.TASKS[0].random()
    text = json.dumps(run.plain())
    engine_agreement.execute(text, str(tmp_path))
    record = next(tmp_path.rglob("record.json"))
    before = record.stat().st_mtime_ns
    engine_agreement.execute(text, str(tmp_path))
    assert record.stat().st_mtime_ns == before


@pytest.mark.full
def test_a_plain_script_is_there_for_every_training_run(tmp_path: Path) -> None:
    runs = "echo longer-pole scratch $seed longer-pole fine-tune $seed"
    assert runs in quickstart.command_of("loop-3", 2, "out")[-1]
    short = quickstart.PLAIN.replace("51_200, 5_120", "256, 256").replace("6_144, 512", "256, 256")
    assert short != quickstart.PLAIN
    (tmp_path / "plain.py").write_text(short, encoding="utf-8")
    for words in (
        "source scratch 1",
        "longer-pole frozen-trunk-new-head 1",
        "weaker-motor shuffled-source 1",
    ):
        program = [sys.executable, "plain.py", *words.split()]
        done = subprocess.run(program, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(words)
    with pytest.raises(SystemExit, match="expected sb3-N"):
        quickstart.command_of("sb3", 2, "out")

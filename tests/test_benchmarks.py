"""The benchmarks and the profiler still run against the code; nothing is timed here."""

import re
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCHMARKS = sorted(path.name for path in (ROOT / "benchmarks").glob("*.py") if path.name != "profile_run.py")


def test_make_bench_runs_every_benchmark() -> None:
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\nbench:")[2].partition("\n##")[0]
    assert sorted(re.findall(r"benchmarks/(\w+\.py)", recipe)) == BENCHMARKS


def test_a_case_of_the_feature_cache_is_cached_and_ends_with_the_same_weights() -> None:
    names = runpy.run_path(str(ROOT / "benchmarks" / "cached_features.py"))
    case = replace(names["CASES"][0], n_steps=8, batch_size=64, n_epochs=2)
    (*_, with_cache), (*_, without) = (names["measure"](case, cached) for cached in (True, False))
    assert with_cache.keys() == without.keys()
    assert all((with_cache[name] == without[name]).all() for name in without)


def test_planning_and_scheduling_are_measured_at_any_size(tmp_path: Path) -> None:
    names = runpy.run_path(str(ROOT / "benchmarks" / "scheduler.py"))
    count, *seconds = names["measure"](30, tmp_path)
    assert count == 2 * 13 + 3
    assert all(each > 0 for each in seconds)


def test_the_fixed_cost_of_a_run_is_measured_part_by_part() -> None:
    program = [sys.executable, str(ROOT / "benchmarks" / "run_cost.py"), "--runs", "2", "--steps", "256"]
    done = subprocess.run(program, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for part in runpy.run_path(program[1])["PARTS"]:
        assert re.search(rf"^ *{part} +[0-9.]+", done.stdout, re.MULTILINE), part


def test_a_sweep_and_the_loops_of_a_plain_script_make_the_same_runs() -> None:
    names = runpy.run_path(str(ROOT / "benchmarks" / "shell_loop.py"))
    told: list[str] = []
    taken = names["measure"](2, 1, 1, told.append)
    assert taken.keys() == {"loop", "xargs", "sweep"}
    assert all(wall > 0 and cpu > 0 for wall, cpu in taken.values())
    assert len(told) == 3


def test_the_profiler_prints_where_a_run_spends_its_time() -> None:
    short = ["training.total_steps=256", "evaluation.every=256", "evaluation.episodes=1"]
    program = [sys.executable, str(ROOT / "benchmarks" / "profile_run.py"), "--top", "5", "train", "cartpole"]
    done = subprocess.run([*program, *short], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "Ordered by: internal time" in done.stdout
    assert "Ordered by: cumulative time" in done.stdout


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
    assert (small[0], large[0]) == ("16", "120")
    assert all(float(each) >= 0 for each in small[1:])
    assert large[-3:] == ["-", "-", "-"]
    assert (tmp_path / "growth.png").stat().st_size > 10_000

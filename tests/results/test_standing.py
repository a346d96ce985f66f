"""A sweep seen from outside: what has ended, what runs, what waits, and who is at work."""

import fcntl
import json
import os
from pathlib import Path

import pytest

from analysis.synthetic import QUICKSTART, SyntheticSweep
from rl_transfer.results import RunFolder, RunStore
from rl_transfer.results.locks import alone, is_at_work
from rl_transfer.results.standing import Onlooker
from support.records import change_manifest

TARGET = "longer-pole"
SOURCE_RUNS = [f"source-cartpole-{seed}" for seed in range(2)]
SCRATCH = [f"{TARGET}-scratch-{seed}" for seed in range(2)]
TUNED = [f"cartpole-{TARGET}-fine-tune-{seed}" for seed in range(2)]


@pytest.fixture
def sweep() -> SyntheticSweep:
    strategies = ({"name": "scratch"}, {"name": "fine-tune", "copy": ["all"]})
    return SyntheticSweep(shapes={TARGET: QUICKSTART[TARGET]}, strategies=strategies, seeds=2)


def begin(folder: Path, identifier: str, step: object = 512) -> RunFolder:
    run = RunFolder(folder / "runs" / identifier)
    (run.path / "spec.json").write_text("{}", encoding="utf-8")
    beat = {"step": step, "total_steps": 6144, "score": 21.5, "time": 0.0}
    (run.path / "heartbeat.json").write_text(json.dumps(beat), encoding="utf-8")
    return run


def test_every_run_counts_once_where_it_stands(sweep: SyntheticSweep, tmp_path: Path) -> None:
    sweep.failed, sweep.unfinished = [SOURCE_RUNS[1]], [*SCRATCH, *TUNED]
    folder = sweep.write(tmp_path / "sweep")
    begin(folder, SCRATCH[0])
    found = Onlooker(folder).look()
    assert {*found.finished} == {SOURCE_RUNS[0], f"random-{TARGET}"}
    assert found.finished[SOURCE_RUNS[0]] == (51200, 4.2)
    assert found.failed == (SOURCE_RUNS[1],)
    assert found.skipped == (TUNED[1],), "its source failed"
    (run,) = found.running
    assert (run.name, run.step, run.steps, run.score) == (f"{TARGET}/scratch/0", 512, 6144, 21.5)
    assert found.waiting == (SCRATCH[1], TUNED[0])
    assert not found.all_ended
    assert found.seen == pytest.approx(run.seen)


def test_what_an_earlier_sweep_left_waits_and_is_read_again_when_it_ends(
    sweep: SyntheticSweep, tmp_path: Path
) -> None:
    sweep.unfinished = [SCRATCH[1]]
    folder = sweep.write(tmp_path / "sweep")
    run = begin(folder, SCRATCH[1])
    for path in run.path.iterdir():
        os.utime(path, (1, 1))
    onlooker = Onlooker(folder)
    before = onlooker.look()
    assert (before.running, before.waiting) == ((), (SCRATCH[1],))
    sweep.finish(folder, SCRATCH[1])
    after = onlooker.look()
    assert after.all_ended
    assert SCRATCH[1] in after.finished
    assert after.ends != before.ends
    assert after.ends == onlooker.look().ends


@pytest.mark.parametrize("step", ["many", None, True, [1], {"a": 1}])
def test_a_heartbeat_of_no_use_says_nothing(sweep: SyntheticSweep, tmp_path: Path, step: object) -> None:
    sweep.unfinished = SCRATCH
    folder = sweep.write(tmp_path / "sweep")
    begin(folder, SCRATCH[0], step)
    assert [run.step for run in Onlooker(folder).look().running] == [0]


def test_a_sweep_that_tunes(sweep: SyntheticSweep, tmp_path: Path) -> None:
    folder = sweep.write(tmp_path / "sweep")
    assert not Onlooker(folder).look().tunes
    change_manifest(folder, runs=[{**row, "role": "tuning"} for row in sweep.rows()])
    assert Onlooker(folder).look().tunes


def test_who_writes_to_a_sweep_is_seen_and_not_disturbed(tmp_path: Path) -> None:
    assert not is_at_work(tmp_path)
    store = RunStore(tmp_path)
    with store.lock():
        assert is_at_work(tmp_path)
    assert not is_at_work(tmp_path)
    with store.lock():
        pass


def test_a_report_is_written_by_one_at_a_time(tmp_path: Path) -> None:
    with alone(tmp_path):
        other = os.open(tmp_path, os.O_RDONLY)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)

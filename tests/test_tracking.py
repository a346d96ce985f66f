"""Finished runs are logged once, whole, and nothing that a tracker does touches them."""

import json
import sys
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from rl_transfer import tracking
from rl_transfer.errors import ConfigError, MissingExtraError
from rl_transfer.results import PLAYED, RunFolder
from rl_transfer.sweep import local
from rl_transfer.tracking import NamedRun, Tracked
from support.cli import Call, calling
from support.records import change_record, write_finished
from support.sweeps import SUITE, InThisProcess, results, write_suite

POINTS = [{"evaluation": k, "step": 32 * k, "returns": [k, k + 1.0], "lengths": [9, 10]} for k in range(3)]


class Keeps:
    """Keeps what it is given, or fails."""

    def __init__(self, fails: bool = False) -> None:
        self.runs, self.closed, self._fails = list[Tracked](), False, fails

    def log(self, run: Tracked) -> None:
        if self._fails:
            raise ConnectionError("the service is away\nmore of it")
        self.runs.append(run)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    return calling(capfd)


@pytest.fixture
def place(tmp_path: Path) -> NamedRun:
    run = tmp_path / "runs" / "0123456789abcdef"
    write_finished(run, spec={"kind": "rl", "seed": 3}, total_steps=64, zero_shot={"returns": [4.0, 5.0]})
    (run / "curve.jsonl").write_text("".join(json.dumps(each) + "\n" for each in POINTS), encoding="utf-8")
    change_record(run)
    return NamedRun(RunFolder(run), "base→hard/copy/seed-3", "suite", "target", ("base", "hard", "x" * 80))


def use(monkeypatch: pytest.MonkeyPatch, tracker: Keeps) -> Keeps:
    monkeypatch.setattr(tracking, "open_tracker", lambda wanted, folder: tracker)
    return tracker


def test_a_run_is_read_from_its_files(place: NamedRun) -> None:
    run = tracking.read_tracked(place, PLAYED)
    assert (run.id, run.name, run.group, run.role) == (
        "0123456789abcdef", "base→hard/copy/seed-3", "suite", "target",
    )  # fmt: skip
    assert run.tags == ("base", "hard", "x" * 64)
    assert run.config == {"kind": "rl", "seed": 3}
    assert run.curve[2] == (64, {"evaluation/mean_return": 2.5, "evaluation/mean_length": 9.5})
    assert run.summary["final/mean_return"] == 2.5
    assert run.summary["zero_shot"] == 4.5


def test_each_run_is_logged_once_also_when_a_sweep_continues(
    place: NamedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = use(monkeypatch, Keeps())
    for one_project in ("wandb", "wandb:", "wandb:rl-transfer"):
        with tracking.tracking(one_project, tmp_path, PLAYED) as log:
            assert log is not None
            log.add(place)
            log.add(place)
    assert [path.name for path in tmp_path.glob("tracked-*")] == ["tracked-wandb-rl-transfer.txt"]
    assert [run.id for run in tracker.runs] == [place.folder.path.name]
    assert tracker.closed
    with tracking.tracking("wandb:other", tmp_path, PLAYED) as log:
        assert log is not None
        log.add(place)
    assert len(tracker.runs) == 2, "another project has not got it yet"


def test_a_run_that_was_not_logged_is_logged_another_time(
    place: NamedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use(monkeypatch, Keeps(fails=True))
    with tracking.tracking("wandb", tmp_path, PLAYED) as log:
        assert log is not None
        log.add(place)
    assert log.problem == "ConnectionError: the service is away"
    tracker = use(monkeypatch, Keeps())
    with tracking.tracking("wandb", tmp_path, PLAYED) as log:
        assert log is not None
        log.add(place)
    assert len(tracker.runs) == 1


def test_a_service_that_hangs_does_not_hold_up_the_end_for_ever(
    place: NamedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = threading.Event()

    class Hangs(Keeps):
        def log(self, run: Tracked) -> None:
            answer.wait()
            super().log(run)

    monkeypatch.setattr(tracking, "STILL_SECONDS", 0.1)
    tracker = use(monkeypatch, Hangs())
    try:
        with tracking.tracking("wandb", tmp_path, PLAYED) as log:
            assert log is not None
            log.add(place)
        assert log.problem is not None
        assert log.problem.startswith("the service has not answered for 0.1 seconds")
        assert tracker.runs == []
    finally:
        answer.set()


def test_a_service_that_is_slow_is_waited_for_as_long_as_runs_are_logged(
    place: NamedRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every wait ends after one more run was logged, and before the last one."""
    gate, waits, wait = threading.Semaphore(0), list[float](), threading.Thread.join

    class Slow(Keeps):
        def log(self, run: Tracked) -> None:
            gate.acquire()
            super().log(run)

    def join(self: threading.Thread, timeout: float | None = None) -> None:
        waits.append(timeout or 0)
        gate.release()
        while len(waits) < 3 and (not done.is_file() or len(done.read_text().split()) < len(waits)):
            time.sleep(0.001)
        if len(waits) == 3:
            wait(self)

    monkeypatch.setattr(tracking, "read_tracked", lambda named, labels: named)
    tracker, done = use(monkeypatch, Slow()), tmp_path / "tracked-wandb-rl-transfer.txt"
    with tracking.tracking("wandb", tmp_path, PLAYED) as log:
        assert log is not None
        for name in ("one", "two", "three"):
            log.add(replace(place, folder=RunFolder(tmp_path / name)))
        monkeypatch.setattr(log._thread, "join", partial(join, log._thread))
    assert len(tracker.runs) == 3
    assert waits == [tracking.STILL_SECONDS] * 3
    assert log.problem is None


@pytest.mark.full
def test_a_sweep_logs_what_its_runs_are_called_and_an_error_only_warns(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "LocalExecutor", lambda *_: InThisProcess(tmp_path))
    few = ("seeds=1", "strategies=[scratch, fine-tune]", "-j", "1", "-o", str(tmp_path / "out"))
    config = str(write_suite(tmp_path, SUITE.replace("  base-again", "  # base-again")))
    broken = use(monkeypatch, Keeps(fails=True))
    first = call("sweep", config, *few, "--track", "wandb")
    assert first.code == 0
    assert (
        "warning: tracking stopped: ConnectionError: the service is away; all results are kept" in first.err
    )
    assert broken.runs == []
    before = results(tmp_path / "out")
    tracker = use(monkeypatch, Keeps())
    second = call("sweep", config, *few, "--track", "wandb")
    assert (second.code, second.err) == (0, "")
    assert results(tmp_path / "out") == before
    found = {(run.role, run.tags): run for run in tracker.runs}
    assert found.keys() == {
        ("source", ("base", "seed-0")),
        ("random", ("reversed", "seed-0")),
        ("target", ("reversed", "scratch", "seed-0")),
        ("target", ("base", "reversed", "fine-tune", "seed-0")),
    }
    assert {run.id for run in tracker.runs} == before.keys()
    assert found["source", ("base", "seed-0")].curve[-1][0] == 128
    assert all(run.group == "tiny" for run in tracker.runs)


def test_what_cannot_be_tracked_is_refused_before_anything_runs(
    call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"--track mlflow: expected wandb, or wandb:PROJECT"):
        tracking.open_tracker("mlflow", tmp_path)
    for project in ("x" * 300, "ü" * 100, "a\nb", "\udcff"):
        with pytest.raises(ConfigError, match=r"^--track wandb:"):
            tracking.open_tracker(f"wandb:{project}", tmp_path)
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rl-transfer\[wandb\]'"):
        tracking.open_tracker("wandb", tmp_path)
    refused = call("train", "cartpole", "-o", str(tmp_path / "out"), "--track", "wandb")
    assert refused.code == 9
    assert not (tmp_path / "out").exists()

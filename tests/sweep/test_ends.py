"""Runs that do not end by themselves, or not well: named as what they are, and the others go on."""

import errno
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from rl_transfer.errors import StoreError
from rl_transfer.results import RunFolder
from rl_transfer.spec import Environment, Evaluation, RLRun
from rl_transfer.sweep import local
from rl_transfer.sweep.dispatch import Job
from rl_transfer.sweep.executor import UnusableDisk
from rl_transfer.sweep.local import LocalExecutor
from rl_transfer.sweep.watch import (
    FIRST_LOG,
    LAST_LOG,
    LEFT_OUT,
    MOST_LOG,
    Limits,
    Watch,
    how_it_died,
    shorten_log,
)
from rl_transfer.sweep.worker import full
from support.sweeps import PATIENCE

MODULE = """\
import os, signal, sys, time
from pathlib import Path
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

class Bad(CartPoleEnv):
    def __init__(self, how="", **kwargs):
        super().__init__(**kwargs)
        self.how = how

    def step(self, action):
        tries = Path(__file__).with_name("tries.txt")
        with tries.open("a") as file:
            file.write("x")
        first = tries.stat().st_size == 1
        if self.how == "hangs":
            def asleep_in_step():
                time.sleep(3600)
            asleep_in_step()
        if self.how == "leaves":
            sys.exit(3)
        if self.how == "ends":
            os._exit(3)
        if self.how == "killed" or (self.how == "killed once" and first):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "server killed once" and first:
            os.kill(os.getppid(), signal.SIGKILL)
            time.sleep(3600)
        if self.how == "no room":
            raise OSError(28, "No space left on device", "/some/file")
        return super().step(action)

gymnasium.register("Bad-v0", Bad, max_episode_steps=5)
"""


@pytest.fixture
def bad(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "bad_module.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("bad_module", None)


Ended = tuple[BaseException | None, RunFolder, list[str], int]
"""Why a run failed, its folder, what was said, and how often its environment stepped."""


def run(folder: Path, how: str, limits: Limits | None = None) -> Ended:
    env = Environment(id="Bad-v0", env_module="bad_module", kwargs={"how": how})
    spec = RLRun(env=env, policy="random", evaluation=Evaluation(every=1, episodes=1))
    job = Job(spec, folder / "run", None, ("bad_module",), alone=True)
    said: list[str] = []
    with closing(LocalExecutor(1, 1, limits, said.append)) as executor:
        error = executor.submit(job.to_json()).exception(timeout=PATIENCE)
    return error, RunFolder(folder / "run"), said, (folder / "tries.txt").stat().st_size


@pytest.mark.full
def test_a_run_that_hangs_is_ended_and_its_stack_is_in_its_log(bad: Path) -> None:
    error, folder, _, _ = run(bad, "hangs", Limits(stall=0.1))
    message = "no sign of life for 6 seconds; before its first step; its stack is at the end of the log"
    assert str(error).startswith(message)
    assert "in asleep_in_step" in folder.log.read_text("utf-8")
    assert folder.failure() == {"error": "RunEnded", "message": message, "attempts": 1}


@pytest.mark.full
def test_a_run_may_take_so_many_minutes_and_no_more(bad: Path) -> None:
    error, _, said, steps = run(bad, "hangs", Limits(timeout=0.1))
    assert str(error).startswith("it took longer than 6 seconds (--timeout)")
    assert (said, steps) == ([], 1)


def test_time_in_which_the_sweep_itself_was_stopped_counts_for_no_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 0.0
    monkeypatch.setattr("time.monotonic", lambda: clock)
    looked_at = Watch(RunFolder(tmp_path), Limits(timeout=2, stall=1))
    verdicts = []
    for wait in (0.5, 3600, 0.5, *[9.0] * 6, 9.0):  # Ctrl-Z, an hour later fg; then no sign of life
        clock += wait
        verdicts.append(looked_at.verdict())
    assert verdicts[:-1] == [None] * 9
    assert str(verdicts[-1]).startswith("no sign of life for 1 minute")


def test_a_run_whose_process_was_killed_is_tried_again(bad: Path) -> None:
    error, folder, said, _ = run(bad, "killed once")
    assert error is None
    assert folder.finished
    assert said == [
        "run run: the worker process died (killed by signal 9 (SIGKILL)); it is tried again, 2 of 3"
    ]
    assert folder.record()["provenance"]["attempts"] == 2


@pytest.mark.full
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a worker outlives its fork server")
def test_a_dead_fork_server_takes_its_workers_along_and_another_one_is_started(bad: Path) -> None:
    error, folder, said, _ = run(bad, "server killed once")
    assert error is None
    assert folder.finished
    died = "the worker process died (the server that starts workers has died; a new one is started)"
    assert said == [f"run run: {died}; it is tried again, 2 of 3"]


@pytest.mark.full
def test_a_run_whose_process_is_always_killed_is_tried_three_times(bad: Path) -> None:
    error, folder, said, steps = run(bad, "killed")
    assert str(error).startswith("the worker process died (killed by signal 9 (SIGKILL)), 3 times in a row")
    assert (len(said), steps) == (2, 3)
    assert (folder.failure() or {})["attempts"] == 3


def test_a_run_that_ends_its_process_twice_in_the_same_way_is_given_up(bad: Path) -> None:
    error, _, _, steps = run(bad, "ends")
    assert str(error).startswith(
        "the worker process died (it ended itself with exit code 3), 2 times in a row"
    )
    assert steps == 2


def test_an_environment_that_calls_exit_is_named_and_not_tried_again(bad: Path) -> None:
    error, folder, _, steps = run(bad, "leaves")
    assert str(error).startswith("code of the run called sys.exit(3)")
    assert steps == 1
    assert (folder.failure() or {})["attempts"] == 1


def test_a_run_without_room_is_unfinished_and_not_failed(bad: Path) -> None:
    error, folder, _, _ = run(bad, "no room")
    assert isinstance(error, UnusableDisk)
    assert folder.failure() is None


def test_a_run_that_fails_on_a_disk_that_became_read_only_stops_everything(
    bad: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "read_only", lambda path: path == bad / "run")
    error, _, _, _ = run(bad, "leaves")
    assert isinstance(error, UnusableDisk)


def test_a_full_disk_is_seen_through_the_errors_that_it_caused() -> None:
    def store() -> None:
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            raise StoreError("cannot be written") from None

    with pytest.raises(StoreError) as caught:
        store()
    assert full(caught.value)
    assert full(RuntimeError(f"I/O error: {os.strerror(errno.ENOSPC)}"))
    assert not full(OSError(errno.EACCES, "Permission denied"))
    assert not full(None)


def test_a_long_log_keeps_its_first_and_its_last_part_and_is_still_written_to(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"first" + b"." * MOST_LOG + b"last")
        shorten_log(log)
        writer.write(b"later")
    content = log.read_bytes()
    assert content.startswith(b"first")
    assert content.endswith(b"lastlater")
    assert len(content) == FIRST_LOG + len(LEFT_OUT) + LAST_LOG + len(b"later")
    shorten_log(log)
    assert log.read_bytes() == content


def test_a_process_that_the_kernel_killed_for_memory_is_named() -> None:
    assert "memory ran out" in how_it_died(-signal.SIGKILL, out_of_memory=True)
    assert how_it_died(-signal.SIGSEGV, out_of_memory=True) == "killed by signal 11 (SIGSEGV)"
    assert how_it_died(7, out_of_memory=False) == "it ended itself with exit code 7"

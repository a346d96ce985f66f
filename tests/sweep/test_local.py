"""Workers that run many jobs: what they share, what they must not, and what a killed one loses."""

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import closing
from pathlib import Path

import pytest

from rl_transfer.results import RunFolder, run_id
from rl_transfer.spec import Environment, Evaluation, RLRun
from rl_transfer.sweep.dispatch import Job
from rl_transfer.sweep.executor import RunFailed
from rl_transfer.sweep.local import LocalExecutor
from support.rl import make_run
from support.sweeps import PATIENCE, results, until

MODULE = """\
import os
import threading
from pathlib import Path
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

class Watched(CartPoleEnv):
    def __init__(self, leaves=False, edited=False, stays=False, **kwargs):
        super().__init__(**kwargs)
        if edited:
            with Path(__file__).open("a") as file:
                file.write("# edited while the run goes on\\n")
        with Path(__file__).with_name("pids.txt").open("a") as file:
            file.write(f"{os.getpid()}\\n")
        if leaves:
            os.environ["LEFT_BEHIND"] = str(os.getpid())
        if stays:
            threading.Thread(target=threading.Event().wait).start()
        print("built in", os.getpid())

gymnasium.register("Watched-v0", Watched, max_episode_steps=5)
"""


@pytest.fixture
def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    (tmp_path / "watched_module.py").write_text(MODULE, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("watched_module", None)


def played(folder: Path, seed: int, *, alone: bool = False, **how: bool) -> Job:
    """A run of one random episode in an environment that notes its process."""
    env = Environment(id="Watched-v0", env_module="watched_module", kwargs=how)
    run = RLRun(env=env, policy="random", evaluation=Evaluation(every=1, episodes=1), seed=seed)
    return Job(run, folder / f"run-{seed}", None, ("watched_module",), alone)


def processes(folder: Path) -> list[str]:
    return (folder / "pids.txt").read_text(encoding="utf-8").split()


def run_all(executor: LocalExecutor, jobs: list[Job]) -> list[Future[None]]:
    futures = [executor.submit(job.to_json()) for job in jobs]
    for future in futures:
        future.exception(timeout=PATIENCE)
    return futures


def test_a_worker_runs_as_many_jobs_as_it_may_and_each_has_its_log(watched: Path) -> None:
    with closing(LocalExecutor(1, 2)) as executor:
        run_all(executor, [played(watched, seed) for seed in range(3)])
    first, second, third = processes(watched)
    assert first == second != third
    for seed, pid in enumerate((first, second, third)):
        assert RunFolder(watched / f"run-{seed}").finished
        assert (watched / f"run-{seed}" / "log.txt").read_text("utf-8") == f"built in {pid}\n"


@pytest.mark.full
def test_a_record_tells_the_code_that_the_run_began_with(watched: Path) -> None:
    with closing(LocalExecutor(1, 1)) as executor:
        run_all(executor, [played(watched, 0), played(watched, 1, edited=True), played(watched, 2)])
    first, edited, later = (RunFolder(watched / f"run-{seed}").record()["code"] for seed in range(3))
    assert first == edited
    assert first.keys() == later.keys()
    assert first["watched_module"] != later["watched_module"]


def test_jobs_with_code_of_the_users_have_a_process_of_their_own(watched: Path) -> None:
    with closing(LocalExecutor(1, 100)) as executor:
        run_all(executor, [played(watched, seed, alone=seed == 1) for seed in range(3)])
    first, second, third = processes(watched)
    assert first == third != second


def test_a_worker_in_which_a_run_left_something_behind_runs_nothing_more(watched: Path) -> None:
    with closing(LocalExecutor(1, 100)) as executor:
        futures = run_all(executor, [played(watched, seed, leaves=True) for seed in range(2)])
    assert [future.exception() for future in futures] == [None, None]
    assert len(set(processes(watched))) == 2


def test_a_process_that_does_not_end_after_its_run_is_ended(
    watched: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rl_transfer.sweep.local.PATIENCE", 0.1)
    with closing(LocalExecutor(1, 2)) as executor:
        (future,) = run_all(executor, [played(watched, 0, alone=True, stays=True)])
        assert future.exception() is None
        (pid,) = processes(watched)
        until(lambda: not alive(int(pid)))  # the thread that its run left keeps it


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def endless_run(seed: int) -> RLRun:
    return make_run(seed=seed, training={"total_steps": 10**9}, evaluation={"every": 10**9, "episodes": 1})


def short_run(seed: int) -> RLRun:
    evaluation = Evaluation(every=1, episodes=1)
    return RLRun(env=Environment(id="CartPole-v1"), policy="random", evaluation=evaluation, seed=seed)


def test_a_killed_worker_loses_the_run_that_it_worked_on_and_no_other(tmp_path: Path) -> None:
    endless = Job(endless_run(0), tmp_path / "endless")
    short = [Job(short_run(seed), tmp_path / str(seed)) for seed in range(3)]
    before = {process.pid for process in multiprocessing.active_children()}
    said: list[str] = []
    with closing(LocalExecutor(1, 100, None, said.append)) as executor:
        run_all(executor, short[:1])
        lost = executor.submit(endless.to_json())
        kept = [executor.submit(job.to_json()) for job in short[1:]]
        until((endless.folder / "curve.jsonl").exists)
        (pid,) = {process.pid for process in multiprocessing.active_children()} - before
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        until(lambda: said)
        assert "killed by signal 9" in said[0]
        executor.cancel(lost)
        with pytest.raises(RunFailed, match="stopped"):
            lost.result(timeout=PATIENCE)
        assert [future.exception(timeout=PATIENCE) for future in kept] == [None, None]
    assert RunFolder(endless.folder).failure() is None
    assert all(RunFolder(job.folder).failure() is None for job in short)


def test_a_cancelled_job_is_no_failure_and_the_next_one_runs(tmp_path: Path) -> None:
    endless = [Job(endless_run(seed), tmp_path / str(seed)) for seed in range(2)]
    with closing(LocalExecutor(1, 100)) as executor:
        running, waiting = (executor.submit(job.to_json()) for job in endless)
        last = executor.submit(Job(short_run(0), tmp_path / "last").to_json())
        until(running.running)
        executor.cancel(waiting)
        executor.cancel(running)
        with pytest.raises(RunFailed, match="stopped"):
            running.result(timeout=PATIENCE)
        assert waiting.cancelled()
        assert last.exception(timeout=PATIENCE) is None
    assert RunFolder(endless[0].folder).failure() is None


ENDLESS = """\
import sys
import time
from pathlib import Path

from rl_transfer.sweep import local
from support.rl import make_run
from rl_transfer.sweep.dispatch import Job

local.PATIENCE, local.PRELOAD[:] = 0.1, ["endless_import"]
executor = local.LocalExecutor(1, 1)
future = executor.submit(Job(make_run(), Path("run"), None, (), False).to_json())
while not Path("importing").exists():
    time.sleep(0.01)
executor.close()
print(future.done())
"""


@pytest.mark.full
@pytest.mark.skipif("forkserver" not in multiprocessing.get_all_start_methods(), reason="no server there")
def test_a_server_that_still_imports_its_libraries_is_not_waited_for(tmp_path: Path) -> None:
    module = "import time, pathlib\npathlib.Path('importing').touch()\ntime.sleep(3600)\n"
    (tmp_path / "endless_import.py").write_text(module, encoding="utf-8")
    places = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    done = subprocess.run(
        [sys.executable, "-c", ENDLESS], cwd=tmp_path, env={**os.environ, "PYTHONPATH": places},
        capture_output=True, text=True, check=False, timeout=PATIENCE,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("True\n", "")


@pytest.mark.full
def test_the_order_of_runs_in_a_worker_changes_no_number(tmp_path: Path) -> None:
    def found(order: list[int], folder: Path) -> dict[str, object]:
        runs = [
            make_run(seed=0),
            make_run(seed=1, algorithm={"name": "DQN", "learning_starts": 16}),
            short_run(2),
        ]
        with closing(LocalExecutor(1, 100)) as executor:
            run_all(executor, [Job(runs[each], folder / "runs" / run_id(runs[each])) for each in order])
        return results(folder)

    first = found([0, 1, 2], tmp_path / "first")
    assert len(first) == 3
    assert found([2, 1, 0], tmp_path / "second") == first

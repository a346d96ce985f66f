"""Sweeps on a Ray cluster of two nodes: the same numbers as here, also when a node goes down."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rl_transfer.errors import ClusterError, MissingExtraError
from rl_transfer.frame import silent
from rl_transfer.results import RunFolder, RunStore
from rl_transfer.spec import Environment, Evaluation, RLRun
from rl_transfer.sweep.archive import bring
from rl_transfer.sweep.dispatch import Job
from rl_transfer.sweep.incoming import rescue_checkpoints
from rl_transfer.sweep.nodes import SCRATCH, Request, beats, difference
from rl_transfer.sweep.ray import RayExecutor
from rl_transfer.sweep.watch import Limits
from support.cli import calling
from support.cluster import HEAD, SECOND, Cluster, cluster
from support.resumption import numbers
from support.sweeps import TWO_ARMS, command, results, same_as, sweep, write_suite

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="addresses and processes as on Linux")
ONE = Request(cpus=1, gpus=0, workers=None, runs_per_worker=100, limits=Limits())
LONG = "training.total_steps=6400000"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("suite"), TWO_ARMS)


@pytest.fixture(scope="module")
def reference(config: Path) -> Path:
    done = sweep(config, config.parent / "out", "-j", "2")
    assert done.returncode == 0, done.stderr
    return config.parent / "out"


@pytest.fixture(scope="module")
def head() -> Iterator[Cluster]:
    with cluster() as found:
        yield found


@pytest.fixture
def two_nodes(head: Cluster) -> Iterator[Cluster]:
    head.join()
    yield head
    head.leave()


def test_a_run_on_a_node_may_take_so_many_minutes_and_no_more(
    head: Cluster, config: Path, tmp_path: Path
) -> None:
    output, few = tmp_path / "out", ("seeds=1", "strategies=[scratch, fine-tune]", "--timeout", "0.05")
    done = sweep(config, output, LONG, *few, "--executor", "ray", "--address", head.address)
    assert done.returncode == 8, done.stderr
    assert "it took longer than 3 seconds (--timeout)" in done.stderr
    failures = [json.loads(path.read_text("utf-8")) for path in output.glob("runs/*/failure.json")]
    assert failures
    assert {(each["error"], each["attempts"]) for each in failures} == {("RunEnded", 1)}


def test_results_come_over_the_network_where_no_folder_is_shared(
    two_nodes: Cluster, config: Path, reference: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    done = sweep(config, output, "--executor", "ray", "--address", two_nodes.address, "--return-results")
    assert done.returncode == 0, done.stderr
    for node in (HEAD, SECOND):
        assert f"node {node}: 1 run at a time, results over the network" in done.stdout
    same_as(reference, output)
    for run in output.glob("runs/*"):
        assert (run / "log.txt").exists()
        assert (run / "bundle").exists() == (reference / "runs" / run.name / "bundle").exists()


def test_steps_of_runs_that_are_under_way_elsewhere_are_shown(
    head: Cluster, config: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    process = subprocess.Popen(
        command(config, output, "--executor", "ray", "--address", head.address, "--return-results", LONG),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    seen: set[int] = set()
    try:
        while len(seen) < 3 and time.monotonic() < deadline:
            for run in map(RunFolder, output.glob("runs/*")):
                beat = run.heartbeat()
                if beat and not run.curve():  # the rest of its folder comes when it has ended
                    seen.add(beat["step"])
            time.sleep(0.05)
        assert len(seen) >= 3
        ends_at(signal.SIGINT, process, output)
    finally:
        process.kill()


def ends_at(number: signal.Signals, process: subprocess.Popen[str], output: Path) -> None:
    """A signal ends a sweep with one message."""
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "runs are finished and kept" in errors
    assert "Traceback" not in errors
    assert "received" not in errors
    assert not (output / ".incoming").exists()


def test_a_node_tells_the_steps_of_its_own_runs_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for run in ("one", "two", "other"):
        (tmp_path / f"{SCRATCH}1-{run}" / "runs" / run).mkdir(parents=True)
    for run in ("one", "other"):
        RunFolder(tmp_path / f"{SCRATCH}1-{run}" / "runs" / run).beat(5, 10, None)
    found = beats(["one", "two", "three"])
    assert found.keys() == {"one"}
    assert json.loads(found["one"])["step"] == 5


def test_a_node_that_is_killed_in_mid_sweep_changes_no_number(
    two_nodes: Cluster, config: Path, reference: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    process = subprocess.Popen(
        command(config, output, "--executor", "ray", "--address", two_nodes.address),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while len(list(output.glob("runs/*/record.json"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    two_nodes.kill_second()
    assert len(results(output)) < len(results(reference)), "the kill must fall into the middle of the sweep"
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert f"node {SECOND}: 1 run at a time, results by the shared folder" in printed
    assert f"lost with node {SECOND}" in printed
    assert "raylet" not in printed + errors, "Ray's own lines"
    assert "Traceback" not in errors
    same_as(reference, output)


STEPS = ("training", "sources.base.training", "targets.base-again.training")
TWO = (
    *(f"{each}.total_steps=4000" for each in STEPS),
    "evaluation.every=2016",
    "seeds=1",
    "training.engine=sb3",
)
SAVED = (*TWO, "strategies=[scratch]", "training.checkpoint_minutes=0.002")
"""Two long runs."""


@pytest.fixture(scope="module")
def whole(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("whole")
    done = sweep(config, output, *SAVED[:-1], "-j", "2")
    assert done.returncode == 0, done.stderr
    return output


def checkpointed(output: Path) -> set[str]:
    """Runs of which an attempt has a checkpoint."""
    return {path.parent.parent.name for path in output.glob(".incoming/*/*/checkpoints/[0-9]*")}


def ended_alike(output: Path, whole: Path) -> None:
    store, other = RunStore(output), RunStore(whole)
    assert store.identifiers() == other.identifiers()
    for each in store.identifiers():
        assert numbers(store.folder(each)) == numbers(other.folder(each))
        assert not (store.folder(each).path / "checkpoints").exists()


def test_a_run_goes_on_from_its_checkpoint_when_its_node_is_killed(
    head: Cluster, config: Path, whole: Path, tmp_path: Path
) -> None:
    """Only the second node has the two CPUs that a run asks for; it goes down and comes back."""
    output = tmp_path / "out"
    head.join(cpus=2)
    words = command(config, output, *SAVED, "--executor", "ray", "--address", head.address)
    process = subprocess.Popen(
        [*words, "--cpus-per-run", "2"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while not checkpointed(output) and time.monotonic() < deadline:
            time.sleep(0.01)
        (run,) = checkpointed(output)
        head.kill_second()
        head.join(cpus=2)
        printed, errors = process.communicate(timeout=300)
    finally:
        process.kill()
        head.leave()
    assert process.returncode == 0, errors
    assert f"lost with node {SECOND}" in printed
    assert len(RunFolder(output / "runs" / run).record()["resumed"]) == 1
    ended_alike(output, whole)


def test_a_run_goes_on_from_its_checkpoint_when_the_sweep_is_killed(
    head: Cluster, config: Path, whole: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    words = command(config, output, *SAVED, "--executor", "ray", "--address", head.address)
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not checkpointed(output) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.kill()
    process.wait()
    run = checkpointed(output).pop()
    again = subprocess.run(words, capture_output=True, text=True, check=False, timeout=300)
    assert again.returncode == 0, again.stderr
    assert len(RunFolder(output / "runs" / run).record()["resumed"]) == 1
    ended_alike(output, whole)


def test_checkpoints_of_finished_runs_are_not_rescued(whole: Path, tmp_path: Path) -> None:
    incoming, runs = tmp_path / ".incoming", tmp_path / "runs"
    shutil.copytree(whole / "runs", runs)
    finished = next(runs.iterdir()).name
    for number, run, steps in (
        (0, finished, "32"),
        (1, "other", "32"),
        (2, "other", "64"),
        (3, "other", "64"),
    ):
        (incoming / str(number) / run / "checkpoints" / steps).mkdir(parents=True)
        (incoming / str(number) / run / "checkpoints" / f".{steps}.tmp").mkdir()
    rescue_checkpoints(incoming, runs)
    assert not (runs / finished / "checkpoints").exists()
    assert sorted(path.name for path in (runs / "other" / "checkpoints").iterdir()) == ["32", "64"]


def test_a_node_with_another_library_is_refused(head: Cluster, config: Path, tmp_path: Path) -> None:
    other = tmp_path / "site" / "timm-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: timm\nVersion: 0.0.1\n", encoding="utf-8")
    head.join(path=str(other.parent))
    try:
        done = sweep(config, tmp_path / "out", "--executor", "ray", "--address", head.address)
    finally:
        head.leave()
    assert done.returncode == 10
    assert f"node {SECOND} differs: timm 0.0.1 there, " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_signal_ends_the_runs_and_leaves_the_cluster(head: Cluster, config: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    process = subprocess.Popen(
        command(config, output, "--executor", "ray", "--address", head.address, LONG),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 120
    while not list(output.glob(".incoming/*/*/spec.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    ends_at(signal.SIGTERM, process, output)
    executor = RayExecutor(tmp_path, head.address, ONE, share=True, say=silent)
    assert executor.slots == 1, "the cluster goes on"
    executor.close()


def test_a_stop_while_the_files_of_a_run_are_brought_lets_it_end(
    head: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once a sweep ended with 1 in place of 130 when a signal came between the two."""
    began, goes_on = threading.Event(), threading.Event()

    def slow(returned: bytes | None, folder: Path, final: RunFolder) -> str | None:
        began.set()
        assert goes_on.wait(60)
        return bring(returned, folder, final)

    monkeypatch.setattr("rl_transfer.sweep.ray.bring", slow)
    run = RLRun(
        env=Environment(id="CartPole-v1"), policy="random", evaluation=Evaluation(every=1, episodes=1)
    )
    executor = RayExecutor(tmp_path, head.address, ONE, share=True, say=silent)
    try:
        future = executor.submit(Job(run, tmp_path / "runs" / "one").to_json())
        assert began.wait(60)
        executor.cancel(future)
        goes_on.set()
        assert future.exception(60) is None
        assert RunFolder(tmp_path / "runs" / "one").finished
    finally:
        goes_on.set()
        executor.close()


def test_more_than_any_node_has_is_refused(head: Cluster, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="no node of the cluster has room for a run of 1 CPU and 2 GPU"):
        RayExecutor(tmp_path, head.address, replace(ONE, gpus=2), share=True, say=silent)


def test_without_the_extra_one_sentence_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'rl-transfer\[ray\]'"):
        RayExecutor(tmp_path, "auto", ONE, share=True, say=silent)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere:x", "ray://127.0.0.1:10001"])
def test_an_address_without_a_cluster_is_told_at_once(address: str, tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match="host:port"):
        RayExecutor(tmp_path, address, ONE, share=True, say=silent)


@pytest.mark.parametrize("option", [("--address", "auto"), ("--gpus-per-run", "1"), ("--return-results",)])
def test_options_of_clusters_need_one(
    option: tuple[str, ...], config: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    done = calling(capfd)("sweep", str(config), "-o", str(tmp_path / "out"), *option)
    assert done.code == 3
    assert f"{option[0]} is about a cluster: give --executor ray too" in " ".join(done.err.split())


@pytest.mark.parametrize(
    ("cpus", "gpus", "slots"),
    [(1, 0, 8), (2, 0, 4), (3, 0, 2), (0.1, 0, 80), (1, 1, 2), (1, 0.5, 4), (1, 4, 0)],
)
def test_as_many_runs_as_fit_on_a_node(cpus: float, gpus: float, slots: int) -> None:
    assert Request(cpus, gpus, None, 1, Limits()).slots({"CPU": 8.0, "GPU": 2.0, "memory": 1e9}) == slots


def test_differences_name_both_sides() -> None:
    here, there = {"torch": "2.6", "numpy": "2.1"}, {"torch": "2.7", "numpy": "2.1", "timm": "1.0"}
    assert difference(here, dict(here), "a") is None
    assert difference(here, there, "a") == (
        "node a differs: torch 2.7 there, 2.6 here; timm 1.0 there, missing here"
    )

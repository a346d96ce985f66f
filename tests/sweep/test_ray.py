"""Sweeps on a Ray cluster of two nodes: the same numbers as here, also when a node goes down."""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
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
from support.cli import Call, calling
from support.cluster import HEAD, SECOND, Cluster
from support.resumption import numbers
from support.sweeps import PATIENCE, TWO_ARMS, same_as, swept, until, write_suite

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="addresses and processes as on Linux"),
    pytest.mark.timeout(1800),  # nothing waits so long but for a processor
]
ONE = Request(cpus=1, gpus=0, workers=None, runs_per_worker=100, limits=Limits())
LONG = "training.total_steps=6400000"


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_suite(tmp_path_factory.mktemp("suite"), TWO_ARMS)


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    return calling(capfd)


def words(head: Cluster, config: Path, output: Path, *more: str) -> list[str]:
    """A sweep on the cluster."""
    return ["sweep", str(config), "-o", str(output), "--executor", "ray", "--address", head.address, *more]


@contextmanager
def under_way(head: Cluster, config: Path, output: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    """A sweep on the cluster in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rl_transfer", *words(head, config, output, *more)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    with process:
        try:
            yield process
        finally:
            process.kill()


def test_a_run_on_a_node_may_take_so_many_minutes_and_no_more(
    two_nodes: Cluster, config: Path, tmp_path: Path, call: Call
) -> None:
    output, few = tmp_path / "out", ("seeds=1", "strategies=[scratch]", "--timeout", "0.05")
    done = call(*words(two_nodes, config, output, LONG, *few))
    assert done.code == 8, done.err
    assert "it took longer than 3 seconds (--timeout)" in done.err
    failures = [json.loads(path.read_text("utf-8")) for path in output.glob("runs/*/failure.json")]
    assert failures
    assert {(each["error"], each["attempts"]) for each in failures} == {("RunEnded", 1)}


def test_results_come_over_the_network_where_no_folder_is_shared(
    two_nodes: Cluster, config: Path, tmp_path: Path, call: Call
) -> None:
    reference, output = swept(config, tmp_path / "here", "seeds=1", "-j", "1"), tmp_path / "out"
    done = call(*words(two_nodes, config, output, "seeds=1", "--return-results"))
    assert done.code == 0, done.err
    for node in (HEAD, SECOND):
        assert f"node {node}: 1 run at a time, results over the network" in done.out
    same_as(reference, output)
    for run in output.glob("runs/*"):
        assert (run / "log.txt").exists()
        assert (run / "bundle").exists() == (reference / "runs" / run.name / "bundle").exists()


def test_steps_of_runs_that_are_under_way_elsewhere_are_shown(
    head: Cluster, config: Path, tmp_path: Path
) -> None:
    output = tmp_path / "out"
    seen: set[int] = set()

    def three_steps() -> bool:
        for run in map(RunFolder, output.glob("runs/*")):
            beat = run.heartbeat()
            if beat and not run.curve():  # the rest of its folder comes when it has ended
                seen.add(beat["step"])
        return len(seen) >= 3

    with under_way(head, config, output, "--return-results", LONG) as process:
        until(three_steps, process)
        ends_at(signal.SIGINT, process, output)


def ends_at(number: signal.Signals, process: subprocess.Popen[str], output: Path) -> None:
    """A signal ends a sweep with one message."""
    process.send_signal(number)
    _, errors = process.communicate()
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


STEPS = ("training", "sources.base.training", "targets.base-again.training")
TWO = (
    *(f"{each}.total_steps=4000" for each in STEPS),
    "evaluation.every=2016",
    "seeds=1",
    "training.engine=sb3",
    "strategies=[scratch]",
)
"""Two long runs."""
SAVED = (*TWO, "training.checkpoint_minutes=0.002")


@pytest.fixture(scope="module")
def whole(config: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return swept(config, tmp_path_factory.mktemp("whole"), *TWO, "-j", "2")


def checkpointed(output: Path) -> set[str]:
    """Runs of which an attempt has a checkpoint."""
    return {path.parent.parent.name for path in output.glob(".incoming/*/*/checkpoints/[0-9]*")}


def ended_alike(output: Path, whole: Path) -> None:
    store, other = RunStore(output), RunStore(whole)
    assert store.identifiers() == other.identifiers()
    for each in store.identifiers():
        assert numbers(store.folder(each)) == numbers(other.folder(each))
        assert not (store.folder(each).path / "checkpoints").exists()
    assert not (output / ".incoming").exists()


def test_a_node_that_is_killed_in_mid_sweep_changes_no_number(
    two_nodes: Cluster, config: Path, whole: Path, tmp_path: Path
) -> None:
    """Each node has one of the two runs; the lost one is begun again where the other was."""
    output = tmp_path / "out"
    with under_way(two_nodes, config, output, *TWO) as process:
        until(lambda: len([*output.glob(".incoming/*/*/spec.json")]) == 2, process)
        two_nodes.kill_second()
        printed, errors = process.communicate()
    assert process.returncode == 0, errors
    assert f"node {SECOND}: 1 run at a time, results by the shared folder" in printed
    assert f"lost with node {SECOND}" in printed
    assert "raylet" not in printed + errors, "Ray's own lines"
    assert "Traceback" not in errors
    ended_alike(output, whole)
    assert (output / "summary.json").read_bytes() == (whole / "summary.json").read_bytes()


def test_a_run_goes_on_from_its_checkpoint_when_its_node_is_killed(
    head: Cluster, config: Path, whole: Path, tmp_path: Path
) -> None:
    """Only the second node has the two CPUs that a run asks for; it goes down and comes back."""
    output = tmp_path / "out"
    head.join(cpus=2)
    with under_way(head, config, output, *SAVED, "--cpus-per-run", "2") as process:
        (run,) = until(lambda: checkpointed(output), process)
        head.kill_second()
        head.join(cpus=2)
        printed, errors = process.communicate()
    assert process.returncode == 0, errors
    assert f"lost with node {SECOND}" in printed
    assert len(RunFolder(output / "runs" / run).record()["resumed"]) == 1
    ended_alike(output, whole)


def test_a_run_goes_on_from_its_checkpoint_when_the_sweep_is_killed(
    two_nodes: Cluster, config: Path, whole: Path, tmp_path: Path, call: Call
) -> None:
    output = tmp_path / "out"
    with under_way(two_nodes, config, output, *SAVED) as process:
        run = min(until(lambda: checkpointed(output), process))
        process.kill()
        process.wait()
    again = call(*words(two_nodes, config, output, *SAVED))
    assert again.code == 0, again.err
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


def test_a_node_with_another_library_is_refused(
    head: Cluster, config: Path, tmp_path: Path, call: Call
) -> None:
    other = tmp_path / "site" / "timm-0.0.1.dist-info"
    other.mkdir(parents=True)
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: timm\nVersion: 0.0.1\n", encoding="utf-8")
    head.join(path=str(other.parent))
    done = call(*words(head, config, tmp_path / "out"))
    assert done.code == 10
    assert f"node {SECOND} differs: timm 0.0.1 there, " in done.err


def test_a_signal_ends_the_runs_and_leaves_the_cluster(head: Cluster, config: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    head.leave()
    with under_way(head, config, output, LONG) as process:
        until(lambda: [*output.glob(".incoming/*/*/spec.json")], process)
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
        assert goes_on.wait(PATIENCE)
        return bring(returned, folder, final)

    monkeypatch.setattr("rl_transfer.sweep.ray.bring", slow)
    run = RLRun(
        env=Environment(id="CartPole-v1"), policy="random", evaluation=Evaluation(every=1, episodes=1)
    )
    executor = RayExecutor(tmp_path, head.address, ONE, share=True, say=silent)
    try:
        future = executor.submit(Job(run, tmp_path / "runs" / "one").to_json())
        assert began.wait(PATIENCE)
        executor.cancel(future)
        goes_on.set()
        assert future.exception(PATIENCE) is None
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
    option: tuple[str, ...], config: Path, tmp_path: Path, call: Call
) -> None:
    done = call("sweep", str(config), "-o", str(tmp_path / "out"), *option)
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

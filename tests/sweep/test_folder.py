"""Whose matrix a folder holds: a refused sweep and a dry run change nothing, the same suite goes on."""

import fcntl
import json
import os
import shutil
from pathlib import Path

import pytest

from rl_transfer.errors import StoreError
from rl_transfer.results import write_manifest
from rl_transfer.rl.training import engines
from rl_transfer.spec import RLSuite, load
from rl_transfer.sweep.dispatch import SUITES
from rl_transfer.sweep.sweep import prepare, run_sweep
from support.cli import Call, calling
from support.sweeps import SUITE, InThisProcess, write_suite

SMALL = SUITE.replace(
    "strategies: [scratch, fine-tune, frozen-trunk-new-head, random-frozen]", "strategies: [scratch]"
)


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    return calling(capfd)


def planned(folder: Path, *overrides: str, text: str = SMALL) -> RLSuite:
    suite = load(str(write_suite(folder, text)), SUITES, "suites", list(overrides)).config
    assert isinstance(suite, RLSuite)
    return suite


def traces(folder: Path) -> dict[str, tuple[int, bytes | None]]:
    """Everything below a folder, with its time of change and content."""
    found = {}
    for path in sorted([folder, *folder.rglob("*")]):
        stat = path.lstat()
        found[str(path)] = (stat.st_mtime_ns, path.read_bytes() if path.is_file() else None)
    return found


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished sweep of two seeds; tests leave it as it is."""
    folder = tmp_path_factory.mktemp("begun")
    run_sweep(prepare(planned(folder), folder / "out"), InThisProcess, lambda _, __: None)
    return folder / "out"


def test_a_dry_run_makes_no_folder(call: Call, tmp_path: Path) -> None:
    output = tmp_path / "deep" / "out"
    done = call("sweep", str(write_suite(tmp_path, SMALL)), "-o", str(output), "--dry-run")
    assert done.code == 0, done.err
    assert not output.parent.exists()


def test_a_dry_run_in_a_used_folder_changes_nothing(call: Call, begun: Path, tmp_path: Path) -> None:
    before = traces(begun)
    done = call("sweep", str(write_suite(tmp_path, SMALL)), "seeds=3", "-o", str(begun), "--dry-run")
    assert done.code == 0, done.err
    assert traces(begun) == before


def test_a_matrix_that_came_between_the_check_and_the_lock_is_not_overwritten(tmp_path: Path) -> None:
    output = tmp_path / "out"
    plan = prepare(planned(tmp_path), output)
    other = prepare(planned(tmp_path, "algorithm.n_epochs=2"), output)
    output.mkdir()
    write_manifest(output, other.manifest)
    written = (output / "sweep.json").read_bytes()
    with pytest.raises(StoreError, match="runs of other settings"):
        run_sweep(plan, InThisProcess, lambda _, __: None)
    assert (output / "sweep.json").read_bytes() == written
    assert not (output / "runs").exists()


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["algorithm.n_epochs=2"], ["algorithm.n_epochs: 1 → 2", "runs of other settings in"]),
        (["root_seed=7"], ["root_seed: 0 → 7"]),
        (["targets={other: cartpole-weaker-motor}", "sources={new: {env: {id: CartPole-v1}}}", "seeds=[5]"],
         ["the matrix 'tiny'", "none of which is planned here"]),
    ],
)  # fmt: skip
def test_another_matrix_is_refused_and_nothing_changes(
    call: Call, begun: Path, tmp_path: Path, overrides: list[str], words: list[str]
) -> None:
    before = traces(begun)
    done = call("sweep", str(write_suite(tmp_path, SMALL)), *overrides, "-o", str(begun))
    assert done.code != 0
    said = " ".join(done.err.split())
    assert all(word in said for word in [*words, "--output", "--replace-matrix"]), said
    assert "Traceback" not in said
    assert traces(begun) == before


@pytest.mark.parametrize(
    ("there", "here", "said"),
    [
        ((), ("training.engine=sb3",), "targets.reversed.engine: compiled → sb3"),
        (("training.engine=sb3",), (), "sources.base.engine: sb3 → compiled"),
        (("training.vectorization=batched",), (), "there → here: training.vectorization: batched → sync. Ch"),
    ],
)  # fmt: skip
def test_a_setting_that_manifests_leave_out_is_named(
    there: tuple[str, ...], here: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "compiler_problem", lambda: None)
    text = SMALL.replace("base-again: {env: {id: CartPole-v1}, training: {total_steps: 128}}", "").replace(
        ", training: {total_steps: 128}", ""
    )
    plan = prepare(planned(tmp_path, *there, text=text), tmp_path / "out")
    plan.store.open()
    write_manifest(tmp_path / "out", plan.manifest)
    for identifier, run in plan.graph.specs.items():
        plan.store.folder(identifier).begin(run)
    with pytest.raises(StoreError) as caught:
        prepare(planned(tmp_path, *here, text=text), tmp_path / "out")
    assert said in caught.value.message
    assert "engine.reason" not in caught.value.message


def test_a_misspelt_setting_is_no_other_matrix(call: Call, begun: Path, tmp_path: Path) -> None:
    misspelt = "targets={longer-pole: {env: {id: CartPole-v1, perturb: [{lenght: x2}]}}}"
    done = call("sweep", str(write_suite(tmp_path, SMALL)), misspelt, "-o", str(begun))
    said = " ".join(done.err.split())
    assert "targets.longer-pole" in said
    assert "Did you mean 'length'?" in said
    assert "runs of other settings" not in said


def test_a_second_sweep_is_refused_before_it_writes(call: Call, begun: Path, tmp_path: Path) -> None:
    with (begun / ".lock").open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        before = traces(begun)
        done = call("sweep", str(write_suite(tmp_path, SMALL)), "seeds=3", "-o", str(begun))
        assert done.code != 0
        assert "another rl-transfer process is writing" in " ".join(done.err.split())
        assert traces(begun) == before


@pytest.mark.parametrize("change", [["seeds=3"], ["seeds=[1]"], ["analysis.delta=0.1"], ["name=other"],
                                    ["strategies=[scratch,fine-tune]"]])  # fmt: skip
def test_the_same_suite_goes_on(begun: Path, tmp_path: Path, change: list[str]) -> None:
    plan = prepare(planned(tmp_path, *change), begun)
    assert plan.graph.specs.keys() & plan.store.identifiers()


def test_what_is_reused_and_what_has_no_place_is_said(tmp_path: Path) -> None:
    output = tmp_path / "out"
    run_sweep(prepare(planned(tmp_path), output), InThisProcess, lambda _, __: None)
    said: list[str] = []
    state = run_sweep(
        prepare(planned(tmp_path, "seeds=[1,2]"), output), InThisProcess, lambda _, __: None, said.append
    )
    kept = {row["id"] for row in json.loads((output / "sweep.json").read_text(encoding="utf-8"))["runs"]}
    left = {path.parent.name for path in output.glob("runs/*/record.json")} - kept
    assert left, "seed 0 is no longer in the matrix"
    assert any(f"{len(left)} finished runs" in line and "no place in this matrix" in line for line in said), (
        said
    )
    assert len(state.reused) == len(state.graph.specs) - len(state.done)
    assert state.reused
    assert state.done


def test_that_judged_runs_may_have_been_seen_before_a_grid_was_declared_is_said(
    begun: Path, tmp_path: Path
) -> None:
    output = shutil.copytree(begun, tmp_path / "out", symlinks=True)
    suite = planned(tmp_path, "tune={grid: {algorithm.learning_rate: [0.001, 0.01]}, seeds: 2}")
    said = "judged runs of this suite were finished before its arms chose, and it cannot be told"
    assert any(said in note for note in prepare(suite, output, replace=True).notes)
    (output / "sweep.json").unlink()
    plan = prepare(suite, output)
    assert any(said in note for note in plan.notes)
    assert plan.manifest["tuning"]["judged_before_choice"] is True
    assert not any(said in note for note in prepare(suite, tmp_path / "new").notes)


def test_that_runs_had_ended_before_anything_was_declared_is_said(
    begun: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rl_transfer.sweep.looks.LEAST_SEEDS", 1)  # the suite has fewer
    output = shutil.copytree(begun, tmp_path / "out", symlinks=True)
    (output / "sweep.json").unlink()
    plan = prepare(planned(tmp_path), output)
    assert any("had ended when seeds, δ, level or final window were declared" in note for note in plan.notes)
    assert plan.manifest["declared_after"] > 0


def test_a_matrix_takes_the_place_of_another_where_asked(tmp_path: Path) -> None:
    output = tmp_path / "out"
    run_sweep(prepare(planned(tmp_path), output), InThisProcess, lambda _, __: None)
    other = planned(tmp_path, "algorithm.n_epochs=2")
    with pytest.raises(StoreError, match="--replace-matrix"):
        prepare(other, output)
    before = set(output.glob("runs/*/record.json"))
    plan = prepare(other, output, replace=True)
    run_sweep(plan, InThisProcess, lambda _, __: None, replace=True)
    assert before < set(output.glob("runs/*/record.json"))
    assert json.loads((output / "sweep.json").read_text())["config"]["algorithm"]["n_epochs"] == 2


def test_a_folder_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    with pytest.raises(StoreError, match=r"cannot be written to .* choose another with --output"):
        prepare(planned(tmp_path), tmp_path / "file" / "out")
    assert os.listdir(tmp_path).count("file") == 1

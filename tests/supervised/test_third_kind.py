"""A kind of data that supervised/ has never heard of goes through every door that pictures go through."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from rl_transfer.analysis import analyse, choices, read_sweep, summary
from rl_transfer.errors import ConfigError, TransferError
from rl_transfer.frame import EvaluationRequest
from rl_transfer.report import write_report
from rl_transfer.results import RunFolder, find_run, read_manifest
from rl_transfer.spec import StrategyVerbs, load
from rl_transfer.supervised.bundle import load_network
from rl_transfer.supervised.translate import core_strategy
from rl_transfer.sweep.dispatch import SUITES, bundle_kind, room
from rl_transfer.sweep.sweep import prepare, run_sweep
from support.cli import Call
from support.sweeps import InThisProcess, results
from support.vectors_room import VECTORS, VectorKind
from support.vectors_spec import PerceptronConfig, VectorSuite

SUPPORT = Path(__file__).resolve().parent.parent / "support"
COST = ("vectors_spec.py", "vectors_room.py")


def suite(*overrides: str) -> VectorSuite:
    found = load("./suite.yaml", SUITES, "suites", list(overrides)).config
    assert isinstance(found, VectorSuite)
    return found


def test_a_third_kind_of_data_costs_under_600_lines() -> None:
    lines = sum(len((SUPPORT / name).read_text(encoding="utf-8").splitlines()) for name in COST)
    assert lines + len(["its row in the table of kinds"]) < 600


def test_supervised_names_no_kind_of_data() -> None:
    folder = SUPPORT.parent.parent / "rl_transfer" / "supervised"
    text = {path.name: path.read_text(encoding="utf-8").lower() for path in folder.glob("*.py")}
    for word in ('"image"', "imagerun", "policy_trunk", "episode", "gymnasium", "torchvision"):
        assert not [name for name, content in text.items() if word in content], word


def test_train_transfer_evaluate_and_inspect(call: Call, tmp_path: Path) -> None:
    trained = call("train", "./rows.yaml", "-o", "source")
    assert trained.code == 0, trained.err
    assert "8 epochs" in trained.out
    assert find_run(tmp_path / "source").curve()[-1]["returns"][0] > 0.9
    assert bundle_kind("source") == "vector"

    moved = call("transfer", "./turned.yaml", "--source", "source", "-o", "target")
    assert moved.code == 0, moved.err
    before, after = (load_network(VECTORS, tmp_path / name).state for name in ("source", "target"))
    # The default strategy keeps the trunk bit for bit under a new head.
    assert {name for name in after if not torch.equal(before[name], after[name])} == {
        "head.weight",
        "head.bias",
    }
    record = find_run(tmp_path / "target").record()
    assert record["cached_features"] is True
    assert record["frozen"]["digest_before"] == record["frozen"]["digest_after"]
    assert record["retention"] == {
        "returns": record["retention"]["source_returns"],
        "source_returns": record["retention"]["source_returns"],
        "head": "source",
    }
    assert record["data"]["rows"] == {"train": [15] * 3, "test": [5] * 3}
    assert record["probe"]["features"] == 16

    measured = call("evaluate", "target", "--json")
    assert measured.code == 0, measured.err
    result = json.loads(measured.out)
    assert (result["rows"], result["classes"]) == (15, ["x", "y", "z"])
    assert result["accuracy"] == find_run(tmp_path / "target").curve()[-1]["returns"][0]
    assert "hidden2" in call("policies", "inspect", "source").out


def test_a_tuned_suite_chooses_on_validation_items_and_is_judged_on_test_items(
    call: Call, tmp_path: Path
) -> None:
    del call
    tuned = suite(
        "tune={grid: {training.optimizer.learning_rate: [0.0001, 0.1]}, seeds: 2, by: final_performance}",
        "targets={away: {data: {name: vectors, path: turned.npz, validation: 0.4}}}",
        "training.epochs=6",
    )
    plan = prepare(tuned, tmp_path / "out")
    state = run_sweep(plan, InThisProcess, lambda _, __: None, choose=choices)
    assert not state.failed, state.failed
    manifest = read_manifest(tmp_path / "out")
    ends: dict[tuple[str, str | None, int | None], dict[int, float]] = {}
    for row in manifest["runs"]:
        if row["target"] and row["strategy"]:
            folder = RunFolder(tmp_path / "out" / "runs" / row["id"])
            (items,) = folder.curve()[-1]["lengths"]
            parts = folder.record()["data"]["rows"]
            assert items == sum(parts["validation" if row["role"] == "tuning" else "test"])
            rate = folder.record()["spec"]["training"]["optimizer"]["learning_rate"]
            assert (rate == 0.1) == (row.get("point", 1) == 1)
            key = row["role"], row["strategy"], row.get("point")
            ends.setdefault(key, {})[row["seed"]] = folder.curve()[-1]["returns"][0]
    low, high = (sum(ends["tuning", "scratch", point].values()) for point in (0, 1))
    assert low < high
    assert {each["point"] for each in manifest["tuning"]["choices"]} == {1}
    assert [cell["tuning"]["chosen"] for cell in summary(analyse(read_sweep(tmp_path / "out")))] == [1] * 3


@pytest.mark.full
def test_a_suite_is_checked_planned_run_analysed_and_reported(call: Call, tmp_path: Path) -> None:
    plan = prepare(suite(), tmp_path / "out")
    # 2 sources, 2 chances; away: 3 arms × 2 seeds; home-again: its scratch arm is the source: 2 arms × 2.
    assert len(plan.graph.specs) == 2 + 2 + 6 + 4
    state = run_sweep(plan, InThisProcess, lambda _, __: None)
    assert not state.failed, state.failed
    manifest = json.loads((tmp_path / "out" / "sweep.json").read_text(encoding="utf-8"))
    assert (manifest["kind"], manifest["unit"], manifest["measure"]) == ("vector", "epochs", "accuracy")
    assert manifest["config"]["targets"]["away"]["rows"] == {"train": [5] * 3, "test": [5] * 3}
    sweep = read_sweep(tmp_path / "out")
    assert all(run.finished for run in sweep.runs), [run.problem for run in sweep.runs]
    assert analyse(sweep) is not None
    page = write_report(tmp_path / "out").page.read_text(encoding="utf-8")
    assert "test rows" in page
    assert "accuracy" in page
    assert "episode" not in page


PROGRAM = """\
import sys
from rl_transfer.cli import main
from support.vectors import TABLES

for table, value in TABLES:  # also in the workers, which import the main module of their parent
    table["vector"] = value
if __name__ == "__main__":
    main(sys.argv[1:])
"""


@pytest.mark.full  # four processes that import torch
def test_a_suite_runs_in_two_processes(call: Call, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM, encoding="utf-8")
    swept = subprocess.run(
        [sys.executable, "program.py", "sweep", "./suite.yaml", "-o", "two", "--workers", "2"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert swept.returncode == 0, swept.stdout + swept.stderr
    plan = prepare(suite(), tmp_path / "one")
    run_sweep(plan, InThisProcess, lambda _, __: None)
    assert results(tmp_path / "two") == results(tmp_path / "one")
    assert len(results(tmp_path / "two")) == 14


@pytest.mark.parametrize(
    ("change", "key", "message"),
    [
        ("targets.away.data.shots=50", "targets.away.data.shots", "class 'x' has 15 rows to learn from"),
        ("sources.home.data.path=absent.npz", "sources.home.data.path", "no file of labelled rows"),
        ("strategies.1.copy=[hidden7]", "strategies.1.copy.0", "hidden7"),
        ("strategies.1.guide={}", "strategies.1.guide", "a vector classifier cannot: nobody acts"),
        ("sources.home={weights: {file: w.pth}}", "sources.home.weights", "has no pretrained weights"),
    ],
)
def test_what_would_fail_later_is_refused_in_the_words_of_the_kind(
    call: Call, change: str, key: str, message: str
) -> None:
    with pytest.raises((ConfigError, TransferError), match=message) as found:
        room("vector").preflight(suite(change))
    assert found.value.key == key


def test_weights_are_not_copied_behind_another_preprocessing(call: Call, tmp_path: Path) -> None:
    call("train", "./rows.yaml", "-o", "source")
    refused = call("transfer", "./turned.yaml", "model.input.scale=2", "-s", "source", "-o", "target")
    assert refused.code != 0
    assert "the source saw rows with scale 1.0, the target's have 2.0; set model.input.scale" in refused.err


def test_a_classifier_is_measured_on_data_that_are_named(call: Call, tmp_path: Path) -> None:
    call("train", "./rows.yaml", "-o", "source")
    (tmp_path / "data.yaml").write_text("name: vectors\npath: rows.npz\nshots: 3\n", encoding="utf-8")
    measured = room("vector").evaluate("source", EvaluationRequest(data="data.yaml"))
    assert measured.data["rows"] == 15
    (tmp_path / "data.yaml").write_text("name: vectors\npath: turned.npz\n", encoding="utf-8")
    with pytest.raises(TransferError, match="knows the classes a, b, c, but the data have x, y, z"):
        room("vector").evaluate("source", EvaluationRequest(data="data.yaml"))
    with pytest.raises(ConfigError, match="a vector classifier; it is measured on --data"):
        room("vector").evaluate("source", EvaluationRequest(env="CartPole-v1"))


def test_a_kind_may_refuse_verbs_of_its_own() -> None:
    class Picky(VectorKind):
        refused: ClassVar[Mapping[str, str]] = {"low_rank": "its layers are narrow already"}

    model = PerceptronConfig(name="perceptron", features=6)
    parts = VECTORS.build_classifier(model, 3, seed=0).parts
    verbs = StrategyVerbs.model_validate({"copy": ["trunk"], "low_rank": {"parts": ["hidden1"]}})
    assert core_strategy(VECTORS, verbs, parts).copy == ("trunk",)
    with pytest.raises(TransferError, match="uses low_rank, which a vector classifier cannot: its layers"):
        core_strategy(Picky(), verbs, parts)

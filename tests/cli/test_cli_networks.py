"""A source with a network unlike the default: taken over, beside a baseline of its own, or refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from support.cli import TRAIN, Call

RELU = TRAIN.replace("n_epochs: 1}", "n_epochs: 1, policy_kwargs: {activation: relu, net_arch: [8]}}")
SUITE = """\
name: tiny
seeds: 1
algorithm: {name: PPO, n_envs: 2, n_steps: 16, batch_size: 16, n_epochs: 1}
training: {total_steps: 64}
evaluation: {every: 32, episodes: 2}
sources:
  zoo: {policy: POLICY}
  own: {env: {id: CartPole-v1}}
targets: {reversed: cartpole-reversed-actions}
strategies: [scratch, fine-tune, random-frozen, frozen-trunk-new-head]
"""


def source(call: Call, folder: Path) -> Path:
    (folder / "relu.yaml").write_text(RELU, encoding="utf-8")
    outcome = call("train", "./relu.yaml", "-o", "relu")
    assert outcome.code == 0, outcome.err
    (record,) = folder.glob("relu/runs/*/record.json")
    return record.parent


def records(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text(encoding="utf-8")) for path in folder.glob("runs/*/record.json")]


def test_a_transfer_takes_over_the_network_of_its_source(call: Call, tmp_path: Path) -> None:
    path = source(call, tmp_path)
    target = TRAIN.replace("{id: CartPole-v1}", "cartpole-reversed-actions")
    (tmp_path / "transfer.yaml").write_text(f"{target}strategy: fine-tune\n", encoding="utf-8")
    outcome = call("transfer", "./transfer.yaml", "--source", str(path), "-o", "target")
    assert outcome.code == 0, outcome.err
    (record,) = records(tmp_path / "target")
    kwargs = record["spec"]["algorithm"]["policy_kwargs"]
    assert (kwargs["activation"], kwargs["net_arch"]) == ("relu", {"pi": [8], "vf": [8]})
    assert record["architecture"]["source"] == record["architecture"]["target"]
    curve = (tmp_path / "target" / "runs" / record["id"] / "curve.jsonl").read_text(encoding="utf-8")
    assert json.loads(curve.splitlines()[0])["returns"] == record["zero_shot"]["returns"]


@pytest.mark.full
@pytest.mark.usefixtures("no_workers")
def test_a_sweep_gives_every_source_a_baseline_with_its_network(call: Call, tmp_path: Path) -> None:
    path = source(call, tmp_path)
    (tmp_path / "suite.yaml").write_text(SUITE.replace("POLICY", str(path)), encoding="utf-8")
    outcome = call("sweep", "./suite.yaml", "-o", "sweep", "-j", "1")
    assert outcome.code == 0, outcome.err
    summary = json.loads((tmp_path / "sweep" / "summary.json").read_text(encoding="utf-8"))
    cells = {(cell["source"], cell["strategy"]) for cell in summary}
    strategies = ("scratch", "fine-tune", "random-frozen", "frozen-trunk-new-head")
    assert cells == {(name, strategy) for name in ("zoo", "own") for strategy in strategies}
    rows = json.loads((tmp_path / "sweep" / "sweep.json").read_text(encoding="utf-8"))["runs"]
    found = {record["id"]: record for record in records(tmp_path / "sweep")}
    for row in rows:
        if row["role"] == "target":
            built = found[row["id"]]["architecture"]["target"]
            assert built["activation"] == {"zoo": "relu", "own": "tanh"}[row["source"]]
            assert built["net_arch"]["pi"] == {"zoo": [8], "own": [64, 64]}[row["source"]]


def test_another_activation_is_refused_at_its_line_before_anything_trains(call: Call, tmp_path: Path) -> None:
    path = source(call, tmp_path)
    said = "n_epochs: 1, policy_kwargs: {net_arch: [8], activation: tanh}}"
    text = SUITE.replace("POLICY", str(path)).replace("n_epochs: 1}", said)
    (tmp_path / "suite.yaml").write_text(text, encoding="utf-8")
    outcome = call("sweep", "./suite.yaml", "-o", "sweep")
    assert outcome.code != 0
    assert "suite.yaml:3:" in outcome.err.replace("\n", "")
    assert "algorithm.policy_kwargs.activation: relu in the source, tanh here" in outcome.err
    assert not list((tmp_path / "sweep").glob("runs/*"))

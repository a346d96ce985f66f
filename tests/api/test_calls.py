"""The commands called from Python: every form of a config, the command line's own runs, no trace behind."""

import os
import signal
import sys
from pathlib import Path
from typing import Any, cast

import pytest
import torch

import rl_transfer as rt
from rl_transfer.api.given import read_config
from rl_transfer.cli import main
from rl_transfer.errors import BundleError, ConfigError, StoreError
from rl_transfer.spec import Environment, TrainConfig, parse, shipped
from rl_transfer.sweep.dispatch import TRAIN, TRANSFER
from support.untyped import untyped

TINY: dict[str, Any] = {
    "name": "tiny",
    "env": {"id": "CartPole-v1"},
    "algorithm": {"name": "PPO", "n_envs": 2, "n_steps": 16, "batch_size": 16, "n_epochs": 1},
    "training": {"total_steps": 64, "engine": "sb3"},
    "evaluation": {"every": 32, "episodes": 2},
}
REVERSED = {"id": "CartPole-v1", "perturb": [{"action_remap": "reverse"}]}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> rt.SingleRun:
    return rt.train(TINY, output=tmp_path_factory.mktemp("source"), events=False)


def test_a_run_has_what_its_record_has(trained: rt.SingleRun) -> None:
    assert trained.id == trained.record["id"] == trained.folder.name
    assert [*trained.curve.steps] == [0, 32, 64]
    assert (trained.bundle / "bundle.json").is_file()
    assert trained.config["env"]["id"] == "CartPole-v1"
    assert os.fspath(trained) == str(trained.folder)
    assert repr(trained).startswith("<SingleRun mean episodic return ")


def test_it_is_the_run_of_the_command_line(
    trained: rt.SingleRun, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "tiny.yaml"
    file.write_text(
        "name: tiny\nenv: {id: CartPole-v1}\n"
        "algorithm: {name: PPO, n_envs: 2, n_steps: 16, batch_size: 16, n_epochs: 1}\n"
        "training: {total_steps: 96, engine: sb3}\nevaluation: {every: 32, episodes: 2}\n",
        encoding="utf-8",
    )
    with pytest.raises(SystemExit) as ended:
        main(["train", "./tiny.yaml", "training.total_steps=64", "-o", str(trained.folder.parent.parent)])
    assert ended.value.code == 0
    assert "this run is finished already" in capfd.readouterr().out
    told: list[str] = []
    again = rt.train(file, output=trained.folder.parent.parent, training__total_steps=64, say=told.append)
    assert again.id == trained.id
    assert told == ["this run is finished already; its results are reused"]


def test_every_form_of_a_config_says_the_same() -> None:
    path = shipped("train")["cartpole"]
    named = read_config("cartpole", TRAIN, "train", ["seed=3", "training.total_steps=20480"]).config
    overrides = {"seed": 3, "training.total_steps": 20480}
    assert read_config(path, TRAIN, "train", overrides).config == named
    assert (
        read_config(read_config(path, TRAIN, "train", {}).config, TRAIN, "train", overrides).config == named
    )
    assert read_config(named.plain(), TRAIN, "train", None).config == named
    assert named.seed == 3
    assert isinstance(named, TrainConfig)
    assert read_config("cartpole-reversed", TRANSFER, "transfer", {"strategy": "fine-tune"}).config == (
        read_config("cartpole-reversed", TRANSFER, "transfer", ["strategy=fine-tune"]).config
    )


def test_an_environment_alone_is_a_target(trained: rt.SingleRun, tmp_path: Path) -> None:
    plan: list[str] = []
    found = rt.transfer(
        trained, "cartpole-reversed-actions", strategy="fine-tune", output=tmp_path, events=False,
        say=plan.append,
    )  # fmt: skip
    whole = {**TINY, "env": "cartpole-reversed-actions", "strategy": "fine-tune"}
    told: list[str] = []
    same = rt.transfer(trained.folder, whole, output=tmp_path, say=told.append)
    assert same.id == found.id
    by_bundle = rt.transfer(
        trained.bundle, "cartpole-reversed-actions", strategy="fine-tune", output=tmp_path
    )
    assert by_bundle.id == found.id
    assert "this run is finished already; its results are reused" in told
    assert found.record["source_run"] == trained.id
    assert found.config["training"]["total_steps"] == 64
    assert any("copied" in line for line in plan)


def test_a_policy_is_measured_wherever_it_fits(trained: rt.SingleRun) -> None:
    there = rt.evaluate(trained, env="cartpole-reversed-actions", episodes=3, success=5)
    env = parse(Environment, REVERSED)
    assert [there["returns"]] == [rt.evaluate(trained, env=env, episodes=3)["returns"]]
    assert rt.evaluate(trained, env=REVERSED, episodes=3)["returns"] == there["returns"]
    assert rt.evaluate(trained, episodes=3, seed=1)["returns"] != there["returns"]
    assert len(there["returns"]) == 3  # type: ignore[arg-type]
    assert there["success"]["hits"] == 3  # type: ignore[index, call-overload]
    assert "mean return" in str(there)


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda run: rt.train({**TINY, "sed": 1}), ConfigError, "the mapping: sed: .*Did you mean 'seed'"),
        (lambda run: rt.train(TINY, training__total_stepz=3), ConfigError, "override training.total_stepz=3"),
        (
            lambda run: rt.train(TINY, seed={1}),
            ConfigError,
            r"seed: \{1\} is of type set; a config is numbers",
        ),
        (
            lambda run: rt.train({**TINY, "kind": "x"}),
            ConfigError,
            "the mapping: kind: got 'x', accepted: rl",
        ),
        (lambda run: rt.train("cartpol"), ConfigError, "Did you mean 'cartpole'"),
        (
            lambda run: rt.train(cast("str", 3)),
            ConfigError,
            "a int was given: expected the name of a shipped config",
        ),
        (lambda run: rt.sweep(TINY), ConfigError, "sources"),
        (lambda run: rt.sweep("quickstart", workers=0), ConfigError, "workers=0: expected a whole number"),
        (
            lambda run: rt.sweep("quickstart", workers=untyped("2")),
            ConfigError,
            "workers='2': expected a whole",
        ),
        (lambda run: rt.evaluate(run, episodes=untyped(2.5)), ConfigError, "episodes=2.5: expected a whole"),
        (lambda run: rt.train(TINY, reuse_despite=("cod",)), ConfigError, "expected some of code, versions"),
        (
            lambda run: rt.transfer(run, "cartpole-reversed", reuse_despite=("cod",)),
            ConfigError,
            "expected some of code, versions",
        ),
        (lambda run: rt.evaluate(run, episodes=True), ConfigError, "episodes=True: expected a whole number"),
        (
            lambda run: rt.sweep("quickstart", reuse_despite=("cod",)),
            ConfigError,
            r"reuse_despite=\('cod',\): expected some of code, versions",
        ),
        (lambda run: rt.evaluate(run, episodes=0), ConfigError, "episodes=0: expected a whole number, 1 or"),
        (lambda run: rt.evaluate(run, env={"id": "CartPole-v1", "x": 1}), ConfigError, "x: "),
        (lambda run: rt.evaluate("nowhere"), BundleError, "nowhere: no such file or folder"),
        (lambda run: rt.transfer("nowhere", "cartpole-reversed"), BundleError, "nowhere: no such file"),
        (lambda run: rt.transfer(run, {"kind": "rl"}), ConfigError, "the mapping: "),
        (lambda run: rt.load_sweep(run), StoreError, "sweep.json"),
    ],
)
def test_mistakes_raise_what_the_command_line_says(
    call: Any,
    error: type[Exception],
    said: str,
    trained: rt.SingleRun,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=said):
        call(trained)


ANOTHER: dict[str, list[Any]] = {
    "output": [5, True, False, b"x", [], {"a": 1}, "a\0b"],
    "track": [5, True, ["wandb"], "tensorboard", ""],
    "reuse_despite": [5, True, "code", [5], [["code"]]],
    "say": [None, "print", 5],
    "events": [None, "no", 5, []],
}
OF_SWEEPS = {"progress": [None, "yes", 1], "replace_matrix": [None, "no", 0]}
OF_EVALUATIONS: dict[str, list[Any]] = {
    "env": [5, True, ["CartPole-v1"], "a\0b"], "data": [5, ["x"]], "trunk": [5, True], "success": [[1], {}],
    "algorithm": [5, ["PPO"]], "stochastic": ["no", 1], "mask_zeros": [None], "coral": ["yes"],
    "episodes": ["3"], "seed": [-1, "0"],
}  # fmt: skip


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        (lambda **given: rt.train(TINY, **given), ANOTHER),
        (lambda **given: rt.transfer("run", REVERSED, **given), ANOTHER),
        (lambda **given: rt.transfer(target=REVERSED, **given), {"source": [None, 5, True, ["run"]]}),
        (lambda **given: rt.sweep("quickstart", **given), ANOTHER | OF_SWEEPS),
        (lambda **given: rt.evaluate("run", **given), OF_EVALUATIONS),
        (rt.evaluate, {"policy": [None, 5, True, ["run"], b"run", "a\0b"]}),
        (rt.load_sweep, {"path": [None, 5, ["x"], "a\0b"]}),
        (rt.Picture("heatmap", b"").save, {"path": [None, 5, ["x"], "a\0b"]}),
    ],
    ids=["train", "transfer", "source", "sweep", "evaluate", "policy", "load_sweep", "save"],
)
def test_arguments_of_another_kind_are_refused_by_name(
    call: Any, arguments: dict[str, list[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, values in arguments.items():
        for value in values:
            with pytest.raises(ConfigError, match=name) as refused:
                call(**{name: value})
            assert "expected" in refused.value.message, (name, value)
    assert not any(tmp_path.iterdir())


def test_nothing_of_the_process_is_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        before = Path.cwd(), [*sys.path], signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        run = rt.train(TINY, output=tmp_path / "here", training__total_steps=32, evaluation__every=32)
        rt.evaluate(run, episodes=1)
        after = Path.cwd(), [*sys.path], signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
        assert (after, torch.get_num_threads()) == (before, 3)
    finally:
        torch.set_num_threads(threads)

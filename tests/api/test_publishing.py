"""Policies for others: what is written, what the card claims, and that it loads back as what it was."""

import json
import shutil
import statistics
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from ruamel.yaml import YAML

import rl_transfer as rt
from rl_transfer.api.data_sets import publish_sweep
from rl_transfer.api.given import read_config
from rl_transfer.core import load_bundle, save_bundle
from rl_transfer.errors import BundleError, ConfigError, EnvironmentSpecError, StoreError
from rl_transfer.results import run_id
from rl_transfer.spec import TrainConfig
from rl_transfer.spec.experiment import SingleTransferConfig
from rl_transfer.sweep.dispatch import SUITES, TRAIN, TRANSFER
from rl_transfer.sweep.sweep import prepare, run_sweep
from support.cli import calling
from support.foreign import sb3_class
from support.sweeps import TWO_ARMS, InThisProcess, write_suite

TINY: dict[str, Any] = {
    "name": "tiny",
    "env": {"id": "CartPole-v1"},
    "algorithm": {"name": "A2C", "n_envs": 2, "n_steps": 8, "normalize": {"reward": False}},
    "training": {"total_steps": 64, "engine": "sb3"},
    "evaluation": {"every": 32, "episodes": 3},
}


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> rt.SingleRun:
    return rt.train(TINY, output=tmp_path_factory.mktemp("source"), events=False)


@pytest.fixture(scope="module")
def published(trained: rt.SingleRun, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return publish(trained, tmp_path_factory.mktemp("out") / "agent", license="MIT", episodes=4)


@pytest.fixture(scope="module")
def swept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sweep")
    suite = read_config(write_suite(folder, TWO_ARMS), SUITES, "suites", None).config
    plan = prepare(suite, folder / "swept", lambda _: None, events=False)
    run_sweep(plan, InThisProcess, lambda _, __: None)
    return folder / "swept"


def publish(policy: Any, folder: Path, **options: Any) -> Path:
    return Path(rt.publish(policy, folder, **options))


def card(folder: Path) -> tuple[dict[str, Any], str]:
    """Header and text of a card."""
    _, header, text = (folder / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return YAML(typ="safe").load(header), text


def test_the_folder_is_the_policy(published: Path, trained: rt.SingleRun, tmp_path: Path) -> None:
    names = {"README.md", "bundle.json", "config.yaml", "tensors.safetensors", "vecnormalize.pkl"}
    assert {path.name for path in published.iterdir()} == names | {"a2c-CartPole-v1.zip"}
    assert load_bundle(published).digest == load_bundle(trained.bundle).digest
    assert rt.evaluate(published, episodes=5).data == rt.evaluate(trained, episodes=5).data
    budget = {"training": {"total_steps": 16, "engine": "sb3"}, "evaluation": {"every": 16, "episodes": 1}}
    config = {**TINY, **budget, "strategy": "fine-tune"}
    target = rt.transfer(published, config, output=tmp_path, events=False)
    assert target.config["source"] == f"digest:{load_bundle(trained.bundle).digest}"


def test_stable_baselines3_plays_the_same_and_who_loads_it_is_told_what_that_runs(
    published: Path, trained: rt.SingleRun
) -> None:
    warning, _, snippet = card(published)[1].partition("A2C.load(")
    assert "unpickles what it loads" in warning
    assert snippet
    found = rt.evaluate(published / "a2c-CartPole-v1.zip", episodes=3)
    assert found["returns"] == rt.evaluate(trained, episodes=3)["returns"]
    assert sb3_class("A2C").load(published / "a2c-CartPole-v1.zip", device="cpu").num_timesteps == 64


def test_the_config_makes_the_run_again(published: Path, trained: rt.SingleRun) -> None:
    config = read_config(published / "config.yaml", TRAIN, "train", None).config
    assert isinstance(config, TrainConfig)
    assert run_id(config.run()) == trained.id
    assert config.training.asked_engine == "sb3", "left out, it would be decided anew"


def test_the_header_is_what_the_hub_reads(published: Path) -> None:
    header, text = card(published)
    returns = cast("list[float]", rt.evaluate(published, episodes=4)["returns"])
    (result,) = header["model-index"][0]["results"]
    (metric,) = result["metrics"]
    mean, spread = statistics.fmean(returns), statistics.stdev(returns)
    assert metric["value"] == f"{mean:.2f} +/- {spread:.2f}"
    assert (metric["type"], result["dataset"]["type"]) == ("mean_reward", "CartPole-v1")
    assert (header["license"], header["library_name"]) == ("mit", "stable-baselines3")
    assert {"reinforcement-learning", "a2c", "CartPole-v1"} <= {*header["tags"]}
    assert f"| this policy, 4 episodes with root seed 0, likeliest actions | {mean:.2f} |" in text


def test_the_interval_is_students_t_over_the_episodes(published: Path) -> None:
    returns = np.array(rt.evaluate(published, episodes=4)["returns"], dtype=float)
    half = 3.182446 * returns.std(ddof=1) / 2  # t of 3 degrees of freedom at 0.975, divided by √4
    assert f"| {returns.mean() - half:.2f} to {returns.mean() + half:.2f} |" in card(published)[1]


def test_without_licence_and_episodes_the_card_says_so(trained: rt.SingleRun, tmp_path: Path) -> None:
    header, text = card(publish(trained, tmp_path / "a", episodes=0))
    assert not {"license", "model-index"} & header.keys(), "the training's own evaluations chose the policy"
    assert "The header's" not in text
    assert "Not given by whoever published this" in text
    (last,) = [point for point in trained.points if point["step"] == 64]
    assert f"last evaluation of its training | {statistics.fmean(last['returns']):.2f} |" in text
    shutil.copytree(trained.bundle, tmp_path / "alone")
    header, text = card(publish(tmp_path / "alone", tmp_path / "b", episodes=0))
    assert "model-index" not in header
    assert "Not measured" in text
    assert not (tmp_path / "b" / "config.yaml").exists()


def test_one_episode_and_equal_ones_have_no_interval(trained: rt.SingleRun, tmp_path: Path) -> None:
    header, text = card(publish(trained, tmp_path / "one", episodes=1))
    assert "+/-" not in header["model-index"][0]["results"][0]["metrics"][0]["value"]
    assert "1 episode with root seed 0, likeliest actions" in text


def test_after_a_sweep_the_card_has_the_verdict(swept: Path, tmp_path: Path) -> None:
    run = f"{swept}:reversed/fine-tune/1"
    header, text = card(publish(run, tmp_path / "agent", episodes=2))
    results = rt.load_sweep(swept)
    (cell,) = [each for each in results.cells if (each.target, each.strategy) == ("reversed", "fine-tune")]
    entry = cell.comparisons["auc_gain"]
    assert entry.reason in text.replace("\\", "")
    assert "over 2 seeds" in text
    assert "- \\* fine-tune on reversed: without a control nobody can tell" in text
    assert results.matrix.warnings
    assert all(f"\n- {each}" in text.replace("\\", "") for each in results.matrix.warnings)
    value = cell.metrics["final_performance"].value
    assert f"all 2 runs of fine-tune from base on reversed, final performance | {value.mean:.2f} |" in text
    assert "transfer-learning" in header["tags"]
    assert "action\\_remap" in text
    assert "reverse" in text
    record = next(each.record for each in results.runs if each.record and f"`{each.id}`, root" in text)
    config = read_config(tmp_path / "agent" / "config.yaml", TRANSFER, "transfer", None).config
    assert isinstance(config, SingleTransferConfig)
    source = next(row["needs"][0] for row in _rows(swept) if row["id"] == record["id"])
    assert run_id(config.transfer_run(source)) == record["id"]


def test_its_data_set_has_a_config_that_plans_the_same_runs(swept: Path, tmp_path: Path) -> None:
    data = Path(publish_sweep(swept, tmp_path / "data", None))
    suite = read_config(data / "suite.yaml", SUITES, "suites", None).config
    plan = prepare(suite, tmp_path / "again", lambda _: None, events=False)
    assert {*plan.graph.specs} == {row["id"] for row in _rows(swept)}


def test_a_source_of_a_sweep_stands_among_its_like(swept: Path, tmp_path: Path) -> None:
    _, text = card(publish(f"{swept}:source/base/0", tmp_path / "agent", episodes=2))
    scores = rt.load_sweep(swept).matrix.sources["base"].scores
    mean = statistics.fmean(scores.values())
    assert f"all 2 policies of the source base, last evaluation | {mean:.2f} |" in text
    assert "## Transfer" not in text


def test_a_transfer_of_no_sweep_has_no_verdict(trained: rt.SingleRun, tmp_path: Path) -> None:
    run = rt.transfer(trained, "cartpole-reversed-actions", strategy="fine-tune", output=tmp_path / "x",
                      training__total_steps=32, evaluation__every=32, events=False)  # fmt: skip
    _, text = card(publish(run, tmp_path / "agent", episodes=2))
    assert "**No verdict**: the run is of no sweep" in text


def test_what_cannot_be_published_is_refused_and_nothing_stays(trained: rt.SingleRun, tmp_path: Path) -> None:
    target = tmp_path / "agent"
    shutil.copytree(trained.bundle, tmp_path / "altered")
    content = bytearray((tmp_path / "altered" / "tensors.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "altered" / "tensors.safetensors").write_bytes(content)
    zoo = load_bundle(trained.bundle)
    elsewhere = {**zoo.metadata, "env": {"id": "Anywhere-v0"}}
    save_bundle(tmp_path / "elsewhere", {**zoo.tensors, **zoo.state()}, elsewhere, kind="policy")
    for policy, error, message in (
        (tmp_path / "altered", BundleError, "altered"),
        (tmp_path / "nothing", BundleError, "no such bundle or run folder.*policies import"),
        (tmp_path / "elsewhere", EnvironmentSpecError, "Anywhere-v0"),
    ):
        with pytest.raises(error, match=message):
            publish(policy, target)
    with pytest.raises(ConfigError, match="licence 'any one': expected one word"):
        publish(trained, target, license="any one")
    with pytest.raises(BundleError, match="no such bundle"):
        publish(tmp_path / "nothing", tmp_path / "agents" / "of" / "mine")
    assert not [path for path in tmp_path.iterdir() if "agent" in path.name]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"policy": None}, "policy=None: expected a path"),
        ({"target": "a\0b"}, "target='a.*: expected a path"),
        ({"target": "HF://me/x"}, "is no folder; the Hub is addressed as hf://user/repository"),
        ({"target": Path("hf://me/x")}, "is no folder; the Hub is addressed as hf://user/repository"),
        ({"target": "."}, "is the folder that you are in"),
        ({"target": "x" * 260}, "cannot be written: File name too long"),
        ({"license": 3}, "licence 3: expected one word"),
        ({"episodes": -1}, "episodes=-1: expected a whole number, 0 or more"),
        ({"episodes": 1.5}, "episodes=1.5: expected a whole number"),
        ({"seed": -1}, "seed=-1: expected a whole number"),
        ({"seed": "0"}, "seed='0': expected a whole number"),
        ({"onnx": "yes"}, "onnx='yes': expected True or False"),
        ({"private": True}, "private, and agent is a folder"),
        ({"say": None}, "say=None: expected a function"),
    ],
)
def test_wrong_arguments_are_refused_before_anything_is_done(
    changed: dict[str, Any], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given: dict[str, Any] = {"policy": "nowhere", "target": "agent", **changed}
    with pytest.raises((ConfigError, StoreError), match=message):
        rt.publish(given.pop("policy"), given.pop("target"), **given)
    assert not [*tmp_path.iterdir()]


def test_nothing_is_overwritten(trained: rt.SingleRun, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert publish(trained, tmp_path / "mine", episodes=0) == tmp_path / "mine", "it was empty"
    before = {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()}
    with pytest.raises(StoreError, match="mine is not empty"):
        publish(trained, tmp_path / "mine", episodes=0)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "mine").iterdir()}
    (tmp_path / "file").write_text("mine")
    (tmp_path / "link").symlink_to(tmp_path / "empty")
    for name in ("file", "link"):
        with pytest.raises(StoreError, match="is no folder"):
            publish(trained, tmp_path / name, episodes=0)


def test_words_of_a_bundle_do_nothing_in_the_card(trained: rt.SingleRun, tmp_path: Path) -> None:
    zoo = load_bundle(trained.bundle)
    notes = ["[click](http://x) | <script>", "two\nlines\n# heading"]
    save_bundle(
        tmp_path / "b", {**zoo.tensors, **zoo.state()}, {**zoo.metadata, "notes": notes}, kind="policy"
    )
    _, text = card(publish(tmp_path / "b", tmp_path / "agent", episodes=0))
    assert "- \\[click\\](http://x) \\| \\<script\\>\n- two lines \\# heading" in text


def test_no_place_of_a_machine_is_among_the_arguments_of_the_environment(
    trained: rt.SingleRun, tmp_path: Path
) -> None:
    zoo = load_bundle(trained.bundle)
    given = {"xml_file": "/home/secret/My.xml", "maps": [{"file": "C:\\secret\\Map"}], "gait": "trot/slow"}
    env = {**zoo.metadata["env"], "kwargs": given}
    save_bundle(tmp_path / "b", {**zoo.tensors, **zoo.state()}, {**zoo.metadata, "env": env}, kind="policy")
    _, text = card(publish(tmp_path / "b", tmp_path / "agent", episodes=0))
    told = "with {'xml_file': 'My.xml', 'maps': [{'file': 'Map'}], 'gait': 'trot/slow'}"
    assert told in text.replace("\\", "")
    assert "secret" not in text


def test_the_command_writes_the_same(
    trained: rt.SingleRun, published: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    call = calling(capfd)
    found = call(
        "policies", "publish", str(trained.folder), str(tmp_path / "a"), "--license", "mit", "--episodes", "4"
    )
    assert found.code == 0, found.err
    assert "read its README.md before you share it" in found.out
    for name in ("bundle.json", "config.yaml", "tensors.safetensors"):
        assert (tmp_path / "a" / name).read_bytes() == (published / name).read_bytes()
    assert card(tmp_path / "a")[0] == card(published)[0]
    again = call("policies", "publish", str(trained.folder), str(tmp_path / "a"))
    assert again.code == StoreError.exit_code
    assert "is not empty" in again.err


def _rows(swept: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((swept / "sweep.json").read_text(encoding="utf-8"))["runs"]
    return rows

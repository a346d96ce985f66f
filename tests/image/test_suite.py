"""Image suites: strict configs, preflight that names the key, whole sweeps that the analysis can read."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl_transfer.analysis import analyse, read_sweep
from rl_transfer.errors import BundleError, ConfigError, RLTransferError, TransferError
from rl_transfer.image.room import IMAGES, ROOM
from rl_transfer.results import RunStore, run_id
from rl_transfer.spec import load, shipped
from rl_transfer.spec.image import ImageRun, ImageSuite, ImageTrainConfig
from rl_transfer.spec.image_data import DigitsData, FolderData
from rl_transfer.supervised.room import SupervisedRoom
from rl_transfer.sweep.dispatch import SUITES, TRAIN, TRANSFER, Job
from rl_transfer.sweep.sweep import prepare, run_sweep
from support.image import save_arrays, save_folder
from support.sweeps import InThisProcess
from support.untyped import untyped

named_data = SupervisedRoom(IMAGES).named_data

SUITE = """\
kind: image
name: tiny
seeds: 2
model: {{name: small-resnet, width: 4, blocks: [1], input: {{size: 8}}}}
training:
  epochs: 2
  batch_size: 16
  optimizer: {{name: SGD, learning_rate: 0.1}}
  schedule: {{name: constant}}
sources:
  home: {{data: {{name: arrays, path: {home}}}, bar: 0.1}}
targets:
  away: {{data: {{name: arrays, path: {away}, shots: 5}}}}
  home-again: {{data: {{name: arrays, path: {home}}}}}
strategies:
  - scratch
  - {{name: frozen, copy: [trunk], freeze: [trunk]}}
  - {{name: random-frozen, freeze: [trunk], control: true, control_for: [frozen]}}
"""


@pytest.fixture
def suite_file(tmp_path: Path) -> Path:
    """A suite of two targets and three strategies."""
    home = save_arrays(tmp_path / "home.npz")
    away = save_arrays(tmp_path / "away.npz", invert=True)
    path = tmp_path / "tiny.yaml"
    path.write_text(SUITE.format(home=home, away=away), encoding="utf-8")
    return path


def read(path: Path, *overrides: str) -> ImageSuite:
    suite: Any = load(str(path), SUITES, "suites", list(overrides)).config
    assert isinstance(suite, ImageSuite)
    return suite


def test_a_sweep_on_images_is_analysed_like_any_other(suite_file: Path, tmp_path: Path) -> None:
    plan = prepare(read(suite_file), tmp_path / "out")
    # 2 sources, 2 chances; away: 3 arms × 2 seeds; home-again: its scratch arm is the source itself: 2 × 2.
    assert len(plan.graph.specs) == 2 + 2 + 6 + 4
    state = run_sweep(plan, InThisProcess, lambda _, __: None)
    assert not state.failed, state.failed
    manifest = json.loads((tmp_path / "out" / "sweep.json").read_text(encoding="utf-8"))
    assert (manifest["unit"], manifest["measure"]) == ("epochs", "accuracy")
    assert manifest["config"]["targets"]["away"].get("data", {})["shots"] == 5
    sweep = read_sweep(tmp_path / "out")
    assert all(run.finished for run in sweep.runs), [run.problem for run in sweep.runs]
    assert analyse(sweep) is not None
    again = run_sweep(plan, InThisProcess, lambda _, __: None)
    assert again.reused == set(plan.graph.specs)


def test_all_mistakes_of_a_config_are_reported_with_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(
        "kind: image\n"
        "model: {name: small-resnet, widht: 4}\n"
        "data: {name: glyfs}\n"
        "training: {optimizer: {name: SDG}}\n",
        encoding="utf-8",
    )
    with pytest.raises(ConfigError) as error:
        load(str(path), TRAIN, "train")
    message = error.value.message
    assert "bad.yaml:2:29: model.widht: unknown key 'widht'. Did you mean 'width'?" in message
    assert "bad.yaml:3:1: data: got 'glyfs', accepted: glyphs, digits" in message
    assert "Did you mean 'SGD'?" in message


def test_the_textbook_example_is_three_lines(tmp_path: Path) -> None:
    path = tmp_path / "textbook.yaml"
    path.write_text("kind: image\nmodel: resnet18\nweights: DEFAULT\ndata: photos\n", encoding="utf-8")
    config: Any = load(str(path), TRAIN, "train").config
    run = config.run()
    assert (run.model.name, run.model.architecture, run.data.path) == ("torchvision", "resnet18", "photos")
    optimizer, schedule = run.training.optimizer, run.training.schedule
    assert (optimizer.name, optimizer.learning_rate, optimizer.momentum) == ("SGD", 0.001, 0.9)
    assert (schedule.name, schedule.every, schedule.factor) == ("step", 7, 0.1)
    assert run.strategy.copy_ == run.strategy.freeze == ("trunk",)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("evaluation.every=3", r"evaluation\.every is 3, which does not divide training\.epochs \(2\)"),
        ("training.keep=best", r"chooses an epoch by a validation part, but data\.validation is 0"),
        ("training.early_stopping={patience: 2}", "set data.validation"),
        ("targets.away.data.test=1", "hold out a share between 0 and 1"),
        ("sources.home.data=", "a source needs data to train on, or pretrained weights"),
        ("training.optimizer={name: SGD, momentum: 0, nesterov: true}", "nesterov needs a momentum"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(suite_file: Path, change: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(suite_file, change)


def test_a_transfer_takes_its_weights_from_the_source(tmp_path: Path) -> None:
    path = tmp_path / "transfer.yaml"
    path.write_text("kind: image\nmodel: resnet18\nweights: DEFAULT\ndata: photos\n", encoding="utf-8")
    with pytest.raises(ConfigError, match="takes its weights from --source"):
        load(str(path), TRANSFER, "transfer")


def test_runs_survive_their_json_form(suite_file: Path) -> None:
    suite = read(suite_file)
    run = suite.target_run("away", suite.strategies[1], next(iter(suite.sources)), "abc", 1)
    assert ImageRun.model_validate_json(json.dumps(run.plain()), strict=True) == run
    assert run_id(run) == run_id(ImageRun.model_validate_json(json.dumps(run.plain())))


def test_other_files_under_the_same_name_are_another_run(suite_file: Path, tmp_path: Path) -> None:
    suite = read(suite_file)
    before = run_id(suite.source_run("home", 0))
    save_arrays(tmp_path / "home.npz", invert=True)
    assert run_id(suite.source_run("home", 0)) != before


def test_a_moved_data_set_has_the_same_streams(tmp_path: Path) -> None:
    one, other = save_arrays(tmp_path / "one.npz"), save_arrays(tmp_path / "other.npz")
    digests = {
        ImageTrainConfig.model_validate(
            {"model": "small-resnet", "data": {"name": "arrays", "path": str(path)}}
        ).run().data.digest  # type: ignore[union-attr]
        for path in (one, other)
    }  # fmt: skip
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("change", "error", "key"),
    [
        ("targets.away.data.shots=50", ConfigError, "targets.away.data.shots"),
        ("sources.home.data.path=absent.npz", ConfigError, "sources.home.data.path"),
        ("strategies.1.copy=[stage7]", TransferError, "strategies.1.copy.0"),
        ("strategies.1.freeze=[all]", TransferError, "strategies.1.freeze"),
        ("strategies.1.guide={}", TransferError, "strategies.1.guide"),
    ],
)
def test_preflight_names_the_key_at_fault(
    suite_file: Path, change: str, error: type[RLTransferError], key: str
) -> None:
    with pytest.raises(error) as found:
        ROOM.preflight(read(suite_file, change))
    assert found.value.key == key


def test_preflight_refuses_absent_weights_and_other_classes(
    suite_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    with pytest.raises(BundleError, match="are not on this machine") as found:
        ROOM.preflight(read(suite_file, "model=squeezenet1_1", "sources.home={weights: DEFAULT}"))
    assert found.value.key == "sources.home.weights"
    other = save_arrays(tmp_path / "other.npz", names=("x", "y", "z"))
    with pytest.raises(TransferError, match="the classes differ"):
        ROOM.preflight(read(suite_file, f"targets.away.data.path={other}", "strategies.1.copy=[all]"))


def test_pretrained_weights_are_a_source_like_any_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import torch
    from torchvision.models import get_model

    save_folder(tmp_path / "photos", {"ants": 6, "bees": 6}, size=(64, 64))
    torch.save(get_model("squeezenet1_1").state_dict(), tmp_path / "squeezenet.pth")
    path = tmp_path / "suite.yaml"
    path.write_text(
        "kind: image\nname: pretrained\nseeds: 1\n"
        "model: {name: torchvision, architecture: squeezenet1_1, input: {size: 64}}\n"
        "training: {epochs: 1, batch_size: 4}\n"
        f"sources: {{imagenet: {{weights: {tmp_path}/squeezenet.pth}}}}\n"
        f"targets: {{photos: {{data: {tmp_path}/photos}}}}\n"
        "strategies: [scratch, frozen-trunk-new-head]\n",
        encoding="utf-8",
    )
    plan = prepare(read(path), tmp_path / "out")
    state = run_sweep(plan, InThisProcess, lambda _, __: None)
    assert not state.failed, state.failed
    assert "stage3  copied 6" in capsys.readouterr().out
    [frozen] = [row for row in plan.graph.rows if row.strategy == "frozen-trunk-new-head"]
    record = plan.store.folder(frozen.id).record()
    assert record["source_score"] is None
    assert record["notes"][0] == "features are not cached: the head is not the network's last operation"
    pretrained = plan.store.folder(frozen.needs[0]).record()
    assert pretrained["pretrained"]["weights"]["file"] == "squeezenet.pth"


def test_shipped_image_configs_are_sound() -> None:
    for name, path in shipped("suites").items():
        if name.startswith("image-") and name != "image-pretrained":  # its data lie in a package
            suite = read(path)
            for target in suite.targets.values():
                splits = IMAGES.split(target.data, suite.root_seed, 0)
                assert np.bincount(splits.train.labels).min() >= 1
    for category, models in (("train", TRAIN), ("transfer", TRANSFER)):
        for name in shipped(category):
            if name.startswith("image-"):
                load(name, untyped(models), category)


def test_a_store_of_images_refuses_to_overwrite(suite_file: Path, tmp_path: Path) -> None:
    run = read(suite_file).random_run("away")
    folder = RunStore(tmp_path / "store").folder(run_id(run))
    Job(run, folder.path).execute()
    with pytest.raises(RLTransferError, match="never overwritten"):
        Job(run, folder.path).execute()


def test_data_to_measure_on_are_named_by_folder_or_file(tmp_path: Path) -> None:
    assert named_data(None) is None
    assert named_data("photos") == FolderData(name="folder", path="photos")
    path = tmp_path / "data.yaml"
    path.write_text("name: digits\nshots: 3\n", encoding="utf-8")
    assert named_data(str(path)) == DigitsData(name="digits", shots=3)
    path.write_text("kind: image\ndata: {name: digits}\n", encoding="utf-8")
    assert named_data(str(path)) == DigitsData(name="digits")
    path.write_text("name: digits\nshosts: 3\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"data\.yaml:2:1: .*Did you mean 'shots'"):
        named_data(str(path))

"""Classifiers for others: what the card claims, in which words, and that the folder is the classifier."""

import math
import os
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

import rl_transfer as rt
from rl_transfer.api.data_sets import publish_sweep
from rl_transfer.api.given import read_config
from rl_transfer.core import load_bundle
from rl_transfer.errors import BundleError, ConfigError
from rl_transfer.image.room import IMAGES
from rl_transfer.results import RunFolder, run_id
from rl_transfer.spec import parse
from rl_transfer.spec.experiment import SingleTransferConfig
from rl_transfer.spec.image import ImageSuite
from rl_transfer.spec.image_model import TorchvisionConfig
from rl_transfer.supervised.bundle import load_network, save_network
from rl_transfer.sweep.dispatch import TRAIN, TRANSFER
from rl_transfer.sweep.sweep import prepare, run_sweep
from support.cli import calling
from support.image import SMALL, TRAINING, save_arrays
from support.sweeps import InThisProcess

PLAYED = re.compile(
    r"episod|\breturns?\b|reward|polic|\bagents?\b|environment|stable.baselines|\bactions?\b", re.I
)
"""Words of reinforcement learning."""


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    save_arrays(folder / "stripes.npz")
    save_arrays(folder / "inverted.npz", invert=True)
    return folder


def config(place: Path, **changes: Any) -> dict[str, Any]:
    data = {"name": "arrays", "path": str(place / "stripes.npz"), "validation": 0.2}
    given = {"kind": "image", "name": "stripes", "data": data, "model": SMALL, "training": TRAINING}
    return {**given, **changes}


@pytest.fixture(scope="module")
def trained(place: Path) -> rt.SingleRun:
    return rt.train(config(place), output=place / "source", events=False)


@pytest.fixture(scope="module")
def published(trained: rt.SingleRun, place: Path) -> Path:
    return Path(rt.publish(trained, place / "published", license="MIT"))


@pytest.fixture(scope="module")
def swept(place: Path) -> Path:
    data = [{"name": "arrays", "path": str(place / f"{name}.npz")} for name in ("stripes", "inverted")]
    frozen = {"copy": ["trunk"], "freeze": ["trunk"]}
    suite = parse(
        ImageSuite,
        {
            "name": "stripes",
            "seeds": 2,
            "model": SMALL,
            "training": {**TRAINING, "epochs": 1},
            "sources": {"home": {"data": data[0], "bar": 0.1}},
            "targets": {"away": {"data": {**data[1], "shots": 5}}},
            "strategies": [
                {"name": "scratch"},
                {"name": "frozen", **frozen},
                {"name": "random", "freeze": ["trunk"], "control": True, "control_for": ["frozen"]},
            ],
        },
    )
    plan = prepare(suite, place / "swept", events=False)
    assert not run_sweep(plan, InThisProcess, lambda _, __: None).failed
    return place / "swept"


def text_of(folder: Path) -> str:
    return (folder / "README.md").read_text(encoding="utf-8")


def test_the_folder_is_the_classifier(
    published: Path, trained: rt.SingleRun, place: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    names = {"README.md", "bundle.json", "config.yaml", "tensors.safetensors"}
    assert {path.name for path in published.iterdir()} == names
    for name in ("bundle.json", "tensors.safetensors"):
        assert (published / name).read_bytes() == (trained.bundle / name).read_bytes()
    assert rt.evaluate(published).data == rt.evaluate(trained).data
    away = {"name": "arrays", "path": str(place / "inverted.npz")}
    target = rt.transfer(published, config(place, data=away), output=tmp_path / "x", events=False)
    assert target.config["source"] == f"digest:{load_bundle(trained.bundle).digest}"
    assert "small-resnet" not in calling(capfd)("policies", "inspect", str(published)).err


def test_the_config_makes_the_run_again(published: Path, trained: rt.SingleRun) -> None:
    again = read_config(published / "config.yaml", TRAIN, "train", None).config
    assert run_id(again.run()) == trained.id
    assert "`rl-transfer train ./config.yaml`. Data and weights must lie where it says" in text_of(published)


def test_the_figures_are_those_of_the_test_part_with_wilsons_interval(published: Path) -> None:
    measured: dict[str, Any] = {**rt.evaluate(published).data}
    n, p, z = 15, measured["accuracy"], 1.959964  # 0.25 of 20 images of each of 3 classes
    assert measured["images"] == n
    centre = (p + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(p * (1 - p) / n + (z / (2 * n)) ** 2)
    ends = f"{centre - half:.4f} to {min(1, centre + half):.4f}"
    row = f"| {p:.4f} | {ends} | {round(p * n)} of 15 |"
    text = text_of(published)
    assert f"| this classifier, on its test images, measured for this card {row}" in text
    assert f"| the same, at the end of its run, on the test part {row}" in text
    assert "| always the most frequent class of these | 0.3333 |" in text
    for name, share in measured["per_class"].items():
        assert re.search(rf"\| `{name}` \| {share:.4f} \| .* \| {round(5 * share)} of 5 \|", text)
    assert "| images | 36 train, 9 validation, 15 test |" in text


def test_no_word_of_reinforcement_learning_is_in_the_card(
    published: Path, swept: Path, tmp_path: Path
) -> None:
    rt.publish(f"{swept}:away/frozen/0", tmp_path / "moved")
    for folder in (published, tmp_path / "moved"):
        prose = re.sub("```.*?```|`[^`]*`", "", text_of(folder), flags=re.S)
        assert not PLAYED.findall(prose)


def test_after_a_sweep_the_card_has_the_verdict_and_what_its_controls_say(
    swept: Path, tmp_path: Path
) -> None:
    rt.publish(f"{swept}:away/frozen/1", tmp_path / "moved")
    text = text_of(tmp_path / "moved")
    results = rt.load_sweep(swept)
    (cell,) = [each for each in results.cells if each.strategy == "frozen"]
    assert cell.comparisons["auc_gain"].reason in text.replace("\\", "")
    assert "over 2 seeds" in text
    assert "trained for 1 epoch, which" in text
    assert "at 1 epoch, against" in text
    assert "1 epochs" not in text
    value = cell.metrics["final_performance"].value
    assert f"all 2 runs of frozen from home on away, final performance | {value.mean:.4f} |" in text
    assert "- transfer-learning" in text
    record = next(each.record for each in results.runs if each.record and f"`{each.id}`, root" in text)
    assert f"The source as it was reached {record['zero_shot']['returns'][0]:.4f} on this test part" in text
    assert f"it reaches {record['retention']['returns'][0]:.4f}" in text
    assert "Of the 15 test images the source had been trained on 0." in text
    again = read_config(tmp_path / "moved" / "config.yaml", TRANSFER, "transfer", None).config
    assert isinstance(again, SingleTransferConfig)
    source = RunFolder(swept / "runs" / record["id"]).record()["spec"]["source"]
    assert run_id(again.transfer_run(source)) == record["id"]


def test_the_data_set_of_its_sweep_is_none_of_reinforcement_learning(swept: Path, tmp_path: Path) -> None:
    publish_sweep(swept, tmp_path / "data", None)
    header = text_of(tmp_path / "data").split("---\n")[1]
    assert "reinforcement-learning" not in header
    assert "- transfer-learning" in header


def test_a_transfer_of_no_sweep_has_no_verdict(trained: rt.SingleRun, place: Path, tmp_path: Path) -> None:
    away = {"name": "arrays", "path": str(place / "inverted.npz")}
    run = rt.transfer(trained, config(place, data=away), output=tmp_path / "x", events=False)
    rt.publish(run, tmp_path / "moved")
    assert "**No verdict**: the run is of no sweep" in text_of(tmp_path / "moved")


def test_without_its_data_the_card_says_that_it_was_not_measured(place: Path, tmp_path: Path) -> None:
    shutil.copy(place / "stripes.npz", tmp_path / "gone.npz")
    data = {"name": "arrays", "path": str(tmp_path / "gone.npz")}
    run = rt.train(config(place, data=data), output=tmp_path / "run", events=False)
    (tmp_path / "gone.npz").unlink()
    shutil.copytree(run.bundle, tmp_path / "alone")
    for source, name, recorded in (
        (run, "with", "the same, at the end of its run"),
        (tmp_path / "alone", "without", "as its bundle says"),
    ):
        text = text_of(Path(rt.publish(source, tmp_path / name)))
        assert "Not measured for this card" in text
        assert str(tmp_path) not in re.sub(r"\| command.*", "", text)
        assert f"| {recorded}" in text
        assert "model-index" not in text, "nothing was measured that a header could name"
    assert "There is no record of a run beside this classifier" in text


def test_what_only_policies_have_is_refused(
    trained: rt.SingleRun, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    refused: tuple[tuple[dict[str, Any], str], ...] = (
        ({"episodes": 5}, "plays no episodes.*Leave episodes out"),
        ({"seed": 0}, "Leave seed out"),
    )
    for options, message in refused:
        with pytest.raises(ConfigError, match=message):
            rt.publish(trained, tmp_path / "a", **options)
    bad = calling(capfd)("policies", "publish", "torchvision/resnet18", str(tmp_path / "a"))
    assert bad.code == BundleError.exit_code
    assert "weights of a library by a run that trains or transfers from them" in " ".join(bad.err.split())
    assert not [*tmp_path.iterdir()]


def in_folder(folder: Path, lines: str) -> dict[str, Any]:
    """What code of a card defines, run in the published folder."""
    found: dict[str, Any] = {}
    before = os.getcwd()
    os.chdir(folder)
    try:
        exec(lines, found)  # noqa: S102 - our own text
    finally:
        os.chdir(before)
    return found


def snippets(folder: Path) -> list[str]:
    return re.findall("```python\n(.*?)```", text_of(folder), flags=re.S)


def test_torchvision_alone_loads_what_it_can_build(tmp_path: Path) -> None:
    model = TorchvisionConfig(name="torchvision", architecture="shufflenet_v2_x0_5")
    made = IMAGES.build_classifier(model, 3, seed=0)
    save_network(
        IMAGES, tmp_path / "net", made.module.state_dict(), made, model, {"classes": ["a", "b", "c"]}
    )
    folder = Path(rt.publish(tmp_path / "net", tmp_path / "out"))
    theirs = in_folder(folder, snippets(folder)[-1])["model"]
    ours = load_network(IMAGES, folder).module
    inputs = torch.rand(2, 3, 64, 64)
    assert torch.equal(theirs(inputs), ours(inputs))


def test_a_network_of_our_own_is_said_to_be_loaded_here_alone(published: Path) -> None:
    assert "lines that build it elsewhere are not provided" in text_of(published)
    assert len(snippets(published)) == 1

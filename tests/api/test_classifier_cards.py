"""Cards of classifiers: no place of a machine, no claim that a record does not bear, no foreign Markdown."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rl_transfer as rt
from rl_transfer.core import load_bundle, save_bundle
from rl_transfer.errors import BundleError
from rl_transfer.image.room import IMAGES
from rl_transfer.results.manifest import NAME
from rl_transfer.spec.image_data import ArrayData
from support.image import SMALL, TRAINING, save_arrays

Changed = Callable[..., Path]
SHORT = {**TRAINING, "epochs": 2}


def config(path: Path, **changes: Any) -> dict[str, Any]:
    named = {"name": "arrays", "path": str(path), "validation": changes.pop("validation", 0)}
    return {"kind": "image", "name": "x", "data": named, "model": SMALL, "training": SHORT, **changes}


@pytest.fixture(scope="module")
def stripes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_arrays(tmp_path_factory.mktemp("images") / "stripes.npz")


@pytest.fixture(scope="module")
def trained(stripes: Path) -> rt.SingleRun:
    return rt.train(config(stripes), output=stripes.parent / "source", events=False)


@pytest.fixture
def changed(trained: rt.SingleRun, tmp_path: Path) -> Changed:
    """The classifier as a bundle that says something else."""
    found = load_bundle(trained.bundle)

    def make(**changes: Any) -> Path:
        save_bundle(tmp_path / "changed", found.tensors, {**found.metadata, **changes}, kind="model")
        return tmp_path / "changed"

    return make


@pytest.fixture
def memorised(stripes: Path, trained: rt.SingleRun, tmp_path: Path) -> rt.SingleRun:
    """A transfer to data whose items are all those that the source was trained on."""
    train = IMAGES.split(ArrayData(name="arrays", path=str(stripes)).planned(), 0, 0).train
    images = np.stack([np.asarray(train.load(index)) for index in range(len(train))])
    np.savez(tmp_path / "known.npz", images=images, labels=train.labels, classes=np.array(["a", "b", "c"]))
    return rt.transfer(trained, config(tmp_path / "known.npz"), output=tmp_path / "target", events=False)


def card_of(source: Path | rt.SingleRun, folder: Path, **options: Any) -> str:
    rt.publish(source, folder, **options)
    return (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "said",
    [
        {"data": {"name": "glyphs", "faces": ["DejaVuSans", "/home/secret/My.ttf"]}},
        {"data": {"name": "arrays", "path": "C:\\Users\\secret\\My.npz"}},
        {"data": {"name": "torchvision", "dataset": "N", "kwargs": {"a": [{"b": "~/secret/My"}]}}},
        {"data": {"name": "torchvision", "dataset": "N", "kwargs": {"/home/secret/My": "../secret/a/My"}}},
        {"weights": {"name": "/home/secret/My", "file": ["C:/secret/My"], "entry": "file:///secret/My"}},
        {"weights": {"name": "local-dir:/secret/My"}},
    ],
)  # fmt: skip
def test_no_place_of_a_machine_is_on_the_card(changed: Changed, tmp_path: Path, said: Any) -> None:
    text = card_of(changed(**said), tmp_path / "out")
    assert "My" in text
    assert "secret" not in text


def test_addresses_that_people_need_stay(changed: Changed, tmp_path: Path) -> None:
    given = ["hf://me/x", "package://nets/x.pt", "https://example.org/a/b", "timm/resnet18", "hf-hub:me/x"]
    drawn = {"name": "glyphs", "faces": ["DejaVuSans"], "characters": "~/a"}
    text = card_of(changed(weights=dict(zip("abcde", given, strict=True)), data=drawn), tmp_path / "out")
    assert ", ".join(f"{key}: {each}" for key, each in zip("abcde", given, strict=True)) in text
    assert "characters: ~/a," in text


def test_why_its_sweep_cannot_be_analysed_is_said_but_not_on_the_card(
    memorised: rt.SingleRun, tmp_path: Path
) -> None:
    (memorised.folder.parent.parent / NAME).write_text("{broken")
    lines: list[str] = []
    text = card_of(memorised, tmp_path / "out", say=lines.append)
    assert "**No verdict**: its sweep cannot be analysed." in text
    assert str(tmp_path) not in text
    assert any("its sweep cannot be analysed: " in line and NAME in line for line in lines)


@pytest.mark.parametrize("choice", [{}, {"keep": "best"}, {"early_stopping": {"patience": 9}}])
def test_a_validation_score_has_no_interval(stripes: Path, tmp_path: Path, choice: dict[str, Any]) -> None:
    given = config(stripes, validation=0.2, training={**SHORT, **choice}, evaluation={"part": "validation"})
    text = card_of(rt.train(given, output=tmp_path / "run", events=False), tmp_path / "out")
    chose = ", which also chose the epoch, and so too high" if choice else ""
    assert re.search(
        rf"\| the same, at the end of its run, on the validation part{chose} \| [\d.]+ \| – \| \d of 9 \|",
        text,
    )
    assert "A dash stands where no interval can be given" in text


def test_what_the_source_was_trained_on_has_no_interval_and_is_not_measured(
    memorised: rt.SingleRun, tmp_path: Path
) -> None:
    text = card_of(memorised, tmp_path / "out")
    row = r"on the test part, (\d+) of them trained on by its source \| [\d.]+ \| – \| \d+ of (\d+) \|"
    found = re.search(row, text)
    assert found
    assert found[1] == found[2]
    assert "Not measured for this card: it, or its source, was trained on all of its test images." in text
    assert "Intervals are Wilson's" not in text


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"classes": ["x", "y", "z"]}, "it cannot name the classes of its test images"),
        ({"classes": None}, "it cannot name the classes of its test images"),
        ({"data": {"name": "arrays", "path": "/nowhere.npz"}}, "the data that its bundle names could not be"),
        ({"data": None}, "its bundle names no data"),
    ],
)  # fmt: skip
def test_why_it_was_not_measured_is_the_true_reason(
    changed: Changed, tmp_path: Path, said: dict[str, Any], reason: str
) -> None:
    assert f"Not measured for this card: {reason}" in card_of(changed(**said), tmp_path / "out")


def test_seeds_are_the_integers_that_it_is_measured_with(changed: Changed, tmp_path: Path) -> None:
    bad = {"root_seed": 7, "seed": "0 |\n\n# Verified\n\n<img src=x>"}
    text = card_of(changed(seeds=bad), tmp_path / "out")
    assert "Verified" not in text
    assert "| split by | root seed 0, seed 0 |" in text


@pytest.mark.parametrize("score", [pytest.param(10**400, id="huge"), 7.5, -0.1, True, "1"])
def test_a_score_that_is_no_share_is_none(changed: Changed, tmp_path: Path, score: Any) -> None:
    assert "as its bundle says" not in card_of(changed(score=score), tmp_path / "out")


@pytest.mark.parametrize("classes", [5, "abc", ["a", "b"], ["a", "b", 3], {"a": 1, "b": 2, "c": 3}])
def test_classes_are_one_text_per_output(changed: Changed, tmp_path: Path, classes: Any) -> None:
    with pytest.raises(BundleError, match=r"classes is .*; expected null, or a list of 3 texts"):
        rt.publish(changed(classes=classes), tmp_path / "out")

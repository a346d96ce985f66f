"""A head behind another trunk: what the map does, its control, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rl_transfer.core import digest_model
from rl_transfer.core.alignment import fit_ridge
from rl_transfer.errors import ConfigError, TransferError
from rl_transfer.frame import EvaluationRequest
from rl_transfer.image.data.arrays import ArrayLoader
from rl_transfer.image.room import IMAGES, ROOM
from rl_transfer.results import RunFolder
from rl_transfer.rl.room import RLRoom
from rl_transfer.supervised.alignment import align_head, features_of, folded
from rl_transfer.supervised.bundle import load_network
from rl_transfer.supervised.data import LabelledSet
from support.image import TRAINING, Execute, stripes
from support.untyped import untyped


@pytest.fixture
def others(tmp_path: Path) -> Path:
    """300 images of the same three classes that nobody was trained on."""
    images, labels = stripes(300, seed=7)
    np.savez(tmp_path / "others.npz", images=images, labels=labels, classes=np.array(["a", "b", "c"]))
    (tmp_path / "others.yaml").write_text(f"name: arrays\npath: {tmp_path / 'others.npz'}\n")
    return tmp_path / "others.yaml"


@pytest.fixture
def source(run: Execute) -> RunFolder:
    return run(training={**TRAINING, "epochs": 12})


@pytest.fixture
def other(run: Execute) -> RunFolder:
    """A narrower network of another initialisation."""
    return run(seed=1, model={"name": "small-resnet", "width": 3, "blocks": [1, 1], "input": {"size": 8}})


def evaluate(folder: RunFolder, data: Path, **given: Any) -> Any:
    return untyped(ROOM.evaluate(str(folder.bundle), EvaluationRequest(data=str(data), **given)).data)


def test_a_folded_head_is_the_head_behind_the_map() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(50, 6)), rng.normal(size=(50, 4))
    found = fit_ridge(x, y, "target_to_source", "auto")
    for bias in (True, False):
        head = nn.Linear(4, 3, bias=bias)
        behind = head.double()(torch.from_numpy(found(x)))
        assert torch.allclose(
            folded(head.float(), found)(torch.from_numpy(x).float()).double(), behind, atol=1e-5
        )


def test_a_head_moves_to_another_trunk_without_labels(
    source: RunFolder, other: RunFolder, others: Path
) -> None:
    before = [digest_model(load_network(IMAGES, each.bundle).module) for each in (source, other)]
    measured = evaluate(source, others, trunk=str(other.bundle), unlabelled=100)
    aligned = measured["aligned"]
    assert measured["images"] == 200
    assert aligned["as_it_is"] > 0.95
    assert measured["accuracy"] > 0.95
    assert aligned["shuffled"] < 0.6  # chance is a third
    assert aligned["direction"] == "target_to_source"
    assert aligned["pairing_p"] == pytest.approx(1 / 40)
    assert [digest_model(load_network(IMAGES, each.bundle).module) for each in (source, other)] == before
    text = ROOM.evaluate(
        str(source.bundle), EvaluationRequest(data=str(others), trunk=str(other.bundle), unlabelled=100)
    ).text
    assert "by 100 others without labels" in text
    assert "control, a map from shuffled pairs" in text


def test_the_map_goes_from_the_targets_features_to_the_sources(source: RunFolder, other: RunFolder) -> None:
    images, labels = stripes(80, seed=3)
    items = LabelledSet(labels, ArrayLoader(images))
    first, second = load_network(IMAGES, source.bundle), load_network(IMAGES, other.bundle)
    found = align_head(first, second, items, items, np.random.default_rng(0))
    x, y = features_of(second, items), features_of(first, items)
    missed = np.square(found.map(x) - y).sum() / np.square(y - y.mean(axis=0)).sum()
    assert missed < 0.2
    assert found.map.matrix.shape == (y.shape[1], x.shape[1])
    assert found.classes == ("a", "b", "c")


def test_coral_gives_features_the_mean_and_covariance_of_home(source: RunFolder) -> None:
    images, labels = stripes(80, seed=3)
    home, away = (LabelledSet(labels, ArrayLoader(each)) for each in (images, (images // 2 + 60)))
    network = load_network(IMAGES, source.bundle)
    found = align_head(network, network, away, home, np.random.default_rng(0), paired=False)
    mapped, wanted = found.map(features_of(network, away)), features_of(network, home)
    assert mapped.mean(axis=0) == pytest.approx(wanted.mean(axis=0), abs=1e-9)
    assert found.check is None


def test_coral_measures_beside_the_source_as_it_is(source: RunFolder, others: Path) -> None:
    measured = evaluate(source, others, coral=True, unlabelled=100)
    assert measured["images"] == 200
    assert measured["aligned"]["map"] == "coral"
    assert "shuffled" not in measured["aligned"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trunk": "somewhere", "coral": True}, "give one of them"),
        ({"unlabelled": 10}, "needs --trunk or --coral"),
    ],
)
def test_options_that_contradict_each_other(
    source: RunFolder, others: Path, given: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        evaluate(source, others, **given)


def test_as_many_unlabelled_images_as_there_are(source: RunFolder, others: Path) -> None:
    with pytest.raises(TransferError, match=r"300 images to measure on, and 300 .* --unlabelled 150 or less"):
        evaluate(source, others, coral=True, unlabelled=300)


def test_pairs_that_are_none(source: RunFolder, other: RunFolder) -> None:
    images, labels = stripes(80, seed=3)
    items = LabelledSet(labels, ArrayLoader(images))
    first, second = load_network(IMAGES, source.bundle), load_network(IMAGES, other.bundle)
    rng = np.random.default_rng(0)
    with pytest.raises(TransferError, match="the target has 80 items and the source 70"):
        align_head(first, second, items, items.subset(np.arange(70)), rng)
    found = align_head(first, second, items, items.subset(rng.permutation(80)), rng)
    assert any("may not be pairs" in each for each in found.doubts)


def test_a_policy_has_no_options_of_classifiers() -> None:
    with pytest.raises(ConfigError, match="--coral can only be given for a classifier"):
        RLRoom().evaluate("ppo.zip", EvaluationRequest(coral=True))

"""The gap between source and target as a term of the loss of image classifiers."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rl_transfer.core.adversarial import DomainDiscriminator
from rl_transfer.core.gaps import coral, mmd
from rl_transfer.core.layer_outputs import layer_outputs
from rl_transfer.errors import RLTransferError, TransferError
from rl_transfer.image.room import IMAGES
from rl_transfer.results import RunFolder
from rl_transfer.spec.optimization import SGDConfig
from rl_transfer.spec.strategy import DistributionMatch
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.bundle import load_network
from rl_transfer.supervised.features import Penultimate
from rl_transfer.supervised.matching import MatchTerm, match_term, trunk_ends, unlabelled_items
from rl_transfer.supervised.measures import Home
from support.image import TRAINING, Execute, make_run, save_arrays, stripes

SGD = SGDConfig(name="SGD", learning_rate=0.1)
COPIED = {"copy": ["all"]}
LONGER = {**TRAINING, "epochs": 10}


@pytest.fixture
def source(run: Execute) -> RunFolder:
    return run(training=LONGER)


def matched(kind: str, strength: float = 1.0, **keys: Any) -> dict[str, Any]:
    return {**COPIED, "match": {"kind": kind, "strength": strength, "samples": 64, **keys}}


def sides(folder: RunFolder, source: RunFolder) -> tuple[torch.Tensor, torch.Tensor]:
    """What enters the head of a finished network, of all items of the source's data and of the target's."""
    network = load_network(IMAGES, folder.bundle)
    penultimate = Penultimate(network.module, network.classifier.heads[0])
    found = []
    for owner in (source, folder):
        data = load_network(IMAGES, owner.bundle).data
        assert data is not None
        items = Batches(IMAGES.open_data(data).pool, network.classifier.preprocessing)
        found.append(penultimate.of_part(items, 64, torch.device("cpu")))
    return found[0], found[1]


@pytest.mark.parametrize(("kind", "strength"), [("coral", 5.0), ("mmd", 1.0)])
def test_training_under_the_penalty_brings_the_domains_together(
    run: Execute, source: RunFolder, inverted: Path, kind: str, strength: float
) -> None:
    estimator = {"coral": coral, "mmd": mmd}[kind]
    free, pulled = (
        run(inverted, source=source, strategy=each, training=LONGER)
        for each in (COPIED, matched(kind, strength))
    )
    gaps = [float(estimator(*sides(each, source))) for each in (free, pulled)]
    assert gaps[1] < 0.5 * gaps[0]


def term(source: RunFolder, classes: tuple[str, ...], **keys: Any) -> MatchTerm:
    network = load_network(IMAGES, source.bundle)
    config = DistributionMatch.model_validate({"samples": 64, **keys})
    home = Home(IMAGES, network, 64)
    return match_term(config, network.module, network.parts, classes, home, None, None, SGD, seed=4)


def test_the_term_is_the_gap_to_the_sources_items_of_the_same_names(source: RunFolder) -> None:
    """Classes are known by name: the target's labels count them in another order."""
    network = load_network(IMAGES, source.bundle)
    home = Home(IMAGES, network, 64)
    assert home.splits is not None
    batches = home.training_batches()
    assert batches is not None
    inputs, labels = next(batches.in_order(45))
    permuted = ("c", "a", "b")
    theirs = torch.tensor([permuted.index(home.splits.classes[int(each)]) for each in labels])
    plain = term(source, permuted, kind="coral", strength=2.0)
    value = plain(inputs, theirs, 0.0)
    # The same draws again: 45 of the stored items, on the term's own generator.
    again = term(source, permuted, kind="coral")
    chosen = again._generator.integers(len(again._source), size=45)
    mine, _ = next(again._source.at(chosen, 45))
    penultimate = Penultimate(network.module, network.classifier.heads[0])
    expected = 2.0 * coral(penultimate.features(mine), penultimate.features(inputs))
    assert value.item() == pytest.approx(expected.item(), rel=1e-4)
    # One class of the target: given the class, only the source's items of that name count.
    one = theirs == 0
    given = term(source, permuted, kind="coral", conditional=True)
    found = given(inputs[one], theirs[one], 0.0)
    twin = term(source, permuted, kind="coral", conditional=True)
    chosen = twin._generator.integers(len(twin._source), size=int(one.sum()))
    mine, names = next(twin._source.at(chosen, 45))
    same = names == home.splits.classes.index("c")
    assert same.sum() >= 2
    gap = coral(penultimate.features(mine[same]), penultimate.features(inputs[one]))
    assert found.item() == pytest.approx(gap.item(), rel=1e-4)


def test_the_discriminator_learns_after_the_update_and_its_gradient_is_turned(source: RunFolder) -> None:
    network = load_network(IMAGES, source.bundle)
    home = Home(IMAGES, network, 64)
    batches = home.training_batches()
    assert batches is not None
    inputs, labels = next(batches.in_order(12))
    adversarial = term(source, ("a", "b", "c"), kind="adversarial")
    critic = next(iter(adversarial.kept()["discriminators"].values()))  # type: ignore[attr-defined]
    assert isinstance(critic, DomainDiscriminator)
    before = [each.detach().clone() for each in critic.parameters()]
    adversarial(inputs, labels, 0.5).backward()
    assert all(torch.equal(a, b) for a, b in zip(before, critic.parameters(), strict=True))
    adversarial.after_update(0.1)
    assert not all(torch.equal(a, b) for a, b in zip(before, critic.parameters(), strict=True))
    assert all(each.grad is None for each in critic.parameters())


def test_the_default_part_is_what_enters_the_head(source: RunFolder) -> None:
    network = load_network(IMAGES, source.bundle)
    layers = trunk_ends(("trunk",), network.parts)
    inputs = torch.randn(5, *network.classifier.preprocessing.input_shape)
    (found,) = layer_outputs(network.module, layers, lambda: network.module(inputs)).values()
    penultimate = Penultimate(network.module, network.classifier.heads[0])
    assert torch.allclose(found, penultimate.features(inputs), atol=1e-6)
    first = trunk_ends((network.parts.names[0],), network.parts)
    assert [*first] != [*layers]
    with pytest.raises(TransferError, match="'head' is no trunk"):
        trunk_ends(("head",), network.parts)


def test_misleading_a_discriminator_changes_what_is_trained(
    run: Execute, source: RunFolder, inverted: Path
) -> None:
    free, hidden = (run(inverted, source=source, strategy=each) for each in (COPIED, matched("adversarial")))
    assert free.record()["weights_digest"] != hidden.record()["weights_digest"]
    assert free.curve()[0] == hidden.curve()[0]


def test_augmented_items_are_augmented_on_both_sides(run: Execute, source: RunFolder, inverted: Path) -> None:
    training = {**TRAINING, "augmentation": {"shift": 1, "horizontal_flip": 0.5}}
    verbs = matched("mmd", 5.0)
    plain, augmented = (
        run(inverted, source=source, strategy=verbs, training=each) for each in (TRAINING, training)
    )
    assert plain.record()["weights_digest"] != augmented.record()["weights_digest"]


LEFT = 66
"""Images of the many that are neither labelled nor tested on: 90 − 2 · 3 · 4 labels and validation."""


@pytest.fixture
def many(tmp_path: Path) -> dict[str, Any]:
    """60 inverted images per class, half of them test images, 8 of the others labelled."""
    images, labels = stripes(180)
    np.savez(tmp_path / "many.npz", images=255 - images, labels=labels, classes=np.array(["a", "b", "c"]))
    return {"name": "arrays", "path": str(tmp_path / "many.npz"), "test": 0.5, "shots": 8, "validation": 0.25}


def test_unlabelled_items_are_the_others_and_their_training_sees_them(
    run: Execute, source: RunFolder, many: dict[str, Any]
) -> None:
    data = make_run(many).data
    assert data is not None
    splits = IMAGES.split(data, 0, 0)
    assert len(splits.unlabelled) == LEFT
    parts = [splits.train, splits.validation, splits.test, splits.unlabelled]
    seen = [{each.load(i).tobytes() for i in range(len(each))} for each in parts if each is not None]
    assert sum(map(len, seen)) == len(set.union(*seen)) == 180
    verbs = matched("mmd", 1.0, unlabelled=64)
    plain, pulled = (run(many, source=source, strategy=each) for each in (matched("mmd"), verbs))
    assert plain.record()["weights_digest"] != pulled.record()["weights_digest"]
    assert "match sees 64 images of the target without their labels" in pulled.record()["notes"]
    kept = [load_network(IMAGES, each.bundle).metadata["trained_on"] for each in (plain, pulled)]
    assert len(kept[1]) - len(kept[0]) == 64  # type: ignore[arg-type]


def test_the_term_compares_unlabelled_items_with_the_sources(source: RunFolder, many: dict[str, Any]) -> None:
    network = load_network(IMAGES, source.bundle)
    data = make_run(many).data
    assert data is not None
    config = DistributionMatch.model_validate({"kind": "coral", "samples": 64, "unlabelled": 64})
    chosen = unlabelled_items(config, IMAGES.split(data, 0, 0), 4)
    assert chosen is not None
    items = Batches(chosen, network.classifier.preprocessing)
    home = Home(IMAGES, network, 64)
    first, again = (
        match_term(config, network.module, network.parts, ("a", "b", "c"), home, items, None, SGD, seed=4)
        for _ in range(2)
    )
    batch, labels = next(items.in_order(45))
    other = first(torch.zeros_like(batch), labels, 0.0)
    (mine, _), (theirs, _) = again._drawn(again._source, 45), again._drawn(items, 45)
    penultimate = Penultimate(network.module, network.classifier.heads[0])
    expected = coral(penultimate.features(mine), penultimate.features(theirs))
    assert other.item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize(
    ("changes", "keys", "message"),
    [
        ({"shots": None}, {}, "0 are left beside those with labels"),
        ({}, {"unlabelled": 67}, "66 are left .* say unlabelled: 66"),
        ({}, {"unlabelled": 5}, "greater than or equal to 64"),
        ({}, {"conditional": True}, "leave one of both out"),
    ],
)
def test_fewer_unlabelled_items_than_asked_for_are_refused_with_their_number(
    run: Execute, source: RunFolder, many: dict[str, Any], changes: Any, keys: Any, message: str
) -> None:
    verbs = matched("mmd", 1.0, **{"unlabelled": 64, **keys})
    with pytest.raises((RLTransferError, ValueError), match=message):
        run({**many, **changes}, source=source, strategy=verbs)


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "frozen": ({**matched("mmd"), "copy": ["trunk"], "freeze": ["trunk"]}, "the whole trunk is frozen"),
    "by class, adversarial": (matched("adversarial", conditional=True), "which sees no classes"),
    "the head": (matched("mmd", parts=["head"]), "'head' is no trunk"),
    "no strength": (matched("mmd", 0.0), "greater than 0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_matched_is_refused(
    name: str, run: Execute, source: RunFolder, inverted: Path
) -> None:
    verbs, message = REFUSED[name]
    with pytest.raises((RLTransferError, ValueError), match=message):
        run(inverted, source=source, strategy=verbs)


def test_a_source_whose_items_are_gone_is_refused_with_the_way_out(
    run: Execute, tmp_path: Path, inverted: Path
) -> None:
    lost = save_arrays(tmp_path / "lost.npz")
    home = run(lost)
    lost.unlink()
    with pytest.raises(TransferError, match="these are not at hand: put them where") as caught:
        run(inverted, source=home, strategy=matched("coral"))
    assert caught.value.key == "strategy.match"


def test_classes_without_a_common_name_have_no_conditional_gap(
    run: Execute, source: RunFolder, tmp_path: Path
) -> None:
    other = save_arrays(tmp_path / "other.npz", names=("x", "y", "z"), invert=True)
    verbs = {**matched("mmd", conditional=True), "copy": ["trunk"]}
    with pytest.raises(TransferError, match=r"none of the target's.*use conditional: false"):
        run(other, source=source, strategy=verbs)
    verbs["match"]["conditional"] = False
    assert np.isfinite(run(other, source=source, strategy=verbs).curve()[-1]["returns"][0])

"""Nobody measures a classifier on images that it was trained on."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rl_transfer.errors import TransferError
from rl_transfer.frame import EvaluationRequest, Measured
from rl_transfer.image.room import IMAGES, ROOM
from rl_transfer.results import RunFolder
from rl_transfer.spec.image_data import FolderData
from rl_transfer.supervised.bundle import load_network
from rl_transfer.supervised.seen import KEY, input_digests
from rl_transfer.sweep.dispatch import bundle_kind
from support.image import SMALL, Execute, make_run, save_folder, stripes
from support.untyped import untyped

CLASSES = {"a": 8, "b": 8}
MODEL = {**SMALL, "channels": 3}


def evaluate(folder: RunFolder, data: Path) -> Measured:
    return ROOM.evaluate(str(folder.bundle), EvaluationRequest(data=str(data)))


def images(measured: Measured) -> int:
    return int(untyped(measured.data)["images"])


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Sixteen images of two classes."""
    return save_folder(tmp_path / "home", CLASSES)


@pytest.fixture
def trained(run: Execute, home: Path) -> RunFolder:
    """Trained on 12 of them, 2 of these for validation; 4 are the test part."""
    data = {"name": "folder", "path": str(home), "test": 0.25, "validation": 0.2}
    return run(data=data, model=MODEL)


def parts(folder: RunFolder) -> dict[str, list[Path]]:
    """The files of each part of the run's split."""
    run = folder.record()["spec"]
    splits = IMAGES.split(FolderData(**run["data"]), run["root_seed"], run["seed"])
    found = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    return {
        name: [path_of(untyped(part).load, index) for index in range(len(untyped(part)))]
        for name, part in found.items()
    }


def path_of(loader: Any, index: int) -> Path:
    """The file of an item: subsets hold a loader and indices, the innermost one holds paths."""
    while not hasattr(loader, "paths"):
        loader, index = loader.load, int(loader.indices[index])
    path: Path = loader.paths[index]
    return path


def copied(files: list[Path], root: Path) -> Path:
    for index, path in enumerate(files):
        (root / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, root / path.parent.name / f"copy-{index}.png")
    return root


def test_the_folder_that_it_was_trained_on_keeps_its_split(trained: RunFolder, home: Path) -> None:
    own = ROOM.evaluate(str(trained.bundle), EvaluationRequest())
    named = evaluate(trained, home)
    assert (named.data, named.text) == (own.data, own.text)
    assert images(named) == 4
    assert "on 4 test images of 2 classes" in named.text
    (home / "README.md").write_text("sixteen images")
    assert evaluate(trained, home).data == own.data


def test_another_share_to_hold_out_does_not_draw_the_split_again(
    trained: RunFolder, home: Path, tmp_path: Path
) -> None:
    path = tmp_path / "data.yaml"
    path.write_text(f"{{name: folder, path: {home}, test: 0.9, shots: 1}}\n", encoding="utf-8")
    assert images(evaluate(trained, path)) == 4


def test_of_a_folder_with_more_images_the_trained_ones_are_left_out(
    trained: RunFolder, home: Path, tmp_path: Path
) -> None:
    more = shutil.copytree(home, tmp_path / "more")
    for name in CLASSES:
        Image.new("RGB", (9, 9), (250, len(name), 3)).save(more / name / "new.png")
    measured = evaluate(trained, more)
    # 18 images without the 10 trained on and the 2 that chose an epoch.
    assert images(measured) == 6
    assert measured.data["left_out"] == 12
    assert "on 6 images (12 of 18 left out: it was trained on them)" in measured.text


def test_images_are_known_again_under_other_names_and_in_another_format(
    trained: RunFolder, tmp_path: Path
) -> None:
    split = parts(trained)
    mixed = copied([*split["train"], *split["test"]], tmp_path / "mixed")
    assert images(evaluate(trained, mixed)) == 4
    pixels = [np.asarray(Image.open(path)) for path in [*split["validation"], *split["test"]]]
    labels = [sorted(CLASSES).index(path.parent.name) for path in [*split["validation"], *split["test"]]]
    np.savez(tmp_path / "mixed.npz", images=np.stack(pixels), labels=labels, classes=np.array(["a", "b"]))
    (tmp_path / "mixed.yaml").write_text(f"name: arrays\npath: {tmp_path}/mixed.npz\n", encoding="utf-8")
    assert images(evaluate(trained, tmp_path / "mixed.yaml")) == 4


def test_only_trained_images_are_refused(trained: RunFolder, tmp_path: Path) -> None:
    split = parts(trained)
    for name in ("train", "validation"):
        folder = copied(split[name], tmp_path / name)
        with pytest.raises(TransferError, match=f"trained on all of the {len(split[name])} images"):
            evaluate(trained, folder)


def test_a_foreign_folder_is_measured_whole(trained: RunFolder, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    for name, value in (("a", 40), ("b", 90), ("b", 140)):
        (foreign / name).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (value, 2, 3)).save(foreign / name / f"{value}.png")
    measured = evaluate(trained, foreign)
    assert images(measured) == 3
    assert "on 3 images of 2 classes" in measured.text
    assert measured.data["left_out"] == 0
    assert set(untyped(measured.data)["per_class"]) == {"a", "b"}


def test_what_the_source_was_trained_on_counts_as_well(
    run: Execute, trained: RunFolder, tmp_path: Path
) -> None:
    away = tmp_path / "away"
    for value in range(8):
        (away / "ab"[value % 2]).mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), (30 * value, 99, 7)).save(away / "ab"[value % 2] / f"{value}.png")
    data = {"name": "folder", "path": str(away)}
    target = run(data=data, model=MODEL, strategy={"copy": ["trunk"]}, source=trained)
    with pytest.raises(TransferError, match="was trained on all"):
        evaluate(target, copied(parts(trained)["train"], tmp_path / "train"))
    unmoved = run(data=data, model=MODEL, strategy={"copy": ["all"], "train": False}, source=trained)
    assert images(evaluate(unmoved, away)) == 2  # its own test part


def test_a_test_part_that_the_source_was_trained_on_is_told_and_not_measured(
    run: Execute, tmp_path: Path
) -> None:
    root = save_folder(tmp_path / "shared", {"a": 12, "b": 12, "c": 12})
    data = {"name": "folder", "path": str(root), "validation": 0.2}
    source = run(data=data | {"classes": ["a", "b"]}, model=MODEL)
    other = run(data=data | {"classes": ["b", "c"]}, model=MODEL, strategy={"copy": ["trunk"]}, source=source)
    theirs, ours = parts(source), parts(other)
    seen = {*theirs["train"], *theirs["validation"]} & {*ours["test"]}
    assert seen
    assert other.record()["seen_by_source"] == {"seen": len(seen), "items": 6}
    assert source.record()["seen_by_source"] is None
    measured = ROOM.evaluate(str(other.bundle), EvaluationRequest())
    assert images(measured) == 6 - len(seen)
    assert f"{len(seen)} of 6 left out: it was trained on them" in measured.text
    same = run(data=data | {"classes": ["a", "b"]}, model=MODEL, strategy={"copy": ["all"]}, source=source)
    assert same.record()["seen_by_source"] == {"seen": 0, "items": 6}


def test_a_val_folder_is_the_test_part_or_said_to_be_ignored(
    run: Execute, trained: RunFolder, tmp_path: Path
) -> None:
    root = tmp_path / "parts"
    for place, (name, count) in enumerate((("train", 4), ("val", 3), ("test", 2))):
        rng = np.random.default_rng(place + 10)
        for label in "ab":
            (root / name / label).mkdir(parents=True)
            for index in range(count):
                Image.fromarray(rng.integers(0, 256, (8, 8, 3)).astype(np.uint8)).save(
                    root / name / label / f"{index}.png"
                )
    measured = evaluate(trained, root)
    assert images(measured) == 4
    assert f"nothing is read from {root}/val" in measured.text
    assert "their 8 images to learn from are not measured" in measured.text
    record = run(data={"name": "folder", "path": str(root)}, model=MODEL).record()
    assert any(f"nothing is read from {root}/val" in note for note in record["notes"])
    shutil.rmtree(root / "test")
    measured = evaluate(trained, root)
    assert images(measured) == 6
    assert "nothing is read" not in measured.text
    shutil.rmtree(root / "train")
    measured = evaluate(trained, root)
    assert images(measured) == 6
    assert "on 6 images of 2 classes" in measured.text


def test_a_bundle_that_does_not_say_has_its_split_drawn_again(
    run: Execute, trained: RunFolder, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = shutil.copytree(home, tmp_path / "more")
    Image.new("RGB", (9, 9), (250, 1, 3)).save(more / "a" / "new.png")
    monkeypatch.setattr("rl_transfer.supervised.seen.KEY", "not in any bundle")
    assert images(evaluate(trained, more)) == 5
    shutil.rmtree(home)
    measured = evaluate(trained, more)
    assert images(measured) == 17
    assert "which of them it was trained on is not known" in measured.text


def test_own_data_that_changed_are_not_at_hand(trained: RunFolder, home: Path) -> None:
    Image.new("RGB", (9, 9), (1, 1, 3)).save(home / "a" / "0.png")
    with pytest.raises(
        TransferError, match=r"are not at hand .* has changed since.*; name others with --data"
    ):
        ROOM.evaluate(str(trained.bundle), EvaluationRequest())
    shutil.rmtree(home)
    with pytest.raises(TransferError, match=r"are not at hand .*no such folder"):
        ROOM.evaluate(str(trained.bundle), EvaluationRequest())


def test_a_run_that_has_not_finished_is_of_its_kind(tmp_path: Path, home: Path) -> None:
    run = make_run({"name": "folder", "path": str(home)})
    (tmp_path / "spec.json").write_text(json.dumps(run.plain()), encoding="utf-8")
    assert bundle_kind(str(tmp_path)) == "image"
    (tmp_path / "spec.json").write_text("[]", encoding="utf-8")
    assert bundle_kind(str(tmp_path)) == "rl"


def test_digests_are_of_what_the_network_sees(run: Execute, inverted: Path) -> None:
    folder = run()
    network = load_network(IMAGES, folder.bundle)
    assert len(untyped(network.metadata)[KEY]) == 45
    pool = IMAGES.open_data(untyped(network.data)).pool
    digests = input_digests(pool, network.classifier.preprocessing)
    assert len(set(digests)) == len(stripes(60)[0])
    other = untyped(network.data).model_copy(update={"path": str(inverted), "fingerprint": None})
    assert not set(digests) & set(
        input_digests(IMAGES.open_data(other).pool, network.classifier.preprocessing)
    )


def test_a_class_without_images_left_has_no_accuracy(trained: RunFolder, tmp_path: Path) -> None:
    split = parts(trained)
    test_of_a = [path for path in split["test"] if path.parent.name == "a"]
    trained_of_b = [path for path in split["train"] if path.parent.name == "b"]
    measured: Any = evaluate(trained, copied([*test_of_a, *trained_of_b], tmp_path / "mixed")).data
    assert measured["images"] == 2
    assert set(measured["per_class"]) == {"a"}

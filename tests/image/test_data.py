"""Data sets, splits, augmentation, batches: counts derived by hand, mistakes named."""

import csv
import json
import zipfile
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import TypeAdapter

from rl_transfer.errors import ConfigError
from rl_transfer.image.data.augment import RandomChanges, augmented
from rl_transfer.image.preprocessing import plain
from rl_transfer.image.room import IMAGES
from rl_transfer.spec.image_data import Data
from rl_transfer.spec.image_model import AugmentationConfig
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.splits import stratified
from support.image import save_folder, stripes

open_data = IMAGES.open_data


def config(**fields: Any) -> LabelledData:
    data: LabelledData = TypeAdapter(Data).validate_python(fields)
    return data


def counts(labels: Any, classes: int) -> list[int]:
    counts: list[int] = np.bincount(labels, minlength=classes).tolist()
    return counts


@given(
    sizes=st.lists(st.integers(2, 30), min_size=1, max_size=5),
    share=st.floats(0.05, 0.95),
    seed=st.integers(0, 2**31 - 1),
)
@settings(max_examples=50, deadline=None)
def test_a_stratified_split_takes_the_share_of_every_class_once(
    sizes: list[int], share: float, seed: int
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    first, rest = stratified(labels, share, seed)
    assert sorted([*first, *rest]) == list(range(len(labels)))
    assert counts(labels[first], len(sizes)) == [round(size * share) for size in sizes]


def test_shots_count_every_label_that_is_used_validation_included(arrays: Path) -> None:
    # 20 images per class: a quarter, 5, is held out; 10 of the other 15 are labelled, 2 of them validate.
    data = config(name="arrays", path=str(arrays), shots=10, validation=0.2)
    splits = IMAGES.split(data, 0, 0)
    assert splits.summary()["images"] == {"train": [8] * 3, "validation": [2] * 3, "test": [5] * 3}
    assert splits.classes == ("a", "b", "c")


def test_the_test_part_is_the_same_for_every_seed_and_number_of_shots(arrays: Path) -> None:
    def images(shots: int, seed: int, part: str) -> list[bytes]:
        data = config(name="arrays", path=str(arrays), shots=shots)
        found = getattr(IMAGES.split(data, 0, seed), part)
        return [found.load(index).tobytes() for index in range(len(found))]

    assert images(5, 0, "test") == images(10, 3, "test")
    assert images(5, 0, "train") != images(5, 1, "train")
    assert not set(images(10, 0, "train")) & set(images(10, 0, "test"))


def test_classes_choose_and_order(arrays: Path) -> None:
    opened = open_data(config(name="arrays", path=str(arrays), classes=("c", "a")))
    assert opened.classes == ("c", "a")
    # Class c has its bright row at 5, class a at 1 (support.image.stripes).
    for index in (0, 1, 2, 3):
        brightest = int(np.asarray(opened.pool.load(index)).mean(axis=1).argmax())
        assert brightest == {0: 5, 1: 1}[int(opened.pool.labels[index])]
    with pytest.raises(ConfigError, match="classes names d, which the data set does not have"):
        open_data(config(name="arrays", path=str(arrays), classes=("a", "d")))


def test_fewer_images_than_shots_are_refused_with_numbers(arrays: Path) -> None:
    data = config(name="arrays", path=str(arrays), shots=16)
    with pytest.raises(
        ConfigError, match="class 'a' has 15 images to learn from, fewer than the 16 shots"
    ) as e:
        IMAGES.split(data, 0, 0, key="targets.x.data")
    assert e.value.key == "targets.x.data.shots"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": None}, "has no array labels"),
        ({"images": np.zeros((60, 8), np.uint8)}, r"expected \[n, height, width\]"),
        ({"labels": np.zeros(59, np.int64)}, "one integer for each of the 60 images"),
        ({"labels": np.full(60, 3)}, "labels run from 3 to 3, but there are 3 classes"),
        ({"images": np.full((60, 8, 8), 2.0)}, "expected uint8, or floats between 0 and 1"),
        ({"images": np.full((60, 8, 8), np.nan)}, "expected uint8, or floats between 0 and 1"),
        ({"images": np.zeros((60, 0, 8), np.uint8)}, r"images has the shape \(60, 0, 8\)"),
        ({"labels": np.array(["a", "b", "c"] * 20)}, "labels is of type <U1; expected integers"),
        ({"labels": np.full(60, 10**9), "classes": None}, "labels go up to 1,000,000,000, but there are 60"),
        ({"classes": np.array(["a", "a"])}, "1 different names; expected one name for each class"),
        ({"classes": np.array([["a", "b"]])}, r"the shape \(1, 2\).* expected one name for each class"),
        ({"test_images": np.zeros((2, 8, 8), np.uint8)}, "no array test_labels"),
        ({"test_labels": np.array([0, 1])}, "no array test_images"),
    ],
)
def test_arrays_are_checked_at_the_door(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    images, labels = stripes(60)
    content = {"images": images, "labels": labels, "classes": np.array(["a", "b", "c"]), **change}
    path = tmp_path / "data.npz"
    np.savez(path, **{name: value for name, value in content.items() if value is not None})
    with pytest.raises(ConfigError, match=message):
        open_data(config(name="arrays", path=str(path)))


def test_arrays_may_bring_a_test_part_and_floats_in_colour(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    colour = np.zeros((4, 5, 6, 3))
    colour[..., 0] = 1.0
    np.savez(path, images=colour, labels=[0, 1, 0, 1], test_images=colour[:2], test_labels=[0, 1])
    opened = open_data(config(name="arrays", path=str(path)))
    assert opened.pool.load(0).getpixel((0, 0)) == (255, 0, 0)
    assert opened.test is not None
    assert len(opened.test) == 2


def test_a_pickled_array_is_not_opened(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, images=np.array([{"a": 1}], dtype=object), labels=np.array([0]))
    with pytest.raises(ConfigError, match="plain arrays"):
        open_data(config(name="arrays", path=str(path)))


def test_an_array_that_claims_more_than_there_is_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "data.npz"
    np.savez(path, images=np.zeros((1, 4, 4), np.uint8), labels=np.array([0]))
    with zipfile.ZipFile(path) as archive:
        labels, images = archive.read("labels.npy"), archive.read("images.npy")
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("labels.npy", labels)
        claimed = images.replace(b"(1, 4, 4), }              ", b"(999999999999999, 4, 4), }")
        assert len(claimed) == len(images)
        assert claimed != images
        archive.writestr("images.npy", claimed)
    with pytest.raises(ConfigError, match="plain arrays"):
        open_data(config(name="arrays", path=str(path)))


def test_a_folder_per_class(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"bees": 8, "ants": 4})
    data = config(name="folder", path=str(root))
    splits = IMAGES.split(data, 0, 0)
    assert splits.classes == ("ants", "bees")
    assert splits.summary()["images"] == {"train": [3, 6], "test": [1, 2]}


def test_a_folder_with_its_own_test_part(tmp_path: Path) -> None:
    save_folder(tmp_path / "data" / "train", {"ants": 4, "bees": 4})
    save_folder(tmp_path / "data" / "val", {"ants": 2, "bees": 3})
    data = config(name="folder", path=str(tmp_path / "data"))
    assert IMAGES.split(data, 0, 0).summary()["images"] == {"train": [4, 4], "test": [2, 3]}
    save_folder(tmp_path / "data" / "val", {"wasps": 1})
    with pytest.raises(ConfigError, match="the test part has the class wasps"):
        open_data(data)


def test_a_class_folder_without_images_is_named(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"ants": 4, "bees": 4})
    (root / "wasps").mkdir()
    (root / "wasps" / "notes.txt").write_text("none yet")
    with pytest.raises(ConfigError, match=r"class folder .*wasps has no images"):
        open_data(config(name="folder", path=str(root)))


def test_one_class_alone_and_no_folder_at_all(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"ants": 4})
    with pytest.raises(ConfigError, match=r"only one class \(ants\)"):
        open_data(config(name="folder", path=str(root)))
    with pytest.raises(ConfigError, match="has no sub-folders"):
        open_data(config(name="folder", path=str(root / "ants")))
    with pytest.raises(ConfigError, match="no such folder"):
        open_data(config(name="folder", path=str(tmp_path / "absent")))


def test_corrupt_files_are_named_and_skipped_only_on_request(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"ants": 4, "bees": 4})
    (root / "ants" / "0.png").write_bytes(b"this is no picture")
    truncated = (root / "bees" / "1.png").read_bytes()[:-30]
    (root / "bees" / "1.png").write_bytes(truncated)
    with pytest.raises(ConfigError, match=r"ants/0\.png"):
        open_data(config(name="folder", path=str(root)))
    opened = open_data(config(name="folder", path=str(root), skip_corrupt=True))
    assert [Path(name).name for name in opened.skipped] == ["0.png", "1.png"]
    assert counts(opened.pool.labels, 2) == [3, 3]


def test_a_file_that_fails_while_it_is_decoded_is_named(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"ants": 2, "bees": 2})
    opened = open_data(config(name="folder", path=str(root)))
    (root / "ants" / "0.png").write_bytes(b"gone bad since")
    with pytest.raises(ConfigError, match=r"ants/0\.png is no image that can be used"):
        opened.pool.load(0)


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_the_hugging_face_layout_with_metadata(tmp_path: Path, form: str) -> None:
    root = save_folder(tmp_path / "data", {"images": 6})
    rows = [{"file_name": f"images/{i}.png", "label": "odd" if i % 2 else "even"} for i in range(6)]
    if form == "csv":
        with (root / "metadata.csv").open("w", newline="") as stream:
            writer = csv.DictWriter(stream, ["file_name", "label"])
            writer.writeheader()
            writer.writerows(rows)
    else:
        (root / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    opened = open_data(config(name="folder", path=str(root), layout="huggingface"))
    assert opened.classes == ("even", "odd")
    assert opened.pool.labels.tolist() == [0, 1] * 3
    (root / "images" / "5.png").unlink()
    with pytest.raises(ConfigError, match=r"row 6: .*5\.png does not exist"):
        open_data(config(name="folder", path=str(root), layout="huggingface"))


def test_torchvisions_fake_data() -> None:
    fields = {"name": "torchvision", "dataset": "FakeData"}
    kwargs = {"size": 12, "image_size": [3, 8, 8], "num_classes": 2}
    opened = open_data(config(**fields, kwargs=kwargs))
    assert len(opened.pool) == 12
    assert opened.pool.load(0).size == (8, 8)
    with pytest.raises(ConfigError, match="Did you mean 'FakeData'"):
        open_data(config(name="torchvision", dataset="FakeDat"))


def test_a_torchvision_data_set_that_is_not_on_disk(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"files of MNIST are not in .*download=True"):
        open_data(config(name="torchvision", dataset="MNIST", root=str(tmp_path)))


def test_glyphs_are_labelled_by_character_or_by_face() -> None:
    fields = {"name": "glyphs", "characters": "Ab", "faces": ("cmr10", "DejaVuSans"), "variants": 3}
    letters, faces = open_data(config(**fields)), open_data(config(**fields, label="face"))
    assert letters.classes == ("A", "b")
    assert faces.classes == ("cmr10", "DejaVuSans")
    # Face by face, character by character, variant by variant.
    assert letters.pool.labels.tolist() == [0, 0, 0, 1, 1, 1] * 2
    assert faces.pool.labels.tolist() == [0] * 6 + [1] * 6
    assert all(letters.pool.load(i).tobytes() == faces.pool.load(i).tobytes() for i in range(12))


def test_a_glyph_looks_the_same_in_every_data_set() -> None:
    one = open_data(config(name="glyphs", characters="xyz", faces=("cmr10", "cmss10"), variants=2))
    other = open_data(config(name="glyphs", characters="zx", faces=("cmss10",), variants=4))
    # z in cmss10, variant 1: the 6th character-face block of the first, the 1st of the second.
    assert one.pool.load(5 * 2 + 1).tobytes() == other.pool.load(1).tobytes()
    still = open_data(config(name="glyphs", characters="xy", faces=("cmr10",), variants=2, jitter=0.0))
    assert still.pool.load(0).tobytes() == still.pool.load(1).tobytes()


def test_unknown_faces_and_missing_glyphs_are_named() -> None:
    with pytest.raises(ConfigError, match=r"no font face 'DejaVuSanz'\. Did you mean 'DejaVuSans'"):
        open_data(config(name="glyphs", faces=("DejaVuSanz",)))
    with pytest.raises(ConfigError, match="font face cmr10 has no glyph for 'ж'") as error:
        open_data(config(name="glyphs", characters="aж", faces=("DejaVuSans", "cmr10")))
    assert error.value.key is not None
    with pytest.raises(ConfigError, match="repeats"):
        open_data(config(name="glyphs", characters="aba", faces=("cmr10",)))


def batches(arrays: Path, augmentation: AugmentationConfig | None = None, **fields: Any) -> Batches:
    images = open_data(config(name="arrays", path=str(arrays))).pool
    preprocess = plain(1, 8)
    changes = partial(augmented, RandomChanges(augmentation, preprocess)) if augmentation else None
    return Batches(images, preprocess, changes, **fields)


def test_every_image_comes_once_per_epoch_in_an_order_that_the_seed_gives(arrays: Path) -> None:
    part = batches(arrays)
    first = [labels.tolist() for _, labels in part.shuffled(16, seed=1, epoch=0)]
    again = [labels.tolist() for _, labels in part.shuffled(16, seed=1, epoch=0)]
    later = [labels.tolist() for _, labels in part.shuffled(16, seed=1, epoch=1)]
    assert first == again != later
    assert counts(np.concatenate(first), 3) == [20] * 3
    # 60 images in batches of 59: a lone last image would have no batch statistics, so it joins the others.
    assert [len(labels) for _, labels in part.shuffled(59, 1, 0)] == [60]


def test_decoding_on_the_way_gives_the_same_batches_as_memory(arrays: Path) -> None:
    held, decoded = batches(arrays), batches(arrays, memory_limit=0)
    for (a, x), (b, y) in zip(held.shuffled(16, 1, 0), decoded.shuffled(16, 1, 0), strict=True):
        assert torch.equal(a, b)
        assert torch.equal(x, y)


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")  # Python 3.12 warns of torch's workers
def test_workers_do_not_change_augmented_images(arrays: Path) -> None:
    changes = AugmentationConfig(horizontal_flip=0.5, shift=1, rotation=10.0, brightness=0.2, contrast=0.2)
    alone = list(batches(arrays, changes).shuffled(30, 1, 0))
    helped = list(batches(arrays, changes, workers=1).shuffled(30, 1, 0))
    assert all(torch.equal(a[0], b[0]) for a, b in zip(alone, helped, strict=True))
    next_epoch = list(batches(arrays, changes).shuffled(30, 1, 1))
    assert not torch.equal(alone[0][0], next_epoch[0][0])


def test_each_augmentation_does_what_it_says() -> None:
    image = Image.fromarray(np.arange(64, dtype=np.uint8).reshape(8, 8))
    rng = np.random.default_rng(0)

    def change(**fields: Any) -> np.ndarray:
        return np.asarray(RandomChanges(AugmentationConfig(**fields), plain(1, 8))(image, rng))

    pixels = np.asarray(image)
    assert (change(horizontal_flip=1.0) == pixels[:, ::-1]).all()
    assert (change(brightness=0.0, horizontal_flip=0.0) == pixels).all()
    assert change(resized_crop=(0.2, 0.5)).shape == (8, 8)
    shifted = {change(shift=1)[4, 4] for _ in range(30)}
    # A shift of at most one pixel brings one of the nine neighbours of (4, 4) there.
    assert shifted <= {row * 8 + column for row in (3, 4, 5) for column in (3, 4, 5)}
    assert len(shifted) > 1

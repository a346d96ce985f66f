"""Run ids follow the content of what is read, and nothing else."""

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rl_transfer.errors import ConfigError
from rl_transfer.image.room import IMAGES
from rl_transfer.results import run_id
from rl_transfer.spec.base import digest
from rl_transfer.spec.image import ImageTrainConfig
from rl_transfer.spec.image_data import FolderData, GlyphData, TorchvisionData
from rl_transfer.spec.labelled import file_digest
from rl_transfer.supervised.figures import fonts_folder
from support.image import make_run, save_arrays, save_folder


def folder(root: Path, **fields: Any) -> FolderData:
    return FolderData(name="folder", path=str(root), **fields)


def identifier(root: Path, **fields: Any) -> str:
    return run_id(make_run({"name": "folder", "path": str(root), **fields}))


def write_labels(root: Path, labels: list[str]) -> None:
    with (root / "metadata.csv").open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["file_name", "label"])
        writer.writerows([f"images/{index}.png", label] for index, label in enumerate(labels))


def test_swapped_labels_are_another_run(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"images": 4})
    write_labels(root, ["cat", "dog", "cat", "dog"])
    before = identifier(root, layout="huggingface")
    write_labels(root, ["dog", "cat", "dog", "cat"])
    assert identifier(root, layout="huggingface") != before


def test_replaced_pixels_are_another_run_whatever_size_and_time_say(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"ants": 2, "bees": 2})
    path = root / "ants" / "0.png"
    Image.new("RGB", (8, 8), (10, 20, 30)).save(path.with_suffix(".bmp"))
    path.unlink()
    path = path.with_suffix(".bmp")
    before, status = identifier(root), path.stat()
    Image.new("RGB", (8, 8), (30, 20, 10)).save(path)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size
    assert identifier(root) != before


def test_an_image_that_changes_its_class_is_another_run(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"ants": 3, "bees": 3})
    before = identifier(root)
    (root / "ants" / "2.png").rename(root / "bees" / "7.png")
    assert identifier(root) != before


@pytest.mark.parametrize("layout", ["classes", "huggingface"])
def test_files_that_are_not_read_leave_the_run_as_it_is(tmp_path: Path, layout: str) -> None:
    root = save_folder(tmp_path / "data", {"images": 4, "more": 4})
    if layout == "huggingface":
        write_labels(root, ["cat", "dog", "cat", "dog"])
    before = identifier(root, layout=layout)
    (root / "README.md").write_text("two classes")
    (root / "images" / ".DS_Store").write_bytes(b"\0")
    if layout == "huggingface":  # metadata name what is read; the folder `more` is not
        save_folder(root, {"more": 6})
    assert identifier(root, layout=layout) == before


def test_a_copy_elsewhere_has_the_same_fingerprint(tmp_path: Path) -> None:
    one, other = (save_folder(tmp_path / name, {"ants": 2, "bees": 2}) for name in ("one", "other"))
    assert folder(one).planned().fingerprint == folder(other).planned().fingerprint


def test_a_home_folder_is_fingerprinted_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    save_folder(tmp_path / "photos", {"ants": 2, "bees": 2})
    assert folder(Path("~/photos")).planned().fingerprint == folder(tmp_path / "photos").planned().fingerprint
    (tmp_path / "weights.pth").write_bytes(b"tensors")
    fields = {"model": "resnet18", "data": str(tmp_path / "photos"), "weights": "~/weights.pth"}
    weights = ImageTrainConfig.model_validate(fields).run().weights
    assert weights is not None
    assert weights.sha256 == file_digest(tmp_path / "weights.pth")


def test_files_of_a_torchvision_data_set_are_part_of_the_run(tmp_path: Path) -> None:
    own = tmp_path / "cifar-10-batches-py"
    own.mkdir()
    (own / "data_batch_1").write_bytes(b"1")
    data = TorchvisionData(name="torchvision", dataset="CIFAR10", root=str(tmp_path))
    before = data.planned().fingerprint
    (tmp_path / "MNIST").mkdir()
    (tmp_path / "MNIST" / "raw").write_bytes(b"another data set")
    assert data.planned().fingerprint == before
    (own / "data_batch_1").write_bytes(b"2")
    assert data.planned().fingerprint != before


def test_a_font_of_the_users_own_is_part_of_the_run(tmp_path: Path) -> None:
    font = tmp_path / "mine.ttf"
    font.write_bytes((fonts_folder() / "cmr10.ttf").read_bytes())
    data = {"name": "glyphs", "characters": "abc", "faces": [str(font)]}
    before = make_run(data)
    shipped = GlyphData(name="glyphs", faces=("cmr10",)).planned()
    assert shipped.fingerprint is None
    font.write_bytes((fonts_folder() / "cmss10.ttf").read_bytes())
    assert run_id(make_run(data)) != run_id(before)
    assert before.data is not None
    with pytest.raises(ConfigError, match="a file of the data has changed since"):
        IMAGES.open_data(before.data)


@given(contents=st.lists(st.binary(min_size=3, max_size=3), min_size=2, max_size=4))
@settings(max_examples=20, deadline=None)
def test_a_file_written_over_at_once_is_read_again(
    tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("file") / "content"
    digests = {}
    for content in contents:
        path.write_bytes(content)
        digests[content] = file_digest(path)
    assert len(set(digests.values())) == len(set(contents))


def test_changed_labels_end_a_run_that_was_planned_with_others(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"images": 4})
    write_labels(root, ["cat", "dog", "cat", "dog"])
    planned = folder(root, layout="huggingface").planned()
    IMAGES.open_data(planned)
    write_labels(root, ["dog", "cat", "dog", "cat"])
    with pytest.raises(ConfigError, match="has changed since this run was planned"):
        IMAGES.open_data(planned)


def test_a_bundle_of_0_1_0_knows_its_folder_again(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"ants": 1, "bees": 1})
    # 0.1.0 hashed the names and sizes of everything in the folder.
    sizes = [[f"{name}/0.png", (root / name / "0.png").stat().st_size] for name in ("ants", "bees")]
    old = folder(root, fingerprint=digest(sizes, length=64))
    IMAGES.open_data(old)
    np.save(root / "more.npy", np.zeros(3))
    with pytest.raises(ConfigError, match="has changed since this run was planned"):
        IMAGES.open_data(old)


def test_a_single_file_keeps_the_fingerprint_that_it_had(tmp_path: Path) -> None:
    path = save_arrays(tmp_path / "data.npz")
    run = make_run(path)
    assert run.data is not None
    assert run.data.fingerprint == file_digest(path)


def test_a_digest_is_taken_again_where_the_time_of_modification_was_set_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rl_transfer.spec.labelled.SETTLED_NS", -(10**18))  # every file counts as settled
    path = tmp_path / "a.png"
    path.write_bytes(b"before")
    before, found = path.stat(), file_digest(path)
    while path.stat().st_ctime_ns == before.st_ctime_ns:  # clocks of file systems are coarse
        path.write_bytes(b"after!")
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_mtime_ns == before.st_mtime_ns
    assert file_digest(path) != found


def test_a_file_that_has_just_changed_is_read_again_though_its_times_stand_still(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"before")
    still, stat = path.stat(), Path.stat
    monkeypatch.setattr(
        Path, "stat", lambda self, **options: still if self == path else stat(self, **options)
    )
    found = file_digest(path)
    path.write_bytes(b"after!")
    assert file_digest(path) != found

"""Image files as people have them: dark, turned, huge, torn, linked to nowhere; and tables of labels."""

import json
import os
import struct
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rl_transfer.errors import ConfigError
from rl_transfer.image.data.files import FileLoader, as_sixteen_bits, damage
from rl_transfer.image.preprocessing import eight_bits
from rl_transfer.image.room import IMAGES, ROOM
from rl_transfer.spec import load
from rl_transfer.spec.image_data import ArrayData, FolderData
from rl_transfer.spec.image_folders import find_images
from rl_transfer.supervised.data import OpenedData
from rl_transfer.sweep.dispatch import SUITES
from support.image import save_arrays, save_folder


def decoded(path: Path) -> Image.Image:
    return FileLoader((path,))(0)


def data(root: Path, **fields: Any) -> FolderData:
    return FolderData(name="folder", path=str(root), **fields)


def test_floats_between_0_and_1_keep_their_greys(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    values = np.array([[0.0, 0.2], [0.6, 1.0]], np.float32)
    Image.fromarray(values).save(path)
    # 255 times 0, 0.2, 0.6 and 1.
    assert np.asarray(decoded(path)).tolist() == [[0, 51], [153, 255]]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.array([[0, 200]], np.int32), "integers of 32 bits from 0 to 200"),
        (np.array([[0, 40000]], np.int32), "integers of 32 bits from 0 to 40000"),
        (np.array([[0, 200]], np.float32), "floats from 0 to 200"),
        (np.array([[0, np.nan]], np.float32), "floats from nan to nan"),
        (np.array([[-0.5, 0.5]], np.float32), "floats from -0.5 to 0.5"),
    ],
)
def test_values_of_unknown_range_are_refused_with_file_and_range(
    tmp_path: Path, values: Any, said: str
) -> None:
    path = tmp_path / "a.tiff"
    Image.fromarray(values).save(path)
    with pytest.raises(ConfigError, match=rf"a\.tiff .*{said}.*expected 8 or 16 bits"):
        decoded(path)


@given(values=st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=8))
@settings(max_examples=30, deadline=None)
def test_sixteen_bits_are_scaled_down_in_order(values: list[int]) -> None:
    found = np.asarray(eight_bits(Image.fromarray(np.array([values], np.uint16))))[0]
    assert found.tolist() == [value // 256 for value in values]


def test_a_png_of_16_bits_is_one_however_pillow_opens_it(tmp_path: Path) -> None:
    opened = Image.fromarray(np.array([[0, 513, 65535]], np.int32))
    opened.format = "PNG"  # older versions of Pillow open such a file as 32-bit integers
    assert np.asarray(eight_bits(as_sixteen_bits(opened))).tolist() == [[0, 2, 255]]
    Image.fromarray(np.array([[0, 513, 65535]], np.uint16)).save(tmp_path / "a.png")
    assert np.asarray(decoded(tmp_path / "a.png")).tolist() == [[0, 2, 255]]


def test_images_stand_as_their_exif_orientation_says(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    exif = Image.Exif()
    exif[0x0112] = 6  # turn a quarter clockwise to view it
    Image.fromarray(np.array([[10, 20, 30], [40, 50, 60]], np.uint8)).save(path, exif=exif)
    assert np.asarray(decoded(path)).tolist() == [[40, 10], [50, 20], [60, 30]]


def chunk(name: bytes, content: bytes) -> bytes:
    checked = name + content
    return struct.pack(">I", len(content)) + checked + struct.pack(">I", zlib.crc32(checked))


def huge(path: Path) -> None:
    """The header of a PNG file of 20,000 × 20,000 pixels, and next to nothing in it."""
    header = struct.pack(">IIBBBBB", 20_000, 20_000, 8, 0, 0, 0, 0)
    image = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + image)


def test_a_picture_of_400_megapixels_is_refused_by_name(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"ants": 3, "bees": 3})
    huge(root / "ants" / "7.png")
    with pytest.raises(ConfigError, match=r"7\.png \(it has more pixels than a picture needs"):
        IMAGES.open_data(data(root))
    opened = IMAGES.open_data(data(root, skip_corrupt=True))
    assert [Path(name).name for name in opened.skipped] == ["7.png"]


def test_a_link_that_leads_nowhere_is_refused_by_name(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"ants": 3, "bees": 3})
    (root / "ants" / "7.png").symlink_to(tmp_path / "absent.png")
    planned = data(root).planned()
    assert planned.fingerprint is not None
    with pytest.raises(ConfigError, match=r"7\.png \(a link that leads nowhere\)"):
        IMAGES.open_data(planned)


@given(content=st.binary(max_size=60))
@settings(max_examples=40, deadline=None)
def test_any_bytes_are_an_image_or_have_a_reason(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.mktemp("bytes")
    for name, start in (("a.png", b"\x89PNG\r\n\x1a\n"), ("a.tif", b"II*\0"), ("a.gif", b"GIF89a")):
        path = folder / name
        path.write_bytes(start + content)
        damage(path, decode=False)
        if damage(path, decode=True) is not None:
            with pytest.raises(ConfigError, match=name):
                decoded(path)


def test_a_pipe_among_the_images_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"ants": 3, "bees": 3})
    os.mkfifo(root / "ants" / "7.png")
    (root / "ants" / "8.png").mkdir()
    with pytest.raises(ConfigError, match=r"7\.png \(neither a file nor a folder\); .*8\.png \(a folder\)"):
        IMAGES.open_data(data(root))


SUITE = """\
kind: image
name: tiny
seeds: 1
model: {{name: small-resnet, width: 4, blocks: [1], channels: 3, input: {{size: 8}}}}
training: {{epochs: 1}}
sources: {{home: {{data: {root}}}}}
targets: {{away: {{data: {{name: folder, path: {root}, shots: 1}}}}}}
strategies: [scratch]
"""


def test_a_torn_image_is_found_before_anything_is_trained(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"ants": 4, "bees": 4})
    path = root / "bees" / "torn.jpg"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:-200])
    config = tmp_path / "suite.yaml"
    config.write_text(SUITE.format(root=root), encoding="utf-8")
    suite: Any = load(str(config), SUITES, "suites").config
    with pytest.raises(ConfigError, match=r"1 of 9 images cannot be used: .*torn\.jpg") as error:
        ROOM.preflight(suite)
    assert error.value.key == "sources.home.data"


def test_images_of_the_same_folder_are_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = save_folder(tmp_path / "data", {"ants": 4, "bees": 4})
    config = tmp_path / "suite.yaml"
    config.write_text(SUITE.format(root=root), encoding="utf-8")
    suite: Any = load(str(config), SUITES, "suites").config
    seen: list[str] = []
    whole = OpenedData.refuse_damaged

    def noted(self: OpenedData, items: str, key: str) -> None:
        seen.append(key)
        whole(self, items, key)

    monkeypatch.setattr(OpenedData, "refuse_damaged", noted)
    ROOM.preflight(suite)
    assert seen == ["sources.home.data"]


JSON, CSV, HEADER = "metadata.jsonl", "metadata.csv", b"file_name,label\n"
LABELS: list[tuple[str, bytes, str]] = [
    (JSON, b'{"file_name": "images/0.png", "label": "a"}\n{"file_n', "line 2 is no JSON object"),
    (JSON, b'["images/0.png", "a"]\n', "line 1 is no JSON object but list"),
    (CSV, HEADER + "images/0.png,fünf\n".encode("latin-1"), "line 2: .*not in UTF-8"),
    (CSV, HEADER + b"\0,a\n", "does not exist"),
    (CSV, HEADER + b"images/0.png\n", "row 1: expected file_name and label"),
    (CSV, HEADER + b",a\n", "row 1: .* is no file"),
    (CSV, HEADER + b"images/0.png,\n", "row 1: the label is ''; expected one class"),
    (JSON, b'{"file_name": "images/0.png", "label": ["a", "b"]}', r"is \['a', 'b'\]; expected one class"),
    (CSV, HEADER + b"images/0.png,a\nimages/1.png,b\nimages/0.png,b\n", r"lists .*0\.png more than once"),
    (CSV, b"file_name,label,label\nimages/0.png,a,b\n", "the column label more than once"),
    (CSV, HEADER + b"images/0.png, big,a\n", "line 2 has more cells .*stands in quotes"),
    (JSON, b'{"label": ' + b"9" * 5000 + b"}\n", "line 1 is no JSON object: Exceeds the limit"),
    (
        JSON,
        b'{"file_name": "images/0.png", "label": "\\ud800"}\n',
        r"'\\ud800' has half a character",
    ),
    (JSON, b'{"file_name": "\\ud800.png", "label": "a"}\n', r"\\ud800\.png does not exist"),
]


@pytest.mark.parametrize(("name", "content", "message"), LABELS)
def test_damaged_tables_of_labels_are_refused_with_their_line(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    root = save_folder(tmp_path / "data", {"images": 2})
    (root / name).write_bytes(content)
    with pytest.raises(ConfigError, match=message) as error:
        IMAGES.open_data(data(root, layout="huggingface").planned())
    assert str(error.value).encode(), "it can be printed"


def test_a_class_folder_that_is_a_link_to_nowhere_is_refused_by_name(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"ants": 2, "bees": 2})
    (root / "wasps").symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigError, match=r"wasps: a link that leads nowhere; its images would be missing"):
        IMAGES.open_data(data(root).planned())


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are bytes")
def test_a_class_whose_name_is_no_text_is_refused(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"ants": 2, "\udcff": 2})
    with pytest.raises(ConfigError, match=r"the class '\\udcff' has half a character"):
        IMAGES.open_data(data(root).planned())


def test_a_table_saved_by_a_spreadsheet_is_read(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"images": 2})
    rows = 'file_name,label\r\nimages/0.png,fünf\r\nimages/1.png,"a, b"\r\n'
    (root / "metadata.csv").write_bytes(rows.encode("utf-8-sig"))
    assert [label for _, label in find_images(root, "huggingface").pool] == ["fünf", "a, b"]


@given(label=st.text(st.characters(codec="utf-8"), min_size=1, max_size=8))
@settings(max_examples=40, deadline=None)
def test_any_label_survives_a_table_of_json(tmp_path_factory: pytest.TempPathFactory, label: str) -> None:
    root = save_folder(tmp_path_factory.mktemp("json"), {"images": 1})
    row = json.dumps({"file_name": "images/0.png", "label": label}, ensure_ascii=False)
    (root / "metadata.jsonl").write_text(row + "\n", encoding="utf-8")
    assert [found for _, found in find_images(root, "huggingface").pool] == [label]


def test_a_torn_file_of_arrays_is_refused(tmp_path: Path) -> None:
    path = save_arrays(tmp_path / "data.npz")
    whole = path.read_bytes()
    for length in (10, len(whole) // 2, len(whole) - 10):
        path.write_bytes(whole[:length])
        with pytest.raises(ConfigError, match=r"cannot be read as a \.npz file"):
            IMAGES.open_data(ArrayData(name="arrays", path=str(path)))


def test_a_class_named_like_a_part_stays_a_class_beside_others(tmp_path: Path) -> None:
    root = save_folder(tmp_path / "data", {"ants": 1, "bees": 1, "test/deep": 1})
    found = find_images(root, "classes")
    assert found.test is None
    assert [label for _, label in found.pool] == ["ants", "bees", "test"]


@pytest.mark.parametrize("name", ["dataset_dict.json", "state.json"])
def test_saved_data_sets_of_hugging_face_are_refused_with_the_way_out(tmp_path: Path, name: str) -> None:
    save_folder(tmp_path, {"train": 2, "test": 2})
    (tmp_path / name).write_text("{}", encoding="utf-8")
    with pytest.raises(ConfigError, match=rf"data set of Hugging Face's \({name}\).*docs/images.md") as found:
        IMAGES.open_data(data(tmp_path))
    assert found.value.key == "data.path"

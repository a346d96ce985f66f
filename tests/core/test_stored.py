"""Bundles checked on disk: nothing of them is in memory until their digest and shapes are right."""

import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from torch import nn

from rl_transfer.core import bundle as module
from rl_transfer.core import digest_tensors, load_bundle, open_bundle, save_bundle, verify_bundle
from rl_transfer.core import stored as file_format
from rl_transfer.core._description import digest_of
from rl_transfer.core.stored import digest_stored, read_header
from rl_transfer.errors import BundleError

FILES = ("bundle.json", "tensors.safetensors")
DTYPES = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16,
    torch.int8, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.bool, torch.complex64,
    torch.float8_e4m3fn, torch.float8_e5m2, torch.float8_e4m3fnuz, torch.float8_e5m2fnuz,
    torch.float8_e8m0fnu,
)  # fmt: skip


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    statistics = {"normalization/mean": torch.arange(3.0, dtype=torch.float64)}
    save_bundle(tmp_path / "bundle", {**network().state_dict(), **statistics}, {"seed": 1})
    return tmp_path / "bundle"


@pytest.fixture
def unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a tensor fails the test."""
    monkeypatch.setattr(module, "load_file", lambda path: pytest.fail(f"{path} was read"))


def forge(folder: Path, tensors: dict[str, Any], digest: str | None = None) -> None:
    """Let bundle.json speak of other tensors, under the digest that belongs to them."""
    path = folder / "bundle.json"
    content = {**json.loads(path.read_text()), "tensors": tensors}
    if digest is not None:
        content["digest"] = digest_of(content, digest)
    path.write_text(json.dumps(content))


def stored_file(path: Path, header: object, size: int) -> None:
    """A safetensors file with that header over zeros that take no place on disk."""
    text = json.dumps(header).encode()
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(text)) + text)
        stream.truncate(8 + len(text) + size)


@settings(deadline=None, max_examples=60)
@given(
    shapes=st.dictionaries(
        st.text(min_size=1, max_size=8).filter(lambda name: name != "__metadata__"),
        st.tuples(st.sampled_from(DTYPES), st.lists(st.integers(0, 4), max_size=3)),
        max_size=5,
    ),
    chunk=st.integers(1, 40),
)
def test_the_digest_on_disk_is_the_one_in_memory(
    shapes: dict[str, tuple[torch.dtype, list[int]]], chunk: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("f") / "tensors.safetensors"
    tensors = {name: torch.ones(shape).to(dtype) for name, (dtype, shape) in shapes.items()}
    save_file(tensors, path, metadata={"format": "pt"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_format, "_CHUNK", chunk)
        assert digest_stored(path, read_header(path)) == digest_tensors(tensors)
    assert {name: each.shape for name, each in read_header(path).items()} == {
        name: tuple(tensor.shape) for name, tensor in tensors.items()
    }


def test_a_sound_bundle_is_verified_without_reading_a_tensor(folder: Path, unread: None) -> None:
    assert verify_bundle(folder) == json.loads((folder / "bundle.json").read_text())["digest"]
    opened = open_bundle(str(folder))
    assert opened.shapes == {
        "0.weight": (4, 3), "0.bias": (4,), "1.weight": (2, 4), "1.bias": (2,), "normalization/mean": (3,),
    }  # fmt: skip
    assert (opened.metadata, opened.kind, opened.digest) == ({"seed": 1}, "policy", verify_bundle(folder))


def test_numbers_that_are_not_finite_are_verified_and_not_loaded(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, "_refuse_non_finite", lambda *_: None)
        written = save_bundle(folder.parent / "nan", {"w": torch.tensor([float("nan")])}, {})
    assert verify_bundle(folder.parent / "nan") == written.digest
    with pytest.raises(BundleError, match="w hold NaN"):
        load_bundle(folder.parent / "nan")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.6, 0.9, 1.0])
def test_a_truncated_file_is_noticed(name: str, share: float, folder: Path, unread: None) -> None:
    path = folder / name
    content = path.read_bytes().rstrip(b"\n")
    path.write_bytes(content[: int(share * (len(content) - 1))])
    with pytest.raises(BundleError):
        verify_bundle(folder)


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("place", range(16))
def test_a_flipped_bit_is_noticed(name: str, place: int, folder: Path, unread: None) -> None:
    path = folder / name
    content = bytearray(path.read_bytes())
    telling = [
        index for index, byte in enumerate(content) if not chr(byte).isspace()
    ]  # JSON allows any space
    content[telling[place * (len(telling) - 1) // 15]] ^= 1 << place % 8
    path.write_bytes(bytes(content))
    with pytest.raises(BundleError):
        verify_bundle(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_deleted_file_is_noticed(name: str, folder: Path, unread: None) -> None:
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name.replace(".", r"\.")):
        verify_bundle(folder)


def test_files_of_another_bundle_are_noticed(folder: Path, unread: None) -> None:
    before = verify_bundle(folder)
    changed = {name: tensor + 1 for name, tensor in network().state_dict().items()}
    statistics = {"normalization/mean": torch.arange(3.0, dtype=torch.float64)}
    other = save_bundle(folder.parent / "other", {**changed, **statistics}, {"seed": 1})
    own, theirs = (
        {name: (each / name).read_bytes() for name in FILES} for each in (folder, folder.parent / "other")
    )
    for name in FILES:
        (folder / name).write_bytes(theirs[name])
        with pytest.raises(BundleError, match="altered after it was written"):
            verify_bundle(folder)
        (folder / name).write_bytes(own[name])
    for name in FILES:
        (folder / name).write_bytes(theirs[name])
    assert verify_bundle(folder) == other.digest != before, "a whole other bundle has its own digest"


W = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("header", "size", "message"),
    [
        ({"w": W}, 9, "describes .* bytes, and it has"),
        ({"w": W}, 7, "describes .* bytes, and it has"),
        ({"w": {**W, "data_offsets": [4, 12]}}, 12, "leaves a gap, or an overlap, before 'w'"),
        ({"w": W, "x": W}, 8, "leaves a gap, or an overlap"),
        ({"w": {**W, "data_offsets": [0, 4]}}, 4, "gives 'w' other bytes than a float32 of its shape has"),
        ({"w": {**W, "data_offsets": [8, 0]}}, 8, "other bytes"),
        ({"w": {**W, "data_offsets": [0, 8, 8]}}, 8, "other bytes"),
        ({"w": {**W, "data_offsets": [0.0, 8.0]}}, 8, "does not describe 'w'"),
        ({"w": {**W, "shape": [-2]}}, 8, "does not describe 'w'"),
        ({"w": {**W, "shape": [True]}}, 8, "does not describe 'w'"),
        ({"w": {**W, "shape": [0, 2**63], "data_offsets": [0, 0]}}, 0, "does not describe 'w'"),
        ({"w": {**W, "shape": [1] * 64 + [2]}}, 8, "does not describe 'w'"),
        ({"w": {**W, "dtype": "F3"}}, 8, "does not describe 'w'"),
        ({"w": {**W, "dtype": ["F32"]}}, 8, "does not describe 'w'"),
        ({"w": 3}, 8, "does not describe 'w'"),
        ([], 8, "it has no header"),
    ],
)
def test_a_header_that_does_not_describe_the_file_is_refused(
    header: object, size: int, message: str, folder: Path, unread: None
) -> None:
    stored_file(folder / "tensors.safetensors", header, size)
    with pytest.raises(BundleError, match=rf"tensors\.safetensors cannot be read \(.*{message}"):
        verify_bundle(folder)


@pytest.mark.parametrize("start", [b"", b"\x07", struct.pack("<Q", 2**62), struct.pack("<Q", 90) + b"{}"])
def test_a_file_without_a_header_is_refused(start: bytes, folder: Path, unread: None) -> None:
    (folder / "tensors.safetensors").write_bytes(start)
    with pytest.raises(BundleError, match="cannot be read"):
        verify_bundle(folder)


@pytest.mark.parametrize("read", [verify_bundle, load_bundle])
def test_a_file_beyond_every_bound_is_refused_by_its_size(
    read: Callable[[Path], object], folder: Path, unread: None
) -> None:
    size = 40 * 2**30
    header = {"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}
    stored_file(folder / "tensors.safetensors", header, size)
    forge(folder, {"w": {"dtype": "uint8", "shape": [size]}})
    with pytest.raises(BundleError, match=r"takes 40\.0 GiB, and the largest that is read 8 GiB"):
        read(folder)


def test_what_is_too_large_to_be_read_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_TENSOR_BYTES", file_format.MOST_HEADER_BYTES + 40)
    save_bundle(tmp_path / "small", {"w": torch.zeros(10)}, {})
    with pytest.raises(BundleError, match="large: it takes"):
        save_bundle(tmp_path / "large", {"w": torch.zeros(11)}, {})
    assert [each.name for each in tmp_path.iterdir()] == ["small"]


def test_a_dtype_is_declared_as_it_is_stored(folder: Path, unread: None) -> None:
    declared = json.loads((folder / "bundle.json").read_text())["tensors"]
    stored = load_file(folder / "tensors.safetensors")
    forge(folder, {**declared, "0.bias": {**declared["0.bias"], "dtype": "int32"}}, digest_tensors(stored))
    with pytest.raises(BundleError, match="altered"):
        verify_bundle(folder)


def test_a_network_is_filled_with_exactly_its_tensors(folder: Path) -> None:
    target = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    bundle = open_bundle(folder).fill(target)
    assert digest_tensors(target.state_dict()) == digest_tensors(network().state_dict())
    assert bundle.normalization()["mean"].tolist() == [0, 1, 2]


SECOND, THIRD = nn.Linear(4, 2), nn.Linear(2, 1, bias=False)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            [nn.Linear(4, 5)],
            r"1\.weight, 1\.bias differ; 1\.weight is float32 of shape \[5, 4\] in the network and float32",
        ),
        ([], r"1\.weight is not there in the network and float32 of shape \[2, 4\]"),
        ([SECOND, THIRD], r"2\.weight is float32 of shape \[1, 2\] in the network and not there in the file"),
        (
            [nn.Linear(4, 2).double()],
            r"1\.weight is float64 of shape \[2, 4\] in the network and float32 of shape \[2, 4\]",
        ),
    ],
    ids=["wider", "one less", "one more", "double"],
)
def test_another_network_is_refused_before_a_tensor_is_read(
    more: list[nn.Module], message: str, folder: Path, unread: None
) -> None:
    with pytest.raises(ValueError, match=message):
        open_bundle(folder).fill(nn.Sequential(nn.Linear(3, 4), *more))


def test_a_header_may_name_tensors_in_any_order_and_with_64_dimensions(tmp_path: Path) -> None:
    shape = (*[1] * 63, 3)
    stored_file(tmp_path / "f", {"later": {**W, "shape": shape, "data_offsets": [8, 20]}, "w": W}, 20)
    found = {name: (each.shape, each.size) for name, each in read_header(tmp_path / "f").items()}
    assert found == {"later": (shape, 12), "w": ((2,), 8)}


def test_a_header_is_not_read_beyond_its_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stored_file(tmp_path / "f", {"w": W}, 8)
    length = len(json.dumps({"w": W}))
    monkeypatch.setattr(file_format, "MOST_HEADER_BYTES", length)
    assert set(read_header(tmp_path / "f")) == {"w"}
    monkeypatch.setattr(file_format, "MOST_HEADER_BYTES", length - 1)
    with pytest.raises(ValueError, match="no header of reasonable size"):
        read_header(tmp_path / "f")


def test_a_file_that_shrinks_between_header_and_tensors_is_noticed(tmp_path: Path) -> None:
    stored_file(tmp_path / "f", {"w": W}, 8)
    header = read_header(tmp_path / "f")
    with (tmp_path / "f").open("r+b") as stream:
        stream.truncate(header["w"].start + 4)
    with pytest.raises(ValueError, match="ends before its last tensor"):
        digest_stored(tmp_path / "f", header)

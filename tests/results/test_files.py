"""Files of results: as they are written, waited for, and read."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from rl_transfer.errors import StoreError
from rl_transfer.results import library_versions, read_json, write_json
from rl_transfer.results.files import file_digest, make_folder, read_only, write_text


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Handles that the disk was waited for with."""
    handles: list[int] = []
    monkeypatch.setattr("os.fsync", handles.append)
    return handles


def test_json_is_written_for_people_or_on_one_line(tmp_path: Path) -> None:
    data = {"a": [1], "name": "Zürich"}
    write_json(tmp_path / "x.json", data)
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == (
        '{\n  "a": [\n    1\n  ],\n  "name": "Zürich"\n}\n'
    )
    write_json(tmp_path / "x.json", data, compact=True)
    assert (tmp_path / "x.json").read_text(encoding="utf-8") == '{"a": [1], "name": "Zürich"}\n'
    assert read_json(tmp_path / "x.json") == data


def test_what_is_no_number_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "x.json", {"score": float("nan")})
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    "write",
    [lambda path, **how: write_json(path, {}, **how), lambda path, **how: write_text(path, "x", **how)],
)
def test_a_write_waits_for_file_and_name_unless_told_otherwise(
    write: Callable[..., None], tmp_path: Path, synced: list[int]
) -> None:
    write(tmp_path / "x", durable=False)
    assert len(synced) == 0
    write(tmp_path / "x")
    assert len(synced) == 2


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="counts open files in /proc")
def test_a_write_leaves_no_file_open(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    write_text(tmp_path / "x", "x")
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_write_into_no_folder_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"x\.json cannot be written: No such file"):
        write_json(tmp_path / "missing" / "x.json", {})


def test_a_digest_is_of_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"12345")
    assert file_digest(tmp_path / "x") == hashlib.sha256(b"12345").hexdigest()
    with pytest.raises(ValueError, match="no regular file"):
        file_digest(tmp_path)


def test_json_of_more_than_any_record_takes_is_not_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"1")
    os.truncate(tmp_path / "x.json", 32 * 2**20 + 1)
    with pytest.raises(StoreError, match="it is larger than 32 MiB"):
        read_json(tmp_path / "x.json")
    os.truncate(tmp_path / "x.json", 2**20)
    with pytest.raises(StoreError, match=r"x\.json is damaged: Extra data"):
        read_json(tmp_path / "x.json")


def test_what_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"x\.json: no such file"):
        read_json(tmp_path / "x.json")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match=r"x\.json cannot be read: Not a directory"):
        read_json(tmp_path / "file" / "x.json")


def test_a_folder_is_made_with_its_parents_and_left_empty(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    assert make_folder(folder) == make_folder(folder) == folder
    assert os.listdir(folder) == []


def test_versions_are_those_of_what_is_installed_in_the_order_asked_for() -> None:
    versions = library_versions(["torch", "no-such-distribution", "numpy"])
    assert [*versions] == ["python", "torch", "numpy"]
    import numpy

    assert versions["numpy"] == numpy.__version__


def test_where_a_system_does_not_say_so_a_disk_is_not_called_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not read_only(tmp_path / "gone")
    monkeypatch.delattr(os, "statvfs")
    assert not read_only(tmp_path)

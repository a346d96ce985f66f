"""Folders of runs that travel: what arrives is what was sent, and nothing else is written."""

import io
import tarfile
from pathlib import Path

import pytest

from rl_transfer.sweep import archive
from rl_transfer.sweep.archive import pack, unpack


def test_a_folder_arrives_without_what_is_left_out(tmp_path: Path) -> None:
    sent, got = tmp_path / "sent", tmp_path / "got"
    (sent / "bundle" / "figures").mkdir(parents=True)
    (sent / "figures").mkdir()
    for name in ("record.json", "bundle/figures/kept", "figures/left", "log.txt"):
        (sent / name).write_text(name, encoding="utf-8")
    (sent / "link").symlink_to(sent / "record.json")
    unpack(pack(sent, ("figures", "log.txt")), got)
    found = {
        path.relative_to(got).as_posix(): path.read_text("utf-8") for path in got.rglob("*") if path.is_file()
    }
    assert found == {"record.json": "record.json", "bundle/figures/kept": "bundle/figures/kept"}


@pytest.mark.parametrize("name", ["../escaped", "/tmp/escaped", "a/../../escaped"])
def test_nothing_is_written_outside(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file of a run's folder"):
        unpack(tar(tarfile.TarInfo(name)), tmp_path / "in")
    assert not (tmp_path / "escaped").exists()


def test_links_are_refused(tmp_path: Path) -> None:
    link = tarfile.TarInfo("link")
    link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
    with pytest.raises(ValueError, match="link is no file"):
        unpack(tar(link), tmp_path)


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no archive"):
        unpack(b"x" * 600, tmp_path)


def test_too_much_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "big").write_bytes(b"12345")
    monkeypatch.setattr(archive, "MOST_BYTES", 4)
    with pytest.raises(ValueError, match="a folder that all nodes see"):
        pack(tmp_path)


def tar(member: tarfile.TarInfo) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as made:
        made.addfile(member)
    return stream.getvalue()

"""A sweep on a full disk: named, nothing damaged, and the same command continues when there is room."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cli import calling
from support.sweeps import TWO_ARMS, write_suite


def mount(*arguments: str) -> bool:
    try:
        return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "small"
    folder.mkdir()
    if not mount("-t", "tmpfs", "-o", "size=400k", "tmpfs", str(folder)):
        pytest.skip("mounting a small disk is not allowed here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.full
def test_a_full_disk_stops_a_sweep_which_goes_on_when_there_is_room(
    small: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = small / "out"
    words = ("sweep", str(write_suite(tmp_path, TWO_ARMS)), "-o", str(output), "-j", "2")
    call = calling(capfd)
    full = call(*words)
    assert full.code == 7, full.err
    assert f"the disk is full: 0.0 MiB are free at {output}; the sweep stops" in full.err
    assert not list(output.glob("runs/*/failure.json"))
    assert mount("-o", "remount,size=64m,ro", str(small))
    refused = call(*words)
    assert refused.code == 7
    assert f"folder {output} cannot be written to (Read-only file system" in refused.err
    assert mount("-o", "remount,size=64m,rw", str(small))
    done = call(*words)
    assert done.code == 0, done.err
    assert "moved to" not in done.out

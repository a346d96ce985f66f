"""A sweep on a full disk: named, nothing damaged, and the same command continues when there is room."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sweeps import TWO_ARMS, command, write_suite


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


def test_a_full_disk_stops_a_sweep_which_goes_on_when_there_is_room(small: Path, tmp_path: Path) -> None:
    config, output = write_suite(tmp_path, TWO_ARMS), small / "out"

    def sweep() -> subprocess.CompletedProcess[str]:
        words = command(config, output, "-j", "2")
        return subprocess.run(words, capture_output=True, text=True, check=False)

    full = sweep()
    assert full.returncode == 7, full.stderr
    assert f"the disk is full: 0.0 MiB are free at {output}; the sweep stops" in full.stderr
    assert "Traceback" not in full.stderr
    assert not list(output.glob("runs/*/failure.json"))
    assert mount("-o", "remount,size=64m,ro", str(small))
    refused = sweep()
    assert refused.returncode == 7
    assert f"folder {output} cannot be written to (Read-only file system" in refused.stderr
    assert mount("-o", "remount,size=64m,rw", str(small))
    done = sweep()
    assert done.returncode == 0, done.stderr
    assert "moved to" not in done.stdout

"""Fixtures of the command-line tests."""

from pathlib import Path

import pytest

from rl_transfer.sweep import local
from support.cli import TRAIN, Call, calling
from support.sweeps import InThisProcess


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    return calling(capfd)


@pytest.fixture
def trained(call: Call, tmp_path: Path) -> Path:
    (tmp_path / "train.yaml").write_text(TRAIN, encoding="utf-8")
    outcome = call("train", "./train.yaml", "-o", "source")
    assert outcome.code == 0, outcome.err
    return tmp_path / "source"


@pytest.fixture
def no_workers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Runs of a sweep are executed in this process."""
    monkeypatch.setattr(local, "LocalExecutor", lambda *_: InThisProcess(tmp_path))

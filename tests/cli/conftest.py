"""Fixtures of the command-line tests."""

from pathlib import Path

import pytest

from rl_transfer.cli import main
from support.cli import TRAIN, Call, Outcome


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def go(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as caught:
            main(list(arguments))
        captured = capfd.readouterr()
        code = caught.value.code
        assert "Traceback" not in captured.err
        return Outcome(code if isinstance(code, int) else 1, captured.out, captured.err)

    return go


@pytest.fixture
def trained(call: Call, tmp_path: Path) -> Path:
    (tmp_path / "train.yaml").write_text(TRAIN, encoding="utf-8")
    outcome = call("train", "./train.yaml", "-o", "source")
    assert outcome.code == 0, outcome.err
    return tmp_path / "source"

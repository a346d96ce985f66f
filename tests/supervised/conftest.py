"""Fixtures of the tests with a third kind of data."""

from pathlib import Path

import pytest

from support.cli import Call, calling
from support.vectors import register, save_rows

TRAIN = """\
kind: vector
name: rows
data: {name: vectors, path: rows.npz}
model: {name: perceptron, features: 6}
training: {epochs: 8, batch_size: 16, optimizer: {name: SGD, learning_rate: 0.1}, schedule: {name: constant}}
"""
SUITE = """\
kind: vector
name: rows
seeds: 2
model: {name: perceptron, features: 6}
training: {epochs: 4, batch_size: 16, optimizer: {name: SGD, learning_rate: 0.1}, schedule: {name: constant}}
sources:
  home: {data: {name: vectors, path: rows.npz}, bar: 0.1}
targets:
  away: {data: {name: vectors, path: turned.npz, shots: 5}}
  home-again: {data: {name: vectors, path: rows.npz}}
strategies:
  - scratch
  - {name: frozen, copy: [trunk], freeze: [trunk]}
  - {name: random-frozen, freeze: [trunk], control: true, control_for: [frozen]}
"""


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """The command line, in a folder with two data sets, a train config and a suite."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    register(monkeypatch)
    save_rows(tmp_path / "rows.npz")
    save_rows(tmp_path / "turned.npz", names=("x", "y", "z"), turned=True)
    (tmp_path / "rows.yaml").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "turned.yaml").write_text(TRAIN.replace("rows.npz", "turned.npz"), encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    return calling(capfd)

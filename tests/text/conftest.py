"""A tiny encoder and two domains of sentences."""

import shutil
from pathlib import Path

import pytest

from support.cli import Call, calling
from support.sentences import save_csv, sentences

TRAIN = """\
kind: text
name: sentences
data: films.csv
model: {name: transformer, encoder: encoder, input: {max_tokens: 16}}
training: {epochs: 6, batch_size: 16, optimizer: {name: AdamW, learning_rate: 0.01}}
evaluation: {every: 3}
"""
SUITE = """\
kind: text
name: sentences
seeds: 1
model: {name: transformer, encoder: encoder, input: {max_tokens: 16}}
training: {epochs: 2, batch_size: 16, optimizer: {name: AdamW, learning_rate: 0.01}}
sources:
  films: {data: films.csv, bar: 0.1}
  hub: {weights: encoder}
targets:
  phones: {data: {name: texts, path: phones.csv, shots: 5}}
strategies: [scratch]
"""


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from support.texts import save_encoder  # needs the extra text

    return save_encoder(tmp_path_factory.mktemp("tiny") / "encoder")


@pytest.fixture
def place(tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The current folder, with encoder, data and configs in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    shutil.copytree(tiny, tmp_path / "encoder")
    for domain in ("films", "phones"):
        save_csv(tmp_path / f"{domain}.csv", sentences(domain))
    (tmp_path / "films.yaml").write_text(TRAIN, encoding="utf-8")
    (tmp_path / "phones.yaml").write_text(TRAIN.replace("films.csv", "phones.csv"), encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    return tmp_path


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str], place: Path) -> Call:
    """The command line in that folder."""
    return calling(capfd)

"""A sweep as a data set: the figures of its analysis, every column and file explained."""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import DatasetCard, constants
from ruamel.yaml import YAML

import rl_transfer as rt
from analysis.hand_made import SLOW, arm
from analysis.hand_made import sweep as matrix_of
from analysis.synthetic import SyntheticSweep
from rl_transfer.analysis import analyse, csv_text
from rl_transfer.api.data_sets import _suite, publish_sweep
from rl_transfer.errors import BundleError, ConfigError, StoreError
from rl_transfer.report.data_card import COLUMNS, csv_of
from rl_transfer.results.files import file_digest
from rl_transfer.spec import Environment, Evaluation, RLSuite, Training, parse
from support.cli import calling
from support.hub import Hub, served


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SyntheticSweep().write(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def published(sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(publish_sweep(sweep, tmp_path_factory.mktemp("out") / "data", "CC-BY-4.0"))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    yield from served(tmp_path, monkeypatch)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return [*csv.DictReader(stream)]


def test_the_tables_are_those_of_the_analysis(sweep: Path, published: Path) -> None:
    results = rt.load_sweep(sweep)
    for name in ("cells", "seeds", "curves"):
        found, wanted = rows(published / f"{name}.csv"), results.rows(name)
        assert len(found) == len(wanted) > 0
        for here, there in zip(found, wanted, strict=True):
            assert here == {key: "" if value is None else str(value) for key, value in there.items()}


def test_no_table_holds_what_a_terminal_obeys() -> None:
    assert csv_of([{"a": "x\x9b2Jy\x85", "b": None, "c": 1.5}]) == "a,b,c\nxy,,1.5\n"
    keys = [(None, "ta\x9b2Jsk", name) for name in ("scratch", "\x7ftuned")]
    text = csv_text(analyse(matrix_of({key: arm(key, [SLOW] * 4) for key in keys})))
    assert [line.split(",")[:3] for line in text.splitlines()[1:]] == [
        ["", "task", "scratch"], ["", "task", "tuned"],
    ]  # fmt: skip


def test_every_column_and_file_is_in_the_card(published: Path) -> None:
    _, header, text = (published / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    told = YAML(typ="safe").load(header)
    assert [each["data_files"] for each in told["configs"]] == ["cells.csv", "seeds.csv", "curves.csv"]
    assert told["license"] == "cc-by-4.0"
    for name in ("cells", "seeds", "curves"):
        for column in rows(published / f"{name}.csv")[0]:
            assert f"| `{column}` | {COLUMNS[column]} |" in text
    for path in published.iterdir():
        assert path.name == "README.md" or f"| `{path.name}` | `{file_digest(path)}` |" in text
    assert "| `auc_gain` | AUC gain | measure |" in text


def test_the_command_says_what_it_wrote_and_refuses(
    sweep: Path, published: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    call = calling(capfd)
    found = call("publish", str(sweep), str(tmp_path / "data"), "--license", "cc-by-4.0")
    assert found.code == 0, found.err
    assert "read its README.md before you share it" in found.out
    names = {path.name for path in published.iterdir()}
    assert {path.name: path.read_bytes() for path in (tmp_path / "data").iterdir()} == {
        name: (published / name).read_bytes() for name in names
    }
    assert "is not empty" in call("publish", str(sweep), str(tmp_path / "data")).err
    assert "is no sweep folder" in call("publish", str(tmp_path), str(tmp_path / "other")).err
    assert not (tmp_path / "other").exists()
    with pytest.raises(ConfigError, match="expected one word"):
        publish_sweep(sweep, tmp_path / "other", "any\nlicence")
    with pytest.raises(StoreError, match="is no folder"):
        publish_sweep(sweep, published / "README.md", None)


def test_without_a_licence_the_card_says_so(sweep: Path, tmp_path: Path) -> None:
    publish_sweep(sweep, tmp_path / "data", None)
    text = (tmp_path / "data" / "README.md").read_text(encoding="utf-8")
    assert "license:" not in text
    assert "Not given by whoever published this" in text


def test_it_is_sent_to_the_hub_and_replaced_there(
    hub: Hub, sweep: Path, published: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_TOKEN", "writer")
    for name in ("README.md", ".gitattributes"):  # what a repository has that was made on the Hub's page
        hub.files[f"datasets/me/cells@main/{name}"] = b"# my cells\n"
    address = "hf://datasets/me/cells"
    done = calling(capfd)("publish", str(sweep), address, "--license", "cc-by-4.0", "--private")
    assert done.code == 0, done.err
    assert f"{address} written" in done.out
    assert hub.created["datasets/me/cells"]["visibility"] == "private"
    there = {key.removeprefix("datasets/me/cells@main/"): each for key, each in hub.files.items()}
    assert there.pop(".gitattributes")
    assert there == {path.name: path.read_bytes() for path in published.iterdir()}
    header = DatasetCard(there["README.md"].decode()).data.to_dict()
    assert (header["license"], header["configs"][0]["data_files"]) == ("cc-by-4.0", "cells.csv")
    hub.files["datasets/me/cells@main/notes.txt"] = b"mine"
    hub.files["datasets/me/cells@main/suite.yaml"] = b"of another sweep"
    assert publish_sweep(sweep, "hf://me/cells", None) == address, "the same repository again"
    assert hub.files["datasets/me/cells@main/notes.txt"] == b"mine"
    assert ("suite.yaml" in there) == ("datasets/me/cells@main/suite.yaml" in hub.files)


def test_what_stops_its_upload_is_told_before_the_sweep_is_read(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nowhere, address = tmp_path / "no-sweep", "hf://datasets/me/cells"
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
    with pytest.raises(BundleError, match=r"wants a token.*hf auth login"):
        publish_sweep(nowhere, address, None)
    monkeypatch.setenv("HF_TOKEN", "writer")
    foreign = {
        "novel": {"chapter-1.txt": b"It was"},
        "tables": {"README.md": b"# - rl-transfer-sweep\n", "cells.csv": b"a\n1\n"},
        "marked": {"README.md": b"---\nlicense: mit\n---\n- rl-transfer-sweep\n", "cells.csv": b"a\n1\n"},
    }
    for repository, files in foreign.items():
        hub.files |= {f"datasets/me/{repository}@main/{name}": each for name, each in files.items()}
        with pytest.raises(BundleError, match=f"me/{repository} on the Hub holds something else"):
            publish_sweep(nowhere, f"hf://datasets/me/{repository}", None)
    with pytest.raises(BundleError, match="expected hf://datasets/user/repository"):
        publish_sweep(nowhere, "hf://datasets/me", None)
    with pytest.raises(ConfigError, match="private, and data is a folder"):
        publish_sweep(nowhere, "data", None, private=True)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(BundleError, match=r"hf upload me/cells FOLDER --repo-type dataset"):
        publish_sweep(nowhere, address, None)
    assert not hub.created


def engine(name: str) -> dict[str, str]:
    return {"name": name, "reason": "everything fits"}


def suite(**changes: Any) -> RLSuite:
    cartpole = Environment(id="CartPole-v1")
    given: dict[str, Any] = {
        "name": "two",
        "algorithm": {"name": "PPO", "n_envs": 1, "n_steps": 64},
        "training": Training(total_steps=128),
        "evaluation": Evaluation(every=64, episodes=1),
        "sources": {"base": {"env": cartpole}, "file": {"policy": "agent.zip", "env": cartpole}},
        "targets": {"one": {"env": cartpole}, "two": {"env": cartpole, "training": {"total_steps": 64}}},
        "strategies": [{"name": "scratch"}, {"name": "fine-tune", "copy": ["all"]}],
    }
    return RLSuite.model_validate({**given, **changes})


@pytest.mark.parametrize("other", ["compiled", "sb3"])
def test_the_config_names_the_engine_that_trained(other: str) -> None:
    config = suite().plain()
    for part, name in (("sources", "base"), ("targets", "one")):
        config[part][name]["engine"] = engine("compiled")
    config["targets"]["two"]["engine"] = engine(other)
    written = _suite(config)
    assert written is not None
    found = parse(RLSuite, written)
    assert found.training.asked_engine == "compiled"
    assert found.sources["base"].training is None, "the suite's budget is told once"
    assert found.sources["file"].training is None, "it is not trained"
    assert found.targets["one"].training is None
    two = found.targets["two"].training
    assert two is not None
    assert (two.asked_engine, two.total_steps) == (other, 64)


def test_a_config_of_sb3_does_not_become_one_of_any_engine() -> None:
    written = _suite(suite(training=Training(total_steps=128, engine="sb3")).plain())
    assert written is not None
    assert parse(RLSuite, written).training.asked_engine == "sb3"

"""A sweep as a data set: the figures of its analysis, every column and file explained."""

import csv
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

import rl_transfer as rt
from analysis.hand_made import SLOW, arm
from analysis.hand_made import sweep as matrix_of
from analysis.synthetic import SyntheticSweep
from rl_transfer.analysis import analyse, csv_text
from rl_transfer.api.data_sets import _suite, publish_sweep
from rl_transfer.errors import ConfigError, StoreError
from rl_transfer.report.data_card import COLUMNS, csv_of
from rl_transfer.results.files import file_digest
from rl_transfer.spec import Environment, Evaluation, RLSuite, Training, parse
from support.cli import calling


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return SyntheticSweep().write(tmp_path_factory.mktemp("sweep"))


@pytest.fixture(scope="module")
def published(sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(publish_sweep(sweep, tmp_path_factory.mktemp("out") / "data", "CC-BY-4.0"))


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

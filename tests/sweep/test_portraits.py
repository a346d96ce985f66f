"""Portraits are drawn beside the first runs, once; what goes wrong with them is no sweep's loss."""

import sys
from pathlib import Path

import pytest

from rl_transfer.errors import StoreError
from rl_transfer.results.manifest import CONFIG
from rl_transfer.results.portraits import NAME, Portrait, Portraits, read_portraits
from rl_transfer.rl.environments.portraits import portray
from rl_transfer.spec import RLSuite, load
from rl_transfer.spec.as_text import as_yaml
from rl_transfer.spec.shipped import shipped
from rl_transfer.sweep.dispatch import SUITES
from rl_transfer.sweep.portraits import beside
from rl_transfer.sweep.sweep import prepare, run_sweep
from support.sweeps import SUITE, InThisProcess, write_suite

FOUND = Portraits("key", {"reversed": Portrait("CartPole-v1", ("action_remap: reverse",))})


def suite(folder: Path, *overrides: str) -> RLSuite:
    loaded = load(str(write_suite(folder, SUITE)), SUITES, "suites", list(overrides)).config
    assert isinstance(loaded, RLSuite)
    return loaded


def test_a_suite_is_portrayed_once(tmp_path: Path) -> None:
    found = portray(suite(tmp_path))
    assert found is not None
    assert found.targets["reversed"].words == ("action_remap: reverse (permute discrete actions)",)
    assert found.targets["reversed"].note.startswith("base and target look alike")
    assert found.sources["base"] == Portrait("CartPole-v1")
    assert portray(suite(tmp_path, "seeds=7"), found.key) is None, "the same environments"


def test_a_process_that_fails_leaves_words_and_pictures_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for broken in ("/bin/false", "/bin/echo", str(tmp_path / "absent")):
        monkeypatch.setattr(sys, "executable", broken)
        assert portray(suite(tmp_path)) is None


@pytest.mark.parametrize("error", [StoreError("full"), OSError("gone"), ValueError("odd")])
def test_whatever_goes_wrong_the_sweep_goes_on(tmp_path: Path, error: Exception) -> None:
    def broken(_known: str) -> Portraits | None:
        raise error

    with beside(tmp_path, broken):
        pass
    assert not (tmp_path / NAME).exists()


def test_a_sweep_stores_portraits_and_a_config_that_makes_the_same_runs(tmp_path: Path) -> None:
    asked: list[str] = []

    def once(known: str) -> Portraits | None:
        asked.append(known)
        return FOUND if known != FOUND.key else None

    output, small = tmp_path / "out", suite(tmp_path, "strategies=[scratch]")
    plan = prepare(small, output)
    run_sweep(plan, InThisProcess, lambda _, __: None, portray=once)
    assert read_portraits(output) == FOUND
    before = {name: (output / name).stat().st_mtime_ns for name in (NAME, CONFIG)}
    run_sweep(prepare(small, output), InThisProcess, lambda _, __: None, portray=once)
    assert asked == ["", FOUND.key]
    assert {name: (output / name).stat().st_mtime_ns for name in (NAME, CONFIG)} == before
    again = load(str(output / CONFIG), SUITES, "suites", None).config
    assert prepare(again, output).graph.specs.keys() == plan.graph.specs.keys()


@pytest.mark.parametrize("name", sorted(shipped("suites")))
def test_every_shipped_suite_is_written_as_a_file_that_says_the_same(tmp_path: Path, name: str) -> None:
    loaded = load(name, SUITES, "suites", None).config
    path = tmp_path / CONFIG
    path.write_text(as_yaml(loaded), encoding="utf-8")
    assert load(str(path), SUITES, "suites", None).config == loaded

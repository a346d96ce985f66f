"""Portraits are drawn beside the first runs, once; what goes wrong with them is no sweep's loss."""

import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from rl_transfer.errors import StoreError
from rl_transfer.results.manifest import CONFIG
from rl_transfer.results.portraits import NAME, Portrait, Portraits, read_portraits, write_portraits
from rl_transfer.rl.environments.portraits import portray
from rl_transfer.spec import RLSuite, load
from rl_transfer.spec.as_text import as_yaml
from rl_transfer.spec.shipped import shipped
from rl_transfer.spec.yaml_text import yaml_text
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
    (found,) = portray(suite(tmp_path), Portraits())
    assert found.targets["reversed"].words == ("action_remap: reverse (permute discrete actions)",)
    assert found.targets["reversed"].note.startswith("base and target look alike")
    assert found.sources["base"] == Portrait("CartPole-v1")
    assert not [*portray(suite(tmp_path, "seeds=7"), found)], "the same environments"
    note = Portrait("CartPole-v1", note="no picture: previews need Pillow")
    failed = replace(found, targets={"reversed": note})
    assert [*portray(suite(tmp_path), failed)] == [found], "what failed is tried again"


def test_a_process_that_fails_leaves_words_and_pictures_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for broken in ("/bin/false", "/bin/echo", str(tmp_path / "absent")):
        monkeypatch.setattr(sys, "executable", broken)
        assert not [*portray(suite(tmp_path), Portraits())]
        assert [*portray(suite(tmp_path), FOUND)] == [Portraits()], "those of other tasks are gone"
        write_portraits(tmp_path, FOUND)
        with beside(tmp_path, partial(portray, suite(tmp_path))):
            pass
        assert read_portraits(tmp_path) == Portraits()


@pytest.mark.parametrize("error", [StoreError("full"), OSError("gone"), ValueError("odd")])
def test_whatever_goes_wrong_the_sweep_goes_on(tmp_path: Path, error: Exception) -> None:
    def broken(_known: Portraits) -> Iterator[Portraits]:
        raise error

    with beside(tmp_path, broken):
        pass
    assert not (tmp_path / NAME).exists()


def test_a_sweep_stores_portraits_and_a_config_that_makes_the_same_runs(tmp_path: Path) -> None:
    asked: list[Portraits] = []

    def once(known: Portraits) -> Iterator[Portraits]:
        asked.append(known)
        yield from () if known == FOUND else (FOUND,)

    output, small = tmp_path / "out", suite(tmp_path, "strategies=[scratch]")
    plan = prepare(small, output)
    run_sweep(plan, InThisProcess, lambda _, __: None, portray=once)
    assert read_portraits(output) == FOUND
    before = {name: (output / name).stat().st_mtime_ns for name in (NAME, CONFIG)}
    run_sweep(prepare(small, output), InThisProcess, lambda _, __: None, portray=once)
    assert asked == [Portraits(), FOUND]
    assert {name: (output / name).stat().st_mtime_ns for name in (NAME, CONFIG)} == before
    again = load(str(output / CONFIG), SUITES, "suites", None).config
    assert prepare(again, output).graph.specs.keys() == plan.graph.specs.keys()


@pytest.mark.parametrize("odd", ["\x85", "a\u2028b", "\u2029", "\ufeffa", "\xa0", "a\tb\n", "é", "0", ""])
def test_every_text_of_a_config_is_read_back_as_it_was(odd: str) -> None:
    assert YAML(typ="safe", pure=True).load(yaml_text({"a": odd, "b": [odd]})) == {"a": odd, "b": [odd]}


@pytest.mark.parametrize("name", sorted(shipped("suites")))
def test_every_shipped_suite_is_written_as_a_file_that_says_the_same(tmp_path: Path, name: str) -> None:
    loaded = load(name, SUITES, "suites", None).config
    path = tmp_path / CONFIG
    path.write_text(as_yaml(loaded), encoding="utf-8")
    assert load(str(path), SUITES, "suites", None).config == loaded

"""Sweeps whose later runs rest on earlier ones, on a Ray cluster of two nodes: they go on as they do here."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from rl_transfer.results import read_manifest
from rl_transfer.results.looks import LOOKS
from rl_transfer.results.tuning import read_tuning
from rl_transfer.spec import JsonObject
from support.cluster import HEAD, SECOND, Cluster
from support.sweeps import TWO_ARMS, same_as, swept, write_suite

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="addresses and processes as on Linux"),
    pytest.mark.timeout(1800),  # nothing waits so long but for a processor
]
ONE_TARGET = "".join(line for line in TWO_ARMS.splitlines(keepends=True) if "base-again" not in line)


Compare = Callable[..., JsonObject]


@pytest.fixture
def here_and_there(two_nodes: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Compare:
    """Runs a suite on this machine and on the cluster; what both declare and have chosen."""
    config, here, there = write_suite(tmp_path, ONE_TARGET), tmp_path / "here", tmp_path / "there"

    def compare(*arguments: str) -> JsonObject:
        swept(config, here, "sources.base.runs=1", "-j", "2", *arguments)
        by = ("--executor", "ray", "--address", two_nodes.address)
        swept(config, there, "sources.base.runs=1", *by, *arguments)
        printed = capfd.readouterr().out
        for node in (HEAD, SECOND):
            assert f"node {node}: 1 run at a time" in printed
        same_as(here, there)
        assert (there / "sweep.json").read_bytes() == (here / "sweep.json").read_bytes()
        return read_manifest(there)

    return compare


def test_a_seed_plan_goes_on_to_the_next_look(here_and_there: Compare) -> None:
    manifest = here_and_there("seeds={plan: [4, 5]}")
    assert manifest[LOOKS] == [[0, 1, 2, 3], [4]]
    assert {row["seed"] for row in manifest["runs"] if row["strategy"] == "fine-tune"} == {0, 1, 2, 3, 4}


def test_arms_that_choose_are_pinned_to_what_they_choose_here(here_and_there: Compare) -> None:
    grid = "tune={grid: {algorithm.learning_rate: [1.0, 0.0001]}, seeds: 2}"
    found = read_tuning(here_and_there(grid, "seeds=1"))
    assert found is not None
    scratch, fine_tune = (None, "reversed", "scratch"), ("base", "reversed", "fine-tune")
    assert found.choices.keys() == {scratch, fine_tune}
    assert found.choices[scratch] == 1, "not what an arm without a choice would have"
    assert not found.untuned

"""Sweeps whose later runs rest on earlier ones, on a Ray cluster of two nodes: they go on as they do here."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rl_transfer.results import read_manifest
from rl_transfer.results.looks import LOOKS
from rl_transfer.results.tuning import read_tuning
from rl_transfer.spec import JsonObject
from support.cluster import HEAD, SECOND, Cluster, cluster
from support.sweeps import TWO_ARMS, same_as, sweep, write_suite

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="addresses and processes as on Linux")
ONE_TARGET = "".join(line for line in TWO_ARMS.splitlines(keepends=True) if "base-again" not in line)


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    with cluster() as found:
        found.join()
        yield found


def here_and_there(nodes: Cluster, folder: Path, *arguments: str) -> JsonObject:
    """Run a suite on this machine and on the cluster; what both declare and have chosen."""
    config, here, there = write_suite(folder, ONE_TARGET), folder / "here", folder / "there"
    done = sweep(config, here, "sources.base.runs=1", "-j", "2", *arguments)
    assert done.returncode == 0, done.stderr
    by = ("--executor", "ray", "--address", nodes.address)
    done = sweep(config, there, "sources.base.runs=1", *by, *arguments)
    assert done.returncode == 0, done.stderr
    for node in (HEAD, SECOND):
        assert f"node {node}: 1 run at a time" in done.stdout
    same_as(here, there)
    assert (there / "sweep.json").read_bytes() == (here / "sweep.json").read_bytes()
    return read_manifest(there)


def test_a_seed_plan_goes_on_to_the_next_look(nodes: Cluster, tmp_path: Path) -> None:
    manifest = here_and_there(nodes, tmp_path, "seeds={plan: [4, 5]}")
    assert manifest[LOOKS] == [[0, 1, 2, 3], [4]]
    assert {row["seed"] for row in manifest["runs"] if row["strategy"] == "fine-tune"} == {0, 1, 2, 3, 4}


def test_arms_that_choose_are_pinned_to_what_they_choose_here(nodes: Cluster, tmp_path: Path) -> None:
    grid = "tune={grid: {algorithm.learning_rate: [1.0, 0.0001]}, seeds: 2}"
    found = read_tuning(here_and_there(nodes, tmp_path, grid, "seeds=1"))
    assert found is not None
    scratch, fine_tune = (None, "reversed", "scratch"), ("base", "reversed", "fine-tune")
    assert found.choices.keys() == {scratch, fine_tune}
    assert found.choices[scratch] == 1, "not what an arm without a choice would have"
    assert not found.untuned

"""Fewer source runs than seeds: which feeds which, what keeps its id, what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rl_transfer.analysis import Curve, Run, Sweep
from rl_transfer.analysis.arms import source_info
from rl_transfer.errors import ConfigError
from rl_transfer.spec import RLSuite, parse
from rl_transfer.spec.image import ImageSuite
from rl_transfer.sweep.graph import Graph, build_graph


def suite(seeds: Any = 5, **source: Any) -> RLSuite:
    found: RLSuite = parse(
        RLSuite,
        {
            "name": "few",
            "seeds": seeds,
            "algorithm": {"name": "PPO", "n_envs": 1, "n_steps": 64},
            "training": {"total_steps": 128},
            "evaluation": {"every": 64},
            "sources": {"base": {"env": {"id": "CartPole-v1"}, **source}},
            "targets": {"task": {"env": {"id": "CartPole-v1", "perturb": [{"length": 1.0}]}}},
            "strategies": [{"name": "scratch"}, {"name": "tune", "copy": ["policy_trunk"]}],
        },
    )
    return found


def fed(graph: Graph) -> list[int]:
    """Seed index of the source run that each seed's transfer needs."""
    needed = [row.needs[0] for row in graph.rows if row.strategy == "tune"]
    assert needed == [graph.specs[row.id].source for row in graph.rows if row.strategy == "tune"]
    return [graph.specs[name].seed for name in needed]


def test_seeds_take_the_source_runs_in_turn() -> None:
    graph = build_graph(suite(runs=2))
    assert fed(graph) == [0, 1, 0, 1, 0]
    assert fed(build_graph(suite())) == fed(build_graph(suite(runs=9))) == [0, 1, 2, 3, 4]
    sources = [row for row in graph.rows if row.role == "source"]
    assert [row.seed for row in sources] == [0, 1, 2, 3, 4], "a row for each seed, as of a policy that exists"
    assert len({row.id for row in sources}) == 2


def test_seeds_that_share_no_source_keep_their_ids() -> None:
    plain, few = (build_graph(each).rows for each in (suite(), suite(runs=2)))
    same = [one.id == other.id for one, other in zip(plain, few, strict=True) if one.strategy == "tune"]
    assert same == [True, True, False, False, False]
    assert [r.id for r in plain if r.strategy == "scratch"] == [r.id for r in few if r.strategy == "scratch"]


def test_a_plan_of_fresh_seeds_has_fresh_source_runs() -> None:
    assert fed(build_graph(suite({"plan": [4, 6], "first": 10}, runs=4))) == [10, 11, 12, 13, 10, 11]


def test_what_is_not_said_leaves_manifests_as_they_were() -> None:
    assert "runs" not in suite().plain()["sources"]["base"]
    assert suite(runs=2).plain()["sources"]["base"]["runs"] == 2


@pytest.mark.parametrize("runs", [0, -1, 1.5, "two", True, 10**6])
def test_a_number_of_runs_is_a_whole_one_above_0(runs: Any) -> None:
    with pytest.raises(ConfigError, match="runs"):
        suite(runs=runs)


def test_what_exists_is_one_for_all_seeds() -> None:
    with pytest.raises(ConfigError, match="exists already and is one for all seeds; leave runs out"):
        suite(policy="agent.zip", runs=2)
    config = {
        "name": "few",
        "model": {"name": "resnet18"},
        "sources": {"base": {"weights": "weights.pth", "runs": 2}},
        "targets": {"task": {"data": {"name": "digits"}}},
        "strategies": [{"name": "scratch"}],
    }
    with pytest.raises(ConfigError, match="exists already and is one for all seeds"):
        parse(ImageSuite, config)


def test_a_source_run_that_feeds_several_seeds_has_one_score() -> None:
    runs = [
        Run(
            f"s{seed % 2}",
            "source",
            "base",
            None,
            None,
            seed,
            record={},
            curve=Curve(np.array([0.0]), (np.array([90.0 + seed % 2]),)),
        )
        for seed in range(5)
    ]
    record = {"source_run": "s0", "source_score": 90.0, "source_steps": 128}
    runs += [Run(f"t{seed}", "target", "base", "task", "tune", seed, record=record) for seed in range(5)]
    info = source_info(Sweep({"config": {}}, tuple(runs)), "base", bar=95.0)
    assert info.scores == {0: 90.0, 1: 91.0}
    assert info.below == (0, 1)

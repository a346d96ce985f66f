"""A suite that asks for scores: which runs are added, what they need, and that no other run changes."""

import json
from pathlib import Path
from typing import Any

import pytest

from rl_transfer.analysis.inputs import load_sweep
from rl_transfer.errors import ConfigError
from rl_transfer.results import PLAYED, RunStore, run_id
from rl_transfer.results.address import addresses
from rl_transfer.rl.room import ROOM
from rl_transfer.spec import RLSuite, parse
from rl_transfer.spec.scores import Scores
from rl_transfer.sweep.graph import Graph, build_graph, manifest
from rl_transfer.sweep.looks import Looks, nothing_goes_on, with_looks
from rl_transfer.sweep.sweep import prepare, run_sweep
from rl_transfer.sweep.tuning import tuned
from support.sweeps import InThisProcess

LIMIT = {"time_limit": 20}


def suite(**changes: Any) -> RLSuite:
    data: dict[str, Any] = {
        "name": "scored",
        "seeds": 3,
        "algorithm": {"name": "PPO", "n_envs": 1, "n_steps": 32, "n_epochs": 1, "batch_size": 32},
        "training": {"total_steps": 32, "engine": "sb3"},
        "evaluation": {"every": 32, "episodes": 1},
        "sources": {
            "own": {"env": {"id": "CartPole-v1", "perturb": [LIMIT]}, "bar": 15},
            "few": {"env": {"id": "CartPole-v1", "perturb": [LIMIT, {"length": "x2"}]}, "runs": 2},
        },
        "targets": {
            "light": {"env": {"id": "CartPole-v1", "perturb": [LIMIT, {"masspole": "x0.5"}]}},
            "heavy": {"env": {"id": "CartPole-v1", "perturb": [LIMIT, {"masspole": "x5"}]}},
        },
        "strategies": [{"name": "scratch"}],
        "scores": {"steps": 100},
        **changes,
    }
    found: RLSuite = parse(RLSuite, data)
    return found


def scores(graph: Graph) -> list[Any]:
    return [row for row in graph.rows if row.role == "scores"]


def test_every_source_policy_is_scored_on_every_target_once() -> None:
    graph = build_graph(suite())
    rows = scores(graph)
    assert len(rows) == 2 * 2 * 3, "a row for every source, target and seed"
    assert len({row.id for row in rows}) == 2 * (3 + 2), "a run for every policy and target"
    for row in rows:
        run = graph.specs[row.id]
        assert row.strategy is None
        assert row.needs == (run.source,)
        (feeds,) = [
            r.id for r in graph.rows if (r.role, r.source, r.seed) == ("source", row.source, row.seed)
        ]
        assert feeds == run.source
        assert run.seed == graph.specs[feeds].seed
        assert run_id(run) == row.id
        assert run.total_steps == 100
        assert run.plain()["scores"] == {"steps": 100, "bar": 15 if row.source == "own" else None}
    assert graph.label(rows[0].id) == "scores own→light/seed-0"


def test_no_other_run_changes() -> None:
    asked, plain = (build_graph(each) for each in (suite(), suite(scores=None)))
    assert tuple(row for row in asked.rows if row.role != "scores") == plain.rows
    assert "scores" not in suite(scores=None).plain()


def test_how_training_is_evaluated_is_no_part_of_a_scored_run() -> None:
    evaluations = ({"every": 32, "episodes": 1}, {"every": 16, "episodes": 2})
    given = [
        suite(evaluation=each, algorithm={"name": "PPO", "n_envs": 1, "n_steps": 16, "batch_size": 16})
        .scored_run("light", "own", Scores(steps=100), "a" * 16, 0)
        for each in evaluations
    ]  # fmt: skip
    assert run_id(given[0]) == run_id(given[1])


def test_the_first_look_of_a_plan_scores_its_seeds_alone(tmp_path: Path) -> None:
    planned = suite(seeds={"plan": [4, 6]}, sources={"own": suite().sources["own"].plain()})
    graph = build_graph(planned)
    whole = with_looks(manifest(planned, graph, PLAYED, {}), planned.stages)
    first = Looks(graph, whole, RunStore(tmp_path), nothing_goes_on).first()
    assert {row.seed for row in scores(first.graph)} == {0, 1, 2, 3}
    assert {row.seed for row in scores(graph)} == {0, 1, 2, 3, 4, 5}


def test_tuning_runs_score_nothing() -> None:
    tune = {"grid": {"algorithm.learning_rate": [0.001, 0.0003]}, "seeds": 4}
    asked = suite(tune=tune)
    tuning = tuned(asked, asked, lambda each: each, None)
    assert tuning is not None
    assert not scores(tuning.runs)
    assert len(scores(tuning.graph)) == 12


def test_a_budget_that_scores_nothing_is_refused_before_anything_is_trained() -> None:
    with pytest.raises(ConfigError, match=r"39 steps are too few .* give at least 40") as caught:
        ROOM.preflight(suite(scores={"steps": 39}))
    assert caught.value.key == "scores.steps"


@pytest.mark.full
def test_a_sweep_with_scores_from_end_to_end(tmp_path: Path) -> None:
    asked = suite(seeds=1, targets={"light": suite().targets["light"].plain()})
    plan = prepare(asked, tmp_path)
    state = run_sweep(plan, InThisProcess, lambda *_: None)
    assert not state.failed
    content = json.loads((tmp_path / "sweep.json").read_text("utf-8"))
    listed = [row for row in content["runs"] if row["role"] == "scores"]
    assert [(r["source"], r["target"], r["strategy"], r["seed"]) for r in listed] == [
        ("own", "light", None, 0), ("few", "light", None, 0),
    ]  # fmt: skip
    found = load_sweep(tmp_path, content).select("scores", target="light")
    assert len(found) == 2
    for run in found:
        assert run.finished
        assert run.record is not None
        assert run.record["source_scores"]["steps"] == 100
    assert addresses(content)["scores/own→light/0"] == {listed[0]["id"]}
    again = run_sweep(prepare(asked, tmp_path), InThisProcess, lambda *_: None)
    assert len(again.reused) == len(plan.graph.specs)

"""What a target says of its goals: a threshold, and what counts as a success."""

from __future__ import annotations

from typing import Any

import pytest

from rl_transfer.errors import ConfigError
from rl_transfer.results import run_id
from rl_transfer.spec import Environment, Evaluation, RLRun, RLSuite, parse
from rl_transfer.spec.rl_suite import RLTarget, Success

ENV = {"id": "CartPole-v1"}


def suite(**target: Any) -> RLSuite:
    found: RLSuite = parse(
        RLSuite,
        {
            "name": "goals",
            "algorithm": {"name": "PPO", "n_envs": 1, "n_steps": 64},
            "training": {"total_steps": 128},
            "evaluation": {"every": 64},
            "sources": {"base": {"env": ENV}},
            "targets": {"task": {"env": ENV, **target}},
            "strategies": [{"name": "scratch"}],
        },
    )
    return found


def runs(given: RLSuite) -> dict[str, RLRun]:
    target = given.target_run("task", given.strategies[0], "base", None, 0)
    found = {"source": given.source_run("base", 0), "target": target, "random": given.random_run("task")}
    return {name: run for name, run in found.items() if isinstance(run, RLRun)}


def test_goals_that_are_not_given_leave_everything_as_it_was() -> None:
    assert "success" not in Evaluation(every=1).plain()
    assert {"threshold", "success"}.isdisjoint(RLTarget(env=Environment(id="CartPole-v1")).plain())


def test_a_threshold_and_a_return_change_no_run() -> None:
    plain, named = runs(suite()), runs(suite(threshold=195, success={"return": 475}))
    assert {name: run_id(run) for name, run in plain.items()} == {
        name: run_id(run) for name, run in named.items()
    }
    target = suite(threshold=195, success={"return": 475}).plain()["targets"]["task"]
    assert (target["threshold"], target["success"]) == (195, {"return": 475, "info": None})


def test_what_info_says_is_recorded_on_the_target_alone() -> None:
    found = runs(suite(success={"info": "is_success"}))
    assert {name: run.evaluation.success for name, run in found.items()} == {
        "source": None,
        "target": "is_success",
        "random": "is_success",
    }
    assert run_id(found["target"]) != run_id(runs(suite())["target"])


@pytest.mark.parametrize(
    "said", [{}, {"return": 1, "info": "is_success"}, {"info": ""}, {"return": "much"}, {"reward": 3}, 475]
)
def test_a_success_is_one_of_two_things(said: Any) -> None:
    with pytest.raises(ConfigError):
        parse(Success, said)
    with pytest.raises(ConfigError):
        suite(success=said)

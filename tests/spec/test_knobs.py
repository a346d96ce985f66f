"""A control trains with the knobs of the strategy that it controls."""

from typing import Any

import pytest

from rl_transfer.errors import ConfigError
from rl_transfer.results import run_id
from rl_transfer.spec import Algorithm, RLSuite, StrategyConfig, StrategyVerbs, parse, shipped
from rl_transfer.spec.knobs import shared_knobs, transfer_algorithm
from rl_transfer.spec.yaml_map import read_yaml
from rl_transfer.sweep.graph import build_graph
from support.algorithms import ALGORITHMS

NORMALIZE = {"normalize": {"reward": False}}
TRUNK = {"copy": ["trunk"], "freeze": ["trunk"]}
RANDOM = {"freeze": ["trunk"], "control": True}


def strategy(name: str, **verbs: Any) -> StrategyConfig:
    found: StrategyConfig = parse(StrategyConfig, {"name": name, **verbs})
    return found


def config(name: str, **more: Any) -> Any:
    return parse(Algorithm, {"name": name, **ALGORITHMS[name], **more})


def suite(name: str, *strategies: Any, **algorithm: Any) -> RLSuite:
    env = {"id": "Pendulum-v1"}
    found: RLSuite = parse(RLSuite, {
        "kind": "rl", "name": "s", "seeds": 1,
        "algorithm": {"name": name, **ALGORITHMS[name], **algorithm},
        "training": {"total_steps": 64}, "evaluation": {"every": 64},
        "sources": {"a": {"env": env}, "b": {"env": env, "training": {"total_steps": 128}}},
        "targets": {"t": {"env": env}},
        "strategies": [{"name": "scratch"}, *strategies],
    })  # fmt: skip
    return found


@pytest.mark.parametrize("name", ["DQN", "QRDQN"])
def test_a_control_explores_as_the_copied_policy_does(name: str) -> None:
    algorithm = config(name)
    found = shared_knobs(strategy("c", **RANDOM), strategy("s", **TRUNK), algorithm)
    assert found.knobs.learning_starts == 0
    assert found.knobs.exploration_initial == algorithm.exploration_final_eps
    assert not found.needs_source, "numbers need no source: one control serves all sources"
    used = transfer_algorithm(algorithm, found)
    assert used == transfer_algorithm(algorithm, strategy("s", **TRUNK))


@pytest.mark.parametrize("name", ["SAC", "TQC"])
def test_a_control_starts_from_the_entropy_coefficient_that_the_strategy_takes(name: str) -> None:
    control = strategy("c", **RANDOM)
    found = shared_knobs(control, strategy("s", **TRUNK), config(name))
    assert found.as_copied
    assert found.needs_source
    assert found.knobs.entropy == "keep"
    reset = shared_knobs(control, strategy("s", **TRUNK, knobs={"entropy": "reset"}), config(name))
    assert not reset.as_copied
    fixed = shared_knobs(control, strategy("s", **TRUNK, knobs={"entropy": 0.2}), config(name))
    assert (fixed.knobs.entropy, fixed.needs_source) == (0.2, False)
    assert not shared_knobs(control, strategy("s", **TRUNK), config(name, ent_coef=0.1)).needs_source


@pytest.mark.parametrize("mode", ["warm", "frozen", "warm_reset_count", "fresh"])
def test_a_control_starts_from_the_statistics_that_the_strategy_takes(mode: str) -> None:
    treated = strategy("s", **TRUNK, normalization=mode)
    found = shared_knobs(strategy("c", **RANDOM), treated, config("PPO", **NORMALIZE))
    assert found.as_copied == (mode != "fresh")
    assert not found.as_copied or found.normalization == mode


def test_a_control_has_the_statistics_in_the_order_that_the_strategy_has_them_in() -> None:
    maps = {"observations": [1, 0, 2, 3]}
    treated = strategy("s", **TRUNK, input_maps=maps)
    control = strategy("c", **RANDOM)
    assert shared_knobs(control, treated, config("PPO", **NORMALIZE)).input_maps == treated.input_maps
    fresh = strategy("s", **TRUNK, input_maps=maps, normalization="fresh")
    for other, algorithm in ((treated, config("PPO")), (fresh, config("PPO", **NORMALIZE))):
        assert not shared_knobs(control, other, algorithm).input_maps


def test_a_control_that_copies_has_the_knobs_too() -> None:
    treated = strategy("s", copy=["all"], knobs={"learning_starts": 7, "exploration_initial": 0.4})
    shuffled = strategy("c", copy=["all"], initial={"kind": "shuffled"}, control=True)
    found = shared_knobs(shuffled, treated, config("DQN"))
    assert (found.knobs.learning_starts, found.knobs.exploration_initial) == (7, 0.4)


def test_what_a_control_says_itself_is_kept() -> None:
    own = strategy("c", **RANDOM, knobs={"learning_starts": 50})
    found = shared_knobs(own, strategy("s", **TRUNK), config("DQN"))
    assert found.knobs.learning_starts == 50
    assert found.knobs.exploration_initial == 0.05


@pytest.mark.parametrize("name", ["PPO", "A2C", "TRPO"])
def test_where_nothing_differs_a_control_stays_as_it_is(name: str) -> None:
    control = strategy("c", **RANDOM)
    assert shared_knobs(control, strategy("s", **TRUNK), config(name)) is control


@pytest.mark.parametrize("name", list(ALGORITHMS))
def test_a_control_that_needs_nothing_of_a_copy_is_untouched(name: str) -> None:
    control = strategy("c", **RANDOM)
    assert shared_knobs(control, strategy("s", kickstart={}), config(name)) is control


def test_a_suite_gives_its_controls_the_knobs_and_their_runs_a_source() -> None:
    data = [strategy("s", **TRUNK).plain(), strategy("c", **RANDOM, control_for=["s"]).plain()]
    found = suite("SAC", *[{k: v for k, v in each.items() if k != "knobs"} for each in data])
    fair = found.model_copy(update={"strategies": found.fair_strategies()})
    rows = [row for row in build_graph(fair).rows if row.strategy == "c"]
    assert {row.source for row in rows} == {"a", "b"}
    assert all(row.needs for row in rows)
    assert [each.name for each in fair.strategies] == ["scratch", "s", "c"]
    assert fair.strategies[:2] == found.strategies[:2]


def test_one_control_for_two_strategies_with_other_knobs_is_refused() -> None:
    slow = {"name": "slow", **TRUNK, "knobs": {"learning_starts": 50}}
    with pytest.raises(ConfigError, match="control for s and slow, which train with different knobs"):
        suite("DQN", {"name": "s", **TRUNK}, slow, {"name": "c", **RANDOM})
    suite("PPO", {"name": "s", **TRUNK}, slow, {"name": "c", **RANDOM})


def test_the_later_verbs_leave_no_trace_at_their_defaults() -> None:
    assert "as_copied" not in StrategyVerbs().plain()
    assert StrategyVerbs(as_copied=True).plain()["as_copied"] is True
    again = StrategyVerbs.model_validate(StrategyVerbs(as_copied=True).plain())
    assert again.as_copied
    assert run_id(again) != run_id(StrategyVerbs())
    for path in shipped("strategies").values():
        assert "as_copied" not in parse(StrategyConfig, read_yaml(path).data).plain()


def test_gsde_of_trpo_leaves_no_trace_at_its_default() -> None:
    plain = parse(Algorithm, {"name": "TRPO", "use_sde": False, "sde_sample_freq": -1}).plain()
    assert plain == parse(Algorithm, {"name": "TRPO"}).plain()
    assert not {"use_sde", "sde_sample_freq"} & plain.keys()
    said = parse(Algorithm, {"name": "TRPO", "use_sde": True, "sde_sample_freq": 4})
    assert said.plain() == {**plain, "use_sde": True, "sde_sample_freq": 4}
    assert parse(Algorithm, said.plain()) == said

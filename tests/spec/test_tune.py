"""Grids of hyperparameters: what they may change, and what they are refused for."""

import pytest

from rl_transfer.errors import ConfigError
from rl_transfer.spec import RLSuite, load
from rl_transfer.spec.image import ImageSuite
from rl_transfer.spec.strategy import StrategyVerbs
from rl_transfer.spec.tune import RESERVED, numeric
from rl_transfer.sweep.graph import build_graph

RATES = "{algorithm.learning_rate: [0.0003, 0.001]}"


def suite(grid: str, *overrides: str, seeds: int = 3) -> RLSuite:
    given = ["seeds=4", f"tune={{grid: {grid}, seeds: {seeds}}}", *overrides]
    loaded = load("quickstart", {"rl": RLSuite}, "suites", given).config
    assert isinstance(loaded, RLSuite)
    return loaded


def refusal(grid: str, *overrides: str) -> str:
    with pytest.raises(ConfigError) as caught:
        suite(grid, *overrides)
    return caught.value.message


def test_points_are_all_combinations_and_change_targets_alone() -> None:
    tuned = suite("{algorithm.learning_rate: [0.1, 0.2], algorithm.ent_coef: [0.0, 0.01]}")
    points = tuned.grid_suites()
    found = [(each.algorithm.learning_rate, getattr(each.algorithm, "ent_coef", None)) for each in points]
    assert found == [(0.1, 0.0), (0.1, 0.01), (0.2, 0.0), (0.2, 0.01)]
    plain = suite(RATES).model_copy(update={"tune": None})
    for each in points:
        assert each.tune is None
        assert each.source_run("cartpole", 3) == plain.source_run("cartpole", 3), "sources are not tuned"
        run = each.trained_run(each.targets["longer-pole"], StrategyVerbs(), None, 0)
        assert run.plain()["algorithm"]["learning_rate"] == each.algorithm.learning_rate


def test_a_suite_at_a_point_is_the_suite_with_that_override() -> None:
    first, _ = suite(RATES).grid_suites()
    by_hand = load(
        "quickstart", {"rl": RLSuite}, "suites", ["seeds=4", "algorithm.learning_rate=0.0003"]
    ).config
    targets = {row.id for row in build_graph(by_hand).rows if row.target and not row.needs}
    assert targets == {row.id for row in build_graph(first).rows if row.target and not row.needs}


def test_tuning_seeds_are_none_that_can_be_judged() -> None:
    tuned = suite(RATES)
    assert tuned.tune is not None
    assert {*tuned.tune.seed_indices} <= {*RESERVED}
    assert len(tuned.tune.seed_indices) == 3
    assert not {*tuned.all_seeds} & {*RESERVED}
    assert "tuning reserves" in refusal(RATES, f"seeds=[0, {RESERVED.start + 7}]")
    with pytest.raises(ConfigError, match="tuning reserves"):
        load("quickstart", {"rl": RLSuite}, "suites", [f"seeds=[0, {RESERVED.start + 7}]"])
    assert "tuning reserves" in refusal(RATES, f"seeds={{plan: [4], first: {RESERVED.start - 2}}}")


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ("{}", "expected at least 1 item"),
        ("{'': [1, 2]}", "the key '' has an empty part"),
        ("{algorithm..x: [1, 2]}", "the key 'algorithm..x' has an empty part"),
        ("{algorithm.learning_rate: []}", "tune.grid.algorithm.learning_rate: got [], expected at least two"),
        ("{algorithm.learning_rate: [0.1]}", "one is no choice"),
        ("{algorithm.learning_rate: [0.1, 0.2, 0.1]}", "a value stands twice"),
        ("{algorithm.ent_coef: [1, 1.0]}", "are the same to every run"),
        ("{algorithm.learning_rate: [0.1, -1]}", "tune.grid.algorithm.learning_rate.1: learning_rate=-1"),
        ("{algorithm.learning_rat: [1, 2]}", "Did you mean 'learning_rate'?"),
        ("{algorithm.n_steps: [32, 100]}", "batch_size 256 does not divide the rollout"),
        ("{algorithm.n_envs: [8, 24]}", "tune.grid.algorithm.n_envs.1: n_envs=24"),
        ("{algorithm.name: [PPO, A2C]}", "name is shared with the source"),
        ("{algorithm.policy_kwargs.net_arch: [[8], [16]]}", "policy_kwargs is shared with the source"),
        ("{training.total_steps: [1, 2]}", "never the task, the budget, the seeds or the evaluation"),
        ("{evaluation.episodes: [1, 2]}", "never the task, the budget, the seeds or the evaluation"),
        ("{seeds: [1, 2]}", "never the task"),
        ("{targets.longer-pole.env.id: [a, b]}", "never the task"),
        ("{strategies.fine-tune.freeze: [[trunk], [head]]}", "makes another strategy"),
        ("{strategies.fine-tun.anchor: [1, 2]}", "Did you mean 'fine-tune'?"),
        ("{strategies.scratch.kickstart: [{strength: 1.0}, {strength: 2.0}]}", "whether scratch uses a"),
        ("{algorithm.gamma: [" + ", ".join(f"{k / 1000}" for k in range(300)) + "]}", "at most 256"),
    ],
)  # fmt: skip
def test_what_no_grid_may_be(grid: str, said: str) -> None:
    assert said in refusal(grid)


def test_a_complaint_has_the_place_of_the_grid() -> None:
    assert refusal("{algorithm.gamma: [0.9, 2]}").startswith("command line (tune=")
    assert "expected greater than or equal to 2" in refusal(RATES, "tune.seeds=1")


def test_strategies_have_knobs_of_their_own_and_the_others_stay() -> None:
    tuned = suite("{strategies.fine-tune.learning_rates: [{trunk: 0.1}, {trunk: 1.0}]}")
    first, second = (each.strategies for each in tuned.grid_suites())
    assert [each.learning_rates for each in first][1] == {"trunk": 0.1}
    changed = [one.name for one, other in zip(first, second, strict=True) if one != other]
    assert changed == ["fine-tune"]


def test_values_that_depend_on_each_other_are_set_together() -> None:
    points = suite("{algorithm.n_steps: [16, 32], algorithm.batch_size: [64, 128]}").grid_suites()
    assert len(points) == 4
    assert "n_steps=8, batch_size=128" in refusal(
        "{algorithm.n_steps: [8, 32], algorithm.batch_size: [64, 128]}"
    )


def test_targets_with_a_budget_of_their_own_are_tuned_too_and_only_on_validation_items() -> None:
    grid = "tune={grid: {training.optimizer.learning_rate: [0.01, 0.1]}}"

    def image(*overrides: str) -> ImageSuite:
        loaded = load("image-quickstart", {"image": ImageSuite}, "suites", [grid, *overrides]).config
        assert isinstance(loaded, ImageSuite)
        return loaded

    with pytest.raises(ConfigError, match=r"targets.other-faces.data.validation: tuning needs a validation"):
        image()
    own = "targets.other-faces.training={epochs: 3, optimizer: {name: Adam}}"
    first, second = image("targets.other-faces.data.validation=0.2", own).grid_suites()
    for each, rate in ((first, 0.01), (second, 0.1)):
        training = each.targets["other-faces"].training
        assert training is not None
        assert (training.optimizer.learning_rate, training.epochs) == (rate, 3)
        assert each.training.optimizer.learning_rate == rate
        assert each.source_run("letters", 0).plain()["training"]["optimizer"]["learning_rate"] == 0.1
        tuning = each.for_tuning()
        run = tuning.trained_run(tuning.targets["other-faces"], StrategyVerbs(), None, 0)
        assert run.plain()["evaluation"]["part"] == "validation"
        assert "part" not in tuning.source_run("letters", 0).plain()["evaluation"]
        assert "part" not in each.source_run("letters", 0).plain()["evaluation"]


def test_numbers_of_schedules_and_what_is_none() -> None:
    assert numeric(iter([{"linear": 0.1}, 2])) == [0.1, 2.0]
    assert numeric(iter([True, False])) is None
    assert numeric(iter(["auto", 0.1])) is None

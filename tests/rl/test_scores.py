"""Scores of a source on a target: budgets, formulas, and what has no score."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rl_transfer.errors import ConfigError
from rl_transfer.frame.scores import ContextValues
from rl_transfer.results import RunFolder, run_id
from rl_transfer.rl.environments.evaluate import random_act
from rl_transfer.rl.policies.bundle import Policy, load_policy
from rl_transfer.rl.room import ROOM
from rl_transfer.rl.scores.context import context_distance, context_values
from rl_transfer.rl.scores.estimates import (
    area_under_curve,
    dynamics_gap,
    halves,
    representation_deviation,
    state_coverage,
    with_actions,
)
from rl_transfer.rl.scores.networks import SourceNetworks
from rl_transfer.rl.scores.sampling import BudgetedPlayer, Transitions
from rl_transfer.rl.scores.score import HORIZON, TargetSide, rewards_to_come, score_policy
from rl_transfer.spec import Environment, RLRun
from rl_transfer.spec.scores import PairScoring
from support.rl import make_run


def cartpole(*perturb: dict[str, Any], **more: Any) -> Environment:
    return Environment(id="CartPole-v1", perturb=perturb, **more)


SHORT = {"time_limit": 50}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = make_run(env={"id": "CartPole-v1", "perturb": [SHORT]})
    folder = RunFolder(tmp_path_factory.mktemp("source") / run_id(run))
    ROOM.execute(run, folder, None, say=lambda _: None)
    return folder.path


@pytest.fixture(scope="module")
def source(bundle: Path) -> Policy:
    return load_policy(bundle)


# What is played


@pytest.mark.parametrize("budget", [50, 137, 400])
def test_a_budget_is_used_up_and_never_exceeded(budget: int) -> None:
    player = BudgetedPlayer(cartpole(SHORT))
    played = player.play(random_act(player.action_space, 0), budget, list(range(budget)))
    player.close()
    assert player.limit == 50
    assert played.steps == budget == sum(played.lengths) == len(played.observations)
    assert len(played.returns) == len(played.whole_lengths) <= len(played.lengths)
    begun = np.cumsum([0, *played.lengths[:-1]])
    for start, length, whole, episode in zip(
        begun, played.lengths, played.whole, played.episodes, strict=True
    ):
        if whole:
            assert played.ended[episode.stop - 1]
            assert start + length <= budget
        if budget - start < 50:
            assert not whole, "what began with less than the longest episode left never counts"


def test_which_episodes_count_does_not_favour_short_ones() -> None:
    """Episodes last 1 or 40 steps, the return is the length; of a budget of 60 naive counting finds 1s."""

    class Coin(gym.Env[Any, Any]):
        observation_space, action_space = gym.spaces.Box(0, 1, (1,)), gym.spaces.Discrete(2)

        def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
            super().reset(seed=seed)
            self.left = 40 if self.np_random.random() < 0.5 else 1
            return np.zeros(1, np.float32), {}

        def step(self, action: Any) -> Any:
            self.left -= 1
            return np.zeros(1, np.float32), 1.0, self.left == 0, False, {}

    gym.register("Coin-v0", lambda **_: Coin(), max_episode_steps=40)
    try:
        player = BudgetedPlayer(Environment(id="Coin-v0"))
        act = random_act(player.action_space, 0)
        ours, naive = [], []
        for seed in range(300):
            played = player.play(act, 60, [1000 * seed + i for i in range(60)])
            # Wald: over samples, the sum of returns over the number of episodes estimates the mean.
            ours.append((sum(played.returns), len(played.returns)))
            ended = [n for n, at in zip(played.lengths, played.episodes, strict=True) if played.ended[at][-1]]
            naive.append((sum(ended), len(ended)))
        player.close()
    finally:
        del gym.registry["Coin-v0"]
    means = [np.sum(each, axis=0) for each in (ours, naive)]
    mean, wrong = (total / number for total, number in means)
    assert abs(mean - 20.5) < 1.5
    assert wrong < 16


def test_episodes_of_every_source_begin_alike(source: Policy) -> None:
    target = TargetSide(cartpole(SHORT, {"length": "x2"}), 400, 0, 0)
    own = target.player.play(source.act(False), target.half, target.seeds)
    firsts = [[each.observations[at.start] for at in each.episodes[:3]] for each in (own, target.at_random)]
    target.player.close()
    assert np.array_equal(firsts[0], firsts[1])


def test_too_small_a_budget_names_the_least() -> None:
    with pytest.raises(
        ConfigError, match=r"99 steps are too few .* CartPole-v1.* may take 50; give at least 100"
    ):
        TargetSide(cartpole(SHORT), 99, 0, 0)
    TargetSide(cartpole(SHORT), 100, 0, 0).player.close()


# Context


@pytest.mark.parametrize(
    ("here", "there", "wanted"),
    [
        ((), (), 0.0),
        (({"length": 1.0},), ({"length": "x2"},), 0.0),
        # length from 0.05 to 5 m, 0.5 by default; gravity from 1 to 25 m/s², 9.8 by default.
        (({"length": "x2"},), (), 0.5 / 4.95),
        (({"length": "x2"}, {"gravity": 12}), (), np.hypot(0.5 / 4.95, 2.2 / 24)),
        (({"action_delay": 2},), ({"action_delay": 4},), 0.1),
        (({"observation_permutation": "reverse"},), (), 1.0),
        (({"observation_noise": [0.1, 0.1, 0.1, 0.3]},), (), np.sqrt((3 * 0.01**2 + 0.03**2) / 4)),
        (({"length": {"uniform": [0.4, 0.6]}},), ({"length": {"uniform": [0.4, 0.6]}},), 0.0),
    ],
)
def test_context_distance_by_hand(here: Any, there: Any, wanted: float) -> None:
    for first, second in ((here, there), (there, here)):
        assert context_distance(cartpole(*first), cartpole(*second)).value == pytest.approx(wanted)


@pytest.mark.parametrize(
    ("here", "there", "reason"),
    [
        (cartpole(), Environment(id="Acrobot-v1"), "different environments"),
        (cartpole({"length": {"uniform": [0.4, 0.6]}}), cartpole(), "length is drawn anew"),
        (cartpole(kwargs={"sutton_barto_reward": True}), cartpole(), "constructor arguments"),
        (cartpole(SHORT), cartpole(), "time_limit.steps is a multiple in one"),
        (cartpole({"action_delay": 1}, {"action_delay": 1}), cartpole(), "stands twice"),
    ],
)
def test_contexts_without_a_distance_say_why(here: Environment, there: Environment, reason: str) -> None:
    found = context_distance(here, there)
    assert found.value is None
    assert reason in found.reason


@pytest.mark.parametrize(
    ("env", "values", "defaults"),
    [
        (cartpole(), {}, {}),
        (cartpole({"length": "x3"}), {"length": 1.5}, {"length": 0.5}),
        (cartpole(SHORT, {"length": 1}), {"time_limit.steps": 50, "length": 1}, {"length": 0.5}),
        (
            cartpole({"action_delay": 2}),
            {"action_delay.steps": 2, "action_delay.fill": 0},
            {"action_delay.steps": 0, "action_delay.fill": 0},
        ),
    ],
)
def test_a_context_is_a_point_of_absolute_numbers(env: Any, values: Any, defaults: Any) -> None:
    assert context_values(env) == ContextValues("CartPole-v1", values, defaults)


def test_multiples_of_defaults_of_their_own_and_arguments_are_kept_apart() -> None:
    hopper = Environment(id="Hopper-v5", perturb=({"body_mass": {"torso": "x1.5"}},))
    assert context_values(hopper) == ContextValues(
        "Hopper-v5", {"body_mass.torso": 1.5}, {"body_mass.torso": 1.0}
    )
    found = context_values(cartpole(kwargs={"sutton_barto_reward": True}))
    assert isinstance(found, ContextValues)
    assert found.base == 'CartPole-v1 {"sutton_barto_reward": true}'


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        (cartpole({"length": {"uniform": [0.4, 0.6]}}), "length is drawn anew"),
        (cartpole({"observation_permutation": "reverse"}), "observation_permutation.order is no single"),
        (cartpole({"observation_noise": [0.1] * 4}), "observation_noise.std is no single number"),
        (cartpole({"action_delay": 1}, {"action_delay": 1}), "stands twice"),
        (Environment(id="Nobody-v0"), "no environment 'Nobody-v0'"),
    ],
)
def test_an_environment_that_is_no_point_says_why(env: Environment, reason: str) -> None:
    assert reason in str(context_values(env))


# Estimates


def steps(shift: float, rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    pairs = rng.standard_normal((rows, 3))
    return pairs, pairs[:, :2] * 0.1 + shift + 0.1 * rng.standard_normal((rows, 2))


def test_the_dynamics_gap_is_nothing_between_equals_and_grows() -> None:
    gaps = [dynamics_gap([steps(0, 400, 0)], [steps(shift, 400, 1)], seed=0) for shift in (0, 0.05, 0.2)]
    (same, chance), (near, _), (far, area) = gaps
    assert abs(same) < 0.1
    assert abs(chance - 0.5) < 0.1
    assert same + 0.02 < near < far
    assert area > 0.9
    assert dynamics_gap([steps(0, 400, 0)], [steps(0.2, 400, 1)], seed=0) == gaps[2], "seeded"


def test_other_states_under_equal_dynamics_are_no_gap() -> None:
    """The second classifier takes away what states and actions alone tell."""
    pairs, changes = steps(0, 400, 1)
    moved = (pairs + 2, changes)
    gap, _ = dynamics_gap([steps(0, 400, 0)], [moved], seed=0)
    alone, _ = dynamics_gap([steps(0, 400, 0)], [steps(0.2, 400, 1)], seed=0)
    assert abs(gap) < alone / 3


def test_area_under_curve_by_hand() -> None:
    assert area_under_curve(np.array([1.0, 2.0]), np.array([0.0, 2.0])) == 0.625
    assert area_under_curve(np.zeros(3), np.zeros(4)) == 0.5


def test_halves_are_in_time_and_thinned_evenly() -> None:
    first, second = halves([np.arange(5.0)[:, None], np.array([[10.0], [11.0]])])
    assert first[:, 0].tolist() == [0, 1, 2, 10]
    assert second[:, 0].tolist() == [3, 4, 11]
    assert halves([np.arange(10.0)[:, None]], most=2)[0][:, 0].tolist() == [0, 4]


def test_representations_that_move_as_at_home_do_not_deviate() -> None:
    rng = np.random.default_rng(0)
    features, actions = rng.standard_normal((600, 3)), np.eye(2)[rng.integers(2, size=600)]
    inputs = with_actions(features, actions)
    weights = rng.standard_normal((inputs.shape[1], 3))
    there, here = representation_deviation(
        [(inputs[:300], inputs[:300] @ weights)], [(inputs[300:], inputs[300:] @ weights)]
    )
    assert there < 0.01
    assert here < 0.01
    shifted = inputs[300:] @ weights + np.array([2.0, 0, 0])
    spread = np.square(inputs[:150] @ weights - (inputs[:150] @ weights).mean(axis=0)).sum(axis=1).mean()
    off, _ = representation_deviation([(inputs[:300], inputs[:300] @ weights)], [(inputs[300:], shifted)])
    assert off == pytest.approx(4 / spread, rel=0.1), "the square of the shift, over the spread at home"


def test_with_actions_by_hand() -> None:
    assert with_actions(np.array([[2.0, 3.0]]), np.array([[0.0, 1.0]])).tolist() == [[2, 3, 0, 1, 0, 2, 0, 3]]


def test_coverage_by_hand() -> None:
    """Ten states on a line: the source was at one end of it, or everywhere, or nowhere near."""
    line = np.arange(10.0)[:, None]
    assert state_coverage(line, line) == 1
    assert state_coverage(np.full((4, 1), 100.0), line) == 0
    # Fifth neighbours lie 5, 4, 3, 3, 3, 3, 3, 3, 4, 5 away from 0 … 9; of these 0 … 3 reach 0.
    assert state_coverage(np.zeros((1, 1)), line) == 0.4
    assert np.isnan(state_coverage(line, line[:6]))


def test_rewards_to_come_by_hand() -> None:
    """An episode that terminates tells all its rewards; one that is cut tells too little of its last 31."""
    lengths, ends = [3, HORIZON + 1], [True, False]
    played = Transitions(
        rewards=[1.0, 1.0, 5.0] + [1.0] * (HORIZON + 1),
        terminated=[False, False, True] + [False] * (HORIZON + 1),
        lengths=lengths,
        whole=ends,
    )
    rows, sums = rewards_to_come(played)
    assert rows == [0, 1, 2, 3, 4]
    whole = (1 - 0.99**HORIZON) / 0.01
    assert sums == pytest.approx([1 + 0.99 + 5 * 0.99**2, 1 + 5 * 0.99, 5, whole, whole])


# Networks


def test_td_errors_by_hand(source: Policy) -> None:
    """A critic that says 3 everywhere: δ = r + γ·3 − 3 while the episode goes on, r − 3 at its end."""
    critic: Any = source.module.get_submodule("value_net")
    kept = {name: value.clone() for name, value in critic.state_dict().items()}
    with torch.no_grad():
        critic.weight.zero_()
        critic.bias.fill_(3.0)
    try:
        state = np.zeros(4, np.float32)
        played = Transitions(
            observations=[state] * 2, following=[state] * 2, actions=[np.array(0)] * 2, rewards=[1.0, 2.0],
            terminated=[False, True], ended=[False, True], lengths=[2], whole=[True],
        )  # fmt: skip
        errors, values = SourceNetworks(source).temporal_difference(played)
    finally:
        critic.load_state_dict(kept)
    assert errors == pytest.approx([1 + 0.99 * 3 - 3, 2 - 3])
    assert values.tolist() == [3, 3]


@pytest.mark.parametrize("name", ["DQN", "SAC", "TD3"])
def test_other_critics_and_features(name: str, tmp_path: Path) -> None:
    env = "CartPole-v1" if name == "DQN" else "Pendulum-v1"
    limit = {"time_limit": 30}
    algorithm = {"name": name, "learning_starts": 10, "policy_kwargs": {"net_arch": [8, 6]}}
    run = make_run(
        env={"id": env, "perturb": [limit]},
        algorithm=algorithm,
        training={"total_steps": 40},
        evaluation={"every": 20, "episodes": 1},
    )
    folder = RunFolder(tmp_path / run_id(run))
    ROOM.execute(run, folder, None, say=lambda _: None)
    policy = load_policy(folder.path)
    target = TargetSide(Environment(id=env, perturb=(limit,)), 120, 0, 0)
    networks = SourceNetworks(policy)
    played = target.at_random
    target.player.close()
    assert networks.features(played.observations).shape == (60, 6), "the last hidden layer"
    errors, values = networks.temporal_difference(played)
    module: Any = policy.module
    row = 7
    before, after = (torch.as_tensor(each[row])[None] for each in (played.observations, played.following))
    with torch.no_grad():
        if name == "DQN":
            now = module.q_net(before)[0, int(played.actions[row])]
            then = module.q_net(after).max()
        else:
            action = torch.as_tensor(module.scale_action(played.actions[row][None]))
            now = torch.cat(module.critic(before, action), dim=1).min()
            taken = module.actor(after) if name == "TD3" else None
            then = None if taken is None else torch.cat(module.critic(after, taken), dim=1).min()
    assert values[row] == pytest.approx(float(now), rel=1e-4)
    if then is not None:
        going_on = 0.0 if played.terminated[row] else 0.99
        assert errors[row] == pytest.approx(
            played.rewards[row] + going_on * float(then) - float(now), rel=1e-3
        )


# Whole scores

ALL = {
    "zero_shot_return", "context_distance", "dynamics_gap", "td_error", "representation_deviation", "logme",
    "source_quality", "source_budget", "state_coverage",
}  # fmt: skip


def scored(source: Policy, env: Environment, steps: int = 400, bar: float | None = None) -> Any:
    target = TargetSide(env, steps, 0, 0)
    try:
        return score_policy(source, target, PairScoring(steps=steps, bar=bar))
    finally:
        target.player.close()


def test_a_source_on_its_own_task(source: Policy) -> None:
    found = scored(source, source.env, bar=100)
    assert found.steps == 400
    assert set(found.scores) == ALL
    values = {name: score.value for name, score in found.scores.items()}
    assert None not in values.values()
    assert values["zero_shot_return"] == np.mean(found.returns)
    assert values["context_distance"] == 0
    assert values["source_budget"] == 128
    quality = found.scores["source_quality"].details
    assert values["source_quality"] == pytest.approx(
        (source.metadata["score"] - float(str(quality["random"]))) / (100 - float(str(quality["random"])))
    )
    assert scored(source, source.env, bar=100) == found, "the same numbers again"


def test_a_far_target_has_the_larger_gap(source: Policy) -> None:
    near, far = (scored(source, cartpole(SHORT, *more), 800).scores for more in ((), ({"force_mag": "x3"},)))
    for name in ("context_distance", "dynamics_gap", "representation_deviation"):
        assert near[name].value < far[name].value, name


def test_a_source_that_cannot_act_has_the_scores_that_need_no_acting(source: Policy) -> None:
    found = scored(source, Environment(id="Acrobot-v1", perturb=(SHORT,)))
    assert found.steps == 0
    assert found.cannot_act == "its observation space is Box(4), the target's is Box(6)"
    assert set(found.scores) == ALL
    assert {name for name, score in found.scores.items() if score.value is not None} == {
        "source_quality", "source_budget",
    }  # fmt: skip
    assert all(score.reason for score in found.scores.values() if score.value is None)


def test_a_run_that_scores_keeps_it_in_its_record(bundle: Path, tmp_path: Path) -> None:
    run = RLRun.model_validate(
        {
            "policy": "scored", "env": {"id": "CartPole-v1", "perturb": [SHORT, {"length": "x2"}]},
            "evaluation": {"every": 400}, "scores": {"steps": 400, "bar": 100}, "source": bundle.name,
        }
    )  # fmt: skip
    folder = RunFolder(tmp_path / run_id(run))
    ROOM.execute(run, folder, bundle / "bundle", say=lambda _: None)
    reading = folder.read()
    assert reading.state == "finished"
    assert reading.record is not None
    assert reading.curve is not None
    assert run.total_steps == 400 == reading.curve[0]["step"]
    kept = reading.record["source_scores"]
    assert kept["steps"] == 400
    assert set(kept["scores"]) == ALL
    assert kept["scores"]["zero_shot_return"]["value"] == pytest.approx(np.mean(reading.curve[0]["returns"]))
    assert kept["scores"]["td_error"]["higher_is_better"] is False


def test_what_others_runs_are_called_does_not_change() -> None:
    assert "scores" not in make_run().plain()

"""The batched VecEnv behaves as DummyVecEnv over Monitor, number by number."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.wrappers import TimeLimit
from pydantic import ValidationError
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

import rl_transfer_envs
from rl_transfer.errors import EnvironmentSpecError
from rl_transfer.results import run_id
from rl_transfer.rl.environments.batch import BatchedVecEnv
from rl_transfer.rl.environments.build import make_vec_env
from rl_transfer.rl.training.preflight import preflight
from rl_transfer.spec import Environment, RLRun, RLSuite
from rl_transfer_envs.registry import perturbations as registry
from support.rl import PPO as SMALL_PPO
from support.rl import Execute, make_run
from support.untyped import untyped

Spec = dict[str, Any]


def cartpole(*perturb: dict[str, Any]) -> Spec:
    return {"id": "CartPole-v1", "perturb": list(perturb)}


def pendulum(*perturb: dict[str, Any]) -> Spec:
    return {"id": "Pendulum-v1", "perturb": list(perturb)}


def monitored(spec: Spec, render_mode: str | None) -> Monitor[Any, Any]:
    return Monitor(rl_transfer_envs.make(spec, render_mode))


def dummy(specs: Sequence[Spec], render_mode: str | None = None) -> VecEnv:
    return DummyVecEnv([partial(monitored, spec, render_mode) for spec in specs])


def without_clock(info: dict[str, Any]) -> dict[str, Any]:
    if "episode" not in info:
        return info
    return {**info, "episode": {key: value for key, value in info["episode"].items() if key != "t"}}


def assert_same(ours: Any, theirs: Any) -> None:
    if isinstance(ours, dict):
        assert set(ours) == set(theirs)
        for key in ours:
            assert_same(ours[key], theirs[key])
    elif isinstance(ours, np.ndarray):
        assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
        assert np.array_equal(ours, theirs)
    else:
        assert type(ours) is type(theirs)
        assert ours == theirs


def assert_same_play(specs: Sequence[Spec], steps: int, seed: int = 3) -> int:
    """Step both side by side; returns how many episodes ended."""
    ours, theirs = BatchedVecEnv(specs), dummy(specs)
    assert ours.seed(seed) == theirs.seed(seed)
    assert_same(ours.reset(), theirs.reset())
    ended = 0
    ours.action_space.seed(seed)
    for _ in range(steps):
        actions = np.array([ours.action_space.sample() for _ in specs])
        mine, other = ours.step(actions), theirs.step(actions)
        for one, two in zip(mine[:3], other[:3], strict=True):
            assert_same(one, two)
        for one, two in zip(mine[3], other[3], strict=True):
            assert_same(without_clock(one), without_clock(two))
        for one, two in zip(ours.reset_infos, theirs.reset_infos, strict=True):
            assert_same(one, two)
        ended += int(mine[2].sum())
    for name in ("get_episode_rewards", "get_episode_lengths", "get_total_steps"):
        assert ours.env_method(name) == theirs.env_method(name)
    return ended


SEVERAL = [
    cartpole(),
    cartpole({"length": 1.2}, {"observation_noise": 0.1}, {"time_limit": 15}),
    cartpole({"gravity": {"uniform": [5.0, 12.0]}}, {"reward_scale": 0.3}, {"action_remap": "reverse"}),
]


def test_infos_rewards_and_resets_of_different_instances() -> None:
    """TimeLimit.truncated, terminal_observation, episode, base_observation and context included."""
    assert assert_same_play(SEVERAL, 400) > 30


def test_continuous_actions() -> None:
    specs = [pendulum({"time_limit": 20}), pendulum({"time_limit": 20}, {"mass": 2.0}, {"action_noise": 0.2})]
    assert assert_same_play(specs, 100) == 10


def test_seeds_and_options_are_used_once() -> None:
    ours, theirs = (make([cartpole()] * 2) for make in (BatchedVecEnv, dummy))
    for env in (ours, theirs):
        env.seed(5)
        env.set_options({"low": 0.1, "high": 0.11})
    first = ours.reset()
    assert (np.asarray(first) > 0.09).all()
    assert_same(first, theirs.reset())
    assert_same(ours.reset(), theirs.reset())
    assert (np.abs(np.asarray(ours.reset())) <= 0.05).all()


def test_episode_record() -> None:
    """A limit of 3: return 3, length 3, the end told as truncation."""
    env = BatchedVecEnv([cartpole({"time_limit": 3})])
    env.reset()
    for step in range(3):
        observations, rewards, dones, infos = env.step(np.array([step % 2]))
    assert rewards.dtype == np.float32
    assert dones.tolist() == [True]
    assert {key: infos[0]["episode"][key] for key in "rl"} == {"r": 3.0, "l": 3}
    assert infos[0]["episode"]["t"] >= 0
    assert infos[0]["TimeLimit.truncated"] is True
    assert not np.array_equal(infos[0]["terminal_observation"], untyped(observations)[0])


def test_attributes_and_methods() -> None:
    specs = [cartpole({"length": 0.3}), cartpole({"length": 0.7})]
    ours, theirs = BatchedVecEnv(specs), dummy(specs)
    for env in (ours, theirs):
        env.seed(0)
        env.reset()
        env.step(np.array([1, 0]))
    for name in ("length", "polemass_length", "total_steps", "spec", "_elapsed_steps"):
        assert ours.get_attr(name) == theirs.get_attr(name)
    assert_same(np.array(ours.get_attr("state")), np.array(theirs.get_attr("state")))
    assert ours.get_attr("length", [1]) == [0.7]
    assert ours.has_attr("length")
    assert not ours.has_attr("lenght")
    assert ours.env_is_wrapped(Monitor) == ours.env_is_wrapped(TimeLimit) == [True, True]
    assert ours.env_is_wrapped(VecNormalize, 0) == [False]  # type: ignore[arg-type]
    ours.set_attr("note", 3, [0])
    assert ours.get_attr("note", 0) == [3]
    with pytest.raises(rl_transfer_envs.PerturbedAfterConstructionError):
        ours.set_attr("length", 1.0)
    for name in ("step", "reset"):
        with pytest.raises(EnvironmentSpecError, match=rf"use VecEnv\.{name}"):
            ours.env_method(name)


def test_infos_are_the_callers_own() -> None:
    env, untouched = (BatchedVecEnv(SEVERAL[1:]) for _ in range(2))
    for each in (env, untouched):
        each.seed(0)
        each.reset()
    for step in range(60):
        actions = np.full(2, step % 2)
        ours, theirs = env.step(actions), untouched.step(actions)
        assert_same(ours[0], theirs[0])
        for one, two in zip(ours[3], theirs[3], strict=True):
            assert_same(without_clock(one), without_clock(two))
        untyped(ours[0])[:] = 7
        ours[3][0]["base_observation"][:] = 7
        ours[3][1]["context"]["gravity"] = 7
        env.reset_infos[1]["context"]["gravity"] = 7


def test_images() -> None:
    ours, theirs = BatchedVecEnv([cartpole()] * 2, "rgb_array"), dummy([cartpole()] * 2, "rgb_array")
    for env in (ours, theirs):
        env.seed(0)
        env.reset()
    assert_same(ours.render(), theirs.render())
    blind = BatchedVecEnv([cartpole()])
    with pytest.warns(UserWarning, match="rgb_array"):
        assert blind.get_images() == [None]


def trained(model: BaseAlgorithm, steps: int) -> tuple[dict[str, torch.Tensor], list[float]]:
    """Weights after training, and returns of the last episodes; SB3 seeds when it builds the model."""
    before = {name: tensor.clone() for name, tensor in model.policy.state_dict().items()}
    after = model.learn(steps).policy.state_dict()
    assert any(not torch.equal(after[name], before[name]) for name in before)
    return after, [episode["r"] for episode in model.ep_info_buffer or ()]


def assert_trained_alike(make: Callable[[VecEnv], BaseAlgorithm], specs: Sequence[Spec], steps: int) -> None:
    (ours, returns), (theirs, expected) = (trained(make(env(specs)), steps) for env in (BatchedVecEnv, dummy))
    assert returns == expected
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)


def test_ppo_learns_the_same_weights() -> None:
    """Four updates of PPO on different poles, with drawn gravity, noise and truncated episodes."""

    def ppo(env: VecEnv) -> PPO:
        return PPO("MlpPolicy", env, n_steps=64, batch_size=48, n_epochs=2, seed=1, device="cpu")

    assert_trained_alike(ppo, SEVERAL, 4 * 64 * len(SEVERAL))


def test_ppo_under_normalization_on_continuous_actions() -> None:
    def ppo(env: VecEnv) -> PPO:
        return PPO(
            "MlpPolicy", VecNormalize(env), n_steps=64, n_epochs=2, use_sde=False, seed=1, device="cpu"
        )

    assert_trained_alike(ppo, [pendulum({"time_limit": 30}), pendulum({"gravity": 5.0})], 2 * 64 * 2)


def test_a2c_and_dqn_learn_the_same_weights() -> None:
    assert_trained_alike(lambda env: A2C("MlpPolicy", env, seed=1, device="cpu"), [cartpole()] * 3, 150)
    assert_trained_alike(
        lambda env: DQN("MlpPolicy", env, learning_starts=50, seed=1, device="cpu"), [cartpole()] * 2, 200
    )


def test_evaluation_takes_it_for_monitored() -> None:
    model = PPO("MlpPolicy", dummy([cartpole()]), seed=0, device="cpu")
    scores = []
    for env in (BatchedVecEnv([cartpole()] * 2), dummy([cartpole()] * 2)):
        env.seed(9)
        scores.append(evaluate_policy(model, env, n_eval_episodes=6, return_episode_rewards=True))
    assert scores[0] == scores[1]


def test_from_a_config() -> None:
    config = Environment.model_validate({"id": "CartPole-v1", "perturb": [{"length": 1.0}]})
    env = make_vec_env(config, 3, vectorization="batched")
    assert isinstance(env, BatchedVecEnv)
    assert env.get_attr("length") == [1.0] * 3
    assert isinstance(make_vec_env(config, 3), DummyVecEnv)


BATCHED = {"total_steps": 128, "vectorization": "batched"}


@pytest.mark.parametrize("strategy", [{}, {"copy": ["trunk"], "freeze": ["trunk"]}])
def test_a_run_ends_with_the_weights_of_the_run_that_steps_one_by_one(
    run: Execute, strategy: dict[str, Any]
) -> None:
    env = cartpole({"length": {"uniform": [0.5, 1.5]}}, {"observation_noise": 0.1})
    source = run("source") if strategy else None
    one_by_one = run("sync", source, env=env, strategy=strategy)
    batched = run("batched", source, env=env, strategy=strategy, training=BATCHED)
    assert batched.path.name != one_by_one.path.name
    first, second = one_by_one.record(), batched.record()
    assert first["weights_digest"] == second["weights_digest"]
    assert one_by_one.curve() == batched.curve()


def test_the_default_leaves_ids_and_digests_as_they_were() -> None:
    # What make_run() hashed to before there was a choice.
    for training in ({"total_steps": 128}, {"total_steps": 128, "vectorization": "sync"}):
        spec = make_run(training=training)
        assert run_id(spec) == "d7ffadbc0f3fde85"
        assert spec.plain()["training"] == {"total_steps": 128, "keep": "final"}, "it enters bundle digests"


def test_a_batched_run_is_read_back() -> None:
    spec = make_run(training=BATCHED)
    assert RLRun.model_validate(spec.plain()) == spec


class StepsItself(rl_transfer_envs.Perturbation):
    """A user's wrapper with a step of its own, which nothing can batch."""

    name = "steps_itself"
    summary = side = "test"
    arguments = (rl_transfer_envs.perturbations()["reward_scale"].arguments[0],)

    def step(self, action: Any) -> Any:
        return self.env.step(action)


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        (
            {"id": "FrozenLake-v1"},
            "training.vectorization is batched, but FrozenLake-v1 .* no batched equations",
        ),
        (cartpole({"steps_itself": 2.0}), "training.vectorization is batched, but steps_itself does not"),
    ],
)
def test_what_has_no_batched_form_is_refused(
    run: Execute, monkeypatch: pytest.MonkeyPatch, env: Spec, reason: str
) -> None:
    monkeypatch.setitem(registry._perturbations, StepsItself.name, StepsItself)
    with pytest.raises(EnvironmentSpecError, match=reason) as caught:
        run(env=env, training=BATCHED)
    assert caught.value.key == "training.vectorization"


SUITE: dict[str, Any] = {
    "name": "tiny",
    "algorithm": SMALL_PPO,
    "training": {"total_steps": 128},
    "evaluation": {"every": 64, "episodes": 2},
    "sources": {"near": {"env": cartpole()}},
    "targets": {"far": {"env": cartpole({"length": 1.0})}},
    "strategies": [{"name": "scratch"}],
}


@pytest.mark.parametrize(
    ("changes", "key"),
    [
        ({"training": BATCHED}, "training.vectorization"),
        (
            {"targets": {"lake": {"env": {"id": "FrozenLake-v1"}, "training": BATCHED}}},
            "targets.lake.training.vectorization",
        ),
    ],
)
def test_the_preflight_names_the_key_that_asks_for_it(changes: dict[str, Any], key: str) -> None:
    lake = {"targets": {"lake": {"env": {"id": "FrozenLake-v1"}}}}
    suite = RLSuite.model_validate({**SUITE, **lake, **changes})
    with pytest.raises(EnvironmentSpecError, match="no batched equations") as caught:
        preflight(suite)
    assert caught.value.key == key


def test_the_preflight_takes_a_batched_suite() -> None:
    assert preflight(RLSuite.model_validate({**SUITE, "training": BATCHED}))["targets"]["far"]


@pytest.mark.parametrize("wrapping", [{"guide": {}}, {"hooks": {"behaviour": "somewhere:Hook"}}])
def test_strategies_that_wrap_single_environments_are_refused(wrapping: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=r"training\.vectorization is batched"):
        make_run(training=BATCHED, strategy=wrapping)
    strategies = [{"name": "scratch"}, {"name": "wraps", **wrapping}]
    with pytest.raises(ValidationError, match=r"'wraps': training\.vectorization is batched") as caught:
        RLSuite.model_validate({**SUITE, "training": BATCHED, "strategies": strategies})
    error = caught.value.errors()[0]["ctx"]["error"]
    assert error.key == ("training", "vectorization")

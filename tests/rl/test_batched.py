"""The batched VecEnv behaves as DummyVecEnv over Monitor, number by number."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.wrappers import TimeLimit
from stable_baselines3 import A2C, DQN, PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv, VecNormalize

import rl_transfer_envs
from rl_transfer.errors import EnvironmentSpecError
from rl_transfer.rl.environments.batch import BatchedVecEnv, make_batched_vec_env
from rl_transfer.spec import Environment

Spec = dict[str, Any]


def cartpole(*perturb: dict[str, Any]) -> Spec:
    return {"id": "CartPole-v1", "perturb": list(perturb)}


def pendulum(*perturb: dict[str, Any]) -> Spec:
    return {"id": "Pendulum-v1", "perturb": list(perturb)}


def dummy(specs: Sequence[Spec], render_mode: str | None = None) -> VecEnv:
    return DummyVecEnv(
        [lambda spec=spec: Monitor(rl_transfer_envs.make(spec, render_mode)) for spec in specs]
    )


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
    assert (first > 0.09).all()
    assert_same(first, theirs.reset())
    assert_same(ours.reset(), theirs.reset())
    assert (np.abs(ours.reset()) <= 0.05).all()


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
    assert not np.array_equal(infos[0]["terminal_observation"], observations[0])


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
        ours[0][:] = 7
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


def test_ppo_under_normalisation_on_continuous_actions() -> None:
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
    env = make_batched_vec_env(config, 3)
    assert env.get_attr("length") == [1.0] * 3


@pytest.mark.parametrize(
    ("config", "key"),
    [
        ({"id": "CartPole-v1", "perturb": [{"lenght": 1.0}]}, "targets.a.env.perturb.0.lenght"),
        ({"id": "FrozenLake-v1"}, "targets.a.env.id"),
    ],
)
def test_errors_carry_the_configs_key(config: Spec, key: str) -> None:
    with pytest.raises(EnvironmentSpecError) as caught:
        make_batched_vec_env(Environment.model_validate(config), 2, "targets.a.env")
    assert caught.value.key == key

"""Rebuilding from JSON, registered ids, random streams, and independence of rl_transfer."""

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec

import rl_transfer_envs as envs
from rl_transfer_envs.build.ids import VARIANTS
from support.untyped import untyped

SPEC = {
    "id": "CartPole-v1",
    "kwargs": {"sutton_barto_reward": True},
    "perturb": [
        {"length": {"uniform": [0.4, 2.0]}},
        {"observation_noise": 0.05},
        {"action_remap": "reverse"},
    ],
}


def perturbed(*perturb):
    return envs.make({"id": "CartPole-v1", "perturb": list(perturb)})


def trajectory(env, steps=60):
    env.action_space.seed(1)
    rows = [env.reset(seed=11)[0]]
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        rows.append(np.append(observation, reward))
        if terminated or truncated:
            rows.append(env.reset()[0])
    return np.concatenate(rows)


def test_spec_of_is_the_canonical_specification():
    assert envs.spec_of(envs.make(SPEC)) == envs.canonical(SPEC)


def test_rebuilt_from_json_it_plays_the_same():
    env = envs.make(SPEC)
    rebuilt = envs.make(envs.spec_of(env))
    gymnasium_rebuilt = gym.make(EnvSpec.from_json(untyped(env.spec).to_json()))
    np.testing.assert_array_equal(trajectory(env), trajectory(rebuilt))
    np.testing.assert_array_equal(trajectory(env), trajectory(gymnasium_rebuilt))


def test_spec_of_knows_a_time_limit_and_refuses_foreign_wrappers():
    assert envs.spec_of(gym.make("CartPole-v1"))["perturb"] == []
    changed = gym.wrappers.TransformReward(gym.make("CartPole-v1"), lambda reward: 2 * float(reward))
    with pytest.raises(envs.InvalidSpecError, match="TransformReward"):
        envs.spec_of(changed)


@pytest.mark.parametrize("env_id", VARIANTS)
def test_registered_ids_equal_their_specification(env_id):
    env = gym.make(f"rl_transfer_envs:{env_id}")
    assert envs.spec_of(env) == envs.canonical(env_id)
    assert envs.canonical(env_id)["id"] == VARIANTS[env_id]["base"]
    assert untyped(env.spec).max_episode_steps == 500
    assert gym.spec(env_id).reward_threshold == 475.0
    np.testing.assert_array_equal(trajectory(env), trajectory(envs.make(env_id)))
    assert envs.check_effect(env_id)


def test_arguments_that_an_id_is_registered_with_are_not_repeated():
    spec = {"id": "LunarLanderContinuous-v3", "kwargs": {}, "perturb": [{"gravity": 8.0}]}
    env = envs.make(spec)
    assert envs.spec_of(env) == envs.canonical(spec) == spec
    assert envs.canonical({**spec, "kwargs": {"continuous": True}}) == spec
    assert envs.canonical({**spec, "kwargs": {"continuous": False}}) != spec


def test_perturbed_takes_any_base():
    env = gym.make("rl_transfer_envs:Perturbed-v0", base="CartPole-v1", perturb=[{"length": 1.0}])
    assert untyped(env.unwrapped).polemass_length == 0.1
    assert envs.spec_of(env) == envs.canonical({"id": "CartPole-v1", "perturb": [{"length": 1.0}]})
    again = gym.make(untyped(env.spec))
    np.testing.assert_array_equal(trajectory(env), trajectory(again))


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_vectorised_by_gymnasium(mode):
    vector = gym.make_vec("rl_transfer_envs:CartPoleNoisy-v1", num_envs=2, vectorization_mode=mode)
    single = envs.make("CartPoleNoisy-v1")
    observations, infos = vector.reset(seed=untyped([3, 4]))
    for i in (0, 1):
        observation, info = single.reset(seed=3 + i)
        np.testing.assert_array_equal(observations[i], observation)
        np.testing.assert_array_equal(infos["base_observation"][i], info["base_observation"])
    vector.close()


def test_without_rl_transfer_or_torch():
    code = (
        "import sys, gymnasium as gym\n"
        "env = gym.make('rl_transfer_envs:CartPoleLongPole-v1')\n"
        "env.reset(seed=0); env.step(0)\n"
        "assert env.unwrapped.length == 1.5\n"
        "import rl_transfer_envs\n"
        "rl_transfer_envs.check_effect('CartPoleLongPole-v1')\n"
        "heavy = {'rl_transfer', 'torch', 'stable_baselines3', 'mujoco', 'Box2D', 'pygame'}\n"
        "heavy &= set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)


class TestStreams:
    def test_noise_leaves_the_dynamics_alone(self):
        noisy, plain = perturbed({"observation_noise": 0.3}), gym.make("CartPole-v1")
        observation, info = noisy.reset(seed=4)
        np.testing.assert_array_equal(info["base_observation"], plain.reset(seed=4)[0])
        for _ in range(8):
            observation, *_, info = noisy.step(0)
            base = plain.step(0)[0]
            np.testing.assert_array_equal(info["base_observation"], base)
            assert (observation != base).all()
            assert observation.dtype == base.dtype

    def test_seed_decides_the_noise_and_unseeded_resets_go_on(self):
        env = perturbed({"observation_noise": 0.3})
        first, second, third = env.reset(seed=4)[0], env.reset()[0], env.reset(seed=4)[0]
        np.testing.assert_array_equal(first, third)
        assert (first != second).all()

    def test_two_noises_are_independent_and_adding_one_keeps_the_other(self):
        noise = {"observation_noise": 0.3}
        single, double = perturbed(noise).reset(seed=4), perturbed(noise, noise).reset(seed=4)
        base = single[1]["base_observation"]
        np.testing.assert_array_equal(double[1]["base_observation"], base)
        # were the streams equal, the second would add the same noise again
        assert (np.abs((double[0] - base) - 2 * (single[0] - base)) > 1e-3).all()

    def test_noise_has_the_standard_deviation_it_says(self):
        for distribution in ("normal", "uniform"):
            env = perturbed({"observation_noise": {"std": [0, 1, 2, 0.5], "distribution": distribution}})
            pairs = [env.reset(seed=seed) for seed in range(400)]
            noise = np.array([observation - info["base_observation"] for observation, info in pairs])
            # 400 samples: the standard error of a standard deviation is 1/√800 ≈ 3.5 %
            np.testing.assert_allclose(noise.std(axis=0), [0.0, 1.0, 2.0, 0.5], rtol=0.15)


def test_uniform_noise_widens_the_bounds_by_its_reach_and_normal_noise_removes_them():
    normal, uniform = (
        untyped(
            perturbed({"observation_noise": {"std": [0.1, 0.1, 0, 0], "distribution": each}})
        ).observation_space
        for each in ("normal", "uniform")
    )
    assert normal.high[0] == np.inf
    assert uniform.high[0] == pytest.approx(4.8 + 0.1 * 3**0.5, abs=1e-6)
    assert normal.high[2] == pytest.approx(24 * 2 * np.pi / 360)

"""Sensor wrappers on one part of dict observations; the other parts pass."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces

import rl_transfer_envs as envs
from support.stub import Stub
from support.untyped import untyped


class Parts(Stub):
    """Shows [t, 10 t] as a vector, t as a grey 2 × 2 picture, and where to go."""

    observation_space = spaces.Dict(
        {
            "vector": spaces.Box(-100.0, 100.0, (2,), np.float32),
            "image": spaces.Box(0, 255, (2, 2), np.uint8),
            "goal": spaces.Discrete(4),
        }
    )

    def look(self):
        vector = np.array([self.t, 10 * self.t], dtype=np.float32)
        return {"vector": vector, "image": np.full((2, 2), self.t, dtype=np.uint8), "goal": np.int64(2)}

    def step(self, action):
        self.t += 1
        return self.look(), 1.0, self.t >= 9, False, {}


gym.register("Parts-v0", entry_point=untyped(Parts), max_episode_steps=20)


def make(*perturb):
    return envs.make({"id": "Parts-v0", "perturb": list(perturb)})


def third(env):
    """The observation after three steps; it and those before lie in the space."""
    observation, _ = env.reset(seed=0)
    for _ in range(3):
        assert observation in env.observation_space
        observation, *_ = env.step(0)
    assert observation in env.observation_space
    return observation


@pytest.mark.parametrize(
    ("name", "arguments", "vector"),
    [
        ("observation_bias", {"bias": [1.0, -2.0]}, [4, 28]),
        ("observation_scale", {"factor": 2.0}, [6, 60]),
        ("observation_quantisation", {"step": 4.0}, [4, 32]),
        ("observation_dropout", {"probability": 1.0, "fill": -1.0}, [-1, -1]),
        ("observation_delay", {"steps": 2}, [1, 10]),
        ("observation_permutation", {"order": "reverse"}, [30, 3]),
        ("observation_missing", {"dimensions": [0]}, [30]),
        ("observation_missing", {"dimensions": [0], "mode": "zero"}, [0, 30]),
    ],
)
def test_a_part_is_changed_as_a_vector_would_be(name, arguments, vector):
    observation = third(make({name: {**arguments, "part": "vector"}}))
    np.testing.assert_array_equal(observation["vector"], vector)
    np.testing.assert_array_equal(observation["image"], np.full((2, 2), 3))
    assert observation["goal"] == 2


def test_a_picture_among_the_parts():
    env = make({"observation_bias": {"bias": 0.1, "part": "image"}})
    # a tenth of 0 … 255 is 25.5; 3 + 25.5 = 28.5 rounds to the even 28
    np.testing.assert_array_equal(third(env)["image"], np.full((2, 2), 28))
    noisy = third(make({"observation_noise": {"std": 0.3, "part": "image"}}))
    assert noisy["image"].dtype == np.uint8
    assert (noisy["image"] != 3).any()
    np.testing.assert_array_equal(noisy["vector"], [3, 30])


def test_parts_one_after_the_other_and_distractors():
    env = make(
        {"observation_distractors": {"count": 3, "part": "vector"}},
        {"observation_bias": {"bias": 0.1, "part": "image"}},
        {"observation_delay": {"steps": 1, "part": "goal"}},
    )
    observation = third(env)
    assert observation["vector"].shape == (5,)
    np.testing.assert_array_equal(observation["vector"][:2], [3, 30])
    np.testing.assert_array_equal(observation["image"], np.full((2, 2), 28))
    _, info = env.reset(seed=0)
    assert set(info["base_observation"]) == {"vector", "image", "goal"}
    assert info["base_observation"]["vector"].shape == (2,)


def test_without_a_part_a_delay_holds_all_of_them_back():
    observation = third(make({"observation_delay": 2}))
    np.testing.assert_array_equal(observation["vector"], [1, 10])
    np.testing.assert_array_equal(observation["image"], np.full((2, 2), 1))


def test_the_effect_of_a_part_is_proven_and_it_is_rebuilt():
    spec = {"id": "Parts-v0", "perturb": [{"observation_bias": {"bias": 0.1, "part": "image"}}]}
    (report,) = envs.check_effect(spec)
    assert report.first.quantity == "observation"
    assert envs.spec_of(envs.make(spec)) == envs.canonical(spec)
    missing = {"observation_missing": {"dimensions": [0], "part": "vector"}}
    (removed,) = envs.check_effect({"id": "Parts-v0", "perturb": [missing]})
    assert removed.first.quantity == "observation_space"


@pytest.mark.parametrize(
    ("env_id", "value", "key", "words"),
    [
        ("Parts-v0", {"bias": 1.0}, "part", "name one of its parts: goal, image, vector"),
        ("Parts-v0", {"bias": 1.0, "part": "vektor"}, "part", "Did you mean 'vector'"),
        ("Parts-v0", {"bias": 1.0, "part": "goal"}, None, "Box of numbers"),
        ("CartPole-v1", {"bias": 1.0, "part": "vector"}, "part", "has no parts"),
        ("Parts-v0", {"bias": 1.0, "part": 3}, "part", "name"),
    ],
)
def test_parts_that_do_not_fit_are_refused(env_id, value, key, words):
    with pytest.raises(envs.EnvError, match=words) as caught:
        envs.make({"id": env_id, "perturb": [{"observation_bias": value}]})
    assert caught.value.key == ".".join(filter(None, ["perturb.0.observation_bias", key]))

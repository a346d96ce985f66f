"""Names of observation entries: as many as there are entries, and they follow the perturbations."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import rl_transfer_envs
from rl_transfer_envs import DuplicateRegistrationError, make, observation_names
from support.stub import Stub

CLASSIC = ["CartPole-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1"]
BOX2D = ["LunarLander-v3", "LunarLanderContinuous-v3", "BipedalWalker-v3"]
MUJOCO = ["Hopper-v5", "HalfCheetah-v5", "Walker2d-v5", "Swimmer-v5", "Ant-v5", "Humanoid-v5",
          "InvertedPendulum-v5"]  # fmt: skip
CARTPOLE = ("cart_position", "cart_velocity", "pole_angle", "pole_angular_velocity")


def built(env_id: str, *perturb: Any, **kwargs: Any) -> Any:
    try:
        return make({"id": env_id, "perturb": list(perturb), "kwargs": kwargs})
    except rl_transfer_envs.MissingExtraError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("env_id", [*CLASSIC, *BOX2D, *MUJOCO])
def test_every_entry_has_a_name_of_its_own(env_id: str) -> None:
    env = built(env_id)
    names = observation_names(env)
    assert names is not None
    assert len(names) == len({*names}) == env.observation_space.shape[0]


def test_joints_are_named_where_they_are_observed() -> None:
    env = built("Hopper-v5")
    names = observation_names(env)
    assert names is not None
    observation, _ = env.reset(seed=1)
    state = env.unwrapped.data
    place = names.index("thigh_joint_position")
    assert observation[place] == state.joint("thigh_joint").qpos[0]
    assert observation[names.index("foot_joint_velocity")] == state.joint("foot_joint").qvel[0]


def test_the_models_arguments_decide_what_a_robot_names() -> None:
    all_of_it = built("Hopper-v5", exclude_current_positions_from_observation=False)
    names = observation_names(all_of_it)
    assert names is not None
    assert names[0] == "rootx_position"
    assert len(names) == all_of_it.observation_space.shape[0]


def test_names_follow_the_perturbations() -> None:
    reverse = {"observation_permutation": "reverse"}
    assert observation_names(built("CartPole-v1", reverse)) == CARTPOLE[::-1]
    gone = {"observation_missing": [1, 2]}
    assert observation_names(built("CartPole-v1", gone)) == (CARTPOLE[0], CARTPOLE[3])
    zero = {"observation_missing": {"dimensions": [1], "mode": "zero"}}
    assert observation_names(built("CartPole-v1", zero)) == CARTPOLE
    more = observation_names(built("CartPole-v1", {"observation_distractors": 2}, reverse))
    assert more == ("distractor_1", "distractor_0", *CARTPOLE[::-1])
    assert observation_names(built("CartPole-v1", {"length": "x2"})) == CARTPOLE
    assert observation_names(built("CartPole-v1", {"time_feature": "remaining"})) == (*CARTPOLE, "time_left")
    assert observation_names(gym.make("rl_transfer_envs:CartPoleLongPole-v1")) == CARTPOLE


def test_a_wrapper_of_another_shape_takes_the_names_away() -> None:
    stacked = gym.wrappers.FrameStackObservation(gym.make("CartPole-v1"), 2)
    assert observation_names(stacked) is None


class Named(Stub):
    observation_space = gym.spaces.Box(-1, 1, (2,), np.float32)
    observation_names = ("left", "right")


def test_an_environment_may_name_its_observations_itself() -> None:
    assert observation_names(Named()) == ("left", "right")
    with pytest.raises(DuplicateRegistrationError, match="CartPole-v1: its observations are named already"):
        rl_transfer_envs.register_observation_names("CartPole-v1", CARTPOLE)

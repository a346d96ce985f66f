"""Agents and environments may write into one array for ever: no wrapper keeps a reference to it."""

import copy

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.classic_control.cartpole import CartPoleEnv
from gymnasium.envs.classic_control.pendulum import PendulumEnv
from hypothesis import given, settings
from hypothesis import strategies as st

import rl_transfer_envs as envs
from rl_transfer_envs import vector
from support.perturbation_values import CONTINUOUS, DISCRETE, RESHAPED
from support.untyped import untyped

STEPS = 25


class Reusing(gym.Env):
    """Shows every observation in the same array, and writes into the actions that it gets."""

    def __init__(self, render_mode=None):
        untyped(super()).__init__(render_mode=render_mode)
        self.shown = np.zeros(self.observation_space.shape or (), dtype=np.float32)

    def reset(self, *, seed=None, options=None):
        self.shown[:], info = super().reset(seed=seed, options=options)
        return self.shown, info

    def step(self, action):
        observation, *rest = super().step(copy.deepcopy(action))
        if isinstance(action, np.ndarray):
            action[...] = -1  # and not 0, which a delayed action is at first
        self.shown[:] = observation
        return self.shown, *rest


class ReusingCartPole(Reusing, CartPoleEnv):
    """CartPole on one array."""


class ReusingPendulum(Reusing, PendulumEnv):
    """Pendulum on one array."""


for env_class, steps in ((ReusingCartPole, 500), (ReusingPendulum, 200)):
    gym.register(
        f"{env_class.__name__}-v0",
        entry_point=untyped(env_class),
        max_episode_steps=steps,
        disable_env_checker=True,  # it warns of exactly what is tried here
    )
REUSING = {"CartPole-v1": "ReusingCartPole-v0", "Pendulum-v1": "ReusingPendulum-v0"}
VALUES = {"CartPole-v1": {**DISCRETE, **RESHAPED}, "Pendulum-v1": CONTINUOUS}
CASES = [
    (env_id, {name: value})
    for env_id, table in VALUES.items()
    for name in table
    if name != "observation_context"  # it goes by the parameters of an id, and these ids have none
    for value in table[name]
]


def actions_for(spec, seed):
    """Actions of the perturbed environment's space, each an array of its own."""
    space = envs.make(spec).action_space
    space.seed(seed)
    return [np.array(space.sample()) for _ in range(STEPS)]


def single(spec, actions, seed, buffer=None):
    """Copies of all that a single environment shows; with a buffer, every action is written into it."""
    env = envs.make(spec)
    rows = [(env.reset(seed=seed)[0].copy(), 0.0, False, False)]
    for action in actions:
        given_action = copy.deepcopy(action)
        if buffer is not None:
            buffer[...] = action
            given_action = buffer
        observation, *rest, _ = env.step(given_action)
        rows.append((observation.copy(), *rest))
        if buffer is not None:
            buffer[...] = 1
        if rest[1] or rest[2]:
            break
    return rows


def batched(spec, actions, seed):
    """The same of the second of two instances, whose actions come in one array."""
    env = vector.make([spec, spec], autoreset_mode="SameStep")
    observations, _ = env.reset(seed=[seed + 1, seed])
    rows = [(observations[1].copy(), 0.0, False, False)]
    buffer = np.stack([actions[0], actions[0]])
    for action in actions:
        buffer[...] = action
        observations, rewards, terminated, truncated, info = env.step(buffer)
        buffer[...] = 1
        done = terminated[1] or truncated[1]
        shown = info["final_obs"][1] if done else observations[1]
        rows.append((shown.copy(), rewards[1], terminated[1], truncated[1]))
        if done:
            break
    return rows


def assert_same(first, second):
    assert len(first) == len(second)
    for step, (one, other) in enumerate(zip(first, second, strict=True)):
        assert np.array_equal(one[0], other[0]), step
        assert one[1:] == other[1:], step


def assert_agree(env_id, perturb, seed):
    spec = {"id": env_id, "perturb": perturb}
    actions = actions_for(spec, seed)
    fresh = single(spec, actions, seed)
    buffer = np.array(actions[0])
    assert_same(fresh, single(spec, actions, seed, buffer))
    assert_same(fresh, single({**spec, "id": REUSING[env_id]}, actions, seed, buffer))
    assert_same(fresh, batched(spec, actions, seed))


@pytest.mark.parametrize(("env_id", "entry"), CASES, ids=lambda case: str(case))
def test_every_wrapper_on_reused_arrays(env_id, entry):
    assert_agree(env_id, [entry], 3)


@settings(max_examples=30, deadline=None)
@given(
    stack=st.sampled_from(sorted(VALUES)).flatmap(
        lambda env_id: st.tuples(
            st.just(env_id),
            st.lists(
                st.sampled_from([entry for name, entry in CASES if name == env_id]), min_size=2, max_size=3
            ),
        )
    ),
    seed=st.integers(0, 10_000),
)
def test_any_wrappers_on_reused_arrays(stack, seed):
    env_id, perturb = stack
    try:
        envs.make({"id": env_id, "perturb": perturb}).close()
    except envs.EnvError:  # lists of the wrong length after a reshape, two limits
        return
    assert_agree(env_id, perturb, seed)

"""Batched physics and perturbations give the bits of the single environments."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import rl_transfer_envs
from rl_transfer_envs import vector
from rl_transfer_envs.registry.parameters import own_parameters
from rl_transfer_envs.registry.perturbations import perturbations
from rl_transfer_envs.vector.kernels import arithmetic
from support.cases import EVERY
from support.perturbation_values import CONTINUOUS, DISCRETE, RESHAPED
from support.vector import (
    CLASSIC,
    Spec,
    assert_equal_alone,
    assert_equal_to_sync,
    both_ways,
    directions,
    mixed_play,
    record,
)

MODES = pytest.mark.parametrize("mode", ["NextStep", "SameStep"])


@pytest.mark.parametrize("env_id", CLASSIC)
def test_every_parameter_gives_the_bits_of_the_single_environment(env_id: str) -> None:
    """Many steps of every parameter in both directions, each an instance of one batch."""
    steps = 10_000 if EVERY else 1_000
    specs = both_ways(env_id)
    recording = record(specs, lambda env: mixed_play(env_id, env, 1), steps, seed=7)
    episodes = assert_equal_alone(specs, recording, seed=7)
    assert episodes >= steps // 1000 * len(specs)
    ends = np.array(recording.ends)
    driven = env_id == "MountainCarContinuous-v0" and not EVERY  # it meets its limit after thousands of steps
    assert ends[:, 1].any() or driven
    assert ends[:, 0].any() or env_id == "Pendulum-v1"


@pytest.mark.parametrize("env_id", CLASSIC)
def test_parameters_drawn_per_episode(env_id: str) -> None:
    drawn = []
    for name, parameter in own_parameters(env_id).items():
        if parameter.per_episode and parameter.default:
            low, high = parameter.bounds or (0.0, 0.0)
            middle = {"uniform": [(low + parameter.default) / 2, (parameter.default + high) / 2]}
            drawn.append({"id": env_id, "perturb": [{name: middle}, {"time_limit": {"choice": [20, 30]}}]})
    recording = record(drawn, lambda env: mixed_play(env_id, env, 2), 300, seed=5)
    assert assert_equal_alone(drawn, recording, seed=5) >= 10 * len(drawn)


def test_eight_pole_lengths_fall_apart() -> None:
    """Parameters are per instance: from one start, eight poles move in eight ways."""
    specs = [{"id": "CartPole-v1", "perturb": [{"length": 0.2 * i}]} for i in range(1, 9)]
    env = vector.make(specs)
    env.reset(seed=[0] * 8)
    observations = env.step(np.ones(8, dtype=np.int64))[0]
    assert len(set(observations[:, 3].tolist())) == 8


def test_first_step_from_rest() -> None:
    """CartPole at rest, pushed with F: temp = F/1.1; θ̈ = −temp / (0.5·(4/3 − 0.1/1.1));
    ẍ = temp − 0.05·θ̈/1.1. F = 10: temp = 9.090909, θ̈ = −14.634146, ẍ = 9.756098, so after
    τ = 0.02: ẋ = 0.195122, θ̇ = −0.292683; F = 20 doubles them; action 0 changes their sign.
    """
    more: tuple[list[Any], ...] = ([], [{"force_mag": 20.0}], [])
    env = vector.make([{"id": "CartPole-v1", "perturb": [{"initial_spread": 0.0}, *each]} for each in more])
    env.reset(seed=0)
    observations = env.step(np.array([1, 1, 0]))[0]
    expected = [[0, 0.195122, 0, -0.292683], [0, 0.390244, 0, -0.585366], [0, -0.195122, 0, 0.292683]]
    np.testing.assert_allclose(observations, expected, atol=1e-6)


def on_each(env_id: str, name: str, values: Sequence[Any], *first: Spec) -> list[Spec]:
    """One specification per value of a wrapper."""
    return [{"id": env_id, "perturb": [*first, {name: value}]} for value in values]


@MODES
@pytest.mark.parametrize("name", DISCRETE)
def test_wrappers_on_all_instances(name: str, mode: str) -> None:
    assert assert_equal_to_sync(on_each("CartPole-v1", name, DISCRETE[name]), mode, 150) >= 3


@MODES
@pytest.mark.parametrize("name", DISCRETE)
def test_wrappers_beside_instances_without(name: str, mode: str) -> None:
    """Each wrapper, beside a plain instance and one with drawn physics, infos included."""
    specs = on_each("CartPole-v1", name, DISCRETE[name])
    specs += [{"id": "CartPole-v1"}, {"id": "CartPole-v1", "perturb": [{"length": {"uniform": [0.2, 0.9]}}]}]
    assert assert_equal_to_sync(specs, mode, 150) > 5


@MODES
@pytest.mark.parametrize("name", RESHAPED)
def test_wrappers_that_change_shapes(name: str, mode: str) -> None:
    assert assert_equal_to_sync(on_each("CartPole-v1", name, RESHAPED[name]), mode, 150) > 5


@MODES
@pytest.mark.parametrize("name", CONTINUOUS)
def test_wrappers_of_continuous_actions(name: str, mode: str) -> None:
    specs = on_each("Pendulum-v1", name, CONTINUOUS[name], {"time_limit": 40})
    assert assert_equal_to_sync(specs, mode, 150) >= 3
    assert assert_equal_to_sync([*specs, {"id": "Pendulum-v1"}], mode, 150) >= 3


def test_extra_dimensions_of_continuous_actions() -> None:
    assert_equal_to_sync([{"id": "Pendulum-v1", "perturb": [{"extra_actions": 2}]}] * 2, "NextStep", 50)


def test_finished_instances_draw_no_torque_noise() -> None:
    """In next-step mode a finished instance is reset, not stepped, so its stream must stand still."""
    specs = [
        {"id": "Acrobot-v1", "perturb": [{"torque_noise": 0.5}, {"time_limit": limit}]} for limit in (3, 5)
    ]
    assert assert_equal_to_sync(specs, "NextStep", 40) >= 15


def test_every_registered_wrapper_is_compared() -> None:
    assert set(perturbations()) == {*DISCRETE, *RESHAPED, *CONTINUOUS}


def test_stacks_of_different_wrappers() -> None:
    """Level by level: what stands at one level may differ between instances."""
    noise, bias = {"observation_noise": 0.1}, {"observation_bias": 0.3}
    first: list[Spec] = [
        *(noise, {"observation_delay": 2}, {"action_remap": "reverse"}),
        *({"reward_shaping": 0.5}, bias),
    ]
    second: list[Spec] = [bias, noise, {"sticky_actions": 0.3}, {"reward_scale": {"choice": [2.0, 3.0]}}]
    specs = [{"id": "CartPole-v1", "perturb": stack} for stack in (first, second, first[::-1])]
    for mode in ("NextStep", "SameStep"):
        assert assert_equal_to_sync(specs, mode, 200) > 5


@st.composite
def perturbed(draw: st.DrawFn, env_id: str) -> Spec:
    """Up to two physics parameters and three wrappers, at any severity."""
    table = DISCRETE if env_id == "CartPole-v1" else CONTINUOUS
    physics = draw(st.lists(st.sampled_from(list(own_parameters(env_id))), max_size=2, unique=True))
    wrappers = draw(st.lists(st.sampled_from([name for name in table if name != "time_limit"]), max_size=3))
    entries = []
    for name in physics:
        towards = draw(st.sampled_from(directions(own_parameters(env_id)[name])))
        severity = draw(st.floats(0, 1, allow_subnormal=False))
        if name != "max_torque":  # SyncVectorEnv refuses instances with different action bounds
            entries.append({name: {"severity": severity, "towards": towards}})
    entries += [{name: draw(st.sampled_from(table[name]))} for name in wrappers]
    return {"id": env_id, "perturb": entries}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    specs=st.sampled_from(["CartPole-v1", "Pendulum-v1"]).flatmap(
        lambda env_id: st.lists(perturbed(env_id), min_size=1, max_size=3)
    ),
    mode=st.sampled_from(["NextStep", "SameStep"]),
    seed=st.integers(0, 2**31 - 10),
)
def test_any_perturbations(specs: list[Spec], mode: str, seed: int) -> None:
    assert_equal_to_sync(specs, mode, 40, seed)


def test_arithmetic_follows_the_scalars() -> None:
    """``x**2`` of a scalar is the C library's pow, not x·x; math.cos is the C library's cos."""
    x = np.random.default_rng(0).uniform(-30, 30, 20_000)
    single = x.astype(np.float32)
    assert np.array_equal(arithmetic.square(x), [value**2 for value in x])
    assert np.array_equal(arithmetic.square_single(single), [value**2 for value in single])
    assert np.array_equal(arithmetic.cos(x), [math.cos(value) for value in x])
    assert np.array_equal(np.cos(x), [np.cos(value) for value in x])
    assert np.array_equal(np.sin(x), [np.sin(value) for value in x])


def test_wrap_brings_any_angle_home() -> None:
    """Gymnasium's loop: 7 − 2π = 0.716815; −10 + 2·2π = 2.566371; π itself stays."""
    home = arithmetic.wrap(np.array([7.0, -10.0, np.pi, 0.5]), -np.pi, np.pi)
    np.testing.assert_allclose(home, [0.716815, 2.566371, np.pi, 0.5], atol=1e-6)


def test_counts_of_both_ways() -> None:
    """The comparison covers every registered parameter of every family."""
    specs = [spec for env_id in CLASSIC for spec in both_ways(env_id)]
    covered = {name for spec in specs for entry in spec["perturb"] for name in entry}
    assert covered == {name for env_id in CLASSIC for name in own_parameters(env_id)}
    assert rl_transfer_envs.canonical(CLASSIC[0]) == both_ways(CLASSIC[0])[0]

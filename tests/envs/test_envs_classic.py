"""Acrobot, MountainCar, MountainCarContinuous, Pendulum: equations, defaults, derived spaces."""

import math

import gymnasium as gym
import numpy as np
import pytest

import rl_transfer_envs as envs
from rl_transfer_envs.check.play import first_divergence
from rl_transfer_envs.registry.parameters import own_parameters
from rl_transfer_envs.registry.probes import probes
from support.cases import EVERY, drawn, tiered
from support.untyped import untyped

FAMILIES = ["Acrobot-v1", "CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1"]
PAIRS = [(env_id, name) for env_id in FAMILIES for name in own_parameters(env_id)]
LEFT = [(env_id, name) for env_id, name in PAIRS if env_id not in ("CartPole-v1", "Pendulum-v1")]
"""Of the other two the conformance kit checks every default and both bounds of every parameter."""


def perturbed(env_id, **physics):
    return envs.make({"id": env_id, "perturb": [{name: value} for name, value in physics.items()]})


@pytest.mark.parametrize(("env_id", "name"), PAIRS if EVERY else LEFT)
def test_default_is_bit_equal_to_the_base_over_1000_steps(env_id, name):
    base = gym.make(env_id)
    other = perturbed(env_id, **{name: own_parameters(env_id)[name].default})
    assert other.observation_space == base.observation_space
    assert other.action_space == base.action_space
    for probe in probes(env_id, base.action_space)[:2]:
        assert first_divergence(base, other, probe, seed=3, steps=1000) is None


@pytest.mark.usefixtures("few_repetitions")
@pytest.mark.parametrize(("env_id", "name"), tiered(PAIRS, drawn(LEFT, 10)))
def test_both_bounds_have_an_effect(env_id, name):
    parameter = own_parameters(env_id)[name]
    assert parameter.bounds is not None
    for bound in parameter.bounds:
        if bound != parameter.default:
            (report,) = envs.check_effect({"id": env_id, "perturb": [{name: bound}]})
            assert report.name == name


@pytest.mark.parametrize("env_id", FAMILIES)
def test_registered_defaults_are_those_of_the_environment(env_id):
    for name, parameter in own_parameters(env_id).items():
        env = perturbed(env_id, **{name: parameter.default}).unwrapped
        fresh = gym.make(env_id).unwrapped if parameter.entry_point is None else env
        assert parameter.get(fresh) == parameter.default, name


@pytest.mark.parametrize("env_id", FAMILIES)
def test_all_defaults_together_are_the_base(env_id):
    other = perturbed(env_id, **{name: p.default for name, p in own_parameters(env_id).items()})
    base = gym.make(env_id)
    for probe in probes(env_id, base.action_space):
        assert first_divergence(base, other, probe, seed=9, steps=1000) is None


class TestAcrobot:
    def test_gravity_pulls_as_hard_as_it_says(self):
        # At θ1 = π/2, θ2 = 0, at rest, no torque: φ2 = m2 lc2 g, φ1 = (m1 lc1 + m2 l1) g + φ2
        # (cos(π/2 − π/2) = 1), d1 = 0.25 + (1 + 0.25 + 1) + 2 = 4.5, d2 = 0.25 + 0.5 + 1 = 1.75.
        # With g = 20: φ2 = 10, φ1 = 30 + 10 = 40;
        # θ̈2 = (d2/d1·φ1 − φ2) / (0.25 + 1 − d2²/d1), θ̈1 = −(d2 θ̈2 + φ1)/d1
        env = perturbed("Acrobot-v1", gravity=20.0).unwrapped
        acc2 = (1.75 / 4.5 * 40 - 10) / (1.25 - 1.75**2 / 4.5)
        acc1 = -(1.75 * acc2 + 40) / 4.5
        derivative = env._dsdt(np.array([math.pi / 2, 0.0, 0.0, 0.0, 0.0]))
        np.testing.assert_allclose(derivative[2:4], [acc1, acc2], rtol=1e-12)

    def test_link_lengths_move_the_centre_of_mass_and_the_tip(self):
        env = perturbed("Acrobot-v1", link_length_1=0.6, link_length_2=1.5).unwrapped
        assert (env.LINK_COM_POS_1, env.LINK_COM_POS_2) == (0.3, 0.75)
        # straight up: the tip is at 0.6 + 1.5 = 2.1 > 1; lower link folded down: 0.6 − 1.5 < 1
        env.state = np.array([math.pi, 0.0, 0.0, 0.0])
        assert env._terminal()
        env.state = np.array([math.pi, math.pi, 0.0, 0.0])
        assert not env._terminal()

    def test_class_attributes_stay_as_they_are(self):
        perturbed("Acrobot-v1", torque=3.0, link_mass_1=2.0, max_velocity_1=3.0)
        fresh = untyped(gym.make("Acrobot-v1").unwrapped)
        assert type(fresh).AVAIL_TORQUE == [-1.0, 0.0, 1]
        assert fresh.LINK_MASS_1 == 1.0

    def test_both_published_equations_are_kept(self):
        base, same = gym.make("Acrobot-v1"), perturbed("Acrobot-v1", gravity=9.8)
        for env in (base, same):
            untyped(env.unwrapped).book_or_nips = "nips"
        probe = probes("Acrobot-v1", base.action_space)[0]
        assert first_divergence(base, same, probe, seed=0, steps=500) is None


class TestMountainCar:
    def test_hill_and_engine_by_hand(self):
        # v' = (a − 1)·force − gravity·cos(3p) from p = −0.5, v = 0; full throttle
        env = perturbed("MountainCar-v0", gravity=0.004, force=0.002)
        env.reset(seed=0)
        env.unwrapped.state = np.array([-0.5, 0.0])
        velocity = 0.002 - 0.004 * math.cos(-1.5)
        np.testing.assert_allclose(env.step(2)[0], [-0.5 + velocity, velocity], rtol=1e-6)

    def test_continuous_hill_by_hand(self):
        env = perturbed("MountainCarContinuous-v0", gravity=0.004, power=0.003)
        env.reset(seed=0)
        env.unwrapped.state = np.array([-0.5, 0.0])
        velocity = 0.5 * 0.003 - 0.004 * math.cos(-1.5)
        observation, reward, *_ = env.step(np.array([0.5], dtype=np.float32))
        np.testing.assert_allclose(observation, [-0.5 + velocity, velocity], rtol=1e-6)
        assert reward == pytest.approx(-0.1 * 0.25)

    @pytest.mark.parametrize("env_id", ["MountainCar-v0", "MountainCarContinuous-v0"])
    def test_bounds_follow(self, env_id):
        space = perturbed(env_id, max_speed=0.05, min_position=-1.5).observation_space
        np.testing.assert_array_equal(space.low, np.array([-1.5, -0.05], dtype=np.float32))
        np.testing.assert_array_equal(space.high, np.array([0.6, 0.05], dtype=np.float32))

    def test_throttle_range_is_the_action_space(self):
        env = perturbed("MountainCarContinuous-v0", max_action=2.0)
        assert env.action_space == gym.spaces.Box(-2.0, 2.0, (1,), np.float32)


class TestPendulum:
    def test_swing_by_hand(self):
        # θ̇' = θ̇ + (3g/(2l)·sin θ + 3/(m l²)·u)·dt, θ' = θ + θ̇'·dt
        # with g = 5, l = 2, m = 0.5, dt = 0.1, θ = π/2, θ̇ = 0, u = 1:
        # θ̇' = (3·5/4 + 3/(0.5·4))·0.1 = (3.75 + 1.5)·0.1 = 0.525; θ' = π/2 + 0.0525
        env = perturbed("Pendulum-v1", gravity=5.0, length=2.0, mass=0.5, dt=0.1)
        env.reset(seed=0)
        env.unwrapped.state = np.array([math.pi / 2, 0.0])
        observation = env.step(np.array([1.0], dtype=np.float32))[0]
        angle = math.pi / 2 + 0.0525
        np.testing.assert_allclose(observation, [math.cos(angle), math.sin(angle), 0.525], rtol=1e-5)

    def test_more_torque_widens_the_action_space(self):
        env = perturbed("Pendulum-v1", max_torque=6.0, max_speed=12.0)
        assert env.action_space == gym.spaces.Box(-6.0, 6.0, (1,), np.float32)
        assert env.observation_space.high[2] == 12.0

    def test_start_spread(self):
        env = perturbed("Pendulum-v1", initial_angle_spread=0.1, initial_velocity_spread=0.0)
        starts = np.array([env.reset(seed=seed)[0] for seed in range(30)])
        assert (starts[:, 0] >= math.cos(0.1)).all()
        assert not starts[:, 2].any()

    def test_a_constructor_argument_is_the_default_that_relative_values_multiply(self):
        env = envs.make({"id": "Pendulum-v1", "kwargs": {"g": 8.0}, "perturb": [{"gravity": "x1.5"}]})
        assert untyped(env.unwrapped).g == 12.0

    def test_drawn_torque_has_the_widest_action_space(self):
        env = perturbed("Pendulum-v1", max_torque={"uniform": [1.0, 3.0]})
        env.reset(seed=0)
        assert env.action_space.high[0] == 3.0
        assert 1.0 < env.unwrapped.max_torque < 3.0

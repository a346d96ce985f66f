"""Physics parameters: derived values, golden numbers, defaults bit-equal to the base."""

import gymnasium as gym
import numpy as np
import pytest

import rl_transfer_envs as envs
from rl_transfer_envs.registry.parameters import _parameters
from support.stub import Stub
from support.untyped import untyped


def test_derived_masses_follow():
    perturb = [{"masscart": 3.0}, {"masspole": 0.5}, {"length": "x2"}]
    env = untyped(envs.make({"id": "CartPole-v1", "perturb": perturb}).unwrapped)
    # total = 3 + 0.5; pole mass × half length = 0.5 × (2 × 0.5)
    assert (env.total_mass, env.polemass_length) == (3.5, 0.5)


def test_one_step_by_hand():
    # From rest and upright: sin θ = 0, cos θ = 1, θ̇ = 0, so with M = 3 + 0.1, l = 1, F = +20:
    # temp = F/M; θ̈ = −temp / (l·(4/3 − 0.1/M)); ẍ = temp − 0.1·l·θ̈/M; velocities move by τ = 0.01
    perturb = [{"masscart": 3.0}, {"length": 1.0}, {"force_mag": 20.0}, {"tau": 0.01}]
    env = envs.make({"id": "CartPole-v1", "perturb": perturb})
    env.reset(seed=0)
    untyped(env.unwrapped).state = np.zeros(4)
    observation = env.step(1)[0]
    temp = 20.0 / 3.1
    theta_acc = -temp / (4 / 3 - 0.1 / 3.1)
    x_acc = temp - 0.1 * theta_acc / 3.1
    np.testing.assert_allclose(observation, [0.0, 0.01 * x_acc, 0.0, 0.01 * theta_acc], rtol=1e-6)


def test_thresholds_rebuild_the_observation_bounds():
    env = envs.make({"id": "CartPole-v1", "perturb": [{"x_threshold": 5.0}, {"theta_threshold": 0.4}]})
    high = np.array([10.0, np.inf, 0.8, np.inf], dtype=np.float32)
    assert env.observation_space == gym.spaces.Box(-high, high, dtype=np.float32)


def test_initial_spread_bounds_every_start():
    env = envs.make({"id": "CartPole-v1", "perturb": [{"initial_spread": 0.2}]})
    starts = np.array([env.reset(seed=seed)[0] for seed in range(50)])
    assert 0.15 < np.abs(starts).max() <= 0.2


def test_user_options_win_over_the_initial_spread():
    env = envs.make({"id": "CartPole-v1", "perturb": [{"initial_spread": 0.2}]})
    observation, _ = env.reset(seed=0, options={"low": 0.0, "high": 0.0})
    assert not observation.any()


def test_attribute_paths_reach_a_users_environment():
    env = envs.make({"id": "CartPole-v1", "perturb": [{"attribute": {"force_mag": "x2"}}]})
    assert untyped(env.unwrapped).force_mag == 20.0


DRAWN = {
    "id": "CartPole-v1",
    "perturb": [{"length": {"uniform": ["x0.5", "x2"]}}, {"tau": {"choice": [0.01, 0.03]}}],
}


class TestPerEpisode:
    def test_context_is_what_the_environment_has(self):
        env = envs.make(DRAWN)
        lengths = set()
        for seed in range(20):
            _, info = env.reset(seed=seed)
            assert info["context"] == {
                "length": untyped(env.unwrapped).length,
                "tau": untyped(env.unwrapped).tau,
            }
            assert untyped(env.unwrapped).polemass_length == 0.1 * untyped(env.unwrapped).length
            assert env.step(0)[4]["context"] == info["context"]
            lengths.add(info["context"]["length"])
        assert len(lengths) == 20
        assert 0.25 <= min(lengths) < max(lengths) <= 1.0

    def test_same_seed_same_context_and_unseeded_resets_go_on(self):
        first, second = envs.make(DRAWN), envs.make(DRAWN)
        contexts = [
            [env.reset(seed=seed)[1]["context"] for seed in (7, None, None, 7)] for env in (first, second)
        ]
        assert contexts[0] == contexts[1]
        assert contexts[0][0] == contexts[0][3] != contexts[0][1] != contexts[0][2]

    def test_drawing_leaves_the_start_states_alone(self):
        start = gym.make("CartPole-v1").reset(seed=5)[0]
        np.testing.assert_array_equal(envs.make(DRAWN).reset(seed=5)[0], start)

    def test_spaces_hold_for_every_episode(self):
        env = envs.make({"id": "CartPole-v1", "perturb": [{"x_threshold": {"uniform": [1.0, 4.0]}}]})
        assert untyped(env.observation_space).high[0] == 8.0
        env.reset(seed=0)
        assert untyped(env.observation_space).high[0] == 8.0


class TestPerElement:
    """``attribute`` is the parameter by element that every environment has."""

    def make(self, value):
        return envs.make({"id": "CartPole-v1", "perturb": [{"attribute": value}]})

    def test_elements_are_drawn_each_on_their_own_and_stand_in_the_context(self):
        env = self.make(
            {"gravity": {"uniform": ["x0.5", "x2"]}, "force_mag": {"uniform": ["x0.5", "x2"]}, "tau": 0.03}
        )
        _, info = env.reset(seed=0)
        unwrapped = env.unwrapped
        drawn = {"gravity": unwrapped.gravity, "force_mag": unwrapped.force_mag, "tau": 0.03}
        assert info["context"] == {"attribute": drawn}
        assert unwrapped.gravity / 9.8 != pytest.approx(unwrapped.force_mag / 10.0)

    def test_one_distribution_for_all_elements_is_drawn_once(self, monkeypatch):
        monkeypatch.setitem(_parameters, "Elements-v0", {})
        spec = gym.envs.registration.EnvSpec("Elements-v0", entry_point=untyped(Elements))
        monkeypatch.setitem(gym.registry, "Elements-v0", spec)
        parameter = envs.Parameter(
            name="mass", unit="kg", default=None, bounds=(0.0, 100.0), factors=(0.5, 4.0), source="here",
            summary="masses", keyed=True,
            get=lambda env: dict(env.mass), set=lambda env, values: env.mass.update(values),
        )  # fmt: skip
        envs.register_parameter("Elements-v0", parameter)

        def masses(value, seed=None):
            env = envs.make({"id": "Elements-v0", "perturb": [{"mass": value}]})
            if seed is not None:
                env.reset(seed=seed)
            return untyped(env.unwrapped).mass

        assert masses("x2") == {"leg": 2.0, "torso": 6.0, "base": 0.0}
        assert masses({"torso": "x2"}) == {"leg": 1.0, "torso": 6.0, "base": 0.0}
        assert masses(5.0) == {"leg": 5.0, "torso": 5.0, "base": 5.0}
        # severity of a parameter by element is a multiple: 1 + 0.5·(4 − 1)
        assert masses({"severity": 0.5, "towards": "high"})["torso"] == 7.5
        drawn = masses({"uniform": ["x0.5", "x2"]}, seed=3)
        assert drawn["torso"] == pytest.approx(3 * drawn["leg"])
        assert drawn["leg"] != 1.0
        with pytest.raises(envs.UnknownParameterError, match="Did you mean 'torso'") as caught:
            masses({"torsoe": 2.0})
        assert caught.value.key == "perturb.0.mass.torsoe"
        with pytest.raises(envs.InvalidValueError, match="default of 0") as refused:
            masses({"base": "x2"})
        assert refused.value.key == "perturb.0.mass.base"
        with pytest.raises(envs.OutOfBoundsError, match=r"x0\.5 to x4"):
            masses("x9")


class Elements(Stub):
    """Three masses, one of them zero."""

    observation_space = gym.spaces.Discrete(2)

    def __init__(self, render_mode=None):
        super().__init__()
        self.mass = {"leg": 1.0, "torso": 3.0, "base": 0.0}

    def look(self):
        return 0


class TestAfterConstruction:
    def test_writing_physics_to_the_finished_environment_is_refused(self):
        env = envs.make({"id": "CartPole-v1", "perturb": [{"length": 1.0}]})
        with pytest.raises(envs.PerturbedAfterConstructionError, match="gravity"):
            untyped(env).gravity = 3.0
        with pytest.raises(envs.PerturbedAfterConstructionError, match="gravity"):
            env.set_wrapper_attr("gravity", 3.0)

    def test_wrapping_an_environment_that_was_reset_is_refused(self):
        from rl_transfer_envs.wrappers.physics import Physics

        env = gym.make("CartPole-v1")
        env.reset(seed=0)
        with pytest.raises(envs.PerturbedAfterConstructionError, match="freshly made"):
            Physics(env, perturb=[{"length": 1.0}])

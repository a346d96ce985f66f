"""Physics parameters as observations, scaled by their bounds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rl_transfer_envs as envs
from rl_transfer_envs.check.play import quiet
from support.untyped import untyped


def make(*perturb, env_id="CartPole-v1", **kwargs):
    return envs.make({"id": env_id, "kwargs": kwargs, "perturb": list(perturb)})


def shown(env, count, seed=0):
    return env.reset(seed=seed)[0][-count:].tolist()


def scaled(value, low, high):
    return pytest.approx(2 * (value - low) / (high - low) - 1, abs=1e-6)


class TestValues:
    def test_of_the_default_a_changed_and_a_drawn_parameter(self):
        # length lies in 0.05 … 5, masspole in 0.01 … 2, gravity in 1 … 25
        perturb = [{"length": 2.0}, {"masspole": {"uniform": [0.1, 0.5]}}]
        env = make(*perturb, {"observation_context": ["gravity", "length", "masspole"]})
        for seed in range(5):
            observation, info = env.reset(seed=seed)
            assert observation in env.observation_space
            assert observation.shape == (7,)
            gravity, length, mass = observation[-3:]
            assert (gravity, length) == (scaled(9.8, 1, 25), scaled(2.0, 0.05, 5))
            assert mass == scaled(info["context"]["masspole"], 0.01, 2.0)
            for action in (0, 1, 1):
                np.testing.assert_array_equal(env.step(action)[0][-3:], observation[-3:])

    def test_the_rest_of_the_observation_stays(self):
        env, plain = make({"observation_context": ["length"]}), make()
        np.testing.assert_array_equal(env.reset(seed=1)[0][:4], plain.reset(seed=1)[0])

    def test_source_and_target_have_the_same_scale(self):
        drawn = make({"length": {"uniform": [0.3, 1.0]}}, {"observation_context": ["length"]})
        fixed = make({"length": 0.7}, {"observation_context": ["length"]})
        assert drawn.observation_space == fixed.observation_space
        lengths = [drawn.reset(seed=seed)[1]["context"]["length"] for seed in range(5)]
        for seed, length in enumerate(lengths):
            same = make({"length": length}, {"observation_context": ["length"]})
            assert shown(drawn, 1, seed) == shown(same, 1, seed)

    def test_a_value_that_reset_options_carry(self):
        env = make({"initial_spread": 0.15}, {"observation_context": ["initial_spread"]})
        assert shown(env, 1) == [scaled(0.15, 0.0, 0.2)]

    def test_constructor_arguments_are_seen(self):
        env = make({"observation_context": ["gravity"]}, env_id="Pendulum-v1", g=4.0)
        assert shown(env, 1) == [scaled(4.0, 1, 25)]

    def test_literals_of_the_equations_have_their_registered_value(self):
        env = make({"observation_context": ["gravity"]}, env_id="Acrobot-v1")
        parameter = envs.parameters("Acrobot-v1")["gravity"]
        assert shown(env, 1) == [scaled(parameter.default, *untyped(parameter.bounds))]

    def test_a_drifting_parameter_is_followed(self):
        env = make({"gravity": {"drift": [5.0, 20.0, 4]}}, {"observation_context": ["gravity"]})
        observation, info = env.reset(seed=0)
        for _ in range(5):
            assert observation[-1] == scaled(info["context"]["gravity"], 1, 25)
            observation, *_, info = env.step(1)
        assert observation[-1] == scaled(20.0, 1, 25)

    def test_the_context_has_names(self):
        names = envs.observation_names(make({"observation_context": ["length"]}))
        assert untyped(names)[-1] == "length"

    @settings(max_examples=25, deadline=None)
    @given(
        st.sampled_from(["gravity", "length", "tau", "force_mag"]),
        st.floats(0, 1),
        st.sampled_from(["low", "high"]),
    )
    def test_any_value_lies_between_minus_one_and_one_in_order(self, name, severity, towards):
        parameter = envs.parameters("CartPole-v1")[name]
        env = make({name: {"severity": severity, "towards": towards}}, {"observation_context": [name]})
        (value,) = shown(env, 1)
        assert -1 <= value <= 1
        low, high = untyped(parameter.bounds)
        default = 2 * (parameter.default - low) / (high - low) - 1
        assert (value <= default + 1e-6) if towards == "low" else (value >= default - 1e-6)


class TestElements:
    def test_one_reading_per_element_as_a_multiple(self):
        pytest.importorskip("mujoco")
        perturb = [{"body_mass": {"thigh": "x2"}}, {"link_length": "x1.2"}]
        env = make(*perturb, {"observation_context": ["body_mass"]}, env_id="Hopper-v5")
        low, high = untyped(envs.parameters("Hopper-v5")["body_mass"].factors)
        one, two = scaled(1.0, low, high), scaled(2.0, low, high)
        assert shown(env, 4) == [one, two, one, one]
        assert untyped(envs.observation_names(env))[-4:] == (
            "body_mass.torso", "body_mass.thigh", "body_mass.leg", "body_mass.foot",
        )  # fmt: skip


class TestRefusals:
    @pytest.mark.parametrize(
        ("names", "words"),
        [
            (["lenght"], "Did you mean 'length'"),
            (["attribute"], "no bounds"),
            (["length", "length"], "twice"),
            ("length", "list"),
            ([3], "name"),
        ],
    )
    def test_what_is_no_list_of_parameters(self, names, words):
        with pytest.raises(envs.EnvError, match=words) as caught:
            make({"observation_context": names})
        assert untyped(caught.value.key).startswith("perturb.0.observation_context")

    def test_an_observation_that_is_no_vector(self):
        with pytest.raises(envs.IncompatiblePerturbationError, match="PixelCatch"), quiet():
            make({"observation_context": ["ball_shade"]}, env_id="PixelCatch-v0")

    def test_it_is_rebuilt_from_json_and_proven(self):
        spec = envs.canonical(
            {"id": "CartPole-v1", "perturb": [{"length": 2.0}, {"observation_context": ["length"]}]}
        )
        assert envs.spec_of(envs.make(spec)) == spec
        _, context = envs.check_effect(spec)
        assert context.first.quantity == "observation_space"

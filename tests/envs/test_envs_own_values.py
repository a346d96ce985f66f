"""Perturbations go by the environment at hand: its spaces, arguments, wrappers, other perturbations."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import WrapperSpec

import rl_transfer_envs as envs
from rl_transfer_envs.check import conformance
from rl_transfer_envs.check.bounds import spaces_hold
from rl_transfer_envs.check.play import quiet
from rl_transfer_envs.registry.parameters import _parameters
from rl_transfer_envs.wrappers.reward import RewardScale
from support.stub import Stub
from support.untyped import untyped


class View(Stub):
    """Shows as many cells as its view is wide, whatever its space says; action 1 drives to the right."""

    track, x = 10.0, 0.0

    def __init__(self, view=3, render_mode=None):
        self.observation_space = gym.spaces.Box(-self.track, self.track, (view,), np.float32)
        super().__init__()
        self.view = view

    def reset(self, *, seed=None, options=None):
        self.x = 0.0
        return super().reset(seed=seed)

    @property
    def cells(self):
        return 2 * self.view + 1

    def look(self):
        return np.full(self.view, self.x, dtype=np.float32)

    def step(self, action):
        self.x += 0.25 if action else -0.25
        return self.look(), 0.0, abs(self.x) >= self.track, False, {}


gym.register("View-v0", entry_point=untyped(View), max_episode_steps=300)


def checked(spec, **how):
    """Check → its row in the conformance kit."""
    return {row.check: row for row in conformance.check(spec, **how)}


class TestSpaces:
    @pytest.mark.parametrize(
        ("env_id", "attribute"),
        [("View-v0", {"view": 5}), ("View-v0", {"track": 30.0}), ("CartPole-v1", {"x_threshold": 6.0})],
    )
    def test_an_attribute_that_leaves_the_declared_space_is_refused(self, env_id, attribute):
        with pytest.raises(envs.OutsideSpaceError, match="derive") as caught:
            envs.check_effect({"id": env_id, "perturb": [{"attribute": attribute}]})
        assert caught.value.key == "perturb.0.attribute"
        assert "observation space" in caught.value.message

    @pytest.mark.parametrize("path", ["cells", "x.real"])
    def test_an_attribute_that_is_computed_is_refused(self, path):
        with pytest.raises(envs.EnvError, match="can be read and not written") as caught:
            envs.make({"id": "View-v0", "perturb": [{"attribute": {path: 5.0}}]})
        assert path in str(caught.value.key)

    def test_an_attribute_that_stays_inside_is_accepted(self):
        assert envs.check_effect({"id": "View-v0", "perturb": [{"attribute": {"track": 5.0}}]})
        assert envs.check_effect({"id": "CartPole-v1", "perturb": [{"x_threshold": 6.0}]})

    def test_an_environment_that_leaves_its_own_space_is_not_the_perturbations_fault(self, monkeypatch):
        monkeypatch.setattr(View, "look", lambda self: np.full(self.view, self.x + 11, dtype=np.float32))
        assert envs.check_effect({"id": "View-v0", "perturb": [{"attribute": {"track": 5.0}}]})

    def test_the_kit_drives_to_the_bounds(self, monkeypatch):
        """Random steps of 0.25 do not get 10 away within an episode of 150; constant ones do."""
        monkeypatch.setattr(View, "look", lambda self: np.full(self.view, 1.2 * self.x, dtype=np.float32))
        space = checked("View-v0", wrappers=False)["spaces"]
        assert space.status == "fail"
        assert "constant" in space.detail
        # no perturbation is to blame for it
        space = checked({"id": "View-v0", "perturb": [{"action_delay": 1}]})["spaces"]
        assert space.status == "pass"
        assert "without perturbation too" in space.detail

    def test_a_perturbation_that_leaves_the_space_fails_in_the_kit(self):
        rows = checked({"id": "View-v0", "perturb": [{"attribute": {"track": 30.0}}]})
        assert rows["spaces"].status == rows["effect"].status == "fail"

    def test_bounds_that_gymnasium_declares_too_narrow_are_no_users_fault(self):
        pytest.importorskip("Box2D")
        with quiet():
            assert "Gymnasium declares" in spaces_hold(envs.canonical("LunarLanderContinuous-v3"))


class TestConstructorArguments:
    @pytest.mark.parametrize(
        ("severity", "towards", "expected"),
        # Pendulum with g = 4: half way to the lower bound 1 is 2.5, to the upper bound 25 is 14.5
        [(0.5, "low", 2.5), (0.5, "high", 14.5), (0.0, "high", 4.0), (1.0, "high", 25.0)],
    )
    def test_severity_begins_at_the_environments_own_value(self, severity, towards, expected):
        value = {"severity": severity, "towards": towards}
        spec = {"id": "Pendulum-v1", "kwargs": {"g": 4.0}, "perturb": [{"gravity": value}]}
        low, high = untyped(envs.parameters("Pendulum-v1")["gravity"].bounds)
        assert (low, high) == (1.0, 25.0)
        assert untyped(envs.make(spec).unwrapped).g == pytest.approx(expected)
        assert envs.canonical(spec)["perturb"] == [{"gravity": pytest.approx(expected)}]

    def test_a_multiple_is_of_the_environments_own_value(self):
        # 5 × 4 lies inside, 5 × 10 would not
        spec = {"id": "Pendulum-v1", "kwargs": {"g": 4.0}, "perturb": [{"gravity": "x5"}]}
        assert untyped(envs.make(spec).unwrapped).g == 20.0
        with pytest.raises(envs.OutOfBoundsError) as caught:
            envs.make({**spec, "perturb": [{"gravity": "x7"}]})
        assert caught.value.key == "perturb.0.gravity"

    def test_and_so_does_that_of_a_parameter_by_element(self, monkeypatch):
        parameter = envs.Parameter(
            name="masses", unit="kg", default=1.0, bounds=(0.0, 9.0), source="here", summary="of each cell",
            get=lambda env: {"left": float(env.view), "right": float(env.view)},
            set=lambda env, value: setattr(env, "written", value), keyed=True,
        )  # fmt: skip
        monkeypatch.setitem(_parameters, "View-v0", {"masses": parameter})
        value = {"severity": 0.5, "towards": "high"}
        # from 5, which the argument sets, half way to 9 is 7; from the registered 1 it is 5
        for kwargs, expected in (({"view": 5}, 7.0), ({}, 5.0)):
            spec = {"id": "View-v0", "kwargs": kwargs, "perturb": [{"masses": value}]}
            assert untyped(envs.make(spec).unwrapped).written == {"left": expected, "right": expected}

    def test_without_arguments_severity_is_as_it_was(self):
        spec = {"id": "Pendulum-v1", "perturb": [{"gravity": {"severity": 0.5, "towards": "low"}}]}
        assert envs.canonical(spec)["perturb"] == [{"gravity": 5.5}]


class Doubled(gym.RewardWrapper):
    def __init__(self, env, times=2.0):
        super().__init__(env)
        self.times = times

    def reward(self, reward):
        return self.times * float(reward)


class RecordingDoubled(Doubled, gym.utils.RecordConstructorArgs):
    def __init__(self, env, times=2.0):
        gym.utils.RecordConstructorArgs.__init__(self, times=times)
        Doubled.__init__(self, env, times)


def wrapper_spec(wrapper, kwargs):
    return WrapperSpec(wrapper.__name__, f"{wrapper.__module__}:{wrapper.__name__}", kwargs)


class TestAdditionalWrappers:
    @pytest.fixture
    def register(self):
        made: list[str] = []

        def register(*wrappers):
            made.append(f"Wrapped{len(made)}-v0")
            gym.register(made[-1], entry_point=untyped(View), additional_wrappers=wrappers)
            return made[-1]

        yield register
        for env_id in made:
            del gym.registry[env_id]

    @pytest.mark.parametrize(
        "wrapper",
        [
            wrapper_spec(RecordingDoubled, {"times": 3.0}),
            wrapper_spec(RewardScale, {"factor": 3.0}),
            wrapper_spec(gym.wrappers.ClipReward, {"min_reward": -1.0, "max_reward": 1.0}),
        ],
        ids=lambda wrapper: wrapper.name,
    )
    def test_what_the_registry_adds_is_no_part_of_the_specification(self, register, wrapper):
        env_id = register(wrapper)
        env = envs.make({"id": env_id, "perturb": [{"action_delay": 2}]})
        spec = envs.spec_of(env)
        assert spec == envs.canonical({"id": env_id, "perturb": [{"action_delay": 2}]})
        assert [type(layer) for layer in layers(envs.make(spec))] == [type(layer) for layer in layers(env)]

    def test_a_wrapper_that_is_not_the_registrys_is_still_refused(self, register):
        env_id = register(wrapper_spec(RecordingDoubled, {"times": 3.0}))
        for extra in (RecordingDoubled(envs.make(env_id), times=3.0), Doubled(envs.make("View-v0"))):
            with pytest.raises(envs.InvalidSpecError, match="none of this package's"):
                envs.spec_of(extra)


def layers(env):
    while isinstance(env, gym.Wrapper):
        yield env
        env = env.env


class TestDraws:
    def draw(self, *perturb, env_id="CartPole-v1", seed=3):
        _, info = envs.make({"id": env_id, "perturb": list(perturb)}).reset(seed=seed)
        return info["context"]

    def test_a_random_parameter_before_another_leaves_its_draw_alone(self):
        length, mass = {"length": {"uniform": [0.2, 1.0]}}, {"masspole": {"uniform": [0.1, 0.5]}}
        alone = self.draw(length)
        for both in (self.draw(length, mass), self.draw(mass, length)):
            assert both["length"] == alone["length"]
            assert both["masspole"] == self.draw(mass)["masspole"]
        assert self.draw(mass, seed=4) != self.draw(mass)

    def test_and_so_do_the_arguments_of_a_wrapper_and_its_noise(self):
        std, correlation = {"std": {"uniform": [0.5, 1.0]}}, {"correlation": {"uniform": [0.1, 0.9]}}
        both = self.draw({"observation_distractors": {"count": 1, **std, **correlation}})
        alone = self.draw({"observation_distractors": {"count": 1, **correlation}})
        key = "observation_distractors.correlation"
        assert both[key] == alone[key]
        drawn = envs.make({"id": "CartPole-v1", "perturb": [{"observation_noise": {"uniform": [0.3, 0.4]}}]})
        noisy, info = drawn.reset(seed=1)
        value = info["context"]["observation_noise.std"]
        fixed = envs.make({"id": "CartPole-v1", "perturb": [{"observation_noise": value}]})
        np.testing.assert_array_equal(noisy, fixed.reset(seed=1)[0])

    def test_two_equal_wrappers_draw_apart(self):
        scale = {"reward_scale": {"uniform": [1.0, 2.0]}}
        env = envs.make({"id": "CartPole-v1", "perturb": [scale, scale]})
        env.reset(seed=0)
        inner, outer = untyped(env).env, untyped(env)
        assert inner.value("factor") != outer.value("factor")

    def test_draws_go_on_without_a_seed(self):
        env = envs.make({"id": "CartPole-v1", "perturb": [{"length": {"uniform": [0.2, 1.0]}}]})
        drawn = [env.reset(seed=0)[1]["context"]["length"]]
        drawn += [env.reset()[1]["context"]["length"] for _ in range(3)]
        assert len(set(drawn)) == 4

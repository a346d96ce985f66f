"""The effect probe looks at whole lists, at every entry and pair left out, and at how large an effect is."""

import time
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rl_transfer_envs as envs
from rl_transfer_envs.check.measure import SMALLEST
from support.stub import Stub
from support.untyped import untyped

LONG = 4000


def check(*perturb, env_id="CartPole-v1", **more):
    return envs.check_effect({"id": env_id, "perturb": list(perturb)}, **more)


REVERSED_SENSORS = {"observation_permutation": "reverse"}


class TestWhole:
    @pytest.mark.parametrize(
        "perturb",
        [
            [REVERSED_SENSORS, REVERSED_SENSORS],
            [{"action_remap": "reverse"}, {"action_remap": "reverse"}],
            [{"reward_scale": 2.0}, {"reward_scale": 0.5}],
            [{"observation_bias": 1.0}, {"observation_bias": -1.0}],
        ],
    )
    def test_perturbations_that_undo_each_other_are_refused(self, perturb):
        with pytest.raises(envs.InertPerturbationError, match="together") as caught:
            check(*perturb, seconds=0.5)
        assert caught.value.key == "perturb"

    def test_a_pair_that_undoes_itself_is_found_in_a_longer_list(self):
        with pytest.raises(envs.InertPerturbationError, match="together") as caught:
            check({"reward_scale": 2.0}, {"length": "x3"}, {"reward_scale": 0.5}, seconds=0.5)
        assert caught.value.key == "perturb.2.reward_scale"

    @pytest.mark.parametrize("place", [0, 3])
    def test_three_that_undo_each_other_are_found_in_a_longer_list(self, place):
        perturb: list[dict[str, Any]] = [{"observation_permutation": [1, 2, 0, 3]} for _ in range(3)]
        perturb.insert(place, {"length": "x3"})
        with pytest.raises(envs.InertPerturbationError, match=r"together have no effect on .* beside length"):
            check(*perturb, seconds=1.0)

    def test_noise_on_a_sensor_that_the_next_wrapper_removes(self):
        with pytest.raises(envs.InertPerturbationError, match="undoes or masks") as caught:
            check({"observation_noise": [0.3, 0, 0, 0]}, {"observation_missing": [0]}, seconds=0.5)
        assert caught.value.key == "perturb.0.observation_noise"

    def test_a_pair_that_only_works_together(self):
        push, gate = {"push": 2.0}, {"gate": 1.0}
        for alone in (push, gate):
            with pytest.raises(envs.InertPerturbationError, match="same observations"):
                check(alone, env_id="Gated-v0")
        for report in check(push, gate, env_id="Gated-v0"):
            assert (report.first.quantity, report.first.step) == ("reward", 1)
            assert report.size == 2.0  # nothing was ever paid without it, so the scale is 1

    @pytest.mark.parametrize(
        "second", [{"observation_permutation": [4, 3, 2, 1, 0]}, {"observation_missing": [0, 4]}]
    )
    def test_what_needs_the_readings_that_another_one_adds(self, second):
        context = {"observation_context": ["length"]}
        first, other = check(context, second, {"length": "x2"})[:2]
        assert first.first.quantity == "perturb"
        assert "cannot be applied" in first.first.base
        assert other.size > 0
        with pytest.raises(envs.InertPerturbationError, match="together"):
            check(context, {"observation_missing": [4]}, {"length": "x2"}, seconds=1.0)

    @pytest.mark.full
    @given(
        st.permutations(range(4)).filter(lambda order: order != [0, 1, 2, 3]),
        st.lists(st.sampled_from([{"action_delay": 1}, {"length": "x2"}]), max_size=1),
    )
    @settings(max_examples=15, deadline=None)
    def test_any_order_and_its_inverse(self, order, more):
        back = np.argsort(order).tolist()
        perturb = [{"observation_permutation": order}, *more, {"observation_permutation": back}]
        with pytest.raises(envs.InertPerturbationError, match="together"):
            check(*perturb, seconds=0.2)


class Gated(Stub):
    """Pays for a push through an open gate."""

    push = gate = 0.0

    def paid(self):
        return self.push * self.gate


gym.register("Gated-v0", entry_point=untyped(Gated), max_episode_steps=30)
for each in ("push", "gate"):
    envs.register_parameter(
        "Gated-v0",
        envs.attribute_parameter(each, unit="1", default=0.0, bounds=(0, 5), source="here", summary=each),
    )


class Noisy(Stub):
    """Its noise comes from a generator that reset does not seed."""

    def look(self):
        noise = np.random.default_rng().normal(size=1).astype(np.float32)
        return noise if self.t else super().look()


gym.register("Noisy-v0", entry_point=untyped(Noisy), max_episode_steps=30)


class TestRepeats:
    def test_an_environment_that_differs_from_itself_is_named(self):
        with pytest.raises(envs.IrreproducibleError, match="differs from itself") as caught:
            check({"reward_scale": 2.0}, env_id="Noisy-v0")
        assert caught.value.key == "id"
        assert "the observation at step 1" in caught.value.message
        assert "np_random" in caught.value.message

    def test_a_perturbation_with_unseeded_noise_is_named(self, monkeypatch):
        wrapper = envs.perturbations()["observation_noise"]
        monkeypatch.setattr(wrapper, "rng", property(lambda self: np.random.default_rng()))
        with pytest.raises(envs.IrreproducibleError, match="differs from itself") as caught:
            check({"observation_noise": 0.1})
        assert caught.value.key == "perturb"


class TestSize:
    def test_the_size_is_reported(self):
        (small,) = check({"observation_bias": 0.001})
        (large,) = check({"observation_bias": 0.1})
        assert SMALLEST < small.size < large.size
        assert large.size == pytest.approx(100 * small.size, rel=0.01)
        assert large.whole_size == large.size

    def test_a_changed_ending_has_size_one(self):
        (report,) = check({"x_threshold": 5.0})
        assert report.size == 1.0

    @pytest.mark.parametrize(
        ("env_id", "name"),
        [("CartPole-v1", "tau"), ("Acrobot-v1", "link_mass_1"), ("MountainCar-v0", "force")],
    )
    def test_one_part_in_ten_million_is_inert_and_a_twentieth_is_not(self, env_id, name):
        with pytest.raises(envs.InertPerturbationError, match="too little") as caught:
            check({name: "x1.0000001"}, env_id=env_id, seconds=1.0)
        assert caught.value.key == f"perturb.0.{name}"
        (report,) = check({name: "x1.05"}, env_id=env_id)
        assert report.size >= SMALLEST

    def test_delayed_sensors_do_not_hide_a_real_effect(self):
        length, _ = check({"length": "x3"}, {"observation_delay": 20})
        assert length.first.step > 20 or length.first.quantity != "observation"

    def test_coarse_sensors_do_not_make_a_tiny_change_large(self):
        with pytest.raises(envs.InertPerturbationError) as caught:
            check({"length": "x1.0000001"}, {"observation_quantisation": 0.1}, seconds=0.5)
        assert caught.value.key == "perturb.0.length"


class Logistic(Stub):
    """The logistic map, whose differences grow by e^0.35 a step, and a leg that lands after 15 steps."""

    observation_space = gym.spaces.Box(-100, 100, (2,), np.float64)
    rate, spring = 3.7, 1.0

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.leg = self.np_random.uniform(0.1, 0.9), 1.0
        return np.array([self.x, self.leg]), {}

    def step(self, action):
        self.t += 1
        self.x = self.rate * self.x * (1 - self.x)
        self.leg += (1e-9 if self.t < 15 else 0.1) * self.spring
        return np.array([self.x, self.leg]), 0.0, self.t >= 60, False, {}


gym.register("Logistic-v0", entry_point=untyped(Logistic))


class TestChaos:
    def test_what_chaos_makes_of_a_tiny_change_is_no_effect(self):
        base, other = (
            envs.make({"id": "Logistic-v0", "perturb": perturb})
            for perturb in ([], [{"attribute": {"rate": "x1.00000001"}}])
        )
        for env in (base, other):
            env.reset(seed=0)
        apart = [abs(untyped(base.step(0)[0] - other.step(0)[0])[0]) for _ in range(60)]
        assert max(apart) > 0.1
        with pytest.raises(envs.InertPerturbationError, match="too little"):
            check({"attribute": {"rate": "x1.00000001"}}, env_id="Logistic-v0")
        assert check({"attribute": {"rate": "x1.01"}}, env_id="Logistic-v0")

    def test_an_effect_that_begins_late_after_one_of_rounding_is_seen_three_times(self):
        (report,) = check({"attribute": {"spring": 2.0}}, env_id="Logistic-v0")
        assert (report.first.step, report.first.quantity) == (60 + 60 + 15, "observation")


class Slow(Stub):
    """Ends every episode after 20 steps, long before its limit; counts its steps."""

    steps = 0
    level = 0.0

    def step(self, action):
        type(self).steps += 1
        self.t += 1
        return np.array([self.t], dtype=np.float32), 1.0, self.t >= 20, False, {}


gym.register("Slow-v0", entry_point=untyped(Slow), max_episode_steps=LONG)


class TestTime:
    @pytest.fixture
    def slow_clock(self, monkeypatch):
        """A clock on which every step takes ten milliseconds."""
        monkeypatch.setattr(Slow, "steps", 0)
        monkeypatch.setattr(time, "monotonic", lambda: 0.01 * Slow.steps)

    def test_a_long_limit_is_proven_by_playing_through_the_endings_first(self, monkeypatch):
        monkeypatch.setattr(Slow, "steps", 0)
        (report,) = check({"time_limit": 3000}, env_id="Slow-v0")
        assert (report.first.quantity, report.first.step) == ("truncated", 3000)
        assert Slow.steps < 4 * LONG

    def test_an_inert_perturbation_of_a_slow_environment_is_refused_in_time(self, slow_clock):
        with pytest.raises(envs.InertPerturbationError, match="10 s") as caught:
            check({"attribute": {"level": 5.0}}, env_id="Slow-v0")
        assert caught.value.key == "perturb.0.attribute"
        assert 0.01 * Slow.steps < 10.5

    def test_no_time_at_all_still_plays_the_first_steps(self):
        with pytest.raises(envs.InertPerturbationError, match="0 s"):
            check({"attribute": {"level": 5.0}}, env_id="Slow-v0", seconds=0.0)
        (report,) = check({"reward_scale": 2.0}, env_id="Slow-v0", seconds=0.0)
        assert report.first.step == 1

    def test_the_progress_is_said(self):
        said: list[str] = []
        check({"length": "x3"}, {"action_delay": 2}, say=said.append)
        assert any("length" in line for line in said)
        assert any("action_delay" in line for line in said)

    def test_an_environment_that_cannot_be_played_on_is_probed_all_the_same(self, monkeypatch):
        def step(self, action):
            if self.t >= 20:
                raise RuntimeError("the episode is over")
            self.t += 1
            return np.array([self.t], dtype=np.float32), 1.0, self.t >= 20, False, {}

        monkeypatch.setattr(Slow, "step", step)
        (report,) = check({"time_limit": 15}, env_id="Slow-v0")
        assert (report.first.quantity, report.first.step) == ("truncated", 15)
        with pytest.raises(envs.InertPerturbationError):
            check({"time_limit": 25}, env_id="Slow-v0")

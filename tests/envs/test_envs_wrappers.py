"""Interface perturbations: what each does, by hand, on a transparent environment."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import rl_transfer_envs as envs
from rl_transfer_envs import perturbations
from support.stub import Stub
from support.untyped import untyped


class Counter(Stub):
    """Shows [t, 10 t] and the last action, pays t, ends after ``length`` steps."""

    def __init__(self, continuous=False, length=6, render_mode=None):
        super().__init__()
        self.action_space = spaces.Box(-2.0, 2.0, (1,), np.float32) if continuous else spaces.Discrete(4)
        high = np.array([100.0, 1000.0, 3.0], dtype=np.float32)
        self.observation_space = spaces.Box(-high, high, dtype=np.float32)
        self.length, self.render_mode = length, render_mode

    def reset(self, *, seed=None, options=None):
        self.actions = []
        return super().reset(seed=seed)

    def look(self):
        last = float(np.ravel(self.actions[-1])[0]) if self.actions else 0.0
        return np.array([self.t, 10 * self.t, last], dtype=np.float32)

    def step(self, action):
        self.t += 1
        self.actions.append(action)
        return self.look(), float(self.t), self.t >= self.length, False, {}


gym.register("Counter-v0", entry_point=untyped(Counter), max_episode_steps=50)


def make(*perturb, **kwargs):
    return envs.make({"id": "Counter-v0", "kwargs": kwargs, "perturb": list(perturb)})


def play(env, actions, seed=0):
    """First observation, then lists of observations, rewards and what the environment executed."""
    observations, rewards = [env.reset(seed=seed)[0]], []
    for action in actions:
        observation, reward, terminated, truncated, _ = env.step(action)
        assert observation in env.observation_space
        observations.append(observation)
        rewards.append(reward)
        if terminated or truncated:
            break
    return np.array(observations), rewards, env.unwrapped.actions


class TestObservation:
    @pytest.mark.parametrize(
        ("entry", "seen", "high"),
        [
            ({"observation_bias": [1.0, 0.0, -2.0]}, [[1, 0, -2], [2, 10, 1]], [101, 1000, 1]),
            ({"observation_scale": 2.0}, [[0, 0, 0], [2, 20, 6]], [200, 2000, 6]),
            # steps of 4: 10 is 2.5 of them, which rounds to the even 2
            ({"observation_quantisation": [0.0, 4.0, 0.0]}, [[0, 0, 0], [1, 8, 3]], None),
            ({"observation_dropout": {"probability": 1.0, "fill": 7.0}}, [[7] * 3, [7] * 3], [100, 1000, 7]),
            ({"observation_dropout": [0.0, 1.0, 0.0]}, [[0, 0, 0], [1, 0, 3]], None),
            ({"observation_permutation": [2, 0, 1]}, [[0, 0, 0], [3, 1, 10]], [3, 100, 1000]),
            ({"observation_missing": [1]}, [[0, 0], [1, 3]], [100, 3]),
            ({"observation_missing": {"dimensions": [1], "mode": "zero"}}, [[0, 0, 0], [1, 0, 3]], None),
        ],
        ids=str,
    )
    def test_by_hand(self, entry, seen, high):
        """What is seen at first and after action 3, plainly [1, 10, 3], and the upper bounds."""
        env = make(entry)
        np.testing.assert_array_equal(play(env, [3])[0], seen)
        if high:
            np.testing.assert_array_equal(env.observation_space.high, high)

    def test_bounds_follow_the_bias(self):
        space = make({"observation_bias": [1.0, 0.0, -2.0]}).observation_space
        np.testing.assert_array_equal(space.low, [-99, -1000, -5])

    def test_dropout_of_the_whole_observation(self):
        env = make({"observation_dropout": {"probability": 0.5, "fill": -5.0, "whole": True}}, length=40)
        observations = play(env, [1] * 40)[0]
        lost = observations == -5
        assert (lost.all(axis=1) == lost.any(axis=1)).all()
        assert 0 < lost.all(axis=1).sum() < 41

    def test_dropout_rate(self):
        env = make({"observation_dropout": {"probability": 0.3, "fill": -5.0}}, length=49)
        lost = np.concatenate([play(env, [1] * 49, seed=seed)[0] == -5 for seed in range(40)])
        # 40 × 50 × 3 = 6000 draws: standard error √(0.21/6000) ≈ 0.006
        assert lost.mean() == pytest.approx(0.3, abs=0.03)

    def test_delay_repeats_the_first_observation(self):
        observations = play(make({"observation_delay": 2}), [1] * 4)[0]
        np.testing.assert_array_equal(observations[:, 0], [0, 0, 0, 1, 2])

    def test_rotation_mixes_neighbours_and_leaves_an_odd_last_dimension(self):
        env = make({"observation_rotation": np.pi / 6})
        plain = play(make(), [3])[0][1]
        seen = play(env, [3])[0][1]
        c, s = np.sqrt(3) / 2, 0.5
        wanted = [c * plain[0] - s * plain[1], s * plain[0] + c * plain[1], plain[2]]
        np.testing.assert_allclose(seen, wanted, rtol=1e-6)
        base = make().observation_space
        assert env.observation_space.high[0] == pytest.approx(c * base.high[0] - s * base.low[1])
        assert env.observation_space.high[2] == base.high[2]

    def test_distractors_are_appended_and_correlated_as_they_say(self):
        spec = {"observation_distractors": {"count": 50, "std": 2.0, "correlation": 0.9}}
        env = make(spec, length=49)
        noise = play(env, [1] * 49)[0][:, 3:]
        assert noise.shape == (50, 50)
        # 50 independent processes at one moment: standard error of the std 1/√100 = 10 %
        assert noise[25].std() == pytest.approx(2.0, rel=0.35)
        assert np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1] == pytest.approx(0.9, abs=0.06)

    def test_base_observation_is_the_one_before_all_wrappers(self):
        env = make({"observation_scale": 2.0}, {"observation_bias": 1.0}, {"observation_delay": 3})
        _, info = env.reset(seed=0)
        np.testing.assert_array_equal(info["base_observation"], [0, 0, 0])
        *_, info = env.step(2)
        np.testing.assert_array_equal(info["base_observation"], [1, 10, 2])
        first = info["base_observation"]
        *_, info = env.step(2)
        assert first is not info["base_observation"]
        np.testing.assert_array_equal(first, [1, 10, 2])

    def test_drawn_bias_is_in_the_context_and_inside_the_space(self):
        env = make({"observation_bias": {"uniform": [-3.0, 5.0]}})
        biases = []
        for seed in range(10):
            observation, info = env.reset(seed=seed)
            biases.append(info["context"]["observation_bias.bias"])
            np.testing.assert_allclose(observation, biases[-1], rtol=1e-6)
        assert len(set(biases)) == 10
        assert (env.observation_space.low[0], env.observation_space.high[0]) == (-103.0, 105.0)

    @given(
        arrays.arrays(np.float32, 3, elements=st.floats(-3, 3, width=32)),
        st.sampled_from(
            [
                {"observation_quantisation": 0.7},
                {"observation_quantisation": {"choice": [0.3, 2.0]}},
                {"observation_scale": [0.1, 3.3, 9.7]},
                {"observation_bias": [-9.9, 0.1, 3.0]},
                {"observation_noise": {"std": 0.3, "distribution": "uniform"}},
                {"observation_dropout": {"probability": 0.5, "fill": 55.5}},
                {"observation_scale": {"uniform": [0.5, 2.0]}},
            ]
        ),
    )
    def test_every_observation_stays_in_the_rebuilt_space(self, share, entry):
        env = make(entry)
        env.reset(seed=1)
        bounds = env.unwrapped.observation_space.high
        extreme = np.clip(share, -1, 1) * bounds
        for observation in (extreme, bounds, -bounds):
            assert env.observation(observation.astype(np.float32)) in env.observation_space


class TestAction:
    def test_remap(self):
        assert play(make({"action_remap": [1, 2, 3, 0]}), [0, 1, 2, 3])[2] == [1, 2, 3, 0]
        assert play(make({"action_remap": "reverse"}), [0, 1, 2, 3])[2] == [3, 2, 1, 0]

    def test_delay(self):
        assert play(make({"action_delay": {"steps": 2, "fill": 3}}), [0, 1, 2, 1])[2] == [3, 3, 0, 1]

    def test_delay_of_continuous_actions_starts_at_zero(self):
        actions = [np.array([v], dtype=np.float32) for v in (1.0, 1.5, -1.0)]
        executed = play(make({"action_delay": 1}, continuous=True), actions)[2]
        np.testing.assert_array_equal(np.ravel(executed), [0.0, 1.0, 1.5])

    def test_sticky_actions_repeat_with_the_probability(self):
        env = make({"sticky_actions": 0.25}, length=49)
        repeated = []
        for seed in range(30):
            chosen = [t % 4 for t in range(49)]  # never the same twice in a row
            executed = play(env, chosen, seed=seed)[2]
            assert executed[0] == chosen[0]
            repeated += [a != b for a, b in zip(executed[1:], chosen[1:], strict=True)]
        # An executed action equals the chosen one also when it stuck for a multiple of 4 steps
        # (probability ≈ 0.25⁴ ≈ 0.004): 0.25 ± √(0.19/1440) ≈ 0.011
        assert np.mean(repeated) == pytest.approx(0.25, abs=0.05)

    def test_random_action(self):
        env = make({"random_action": 1.0}, length=49)
        executed = np.array([play(env, [0] * 49, seed=seed)[2] for seed in range(20)])
        # 980 draws from 4 actions: 0.25 ± 0.014
        np.testing.assert_allclose(np.bincount(executed.ravel()) / executed.size, 0.25, atol=0.06)

    def test_noise_is_relative_to_half_the_range_and_clipped(self):
        env = make({"action_noise": 0.1}, continuous=True, length=49)
        zero = np.zeros(1, dtype=np.float32)
        executed = np.array([play(env, [zero] * 49, seed=seed)[2] for seed in range(10)])
        # half the range of [−2, 2] is 2, so the standard deviation is 0.2 (490 samples: 3 %)
        assert executed.std() == pytest.approx(0.2, rel=0.12)
        assert executed.dtype == np.float32
        wild = make({"action_noise": 2.0}, continuous=True, length=49)
        assert np.abs(play(wild, [zero] * 49)[2]).max() == 2.0

    def test_scale_inversion_and_dead_zone(self):
        actions = [np.array([v], dtype=np.float32) for v in (-2.0, -0.5, 0.5, 1.5)]

        def executed(entry):
            return np.ravel(play(make(entry, continuous=True), actions)[2]).tolist()

        assert executed({"action_scale": 2.0}) == [-2.0, -1.0, 1.0, 2.0]
        assert executed({"action_scale": 0.5}) == [-1.0, -0.25, 0.25, 0.75]
        assert executed({"action_inversion": "all"}) == [2.0, 0.5, -0.5, -1.5]
        # a third of the largest action 2 is 0.67
        assert executed({"action_dead_zone": 0.333}) == [-2.0, 0.0, 0.0, 1.5]

    def test_extra_actions(self):
        env = make({"extra_actions": {"count": 2, "noop": 1}})
        assert env.action_space == spaces.Discrete(6)
        assert play(env, [3, 4, 5, 0])[2] == [3, 1, 1, 0]
        wide = make({"extra_actions": 2}, continuous=True)
        assert wide.action_space.shape == (3,)
        executed = play(wide, [np.array([0.5, 1.0, -1.0], dtype=np.float32)])[2]
        np.testing.assert_array_equal(executed[0], [0.5])

    def test_order_of_the_list_is_the_order_of_application(self):
        # scale then invert on an asymmetric dead zone: the wrapper listed last is the outermost,
        # so it sees the agent's action first
        first = make({"action_dead_zone": 0.5}, {"action_scale": 2.0}, continuous=True)
        second = make({"action_scale": 2.0}, {"action_dead_zone": 0.5}, continuous=True)
        action = [np.array([0.8], dtype=np.float32)]
        assert np.ravel(play(first, action)[2]).tolist() == pytest.approx([1.6])
        assert np.ravel(play(second, action)[2]).tolist() == [0.0]


class TestReward:
    """The environment pays 1, 2, 3, 4, 5, 6 and ends."""

    def rewards(self, *entries, seed=0):
        return play(make(*entries), [0] * 6, seed)[1]

    @pytest.mark.parametrize(
        ("entries", "paid"),
        [
            ([{"reward_scale": 0.5}], [0.5, 1.0, 1.5, 2.0, 2.5, 3.0]),
            # a delay pays the rest at the end, at truncation too
            ([{"reward_delay": 2}], [0, 0, 1, 2, 3, 4 + 5 + 6]),
            ([{"reward_delay": 50}], [0, 0, 0, 0, 0, 21]),
            ([{"reward_delay": 2}, {"time_limit": 4}], [0, 0, 1, 2 + 3 + 4]),
            ([{"reward_sparsification": 4}], [0, 0, 0, 10, 0, 11]),
            ([{"reward_sparsification": {"only_at_end": True}}], [0, 0, 0, 0, 0, 21]),
        ],
        ids=str,
    )
    def test_by_hand(self, entries, paid):
        assert self.rewards(*entries) == paid

    def test_power_keeps_the_sign(self):
        wrapper = make({"reward_power": 0.5})
        wrapper.reset(seed=0)
        assert wrapper.reward(-4.0, None, False, False) == -2.0
        assert wrapper.reward(0.0, None, False, False) == 0.0
        assert wrapper.reward(9.0, None, False, False) == 3.0

    def test_noise(self):
        noisy = [self.rewards({"reward_noise": 0.5}, seed=seed) for seed in range(300)]
        noise = np.subtract(noisy, [1, 2, 3, 4, 5, 6])
        # 1,800 draws: standard error of the mean 0.5/√1800 = 0.012, of the deviation 0.5/√3600 = 0.008
        assert noise.mean() == pytest.approx(0, abs=0.05)
        assert noise.std() == pytest.approx(0.5, abs=0.04)
        assert len(np.unique(noise)) == 1800
        # the seed of the reset is all that it depends on, and it leaves the rest alone
        assert self.rewards({"reward_noise": 0.5}) == noisy[0]
        observations = play(make({"reward_noise": 0.5}), [1] * 6)[0]
        np.testing.assert_array_equal(observations, play(make(), [1] * 6)[0])

    def test_shaping_is_the_difference_of_potentials_and_telescopes(self):
        # Φ = −2·|t − 6|: Φ(0) = −12, Φ(1) = −10, …, terminal 0; γ = 0.5
        entry = {"reward_shaping": {"weight": 2.0, "gamma": 0.5, "goal": 6.0, "dimensions": [0]}}
        rewards = self.rewards(entry)
        assert rewards[0] == 1 + 0.5 * -10 + 12
        assert rewards[-1] == 6 + 0.5 * 0 + 2
        # Σ γᵏ F = −Φ(first observation), whatever the policy does
        shaping = [reward - base for reward, base in zip(rewards, range(1, 7), strict=True)]
        assert sum(0.5**k * f for k, f in enumerate(shaping)) == pytest.approx(12)

    def test_shaping_owes_nothing_at_a_terminal_state(self):
        # Φ = −2·|t − 3|: the last observation, t = 6, has −6 by the formula, but is terminal: 0
        entry = {"reward_shaping": {"weight": 2.0, "gamma": 0.5, "goal": 3.0, "dimensions": [0]}}
        assert self.rewards(entry)[-1] == 6 + 0.5 * 0 + 4

    def test_shaping_at_truncation_keeps_the_potential(self):
        # truncated at t = 2: Φ(2) = −8 stays, for the episode would have gone on
        entry = {"reward_shaping": {"weight": 2.0, "gamma": 1.0, "goal": 6.0, "dimensions": [0]}}
        assert self.rewards(entry, {"time_limit": 2})[-1] == 2 - 8 + 10


class TestTimeLimit:
    def lengths(self, *entries, seeds=1, **kwargs):
        env = make(*entries, **kwargs)
        return [len(play(env, [0] * 500, seed=seed)[1]) for seed in range(seeds)]

    def test_shorter_longer_relative(self):
        assert self.lengths({"time_limit": 3}) == [3]
        assert self.lengths({"time_limit": 80}, length=500) == [80]
        # registered: 50
        assert self.lengths({"time_limit": "x2"}, length=500) == [100]

    def test_drawn(self):
        lengths = self.lengths({"time_limit": {"choice": [20, 30]}}, seeds=12, length=500)
        assert set(lengths) == {20, 30}

    def test_relative_limit_survives_every_way_of_rebuilding(self):
        env = make({"time_limit": "x2"}, length=500)
        for again in (envs.make(envs.spec_of(env)), gym.make(env.spec)):
            assert len(play(again, [0] * 500)[1]) == 100

    def test_gymnasiums_own_argument_is_recorded(self):
        env = gym.make("Counter-v0", max_episode_steps=20)
        assert envs.spec_of(env)["perturb"] == [{"time_limit": {"steps": 20}}]

    def test_environment_without_a_limit_gets_one(self):
        gym.register("Endless-v0", entry_point=untyped(Counter), kwargs={"length": 10_000})
        env = envs.make({"id": "Endless-v0", "perturb": [{"time_limit": 7}]})
        assert len(play(env, [0] * 20)[1]) == 7
        del gym.registry["Endless-v0"]

    def test_a_longer_limit_is_proven_by_a_policy_that_lasts(self):
        (report,) = envs.check_effect({"id": "CartPole-v1", "perturb": [{"time_limit": 700}]})
        assert (report.first.policy, report.first.step) == ("balance", 500)
        assert report.first.quantity == "truncated"

    def test_a_limit_no_policy_reaches_is_proven_by_playing_on(self):
        (report,) = envs.check_effect({"id": "Counter-v0", "perturb": [{"time_limit": 40}]})
        assert (report.first.quantity, report.first.step) == ("truncated", 40)


@pytest.mark.parametrize("name", [n for n in perturbations() if n != "time_limit"])
def test_all_arguments_at_default_change_nothing(name):
    for continuous in (False, True):
        try:
            env = make({name: {}}, continuous=continuous)
        except envs.IncompatiblePerturbationError:
            continue
        base = make(continuous=continuous)
        assert env.observation_space == base.observation_space
        assert env.action_space == base.action_space
        base.action_space.seed(0)
        actions = [base.action_space.sample() for _ in range(6)]
        for ours, theirs in zip(play(env, actions), play(base, actions), strict=True):
            np.testing.assert_array_equal(ours, theirs)


REFUSED = [
    ({"observation_permutation": [0, 1]}, "observation_permutation.order", "0 … 2"),
    ({"observation_missing": [3]}, "observation_missing.dimensions", "no dimension 3"),
    ({"observation_missing": [0, 1, 2]}, "observation_missing.dimensions", "no dimension would be left"),
    ({"observation_bias": [1.0]}, "observation_bias.bias", "3 dimensions"),
    ({"observation_dropout": {"probability": [0.1] * 3, "whole": True}}, "observation_dropout.whole", "one"),
    ({"action_noise": 0.1}, "action_noise", "Discrete(4)"),
    ({"action_delay": {"steps": 1, "fill": 4}}, "action_delay.fill", "no action 4"),
    ({"extra_actions": {"count": 1, "noop": 9}}, "extra_actions.noop", "no action 9"),
    ({"reward_shaping": {"weight": 1.0, "dimensions": [5]}}, "reward_shaping.dimensions", "no dimension 5"),
    ({"reward_shaping": {"weight": 1.0, "goal": [1.0]}}, "reward_shaping.goal", "1 of 3"),
]


@pytest.mark.parametrize(("entry", "key", "words"), REFUSED)
def test_what_does_not_fit_is_refused_with_the_reason(entry, key, words):
    with pytest.raises(envs.IncompatiblePerturbationError) as caught:
        make(entry)
    assert caught.value.key == f"perturb.0.{key}"
    assert words in caught.value.message
    assert "Counter-v0" in caught.value.message


class Picture(Stub):
    """Shows a grey picture of levels 0, 100 and 255."""

    observation_space = spaces.Box(0, 255, (20, 30, 1), np.uint8)

    def look(self):
        return np.repeat(np.array([0, 100, 255], dtype=np.uint8), 200).reshape(20, 30, 1)


class TestImages:
    """Whole numbers are rounded and clipped to the space; sizes are shares of the range 255."""

    @pytest.fixture(autouse=True)
    def registered(self):
        gym.register("Picture-v0", entry_point=untyped(Picture))
        yield
        del gym.registry["Picture-v0"]

    def seen(self, entry):
        env = envs.make({"id": "Picture-v0", "perturb": [entry]})
        assert env.observation_space == spaces.Box(0, 255, (20, 30, 1), np.uint8)
        observation, info = env.reset(seed=0)
        assert observation in env.observation_space
        assert info["base_observation"].dtype == np.uint8
        return observation.ravel()[[0, 300, 599]].tolist(), observation

    def test_bias_scale_quantisation(self):
        # 0.2 · 255 = 51; 100 · 1.5 = 150; steps of 0.5 · 255 = 127.5: 100 → 127.5, rounded to even
        assert self.seen({"observation_bias": 0.2})[0] == [51, 151, 255]
        assert self.seen({"observation_scale": 1.5})[0] == [0, 150, 255]
        assert self.seen({"observation_quantisation": 0.5})[0] == [0, 128, 255]

    def test_noise_and_dropout(self):
        noisy = self.seen({"observation_noise": 0.04})[1].astype(float)
        # 200 pixels of level 100: 0.04 · 255 = 10.2, standard error 5 %
        assert noisy[7:13].std() == pytest.approx(10.2, rel=0.2)
        lost = self.seen({"observation_dropout": {"probability": 0.5, "fill": 7}})[1]
        assert (lost == 7).mean() == pytest.approx(0.5, abs=0.08)
        with pytest.raises(envs.IncompatiblePerturbationError, match="whole numbers"):
            self.seen({"observation_dropout": {"probability": 0.5, "fill": -1}})

    def test_a_vector_is_needed_to_reorder_dimensions(self):
        with pytest.raises(envs.IncompatiblePerturbationError):
            self.seen({"observation_permutation": "reverse"})


def test_discrete_observations_carry_a_delay_and_nothing_else():
    gym.register("Tiny-v0", entry_point=untyped(Tiny))
    env = envs.make({"id": "Tiny-v0", "perturb": [{"observation_delay": 1}]})
    env.reset(seed=0)
    assert [env.step(0)[0] for _ in range(3)] == [0, 1, 2]
    for name in ("observation_noise", "observation_permutation", "reward_shaping"):
        with pytest.raises(envs.IncompatiblePerturbationError, match="Discrete"):
            envs.make({"id": "Tiny-v0", "perturb": [{name: {}}]})
    del gym.registry["Tiny-v0"]


class Tiny(Stub):
    """Counts its steps in a discrete observation."""

    observation_space = spaces.Discrete(10)

    def look(self):
        return self.t

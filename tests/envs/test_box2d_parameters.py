"""Box2D: every parameter moves its environment, every default leaves every bit alone."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import rl_transfer_envs as envs
from rl_transfer_envs.check.effect import STEPS
from support.cases import EVERY, drawn
from support.physics import (
    OWN,
    assert_bit_equal,
    at_default,
    base_of,
    both_ends,
    make,
    moves,
    play,
    random_actions,
    some_ends,
)

LANDERS = ["LunarLander-v3", "LunarLanderContinuous-v3"]
WALKERS = ["BipedalWalker-v3", "BipedalWalkerHardcore-v3"]
DIFFERENT = LANDERS + (WALKERS if EVERY else WALKERS[:1])
"""The walker among obstacles has the equations of the other one."""


def fixtures(env):
    """(density, friction, restitution) of every fixture of every moving body, then its mass."""
    env.reset(seed=0)
    world = env.unwrapped
    bodies = [world.lander, *world.legs] if hasattr(world, "lander") else [world.hull, *world.legs]
    return [(f.density, f.friction, f.restitution, body.mass) for body in bodies for f in body.fixtures]


class TestDefaults:
    @pytest.mark.parametrize("env_id", DIFFERENT)
    def test_all_together_are_bit_equal_to_the_base(self, env_id):
        env = make(env_id, *at_default(env_id))
        assert type(env.unwrapped).__module__ == "rl_transfer_envs.physics.box2d.equations"
        assert env.observation_space == base_of(env_id).observation_space
        # the lander's second probe lands and so holds contacts; the last ones are constant actions
        assert_bit_equal(base_of(env_id), env, env_id, steps=(1000, 1000, 200, 200, 200, 200))

    @pytest.mark.parametrize("env_id", LANDERS[:1] + WALKERS[:1])
    def test_each_alone_is_bit_equal_to_the_base(self, env_id):
        for entry in drawn(at_default(env_id), 6, env_id):
            assert_bit_equal(base_of(env_id), make(env_id, entry), env_id, steps=(100, 100))

    def test_constructor_arguments_stay(self):
        entries = at_default("LunarLander-v3", leave_out={"wind_power", "turbulence_power"})
        for kwargs in ({"continuous": True}, {"enable_wind": True, "wind_power": 9.0}):
            base = gym.make("LunarLander-v3", **kwargs)
            if "enable_wind" in kwargs:
                entries.append({"wind_power": "x1.0"})
                assert make("LunarLander-v3", {"wind_power": 9.0}, **kwargs).unwrapped.turbulence_power == 1.5
            assert_bit_equal(
                base, make("LunarLander-v3", *entries, **kwargs), "LunarLander-v3", steps=(300, 300)
            )

    @pytest.mark.parametrize("env_id", LANDERS + WALKERS)
    def test_registered_defaults_are_those_of_the_environment(self, env_id):
        env = make(env_id, *at_default(env_id)).unwrapped
        fresh = type(env)()  # nothing written
        for name, parameter in OWN[env_id].items():
            assert parameter.get(fresh) == parameter.default, name


def shows_late(env_id, entry):
    """Roughness is shared with BipedalWalker; among the obstacles it takes 700 steps to show."""
    return env_id.startswith("BipedalWalkerHardcore") and "roughness" in entry


@pytest.mark.parametrize("env_id", DIFFERENT)
def test_every_parameter_moves_its_environment_at_both_ends(env_id):
    entries = [entry for entry in both_ends(env_id) if not shows_late(env_id, entry)]
    assert [entry for entry in entries if not moves(env_id, entry, STEPS)] == []


@pytest.mark.usefixtures("few_repetitions")
@pytest.mark.parametrize("env_id", DIFFERENT)
def test_the_probe_proves_the_effect_of_parameters_at_both_ends(env_id):
    for entry in some_ends(env_id):
        if not shows_late(env_id, entry):
            (report,) = envs.check_effect({"id": env_id, "perturb": [entry]})
            assert report.first.step <= STEPS, report  # the springs of the legs: at the third landing


@pytest.mark.parametrize("env_id", DIFFERENT)
def test_observations_stay_inside_their_space_at_both_ends(env_id):
    for entry in both_ends(env_id):
        env = make(env_id, entry)
        env.action_space.seed(1)
        observation, _ = env.reset(seed=1)
        for _ in range(120):
            assert observation in env.observation_space, entry
            observation, reward, terminated, _, _ = env.step(env.action_space.sample())
            assert np.isfinite(reward), entry
            if terminated:
                observation, _ = env.reset()


@pytest.mark.parametrize(
    ("env_id", "perturb"),
    [
        ("LunarLander-v3", [{"gravity": 3.0}, {"wind_power": 10.0}, {"timestep": 0.04}]),
        ("LunarLanderContinuous-v3", [{"main_engine_power": "x1.5"}, {"lander_density": 4.0}]),
        ("BipedalWalker-v3", [{"gravity": 5.0}, {"leg_length": 1.4}, {"motor_torque": "x0.5"}]),
        ("BipedalWalkerHardcore-v3", [{"friction": 0.5}, {"wind": -5.0}]),
    ],
)
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_checkers_of_gymnasium_and_stable_baselines3_pass(env_id, perturb):
    env = make(env_id, *perturb)
    check_env(env, skip_render_check=True, skip_close_check=True)
    check_env_sb3(env, skip_render_check=True)


class TestLander:
    def test_free_fall(self):
        # Legs and lander push each other, but with every engine off the momentum of all three
        # changes by −M g t alone: −(4.816667 + 2 · 0.071111) kg · 6 m/s² · 0.02 s
        env = make("LunarLander-v3", {"gravity": 6.0})
        for seed in (0, 1):  # Gymnasium builds a new world at every reset
            env.reset(seed=seed)
            before, _ = self.momentum(env)
            env.step(0)
            gained = self.momentum(env)[0][1] - before[1]
            assert gained == pytest.approx(-4.958889 * 6.0 * 0.02, rel=1e-4)

    def test_gravity_beyond_the_constructors_assertion(self):
        assert make("LunarLander-v3", {"gravity": 15.0}).reset(seed=0)[0].shape == (8,)

    @staticmethod
    def momentum(env):
        bodies = [env.unwrapped.lander, *env.unwrapped.legs]
        return sum(body.mass * np.array(body.linearVelocity) for body in bodies), sum(
            body.mass for body in bodies
        )

    def impulse(self, action, *perturb):
        """What one step of an engine adds to the momentum of lander and legs, gravity's part taken off."""
        env = make("LunarLander-v3", {"gravity": 1.0}, *perturb)
        env.reset(seed=4)
        before, mass = self.momentum(env)
        env.step(action)
        return self.momentum(env)[0] - before - mass * np.array([0.0, -1.0]) * env.unwrapped.timestep

    def test_engines_push_in_proportion_to_their_power(self):
        # the scatter of the engine is the same, for it is drawn from the same seed
        # (every environment here has the subclass, through initial_force at its default)
        start = {"initial_force": 1000.0}
        for action, name, power in ((2, "main_engine_power", 13.0), (1, "side_engine_power", 0.6)):
            push = self.impulse(action, start)
            assert np.linalg.norm(push) > 0.05
            np.testing.assert_allclose(
                self.impulse(action, start, {name: 1.5 * power}), 1.5 * push, rtol=1e-3, atol=1e-5
            )

    def test_thrust_stays_when_the_time_step_changes(self):
        # thrust = impulse / step. By then the reset's own step, twice as long, has turned the lander
        # a little further; that tilts the push and leaves its size.
        short, long = self.impulse(2, {"timestep": 0.02}), self.impulse(2, {"timestep": 0.04})
        assert np.linalg.norm(long) == pytest.approx(2 * np.linalg.norm(short), rel=1e-3)

    def test_masses_follow_densities(self):
        # area of the hull 4.816667 / 5 = 0.963333 m², of a leg 4 · (2/30) · (8/30) = 0.071111 m²
        env = make("LunarLander-v3", {"lander_density": 8.0}, {"leg_density": 3.0})
        masses = [mass for *_, mass in fixtures(env)]
        np.testing.assert_allclose(masses, [8 * 0.963333, 3 * 0.071111, 3 * 0.071111], rtol=1e-5)

    def test_friction_of_both_sides_of_a_contact(self):
        env = make("LunarLander-v3", {"friction": 0.4}, {"restitution": 0.5})
        # × 4: hull 0.1 → 0.4, legs 0.2 → 0.8, moon 0.1 → 0.4
        assert [round(friction, 6) for _, friction, _, _ in fixtures(env)] == [0.4, 0.8, 0.8]
        assert {round(f.friction, 6) for f in env.unwrapped.moon.fixtures} == {0.4, 0.8}
        assert {restitution for _, _, restitution, _ in fixtures(env)} == {0.5}
        for _ in range(200):
            if env.step(0)[2]:
                break
        found = [round(c.friction, 6) for c in env.unwrapped.world.contacts if c.touching]
        # Box2D mixes √(0.4 · 0.8) for a leg, √(0.4 · 0.4) for the hull
        assert found
        assert set(found) <= {round(0.32**0.5, 6), 0.4}

    @pytest.mark.parametrize(
        ("powers", "blows", "wind", "turbulence"),
        [
            ({"wind_power": 0.0}, False, None, None),
            # the constructor's powers of a wind that was off do not come along
            ({"wind_power": 12.0}, True, 12.0, 0.0),
            ({"turbulence_power": 1.0}, True, 0.0, 1.0),
            ({"turbulence_power": 1.0, "wind_power": 12.0}, True, 12.0, 1.0),
        ],
    )
    def test_wind_is_on_exactly_if_it_blows(self, powers, blows, wind, turbulence):
        env = make("LunarLander-v3", *({name: power} for name, power in powers.items())).unwrapped
        assert env.enable_wind is blows
        assert not blows or (env.wind_power, env.turbulence_power) == (wind, turbulence)

    def test_bounds_open_where_the_lander_can_climb_and_close_again(self):
        env = make("LunarLander-v3", {"gravity": {"uniform": [2.0, 12.0]}})
        assert env.observation_space.high[1] == np.inf
        assert make("LunarLander-v3", {"gravity": 12.0}).observation_space.high[1] == 2.5
        assert make("LunarLander-v3", {"main_engine_power": 20.0}).observation_space.high[1] == np.inf


class TestWalker:
    def test_motor_torque_leaves_the_charge_for_torque(self):
        # without moving parts of the reward: from equal states, the same action is charged the same,
        # 0.00035 · 80 · Σ|a| = 0.028 · 4
        rewards = {}
        for torque in (20.0, 160.0):
            env = make("BipedalWalker-v3", {"motor_torque": torque})
            env.reset(seed=0)
            env.unwrapped.prev_shaping = None  # no progress is rewarded in the next step
            rewards[torque] = env.step(np.ones(4, np.float32))[1]
        assert rewards == {20.0: pytest.approx(-0.112), 160.0: pytest.approx(-0.112)}

    def test_motors_get_what_is_asked(self):
        env = make("BipedalWalker-v3", {"motor_torque": 40.0}, {"hip_speed": 2.0}, {"knee_speed": 9.0})
        env.reset(seed=0)
        env.step(np.array([1.0, -1.0, 0.5, 0.25], np.float32))
        joints = env.unwrapped.joints
        np.testing.assert_allclose([j.GetMaxMotorTorque() for j in joints], [40, 40, 20, 10], rtol=1e-6)
        np.testing.assert_allclose([j.motorSpeed for j in joints], [2, -9, 2, 9], rtol=1e-6)

    def test_legs_of_another_length_hang_together(self):
        env = make("BipedalWalker-v3", {"leg_length": 1.6}, {"leg_density": 2.0}, {"hull_density": 10.0})
        masses = [mass for *_, mass in fixtures(env)]
        # widths 8/30 and 0.8 · 8/30 m; the hull weighs 5.422222 kg at 5 kg/m²
        thigh, shank = 2 * 1.6 * 8 / 30, 2 * 1.6 * 0.8 * 8 / 30
        np.testing.assert_allclose(masses, [2 * 5.422222, thigh, shank, thigh, shank], rtol=1e-5)
        for _ in range(3):  # Gymnasium starts with straight knees, beyond their limit
            env.step(np.zeros(4, np.float32))
        hip, knee = env.unwrapped.joints[:2]
        np.testing.assert_allclose(hip.anchorA, hip.anchorB, atol=0.01)
        np.testing.assert_allclose(knee.anchorA, knee.anchorB, atol=0.01)
        distance = np.linalg.norm(np.array(knee.anchorA) - np.array(hip.anchorB))
        assert distance == pytest.approx(1.6, abs=0.01)

    def test_friction_of_both_sides_of_a_contact(self):
        env = make("BipedalWalker-v3", {"friction": 1.25})
        # half of everything: ground 1.25, hull 0.05, legs 0.1
        assert [round(friction, 6) for _, friction, _, _ in fixtures(env)] == [0.05, 0.1, 0.1, 0.1, 0.1]
        ground = {f.friction for body in env.unwrapped.terrain for f in body.fixtures}
        assert ground == {1.25}
        found = set()
        for _ in range(60):
            env.step(np.zeros(4, np.float32))
            found |= {round(c.friction, 5) for c in env.unwrapped.world.contacts if c.touching}
        assert round((1.25 * 0.1) ** 0.5, 5) in found

    def test_a_smooth_ground_is_flat_and_a_rough_one_is_rougher(self):
        def heights(roughness):
            env = make("BipedalWalker-v3", {"roughness": roughness})
            env.reset(seed=0)
            return np.array(env.unwrapped.terrain_y)

        assert np.ptp(heights(0.0)) == 0.0
        flat = heights(1.0)
        assert np.abs(np.diff(heights(3.0))).mean() > 2 * np.abs(np.diff(flat)).mean()

    def test_gravity_stays_over_resets(self):
        env = make("BipedalWalker-v3", {"gravity": 3.0})
        for seed in range(2):
            env.reset(seed=seed)
            assert env.unwrapped.world.gravity[1] == -3.0

    def test_frames_are_played_at_the_speed_of_the_simulation(self):
        assert make("BipedalWalker-v3", {"timestep": 0.04}).metadata["render_fps"] == 25
        assert make("LunarLander-v3", {"timestep": 0.01}).metadata["render_fps"] == 100


class TestInstances:
    PERTURBED = pytest.mark.parametrize(
        ("env_id", "perturb"),
        [
            ("LunarLander-v3", [{"main_engine_power": 20.0}, {"friction": 0.5}, {"initial_force": 0.0}]),
            ("BipedalWalker-v3", [{"motor_torque": 40.0}, {"leg_length": 1.4}, {"roughness": 2.0}]),
        ],
    )

    @PERTURBED
    def test_nothing_leaks_into_another_instance(self, env_id, perturb):
        perturbed = make(env_id, *perturb)
        actions = random_actions(perturbed, 60)
        played = play(perturbed, actions)
        before = play(gym.make(env_id), actions)
        perturbed.reset(seed=0)
        perturbed.step(actions[0])
        np.testing.assert_array_equal(play(gym.make(env_id), actions), before)
        np.testing.assert_array_equal(play(make(env_id, {"gravity": 10.0}), actions), before)
        assert played.shape != before.shape or (played != before).any()

    @PERTURBED
    def test_every_episode_is_perturbed(self, env_id, perturb):
        # (Gymnasium's own BipedalWalker remembers its last episode: the same seed gives another
        # trajectory at the second reset. So whole histories are compared.)
        base = gym.make(env_id)
        actions = random_actions(base, 40)
        histories = [
            [play(env, actions, seed=seed) for seed in (5, 6)]
            for env in (make(env_id, *perturb), make(env_id, *perturb), base)
        ]
        for first, again, unperturbed in zip(*histories, strict=True):
            np.testing.assert_array_equal(first, again)
            assert first.shape != unperturbed.shape or (first != unperturbed).any()

    @pytest.mark.parametrize(
        "spec",
        [
            {"id": "LunarLander-v3", "kwargs": {"continuous": True}, "perturb": [{"gravity": "x0.5"}]},
            # ids that stand for a constructor argument of their own
            {"id": "LunarLanderContinuous-v3", "kwargs": {}, "perturb": [{"friction": 0.3}]},
            {"id": "BipedalWalkerHardcore-v3", "kwargs": {}, "perturb": [{"motor_torque": 60.0}]},
        ],
        ids=lambda spec: spec["id"],
    )
    def test_rebuilt_from_json(self, spec):
        env = envs.make(spec)
        assert envs.spec_of(env) == envs.canonical(spec)
        rebuilt = envs.make(envs.spec_of(env))
        actions = random_actions(env, 40)
        np.testing.assert_array_equal(play(env, actions), play(rebuilt, actions))

    def test_drawn_per_episode(self):
        env = make("BipedalWalker-v3", {"leg_length": {"uniform": [1.0, 1.3]}})
        lengths = set()
        for seed in (0, 1, 0):
            drawn = env.reset(seed=seed)[1]["context"]["leg_length"]
            assert env.unwrapped.legs[0].mass == pytest.approx(drawn * 8 / 30, rel=1e-5)
            lengths.add(drawn)
        assert len(lengths) == 2

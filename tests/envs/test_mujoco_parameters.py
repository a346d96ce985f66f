"""MuJoCo v5: every parameter moves its robot, every default leaves every bit alone."""

import warnings

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import rl_transfer_envs as envs
from support.cases import EVERY, drawn
from support.physics import OWN, assert_bit_equal, at_default, base_of, both_ends, make, moves, some_ends

ROBOTS = [env_id for env_id in OWN if env_id.endswith("-v5")]
TWIN = "HumanoidStandup-v5"
"""Its bodies, joints and parameters are Humanoid-v5's."""
DIFFERENT = [env_id for env_id in ROBOTS if EVERY or env_id != TWIN]
ON_THE_FLOOR = ["Hopper-v5", "HalfCheetah-v5", "Walker2d-v5", "Ant-v5", "Humanoid-v5", TWIN]


@pytest.fixture(autouse=True)
def log_goes_elsewhere(monkeypatch, tmp_path):
    """MuJoCo writes MUJOCO_LOG.TXT (HalfCheetah's model has a deprecated attribute) where it stands."""
    monkeypatch.chdir(tmp_path)


def arrays(model):
    """Every number of a model, by name."""
    names = [name for name in dir(model) if not name.startswith("_")]
    fields = {name: getattr(model, name) for name in names}
    options = {f"opt.{name}": getattr(model.opt, name) for name in dir(model.opt) if not name.startswith("_")}
    return {
        name: np.array(value)
        for name, value in {**fields, **options}.items()
        if isinstance(value, np.ndarray | int | float)
    }


def changed(model, pristine):
    return {name for name, value in arrays(model).items() if not np.array_equal(value, pristine[name])}


def test_the_eleven_robots_are_there():
    assert sorted(ROBOTS) == sorted(
        f"{name}-v5"
        for name in (
            *("InvertedPendulum", "InvertedDoublePendulum", "Reacher", "Pusher", "Swimmer"),
            *("Hopper", "HalfCheetah", "Walker2d", "Ant", "Humanoid", "HumanoidStandup"),
        )
    )


@pytest.mark.parametrize("env_id", DIFFERENT)
class TestDefaults:
    def test_registered_defaults_are_those_of_the_robot(self, env_id):
        env = base_of(env_id).unwrapped
        for name, parameter in OWN[env_id].items():
            if parameter.entry_point and not parameter.keyed:
                continue  # literals that Gymnasium holds in no attribute
            value = parameter.get(env)
            if parameter.keyed:
                assert value, name
                if parameter.default is not None:
                    assert set(value.values()) == {parameter.default}, name
            else:
                assert value == parameter.default, name

    def test_each_default_leaves_every_number_of_the_model(self, env_id):
        pristine = arrays(base_of(env_id).unwrapped.model)
        assert len(pristine) > 400
        for entry in at_default(env_id):
            assert changed(make(env_id, entry).unwrapped.model, pristine) == set(), entry

    def test_all_defaults_together_are_bit_equal_to_the_base(self, env_id):
        assert_bit_equal(base_of(env_id), make(env_id, *at_default(env_id)), env_id, steps=(1000, 50, 50))


@pytest.mark.parametrize("env_id", DIFFERENT)
def test_every_parameter_moves_its_robot_at_both_ends(env_id):
    assert [entry for entry in both_ends(env_id) if not moves(env_id, entry, 60)] == []


@pytest.mark.usefixtures("few_repetitions")
@pytest.mark.parametrize("env_id", DIFFERENT)
def test_the_probe_proves_the_effect_of_parameters_at_both_ends(env_id):
    for entry in some_ends(env_id):
        (report,) = envs.check_effect({"id": env_id, "perturb": [entry]})
        assert report.first.step <= 60, report


@pytest.mark.parametrize("env_id", DIFFERENT)
def test_both_ends_keep_the_simulation_stable_and_the_spaces_true(env_id):
    for entry in both_ends(env_id):
        env = make(env_id, entry)
        env.action_space.seed(0)
        observation, _ = env.reset(seed=0)
        for action in [*(env.action_space.sample() for _ in range(20)), *[env.action_space.high] * 20]:
            assert observation in env.observation_space, entry
            observation, reward, terminated, _, _ = env.step(action)
            assert np.isfinite(reward), entry
            if terminated:
                observation, _ = env.reset()
        assert sum(warning.number for warning in env.unwrapped.data.warning) == 0, entry


@pytest.mark.parametrize("env_id", DIFFERENT)
def test_a_standing_robot_survives_its_first_step(env_id):
    for name in ("link_length", "link_radius", "initial_spread"):
        for entry in both_ends(env_id):
            if name in entry:
                env = make(env_id, entry)
                for seed in range(5):
                    env.reset(seed=seed)
                    assert not env.step(np.zeros(env.action_space.shape, np.float32))[2], entry


@pytest.mark.parametrize("env_id", ROBOTS)
def test_checkers_of_gymnasium_and_stable_baselines3_pass(env_id):
    env = make(env_id, {"control_range": "x2"}, {"gear": "x0.5"}, {"frame_skip": 3})
    with warnings.catch_warnings():
        # both advise on unbounded observations and asymmetric ranges, which are Gymnasium's own
        warnings.simplefilter("ignore", UserWarning)
        check_env(env, skip_render_check=True, skip_close_check=True)
        check_env_sb3(env, skip_render_check=True)


@pytest.mark.parametrize("env_id", [each for each in ON_THE_FLOOR if each in DIFFERENT])
def test_every_body_and_every_joint_can_be_named(env_id):
    base = base_of(env_id).unwrapped
    pristine = arrays(base.model)
    for name in ("body_mass", "link_length", "link_radius", "joint_damping", "armature", "gear", "friction"):
        elements = OWN[env_id][name].get(base).items()
        for element, value in drawn(sorted(elements), 4, name):
            env = make(env_id, {name: {element: 1.2 * value}})
            assert changed(env.unwrapped.model, pristine), (name, element)
            found = OWN[env_id][name].get(env.unwrapped)[element]
            assert found == pytest.approx(1.2 * value), (name, element)


def test_no_parameter_of_the_arm_is_of_what_it_pushes():
    base = base_of("Pusher-v5").unwrapped
    for name in ("body_mass", "link_length", "joint_damping", "armature", "gear"):
        assert not {"object", "goal"} & set(OWN["Pusher-v5"][name].get(base)), name
    assert not {"gravity", "slope"} & set(OWN["Pusher-v5"])  # its model has no gravity that could change
    assert not base.model.opt.gravity.any()


def test_a_longer_arm_reaches_further():
    """Straight ahead, the elbow lies 0.4 m before the shoulder: x1.2 makes it 0.48 m."""
    base, longer = base_of("Pusher-v5").unwrapped, make("Pusher-v5", {"link_length": "x1.2"}).unwrapped
    for env, reach in ((base, 0.4), (longer, 0.48)):
        env.reset(seed=0)
        elbow = env.model.body("r_elbow_flex_link").pos
        assert elbow[0] == pytest.approx(reach)

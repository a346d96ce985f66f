"""MuJoCo v5: what follows from a perturbed value, against hand calculations and recompiled models."""

import math
from pathlib import Path
from typing import Any

import gymnasium as gym
import mujoco
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rl_transfer_envs as envs
from rl_transfer_envs.physics.mujoco import elements
from rl_transfer_envs.physics.mujoco import model as tuned
from support.physics import make, play, random_actions
from support.untyped import untyped

ASSETS = Path(gym.__file__).parent / "envs" / "mujoco" / "assets"


@pytest.fixture(autouse=True)
def log_goes_elsewhere(monkeypatch, tmp_path):
    """MuJoCo writes MUJOCO_LOG.TXT (HalfCheetah's model has a deprecated attribute) where it stands."""
    monkeypatch.chdir(tmp_path)


def model_of(env_id, *perturb):
    return make(env_id, *perturb).unwrapped.model


class TestWarnings:
    def test_what_gymnasium_alone_can_mend_is_told_nowhere(self, capfd, tmp_path):
        make("HalfCheetah-v5").close()
        assert capfd.readouterr() == ("", "")
        assert not list(tmp_path.iterdir()), "MuJoCo keeps a log of its warnings where it stands"

    def test_any_other_is_a_warning_of_python(self, monkeypatch):
        build = gym.make

        def warned(*args, **kwargs):
            mujoco.get_mju_user_warning()("a body without mass")
            return build(*args, **kwargs)

        monkeypatch.setattr(gym, "make", warned)
        with pytest.warns(UserWarning, match="a body without mass"):
            make("Hopper-v5")
        assert mujoco.get_mju_user_warning() is None


class TestMass:
    def test_inertia_and_all_that_mujoco_caches_follow_the_mass(self):
        base, model = model_of("Hopper-v5"), model_of("Hopper-v5", {"body_mass": {"torso": "x1.5"}})
        torso, thigh = 1, 2
        assert model.body_mass[torso] == 1.5 * base.body_mass[torso]
        np.testing.assert_allclose(model.body_inertia[torso], 1.5 * base.body_inertia[torso], rtol=1e-15)
        np.testing.assert_array_equal(model.body_mass[thigh:], base.body_mass[thigh:])
        # the whole robot gained half a torso
        gained = 0.5 * base.body_mass[torso]
        assert model.body_subtreemass[torso] == pytest.approx(base.body_subtreemass[torso] + gained)
        # rootx and rootz carry everything: their inertia at the zero pose is the total mass
        np.testing.assert_allclose(model.dof_M0[:2], model.body_subtreemass[torso])
        assert (model.dof_invweight0[:2] < base.dof_invweight0[:2]).all()

    def test_one_factor_for_all_bodies(self):
        base, model = model_of("Humanoid-v5"), model_of("Humanoid-v5", {"body_mass": "x0.5"})
        np.testing.assert_array_equal(model.body_mass, 0.5 * base.body_mass)
        np.testing.assert_array_equal(model.body_inertia, 0.5 * base.body_inertia)

    def test_nameless_bodies_are_called_by_their_joint(self):
        model = model_of("Ant-v5", {"body_mass": {"ankle_3": 1.0}})
        assert model.body_mass[model.joint("ankle_3").bodyid[0]] == 1.0

    def test_unknown_body(self):
        with pytest.raises(envs.UnknownParameterError, match="Did you mean 'torso'") as caught:
            make("Hopper-v5", {"body_mass": {"torzo": "x1.5"}})
        assert caught.value.key == "perturb.0.body_mass.torzo"

    def test_too_heavy(self):
        with pytest.raises(envs.OutOfBoundsError, match=r"outside x0\.3 to x3"):
            make("Hopper-v5", {"body_mass": "x9"})
        with pytest.raises(envs.OutOfBoundsError, match="500 kg"):
            make("Hopper-v5", {"body_mass": {"torso": 501.0}})


class TestLength:
    def test_a_pole_of_twice_the_length_by_hand(self):
        # Capsule of radius r = 0.045 and cylinder length L = 1.2 at 1000 kg/m³:
        # cylinder c = 1000 π r² L = 7.634070, caps s = 1000 (4/3) π r³ = 0.381704, sum 8.015774 kg
        # I∥ = c r²/2 + 2 s r²/5 = 0.007729 + 0.000309 = 0.008039
        # I⊥ = c (3r² + L²)/12 + s (2r²/5 + L²/4 + 3rL/8)
        #    = 0.919953 + 0.145452 = 1.065405
        model = model_of("InvertedDoublePendulum-v5", {"link_length": {"pole": 1.2}})
        pole, second = model.body("pole").id, model.body("pole2").id
        assert model.body_mass[pole] == pytest.approx(8.015774, abs=1e-6)
        np.testing.assert_allclose(model.body_inertia[pole], [1.065405, 1.065405, 0.008039], atol=1e-6)
        np.testing.assert_allclose(model.body_ipos[pole], [0, 0, 0.6])
        np.testing.assert_allclose(model.body_pos[second], [0, 0, 1.2])  # hangs on its end
        np.testing.assert_allclose(model.site_pos[0], [0, 0, 0.6])  # the tip stays on the second pole
        assert model.body_mass[second] == model_of("InvertedDoublePendulum-v5").body_mass[second]

    def test_hopper_equals_a_model_compiled_with_the_new_numbers(self, tmp_path):
        # Leg 0.5 → 0.7 m: its joint goes from 0.25 to 0.35 above its centre, and from there hangs
        # at −0.45 on the thigh: −0.45 − 0.35 = −0.8. The foot's joint goes from −0.25 to −0.35, its
        # frame 0.1 below: −0.45. The torso starts 0.2 m higher. The torso's radius: 0.05 → 0.06.
        numbers = {
            '<body name="leg" pos="0 0 -0.70000000000000007">': '<body name="leg" pos="0 0 -0.8">',
            'name="leg_joint" pos="0 0 0.25"': 'name="leg_joint" pos="0 0 0.35"',
            'name="leg_geom" size="0.04 0.25"': 'name="leg_geom" size="0.04 0.35"',
            '<body name="foot" pos="0.13 0 -0.35">': '<body name="foot" pos="0.13 0 -0.45">',
            'name="torso_geom" size="0.05 ': 'name="torso_geom" size="0.06 ',
            '<body name="torso" pos="0 0 1.25">': '<body name="torso" pos="0 0 1.45">',
            'pos="0 0 -1.25"': 'pos="0 0 -1.45"',
            'ref="1.25"': 'ref="1.45"',
        }
        perturb = [{"link_length": {"leg": 0.7}}, {"link_radius": {"torso": 0.06}}]
        self.assert_same(tmp_path, "hopper", numbers, perturb, root_moved=True)

    def test_humanoid_equals_a_model_compiled_with_the_new_numbers(self, tmp_path):
        # Right thigh × 1.2: its shape ends at 1.2 (0, 0.01, −0.34) = (0, 0.012, −0.408). The knee lies
        # 0.02 above the shin's frame, so at (0, 0.01, −0.383) on the thigh; × 1.2 gives
        # (0, 0.012, −0.4596), and the frame 0.02 below. Only one leg grows, and nobody moves up: the
        # other foot would hang in the air, so the start is compared at the robot's own height.
        numbers = {
            "0 0 0 0 0.01 -.34": "0 0 0 0 0.012 -.408",
            'name="right_shin" pos="0 0.01 -0.403"': 'name="right_shin" pos="0 0.012 -0.4796"',
        }
        self.assert_same(tmp_path, "humanoid", numbers, [{"link_length": {"right_thigh": "x1.2"}}])

    @staticmethod
    def assert_same(tmp_path, robot, numbers, perturb, root_moved=False):
        text = (ASSETS / f"{robot}.xml").read_text()
        for old, new in numbers.items():
            assert old in text
            text = text.replace(old, new)
        (tmp_path / "robot.xml").write_text(text)
        env_id = f"{robot.title()}-v5"
        compiled, perturbed = gym.make(env_id, xml_file=str(tmp_path / "robot.xml")), make(env_id, *perturb)
        first, second = untyped(compiled.unwrapped).model, untyped(perturbed.unwrapped).model
        skipped = 2 if root_moved else 0  # the compiled torso itself stands higher
        places = ("body_ipos", "geom_pos", "geom_size", "geom_rbound", "geom_aabb", "site_pos")
        for name in ("body_mass", *places):
            np.testing.assert_allclose(getattr(second, name), getattr(first, name), atol=1e-12, err_msg=name)
        np.testing.assert_allclose(second.body_pos[skipped:], first.body_pos[skipped:], atol=1e-12)
        for name in ("body_inertia", "body_subtreemass", "body_invweight0", "dof_invweight0", "dof_M0"):
            np.testing.assert_allclose(getattr(second, name), getattr(first, name), rtol=1e-9, err_msg=name)
        untyped(compiled.unwrapped).init_qpos[:] = untyped(perturbed.unwrapped).init_qpos
        actions = random_actions(compiled, 40)
        played = play(perturbed, actions)
        assert len(played) > 10
        np.testing.assert_allclose(played, play(compiled, actions), rtol=1e-6, atol=1e-7)

    def test_the_robot_starts_as_high_above_the_floor_as_before(self):
        # thigh 0.45 → 0.54 and leg 0.5 → 0.6 lift the torso by 0.09 + 0.1
        env = make("Walker2d-v5", {"link_length": "x1.2"}, {"initial_spread": 0.0})
        base = make("Walker2d-v5", {"initial_spread": 0.0})
        # all links: torso half-length (0.2 → 0.24) 0.04, thigh 0.09, leg 0.1, and the foot's joint
        # height above the foot's axis is 0 before and after
        assert env.reset(seed=0)[0][0] - base.reset(seed=0)[0][0] == pytest.approx(0.04 + 0.09 + 0.1)

    def test_the_double_pendulum_is_judged_by_its_own_height(self):
        env = make("InvertedDoublePendulum-v5", {"link_length": "x0.5"}, {"initial_spread": 0.0})
        env.reset(seed=0)
        # upright, the tip at 0.6 m counts as 1.2 m: reward 10 − (1.2 − 2)² = 9.36, not terminated
        _, reward, terminated, *_ = env.step(np.zeros(1, np.float32))
        assert not terminated
        assert reward == pytest.approx(9.36, abs=1e-4)

    @settings(max_examples=25, deadline=None)
    @given(
        factors=st.fixed_dictionaries(
            {name: st.floats(0.75, 1.5) for name in ("torso", "thigh", "leg", "foot")}
        ),
        thick=st.floats(0.5, 1.5),
    )
    def test_joints_stay_joints_and_density_stays(self, factors, thick):
        env = make(
            "Hopper-v5",
            {"link_length": {name: f"x{factor!r}" for name, factor in factors.items()}},
            {"link_radius": f"x{thick!r}"},
        ).unwrapped
        mujoco.mj_resetData(env.model, env.data)
        mujoco.mj_forward(env.model, env.data)
        _, thigh, leg, foot = env.data.xanchor[[2, 3, 4, 5]]
        # hip to knee is 0.45 m of thigh, knee to ankle 0.5 m of leg
        assert np.linalg.norm(leg - thigh) == pytest.approx(0.45 * factors["thigh"])
        assert np.linalg.norm(foot - leg) == pytest.approx(0.5 * factors["leg"])
        for body, length, radius in (("torso", 0.4, 0.05), ("foot", 0.39, 0.06)):
            r, cylinder = radius * thick, length * factors[body]
            mass = 1000 * math.pi * r**2 * (cylinder + 4 / 3 * r)
            assert env.model.body(body).mass[0] == pytest.approx(mass)


class TestFriction:
    def contacts(self, env):
        env.reset(seed=0)
        found: dict[Any, Any] = {}
        for _ in range(60):
            env.step(np.zeros(env.action_space.shape, np.float32))
            data, model = env.unwrapped.data, env.unwrapped.model
            for contact in data.contact[: data.ncon]:
                body = model.geom_bodyid[max(contact.geom)]
                found.setdefault(model.body(body).name, set()).add(float(contact.friction[0]))
        return found

    def test_the_floors_friction_alone_changes_no_contact_and_ours_does(self):
        env = gym.make("Hopper-v5")
        untyped(env.unwrapped).model.geom_friction[0, 0] = 0.1
        assert self.contacts(env)["foot"] == {2.0}
        assert self.contacts(make("Hopper-v5", {"friction": "x0.1"}))["foot"] == {0.2}
        assert self.contacts(make("Hopper-v5", {"friction": 3.0}))["foot"] == {3.0}

    def test_one_body_at_a_time(self):
        model = model_of("Hopper-v5", {"friction": {"foot": 0.3}})
        # the others had max(0.9, floor 1.0) = 1.0 and keep it; the floor never wins
        assert model.geom_friction[:, 0].tolist() == [0.3, 1.0, 1.0, 1.0, 0.3]
        assert elements.contact_friction(model) == {"torso": 1.0, "thigh": 1.0, "leg": 1.0, "foot": 0.3}


class TestSurroundings:
    def test_gravity_and_slope(self):
        model = model_of("Hopper-v5", {"gravity": 12.0}, {"slope": 0.1})
        np.testing.assert_allclose(
            model.opt.gravity, [-12 * math.sin(0.1), 0, -12 * math.cos(0.1)], rtol=1e-15
        )

    def test_everything_slides_down_a_slope_alike(self):
        # Two upright poles on a cart without damping: the tilted gravity (and the model's own
        # 1e-5 m/s² along x) accelerates all of them alike, so after one action of 0.05 s
        # v = (1e-5 − 9.81 sin 0.1) · 0.05, and the hinges are still.
        env = make(
            "InvertedDoublePendulum-v5", {"slope": 0.1}, {"joint_damping": 0.0}, {"initial_spread": 0.0}
        )
        env.reset(seed=0)
        env.step(np.zeros(1, np.float32))
        expected = (1e-5 - 9.81 * math.sin(0.1)) * 0.05
        np.testing.assert_allclose(env.unwrapped.data.qvel, [expected, 0, 0], atol=1e-9)

    def test_wind_fills_a_vacuum_with_air_unless_a_medium_is_given(self):
        assert (lambda o: (o.density, o.viscosity))(model_of("Ant-v5", {"wind": 5.0}).opt) == tuned.AIR
        assert model_of("Ant-v5", {"wind": 5.0}, {"density": 3.0}).opt.density == 3.0
        assert model_of("Ant-v5", {"density": 3.0}).opt.viscosity == 0.0
        assert model_of("Swimmer-v5", {"wind": 0.5}).opt.density == 4000.0

    def test_wind_blows_where_it_says(self):
        still = np.zeros((10, 8), np.float32)
        speed = [play(make("Ant-v5", {"wind": wind}), still)[-1, 13] for wind in (-8.0, 0.0, 8.0)]
        assert speed[0] < speed[1] < speed[2]


class TestControl:
    def test_the_action_space_follows_the_control_range(self):
        env = make("Humanoid-v5", {"control_range": "x2"})
        assert env.action_space == gym.spaces.Box(-0.8, 0.8, (17,), np.float32)
        env.reset(seed=0)
        env.step(env.action_space.high)
        # abdomen_y has gear 100, so 0.8 gives 80 N m
        assert env.unwrapped.data.actuator_force[0] == pytest.approx(80 / 100)
        assert env.unwrapped.data.qfrc_actuator[7] == pytest.approx(80.0, rel=1e-6)

    def test_a_narrower_range_clips_the_torque(self):
        env = make("Hopper-v5", {"control_range": 0.5}, {"gear": {"leg_joint": 300.0}})
        env.reset(seed=0)
        env.step(np.ones(3, np.float32))
        np.testing.assert_allclose(env.unwrapped.data.qfrc_actuator[3:], [100, 150, 100])

    def test_spaces_hold_for_every_episode(self):
        env = make("Hopper-v5", {"control_range": {"uniform": [0.5, 1.5]}})
        assert env.action_space.high[0] == 1.5
        env.reset(seed=0)
        assert env.action_space.high[0] == 1.5

    def test_time_and_what_is_divided_by_it(self):
        env = make("HalfCheetah-v5", {"timestep": 0.005}, {"frame_skip": 4})
        assert env.unwrapped.dt == pytest.approx(0.02)
        assert env.metadata["render_fps"] == 50
        env.reset(seed=0)
        before = env.unwrapped.data.qpos[0]
        info = env.step(np.ones(6, np.float32))[4]
        assert info["x_velocity"] == pytest.approx((env.unwrapped.data.qpos[0] - before) / 0.02)

    def test_joint_values_go_to_limbs_only(self):
        model = model_of(
            "Hopper-v5", {"armature": 0.5}, {"joint_damping": {"foot_joint": 3.0}}, {"joint_stiffness": 7.0}
        )
        np.testing.assert_array_equal(model.dof_armature, [0, 0, 0, 0.5, 0.5, 0.5])
        np.testing.assert_array_equal(model.dof_damping, [0, 0, 0, 1.0, 1.0, 3.0])
        np.testing.assert_array_equal(model.jnt_stiffness, [0, 0, 0, 7.0, 7.0, 7.0])
        np.testing.assert_array_equal(
            model_of("Reacher-v5", {"joint_friction": 2.0}).dof_frictionloss, [2, 2, 0, 0]
        )


class TestStart:
    def test_reachers_literals(self):
        env = make("Reacher-v5", {"initial_spread": 0.5}, {"target_radius": 0.05})
        starts, targets = [], []
        for seed in range(60):
            env.reset(seed=seed)
            starts.append(env.unwrapped.data.qpos[:2].copy())
            targets.append(np.linalg.norm(env.unwrapped.data.qpos[2:]))
        assert 0.45 < np.abs(starts).max() <= 0.5
        assert 0.04 < max(targets) < 0.05

    def test_no_spread_no_difference(self):
        env = make("Ant-v5", {"initial_spread": 0.0})
        np.testing.assert_array_equal(env.reset(seed=0)[0], env.reset(seed=1)[0])


class TestInstances:
    PERTURB = ({"gravity": 15.0}, {"body_mass": "x2"}, {"link_length": "x1.2"}, {"friction": "x0.5"})

    def test_nothing_leaks_and_resets_keep_it(self):
        before = make("Hopper-v5")
        env = make("Hopper-v5", *self.PERTURB)
        mass = env.unwrapped.model.body_mass.copy()
        for seed in range(3):
            env.reset(seed=seed)
            env.step(env.action_space.high)
        np.testing.assert_array_equal(env.unwrapped.model.body_mass, mass)
        assert env.unwrapped.model.opt.gravity[2] == -15.0
        actions = random_actions(before, 30)
        np.testing.assert_array_equal(play(before, actions), play(gym.make("Hopper-v5"), actions))

    def test_the_order_of_perturbations_does_not_matter(self):
        forth, back = make("Hopper-v5", *self.PERTURB), make("Hopper-v5", *reversed(self.PERTURB))
        actions = random_actions(forth, 30)
        np.testing.assert_array_equal(play(forth, actions), play(back, actions))

    def test_drawn_values_never_add_up(self):
        env = make(
            "Hopper-v5",
            {"link_length": {"uniform": ["x0.8", "x1.4"]}},
            {"body_mass": {"torso": {"uniform": ["x0.5", "x2"]}}},
            {"gravity": {"choice": [5.0, 9.81]}},
        )
        pristine = model_of("Hopper-v5")
        for seed in (3, 4, 5, 3):
            drawn = env.reset(seed=seed)[1]["context"]
            fixed = make("Hopper-v5", *({name: value} for name, value in drawn.items()))
            for name in ("body_mass", "body_inertia", "body_pos", "geom_size", "dof_M0"):
                np.testing.assert_array_equal(
                    getattr(env.unwrapped.model, name), getattr(fixed.unwrapped.model, name)
                )
            np.testing.assert_array_equal(env.unwrapped.init_qpos, fixed.unwrapped.init_qpos)
            # all links share one factor
            factor = drawn["link_length"]["leg"] / 0.5
            assert drawn["link_length"]["thigh"] == pytest.approx(0.45 * factor)
            assert untyped(env.unwrapped).model.geom_size[3, 1] == pytest.approx(
                pristine.geom_size[3, 1] * factor
            )

    def test_rebuilt_from_json(self):
        spec = {"id": "Hopper-v5", "perturb": [{"body_mass": {"torso": "x1.5"}}, {"action_delay": 2}]}
        env = envs.make(spec)
        rebuilt = envs.make(envs.spec_of(env))
        actions = random_actions(env, 20)
        np.testing.assert_array_equal(play(env, actions), play(rebuilt, actions))

    def test_a_model_of_the_users_own_keeps_its_names(self, tmp_path):
        text = (ASSETS / "hopper.xml").read_text().replace('body name="leg"', 'body name="shank"')
        (tmp_path / "mine.xml").write_text(text)
        env = make("Hopper-v5", {"body_mass": {"shank": 9.0}}, xml_file=str(tmp_path / "mine.xml"))
        assert env.unwrapped.model.body("shank").mass[0] == 9.0


class TestFields:
    """Attribute paths into a MuJoCo model, for a user's own environment."""

    def test_elements_by_name_and_by_index(self):
        base = model_of("Hopper-v5")
        paths = {
            "model.body_mass.torso": "x2",
            "model.body_mass.4": 1.0,
            "model.geom_friction.foot_geom.0": 0.5,
            "model.dof_damping.leg_joint": 4.0,
            "model.opt.gravity.2": -5.0,
            "model.opt.density": 2.0,
        }
        model = model_of("Hopper-v5", {"attribute": paths})
        assert model.body_mass[1] == 2 * base.body_mass[1]
        assert model.body_mass[4] == 1.0
        # what MuJoCo caches follows, inertia (a field of its own) does not
        assert model.body_subtreemass[1] == pytest.approx(
            base.body_subtreemass[1] + base.body_mass[1] - 4.315575
        )
        assert base.body_mass[4] - 1.0 == pytest.approx(4.315575, abs=1e-6)
        np.testing.assert_array_equal(model.body_inertia, base.body_inertia)
        assert model.geom_friction[4, 0] == 0.5
        assert model.dof_damping[4] == 4.0
        np.testing.assert_array_equal(model.opt.gravity, [0, 0, -5])
        assert model.opt.density == 2.0

    def test_beside_registered_parameters_in_any_order(self):
        perturb = [{"attribute": {"model.body_mass.torso": 9.0}}, {"body_mass": {"foot": 1.0}}]
        for order in (perturb, perturb[::-1]):
            np.testing.assert_array_equal(model_of("Hopper-v5", *order).body_mass[[1, 4]], [9.0, 1.0])

    @pytest.mark.full
    def test_the_probe_proves_and_refuses(self):
        (report,) = envs.check_effect(
            {"id": "Hopper-v5", "perturb": [{"attribute": {"model.body_mass.torso": "x1.5"}}]}
        )
        assert (report.first.step, report.first.quantity) == (1, "observation")

    @pytest.mark.parametrize(
        ("path", "error", "words"),
        [
            ("model.body_mass.torzo", envs.UnknownParameterError, "Did you mean 'torso'"),
            ("model.opt.gravity.down", envs.UnknownParameterError, "0 to 2"),
            ("model.body_mass", envs.IncompatiblePerturbationError, "body_mass.<element>"),
            ("model.geom_friction.floor", envs.IncompatiblePerturbationError, "<element>.<0 to 2>"),
            ("model.geom_friction.floor.3", envs.IncompatiblePerturbationError, "outside"),
            ("model.body_mass.9", envs.IncompatiblePerturbationError, "outside"),
            ("model.body_weight.torso", envs.UnknownParameterError, "body_weight"),
        ],
    )
    def test_wrong_paths(self, path, error, words):
        with pytest.raises(error, match=words) as caught:
            make("Hopper-v5", {"attribute": {path: 1.0}})
        assert caught.value.key == f"perturb.0.attribute.{path}"

"""The conformance kit, a user's own environment, shipped targets, the page, previews."""

import re
import subprocess
import sys
from pathlib import Path

import gymnasium as gym
import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML
from stable_baselines3.common.env_checker import check_env as check_env_sb3

import rl_transfer_envs as envs
from rl_transfer_envs.build.families import family
from rl_transfer_envs.check import conformance
from rl_transfer_envs.registry.parameters import own_parameters
from rl_transfer_envs.show import docs
from rl_transfer_envs.show.preview import preview
from support.cases import drawn, tiered
from support.stub import Stub
from support.untyped import untyped

ROOT = Path(__file__).parents[2]
ALWAYS = {
    "CartPole-v1": ("observation_noise", "reward_delay", "action_noise"),
    "Pendulum-v1": ("time_limit",),
}
"""Of wrappers ``make cases`` checks all on both."""
TARGETS = sorted((ROOT / "configs" / "targets").glob("**/*.yaml"))


def load(path):
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def installed(spec):
    return family(spec["id"]).installed


WHOLE = ("CartPole-v1", "Pendulum-v1")
WRAPPERS = {
    env_id: {
        name: wrapper
        for name, wrapper in envs.perturbations().items()
        if name in {*ALWAYS[env_id], *drawn(sorted(envs.perturbations()), 2, env_id)}
    }
    for env_id in WHOLE
}


@pytest.fixture(scope="module")
def kit_rows(few_repetitions):
    """All rows of an environment with discrete actions and of one with continuous ones; a few wrappers."""
    found = {}
    for env_id in WHOLE:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(conformance, "perturbations", lambda few=WRAPPERS[env_id]: few)
            found[env_id] = conformance.check(env_id)
    return found


class TestKit:
    @pytest.mark.parametrize("env_id", WHOLE)
    def test_a_whole_environment_passes(self, env_id, kit_rows):
        rows = kit_rows[env_id]
        assert [row for row in rows if row.status == "fail"] == []
        checked = {(row.perturbation, row.check) for row in rows if row.status == "pass"}
        wrapped = [name for name in ALWAYS[env_id] if name != "action_noise"]
        for name in [*own_parameters(env_id), *wrapped]:
            assert {(name, check) for check in ("default", "effect", "spaces", "rebuild", "leak")} <= checked

    def test_a_wrapper_has_an_effect_somewhere(self, kit_rows):
        rows = kit_rows["CartPole-v1"]
        moved = {row.perturbation for row in rows if (row.check, row.status) == ("effect", "pass")}
        left = sorted(set(WRAPPERS["CartPole-v1"]) - moved)
        assert all(name.startswith(("action_", "reward_")) for name in left), "CartPole's are discrete and 1"
        for name in left:
            value = (envs.perturbations()[name].examples or [{"severity": 0.5, "towards": "high"}])[0]
            rows = conformance.check({"id": "Pendulum-v1", "perturb": [{name: value}]})
            assert {row.status for row in rows} == {"pass"}, rows

    def test_what_cannot_be_carried_is_not_a_failure(self, kit_rows):
        rows = [row for row in kit_rows["CartPole-v1"] if row.perturbation == "action_noise"]
        assert {row.status for row in rows} == {"n/a"}

    def test_a_perturbed_specification(self):
        rows = conformance.check({"id": "CartPole-v1", "perturb": [{"length": "x3"}, {"action_delay": 2}]})
        assert [(row.perturbation, row.check, row.status) for row in rows] == [
            ("length + action_delay", check, "pass") for check in ("effect", "spaces", "rebuild", "leak")
        ]
        assert re.fullmatch(r"(.+, size \S+; ){2}all together size \S+", rows[0].detail)

    def test_rows_for_the_command_line(self):
        rows = list(conformance.check_rows({"id": "CartPole-v1", "perturb": [{"length": "x3"}]}))
        assert [row["check"] for row in rows] == ["effect", "spaces", "rebuild", "leak"]
        assert set(rows[0]) == {"environment", "perturbation", "check", "value", "status", "detail"}

    def test_an_environment_that_crashes_fails_and_says_how(self):
        spec = {"id": "CartPole-v1", "perturb": [{"attribute": {"tau": 1e200}}]}
        with np.errstate(all="ignore"):
            rows = conformance.check(spec)
        assert rows[0].status == "fail"

    def test_an_environment_instance(self):
        env = envs.make({"id": "CartPole-v1", "perturb": [{"length": "x3"}]})
        assert {row.status for row in conformance.check(env)} == {"pass"}

    def test_an_inert_perturbation_fails(self):
        rows = conformance.check({"id": "CartPole-v1", "perturb": [{"attribute": {"masscart": 5.0}}]})
        assert [row.check for row in rows if row.status == "fail"] == ["effect"]

    def test_a_leaking_environment_fails(self):
        gym.register("Leaky-v0", entry_point=untyped(Leaky), max_episode_steps=30)
        parameter = envs.Parameter(
            name="speed", unit="1", default=1.0, bounds=(1.0, 5.0), source="here", summary="of the class",
            get=lambda env: env.speed, set=lambda env, value: setattr(type(env), "speed", value),
        )  # fmt: skip
        envs.register_parameter("Leaky-v0", parameter)
        rows = {row.check: row for row in conformance.check({"id": "Leaky-v0", "perturb": [{"speed": 3.0}]})}
        assert rows["leak"].status == "fail"
        assert "itself has changed at step 1" in rows["leak"].detail


class Leaky(Stub):
    speed = 1.0

    def step(self, action):
        self.t += self.speed
        return np.array([self.t], dtype=np.float32), 0.0, False, False, {}


MODULE = '''
from types import SimpleNamespace
import gymnasium as gym
import numpy as np
from rl_transfer_envs import attribute_parameter, register_parameter, register_probe
from support.stub import Stub


class Car(Stub):
    """Drives; the gear ratio is computed once, from the radius. All cars share one brake."""

    brake = SimpleNamespace(force=0.0)

    def __init__(self, render_mode=None):
        super().__init__()
        self.wheel, self.mass = SimpleNamespace(radius=0.5), 2.0
        self.shift()

    def shift(self):
        self.ratio = 3.0 * self.wheel.radius

    def step(self, action):
        self.t += action * self.ratio / self.mass - self.brake.force
        return np.array([self.t], dtype=np.float32), float(action), False, False, {}


gym.register("TestCar-v0", entry_point=Car, max_episode_steps=20)
register_parameter("TestCar-v0", attribute_parameter(
    "wheel_radius", "wheel.radius", unit="m", default=0.5, bounds=(0.1, 1.0), source="here",
    summary="radius of the wheels", derive=lambda car: car.shift()))
register_probe("TestCar-v0", "full throttle", lambda observation: 1)
'''


@pytest.fixture(scope="module")
def car_module(tmp_path_factory):
    folder = tmp_path_factory.mktemp("user")
    (folder / "user_cars.py").write_text(MODULE)
    sys.path.insert(0, str(folder))
    yield "user_cars"
    sys.path.remove(str(folder))


class TestUsersEnvironment:
    def spec(self, module, *perturb):
        return {"id": "TestCar-v0", "env_module": module, "perturb": list(perturb)}

    def test_it_passes_the_kit(self, car_module):
        rows = conformance.check(self.spec(car_module), wrappers=False)
        assert [row for row in rows if row.status == "fail"] == []
        assert ("wheel_radius", "effect", "pass") in {(r.perturbation, r.check, r.status) for r in rows}

    def test_attribute_paths_are_proven_or_refused(self, car_module):
        (report,) = envs.check_effect(self.spec(car_module, {"attribute": {"mass": "x2"}}))
        assert report.first.quantity == "observation"
        with pytest.raises(envs.InertPerturbationError, match="use one that does: wheel_radius"):
            envs.check_effect(self.spec(car_module, {"attribute": {"wheel.radius": "x2"}}))

    def test_an_object_that_all_instances_share_is_copied_before_it_is_written(self, car_module):
        env = envs.make(self.spec(car_module, {"attribute": {"brake.force": 0.25}}))
        assert untyped(env.unwrapped).brake.force == 0.25
        assert untyped(envs.make(self.spec(car_module)).unwrapped).brake.force == 0.0

    def test_the_derive_hook_recomputes(self, car_module):
        env = envs.make(self.spec(car_module, {"wheel_radius": 1.0}))
        assert untyped(env.unwrapped).ratio == 3.0
        assert untyped(envs.make(self.spec(car_module)).unwrapped).ratio == 1.5

    def test_the_module_travels_with_the_specification(self, car_module):
        env = envs.make({"id": f"{car_module}:TestCar-v0", "perturb": [{"wheel_radius": 1.0}]})
        assert envs.spec_of(env) == envs.canonical(self.spec(car_module, {"wheel_radius": 1.0}))

    @pytest.mark.parametrize(
        ("source", "error", "words"),
        [
            ("import surely_not_installed", envs.MissingExtraError, "pip install surely_not_installed"),
            ("1 / 0", envs.InvalidSpecError, "ZeroDivisionError"),
        ],
    )
    def test_a_module_that_cannot_be_imported(self, car_module, source, error, words):
        name = f"broken_{abs(hash(source))}"
        (Path(sys.path[0]) / f"{name}.py").write_text(source)
        with pytest.raises(error, match=words) as caught:
            envs.canonical({"id": "Any-v0", "env_module": name})
        assert caught.value.key == "env_module"

    def test_a_package_may_announce_its_environments(self, monkeypatch):
        class EntryPoint:
            def load(self):
                gym.register("Announced-v0", entry_point=untyped(Leaky))

        monkeypatch.setattr("rl_transfer_envs.build.specification.entry_points", lambda group: [EntryPoint()])
        assert envs.canonical("Announced-v0")["id"] == "Announced-v0"
        del gym.registry["Announced-v0"]

    def test_names_are_never_overridden(self, car_module):
        envs.canonical(self.spec(car_module))
        for name in ("wheel_radius", "attribute", "observation_noise"):
            parameter = envs.attribute_parameter(
                name, "mass", unit="kg", default=2.0, bounds=(1, 3), source="here", summary="taken"
            )
            with pytest.raises(envs.DuplicateRegistrationError, match=name):
                envs.register_parameter("TestCar-v0", parameter)
        with pytest.raises(envs.DuplicateRegistrationError):
            envs.register_probe("TestCar-v0", "full throttle", lambda observation: 0)
        with pytest.raises(envs.DuplicateRegistrationError):
            envs.register_perturbation(envs.perturbations()["action_delay"])

    def test_nan_from_the_perturbed_environment_is_named(self, car_module):
        spec = self.spec(car_module, {"attribute": {"ratio": "x1e308"}})
        with pytest.raises(envs.NonFiniteError, match="ratio") as caught, np.errstate(over="ignore"):
            envs.check_effect(spec)
        assert caught.value.key == "perturb.0.attribute"


def test_catalogue_and_specifications_need_no_extra():
    code = """
import sys
sys.modules["mujoco"] = sys.modules["Box2D"] = None
import rl_transfer_envs as envs
assert envs.counts()["environments"] >= 6
for row in envs.list_rows():
    envs.show_rows(row["environment"])
    envs.canonical(row["environment"])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class TestTargets:
    def test_every_shipped_target_says_how_hard_it_is(self):
        for path in TARGETS:
            config = load(path)
            assert set(config) - {"return_range"} == {"summary", "env"}, path
            assert re.match(r"(mild|moderate|severe): \S", config["summary"]), path
            assert envs.canonical(config["env"])["perturb"], path

    @pytest.mark.usefixtures("few_repetitions")
    @pytest.mark.parametrize(
        "path", tiered(TARGETS, drawn(TARGETS, 24)), ids=lambda path: f"{path.parent.name}/{path.stem}"
    )
    def test_a_shipped_target_builds_and_has_an_effect(self, path):
        config = load(path)
        if installed(config["env"]):
            assert len(envs.check_effect(config["env"])) == len(config["env"]["perturb"])

    def test_families_go_from_mild_to_severe(self):
        grades: dict[str, set[str]] = {}
        for path in TARGETS:
            grades.setdefault(path.parent.name, set()).add(load(path)["summary"].split(":")[0])
        assert {name: found for name, found in grades.items() if not {"mild", "severe"} <= found} == {}

    @pytest.mark.parametrize(
        "path", [p for p in TARGETS if p.parent.name == "mountain-car"], ids=lambda p: p.stem
    )
    def test_the_hill_can_still_be_climbed(self, path):
        spec = load(path)["env"]
        env = envs.make(spec)
        swapped = any("action_remap" in entry for entry in spec["perturb"])
        observation, _ = env.reset(seed=0)
        terminated = truncated = False
        while not (terminated or truncated):
            forward = 0 if swapped else 2
            action = forward if observation[1] >= 0 else 2 - forward
            observation, _, terminated, truncated, _ = env.step(action)
        assert terminated


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "spec",
    [
        {"id": "CartPole-v1", "perturb": [{"x_threshold": 4.0}, {"observation_missing": [1]}]},
        {"id": "CartPole-v1", "perturb": [{"observation_distractors": 3}, {"extra_actions": 2}]},
        {"id": "CartPole-v1", "perturb": [{"observation_noise": 0.1}, {"observation_scale": 2.0}]},
        {"id": "CartPole-v1", "perturb": [{"length": {"uniform": [0.3, 1.0]}}, {"observation_delay": 2}]},
        {"id": "Pendulum-v1", "perturb": [{"max_torque": 4.0}, {"observation_permutation": "reverse"}]},
        {"id": "Pendulum-v1", "perturb": [{"extra_actions": 1}, {"action_delay": 2}, {"reward_delay": 3}]},
        {"id": "Acrobot-v1", "perturb": [{"gravity": 12.0}, {"max_velocity_1": 5.0}]},
        {"id": "MountainCarContinuous-v0", "perturb": [{"max_action": 2.0}, {"max_speed": 0.05}]},
    ],
    ids=str,
)
def test_stable_baselines3_accepts_the_rebuilt_spaces(spec):
    check_env_sb3(envs.make(spec), warn=True, skip_render_check=True)


class TestPage:
    def test_the_tables_are_fresh(self):
        # a process of its own, for other tests register environments in this one
        command = [sys.executable, "-m", "rl_transfer_envs.show.docs", "docs/environments.md", "--check"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr

    def test_a_stale_page_is_found_and_rewritten(self, tmp_path):
        page = tmp_path / "page.md"
        names = ("counts", "parameters", "wrappers", "targets")
        page.write_text("\n".join(f"<!-- begin: {n} -->\nold\n<!-- end: {n} -->" for n in names))
        arguments = [str(page), "--targets", str(ROOT / "configs" / "targets")]
        assert docs.main([*arguments, "--check"]) == 1
        assert docs.main(arguments) == 0
        assert docs.main([*arguments, "--check"]) == 0
        assert "| polemass_length" not in page.read_text()
        assert "old" not in page.read_text().splitlines()

    def test_a_page_without_sections_is_refused(self, tmp_path):
        page = tmp_path / "page.md"
        page.write_text("nothing")
        with pytest.raises(envs.InvalidSpecError, match="no section"):
            docs.main([str(page)])

    def test_every_target_is_in_the_table_as_it_is_in_yaml(self):
        text = docs.targets_section(ROOT / "configs" / "targets")
        for path in TARGETS:
            config = load(path)
            (line,) = [row for row in text.splitlines() if f"`{path.parent.name}/{path.stem}`" in row]
            assert config["summary"] in line
            assert config["env"]["id"] in line
            assert all(next(iter(entry)) in line for entry in config["env"]["perturb"])

    def test_pictures_exist_and_are_small(self):
        text = (ROOT / "docs" / "environments.md").read_text(encoding="utf-8")
        for picture in re.findall(r"\]\((images/\S+)\)", text):
            assert 1_000 < (ROOT / "docs" / picture).stat().st_size < 200_000
        assert {Path(p).stem for p in re.findall(r"\]\((images/\S+)\)", text)} >= set(docs.PICTURES)


class TestCatalogue:
    def test_rows(self):
        (row,) = [row for row in envs.list_rows() if row["environment"] == "Pendulum-v1"]
        assert (row["family"], row["extra"], row["installed"]) == ("classic control", None, True)
        assert "max_torque" in row["parameters"]
        (torque,) = [row for row in envs.show_rows("Pendulum-v1") if row["name"] == "max_torque"]
        assert (torque["unit"], torque["default"], torque["bounds"]) == ("N m", "2", "0.5 to 10")
        assert "pendulum.py" in torque["source"]

    def test_unknown_environment(self):
        with pytest.raises(envs.UnknownEnvironmentError, match="Did you mean 'Pendulum-v1'"):
            envs.show_rows("Pendulm-v1")

    def test_every_quantity_is_documented(self):
        told = ("name", "kind", "unit", "default", "bounds", "source", "summary")
        rows = [row for env_id in envs.environments() for row in envs.show_rows(env_id)]
        assert [row for row in rows if not all(row[key] for key in told)] == []


class TestPreview:
    SPEC = {"id": "CartPole-v1", "perturb": [{"length": "x3"}]}  # noqa: RUF012

    def test_gif_holds_every_step_and_shows_a_difference(self, tmp_path):
        path = preview(self.SPEC, tmp_path / "new" / "pole.gif", steps=12)
        with Image.open(path) as image:
            # GIF writers merge equal frames, so there are at most 13
            assert 2 <= untyped(image).n_frames <= 13
            frame = np.asarray(image.convert("L"), dtype=int)
        half = frame.shape[1] // 2
        assert (frame[18:, :300] != frame[18:, half + 2 : half + 302]).any()

    def test_png_has_a_column_per_moment_of_four_and_two_rows(self, tmp_path):
        path = preview(self.SPEC, tmp_path / "pole.png", steps=12)
        with Image.open(path) as image:
            # CartPole's frames are 600 × 400, so 300 × 200, under 18 pixels of label
            assert image.size == (4 * 302, 2 * 218)

    def test_without_a_policy_it_plays_a_registered_one_or_else_random_actions(self, tmp_path):
        unregistered = {"id": "PixelCatch-v0", "perturb": [{"ball_speed": 2.0}]}
        for spec, policy in ((self.SPEC, "balance"), (unregistered, "random")):
            paths = [tmp_path / f"{name}.png" for name in ("left-out", "named", "other")]
            for path, given in zip(paths, (None, policy, "constant 0"), strict=True):
                preview(spec, path, steps=4, policy=given)
            left_out, named, other = (path.read_bytes() for path in paths)
            assert left_out == named != other

    def test_wrong_ending_and_unknown_policy(self, tmp_path):
        with pytest.raises(envs.InvalidSpecError, match=r"\.gif or a \.png"):
            preview(self.SPEC, tmp_path / "pole.jpg")
        with pytest.raises(envs.InvalidSpecError, match="balance"):
            preview(self.SPEC, tmp_path / "pole.png", policy="balanced")

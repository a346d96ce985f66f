"""Without MuJoCo and Box2D: parameters are listed and checked, building says what to install."""

import subprocess
import sys

import pytest

CODE = """
import sys
sys.modules["mujoco"] = sys.modules["Box2D"] = None  # as if they were not installed

import rl_transfer_envs as envs

assert "body_mass" in envs.parameters("Hopper-v5") and "roughness" in envs.parameters("BipedalWalker-v3")
for spec in (
    {"id": "Hopper-v5", "perturb": [{"gravity": 12.0}]},
    {"id": "Reacher-v5", "perturb": [{"target_radius": 0.1}]},
    {"id": "LunarLander-v3"},
    {"id": "LunarLander-v3", "perturb": [{"gravity": 5.0}]},
    {"id": "BipedalWalker-v3", "perturb": [{"roughness": 2.0}]},
):
    assert envs.canonical(spec)["id"] == spec["id"]
    try:
        envs.make(spec)
    except envs.MissingExtraError as error:
        print(error.key, error.message)
try:
    envs.canonical({"id": "Hopper-v5", "perturb": [{"gravity": 99.0}]})
except envs.OutOfBoundsError as error:
    print(error.key, error.message)
"""


@pytest.fixture(scope="module")
def lines():
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CODE], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_the_remedy_is_one_line(lines):
    def remedy(env_id, extra):
        return f"id {env_id} needs an optional dependency: pip install 'rl-transfer[{extra}]'."

    assert lines[:-1] == [
        remedy("Hopper-v5", "mujoco"),
        remedy("Reacher-v5", "mujoco"),
        remedy("LunarLander-v3", "box2d"),
        remedy("LunarLander-v3", "box2d"),
        remedy("BipedalWalker-v3", "box2d"),
    ]


def test_bounds_are_checked_without_them(lines):
    assert lines[-1].startswith("perturb.0.gravity gravity = 99 m/s^2 is above the upper bound 25 m/s^2")

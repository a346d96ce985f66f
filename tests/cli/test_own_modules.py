"""A user's own module is found by the console script: in the current folder, and beside the YAML file."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(sys.executable).with_name("rl-transfer")
MODULE = """\
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv

gym.register("Mine-v0", CartPoleEnv, max_episode_steps=50)
"""
SUITE = """\
kind: rl
name: mine
seeds: 1
algorithm: {name: PPO, n_envs: 2, n_steps: 16, batch_size: 16, n_epochs: 1}
training: {total_steps: 64}
evaluation: {every: 32, episodes: 2}
sources: {base: {env: {id: "own_cars:Mine-v0"}}}
targets: {late: {env: {id: Mine-v0, env_module: own_cars, perturb: [{action_delay: 1}]}}}
strategies: [scratch, fine-tune]
"""


def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    return subprocess.run(
        [str(SCRIPT), *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=300,
        env={**environment, "COLUMNS": "200"},
    )  # fmt: skip


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "own_cars.py").write_text(MODULE, encoding="utf-8")
    (folder / "suite.yaml").write_text(SUITE, encoding="utf-8")
    return folder


def test_a_module_of_the_current_folder_is_shown(project: Path) -> None:
    done = call(project, "envs", "show", "own_cars:Mine-v0")
    assert done.returncode == 0, done.stderr
    assert "action_delay" in done.stdout


def test_a_module_beside_the_yaml_reaches_the_workers_from_any_folder(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = call(elsewhere, "sweep", "../project/suite.yaml", "-o", "out", "-j", "1")
    assert done.returncode == 0, done.stderr
    assert len(list(elsewhere.glob("out/runs/*/record.json"))) == 4


def test_a_module_never_shadows_an_installed_package(project: Path) -> None:
    (project / "gymnasium.py").write_text("raise SystemExit('shadowed')", encoding="utf-8")
    done = call(project, "envs", "show", "CartPole-v1")
    assert done.returncode == 0, done.stdout + done.stderr

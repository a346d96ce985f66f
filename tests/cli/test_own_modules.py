"""A user's own module is found by the console script: in the current folder, and beside the YAML file."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import gymnasium
import pytest

from support.cli import Call, Outcome, calling

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
training: {total_steps: 64, engine: sb3}
evaluation: {every: 32, episodes: 2}
sources: {base: {env: {id: "own_cars:Mine-v0"}}}
targets: {late: {env: {id: Mine-v0, env_module: own_cars, perturb: [{action_delay: 1}]}}}
strategies: [scratch, fine-tune]
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "own_cars.py").write_text(MODULE, encoding="utf-8")
    (folder / "suite.yaml").write_text(SUITE, encoding="utf-8")
    return folder


@pytest.fixture
def call_in(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Iterator[Callable[..., Outcome]]:
    """The command, as started in a folder by a process that has never looked for a user's modules."""
    before = [folder for folder in sys.path if folder]
    go = calling(capfd)

    def forget() -> None:
        monkeypatch.setattr(sys, "path", [*before])
        gymnasium.registry.pop("Mine-v0", None)
        for name, module in [*sys.modules.items()]:
            if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
                del sys.modules[name]

    def call(folder: Path, *arguments: str) -> Outcome:
        forget()
        monkeypatch.chdir(folder)
        monkeypatch.setenv("COLUMNS", "200")
        return go(*arguments)

    yield call
    forget()


@pytest.fixture
def inside(project: Path, call_in: Callable[..., Outcome]) -> Call:
    return partial(call_in, project)


def test_a_module_of_the_current_folder_is_shown(inside: Call) -> None:
    done = inside("envs", "show", "own_cars:Mine-v0")
    assert done.code == 0, done.err
    assert "action_delay" in done.out


def by_script(folder: Path, *arguments: str) -> None:
    """The console script, which has to succeed."""
    done = subprocess.run([str(SCRIPT), *arguments], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.full
def test_a_module_beside_the_yaml_reaches_the_workers_from_any_folder(project: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    by_script(elsewhere, "sweep", "../project/suite.yaml", "-o", "out", "-j", "1")
    assert len(list(elsewhere.glob("out/runs/*/record.json"))) == 4


def test_a_module_never_shadows_an_installed_package(project: Path) -> None:
    (project / "gymnasium.py").write_text("raise SystemExit('shadowed')", encoding="utf-8")
    by_script(project, "envs", "show", "CartPole-v1")


def test_a_module_beside_an_environments_yaml_is_found_from_any_folder(
    project: Path, tmp_path: Path, call_in: Callable[..., Outcome]
) -> None:
    (project / "car.yaml").write_text("env: {id: Mine-v0, env_module: own_cars}\n", encoding="utf-8")
    for arguments in (("show",), ("check", "--no-wrappers")):
        done = call_in(tmp_path, "envs", *arguments, "project/car.yaml")
        assert done.code == 0, done.err


def test_a_bundle_may_name_the_module_that_the_environments_yaml_names(
    project: Path, tmp_path: Path, call_in: Callable[..., Outcome]
) -> None:
    train = SUITE.split("sources:")[0].replace("seeds: 1\n", "") + "env: {id: 'own_cars:Mine-v0'}\n"
    (project / "train.yaml").write_text(train, encoding="utf-8")
    (project / "car.yaml").write_text("env: {id: 'own_cars:Mine-v0'}\n", encoding="utf-8")
    trained = call_in(project, "train", "train.yaml", "-o", str(tmp_path / "out"))
    assert trained.code == 0, trained.err
    (run,) = (tmp_path / "out" / "runs").iterdir()
    for place, env in ((tmp_path, "project/car.yaml"), (project, "own_cars:Mine-v0")):
        done = call_in(place, "evaluate", str(run), "--env", env, "--episodes", "2")
        assert done.code == 0, done.err


def test_a_module_beside_a_strategys_yaml_is_found_by_a_suite_in_another_folder(
    project: Path, inside: Call
) -> None:
    (project / "mine").mkdir()
    hook = "class Nothing:\n    def __init__(self, context): pass\n    def loss(self, *_): pass\n"
    (project / "mine" / "mine_hooks.py").write_text(hook, encoding="utf-8")
    strategy = "copy: [all]\nhooks: {loss: 'mine_hooks:Nothing'}\n"
    (project / "mine" / "hooked.yaml").write_text(strategy, encoding="utf-8")
    text = SUITE.replace("fine-tune]", "mine/hooked.yaml]")
    (project / "suite.yaml").write_text(text, encoding="utf-8")
    done = inside("sweep", "suite.yaml", "--dry-run")
    assert done.code == 0, done.err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import nothing_of_this_name", "No module named"),
        ("def broken(:", "SyntaxError"),
        ("1 / 0", "ZeroDivisionError"),
    ],
)
def test_a_module_that_breaks_while_it_is_imported_is_named_without_a_traceback(
    project: Path, inside: Call, text: str, said: str
) -> None:
    (project / "broken_hooks.py").write_text(text + "\n", encoding="utf-8")
    hooked = "{name: hooked, copy: [all], hooks: {loss: 'broken_hooks:Any'}}]"
    (project / "suite.yaml").write_text(SUITE.replace("fine-tune]", hooked), encoding="utf-8")
    done = inside("sweep", "suite.yaml", "--dry-run")
    assert done.code == 3, done.err
    assert "hooks.loss" in done.err
    assert said in done.err

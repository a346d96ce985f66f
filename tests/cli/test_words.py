"""What the command line says of itself and of what it measured."""

import json
from pathlib import Path

import pytest

from rl_transfer import __version__
from support.cli import Call

BROKEN = """\
import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv


class Forgetful(CartPoleEnv):
    def reset(self, *, seed=None, options=None):
        return super().reset(options=options)  # the seed is lost


gym.register("Forgetful-v0", Forgetful, max_episode_steps=50)
"""


def test_the_version_needs_no_command(call: Call) -> None:
    outcome = call("--version")
    assert (outcome.code, outcome.out, outcome.err) == (0, f"{__version__}\n", "")
    assert call("--version", "sweep").out == f"{__version__}\n"


@pytest.mark.parametrize(
    ("env", "says"),
    [
        ("cartpole-longer-pole", "cartpole-longer-pole, CartPole-v1 (length x3.0): mean return"),
        ("./mine.yaml", "./mine.yaml, CartPole-v1 (length x2.0; action_delay steps 1): mean return"),
        ("CartPole-v1", "CartPole-v1 (unperturbed): mean return"),
        # Registered by rl_transfer_envs: the id hides what it perturbs.
        ("CartPoleLongPole-v1", "CartPoleLongPole-v1, CartPole-v1 (length x3.0): mean return"),
        (None, "CartPole-v1 (unperturbed): mean return"),
    ],
)
def test_an_evaluation_names_its_target_and_what_is_perturbed(
    call: Call, trained: Path, tmp_path: Path, env: str | None, says: str
) -> None:
    mine = "env: {id: CartPole-v1, perturb: [{length: x2}, {action_delay: 1}]}"
    (tmp_path / "mine.yaml").write_text(mine, encoding="utf-8")
    where = [] if env is None else ["-e", env]
    outcome = call("evaluate", str(trained), *where, "--episodes", "2")
    assert outcome.code == 0, outcome.err
    assert outcome.out.startswith(says), outcome.out
    measured = json.loads(call("evaluate", str(trained), *where, "--episodes", "2", "--json").out)
    assert (measured["target"], measured["env"]) == (env, "CartPole-v1")
    assert all(name in says for entry in measured["perturb"] for name in entry)
    assert len(measured["perturb"]) == (0 if "unperturbed" in says else says.count(";") + 1)


def test_a_failed_check_is_counted(call: Call, tmp_path: Path) -> None:
    (tmp_path / "forgetful.py").write_text(BROKEN, encoding="utf-8")
    outcome = call("envs", "check", "forgetful:Forgetful-v0", "--no-wrappers")
    assert outcome.code == 4
    shown = [line for line in outcome.out.splitlines() if line.startswith("fail")]
    assert len(shown) > 0
    total = sum(int(part.split()[0]) for part in outcome.out.splitlines()[-1].split(", "))
    assert f"{len(shown)} of {total} checks failed" in outcome.err

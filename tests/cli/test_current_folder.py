"""An environment that changes the current folder changes no place where a command reads or writes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rl_transfer.frame import provenance
from rl_transfer.results import RunStore
from support.cli import Call

MODULE = """\
import os
import tempfile

import gymnasium as gym
from gymnasium.envs.classic_control import CartPoleEnv

ELSEWHERE = tempfile.mkdtemp()
os.chdir(ELSEWHERE)


class Wandering(CartPoleEnv):
    def __init__(self, when="step", **arguments):
        self.when = when
        super().__init__(**arguments)
        self.go("init")

    def go(self, now):
        if self.when == now:
            os.chdir(ELSEWHERE)

    def reset(self, *, seed=None, options=None):
        self.go("reset")
        return super().reset(seed=seed, options=options)

    def step(self, action):
        self.go("step")
        return super().step(action)


gym.register("Wandering-v0", Wandering, max_episode_steps=50)
"""
ALL = """\
algorithm: {name: PPO, n_envs: 2, n_steps: 16, batch_size: 16, n_epochs: 1}
training: {total_steps: 64}
evaluation: {every: 32, episodes: 2}
"""
SUITE = f"""\
kind: rl
name: wandering
seeds: 1
{ALL}
sources:
  base: {{env: {{id: Wandering-v0, env_module: wandering, kwargs: {{when: step}}}}}}
  made: {{policy: made}}
targets:
  late:
    env: {{id: Wandering-v0, env_module: wandering, kwargs: {{when: init}}, perturb: [{{action_delay: 1}}]}}
strategies: [scratch, fine-tune]
"""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Git says of each folder that its commit is called like the folder."""
    monkeypatch.setattr(provenance, "_adopted", [])
    monkeypatch.setattr(provenance, "_ask_git", lambda *words: str(Path.cwd()))
    provenance._origin.cache_clear()
    yield
    provenance._origin.cache_clear()


@pytest.fixture
def project(call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "wandering.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "suite.yaml").write_text(SUITE, encoding="utf-8")
    for when in ("init", "reset", "step"):
        env = f"env: {{id: Wandering-v0, env_module: wandering, kwargs: {{when: {when}}}}}\n"
        (tmp_path / f"{when}.yaml").write_text(f"name: {when}\n{ALL}{env}", encoding="utf-8")
    return tmp_path


@pytest.mark.usefixtures("asked")
@pytest.mark.parametrize("when", ["init", "reset", "step"])
def test_one_run_is_read_and_written_where_it_was_said(project: Path, call: Call, when: str) -> None:
    done = call("train", f"./{when}.yaml", "-o", "made")
    assert done.code == 0, done.err
    (folder,) = (project / "made" / "runs").iterdir()
    assert f"run folder:  made/runs/{folder.name}\n" in done.out
    assert Path.cwd() == project
    record = RunStore(project / "made").folder(folder.name).record()
    assert record["provenance"]["git"]["commit"] == str(project)
    assert "reused" in call("train", f"./{when}.yaml", "-o", "made").out
    (project / "after.yaml").write_text(
        (project / f"{when}.yaml").read_text(encoding="utf-8") + "strategy: fine-tune\n", encoding="utf-8"
    )
    done = call("transfer", "./after.yaml", "--source", "made", "-o", "there/after")
    assert done.code == 0, done.err
    assert len([*project.glob("there/after/runs/*/record.json")]) == 1
    call("policies", "export", "made", "--sb3", "zips/it.zip")
    done = call("policies", "import", "zips/it.zip", "--env", f"./{when}.yaml", "-o", "again/it")
    assert (done.code, done.out.count("bundle: again/it\n")) == (0, 1), done.err
    assert (project / "again" / "it" / "bundle.json").is_file()
    done = call("envs", "preview", f"./{when}.yaml", "--steps", "2", "-o", "pictures/both.png")
    assert (done.code, (project / "pictures" / "both.png").is_file()) == (0, True), done.err
    assert "pictures/both.png written" in done.out


@pytest.mark.full
def test_a_sweep_reads_and_writes_where_it_was_said_and_goes_on_there(project: Path, call: Call) -> None:
    assert call("train", "./init.yaml", "-o", "made").code == 0
    sweep = ("sweep", "./suite.yaml", "-o", "results/x", "-j", "1")
    done = call(*sweep)
    assert done.code == 0, done.err
    assert "6 runs → results/x\n" in done.out
    assert "report page: results/x/" in done.out
    records = {*project.glob("results/x/runs/*/record.json")}
    assert len(records) == 6
    kept = {each: each.read_bytes() for each in records}
    for each in sorted(records)[:2]:
        each.unlink()
    done = call(*sweep)
    assert done.code == 0, done.err
    assert {*project.glob("results/x/runs/*/record.json")} == records
    assert sum(each.read_bytes() == content for each, content in kept.items()) == 4
    assert Path.cwd() == project

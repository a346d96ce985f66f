"""A run that was killed and goes on from its checkpoint ends as one that was not, to the bit."""

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from rl_transfer.frame import run as frame_run
from rl_transfer.frame.checkpoint import FOLDER, Checkpoints
from rl_transfer.frame.state import Captured, capture
from rl_transfer.results import RunFolder, RunStore, find_run, run_id
from rl_transfer.rl.hooks import HookContext
from rl_transfer.rl.strategy.checked_hooks import CheckedHook
from rl_transfer.rl.training import checkpoint as training_checkpoint
from rl_transfer.rl.training import run as training_run
from rl_transfer.rl.training.run import execute
from support.cli import TRAIN, calling
from support.resumption import Killed, kill_at, numbers
from support.rl import PPO, Execute, make_run

OFF_POLICY: dict[str, Any] = {"learning_starts": 20, "batch_size": 16, "buffer_size": 100, "n_envs": 1}
COMPILED = {"total_steps": 128, "engine": "compiled"}
PENDULUM = {"id": "Pendulum-v1", "perturb": [{"time_limit": 20}]}
ROUNDS = {"train_freq": 16, "gradient_steps": 4}
"""Steps of each environment and updates: the second checkpoint is one of a learner that has learned."""
SAC = {"name": "SAC", **OFF_POLICY, **ROUNDS, "policy_kwargs": {"net_arch": [16]}}
RUNS: dict[str, dict[str, Any]] = {
    "PPO": {},
    "PPO, the best kept": {"training": {"total_steps": 128, "keep": "best"}},
    "PPO, batched": {"training": {"total_steps": 128, "vectorization": "batched"}},
    "PPO, gSDE": {
        "env": PENDULUM,
        "algorithm": {**PPO, "use_sde": True, "sde_sample_freq": 4},
    },
    "A2C": {"algorithm": {"name": "A2C", "n_envs": 2, "n_steps": 16}},
    "TRPO": {"algorithm": {"name": "TRPO", "n_envs": 2, "n_steps": 16, "batch_size": 16}},
    "PPO, perturbed": {
        "env": {
            "id": "CartPole-v1",
            "perturb": [
                {"length": {"uniform": [0.4, 0.8]}},
                {"observation_noise": 0.1},
                {"observation_delay": 2},
                {"action_delay": 1},
            ],
        },
    },
    "SAC": {"env": PENDULUM, "algorithm": SAC},
    "DQN": {
        "algorithm": {"name": "DQN", **OFF_POLICY, "train_freq": 4, "target_update_interval": 16},
    },
    "TD3, normalised": {
        "env": PENDULUM,
        "algorithm": {
            "name": "TD3", **OFF_POLICY, **ROUNDS, "n_envs": 2, "action_noise_std": 0.1, "normalize": {},
            "policy_kwargs": {"net_arch": [16]},
        },
        "evaluation": {"every": 64, "episodes": 3, "diagnostics": True},
    },
    "PPO, MuJoCo": {
        "env": {"id": "Ant-v5", "perturb": [{"gravity": {"uniform": [8.0, 10.0]}}, {"time_limit": 30}]},
        "algorithm": {**PPO, "normalize": {}},
    },
    "PPO, compiled": {
        "training": {"total_steps": 128, "engine": "compiled", "keep": "best"},
        "evaluation": {"every": 64, "episodes": 3, "diagnostics": True},
    },
    "PPO, compiled, normalised": {
        "env": PENDULUM, "training": COMPILED,
        "algorithm": {**PPO, "normalize": {}, "policy_kwargs": {"net_arch": {"pi": [8], "vf": [8, 8]}}},
    },
    "A2C, compiled": {"training": COMPILED, "algorithm": {"name": "A2C", "n_envs": 2, "n_steps": 16}},
    "DQN, compiled": {
        "training": COMPILED,
        "algorithm": {"name": "DQN", **OFF_POLICY, "train_freq": 4, "target_update_interval": 16},
    },
}  # fmt: skip
"""What is run → the run's keys that make it so."""

SOURCE = {"training": {"total_steps": 64}, "evaluation": {"every": 64, "episodes": 1}}
TRUNK = {"copy": ["trunk"]}
STRATEGIES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "gradual": ({}, {**TRUNK, "freeze": ["trunk"], "gradual": {"start": 0.2, "end": 0.6}}),
    "gradual, compiled": (
        {"training": COMPILED},
        {**TRUNK, "freeze": ["trunk"], "gradual": {"start": 0.2}, "learning_rates": {"head": 0.5}},
    ),
    "low rank": ({}, {**TRUNK, "freeze": ["trunk"], "low_rank": {"rank": 2}}),
    "progressive": ({}, {**TRUNK, "progressive": True}),
    "kickstart, EWC": (
        {}, {**TRUNK, "kickstart": {"until": 1.0}, "anchor": {"kind": "ewc", "strength": 1.0, "samples": 4}},
    ),
    "match": ({}, {**TRUNK, "match": {"kind": "mmd", "samples": 64, "conditional": True}}),
    "match, off-policy": (
        {"env": PENDULUM, "algorithm": SAC}, {**TRUNK, "match": {"kind": "coral", "samples": 64}},
    ),
    "rates of parts": (
        {"env": PENDULUM, "algorithm": SAC},
        {**TRUNK, "learning_rates": {"trunk": 0.1}, "freeze": ["value_trunk"]},
    ),
    "guide": ({}, {**TRUNK, "guide": {"stages": 2, "horizon": 3, "share": 0.5}}),
    "guide, off-policy": (
        {"algorithm": {"name": "DQN", **OFF_POLICY, "train_freq": 4}}, {"guide": {"stages": 2, "horizon": 3}},
    ),
}  # fmt: skip
"""A strategy → the run's other keys, its verbs."""

LANDER = {"env": {"id": "LunarLander-v3"}}


Killing = Callable[..., RunFolder]


@pytest.fixture
def killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Killing:
    """Execute a run; its attempts are killed after a checkpoint at these rollouts, but for the last one."""

    def go(
        *rollouts: int, source: RunFolder | None = None, said: list[str] | None = None, **changes: Any
    ) -> RunFolder:
        if source is not None:
            changes["source"] = source.path.name
        training = {"total_steps": 128, **changes.pop("training", {})}
        spec = make_run(**changes, training={**training, "checkpoint_minutes": 1e-9})
        folder = RunStore(tmp_path / "killed").folder(run_id(spec))
        bundle = source.bundle if source else None
        say = (lambda _: None) if said is None else said.append
        for rollout in rollouts:
            with monkeypatch.context() as patch:
                kill_at(rollout, patch)
                with pytest.raises(Killed):
                    execute(spec, folder, bundle, say=say)
        execute(spec, folder, bundle, say=say)
        return folder

    return go


@pytest.mark.parametrize("name", RUNS)
def test_a_killed_run_ends_like_one_that_was_not(name: str, run: Execute, killed: Killing) -> None:
    said: list[str] = []
    whole, resumed = run(**RUNS[name]), killed(2, 2, said=said, **RUNS[name])
    places = [each["environments"] for each in resumed.record().get("resumed", ())]
    assert places == ["restored", "restored"], said
    assert numbers(resumed) == numbers(whole)


@pytest.mark.parametrize("name", STRATEGIES)
def test_a_killed_transfer_ends_like_one_that_was_not(name: str, run: Execute, killed: Killing) -> None:
    keys, verbs = STRATEGIES[name]
    source = run(store="sources", **{**keys, **SOURCE})
    changes = {**keys, "source": source, "strategy": verbs}
    said: list[str] = []
    whole, resumed = run(**changes), killed(3, said=said, **changes)
    assert len(resumed.record().get("resumed", ())) == 1, said
    assert numbers(resumed) == numbers(whole)


def test_a_run_that_goes_on_without_events_keeps_none_of_before(
    run: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = make_run(training={"total_steps": 128, "checkpoint_minutes": 1e-9})
    folder = RunStore(tmp_path / "killed").folder(run_id(spec))
    with monkeypatch.context() as patch:
        kill_at(2, patch)
        with pytest.raises(Killed):
            execute(spec, folder, say=lambda _: None)
    assert folder.tensorboard.is_dir()
    execute(spec, RunFolder(folder.path, events=False), say=lambda _: None)
    assert len(folder.record()["resumed"]) == 1
    assert not folder.tensorboard.exists()
    assert numbers(folder) == numbers(run())


def test_checkpoints_change_no_number_and_do_not_stay(run: Execute, killed: Killing) -> None:
    whole, checkpointed = run(), killed()
    assert checkpointed.path.name == whole.path.name, "they are no part of a run's identity"
    assert numbers(checkpointed) == numbers(whole)
    assert "resumed" not in checkpointed.record()
    assert not (checkpointed.path / FOLDER).exists()


def test_the_last_two_checkpoints_are_kept(killed: Killing, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = []

    def remove(self: Checkpoints) -> None:
        kept.append(sorted(path.name for path in self.path.iterdir()))

    monkeypatch.setattr(Checkpoints, "remove", remove)
    killed()
    assert kept == [["000000000064", "000000000096"]]


def test_environments_that_cannot_be_put_back_are_reset_and_the_record_says_so(
    run: Execute, killed: Killing
) -> None:
    said: list[str] = []
    resumed = killed(2, said=said, **LANDER)
    assert resumed.record()["resumed"] == [{"step": 32, "environments": "reset"}], said
    assert any("environments will be reset" in line and "SwigPyObject" in line for line in said), said
    assert [each["step"] for each in resumed.curve()] == [0, 64, 128]
    assert resumed.curve()[0] == run(**LANDER).curve()[0]


def test_the_same_checkpoint_gives_the_same_end_where_environments_are_reset(
    killed: Killing, tmp_path: Path
) -> None:
    first = numbers(killed(2, **LANDER))
    (tmp_path / "killed").rename(tmp_path / "other")
    assert numbers(killed(2, **LANDER)) == first


def test_environments_are_reset_with_seeds_of_their_own(
    killed: Killing, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = killed(2, **LANDER).curve()
    (tmp_path / "killed").rename(tmp_path / "other")
    monkeypatch.setattr(training_checkpoint, "resumption_seed", lambda run, step: step)
    assert killed(2, **LANDER).curve()[-1] != first[-1]


def test_a_hook_that_does_not_say_what_it_keeps_leaves_a_run_without_checkpoints(killed: Killing) -> None:
    said: list[str] = []
    folder = killed(said=said, strategy={"hooks": {"loss": f"{__name__}:Mute"}})
    reason = f"hooks.loss may keep something, and {__name__}:Mute has no state_dict and load_state_dict"
    assert f"no checkpoints are written: {reason}" in said
    assert folder.finished


class Mute(torch.nn.Module):
    """The methods of torch's modules know tensors alone, and do not count."""

    def __init__(self, context: HookContext) -> None:
        super().__init__()
        self.calls = 0

    def loss(self, model: object, parts: object, progress: float) -> None:
        self.calls += 1


class Counting:
    """A loss that depends on every earlier call of it."""

    def __init__(self, context: HookContext) -> None:
        self.generator = np.random.default_rng(context.seed)
        self.calls, self.seen = 0, torch.zeros(3)
        self.unwritable = iter(())

    def loss(self, model: Any, parts: object, progress: float) -> Any:
        self.calls += 1
        self.seen += torch.from_numpy(self.generator.random(3, np.float32))
        bias = model.policy.action_net.bias
        return 0.01 * self.seen.sum() / self.calls * bias.square().sum()

    def state_dict(self) -> dict[str, Any]:
        return {"calls": self.calls, "seen": self.seen, "generator": self.generator.bit_generator.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.calls = state["calls"]
        self.seen.copy_(state["seen"])
        self.generator.bit_generator.state = state["generator"]


class Pushing:
    """Rewards of training that depend on all environments' earlier steps."""

    def __init__(self, context: HookContext) -> None:
        self.generator, self.steps = np.random.default_rng(context.seed), [0]

    def wrap(self, env: Any) -> Any:
        return Pushed(env, self.generator, self.steps)

    def state_dict(self) -> dict[str, Any]:
        return {"generator": self.generator.bit_generator.state, "steps": [*self.steps]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.generator.bit_generator.state = state["generator"]
        self.steps[:] = state["steps"]


class Pushed(gym.Wrapper[Any, Any, Any, Any]):
    def __init__(self, env: Any, generator: np.random.Generator, steps: list[int]) -> None:
        super().__init__(env)
        self.generator, self.steps = generator, steps

    def step(self, action: Any) -> Any:
        observation, reward, *rest = self.env.step(action)
        self.steps[0] += 1
        return observation, float(reward) + self.generator.random() / self.steps[0], *rest


HOOKED = {"loss": {"loss": "Counting"}, "behaviour": {"behaviour": "Pushing"}}
HOOKED["both"] = {**HOOKED["loss"], **HOOKED["behaviour"]}


@pytest.mark.parametrize("name", HOOKED)
def test_a_killed_run_with_hooks_of_ones_own_ends_like_one_that_was_not(
    name: str, run: Execute, killed: Killing
) -> None:
    said: list[str] = []
    hooks = {kind: f"{__name__}:{hook}" for kind, hook in HOOKED[name].items()}
    changes = {"strategy": {"hooks": hooks}}
    whole, resumed = run(**changes), killed(2, 2, said=said, **changes)
    places = [each["environments"] for each in resumed.record().get("resumed", ())]
    assert places == ["restored", "restored"], said
    assert numbers(resumed) == numbers(whole)
    assert numbers(whole)["weights_digest"] != run().record()["weights_digest"], "the hooks matter"


def test_what_a_behaviour_keeps_is_carried_where_environments_are_reset(
    killed: Killing, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[dict[str, Any]] = []
    load = Pushing.load_state_dict

    def loads(self: Pushing, state: dict[str, Any]) -> None:
        loaded.append(state)
        load(self, state)

    monkeypatch.setattr(Pushing, "load_state_dict", loads)
    resumed = killed(2, **LANDER, strategy={"hooks": {"behaviour": f"{__name__}:Pushing"}})
    assert resumed.record()["resumed"] == [{"step": 32, "environments": "reset"}]
    assert [32] in [each["steps"] for each in loaded]


def test_a_checkpoint_that_a_hook_does_not_take_is_given_up(
    run: Execute, killed: Killing, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    changes = {"strategy": {"hooks": {"loss": f"{__name__}:Counting"}}}
    whole = run(**changes)

    def written(self: Counting) -> dict[str, Any]:
        return {"calls": self.calls}

    monkeypatch.setattr(CheckedHook, "check_state", lambda *_: None)
    monkeypatch.setattr(Counting, "state_dict", written)
    resumed = killed(2, said=said, **changes)
    assert any("load_state_dict(state) raised KeyError: 'seen'" in line for line in said), said
    assert "resumed" not in resumed.record()
    assert numbers(resumed) == numbers(whole)


class Late(Counting):
    """Keeps nothing until the second rollout is over, and takes up nothing."""

    def state_dict(self) -> dict[str, Any]:
        return {"calls": max(0, self.calls - 4)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        pass


def test_a_hook_that_takes_up_no_state_is_noticed_once_it_has_one(run: Execute, killed: Killing) -> None:
    said: list[str] = []
    changes = {"strategy": {"hooks": {"loss": f"{__name__}:Late"}}}
    whole, folder = run(**changes), killed(said=said, **changes)
    (line,) = [line for line in said if "no checkpoints" in line]
    assert "Late" in line
    assert "gave another state after load_state_dict" in line
    assert "resumed" not in folder.record()
    assert numbers(folder) == numbers(whole), "trying leaves no trace"


DAMAGE: dict[str, Callable[[Path], object]] = {
    "damaged": lambda path: _flip(path / "tensors.safetensors"),
    "cut off": lambda path: (path / "checkpoint.json").write_text('{"schema": 1, "run'),
    "its digest does not match": lambda path: _replace(path, '"step": 96', '"step": 64'),
    "No such file": lambda path: (path / "checkpoint.json").unlink(),
}


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def _replace(path: Path, old: str, new: str) -> None:
    text = (path / "checkpoint.json").read_text()
    assert old in text
    (path / "checkpoint.json").write_text(text.replace(old, new))


@pytest.mark.parametrize("damage", DAMAGE)
def test_of_a_damaged_checkpoint_the_one_before_it_is_taken(
    damage: str, run: Execute, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    spec = make_run(training={"total_steps": 128, "checkpoint_minutes": 1e-9})
    folder = RunStore(tmp_path / "killed").folder(run_id(spec))
    with monkeypatch.context() as patch:
        kill_at(4, patch, writing={3})
        with pytest.raises(Killed):
            execute(spec, folder, say=said.append)
    newest = folder.path / FOLDER / "000000000096"
    DAMAGE[damage](newest)
    execute(spec, folder, say=said.append)
    assert any(line.startswith("checkpoint 000000000096 is not used") for line in said), said
    assert folder.record()["resumed"] == [{"step": 64, "environments": "restored"}]
    assert numbers(folder) == numbers(run())


def test_a_checkpoint_of_other_versions_is_not_used(
    run: Execute, killed: Killing, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(training_run, "versions", lambda: {"torch": str(len(said))})
    folder = killed(2, said=said)
    assert any("written by another version" in line for line in said), said
    assert "resumed" not in folder.record()
    rest = {key: value for key, value in numbers(folder).items() if key != "versions"}
    assert rest == {key: value for key, value in numbers(run()).items() if key != "versions"}


def test_a_checkpoint_of_other_code_of_the_users_is_not_used(
    run: Execute, killed: Killing, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(frame_run, "code_of", lambda run: {"cars": f"sha256:{len(said)}"})
    folder = killed(2, said=said)
    assert any("or of your own code" in line for line in said), said
    assert "resumed" not in folder.record()
    assert folder.record()["code"] != {"cars": "sha256:0"}
    assert folder.curve() == run().curve()


def test_a_checkpoint_that_does_not_fit_is_given_up(
    run: Execute, killed: Killing, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []

    def without_policy(*arguments: Any, **keys: Any) -> Captured:
        state = capture(*arguments, **keys)
        policy = next(each for each in state.nodes if each.get("class", "").endswith("ActorCriticPolicy"))
        policy["class"] = "builtins.object"
        return state

    monkeypatch.setattr(training_checkpoint, "capture", without_policy)
    folder = killed(2, said=said)
    assert any("state.model.policy was a builtins.object" in line for line in said), said
    assert "resumed" not in folder.record()
    assert numbers(folder) == numbers(run())


DYING = """
import os, signal, sys

from rl_transfer.cli import main
from rl_transfer.frame.checkpoint import Checkpoints

write = Checkpoints.write

def writes_and_dies(self, *arguments):
    write(self, *arguments)
    if len(os.listdir(self.path)) == 2:
        os.kill(os.getpid(), signal.SIGKILL)

Checkpoints.write = writes_and_dies
main(sys.argv[1:])
"""


def test_a_run_that_is_killed_by_the_system_ends_like_one_that_was_not(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    config, output = tmp_path / "train.yaml", tmp_path / "out"
    config.write_text(TRAIN)
    words = ["train", str(config), "training.total_steps=192"]
    dying = [*words, "training.checkpoint_minutes=1e-9", "-o", str(output)]
    killed = subprocess.run([sys.executable, "-c", DYING, *dying], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not list(output.glob("runs/*/record.json")), "the kill must fall into the middle of the run"
    for folder in (output, tmp_path / "whole"):
        assert calling(capfd)(*words, "-o", str(folder)).code == 0
    resumed, whole = (find_run(folder) for folder in (output, tmp_path / "whole"))
    assert len(resumed.record()["resumed"]) == 1
    assert numbers(resumed) == numbers(whole)

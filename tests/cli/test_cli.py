"""The command line: bad input gives one message, its own exit code, and no traceback."""

import json
import sys
from pathlib import Path
from typing import Any

import gymnasium
import pytest

from support.cli import TRAIN, Call
from support.sweeps import SUITE, write_suite


@pytest.mark.parametrize("command", ["train", "transfer", "evaluate", "sweep", "report", "configs"])
def test_every_command_has_help_with_an_example(call: Call, command: str) -> None:
    outcome = call(command, "--help")
    assert outcome.code == 0
    assert "Example: rl-transfer" in outcome.out or command == "configs"


def test_train_transfer_evaluate(call: Call, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "transfer.yaml").write_text(
        TRAIN.replace("tiny-train", "tiny-transfer").replace("{id: CartPole-v1}", "cartpole-reversed-actions")
        + "strategy: frozen-trunk-new-head\n",
        encoding="utf-8",
    )
    outcome = call("transfer", "./transfer.yaml", "--source", str(trained), "-o", "target")
    assert outcome.code == 0, outcome.err
    assert "frozen" in outcome.out or "copied" in outcome.out
    again = call("transfer", "./transfer.yaml", "--source", str(trained), "-o", "target")
    assert "finished already" in again.out
    played = call("evaluate", str(tmp_path / "target"), "-e", "CartPole-v1", "--episodes", "3", "--json")
    assert len(json.loads(played.out)["returns"]) == 3
    same = call("evaluate", str(tmp_path / "target"), "-e", "CartPole-v1", "--episodes", "3", "--json")
    assert same.out == played.out


WINNING = """
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv


class Winning(CartPoleEnv):
    steps = 0

    def reset(self, *, seed=None, options=None):
        self.steps = 0
        return super().reset(seed=seed, options=options)

    def step(self, action):
        self.steps += 1
        observation, reward, over, truncated, info = super().step(action)
        return observation, reward, over, truncated, {**info, "lasted": self.steps >= 10}


gymnasium.register("Winning-v0", entry_point=Winning, max_episode_steps=500)
"""


def test_success_is_told_with_wilsons_interval(call: Call, trained: Path, tmp_path: Path) -> None:
    (tmp_path / "winning.py").write_text(WINNING, encoding="utf-8")
    command = ("evaluate", str(trained), "--env", "winning:Winning-v0", "--episodes", "20", "--json")
    by_info = json.loads(call(*command, "--success", "lasted").out)
    by_return = json.loads(call(*command, "--success", "10").out)
    assert by_info["successes"] == by_return["successes"] == [each >= 10 for each in by_info["returns"]]
    hits = sum(by_info["successes"])
    n, z = 20, 1.959964
    centre = (hits / n + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (hits / n * (1 - hits / n) / n + (z / (2 * n)) ** 2) ** 0.5
    found = by_info["success"]
    assert (found["info"], found["hits"], found["rate"]) == ("lasted", hits, hits / n)
    assert (found["low"], found["high"]) == pytest.approx((centre - half, centre + half), abs=1e-6)
    assert by_return["success"] == {**{k: v for k, v in found.items() if k != "info"}, "return": 10.0}
    plain = json.loads(call(*command).out)
    assert plain == {k: v for k, v in by_info.items() if k not in ("success", "successes")}

    told = call(*command[:-1], "--success", "-1")
    assert (
        "success (return ≥ -1): 20 of 20 episodes, rate 1.000, Wilson's 95% interval [0.839, 1.000]"
        in told.out
    )
    never = call(*command, "--success", "is_success")
    assert never.code == 4
    assert "its info has no 'is_success', but lasted. Name another entry" in never.err
    for wrong in ("nan", "inf", " "):
        assert call(*command, "--success", wrong).code == 3


def test_a_run_without_events_is_not_said_to_have_any(call: Call, trained: Path, tmp_path: Path) -> None:
    assert call("train", "./train.yaml", "-o", "again").out.count("tensorboard --logdir") == 1
    outcome = call("train", "./train.yaml", "-o", "silent", "--no-events")
    assert outcome.code == 0, outcome.err
    assert "TensorBoard" not in outcome.out
    assert not list((tmp_path / "silent").rglob("*tfevents*"))
    (one,), (other,) = ((tmp_path / each / "runs").iterdir() for each in ("silent", "again"))
    assert one.name == other.name
    assert (one / "curve.jsonl").read_bytes() == (other / "curve.jsonl").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "code", "expected"),
    [
        (["sweep", "quickstrat"], 3, "Did you mean 'quickstart'?"),
        (["sweep", "./none.yaml"], 3, "no such file"),
        (["sweep", "quickstart", "training.total_step=3"], 3, "Did you mean 'total_steps'?"),
        (["sweep", "quickstart", "sources.cartpole.env.id=CartPoll-v1"], 4, "CartPole-v1"),
        (["sweep", "quickstart", "targets.longer-pole.env.perturb.0={lenght: x2}"], 4, "length"),
        (["sweep", "quickstart", "targets.longer-pole.env.perturb.0={length: 1e9}"], 4, "bound"),
        (["sweep", "quickstart", "strategies.2.freeze=[policy_trunc]"], 5, "policy_trunk"),
        (["sweep", "quickstart", "strategies.2.freeze=[all]"], 5, "leaves nothing to train"),
        (
            ["sweep", "quickstart", "sources.cartpole.env={id: Acrobot-v1}"],
            5,
            "fine-tune.yaml:4:1: strategies.1.copy",
        ),
        (["evaluate", "nowhere"], 6, "no such file or folder; a source is a bundle or run folder"),
        (["report", "nowhere"], 7, "nowhere"),
        (["sweep"], 2, "Missing argument"),
        (["sweeep"], 2, "sweep"),
        (["configs", "show", "quickstrat"], 3, "Did you mean 'quickstart'?"),
    ],
)
def test_bad_input(call: Call, arguments: list[str], code: int, expected: str) -> None:
    outcome = call(*arguments)
    assert outcome.code == code, outcome.err
    assert expected in outcome.err


def test_an_error_deep_in_the_suite_names_file_and_line(call: Call) -> None:
    outcome = call("sweep", "quickstart", "strategies.2.freeze=[policy_trunc]")
    assert "command line (strategies.2.freeze=[policy_trunc])" in outcome.err
    outcome = call("sweep", "quickstart", "sources.cartpole.env={id: Acrobot-v1}")
    assert "frozen-trunk-new-head.yaml:" in outcome.err or "fine-tune.yaml:" in outcome.err


def test_a_folder_that_cannot_be_written(call: Call, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    outcome = call("sweep", str(write_suite(tmp_path)), "-o", "file/out")
    assert outcome.code == 7
    assert "choose another with --output" in outcome.err


def test_a_bundle_that_is_none(call: Call, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("hello", encoding="utf-8")
    outcome = call("evaluate", "notes")
    assert outcome.code == 6
    assert "neither a finished run nor a policy bundle" in outcome.err


def test_a_truncated_bundle(call: Call, trained: Path) -> None:
    (tensors,) = trained.glob("runs/*/bundle/tensors.safetensors")
    tensors.write_bytes(tensors.read_bytes()[:100])
    outcome = call("evaluate", str(trained))
    assert outcome.code == 6
    assert "truncated" in outcome.err


def test_spaces_that_do_not_fit(call: Call, trained: Path) -> None:
    outcome = call("evaluate", str(trained), "-e", "Acrobot-v1")
    assert outcome.code == 5
    assert "observation space" in outcome.err


def test_dry_run_trains_nothing(call: Call, tmp_path: Path) -> None:
    outcome = call("sweep", str(write_suite(tmp_path)), "--dry-run", "-o", "out")
    assert outcome.code == 0, outcome.err
    assert "reversed/fine-tune/seed-1" in outcome.out
    # 2 sources, 2 random policies; scratch on base-again equals the sources: 2 × 4 + 2 × 3 other targets.
    assert "source:   2 runs, 0 of them finished" in outcome.out
    assert "to do:    18 runs, 1,536 environment steps" in outcome.out
    assert "time:     unknown" in outcome.out
    assert "disk:     unknown" in outcome.out
    assert not (tmp_path / "out").exists(), "a dry run writes nothing"


PRINTING = """\
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

print("imported")

class Printing(CartPoleEnv):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        print("built")

gymnasium.register("Printing-v0", Printing, max_episode_steps=5)
"""


@pytest.mark.parametrize(
    "command",
    [
        ("sweep", "suite.yaml", "--dry-run", "--json-lines", "-o", "out"),
        ("evaluate", "source", "--module", "printing_module", "--env", "Printing-v0", "--json"),
    ],
    ids=["sweep", "evaluate"],
)
def test_what_a_module_prints_is_not_among_the_json(
    command: tuple[str, ...], call: Call, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = trained.parent
    (folder / "printing_module.py").write_text(PRINTING, encoding="utf-8")
    suite = SUITE.replace("  base:", "  own: {env: {id: Printing-v0, env_module: printing_module}}\n  base:")
    (folder / "suite.yaml").write_text(suite, encoding="utf-8")
    monkeypatch.syspath_prepend(folder)
    try:
        outcome = call(*command)
    finally:
        sys.modules.pop("printing_module", None)
        gymnasium.registry.pop("Printing-v0", None)
    assert outcome.code == 0, outcome.err
    assert all(map(json.loads, outcome.out.splitlines() if command[0] == "sweep" else [outcome.out]))
    assert "imported\n" in outcome.err
    assert "built\n" in outcome.err


BREAKING = """\
import gymnasium
from gymnasium.envs.classic_control import CartPoleEnv

class Breaking(CartPoleEnv):
    def __init__(self, early=False, **kwargs):
        if early:
            raise RuntimeError("no [b]road[/b]")
        super().__init__(**kwargs)

    def step(self, action):
        return {}["speed"]

gymnasium.register("Breaking-v0", Breaking, max_episode_steps=5)
"""


@pytest.mark.parametrize("early", [True, False])
def test_an_environment_that_breaks_is_named_without_a_traceback(
    early: bool, call: Call, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "breaking_module.py").write_text(BREAKING, encoding="utf-8")
    env = f"{{id: Breaking-v0, env_module: breaking_module, kwargs: {{early: {str(early).lower()}}}}}"
    (tmp_path / "train.yaml").write_text(TRAIN.replace("{id: CartPole-v1}", env), encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    try:
        outcome = call("train", "./train.yaml", "-o", "out")
    finally:
        sys.modules.pop("breaking_module", None)
        gymnasium.registry.pop("Breaking-v0", None)
    (failure,) = (tmp_path / "out" / "runs").glob("*/failure.json")
    message = json.loads(failure.read_text("utf-8"))["message"]
    assert message in outcome.err
    if early:
        assert outcome.code == 4
        assert "RuntimeError: no [b]road[/b]" in message
    else:
        assert outcome.code == 8
        assert message == "KeyError: 'speed' (breaking_module.py, line 11)"
        assert "Traceback" in (failure.parent / "log.txt").read_text("utf-8")


def test_what_was_decided_on_engines_is_told_to_people_and_scripts(call: Call, tmp_path: Path) -> None:
    held = "strategies=[scratch, {name: held, copy: [all], freeze: [trunk], low_rank: {}}]"
    few = [
        "seeds=1",
        "targets={reversed: cartpole-reversed-actions}",
        held,
        "sources.base.training.engine=sb3",
    ]
    command = ["sweep", str(write_suite(tmp_path)), *few, "--dry-run", "-o", "out"]
    reason = "not compiled, strategy 'held': low_rank: adapters are not compiled"
    line = f"engine sb3: {reason} (1 target: reversed)"
    assert line in call(*command, "training.engine=auto").out
    (note,) = [
        each
        for each in events(call(*command, "training.engine=auto", "--json-lines").out)
        if each["event"] == "note"
    ]
    assert note["text"] == line
    assert "engine" not in call(*command, "training.engine=sb3").out
    assert line in call(*command).out, "who says nothing asks for auto"
    refused = call(*command, "training.engine=compiled")
    assert refused.code == 5
    assert refused.err.startswith("error: command line (training.engine=compiled): training.engine: ")


@pytest.mark.full
@pytest.mark.usefixtures("no_workers")
def test_a_dry_run_and_events_can_be_read_by_scripts(call: Call, tmp_path: Path) -> None:
    suite = str(write_suite(tmp_path))
    small = ["seeds=1", "targets={reversed: cartpole-reversed-actions}", "strategies=[scratch, fine-tune]"]
    planned = events(call("sweep", suite, *small, "--dry-run", "--json-lines", "-o", "out").out)
    by_event = {each["event"]: each for each in planned}
    assert {*by_event} == {"note", "planned"}
    assert "engine compiled: everything fits" in by_event["note"]["text"]
    assert [by_event["planned"][key] for key in ("runs", "steps", "seconds")] == [4, 256, None]

    outcome = call("sweep", suite, *small, "--json-lines", "-j", "2", "-o", "out")
    assert outcome.code == 0, outcome.err
    told = events(outcome.out)
    (plan,) = [each for each in told if each["event"] == "planned"]
    assert (plan["runs"], plan["reused"]) == (4, 0)
    for what in ("started", "finished"):
        assert len({each["id"] for each in told if each["event"] == what}) == 4
    last = [each for each in told if each["event"] == "progress"][-1]
    assert (last["done"], last["total"], last["eta"], last["steps"]) == (4, 4, 0.0, 256)
    assert Path(told[-1]["summary"]).is_file()

    planned = events(call("sweep", suite, *small, "--dry-run", "--json-lines", "-o", "out").out)
    (again,) = [each for each in planned if each["event"] == "planned"]
    assert (again["reused"], again["steps"], again["bytes"]) == (4, 0, 0)
    more = call("sweep", suite, *small[1:], "--dry-run", "-o", "out").out
    assert "target:   4 runs, 2 of them finished" in more
    assert "by 4 finished runs in out" in more
    assert "unknown" not in more

    quiet = call("sweep", suite, *small, "--quiet", "-o", "out")
    assert quiet.out.startswith("4/4 runs done (4 reused)")
    assert not quiet.err


def events(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_configs_are_listed_shown_and_copied(call: Call, tmp_path: Path) -> None:
    assert "quickstart" in call("configs", "list").out
    assert "total_steps: 6144" in call("configs", "show", "suites/quickstart").out
    assert call("configs", "copy", "quickstart", "mine.yaml").code == 0
    assert (tmp_path / "mine.yaml").read_text(encoding="utf-8").startswith("# One source")
    again = call("configs", "copy", "quickstart", "mine.yaml")
    assert again.code == 7
    assert "not overwritten" in again.err

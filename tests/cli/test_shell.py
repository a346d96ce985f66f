"""What the shell makes easy: lists that are not cut, JSON for scripts, completion, hints."""

import json
from pathlib import Path

import pytest
import typer

from rl_transfer.cli.app import app
from rl_transfer.sweep.dispatch import SUITES, TRANSFER
from rl_transfer.sweep.dispatch import TRAIN as TRAIN_CONFIGS
from support.cli import TRAIN, Call
from support.untyped import untyped

SUITE = """\
name: mine
sources: {base: {env: {id: CartPole-v1}}}
targets: [cartpole-longer-pole]
strategies:
  - scratch
  - partial-freeze
algorithm: {name: PPO, n_envs: 2, n_steps: 16, batch_size: 16, n_epochs: 1}
training: {total_steps: 64}
evaluation: {every: 32, episodes: 2}
"""


def test_every_knob_has_a_line_of_its_own_however_narrow_the_terminal(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    rows = json.loads(call("envs", "show", "CartPole-v1", "--json").out)
    printed = call("envs", "show", "CartPole-v1").out.splitlines()
    assert [line.split()[0] for line in printed[1 : 1 + len(rows)]] == [row["name"] for row in rows]
    assert "source" not in printed[0]
    verbose = call("envs", "show", "CartPole-v1", "-v").out.splitlines()
    assert all(row["source"] in line for row, line in zip(rows, verbose[1:], strict=False))


def test_configs_are_listed_by_kind_and_text(call: Call) -> None:
    rows = json.loads(call("configs", "list", "targets", "--match", "GRAVITY", "--json").out)
    assert rows
    assert all(row["kind"] == "targets" for row in rows)
    assert all("gravity" in (row["name"] + row["summary"]).casefold() for row in rows)
    printed = call("configs", "list", "targets", "-m", "gravity").out.splitlines()
    assert [line.split()[1] for line in printed[1:]] == [row["name"] for row in rows]
    assert "has 'unobtainium' in its name" in call("configs", "list", "-m", "unobtainium").out
    refused = call("configs", "list", "strategis")
    assert refused.code == 3
    assert "Did you mean 'strategies'?" in refused.err


def test_a_config_and_the_environments_as_json(call: Call) -> None:
    assert json.loads(call("configs", "show", "quickstart", "--json").out)["name"] == "quickstart"
    ids = [row["environment"] for row in json.loads(call("envs", "list", "--json").out)]
    assert "CartPole-v1" in ids


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("sweep quick", {"quickstart"}),
        ("train cart", {"cartpole"}),
        ("transfer cart", {"cartpole-reversed"}),
        ("transfer cartpole-reversed strategy=fine", {"strategy=fine-tune"}),
        ("envs show CartPole-v", {"CartPole-v0", "CartPole-v1"}),
        ("configs list targ", {"targets"}),
        ("configs show suites/quick", {"suites/quickstart"}),
        ("evaluate policy --env CartPole-v", {"CartPole-v0", "CartPole-v1"}),
        ("sweep quickstart seeds=", set()),
    ],
)
def test_the_shell_completes_names(
    words: str, expected: set[str], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("_RL_TRANSFER_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_CWORD", str(len(words.split())))
    monkeypatch.setenv("COMP_WORDS", f"rl-transfer {words}")
    with pytest.raises(SystemExit):
        app(prog_name="rl-transfer")
    assert set(capfd.readouterr().out.split()) == expected


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        (("train", "cartpole", "--seed", "1"), "seed=…"),
        (("sweep", "quickstart", "--total-steps", "64"), "training.total_steps=…"),
        (("sweep", "quickstart", "--colour"), None),
    ],
)
def test_a_setting_that_is_written_as_an_option(
    call: Call, words: tuple[str, ...], setting: str | None
) -> None:
    outcome = call(*words)
    assert outcome.code == 2
    assert ("Settings are written without dashes" in outcome.err) == (setting is not None)
    assert (setting or "") in outcome.err


@pytest.mark.parametrize(
    ("words", "option"),
    [
        (("sweep", "quickstart", "workers=1"), "--workers 1"),
        (("sweep", "quickstart", "seeds=3", "runs_per_worker=1"), "--runs-per-worker 1"),
        (("sweep", "quickstart", "dry-run=true"), "--dry-run"),
        (("train", "cartpole", "output=here"), "--output here"),
        (("transfer", "cartpole-reversed", "events=false", "-s", "x"), "--no-events"),
    ],
)
def test_an_option_that_is_written_as_a_setting(call: Call, words: tuple[str, ...], option: str) -> None:
    outcome = call(*words)
    assert outcome.code == 2
    assert outcome.err.rstrip().endswith(f"options are written with dashes: {option}")


def test_a_flag_that_is_off_anyway_is_left_out(call: Call) -> None:
    outcome = call("sweep", "quickstart", "quiet=no")
    assert outcome.code == 2
    assert "quiet=no: that is so unless --quiet is given; leave it out" in " ".join(outcome.err.split())


def test_no_option_is_called_like_a_setting() -> None:
    models = [*TRAIN_CONFIGS.values(), *TRANSFER.values(), *SUITES.values()]
    settings = {name for each in models for name in each.model_fields}
    commands = untyped(typer.main.get_command(app)).commands
    options = {each.name for name in ("train", "transfer", "sweep") for each in commands[name].params}
    assert "workers" in options
    assert not settings & options, "KEY=VALUE would be refused"


def test_a_file_beside_is_suggested(call: Call, tmp_path: Path) -> None:
    (tmp_path / "walker.yaml").write_text(TRAIN, encoding="utf-8")
    outcome = call("train", str(tmp_path / "wlaker.yaml"))
    assert outcome.code == 3
    assert "no such file. Did you mean 'walker.yaml'?" in outcome.err
    assert "Did you mean" not in call("train", str(tmp_path / "nowhere" / "walker.yaml")).err


def test_long_lists_are_cut_and_say_where_the_rest_is(call: Call) -> None:
    outcome = call("sweep", "zebra")
    assert "more; see them all: rl-transfer configs list suites" in outcome.err


def test_a_mistake_in_a_shipped_strategy_points_at_the_line_that_names_it(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(
        SUITE.replace("n_steps: 16", "n_steps: 16, policy_kwargs: {net_arch: []}")
    )
    outcome = call("sweep", str(tmp_path / "mine.yaml"), "--dry-run")
    assert outcome.code == 5, outcome.err
    assert f"{tmp_path / 'mine.yaml'}:6:5 (which names strategies/partial-freeze.yaml:4)" in outcome.err


def test_a_policy_as_json(call: Call, trained: Path) -> None:
    rows = json.loads(call("policies", "inspect", str(trained), "--json").out)
    assert {"part", "tensor", "digest"} <= rows[0].keys()


@pytest.mark.full
@pytest.mark.usefixtures("no_workers")
def test_a_report_as_json(call: Call, tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(SUITE.replace("  - partial-freeze\n", ""), encoding="utf-8")
    assert call("sweep", "./mine.yaml", "seeds=1", "-o", "out", "-q", "-j", "1").code == 0
    found = call("report", "out", "--json")
    assert found.code == 0
    assert json.loads(found.out) == json.loads(
        (tmp_path / "out" / "summary.json").read_text(encoding="utf-8")
    )

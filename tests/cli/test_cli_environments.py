"""``envs`` and ``policies`` on the command line."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from rl_transfer_envs.check import conformance
from support.cli import Call


def test_environments_are_listed_counted_and_shown(call: Call) -> None:
    listed = call("envs", "list")
    assert "CartPole-v1" in listed.out
    assert "environment parameters" in listed.out
    shown = call("envs", "show", "CartPole-v1").out
    assert "masspole" in shown
    assert "observations: 0 cart_position, 1 cart_velocity, 2 pole_angle, 3 pole_angular_velocity" in shown
    unknown = call("envs", "show", "CartPoll-v1")
    assert unknown.code == 4
    assert "CartPole-v1" in unknown.err


def test_a_shipped_target_passes_the_conformance_kit(call: Call) -> None:
    outcome = call("envs", "check", "cartpole-longer-pole")
    assert outcome.code == 0, outcome.err
    assert " pass" in outcome.out
    assert "fail" not in outcome.out


def test_check_wants_one_environment_or_all(call: Call) -> None:
    assert call("envs", "check").code == 3
    assert call("envs", "check", "CartPole-v1", "--all").code == 3


def test_checking_everything_says_how_far_it_is_where_no_terminal_shows_it(
    call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rows(target: object, *, wrappers: bool) -> Iterator[dict[str, str]]:
        for name in ("Alpha-v0", "Alpha-v0", "Beta-v0"):
            keys = ("perturbation", "check", "value", "detail")
            yield {"environment": name, **dict.fromkeys(keys, "-"), "status": "pass"}

    monkeypatch.setattr(conformance, "check_rows", rows)
    outcome = call("envs", "check", "--all")
    assert outcome.err.splitlines() == ["checking Alpha-v0", "checking Beta-v0"]
    assert outcome.out == "3 pass\n"
    assert call("envs", "check", "CartPole-v1").err == ""


def test_a_preview_is_drawn(call: Call, tmp_path: Path) -> None:
    outcome = call("envs", "preview", "cartpole-longer-pole", "-o", "sheet.png", "--steps", "8")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_a_policy_is_inspected_exported_and_imported_again(call: Call, trained: Path, tmp_path: Path) -> None:
    assert "policy_trunk" in call("policies", "inspect", str(trained)).out
    outcome = call("policies", "export", str(trained), "--sb3", "policy.zip")
    assert outcome.code == 0, outcome.err
    outcome = call("policies", "import", "policy.zip", "-o", "again", "-a", "PPO", "-e", "CartPole-v1")
    assert outcome.code == 0, outcome.err
    first = call("evaluate", str(trained), "-e", "CartPole-v1", "--episodes", "3", "--json")
    second = call("evaluate", "again", "-e", "CartPole-v1", "--episodes", "3", "--json")
    assert first.out == second.out

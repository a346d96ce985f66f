"""What the shell is told of the Hub when nobody answers there."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import constants

from cli.test_shell import SUITE
from rl_transfer.errors import BundleError
from rl_transfer.rl.sources import hub


def test_without_a_connection_the_hub_is_given_up_soon(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The port is taken and nobody listens: connections are refused."""
    taken = socket.socket()
    taken.bind(("127.0.0.1", 0))
    endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)

    def refuse(*_: object, **given: object) -> None:
        assert given["local_files_only"], "nobody is asked over the network"
        raise hub_errors.LocalEntryNotFoundError("not here")

    from huggingface_hub import errors as hub_errors

    monkeypatch.setattr("huggingface_hub.hf_hub_download", refuse)
    with pytest.raises(BundleError, match="the Hub cannot be reached"):
        hub.fetch("hf://sb3/ppo-CartPole-v1")
    taken.close()


def test_what_the_hub_does_not_give_is_told_before_anything_heavy_is_imported(tmp_path: Path) -> None:
    """A command that waits for seconds of imports first is no answer to a wrong address."""
    (tmp_path / "mine.yaml").write_text(SUITE.replace("env: {id: CartPole-v1}", "policy: hf://me/agent"))
    commands = [
        ("evaluate hf://me/agent -e CartPole-v1", "agent.zip of me/agent is not in the local cache"),
        ("evaluate hf://agent", "'hf://agent' is no address on the Hub"),
        ("policies inspect hf://me/agent", "the Hub cannot be reached"),
        ("policies import hf://me/agent/best.zip -o here", "best.zip of me/agent is not"),
        ("transfer cartpole-reversed -s hf://me/agent", "the Hub cannot be reached"),
        ("transfer image-letters-other-faces -s hf://me/letters", "bundle.json of me/letters is not"),
        ("transfer image-letters-other-faces -s hf://me/a/b.zip", "with a bundle, as `rl-transfer policies"),
        ("recommend -t CartPole-v1 -s hf://me/agent", "the Hub cannot be reached"),
        ("sweep ./mine.yaml", "mine.yaml:2:18: sources.base.policy: agent.zip of me/agent is not"),
    ]
    program = (
        "import sys\nfrom rl_transfer.cli.app import run\nfrom rl_transfer.errors import BundleError\n"
        f"for words, expected in {commands!r}:\n"
        "    try:\n        run(words.split())\n"
        "    except BundleError as error:\n        assert expected in error.message, error.message\n"
        "    else:\n        raise AssertionError(words)\n"
        "heavy = {'torch', 'gymnasium', 'stable_baselines3', 'scipy', 'matplotlib', 'tensorboard'}\n"
        "assert not heavy & {*sys.modules}, heavy & {*sys.modules}\n"
    )
    nowhere = {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path), "HF_ENDPOINT": "http://127.0.0.1:1"}
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path, env={**os.environ, **nowhere}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr

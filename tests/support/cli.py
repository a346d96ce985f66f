"""Calling the command line in a test."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from rl_transfer.cli import main

TRAIN = """\
name: tiny-train
env: {id: CartPole-v1}
algorithm: {name: PPO, n_envs: 2, n_steps: 16, batch_size: 16, n_epochs: 1}
training: {total_steps: 64}
evaluation: {every: 32, episodes: 2}
"""


@dataclass
class Outcome:
    code: int
    out: str
    err: str


Call = Callable[..., Outcome]


def calling(capfd: pytest.CaptureFixture[str]) -> Call:
    """The command line as a function of its arguments."""

    def go(*arguments: str) -> Outcome:
        with pytest.raises(SystemExit) as caught:
            main(list(arguments))
        captured = capfd.readouterr()
        code = caught.value.code
        assert "Traceback" not in captured.err
        return Outcome(code if isinstance(code, int) else 1, captured.out, captured.err)

    return go

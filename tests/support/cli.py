"""Calling the command line in a test."""

from collections.abc import Callable
from dataclasses import dataclass

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

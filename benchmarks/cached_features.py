"""What it saves to keep the features of frozen trunks over PPO's epochs, side by side.

    python benchmarks/cached_features.py                # about three minutes on one core
    python benchmarks/cached_features.py --repeats 1    # a quick look

Every case trains the same model on the same rollouts twice, with and without the cache, one after the
other in every repeat. Times are CPU seconds of one thread, so that a busy machine counts less; the
table shows their medians over the repeats and the median of the ratios. "update" is SB3's ``train()``,
"learn" is collecting and updating together. The weights must be equal to the bit, or the benchmark fails.
"""

from __future__ import annotations

import argparse
import platform
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.torch_layers import NatureCNN

from rl_transfer import core
from rl_transfer.rl.policies.extractors import SmallCNN
from rl_transfer.rl.policies.parts import policy_parts
from rl_transfer.rl.strategy import cached_features

ROLLOUTS = 4
PIXELS = "rl_transfer_envs:PixelCatch-v0"
N_ENVS = 8


@dataclass(frozen=True)
class Case:
    """A model with a frozen part."""

    name: str
    env: str
    freeze: tuple[str, ...]
    n_epochs: int
    batch_size: int
    n_steps: int
    policy_kwargs: dict[str, Any] = field(default_factory=dict)


CASES = (
    Case("MLP 64-64, trunk frozen", "CartPole-v1", ("trunk",), 10, 64, 64),
    Case("MLP 256-256, trunk frozen", "CartPole-v1", ("trunk",), 10, 64, 64, {"net_arch": [256, 256]}),
    Case(
        "SmallCNN, frozen, linear heads",
        PIXELS, ("trunk",), 4, 128, 64, {"features_extractor_class": SmallCNN, "net_arch": []},
    ),
    Case(
        "SmallCNN, frozen, MLP 64-64 trained",
        PIXELS, ("features",), 10, 128, 64, {"features_extractor_class": SmallCNN},
    ),
    Case(
        "NatureCNN, frozen, linear heads",
        PIXELS, ("trunk",), 10, 128, 64, {"features_extractor_class": NatureCNN},
    ),
)  # fmt: skip


class Clock:
    """Adds up the CPU time of a model's updates; the class of the model stays SB3's own."""

    def __init__(self, model: PPO) -> None:
        self.updating = 0.0
        self._train = model.train
        model.train = self.train  # type: ignore[method-assign]

    def train(self) -> None:
        """SB3's update, timed."""
        begun = time.process_time()
        self._train()
        self.updating += time.process_time() - begun


def measure(case: Case, cached: bool) -> tuple[float, float, dict[str, torch.Tensor]]:
    """CPU seconds of updating and of learning, and the weights at the end."""
    model = PPO(
        "CnnPolicy" if case.env == PIXELS else "MlpPolicy",
        make_vec_env(case.env, N_ENVS, seed=0),
        n_steps=case.n_steps, batch_size=case.batch_size, n_epochs=case.n_epochs,
        policy_kwargs=dict(case.policy_kwargs), seed=0, device="cpu",
    )  # fmt: skip
    parts = policy_parts("PPO", model.policy)
    frozen = core.freeze(model.policy, parts, case.freeze)
    if cached:
        answer = cached_features.install(model, parts, frozen)
        if answer != cached_features.CACHED:
            raise SystemExit(f"{case.name}: not cached, {answer}")
    clock = Clock(model)
    begun = time.process_time()
    model.learn(ROLLOUTS * case.n_steps * N_ENVS)
    return clock.updating, time.process_time() - begun, model.policy.state_dict()


def compare(case: Case, repeats: int) -> np.ndarray[Any, Any]:
    """CPU seconds ``[repeat, without and with cache, update and learn]``."""
    times = np.zeros((repeats, 2, 2))
    for repeat in range(repeats):
        weights = []
        for index, cached in enumerate((False, True)):
            *times[repeat, index], state = measure(case, cached)
            weights.append(state)
        if not all(torch.equal(tensor, weights[1][name]) for name, tensor in weights[0].items()):
            raise SystemExit(f"{case.name}: the weights differ")
    return times


def rows(repeats: int) -> Iterator[str]:
    """The table, line by line."""
    yield "| frozen network | epochs | update, s | with cache | ratio | learn, s | with cache | ratio |"
    yield "|---|---|---|---|---|---|---|---|"
    for case in CASES:
        times = compare(case, repeats)
        seconds = np.median(times, axis=0)
        ratios = np.median(times[:, 0] / times[:, 1], axis=0)
        cells = [
            cell
            for part in (0, 1)
            for cell in (f"{seconds[0, part]:.3f}", f"{seconds[1, part]:.3f}", f"{ratios[part]:.2f}")
        ]
        yield f"| {case.name} | {case.n_epochs} | {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--repeats", type=int, default=7, help="runs of every contender (default: 7)")
    given = parser.parse_args()
    torch.set_num_threads(1)
    measure(CASES[0], cached=True)  # the first run of a process pays for imports
    machine = f"{platform.machine()}, Python {platform.python_version()}, torch {torch.__version__}"
    print(f"{machine}; {ROLLOUTS} rollouts, medians of {given.repeats} repeats\n")
    for line in rows(given.repeats):
        print(line, flush=True)


if __name__ == "__main__":
    main()

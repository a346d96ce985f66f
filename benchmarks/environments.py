"""Steps per second of the batched environments against Gymnasium's ways to run many instances.

    python benchmarks/environments.py
    python benchmarks/environments.py --environments CartPole-v1 --instances 8 64 --repeats 3

Every contender plays the same uniformly random actions on Gymnasium's own, unperturbed environment
and resets finished episodes. One step of n instances counts n. The contenders take turns within
every repeat, so a busy machine slows them all; the tables show medians over the repeats, and how
many times as fast the batched environment is. Starting the instances is not timed.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from typing import Any

import gymnasium as gym
import numpy as np
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from rl_transfer.rl.environments.batch import BatchedVecEnv
from rl_transfer_envs import vector

CLASSIC = ("CartPole-v1", "Acrobot-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Pendulum-v1")
NOISY = {
    "id": "CartPole-v1",
    "perturb": [{"length": "x2"}, {"observation_noise": 0.05}, {"action_remap": "reverse"}],
}
ACTIONS, BURST = 1024, 4

Advance = Callable[[Any], Any]


class Loop:
    """``count`` environments of ``gymnasium.make``, stepped and reset one after another."""

    def __init__(self, env_id: str, count: int) -> None:
        self.envs = [gym.make(env_id) for _ in range(count)]
        for seed, env in enumerate(self.envs):
            env.reset(seed=seed)

    def step(self, actions: Any) -> None:
        """One step of every environment."""
        for env, action in zip(self.envs, actions, strict=True):
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()

    def close(self) -> None:
        """Close every environment."""
        for env in self.envs:
            env.close()


def gymnasium_contenders(env_id: str, count: int) -> dict[str, Callable[[], Any]]:
    """Name → how to start it."""
    return {
        "gym.make loop": lambda: Loop(env_id, count),
        "make_vec(sync)": lambda: gym.make_vec(env_id, count, vectorization_mode="sync"),
        "make_vec(async)": lambda: gym.make_vec(env_id, count, vectorization_mode="async"),
        "batched": lambda: vector.make(env_id, count),
    }


def sb3_contenders(env_id: str, count: int) -> dict[str, Callable[[], Any]]:
    """As above, through SB3's interface."""
    return {
        "DummyVecEnv": lambda: DummyVecEnv([lambda: Monitor(gym.make(env_id)) for _ in range(count)]),
        "batched": lambda: BatchedVecEnv([env_id] * count),
    }


def perturbed_contenders(count: int) -> dict[str, Callable[[], Any]]:
    """A perturbed environment: longer pole, noisy observation, reversed actions."""
    base, perturb = NOISY["id"], NOISY["perturb"]

    def sync() -> Any:
        return gym.make_vec(
            "rl_transfer_envs:Perturbed-v0", count, vectorization_mode="sync", base=base, perturb=perturb
        )

    return {"make_vec(sync)": sync, "batched": lambda: vector.make(NOISY, count)}


def actions_of(env: Any, count: int) -> list[Any]:
    """Random actions, drawn before the clock starts."""
    space = env.envs[0].action_space if isinstance(env, Loop) else getattr(env, "single_action_space", None)
    space = env.action_space if space is None else space
    space.seed(0)
    return [np.array([space.sample() for _ in range(count)]) for _ in range(ACTIONS)]


def advance(step: Advance, actions: Iterator[Any], seconds: float) -> float:
    """Batch steps per second over about ``seconds``."""
    start, done = time.perf_counter(), 0
    while (passed := time.perf_counter() - start) < seconds:
        for _ in range(BURST):
            step(next(actions))
        done += BURST
    return done / passed


def endless(actions: Sequence[Any]) -> Iterator[Any]:
    while True:
        yield from actions


def race(
    contenders: dict[str, Callable[[], Any]], count: int, repeats: int, seconds: float
) -> dict[str, float]:
    """Median instance-steps per second of each contender."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    with ExitStack() as open_envs:
        runners = {}
        for name, start in contenders.items():
            env = open_envs.enter_context(closing(start()))
            if isinstance(env, VecEnv):
                env.reset()
            elif not isinstance(env, Loop):
                env.reset(seed=0)
            runners[name] = (env.step, endless(actions_of(env, count)))
            advance(*runners[name], seconds / 4)
        for _ in range(repeats):
            for name, (step, actions) in runners.items():
                rates[name].append(count * advance(step, actions, seconds))
    return {name: statistics.median(values) for name, values in rates.items()}


def row(label: str, count: int, rates: dict[str, float]) -> str:
    others = [name for name in rates if name != "batched"]
    cells = [label, str(count), *(f"{rates[name]:,.0f}" for name in rates)]
    ratios = [rates["batched"] / rates[name] for name in others]
    cells += [f"{ratio:.2f}" if ratio < 10 else f"{ratio:.0f}" for ratio in ratios]
    return "| " + " | ".join(cells) + " |"


def header(first: str, names: Sequence[str]) -> str:
    others = [f"× {name}" for name in names if name != "batched"]
    cells = [first, "instances", *names, *others]
    return "| " + " | ".join(cells) + " |\n|" + "---|" + "---:|" * (len(cells) - 1)


def machine() -> str:
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, "
        f"NumPy {np.__version__}, Gymnasium {gym.__version__}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--environments", nargs="+", default=CLASSIC, metavar="ID")
    parser.add_argument("--instances", nargs="+", type=int, default=(1, 8, 64, 512), metavar="N")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="per contender and repeat")
    given = parser.parse_args()
    print(f"{machine()}; medians of {given.repeats} repeats of {given.seconds:g} s; steps per second\n")

    tables: list[tuple[str, Callable[[str, int], dict[str, Callable[[], Any]]], Sequence[str]]] = [
        ("Gymnasium's interface", gymnasium_contenders, given.environments),
        ("SB3's interface, with Monitor", sb3_contenders, given.environments),
        (
            "Perturbed: longer pole, noise, reversed actions",
            lambda _, n: perturbed_contenders(n),
            ["CartPole-v1"],
        ),
    ]
    for title, contenders, env_ids in tables:
        print(f"## {title}\n\n{header('environment', list(contenders(env_ids[0], 1)))}")
        for env_id in env_ids:
            for count in given.instances:
                print(
                    row(env_id, count, race(contenders(env_id, count), count, given.repeats, given.seconds)),
                    flush=True,
                )
        print()


if __name__ == "__main__":
    main()

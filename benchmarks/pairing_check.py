"""How often rows of unrelated episodes pass for pairs, and pairs for what they are.

    python -m benchmarks.pairing_check              # 60 sets of unpaired rows per line
    python -m benchmarks.pairing_check --sets 2     # a quick look
    python -m benchmarks.pairing_check --first 6    # the last line alone

Two copies of an environment are played with random actions of their own from random starts, and reset
together as ``from: rollouts`` resets them: what they show is not paired. Prints, per environment and number
of rows, how many of such sets pass the permutation test of :mod:`rl_transfer.core.pairing` with rows shuffled
one by one and with whole episodes exchanged, and how many sets of true pairs (a random linear map, noise of
half its deviation) pass the latter.
"""

from __future__ import annotations

import argparse

import gymnasium as gym
import numpy as np

from rl_transfer.core.alignment import Matrix
from rl_transfer.core.pairing import PairingCheck, check_pairing

CASES = (
    ("CartPole-v1", 128, None), ("CartPole-v1", 256, None), ("Acrobot-v1", 256, None),
    ("Pendulum-v1", 256, None), ("LunarLander-v3", 256, None), ("LunarLander-v3", 1024, None),
    ("Pendulum-v1", 6144, 1000),
)  # fmt: skip
"""Environment, rows, and the longest episode; None: its own."""
NOISE = 0.5


def unpaired(
    name: str, rows: int, longest: int | None, seeds: tuple[int, int]
) -> tuple[Matrix, Matrix, np.ndarray]:
    """Rows of two unrelated copies of an environment, and the number of the episode that each is of."""
    envs, rngs = (
        [gym.make(name, max_episode_steps=longest) for _ in seeds],
        [np.random.default_rng(seed) for seed in seeds],
    )
    for env, seed in zip(envs, seeds, strict=True):
        env.action_space.seed(seed)
    seen: list[list[np.ndarray]] = []
    episodes: list[int] = []
    over, episode = True, -1
    while len(seen) < rows:
        if over:
            moment = [
                env.reset(seed=int(rng.integers(2**31)))[0] for env, rng in zip(envs, rngs, strict=True)
            ]
            over, episode = False, episode + 1
        else:
            steps = [env.step(env.action_space.sample()) for env in envs]
            moment, over = [step[0] for step in steps], any(step[2] or step[3] for step in steps)
        seen.append(moment)
        episodes.append(episode)
    sides = [np.array(side, dtype=np.float64) for side in zip(*seen, strict=True)]
    return sides[0], sides[1], np.array(episodes)


def shares(checks: list[PairingCheck]) -> str:
    """How many of those that say something pass."""
    told = [each.paired for each in checks if each.p is not None]
    return f"{sum(told)} of {len(told)}" if told else "too few episodes"


def main() -> None:
    """Play, check, print a Markdown table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sets", type=int, default=60)
    parser.add_argument("--first", type=int, default=0, help="the first line to be computed, from 0")
    given = parser.parse_args()
    sets = given.sets
    print("| rows | unpaired, one by one | unpaired, episodes | pairs, episodes | R² of unpaired rows |")
    print("|---|---|---|---|---:|")
    for name, rows, longest in CASES[given.first :]:
        rng = np.random.default_rng(0)
        alone, whole, true = [], [], []
        for number in range(sets):
            x, y, episodes = unpaired(name, rows, longest, (1000 + number, 5000 + number))
            alone.append(check_pairing(x, y, rng))
            whole.append(check_pairing(x, y, rng, episodes))
            seen = x @ rng.normal(size=(x.shape[1], x.shape[1]))
            seen += NOISE * seen.std(axis=0) * rng.normal(size=seen.shape)
            true.append(check_pairing(seen, x, rng, episodes))
        r2 = np.mean([each.r2 or 0.0 for each in whole])
        limit = "" if longest is None else f", episodes of {longest:,}"
        cells = (f"{name}, {rows:,}{limit}", *map(shares, (alone, whole, true)), f"{r2:.2f}")
        print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

"""Success rates: does the interval hold the rate that a new run would have?

    python -m benchmarks.validity.success

Runs differ: each has a rate of its own, Beta distributed around the arm's, and plays 30 episodes. Pooled is
Wilson's interval over all episodes as if they were independent.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from rl_transfer.analysis.success import success_interval

EPISODES, SIZES = 30, (5, 10, 20)
CASES = {"alike": 200.0, "some spread": 5.0, "much spread": 1.0, "all or nothing": 0.1}
"""How runs differ → α + β of their Beta distribution."""


def pooled(hits: int, episodes: int) -> tuple[float, float]:
    """Wilson's limits at 95 % for independent episodes."""
    rate, z = hits / episodes, 1.959964
    centre = (rate + z * z / (2 * episodes)) / (1 + z * z / episodes)
    half = z / (1 + z * z / episodes) * math.sqrt(rate * (1 - rate) / episodes + (z / (2 * episodes)) ** 2)
    return centre - half, centre + half


def success_coverage(case: str, rate: float, runs: int, draws: int) -> tuple[float, float]:
    """Share of intervals that hold the arm's rate: ours, and the pooled one."""
    generator = np.random.default_rng([runs, round(100 * rate)])
    size, ours, theirs = CASES[case], 0, 0
    for _ in range(draws):
        own = generator.beta(rate * size, (1 - rate) * size, runs)
        hits = generator.binomial(EPISODES, own).tolist()
        found = success_interval({seed: (each, EPISODES) for seed, each in enumerate(hits)}, 0.95)
        low, high = pooled(sum(hits), runs * EPISODES)
        ours += found.low <= rate <= found.high
        theirs += low <= rate <= high
    return ours / draws, theirs / draws


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=1000)
    draws = parser.parse_args().draws
    for case in CASES:
        for rate in (0.5, 0.9):
            cells = [success_coverage(case, rate, runs, draws) for runs in SIZES]
            shown = " | ".join(f"{ours:.3f} ({theirs:.2f})" for ours, theirs in cells)
            print(f"| {case} | {rate:.0%} | {shown} |")


if __name__ == "__main__":
    main()

"""Is the advice on seeds worth following? A pilot, the advice, and a new plan of that size.

    python -m benchmarks.validity.advice

Two normal arms of K runs each and a true difference of d standard deviations. Pilots that reach a verdict
(Welch at 5 %, one cell) get no advice. *before*: as many seeds on top as the point estimate asks for, all
tested together. *least*, *most*: a new plan of fresh seeds with the ends of the range that is advised now.
"""

from __future__ import annotations

import argparse
import math
import statistics

import numpy as np
import numpy.typing as npt

from rl_transfer.analysis.arm_statistics import welch_interval
from rl_transfer.analysis.power import MOST_SEEDS, fresh_seeds

DELTA = 0.05
Q = 0.05
FloatArray = npt.NDArray[np.float64]


def decided(x: FloatArray, y: FloatArray) -> bool:
    """Whether the interval of the difference leaves out 0."""
    interval = welch_interval(x, y, 1 - Q)
    return interval.low > 0 or interval.high < 0


def plug_in(x: FloatArray, y: FloatArray) -> int | None:
    """Seeds per arm for power 0.8 if d, as estimated, was the truth: (z₀.₉₇₅ + z₀.₈)² (s_x² + s_y²) / d²."""
    gap = abs(float(x.mean() - y.mean()))
    factor = (statistics.NormalDist().inv_cdf(1 - Q / 2) + statistics.NormalDist().inv_cdf(0.8)) ** 2
    needed = max(math.ceil(factor * float(x.var(ddof=1) + y.var(ddof=1)) / gap**2), x.size + 1)
    return needed if needed <= MOST_SEEDS else None


def follow(seeds: int, gap: float, pilots: int, generator: np.random.Generator) -> list[float]:
    """[advised before, settled before, advised now, settled at least, at most, median of most].

    Args:
        seeds: K of the pilot.
        gap: true difference in standard deviations.
        pilots: how many are drawn.
        generator: draws all runs.

    Returns:
        Shares of the undecided pilots that got advice, and of these that were settled when it was followed.
    """
    undecided = 0
    before: list[bool] = []
    least: list[bool] = []
    most: list[bool] = []
    sizes: list[int] = []

    def fresh(count: int) -> bool:
        return decided(generator.normal(gap, 1, count), generator.normal(0, 1, count))

    for _ in range(pilots):
        x, y = generator.normal(gap, 1, seeds), generator.normal(0, 1, seeds)
        if decided(x, y):
            continue
        undecided += 1
        needed = plug_in(x, y)
        if needed is not None:
            more = needed - seeds
            x_on, y_on = generator.normal(gap, 1, more), generator.normal(0, 1, more)
            before.append(decided(np.concatenate([x, x_on]), np.concatenate([y, y_on])))
        advised = fresh_seeds(x, y, delta=DELTA, q=Q, cells=1, confidence=1 - Q)
        if advised is not None and advised.most is not None:
            least.append(fresh(advised.least))
            most.append(fresh(advised.most))
            sizes.append(advised.most)
    settled = [float(np.mean(each)) for each in (before, least, most)]
    share = [len(each) / undecided for each in (before, most)]
    return [share[0], settled[0], share[1], *settled[1:], float(np.median(sizes))]


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pilots", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    generator = np.random.default_rng(chosen.seed)
    print("| K | d | advised before | settled | advised | settled, least | settled, most | median of most |")
    print("|---:|---:|---:|---:|---:|---:|---:|---:|")
    for seeds in (5, 10):
        for gap in (0.0, 0.5, 1.0, 1.5):
            *shares, size = follow(seeds, gap, chosen.pilots, generator)
            print(f"| {seeds} | {gap} | {' | '.join(f'{each:.2f}' for each in shares)} | {size:.0f} |")


if __name__ == "__main__":
    main()

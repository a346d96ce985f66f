"""The best of several cells: how much is its gain overstated, and do limits and ranks hold?

    python -m benchmarks.validity.selection

Cells are compared with one from-scratch arm; everything is normal with a standard deviation of 1. Bias is in
standard errors of one gain. Without effects: no cell differs from training from scratch. One better: one cell
does, by a standard deviation. Spread: gains are 1, 0.8, 0.5 and 0, and again from the start.
"""

from __future__ import annotations

import argparse
import math

import numpy as np

from rl_transfer.analysis.arm_statistics import welch_interval
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.selection import Key, hold_out, told_apart
from rl_transfer.analysis.tolerance import Tolerance

CONFIDENCE = 0.95
SIZES = (5, 10, 20)
SCALE = ScoreScale("raw", math.nan, math.nan, Tolerance(0.1))
CASES = {"without effects": (0.0,), "one better": (1.0, *[0.0] * 11), "spread": (1.0, 0.8, 0.5, 0.0)}


def effects(case: str, cells: int) -> np.ndarray:
    """The true gain of every cell."""
    return np.resize(CASES[case], cells)


def selection(case: str, cells: int, seeds: int, draws: int) -> tuple[float, float, float, float]:
    """Bias of the best cell's own gain and held-out gain; coverage of its plain and simultaneous limits."""
    generator = np.random.default_rng([cells, seeds])
    truth = effects(case, cells)
    own, held, plain, wide = 0.0, 0.0, 0, 0
    for _ in range(draws):
        x = generator.standard_normal((cells, seeds)) + truth[:, None]
        y = generator.standard_normal(seeds)
        chosen, held_out, _ = hold_out(x - y)
        own += x[chosen].mean() - y.mean() - truth[chosen]
        held += held_out - truth[chosen]
        for level in (CONFIDENCE, 1 - (1 - CONFIDENCE) / cells):
            found = welch_interval(x[chosen], y, level)
            inside = found.low <= truth[chosen] <= found.high
            if level == CONFIDENCE:
                plain += inside
            else:
                wide += inside
    error = math.sqrt(2 / seeds)
    return own / draws / error, held / draws / error, plain / draws, wide / draws


def rank_coverage(case: str, arms: int, seeds: int, draws: int) -> float:
    """Share of draws in which no arm is told to be better than one that is as good or better."""
    generator = np.random.default_rng([arms, seeds, 1])
    truth, right = effects(case, arms), 0
    for _ in range(draws):
        values = generator.standard_normal((arms, seeds)) + truth[:, None]
        named: dict[Key, dict[str, float]] = {
            (None, "target", str(arm)): {str(seed): value for seed, value in enumerate(row.tolist())}
            for arm, row in enumerate(values)
        }
        pairs = told_apart(named, SCALE, CONFIDENCE)
        right += all(truth[int(better[2])] > truth[int(worse[2])] for better, worse in pairs)
    return right / draws


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=4000)
    draws = parser.parse_args().draws
    print("| cells | case | seeds | bias of its own gain | held-out | plain limits | simultaneous | ranks |")
    print("|---:|---|---:|---:|---:|---:|---:|---:|")
    for cells in (4, 12):
        for case in CASES:
            for seeds in SIZES:
                own, held, plain, wide = selection(case, cells, seeds, draws)
                ranked = rank_coverage(case, cells, seeds, max(draws // 10, 1))
                shown = f"{own:+.2f} | {held:+.2f} | {plain:.3f} | {wide:.3f} | {ranked:.3f}"
                print(f"| {cells} | {case} | {seeds} | {shown.replace('-', '−')} |")


if __name__ == "__main__":
    main()

"""Learning curves: do bands hold all their points, and is what is called flat flat?

    python -m benchmarks.validity.curves bands
    python -m benchmarks.validity.curves flat
    python -m benchmarks.validity.curves window

Curves have thirteen evaluations; the spread between runs grows with training, and neighbouring evaluations
hang together. In ``bands`` the second arm scatters twice as much as the first.
"""

from __future__ import annotations

import argparse
import itertools
import math
from collections.abc import Callable

import numpy as np

from benchmarks.validity.rules import welch
from rl_transfer.analysis.arm_statistics import FloatArray, mean_interval
from rl_transfer.analysis.metrics import final_window, has_plateaued
from rl_transfer.analysis.parting import difference_band
from rl_transfer.analysis.special import log_t_quantile

POINTS = 13
TIME = np.linspace(0.0, 1.0, POINTS)
SIZES = (5, 10, 20)
Shape = Callable[[np.random.Generator, int], FloatArray]


def gaussian(generator: np.random.Generator, runs: int) -> FloatArray:
    """Curves of an arm, array [run, n+1]: a level and a slope of each run, and noise that lasts."""
    noise = generator.normal(size=(runs, POINTS))
    for place in range(1, POINTS):
        noise[:, place] = 0.6 * noise[:, place - 1] + 0.8 * noise[:, place]
    level, slope = generator.normal(size=(2, runs, 1))
    found: FloatArray = 0.6 * level + 0.5 * slope * TIME + 0.6 * noise
    return found


def skewed(generator: np.random.Generator, runs: int) -> FloatArray:
    """A tail above: exp of half a Gaussian."""
    found: FloatArray = np.exp(gaussian(generator, runs) / 2)
    return found


def bimodal(generator: np.random.Generator, runs: int) -> FloatArray:
    """Three runs in ten fail."""
    fails = np.where(generator.random((runs, 1)) < 0.3, -2.0, 0.9)
    found: FloatArray = 0.3 * gaussian(generator, runs) + fails * TIME
    return found


def capped(generator: np.random.Generator, runs: int) -> FloatArray:
    """More and more runs are at the highest return."""
    found: FloatArray = np.minimum(gaussian(generator, runs) + TIME, 1.0)
    return found


def heavy(generator: np.random.Generator, runs: int) -> FloatArray:
    """Student's t with three degrees of freedom."""
    scale = np.sqrt(generator.chisquare(3, size=(runs, 1)) / 3)
    found: FloatArray = gaussian(generator, runs) / scale
    return found


SHAPES: dict[str, Shape] = {
    "normal": gaussian,
    "skewed": skewed,
    "bimodal": bimodal,
    "capped": capped,
    "heavy-tailed": heavy,
}


def band_coverage(shape: Shape, runs: int, draws: int) -> tuple[float, float]:
    """Share of draws in which all thirteen points lie in the simultaneous, and in the pointwise band."""
    generator = np.random.default_rng(runs)
    truth = -np.mean([shape(generator, 20_000).mean(axis=0) for _ in range(5)], axis=0)
    simultaneous, pointwise, quantile = 0, 0, log_t_quantile(0.975)
    for _ in range(draws):
        x, y = shape(generator, runs), 2 * shape(generator, runs)
        band = difference_band(TIME, x, y, 0.95, generator)
        simultaneous += band is not None and bool(((band.low <= truth) & (truth <= band.high)).all())
        gap, error, inverse = welch(x.T, y.T)
        pointwise += bool((np.abs(gap - truth) <= error * np.exp(quantile(inverse))).all())
    return simultaneous / draws, pointwise / draws


ARMS = {"alike": (0.02, 0.01), "scattered": (0.3, 0.1)}
"""How far the rises of an arm's runs and its evaluations scatter, as shares of the span."""


def called_flat(rise: float, arms: str, runs: int, draws: int) -> tuple[float, float]:
    """Share of arms called flat: by equivalence within 0.05 of the span, and by a slope that is not clear.

    Rises are over the last third, in spans.
    """
    generator = np.random.default_rng([runs, round(1000 * rise)])
    between, within = ARMS[arms]
    third = np.clip((TIME - TIME[-5]) / (TIME[-1] - TIME[-5]), 0, 1)
    t = TIME[-5:] - TIME[-5:].mean()
    shown = unclear = 0
    for _ in range(draws):
        rises = generator.normal(rise, between, runs)
        curves = rises[:, None] * third + generator.normal(0, within, (runs, POINTS))
        shown += has_plateaued(TIME, list(curves), 0.95, 0.05)
        interval = mean_interval((curves[:, -5:] @ t / (t @ t)).tolist(), 0.95)
        unclear += interval.low <= 0 <= interval.high
    return shown / draws, unclear / draws


def window_shares() -> list[tuple[int, float, float]]:
    """Evaluations of a curve, and what share of it was and is final with ``final_share`` 0.1."""
    return [
        (n, min(1.0, max(3, math.ceil(0.1 * n)) / n), final_window(n, 0.1) / n)
        for n in (2, 3, 5, 6, 9, 13, 41)
    ]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["bands", "flat", "window"])
    parser.add_argument("--draws", type=int, default=1000)
    given = parser.parse_args()
    if given.what == "window":
        for count, before, now in window_shares():
            print(f"| {count} | {before:.0%} | {now:.0%} |")
        return
    if given.what == "bands":
        for name, shape in SHAPES.items():
            cells = [band_coverage(shape, runs, given.draws) for runs in SIZES]
            print(f"| {name} | " + " | ".join(f"{all_:.3f} ({each:.2f})" for all_, each in cells) + " |")
        return
    for arms, rise in itertools.product(ARMS, (0.0, 0.05, 0.2)):
        cells = [called_flat(rise, arms, runs, given.draws) for runs in SIZES]
        shown = " | ".join(f"{flat:.3f} ({unclear:.2f})" for flat, unclear in cells)
        print(f"| {arms} | {rise:.0%} | {shown} |")


if __name__ == "__main__":
    main()

"""Times to threshold: is a run there when it is said to arrive, and does the speed-up's interval hold?

    python -m benchmarks.validity.times --folder results/quickstart
    python -m benchmarks.validity.times

The first audits a sweep's folder under two rules: the mean of three evaluations, which was the
definition once, and three evaluations that are all at θ. The second simulates restricted times and counts how
often the intervals of their ratio and of their difference hold the true ones.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rl_transfer.analysis import read_sweep
from rl_transfer.analysis.arm_statistics import FloatArray, welch_interval
from rl_transfer.analysis.inputs import Run, Sweep
from rl_transfer.analysis.metrics import (
    WINDOW,
    ThresholdTime,
    final_performance,
    speed_up,
    steps_saved,
    time_to_threshold,
)

BUDGET, EVERY = 6144, 512
Rule = Callable[[FloatArray, FloatArray, float], ThresholdTime]
Arm = Callable[[np.random.Generator, tuple[int, ...]], FloatArray]


def mean_of_three(steps: FloatArray, means: FloatArray, threshold: float) -> ThresholdTime:
    """The rule that was: start of the first window whose mean is at θ."""
    width = min(WINDOW, len(means))
    hits = np.flatnonzero(np.convolve(means, np.ones(width), mode="valid") / width >= threshold)
    return ThresholdTime(float(steps[hits[0] if hits.size else -1]), bool(hits.size))


RULES: dict[str, Rule] = {"mean of three": mean_of_three, "three at θ": time_to_threshold}


def audit(sweep: Sweep, rule: Rule) -> dict[str, float]:
    """Runs that a rule says reached θ; how many were below it then, and at the end."""
    found = {"reached": 0.0, "below θ then": 0.0, "below θ at the end": 0.0}
    for target in targets(sweep):
        low = chance(sweep, target)
        theta = low + 0.8 * (float(np.mean(finals(sweep, target))) - low)
        for run in sweep.select("target", target=target):
            if run.curve is None:
                continue
            time = rule(run.curve.steps, run.curve.means, theta)
            if time.reached:
                there = run.curve.means[np.searchsorted(run.curve.steps, time.time)]
                found["reached"] += 1
                found["below θ then"] += float(there < theta)
                found["below θ at the end"] += final_performance(run.curve.means, 0.1) < theta
    return found


def ranges(sweep: Sweep, subset: int) -> dict[str, tuple[float, float]]:
    """Target → lowest and highest θ over 2,000 draws of ``subset`` of its from-scratch runs."""
    generator = np.random.default_rng(0)
    found = {}
    for target in targets(sweep):
        low, values = chance(sweep, target), np.array(finals(sweep, target))
        if len(values) < subset:
            continue
        draws = np.array([generator.choice(values, subset, replace=False).mean() for _ in range(2000)])
        found[target] = (float(low + 0.8 * (draws.min() - low)), float(low + 0.8 * (draws.max() - low)))
    return found


def targets(sweep: Sweep) -> list[str]:
    """Of a sweep, by name."""
    return sorted({run.target or "" for run in sweep.runs if run.role == "target"})


def chance(sweep: Sweep, target: str) -> float:
    """Mean return of the random policy."""
    (run,) = sweep.select("random", target=target)
    return float(run.curve.means[0]) if run.curve else math.nan


def finals(sweep: Sweep, target: str) -> list[float]:
    """Final performance of the from-scratch runs."""
    rows: tuple[Run, ...] = sweep.select("target", target=target, strategy=sweep.baseline)
    return [final_performance(run.curve.means, 0.1) for run in rows if run.curve]


def normal(mean: float, deviation: float) -> Arm:
    """Times that scatter around a mean."""
    return lambda generator, shape: generator.normal(mean, deviation, shape)


def some_never(share: float, mean: float, deviation: float) -> Arm:
    """A share of the runs never arrives."""
    return lambda generator, shape: np.where(
        generator.random(shape) < share, math.inf, generator.normal(mean, deviation, shape)
    )


def some_at_once(share: float, scale: float) -> Arm:
    """A share of the runs is there before any training."""
    return lambda generator, shape: np.where(
        generator.random(shape) < share, 0.0, generator.exponential(scale, shape)
    )


CASES: dict[str, tuple[Arm, Arm]] = {
    "both arrive": (normal(2500, 900), normal(4000, 1200)),
    "half of scratch never": (normal(2500, 900), some_never(0.5, 4500, 800)),
    "3 of 10 transfers never": (some_never(0.3, 2000, 500), normal(4000, 1200)),
    "1 of 10 transfers never": (some_never(0.1, 2000, 500), normal(4000, 1200)),
    "1 of 20 never, the others early": (some_never(0.05, 450, 50), normal(4000, 1200)),
    "3 of 10 scratch never": (normal(2000, 500), some_never(0.3, 2500, 500)),
    "both censored": (some_never(0.5, 4500, 800), some_never(0.5, 4500, 800)),
    "most there at once": (some_at_once(0.6, 1500), normal(4000, 1200)),
}


def restricted(times: FloatArray) -> FloatArray:
    """min(T, budget), on the grid of evaluations."""
    found: FloatArray = np.clip(np.ceil(times / EVERY) * EVERY, 0, BUDGET)
    return found


def coverage(case: str, runs: int, draws: int, seed: int = 0) -> tuple[float, float]:
    """Share of intervals that hold the true ratio, and share of draws that have an interval."""
    transfer, scratch = CASES[case]
    generator = np.random.default_rng([seed, runs])
    truth = (
        restricted(scratch(generator, (400_000,))).mean() / restricted(transfer(generator, (400_000,))).mean()
    )
    held = defined = 0
    for _ in range(draws):
        x, y = (
            [ThresholdTime(time, time < BUDGET) for time in restricted(arm(generator, (runs,))).tolist()]
            for arm in (transfer, scratch)
        )
        found = speed_up(x, y, 0.95, BUDGET)
        defined += found.defined
        held += bool(found.defined and found.low - 1e-9 <= truth <= found.high + 1e-9)
    return held / max(defined, 1), defined / draws


SAVED = {
    "both arrive": CASES["both arrive"],
    "1 of 10 transfers never, scratch never": (some_never(0.1, 0, 0), some_never(1.0, 0, 0)),
    "1 of 20 transfers never, the others early": CASES["1 of 20 never, the others early"],
}


def saved_coverage(case: str, runs: int, draws: int) -> tuple[float, float]:
    """Share of intervals of the steps saved that hold the truth: ours, and Welch's alone."""
    transfer, scratch = SAVED[case]
    generator = np.random.default_rng([1, runs])
    many = [restricted(arm(generator, (400_000,))).mean() for arm in (scratch, transfer)]
    truth, held = many[0] - many[1], np.zeros(2)
    for _ in range(draws):
        x, y = (restricted(arm(generator, (runs,))) for arm in (transfer, scratch))
        times = [[ThresholdTime(float(time), time < BUDGET) for time in arm] for arm in (x, y)]
        found = steps_saved(times[0], times[1], 0.95, BUDGET), welch_interval(y, x, 0.95)
        held += [each.low - 1e-9 <= truth <= each.high + 1e-9 for each in found]
    return float(held[0]) / draws, float(held[1]) / draws


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=Path, help="a sweep's folder to audit instead of simulating")
    parser.add_argument("--subset", type=int, default=5, help="from-scratch runs that θ is estimated of")
    parser.add_argument("--draws", type=int, default=4000)
    given = parser.parse_args()
    if given.folder is not None:
        sweep = read_sweep(given.folder)
        for name, rule in RULES.items():
            print(f"{name}:", ", ".join(f"{key} {value:.0f}" for key, value in audit(sweep, rule).items()))
        for target, (low, high) in ranges(sweep, given.subset).items():
            print(f"{target}: θ of {given.subset} from-scratch runs lies between {low:.0f} and {high:.0f}")
        return
    print("| arms | K = 5 | K = 10 | K = 20 |\n|---|---|---|---|")
    for case in CASES:
        cells = [coverage(case, runs, given.draws) for runs in (5, 10, 20)]
        print(f"| {case} | " + " | ".join(f"{held:.3f} ({there:.0%})" for held, there in cells) + " |")
    print("\n| steps saved | K = 5 | K = 10 | K = 20 |\n|---|---|---|---|")
    for case in SAVED:
        cells = [saved_coverage(case, runs, given.draws // 8) for runs in (5, 10, 20)]
        print(f"| {case} | " + " | ".join(f"{ours:.2f} ({alone:.2f})" for ours, alone in cells) + " |")


if __name__ == "__main__":
    main()

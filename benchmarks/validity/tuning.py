"""Tuning: how often is an effect found where there is none, by how the arms came to their hyperparameters?

    python -m benchmarks.validity.tuning

Two arms, runs normal with a standard deviation of 1. Equal: no point of the grid differs from another, for
either arm. Apart: both arms are as good at their best, but the baseline's best lies at another point, and
what everybody uses is the transfer's. An effect is found where Welch's 95 % interval leaves out 0.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import numpy as np

from rl_transfer.analysis.arm_statistics import FloatArray, welch_interval
from rl_transfer.analysis.tuning import best

JUDGED, TUNING = 10, 5
"""Seeds per arm."""
GRIDS = (2, 4, 9, 16)
DESIGNS = ("nobody is tuned", "one arm, on judged seeds", "both, on judged seeds", "both, on tuning seeds")


def levels(case: str, points: int) -> tuple[FloatArray, FloatArray]:
    """What the transfer and the baseline score at each point, in standard deviations of a run."""
    if case == "equal":
        return np.zeros(points), np.zeros(points)
    places = np.arange(points)
    return -np.abs(places - points // 2), -np.abs(places - (points // 2 - 1))


def choose(scores: FloatArray) -> int:
    """What the product chooses from scores [point, seed]."""
    found: list[Mapping[int, float]] = [dict(enumerate(row.tolist())) for row in scores]
    return best(found) or 0


def found_effects(case: str, design: str, points: int, draws: int) -> tuple[float, float]:
    """Share of draws in which a gain is found, and in which a loss is."""
    generator = np.random.default_rng([GRIDS.index(points), DESIGNS.index(design), case == "equal"])
    truth = levels(case, points)
    gains = losses = 0
    for _ in range(draws):
        fresh, tuning = (
            [generator.normal(level[:, None], 1.0, (points, seeds)) for level in truth]
            for seeds in (JUDGED, TUNING)
        )
        usual = points // 2
        chosen = {
            "nobody is tuned": (usual, usual),
            "one arm, on judged seeds": (choose(fresh[0]), usual),
            "both, on judged seeds": (choose(fresh[0]), choose(fresh[1])),
            "both, on tuning seeds": (choose(tuning[0]), choose(tuning[1])),
        }[design]
        interval = welch_interval(fresh[0][chosen[0]], fresh[1][chosen[1]], 0.95)
        gains += interval.low > 0
        losses += interval.high < 0
    return gains / draws, losses / draws


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=4000)
    draws = parser.parse_args().draws
    for case in ("equal", "apart"):
        for design in DESIGNS:
            cells = [found_effects(case, design, points, draws) for points in GRIDS]
            print(
                f"| {case} | {design} | "
                + " | ".join(f"{gain:.3f} / {loss:.3f}" for gain, loss in cells)
                + " |"
            )


if __name__ == "__main__":
    main()

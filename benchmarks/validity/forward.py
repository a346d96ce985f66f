"""Coverage of forward transfer's interval: the span that clips scores taken for known, and as it is.

    python -m benchmarks.validity.forward

From scratch ends at 150 (standard deviation 45 over runs, by shape) where the random policy gets 22; the arm
learns twice as fast and ends where the row says, in spans above random. ``throughout``: a run is above or
below others all the time. ``at the end``: from-scratch runs differ, by 60, in their last three evaluations
alone, and those of the arm by 15 throughout, so that areas hardly tell of the span's error.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from benchmarks.validity.arms import EPISODES, RANDOM, RANDOM_SPREAD, SHAPES, SPREAD, FloatArray
from rl_transfer.analysis.fieller import Line
from rl_transfer.analysis.metrics import clipped_area, final_window
from rl_transfer.analysis.score_intervals import ClippedAreas, forward_line
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.special import log_t_quantile
from rl_transfer.analysis.tolerance import UNDECLARED
from rl_transfer.spec import Analysis

TIME = np.linspace(0.0, 1.0, 13)
FINAL, NOISE = 150.0, 8.0
SIZES = (5, 10, 20)
ENDS = (0.7, 1.0, 1.5)
LATE = "at the end"
ROWS = [("throughout", "normal", end) for end in ENDS] + [(LATE, "normal", end) for end in ENDS]
ROWS += [("throughout", shape, 1.0) for shape in ("skewed", "bimodal", "heavy-tailed")]


def curves(
    rng: np.random.Generator, shape: str, runs: int, end: float, *, scatter: str, scratch: bool
) -> FloatArray:
    """Learning curves [run, evaluation] that end ``end`` spans above random on average.

    Args:
        rng: source of randomness.
        shape: of the ends over runs, a key of :data:`SHAPES`.
        runs: how many.
        end: in spans.
        scatter: when runs differ, see above.
        scratch: whether they are from scratch, and not of the arm.
    """
    level = RANDOM + end * (FINAL - RANDOM)
    spread = 45.0 if scatter != LATE else 60.0 if scratch else 15.0
    off = spread / SPREAD * (SHAPES[shape](rng, (runs, 1), level) - level)
    speed = 3.0 if scratch else 6.0
    rise = (1 - np.exp(-speed * TIME)) / (1 - np.exp(-speed * TIME[-2]))
    late = scatter == LATE and scratch
    when = (np.arange(TIME.size) >= TIME.size - 3).astype(np.float64) if late else rise
    found: FloatArray = RANDOM + (level - RANDOM) * rise + off * when
    return found + NOISE * rng.normal(size=found.shape)


def scale_of(scratch: FloatArray, random: FloatArray) -> ScoreScale:
    """The scale that these from-scratch curves and random episodes give.

    Args:
        scratch: curves [run, evaluation].
        random: returns [episode].
    """
    ends = scratch[:, -final_window(TIME.size, Analysis().final_share) :].mean(axis=1)
    finals = {f"scratch-{seed}": float(end) for seed, end in enumerate(ends)}
    returns = tuple(random.tolist())
    return ScoreScale(
        "scratch", float(random.mean()), float(ends.mean()), UNDECLARED, random_returns=returns, finals=finals
    )


def line_of(arm: FloatArray, scratch: FloatArray, scale: ScoreScale, *, known: bool = False) -> Line:
    """Forward transfer's D(θ).

    Args:
        arm: curves [run, evaluation].
        scratch: those of the from-scratch arm.
        scale: of the target.
        known: whether its span counts as known.
    """
    areas = [_areas(*named, scale) for named in (("arm", arm), ("scratch", scratch))]
    if known:
        areas = [replace(each, by_reference=0.0, by_random=0.0) for each in areas]
    return forward_line(areas[0], areas[1], scale)


def _areas(name: str, rows: FloatArray, scale: ScoreScale) -> ClippedAreas:
    area, by_reference, by_random = np.array([clipped_area(TIME, means, scale) for means in rows]).T
    named = {f"{name}-{seed}": float(each) for seed, each in enumerate(area)}
    return ClippedAreas(named, float(by_reference.mean()), float(by_random.mean()))


def coverage(scatter: str, shape: str, end: float, runs: int, draws: int) -> tuple[float, float]:
    """How often the 95 % set holds the truth, by a span that counts as known and by one that is estimated.

    Args:
        scatter: when runs differ.
        shape: of both arms.
        end: of the arm, in spans above random.
        runs: seeds of either arm.
        draws: sweeps.
    """
    rng = np.random.default_rng([runs, round(10 * end), *shape.encode(), *scatter.encode()])

    def drawn(size: int) -> tuple[FloatArray, FloatArray]:
        return (
            curves(rng, shape, size, end, scatter=scatter, scratch=False),
            curves(rng, shape, size, 1.0, scatter=scatter, scratch=True),
        )

    arm, scratch = drawn(4000)
    true = line_of(arm, scratch, scale_of(scratch, np.full(2, RANDOM)), known=True).root
    quantile = log_t_quantile(0.975)
    held = [0, 0]
    for _ in range(draws):
        arm, scratch = drawn(runs)
        scale = scale_of(scratch, RANDOM + RANDOM_SPREAD * rng.normal(size=EPISODES))
        for place, known in enumerate((True, False)):
            d, variance, inverse = line_of(arm, scratch, scale, known=known).errors(1.0, true)
            held[place] += d * d <= np.exp(2 * quantile(inverse)) * variance
    return held[0] / draws, held[1] / draws


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table.

    Args:
        arguments: of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--draws", type=int, default=1000)
    given = parser.parse_args(arguments)
    print(f"| runs differ | arms | arm ends at | {' | '.join(f'K = {runs}' for runs in SIZES)} |")
    print("|---|---|---|" + "---|" * len(SIZES))
    for scatter, shape, end in ROWS:
        cells = [coverage(scatter, shape, end, runs, given.draws) for runs in SIZES]
        shown = " | ".join(f"{after:.3f} ({before:.2f})" for before, after in cells)
        print(f"| {scatter} | {shape} | {end:g} | {shown} |", flush=True)


if __name__ == "__main__":
    main()

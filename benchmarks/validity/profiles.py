"""Interquartile means over the matrix whose scores rest on an estimated scale: do their intervals cover?

    python -m benchmarks.validity.profiles

Three targets. Training from scratch ends at 1 ± 0.45 over runs, the random policy at 0 ± 0.5 over 20
episodes, all normal. The arm's runs are normal around its score with a standard deviation of 0.3.
"""

from __future__ import annotations

import argparse

import numpy as np

from rl_transfer.analysis.bootstrap import (
    interquartile_mean,
    iqm_interval,
    percentile_interval,
)
from rl_transfer.analysis.cluster_bootstrap import cluster_iqm, few_tail, weighted_iqm_rows
from rl_transfer.analysis.scale_draws import ScaledRuns
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.tolerance import UNDECLARED

TARGETS, EPISODES, RESAMPLES = 3, 20, 1000
SIZES = (5, 10, 20)
SCORES = (0.5, 1.0, 1.5, 3.0)


def estimated(runs: int, generator: np.random.Generator) -> ScoreScale | None:
    """The scale of a target; None where from scratch is not clearly above random, which has no scores."""
    random, finals = generator.normal(0, 0.5, EPISODES), generator.normal(1, 0.45, runs)
    error = np.hypot(random.std(ddof=1) / EPISODES**0.5, finals.std(ddof=1) / runs**0.5)
    if finals.mean() - random.mean() <= 2 * error:
        return None
    named = {str(place): float(value) for place, value in enumerate(finals)}
    return ScoreScale(
        "scratch", float(random.mean()), float(finals.mean()), UNDECLARED, "", tuple(random.tolist()), named
    )


def coverage(score: float, runs: int, draws: int, *, fed: bool) -> tuple[float, float, float]:
    """How often the 95 % interval holds the score, by a scale that counts as known and by one that is drawn.

    Args:
        score: of the arm, on every target.
        runs: seeds of either arm.
        draws: sweeps.
        fed: whether source policy i feeds seed i on every target, and half of the variance is the policy's.

    Returns:
        Both shares, and the median ratio of widths.
    """
    generator = np.random.default_rng([runs, round(10 * score), fed])
    held, ratios = [0, 0], []
    done = 0
    while done < draws:
        scales = [each for _ in range(TARGETS) if (each := estimated(runs, generator)) is not None]
        if len(scales) < TARGETS:
            continue
        done += 1
        shared = generator.normal(0, 0.3 * 0.5**0.5, runs) if fed else np.zeros(runs)
        own = 0.3 * (0.5**0.5 if fed else 1)
        returns = [score + shared + generator.normal(0, own, runs) for _ in scales]
        scores = [scale.score(each) for scale, each in zip(scales, returns, strict=True)]
        clusters = [*range(runs)] * TARGETS if fed else None
        level = 0.95 if clusters is None else 1 - 2 * few_tail(runs, 0.95)
        if clusters is None:
            known = iqm_interval(scores, generator, RESAMPLES, 0.95)
        else:
            known = cluster_iqm(np.concatenate(scores), clusters, generator, RESAMPLES, 0.95)
        found = ScaledRuns(returns, scales, clusters).draws(weighted_iqm_rows, generator, RESAMPLES)
        drawn = percentile_interval(interquartile_mean(np.concatenate(scores)), found, level)
        for place, interval in enumerate((known, drawn)):
            held[place] += interval.low <= score <= interval.high
        ratios.append((drawn.high - drawn.low) / (known.high - known.low))
    return held[0] / draws, held[1] / draws, float(np.median(ratios))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--draws", type=int, default=300)
    given = parser.parse_args()
    for fed in (True, False):
        for score in SCORES:
            cells = [coverage(score, runs, given.draws, fed=fed) for runs in SIZES]
            shown = " | ".join(f"{drawn:.3f} ({known:.2f}), {wider:.1f}×" for known, drawn, wider in cells)
            print(f"| {'policies' if fed else 'runs'} | {score:g} | {shown} |", flush=True)


if __name__ == "__main__":
    main()

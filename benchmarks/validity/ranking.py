"""Rankings of sources: do the limits of τ and regret hold, and how often is chance called better?

    python -m benchmarks.validity.ranking     # one minute of CPU

A source has a quality and a context, a target a context; a source gains its quality, less the distance of
both contexts, plus what only this pair has. Realised gains are means over three seeds, which share a source's
policy on all targets. A score correlates with the true gain by ``rho``; what it errs by belongs half to the
source.
"""

from __future__ import annotations

import argparse

import numpy as np

from rl_transfer.analysis.arm_statistics import FloatArray
from rl_transfer.analysis.ranking import rank

SEEDS = 3
CONFIDENCE = 0.95


def world(rng: np.random.Generator, sources: int, targets: int, rho: float) -> tuple[FloatArray, FloatArray]:
    """Scores and realised gains, arrays [source, target].

    Args:
        rng: source of randomness.
        sources: how many.
        targets: how many.
        rho: correlation of the scores with the true gains.
    """
    contexts = rng.uniform(size=(sources, 1)), rng.uniform(size=(1, targets))
    pairs = (sources, targets)
    truth = rng.normal(size=(sources, 1)) - 2 * np.abs(contexts[0] - contexts[1]) + rng.normal(0, 0.5, pairs)
    noise = rng.normal(0, 0.5, (sources, 1)) + rng.normal(0, 0.7, pairs)
    errors = rng.normal(0, 0.7, (sources, 1)) + rng.normal(0, 0.7, pairs)
    return rho * truth + (1 - rho**2) ** 0.5 * errors, truth + noise / SEEDS**0.5


def coverage(
    sources: int, targets: int, rho: float, draws: int, resamples: int = 500
) -> tuple[float, float, float]:
    """Share of sweeps whose limits hold the mean over all sweeps: τ, regret, regret as a share.

    Args:
        sources: of each sweep.
        targets: of each sweep.
        rho: correlation of the scores with the true gains.
        draws: sweeps.
        resamples: of each.
    """
    rng = np.random.default_rng([sources, targets, round(100 * rho)])
    found = [rank(*world(rng, sources, targets, rho), rng, resamples, CONFIDENCE, 0) for _ in range(draws)]
    shares = []
    for name in ("tau", "regret", "regret_share"):
        intervals = [getattr(each, name) for each in found]
        truth = np.mean([each.point for each in intervals])
        shares.append(float(np.mean([each.low <= truth <= each.high for each in intervals])))
    return shares[0], shares[1], shares[2]


def false_alarms(sources: int, targets: int, draws: int) -> float:
    """Share of sweeps in which a score that knows nothing has p ≤ 5 %.

    Args:
        sources: of each sweep.
        targets: of each sweep.
        draws: sweeps.
    """
    rng = np.random.default_rng([sources, targets, 1])
    found = [rank(*world(rng, sources, targets, 0.0), rng, 1, CONFIDENCE, 199).p for _ in range(draws)]
    return float(np.mean(np.array(found) <= 0.05))


def main() -> None:
    """Print the table of docs/validity.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=300)
    draws = parser.parse_args().draws
    print("| sources · targets | ρ | τ | regret | regret, share of the range | p ≤ 0.05 |")
    print("|---|---:|---:|---:|---:|---:|")
    for sources, targets in ((5, 5), (8, 4), (8, 8), (12, 12)):
        for rho in (0.0, 0.6, 0.95):
            held = " | ".join(f"{share:.3f}" for share in coverage(sources, targets, rho, draws))
            wrong = f"{false_alarms(sources, targets, draws):.3f}" if rho == 0 else ""
            print(f"| {sources} · {targets} | {rho:g} | {held} | {wrong} |", flush=True)


if __name__ == "__main__":
    main()

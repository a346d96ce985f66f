"""The warning of a likely loss: how often is it false, and how often does it hit?

    python -m benchmarks.validity.likely_negative     # four minutes of CPU

Sweeps of :mod:`benchmarks.validity.ranking`'s world, with three scores that correlate with the true gain by
``rho`` and gains moved so that a share of the pairs loses. Every target is left out of weights and threshold
in turn, as ``rl-transfer calibrate`` does; its sources are those of the others, so that hits can rest on who
is bad everywhere. With rho = 0 the scores know nothing, and p should be at most 5 % in 5 % of the sweeps.
"""

from __future__ import annotations

import argparse

import numpy as np

from benchmarks.validity.ranking import world
from rl_transfer.analysis.arm_statistics import FloatArray
from rl_transfer.analysis.calibration import LEVEL, chance_p, left_out_warnings, standings

SCORES = 3


def rates(sources: int, targets: int, rho: float, losing: float, draws: int) -> tuple[float, float]:
    """False alarms and hits, shares of all pairs of all sweeps that gain, and that lose.

    Args:
        sources: of each sweep.
        targets: of each sweep.
        rho: correlation of each score with the true gains.
        losing: share of the pairs that lose.
        draws: sweeps.
    """
    rng = np.random.default_rng([sources, targets, round(100 * rho), round(100 * losing)])
    said, lost = [], []
    for _ in range(draws):
        table, gains = _sweep(rng, sources, targets, rho, losing)
        (warned,) = left_out_warnings([table], [gains])
        said.append(warned.ravel() == 1)
        lost.append(gains.ravel() < 0)
    warned, losses = np.concatenate(said), np.concatenate(lost)
    return float(warned[~losses].mean()), float(warned[losses].mean())


def proofs(sources: int, targets: int, draws: int) -> float:
    """Share of sweeps whose scores know nothing and whose p is 5 % or less.

    Args:
        sources: of each sweep.
        targets: of each sweep.
        draws: sweeps.
    """
    rng = np.random.default_rng([sources, targets])
    found = []
    for _ in range(draws):
        table, gains = _sweep(rng, sources, targets, 0.0, 0.3)
        found.append(chance_p([table], [gains], rng) <= 0.05)
    return float(np.mean(found))


def _sweep(
    rng: np.random.Generator, sources: int, targets: int, rho: float, losing: float
) -> tuple[FloatArray, FloatArray]:
    """Standings of scores [source, target, score], and gains [source, target]."""
    _, gains = world(rng, sources, targets, 1.0)
    gains = gains - np.quantile(gains, losing)
    known = [_score(rng, gains, rho) for _ in range(SCORES)]
    return np.stack([standings(each) for each in known], axis=-1), gains


def _score(rng: np.random.Generator, gains: FloatArray, rho: float) -> FloatArray:
    """What it errs by belongs half to the source, as in the world."""
    z = (gains - gains.mean()) / gains.std()
    errors = rng.normal(0, 0.7, (len(gains), 1)) + rng.normal(0, 0.7, gains.shape)
    found: FloatArray = rho * z + (1 - rho**2) ** 0.5 * errors
    return found


def main() -> None:
    """Print both rates for several worlds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--draws", type=int, default=200, help="simulated sweeps per line")
    draws = parser.parse_args().draws
    print(f"{draws} sweeps each; false alarms of at most {LEVEL:.0%} are asked for")
    strengths = (0.0, 0.3, 0.6, 0.9)
    first, *others = (f"ρ = {rho:g}" for rho in strengths)
    print(f"| sources · targets | lose | {first}: false alarms, hits | {' | '.join(others)} |")
    print("|---|---:|" + "---:|" * len(strengths))
    for sources, targets in ((8, 8), (4, 6)):
        for losing in (0.06, 0.3):
            cells = []
            for rho in strengths:
                false, hit = rates(sources, targets, rho, losing, draws)
                cells.append(f"{100 * false:.1f} %, {100 * hit:.1f} %")
            print(f"| {sources} · {targets} | {100 * losing:.0f} % | {' | '.join(cells)} |", flush=True)
    share = proofs(8, 4, draws)
    print(f"8 sources, 4 targets, 30% lose, rho 0.0: p of 5 % or less in {share:.1%} of the sweeps")


if __name__ == "__main__":
    main()

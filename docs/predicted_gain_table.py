"""The table of predicted gains in docs/choosing-a-source.md, from a calibration file.

rl-transfer calibrate results/source-study-cartpole results/source-study-acrobot --output calibration.json
python docs/predicted_gain_table.py calibration.json

Every gain is predicted by a process that has not seen the gains on its target; and again by one that has not
seen those of its source either. Limits are over sources and targets, as in the other tables.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from rl_transfer.analysis.ranking import mean_taus, rank
from rl_transfer.api.known_gains import KnownGains, read_known_gains
from rl_transfer.api.predicted_gain import gain_predictor
from rl_transfer.rl.scores.context import context_distance, context_values
from rl_transfer.seeding import generator

Floats = npt.NDArray[np.float64]
CONFIDENCE = 0.95


def left_out(known: KnownGains, *, sources_too: bool) -> tuple[Floats, Floats]:
    """What is predicted of each pair without its target's gains, and whether its limits hold the gain."""
    predicted, held = np.full(known.gains.shape, math.nan), np.full(known.gains.shape, math.nan)
    groups = [[i] for i in range(len(known.sources))] if sources_too else [[*range(len(known.sources))]]
    for j, target in enumerate(known.targets):
        for rows in groups:
            gains = known.gains.copy()
            gains[:, j] = math.nan
            if sources_too:
                gains[rows] = math.nan
            predict = gain_predictor([replace(known, gains=gains)])
            for i in rows:
                found = predict(known.sources[i], target, context_values)
                if found.value is not None:
                    predicted[i, j] = found.value
                    reach = float(str(found.details["high"])) - found.value
                    held[i, j] = abs(known.gains[i, j] - found.value) <= reach
    return predicted, held


def same_source(gains: Floats) -> Floats:
    """The mean gain of each source on the other targets, in shares of their ranges."""
    shares = gains / np.ptp(gains, axis=0)
    return np.stack([np.delete(shares, j, axis=1).mean(axis=1) for j in range(gains.shape[1])], axis=1)


def difference(first: Floats, second: Floats, gains: Floats, resamples: int) -> str:
    """Mean τ of the first less that of the second, both on the same draws of sources and targets."""
    rng = generator(0, "difference")
    ones, drawn = ([np.ones((1, n)) for n in gains.shape], [
        rng.multinomial(n, np.full(n, 1 / n), size=resamples) * 1.0 for n in gains.shape
    ])  # fmt: skip
    point, draws = (mean_taus(first, gains, *w) - mean_taus(second, gains, *w) for w in (ones, drawn))
    low, high = np.nanquantile(draws, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return f"{point[0]:+.2f} [{low:+.2f}, {high:+.2f}]".replace("-", "−")


def main() -> None:
    """Print the table, a row per sweep and way."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("calibration", type=Path, help="what rl-transfer calibrate wrote")
    parser.add_argument("--resamples", type=int, default=10_000)
    chosen = parser.parse_args()
    print("| sweep | ranked by | τ | regret | τ − τ of context distance | its 95 % limits hold |")
    print("|---|---|---|---:|---|---:|")
    for known in read_known_gains(chosen.calibration):
        distance = np.array(
            [[-(context_distance(s, t).value or 0.0) for t in known.targets] for s in known.sources]
        )
        ways: dict[str, tuple[Floats, Floats | None]] = {
            "predicted gain": left_out(known, sources_too=False),
            "predicted gain, source not in the sweep": left_out(known, sources_too=True),
            "always the same source (control)": (same_source(known.gains), None),
            "context distance": (distance, None),
        }
        for way, (score, held) in ways.items():
            stream = generator(0, "table", known.sweep, way)
            found = rank(score, known.gains, stream, chosen.resamples, CONFIDENCE, 0)
            tau = f"{found.tau.point:+.2f} [{found.tau.low:+.2f}, {found.tau.high:+.2f}]".replace("-", "−")
            apart = "" if score is distance else difference(score, distance, known.gains, chosen.resamples)
            share = "" if held is None else f"{np.nanmean(held):.0%}"
            cells = [known.sweep, way, tau, f"{found.regret_share.point:.0%}", apart, share]
            print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    main()

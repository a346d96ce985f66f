"""Whether pairs are pairs: their held-out R² against that of the same rows, shuffled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rl_transfer.core._pairs import Decomposed, Matrix, Standard, checked_pairs, r_squared
from rl_transfer.core.alignment import AlignmentMap

MOST_PAIRS = 512
"""The check looks at so many pairs at most: more would only make it slower."""
SHUFFLES = 39
LEVEL = 0.05


@dataclass(frozen=True)
class PairingCheck:
    """Leave-one-out R² of pairs and of shuffled pairs.

    Attributes:
        r2: of the pairs as given; None where nothing varies.
        shuffled_r2: mean over shuffles.
        p: (1 + shuffles that do as well) / (1 + shuffles).
    """

    r2: float | None
    shuffled_r2: float | None
    p: float

    @property
    def paired(self) -> bool:
        """Whether the pairs foretell each other better than shuffled ones do, at the level 0.05."""
        return self.p <= LEVEL


def check_pairing(given: Matrix, wanted: Matrix, rng: np.random.Generator) -> PairingCheck:
    """Permutation test of the pairing; μ is chosen anew for each shuffle.

    Args:
        given: ``float[pair, given]``.
        wanted: ``float[pair, wanted]``.
        rng: draws the pairs that are looked at and the shuffles.

    Returns:
        The check; unpaired rows pass it in 5 of 100 cases. With fewer than four pairs no shuffle can be
        told from the pairs often enough, and it does not pass.

    Raises:
        TransferError: the sides do not fit.
    """
    x, y = checked_pairs(given, wanted)
    if len(x) > MOST_PAIRS:
        chosen = rng.choice(len(x), MOST_PAIRS, replace=False)
        x, y = x[chosen], y[chosen]
    standard = Standard.of(x, y, scaled=True)
    x, y = standard.apply(x, y)
    parts = Decomposed.of(x, y)
    r2 = _held_out(parts)
    if r2 is None:
        return PairingCheck(None, None, 1.0)
    orders = (rng.permutation(len(y)) for _ in range(SHUFFLES))
    shuffled = [_held_out(parts.with_wanted(y[order])) or 0.0 for order in orders]
    as_good = sum(each >= r2 for each in shuffled)
    return PairingCheck(r2, float(np.mean(shuffled)), (1 + as_good) / (1 + SHUFFLES))


def _held_out(parts: Decomposed) -> float | None:
    return r_squared(parts.left_out(parts.best()), parts.wanted)


def doubts(found: AlignmentMap, check: PairingCheck | None) -> list[str]:
    """What a person should know before the map is relied on.

    Args:
        found: the map.
        check: of its pairs; None for unpaired data.

    Returns:
        Sentences; empty where nothing speaks against it.
    """
    given = found.matrix.shape[1]
    lines = []
    if found.rank < given:
        missing = f"{found.rank} of {given} directions of what is given"
        r2 = "" if found.held_out_r2 is None else f", held-out R² {found.held_out_r2:.2f}"
        lines.append(
            f"{found.pairs} pairs show {missing}{r2}; the map is 0 along the others. Give more pairs, or "
            "pairs from more varied states"
        )
    if check is not None and not check.paired:
        numbers = "" if check.r2 is None else f" (R² {check.r2:.2f}, shuffled {check.shuffled_r2:.2f})"
        lines.append(
            f"the pairs foretell each other no better than shuffled ones do{numbers}: they may not be pairs. "
            "For data without pairs take unpaired (CORAL)"
        )
    elif found.held_out_r2 is not None and found.held_out_r2 < 0.5:
        lines.append(f"the map explains little of held-out pairs (R² {found.held_out_r2:.2f})")
    return lines

"""Whether pairs are pairs: their held-out R² against that of the same rows, shuffled.

Rows that follow each other in an episode are alike, and two unrelated episodes of one task take a like
course: shuffling such rows one by one finds "pairs" nearly always. Where rows come from episodes these are
exchanged whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rl_transfer.core._pairs import Decomposed, Matrix, Standard, checked_pairs, r_squared
from rl_transfer.core.alignment import AlignmentMap

MOST_PAIRS = 512
"""The check looks at so many pairs at most: more would only make it slower."""
MOST_ROWS = 2_048
"""Likewise for rows of episodes, of which more are needed; they are thinned evenly within each episode."""
LEAST_EPISODES = 5
"""Fewer episodes have too few orders for the level."""
SHUFFLES = 39
LEVEL = 0.05
CERTAIN = 0.99
"""Too few episodes are not told of where pairs explain so much."""


@dataclass(frozen=True)
class PairingCheck:
    """Leave-one-out R² of pairs and of shuffled pairs.

    Attributes:
        r2: of the pairs as given; None where nothing varies.
        shuffled_r2: mean over shuffles; None where none was made.
        p: (1 + shuffles that do as well) / (1 + shuffles); None where there are too few episodes to shuffle.
    """

    r2: float | None
    shuffled_r2: float | None
    p: float | None

    @property
    def paired(self) -> bool:
        """Whether the pairs foretell each other better than shuffled ones do, at the level 0.05."""
        return self.p is not None and self.p <= LEVEL


def check_pairing(
    given: Matrix, wanted: Matrix, rng: np.random.Generator, episodes: NDArray[np.int64] | None = None
) -> PairingCheck:
    """Permutation test of the pairing; μ is chosen anew for each shuffle.

    Args:
        given: ``float[pair, given]``.
        wanted: ``float[pair, wanted]``.
        rng: draws the pairs that are looked at and the shuffles.
        episodes: ``int[pair]``, the number of the episode that each row is of, rows in their order. The
            wanted sides of whole episodes are exchanged, row k for row k, and both orders are compared on the
            rows that both have. None: rows are independent of each other and shuffled one by one.

    Returns:
        The check; unpaired independent rows pass it in 5 of 100 cases. With fewer than four pairs no shuffle
        can be told from the pairs often enough, and it does not pass.

    Raises:
        TransferError: the sides do not fit.
    """
    x, y = checked_pairs(given, wanted)
    if episodes is not None and len(np.unique(episodes)) < len(episodes):
        kept = _thinned(episodes)
        return _check_episodes(x[kept], y[kept], episodes[kept], rng)
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


def _thinned(episodes: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most so many rows: of every episode the first, and then each k-th, so that row k still meets row k.

    Cutting the rows off instead would leave few episodes where these are long, and none could be exchanged.
    """
    begins = np.flatnonzero(np.diff(episodes, prepend=episodes[0] - 1))
    lengths = np.diff(begins, append=len(episodes))
    place = np.arange(len(episodes)) - np.repeat(begins, lengths)
    every = next(
        k for k in range(1, len(episodes) + 1) if k >= lengths.max() or -(-lengths // k).sum() <= MOST_ROWS
    )
    return np.flatnonzero(place % every == 0)[:MOST_ROWS]


def _check_episodes(
    x: Matrix, y: Matrix, episodes: NDArray[np.int64], rng: np.random.Generator
) -> PairingCheck:
    """The check by exchanges of whole episodes."""
    r2 = _r2_of(x, y)
    rows = [np.flatnonzero(episodes == each) for each in np.unique(episodes)]
    if r2 is None:
        return PairingCheck(None, None, 1.0)
    if len(rows) < LEAST_EPISODES:
        return PairingCheck(r2, None, None)
    exchanged = [
        (_r2_of(x[mine], y[theirs]) or 0.0, _r2_of(x[mine], y[mine]) or 0.0)
        for mine, theirs in _exchanges(rows, rng)
    ]
    as_good = sum(theirs >= mine for theirs, mine in exchanged)
    mean = float(np.mean([theirs for theirs, _ in exchanged]))
    return PairingCheck(r2, mean, (1 + as_good) / (1 + SHUFFLES))


def _exchanges(
    rows: list[NDArray[np.int64]], rng: np.random.Generator
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Rows of the given side, and the rows whose wanted sides they get."""
    for _ in range(SHUFFLES):
        met = [(rows[i], rows[j]) for i, j in enumerate(rng.permutation(len(rows)))]
        common = [(mine[: len(theirs)], theirs[: len(mine)]) for mine, theirs in met]
        yield np.concatenate([mine for mine, _ in common]), np.concatenate([theirs for _, theirs in common])


def _r2_of(x: Matrix, y: Matrix) -> float | None:
    return _held_out(Decomposed.of(*Standard.of(x, y, scaled=True).apply(x, y)))


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
    rows = "pairs" if check is not None else "rows"
    r2 = found.held_out_r2
    lines = []
    if found.rank < given:
        known = "" if r2 is None else f", held-out R² {r2:.2f}"
        lines.append(
            f"{found.pairs} {rows} show {found.rank} of {given} directions of what is given{known}; the "
            f"map is 0 along the others. Give more {rows}, or {rows} from more varied states"
        )
    if check is None:
        return lines
    if check.r2 is None:
        lines.append("what is wanted is the same in every pair: the map gives that and explains nothing")
        return lines
    if r2 is None and check.p is None:
        lines.append(
            f"the {found.pairs} pairs come from too few episodes to leave one out, so that nothing is known "
            "of the map's error; give more pairs"
        )
    elif r2 is None:
        lines.append(
            f"each of {found.pairs} pairs decides its own prediction, so that none can be held out and "
            "nothing is known of the map's error; give more pairs, or a shrinkage above 0"
        )
    if check.p is None and check.r2 < CERTAIN:
        lines.append(
            f"the pairs come from fewer than {LEAST_EPISODES} episodes, and rows of an episode are alike: "
            f"whether they are pairs cannot be told, and their R² ({check.r2:.2f}) flatters. Give more pairs"
        )
    elif check.p is not None and not check.paired:
        numbers = f" (R² {check.r2:.2f}, shuffled {check.shuffled_r2:.2f}, p {check.p:.2f})"
        lines.append(
            f"the pairs foretell each other no better than shuffled ones might{numbers}: they may not be "
            "pairs, or too few to tell. For data without pairs take unpaired (CORAL)"
        )
    elif r2 is not None and r2 < 0.5:
        lines.append(f"the map explains little of held-out pairs (R² {r2:.2f})")
    return lines

"""Coverage of the interval of a score: span taken for known, Fieller's set without covariance, and with.

    python -m benchmarks.validity.score_intervals            # 20 s on one core
    python -m benchmarks.validity.score_intervals --repeats 500

The from-scratch arm ends at 150 (standard deviation 45) where the random policy gets 22; its area follows its
final performance, run by run. The transfer arm lies a given number of spans above it.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from benchmarks.validity.arms import DELTA, EPISODES, RANDOM, RANDOM_SPREAD, SHAPES, SPREAD, FloatArray
from rl_transfer.analysis.fieller import Line, Sample, confidence_set
from rl_transfer.analysis.special import log_t_quantile

FINAL, AREA, NOISE = 150.0, 100.0, 8.0
SEEDS = (5, 10, 20)
Flags = npt.NDArray[np.bool_]
Arms = tuple[FloatArray, FloatArray, FloatArray, FloatArray]
"""x, a, f and r, each [repeat, run]."""


def draw(rng: np.random.Generator, shape: str, repeats: int, runs: int, gain: float, *, final: bool) -> Arms:
    """Arms whose true score difference is ``gain``.

    Args:
        rng: source of randomness.
        shape: of the arms, a key of :data:`SHAPES`.
        repeats: how many.
        runs: in each arm.
        gain: in spans.
        final: whether the figure judged is the final performance itself, else an area that follows it.
    """
    scale = 45 / SPREAD
    f = FINAL + scale * (SHAPES[shape](rng, (repeats, runs), FINAL) - FINAL)
    a = f if final else f - (FINAL - AREA) + NOISE * rng.normal(size=f.shape)
    level = (FINAL if final else AREA) + gain * (FINAL - RANDOM)
    x = level + scale * (SHAPES[shape](rng, (repeats, runs), level) - level)
    return x, a, f, RANDOM + RANDOM_SPREAD * rng.normal(size=(repeats, EPISODES))


def holds(arms: Arms, theta: float, parts: str) -> Flags:
    """Whether the interval of each repeat holds ``theta``.

    Args:
        arms: as drawn.
        theta: the true score difference.
        parts: ``known`` for a span that counts as known, ``apart`` for Fieller's set with the figures of a
            from-scratch run taken for independent, ``fieller`` for the set as it is.
    """
    x, a, f, r = arms
    n, n_y, k = x.shape[1], a.shape[1], r.shape[1]
    span = f.mean(axis=1) - r.mean(axis=1)
    d = x.mean(axis=1) - a.mean(axis=1) - theta * span
    own = {"known": a, "apart": a, "fieller": a + theta * f}[parts].var(axis=1, ddof=1)
    each = [(x.var(axis=1, ddof=1) / n, n - 1), (own / n_y, n_y - 1)]
    if parts == "apart":
        each.append((theta**2 * f.var(axis=1, ddof=1) / n_y, n_y - 1))
    if parts != "known":
        each.append((theta**2 * r.var(axis=1, ddof=1) / k, k - 1))
    total = sum((part for part, _ in each), np.zeros(len(x)))
    inverse = sum(((part / total) ** 2 / degrees for part, degrees in each), np.zeros(len(x)))
    inside: Flags = d**2 <= np.exp(2 * log_t_quantile(0.975)(inverse)) * total
    return inside


def holds_guarded(arms: Arms, theta: float, delta: float = DELTA) -> Flags:
    """:func:`holds` of what the product shows: arms without spread also with a run more.

    Args:
        arms: as drawn.
        theta: the true score difference.
        delta: half-width of the region of practical equivalence.
    """
    x, a, f, r = arms
    inside = holds(arms, theta, "fieller")
    random, best = r.mean(axis=1), np.hstack([x, a, f]).max(axis=1)
    for mine, arm in ((True, x), (False, a)):
        rows = np.flatnonzero(np.ptp(arm, axis=1) <= 2 * delta)
        at_random = np.abs(arm.mean(axis=1) - random) <= delta
        more = np.where(at_random, best, random)[rows, None]
        longer = [np.hstack([side[rows], more]) for side in ((x,) if mine else (a, f))]
        first, second, third = (*longer, a[rows], f[rows]) if mine else (x[rows], *longer)
        also = holds((first, second, third, r[rows]), theta, "fieller")
        inside[rows] = np.logical_or(inside[rows], also)
    return inside


def kinds_of_sets(arms: Arms, repeats: int) -> dict[str, float]:
    """Shares of the product's sets: bounded, one-sided, withheld.

    Args:
        arms: as drawn.
        repeats: how many of them are solved.
    """
    found = {"bounded": 0.0, "one-sided": 0.0, "withheld": 0.0}
    for x, a, f, r in zip(*(side[:repeats] for side in arms), strict=True):
        line = Line([Sample(x, 0 * x), Sample(-a, -f), Sample(0 * r, r)])
        each = confidence_set(line, 0.95)
        kind = "bounded" if each.defined else "one-sided" if each.limited else "withheld"
        found[kind] += 1 / min(repeats, len(arms[0]))
    return found


def tables(repeats: int, solved: int) -> list[str]:
    """The tables as Markdown lines.

    Args:
        repeats: draws per cell.
        solved: how many of them have their set solved too.
    """
    rng = np.random.default_rng(0)
    lines = [
        "| figure | true gain | K | span known (before) | no covariance | Fieller | bounded | one-sided "
        "| raw only |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for final in (False, True):
        for gain in (0.0, 1.0, 3.0):
            for runs in SEEDS:
                arms = draw(rng, "normal", repeats, runs, gain, final=final)
                shares = [holds(arms, gain, each).mean() for each in ("known", "apart", "fieller")]
                cells = [*(f"{share:.3f}" for share in shares)]
                cells += [f"{share:.0%}" for share in kinds_of_sets(arms, solved).values()]
                head = "final quality" if final else "sample efficiency"
                lines.append(f"| {head} | {gain:+g} | {runs} | {' | '.join(cells)} |")
    head = " | ".join(f"K = {runs}" for runs in (4, *SEEDS))
    lines += ["", f"| arms | {head} |", "|---|" + "---|" * 4]
    for shape in SHAPES:
        if shape == "capped":
            continue
        drawn = [draw(rng, shape, repeats, runs, 1.0, final=False) for runs in (4, *SEEDS)]
        bare = [holds(arms, 1.0, "fieller").mean() for arms in drawn]
        guarded = [holds_guarded(arms, 1.0).mean() for arms in drawn]
        cells = [f"{now:.3f} ({without:.3f})" for now, without in zip(guarded, bare, strict=True)]
        lines.append(f"| {shape} | {' | '.join(cells)} |")
    return lines


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the tables.

    Args:
        arguments: of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--repeats", type=int, default=10_000)
    parser.add_argument("--solved", type=int, default=300)
    given = parser.parse_args(arguments)
    print("\n".join(tables(given.repeats, given.solved)))


if __name__ == "__main__":
    main()

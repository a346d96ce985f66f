"""Tests that may look at the data several times: a level spent look by look, exact relabelling in blocks.

A seed plan of looks K_1 < … < K_L takes seeds in stages; stage l adds K_l − K_(l−1) of them to every arm that
is undecided. Look l may spend α·w_l, and the w add up to 1, so that all looks together are wrong with
probability α at most, whenever the sweep stops and for whatever reason (a union bound). Functions take an
arm as its blocks: one sequence of numbers per stage, one number per run.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from rl_transfer.analysis.arm_statistics import (
    PERMUTATION_LIMIT,
    FloatArray,
    Interval,
    Values,
    as_values,
    splits,
)

Blocks = Sequence[Values]

TABLE_LIMIT = 250_000
"""Most sums that one side of an exact count holds: two stages of 5 + 5 runs make 63,504."""
_CHUNK = 4096


@dataclass(frozen=True)
class LookTaken:
    """The look of a seed plan that a comparison was judged at."""

    number: int
    """From 1."""
    of: int
    seeds: int
    """Per arm."""
    weight: float
    """Share of the level that this look may spend."""
    spent: float
    """Share of the level that this and all looks before it may spend."""


@dataclass(frozen=True)
class Exploratory:
    """A gain with more seeds than its verdict rests on; it proves nothing."""

    seeds: int
    """Per arm, in the smaller one."""
    gain: Interval
    """In the unit of the comparison."""
    p: float
    """Two-sided permutation p, not adjusted."""


def spent(share: float) -> float:
    """Share of the level that may be spent when a ``share`` t of all seeds is in: f(t) = ln(1 + (e − 1) t).

    Source: Lan & DeMets 1983, Biometrika 70:659–663 (the function of Pocock's type).

    Args:
        share: K_l / K_L, in [0, 1].

    Returns:
        0 at 0, 1 at 1.
    """
    return math.log1p((math.e - 1) * share)


def weights(looks: Sequence[int]) -> tuple[float, ...]:
    """What each look may spend of the level: w_l = f(K_l / K_L) − f(K_(l−1) / K_L).

    >>> [round(w, 3) for w in weights([5, 10, 15, 20])]
    [0.357, 0.263, 0.208, 0.172]

    Args:
        looks: seeds per arm at each look, increasing, at least one.

    Returns:
        One weight per look; they add up to 1.
    """
    reached = [0.0, *(spent(seeds / looks[-1]) for seeds in looks)]
    return tuple(after - before for before, after in itertools.pairwise(reached))


def repeated_p(p_values: Values, spending: Sequence[float]) -> FloatArray:
    """Repeated p after each look: the least of min(1, p_l′ / w_l′) over the looks l′ ≤ l.

    Under the null it is below α at any look with probability α at most, however the looks depend on each
    other: Σ P(p_l ≤ α w_l) ≤ α Σ w_l = α (weighted Bonferroni).

    >>> repeated_p([0.1, 0.02], [0.5, 0.5]).tolist()
    [0.2, 0.04]

    Source: Jennison & Turnbull 2000, ch. 9 (repeated p-values); the tests of each look as in AdaStop
    (Mathieu, Della Vecchia, Shilova, Centa de Medeiros, Kohler, Maillard, Preux 2024, TMLR).

    Args:
        p_values: p of each look that was taken, in [0, 1].
        spending: weight of each look; later ones may be left over.

    Returns:
        Array [look], falling.
    """
    p = as_values(p_values, "p_values")
    return np.minimum.accumulate(np.minimum(1.0, p / np.asarray(spending[: p.size])))


def relabellings(cells: int, q: float, spending: Sequence[float]) -> int:
    """How many relabellings are sampled where they cannot be counted: 20 m / (q · min w) at least.

    Twenty times what a lone effect among ``cells`` needs at the look that may spend least.

    Args:
        cells: tests in the family.
        q: false-discovery rate, in (0, 1).
        spending: weights of the looks.

    Returns:
        At least :data:`~rl_transfer.analysis.arm_statistics.PERMUTATION_LIMIT`.
    """
    return max(PERMUTATION_LIMIT, math.ceil(20 * max(cells, 1) / (q * min(spending))))


def block_permutation_p(
    x: Blocks,
    y: Blocks,
    generator: np.random.Generator,
    *,
    samples: int,
) -> float:
    """Permutation test of equal means that relabels runs within their stage alone.

    The statistic is the sum of the first arm's values, each less the mean of its stage (with as many runs in
    both arms: proportional to x̄ − ȳ). Where the arms differ in size in some stage it is studentised,
    Welch's t of these values. Without studentising, all relabellings count, p = share of those at least as
    extreme, as long as two halves of the stages have :data:`TABLE_LIMIT` each; with it, up to
    :data:`~rl_transfer.analysis.arm_statistics.PERMUTATION_LIMIT`. Beyond, ``samples`` are drawn and
    p = (1 + hits) / (1 + samples).

    >>> x, y = [[5.0, 6.0], [7.0]], [[1.0, 2.0], [3.0]]
    >>> block_permutation_p(x, y, np.random.default_rng(0), samples=1)  # 2 of 6 · 2
    0.16666666666666666

    Source: Fisher 1935; studentised: Janssen 1997, Stat. Probab. Lett. 36:9–21; the +1: Phipson & Smyth 2010.

    Args:
        x: the first arm, runs of each stage.
        y: the second arm, runs of the same stages.
        generator: source of randomness; untouched where all relabellings are counted.
        samples: relabellings that are drawn where they cannot be counted.

    Returns:
        p in (0, 1]; NaN if an arm has no run.

    Raises:
        ValueError: the arms have different numbers of stages, or a value is NaN or infinite.
    """
    if len(x) != len(y):
        raise ValueError(f"arms need runs of the same stages: {len(x)} in the first, {len(y)} in the second")
    pairs = [(as_values(a, "x"), as_values(b, "y")) for a, b in zip(x, y, strict=True)]
    if not (sum(a.size for a, _ in pairs) and sum(b.size for _, b in pairs)):
        return math.nan
    centred = [(a - m, b - m) for a, b in pairs if a.size and b.size for m in [np.concatenate([a, b]).mean()]]
    if not centred:
        return 1.0
    if any(a.size != b.size for a, b in centred):
        return _studentised(centred, generator, samples)
    observed = float(sum(a.sum() for a, _ in centred))
    slack = 1e-9 * max(float(np.abs(np.concatenate(pair)).max()) for pair in centred)
    if (halves := _halves(centred)) is not None:
        return _counted(*halves, observed, slack)
    hits, left = 0, samples
    while left:
        rows = min(left, _CHUNK)
        sums = sum((_draw(pair, rows, generator) for pair in centred), np.zeros(rows))
        hits += int(np.count_nonzero(_extreme(sums, observed, slack)))
        left -= rows
    return (1 + hits) / (1 + samples)


def smallest_repeated_p(looks: Sequence[int]) -> FloatArray:
    """The smallest two-sided repeated p that each look of a plan can give, with as many runs in both arms.

    >>> smallest_repeated_p([5, 10])[0].round(4)  # 2 / 252 over w = 0.62
    np.float64(0.0128)

    Args:
        looks: seeds per arm at each look, increasing.

    Returns:
        Array [look].
    """
    stages = [after - before for before, after in itertools.pairwise([0, *looks])]
    splits = np.cumprod([float(math.comb(2 * stage, stage)) for stage in stages])
    return repeated_p(np.minimum(1.0, 2 / splits), weights(looks))


def _extreme(statistics: FloatArray, observed: float, slack: float) -> npt.NDArray[np.bool_]:
    return np.abs(statistics) >= abs(observed) - slack


def _splits_of(pair: tuple[FloatArray, FloatArray]) -> int:
    return math.comb(pair[0].size + pair[1].size, pair[0].size)


def _table(pair: tuple[FloatArray, FloatArray]) -> FloatArray:
    """The first arm's sum under every relabelling of one stage."""
    sums: FloatArray = np.concatenate(pair)[splits(pair[0].size + pair[1].size, pair[0].size)].sum(axis=1)
    return sums


def _draw(pair: tuple[FloatArray, FloatArray], rows: int, generator: np.random.Generator) -> FloatArray:
    """The first arm's sum under random relabellings of one stage."""
    if _splits_of(pair) <= PERMUTATION_LIMIT:
        table = _table(pair)
        return table[generator.integers(table.size, size=rows)]
    pooled = np.concatenate(pair)
    shuffled = generator.permuted(np.broadcast_to(pooled, (rows, pooled.size)), axis=1)
    sums: FloatArray = shuffled[:, : pair[0].size].sum(axis=1)
    return sums


def _halves(pairs: Sequence[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, FloatArray] | None:
    """All sums of half of the stages, and all of the others; None where either are too many."""
    shares: tuple[list[int], list[int]] = ([], [])
    for place in sorted(range(len(pairs)), key=lambda each: -_splits_of(pairs[each])):
        smaller = min(shares, key=lambda share: math.prod(_splits_of(pairs[each]) for each in share))
        smaller.append(place)
    if any(math.prod(_splits_of(pairs[each]) for each in share) > TABLE_LIMIT for share in shares):
        return None
    first, second = (_all_sums([_table(pairs[each]) for each in share]) for share in shares)
    return first, second


def _all_sums(tables: Sequence[FloatArray]) -> FloatArray:
    total = np.zeros(1)
    for table in tables:
        total = np.add.outer(total, table).ravel()
    return total


def _counted(first: FloatArray, second: FloatArray, observed: float, slack: float) -> float:
    """Share of all pairs of sums, one of either half, whose total is as extreme as the observed one."""
    ordered = np.sort(first)

    bound = abs(observed) - slack
    if bound <= 0:
        return 1.0
    above = ordered.size - np.searchsorted(ordered, bound - second, side="left")
    below = np.searchsorted(ordered, -bound - second, side="right")
    return float(above.sum() + below.sum()) / (ordered.size * second.size)


def _studentised(
    pairs: Sequence[tuple[FloatArray, FloatArray]], generator: np.random.Generator, samples: int
) -> float:
    """The test with Welch's t, whose sums and squares have to be counted together."""
    pooled = np.concatenate([np.concatenate(pair) for pair in pairs])
    sizes = [(pair[0].size, pair[1].size) for pair in pairs]
    mine = np.concatenate([np.arange(a + b) < a for a, b in sizes])
    observed = float(_welch_t(pooled[mine][None], pooled[~mine][None])[0])
    exact = math.prod(math.comb(a + b, a) for a, b in sizes) <= PERMUTATION_LIMIT
    starts = np.cumsum([0, *(a + b for a, b in sizes)])
    if exact:
        choices = itertools.product(*(splits(a + b, a) for a, b in sizes))
        chosen = np.array(
            [np.concatenate([c + s for c, s in zip(one, starts, strict=False)]) for one in choices]
        )
        statistics = _welch_t_of(pooled, chosen)
        return float(np.mean(_extreme(statistics, observed, 1e-9 * (1 + abs(observed)))))
    hits, left = 0, samples
    while left:
        rows = min(left, _CHUNK)
        orders = [
            generator.permuted(np.broadcast_to(np.arange(a + b), (rows, a + b)), axis=1)[:, :a] + start
            for (a, b), start in zip(sizes, starts, strict=False)
        ]
        statistics = _welch_t_of(pooled, np.concatenate(orders, axis=1))
        hits += int(np.count_nonzero(_extreme(statistics, observed, 1e-9 * (1 + abs(observed)))))
        left -= rows
    return (1 + hits) / (1 + samples)


def _welch_t_of(pooled: FloatArray, chosen: npt.NDArray[np.intp]) -> FloatArray:
    """Welch's t of each choice [row, run] of the first arm's runs against the rest."""
    inside = np.zeros((len(chosen), pooled.size), dtype=bool)
    np.put_along_axis(inside, chosen, True, axis=1)
    rows = np.broadcast_to(pooled, inside.shape)
    return _welch_t(rows[inside].reshape(len(chosen), -1), rows[~inside].reshape(len(chosen), -1))


def _welch_t(x: FloatArray, y: FloatArray) -> FloatArray:
    """(x̄ − ȳ) / √(s²_x/n_x + s²_y/n_y) of each row; an arm of one run counts with the other's variance."""
    gap: FloatArray = x.mean(axis=1) - y.mean(axis=1)
    known = [side.var(axis=1, ddof=1) for side in (x, y) if side.shape[1] > 1]
    if not known:
        return gap
    error = np.sqrt(known[0] / x.shape[1] + known[-1] / y.shape[1])
    largest = np.abs(np.concatenate([x, y], axis=1)).max(axis=1)
    gap = np.where(np.abs(gap) <= 1e-12 * largest, 0.0, gap)
    with np.errstate(divide="ignore", invalid="ignore"):
        found: FloatArray = np.where(gap == 0, 0.0, gap / np.where(error <= 1e-12 * largest, 0.0, error))
    return found

"""Looking at results while seeds are added: false verdicts, power and seeds spent, by simulation.

    python -m benchmarks.validity.sequential                 # all tables, about three minutes on one core
    python -m benchmarks.validity.sequential peeking --sweeps 500

A sweep of m cells, each an arm against a from-scratch arm; arms are of one shape with a spread of 1, and
true effects move an arm by d spreads; δ is 25 / 60 of a spread and the random policy 4.6 spreads below
scratch, as in benchmarks/validity/arms.py. A cell is decided where its adjusted p is below 0.05 and Welch's
interval leaves out 0. In the tables ``rules`` and ``power`` the gain must be at least δ as well, and all of
it must survive one run more in arms without spread, as in rl_transfer; the others leave that out: it makes
claims rarer. Relabellings are sampled for all cells at once; where few of them are as extreme as what was
observed, and where an arm has a run more, the tool's own count takes their place.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from benchmarks.validity import arms
from rl_transfer.analysis import sequential

Array = npt.NDArray[np.float64]
Shape = Callable[[np.random.Generator, tuple[int, ...]], Array]

Q = 0.05
PLAN = (5, 10, 15, 20)
PEEKS = (5, 7, 9, 11, 13, 15, 17, 19, 20)
DRAWN = 1999
FEW = 20
"""Sampled relabellings as extreme as the observed one below which all are counted."""
SEED = 20_26
DELTA = arms.DELTA / arms.SPREAD
RANDOM = (arms.RANDOM - 300.0) / arms.SPREAD
"""Where a run more ends, in spreads above the mean of scratch: its tasks are no floor, but may have a cap."""


def _capped(generator: np.random.Generator, size: tuple[int, ...]) -> Array:
    """Normal, with the upper third at a cap."""
    return np.minimum(generator.normal(size=size), 0.43) / 0.73


def _bimodal(generator: np.random.Generator, size: tuple[int, ...]) -> Array:
    """Three runs in ten fail."""
    fails = generator.random(size) < 0.3
    return (np.where(fails, -2.5, 0.0) + 0.4 * generator.normal(size=size)) / 1.21


def _skewed(generator: np.random.Generator, size: tuple[int, ...]) -> Array:
    values: Array = generator.lognormal(0.0, 0.75, size) / 1.16
    return values


def _heavy(generator: np.random.Generator, size: tuple[int, ...]) -> Array:
    values: Array = generator.standard_t(3, size) / np.sqrt(3)
    return values


SHAPES: dict[str, Shape] = {
    "normal": lambda generator, size: generator.normal(size=size),
    "skewed": _skewed,
    "bimodal": _bimodal,
    "capped": _capped,
    "heavy-tailed": _heavy,
}


@dataclass(frozen=True)
class Outcome:
    """What became of simulated sweeps: arrays [sweep, cell]."""

    sign: npt.NDArray[np.int64]
    """1 called positive, -1 negative, 0 undecided or equivalent."""
    equivalent: npt.NDArray[np.bool_]
    seeds: npt.NDArray[np.int64]
    """Per arm when the cell stopped."""

    @property
    def settled(self) -> npt.NDArray[np.bool_]:
        """Whether a gain or a loss was called."""
        found: npt.NDArray[np.bool_] = self.sign != 0
        return found


def simulate(
    x: Array,
    y: Array,
    looks: Sequence[int],
    generator: np.random.Generator,
    *,
    naive: bool = False,
    delta: float | None = None,
    guard: bool = False,
    few: int = FEW,
) -> Outcome:
    """Sweeps under a plan: a cell stops when it is decided, the others go on.

    Args:
        x: arms [sweep, cell, seed].
        y: their from-scratch arms, of a shape that broadcasts to that of x: [sweep, 1, seed] is shared.
        looks: seeds per arm at each look; one look is a fixed design.
        generator: draws relabellings.
        naive: peek: every look spends all of the level, and relabels as if it were the only one.
        delta: let cells be called equivalent too, within ±delta.
        guard: ask for a gain of :data:`DELTA`, and for what one run more leaves of arms without spread.
        few: count all relabellings where fewer of the sampled ones are as extreme as the observed one; a
            single cell, which needs no smaller p than 0.0085, can do without.
    """
    y = np.broadcast_to(y, x.shape)
    shape = x.shape[:2]
    spending = [1.0] * len(looks) if naive else sequential.weights(looks)
    stages = np.diff([0, *looks])
    repeated, rejected = np.ones(shape), np.ones(shape)
    sign, equivalent = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=bool)
    seeds = np.full(shape, looks[-1])
    active = np.ones(shape, dtype=bool)
    for look, (runs, weight) in enumerate(zip(looks, spending, strict=True)):
        mine, other = x[active][:, :runs], y[active][:, :runs]
        blocks = [runs] if naive else [int(size) for size in stages[: look + 1]]
        case = judged(mine, other, blocks, generator, Q * weight, guard=guard, delta=delta or DELTA, few=few)
        repeated[active] = np.minimum(repeated[active], case.p / weight)
        now = np.zeros(shape, dtype=np.int64)
        now[active] = case.sign
        decided = (now != 0) & active & (_adjusted(repeated) < Q)
        sign[decided] = now[decided]
        stopped = decided.copy()
        if delta is not None:
            rejected[active] = np.minimum(rejected[active], case.equivalence_p / weight)
            same = active & ~decided & (_adjusted(rejected) < Q)
            equivalent |= same
            stopped |= same
        seeds[stopped] = runs
        active &= ~stopped
        if not active.any():
            break
    return Outcome(sign, equivalent, seeds)


@dataclass(frozen=True)
class Case:
    """What one look says of many pairs of arms: arrays [pair]."""

    p: Array
    equivalence_p: Array
    sign: npt.NDArray[np.int64]
    """1 where interval and point allow a gain, -1 where they allow a loss."""


def judged(
    x: Array,
    y: Array,
    blocks: Sequence[int],
    generator: np.random.Generator,
    level: float,
    *,
    guard: bool,
    delta: float,
    few: int,
) -> Case:
    """Interval, tests and relevance of many pairs [pair, seed], with a run more in arms without spread.

    Args:
        x: the arms.
        y: what they are compared with.
        blocks: seeds that each look added.
        generator: draws relabellings.
        level: that this look may spend.
        guard: whether verdicts ask for δ and a run more.
        delta: half-width of the region of practical equivalence.
        few: as for :func:`simulate`.
    """
    found = _case(x, y, p_values(x, y, blocks, generator, few), level, delta, least=delta if guard else 0.0)
    ends = [0, *np.cumsum(blocks)]
    for mine in (True, False) if guard else ():
        rows = np.flatnonzero(np.ptp(x if mine else y, axis=1) <= 2 * delta)
        if rows.size == 0:
            continue
        more = np.full((rows.size, 1), RANDOM)
        first = np.hstack([x[rows], more]) if mine else x[rows]
        second = y[rows] if mine else np.hstack([y[rows], more])
        p = [
            sequential.block_permutation_p(
                np.split(a, ends[1:-1]), np.split(b, ends[1:-1]), generator, samples=2000
            )
            for a, b in zip(first, second, strict=True)
        ]
        other = _case(first, second, np.array(p), level, delta, least=delta)
        found.p[rows] = np.maximum(found.p[rows], other.p)
        found.equivalence_p[rows] = np.maximum(found.equivalence_p[rows], other.equivalence_p)
        found.sign[rows] *= found.sign[rows] == other.sign
    return found


def _case(x: Array, y: Array, p: Array, level: float, delta: float, *, least: float) -> Case:
    gap = x.mean(axis=1) - y.mean(axis=1)
    clear = (np.abs(gap) > _half_width(x, y, level)) & (np.abs(gap) >= least)
    return Case(p, _equivalence_p(x, y, delta), np.where(clear, np.sign(gap), 0).astype(np.int64))


def p_values(
    x: Array, y: Array, blocks: Sequence[int], generator: np.random.Generator, few: int = FEW
) -> Array:
    """Block-permutation p of many pairs of arms [pair, seed]: sampled, and counted where it is small."""
    ends = list(itertools.pairwise(np.cumsum([0, *blocks]).tolist()))
    pooled = np.concatenate([arm[:, i:j] for i, j in ends for arm in (x, y)], axis=1)
    labels = np.concatenate([_labels(size, generator) for size in blocks], axis=1)
    observed = (x.sum(axis=1) - y.sum(axis=1))[:, None]
    found = np.empty(len(x))
    for rows in np.array_split(np.arange(len(x)), len(x) // 2048 + 1):
        sums = pooled[rows].astype(np.float32) @ labels.T
        bound, slack = observed[rows], 1e-5 * np.abs(pooled[rows]).max(axis=1, keepdims=True)
        hits = np.abs(sums) >= np.abs(bound) - slack
        found[rows] = (1 + hits.sum(axis=1)) / (1 + DRAWN)
    for pair in np.flatnonzero(found < (1 + few) / (1 + DRAWN)):
        first, second = ([arm[pair, i:j] for i, j in ends] for arm in (x, y))
        found[pair] = sequential.block_permutation_p(first, second, generator, samples=40_000)
    return found


def _labels(size: int, generator: np.random.Generator) -> npt.NDArray[np.float32]:
    """Random relabellings of one stage [relabelling, run]: +1 counts for the first arm, -1 for the second."""
    halves = np.repeat(np.array([1.0, -1.0], dtype=np.float32), size)
    return generator.permuted(np.broadcast_to(halves, (DRAWN, 2 * size)), axis=1)


def _equivalence_p(x: Array, y: Array, delta: float) -> Array:
    """The larger p of two one-sided Welch tests of ±delta, of each pair [pair, seed]."""
    error, degrees = _welch(x, y)
    gap = np.abs(x.mean(axis=1) - y.mean(axis=1))
    p: Array = stats.t.sf((delta - gap) / error, degrees)
    return p


def _half_width(x: Array, y: Array, level: float) -> Array:
    """Half the width of Welch's interval of each pair [pair, seed] at confidence 1 − level."""
    error, degrees = _welch(x, y)
    width: Array = stats.t.ppf(1 - level / 2, degrees) * error
    return width


def _welch(x: Array, y: Array) -> tuple[Array, Array]:
    """Standard error of the difference of each pair [pair, seed], and its degrees of freedom."""
    parts = [arm.var(axis=1, ddof=1) / arm.shape[1] for arm in (x, y)]
    total = np.maximum(parts[0] + parts[1], 1e-300)
    inverse = sum((part / total) ** 2 / (arm.shape[1] - 1) for part, arm in zip(parts, (x, y), strict=True))
    return np.sqrt(total), 1 / np.maximum(inverse, 1 / (x.shape[1] + y.shape[1] - 2))


def _adjusted(p: Array) -> Array:
    """Benjamini–Hochberg over the cells of each sweep [sweep, cell]."""
    order = np.argsort(p, axis=1)
    cells = p.shape[1]
    stepped = np.take_along_axis(p, order, axis=1) * cells / np.arange(1, cells + 1)
    lowest = np.minimum.accumulate(stepped[:, ::-1], axis=1)[:, ::-1]
    found = np.empty_like(p)
    np.put_along_axis(found, order, lowest, axis=1)
    return found


def peeking(sweeps: int, generator: np.random.Generator) -> Iterator[str]:
    """False verdicts of a single null cell: peeking, the plan, and fixed designs."""
    yield "| arms | one look, K = 20 | peeking at 5, 7, … 20 | plan 5, 10, 15, 20 |"
    yield "|---|---|---|---|"
    for name, shape in SHAPES.items():
        x, y = (shape(generator, (sweeps, 1, 20)) for _ in range(2))
        rates = [
            simulate(x, y, looks, generator, naive=naive).settled.mean()
            for looks, naive in (((20,), False), (PEEKS, True), (PLAN, False))
        ]
        yield f"| {name} | " + " | ".join(f"{rate:.3f}" for rate in rates) + " |"


def families(sweeps: int, generator: np.random.Generator) -> Iterator[str]:
    """False discoveries where all cells share one from-scratch arm."""
    yield "| cells | of them null | sweeps | plan: FDR | any false | fixed 20: FDR | any false |"
    yield "|---|---|---|---|---|---|---|"
    for cells in (12, 36, 144):
        for share in (1.0, 0.75, 0.5):
            number = max(sweeps // cells, 100)
            effects = np.where(np.arange(cells) < round(cells * share), 0.0, 1.5)
            x = generator.normal(size=(number, cells, 20)) + effects[:, None]
            y = generator.normal(size=(number, 1, 20))
            told = []
            for looks in (PLAN, (20,)):
                settled = simulate(x, y, looks, generator).settled
                false = (settled & (effects == 0)).sum(axis=1)
                told += [(false / np.maximum(settled.sum(axis=1), 1)).mean(), (false > 0).mean()]
            yield (
                f"| {cells} | {round(cells * share)} | {number} | "
                + " | ".join(f"{e:.3f}" for e in told)
                + " |"
            )


def power(sweeps: int, generator: np.random.Generator) -> Iterator[str]:
    """Power and mean seeds per arm of the plan, against fixed designs."""
    designs = (PLAN, (5,), (10,), (20,))
    head = " | ".join(f"fixed {k[0]}" for k in designs[1:])
    yield f"| arms | d | plan: power | mean K | {head} |"
    yield "|---" * 7 + "|"
    for name, effect in itertools.product(("normal", "capped"), (0.0, 0.5, 1.0, 1.5, 2.0)):
        x, y = (SHAPES[name](generator, (sweeps, 1, 20)) + d for d in (effect, 0.0))
        told = [simulate(x, y, looks, generator, guard=True, few=0) for looks in designs]
        rates = " | ".join(f"{each.settled.mean():.3f}" for each in told[1:])
        plan = told[0]
        yield f"| {name} | {effect:g} | {plan.settled.mean():.3f} | {plan.seeds.mean():.1f} | {rates} |"


def rules(sweeps: int, generator: np.random.Generator) -> Iterator[str]:
    """False verdicts of a single null cell by all rules, δ and the run more included."""
    yield "| arms | one look, K = 20 | plan 5, 10, 15, 20 |"
    yield "|---|---|---|"
    for name, shape in SHAPES.items():
        x, y = (shape(generator, (sweeps, 1, 20)) for _ in range(2))
        rates = [simulate(x, y, looks, generator, guard=True).settled.mean() for looks in ((20,), PLAN)]
        yield f"| {name} | " + " | ".join(f"{rate:.3f}" for rate in rates) + " |"


def equivalence(sweeps: int, generator: np.random.Generator) -> Iterator[str]:
    """Cells called equivalent within ±1 spread: falsely at a true difference of δ, rightly at 0."""
    yield "| arms | d = δ: plan | fixed 20 | d = 0: plan | mean K | fixed 20 |"
    yield "|---|---|---|---|---|---|"
    for name, shape in SHAPES.items():
        told: list[str] = []
        for effect in (1.0, 0.0):
            x, y = shape(generator, (sweeps, 1, 20)) + effect, shape(generator, (sweeps, 1, 20))
            planned, fixed = (simulate(x, y, looks, generator, delta=1.0) for looks in (PLAN, (20,)))
            told += [f"{planned.equivalent.mean():.3f}"]
            told += [f"{planned.seeds.mean():.1f}"] if effect == 0 else []
            told += [f"{fixed.equivalent.mean():.3f}"]
        yield f"| {name} | " + " | ".join(told) + " |"


TABLES = {
    "peeking": peeking,
    "rules": rules,
    "families": families,
    "power": power,
    "equivalence": equivalence,
}


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", help=f"of {', '.join(TABLES)}; default: all")
    parser.add_argument("--sweeps", type=int, default=2000, help="single cells that are simulated")
    arguments = parser.parse_args()
    for name in arguments.tables or TABLES:
        if name not in TABLES:
            parser.error(f"no table {name!r}: choose of {', '.join(TABLES)}")
        print(f"\n{(TABLES[name].__doc__ or name).strip()}\n")
        for line in TABLES[name](arguments.sweeps, np.random.default_rng(SEED)):
            print(line, flush=True)


if __name__ == "__main__":
    main()

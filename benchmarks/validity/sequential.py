"""Looking at results while seeds are added: false verdicts, power and seeds spent, by simulation.

    python -m benchmarks.validity.sequential                 # all tables
    python -m benchmarks.validity.sequential peeking --sweeps 500

A sweep of m cells, each an arm against a from-scratch arm; arms are of one shape with a spread of 1, and
true effects move an arm by d spreads; δ is 25 / 60 of a spread and the random policy 4.6 spreads below
scratch, as in benchmarks/validity/arms.py. Verdicts are rl_transfer's own, all rules included: its contrast
with a run more, its looks, its correction, its decision. Only cells that may get one are put to it. Where
neither p can be small enough, by relabellings that are drawn for all cells at once and by a bound on the
tests of equivalence, there is none, and whether their p is 1 changes the verdict of no other cell.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from benchmarks.validity import arms, rules
from rl_transfer.analysis.arm_statistics import benjamini_hochberg
from rl_transfer.analysis.comparison import Corrected, verdict_of
from rl_transfer.analysis.contrast import Contrast, Test, contrast, in_one_block
from rl_transfer.analysis.guard import ONE_MORE
from rl_transfer.analysis.look_design import LookDesign, with_smaller_p
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.tolerance import Tolerance
from rl_transfer.analysis.verdict import Verdict

Array = npt.NDArray[np.float64]
Shape = Callable[[np.random.Generator, tuple[int, ...]], Array]
Place = tuple[int, int]
"""Sweep and cell."""

Q = 0.05
PLAN = (5, 10, 15, 20)
PEEKS = (5, 7, 9, 11, 13, 15, 17, 19, 20)
DRAWN = 1999
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
    delta: float = DELTA,
) -> Outcome:
    """Sweeps under a plan: a cell stops when it is decided, the others go on.

    Args:
        x: arms [sweep, cell, seed].
        y: their from-scratch arms, of a shape that broadcasts to that of x: [sweep, 1, seed] is shared.
        looks: seeds per arm at each look; one look is a fixed design.
        generator: draws relabellings.
        naive: peek: every look is judged as if it were the only one.
        delta: half-width of the region of practical equivalence, in spreads.
    """
    y = np.broadcast_to(y, x.shape)
    sign, equivalent = np.zeros(x.shape[:2], dtype=np.int64), np.zeros(x.shape[:2], dtype=bool)
    seeds = np.full(x.shape[:2], looks[-1])
    active = np.ones(x.shape[:2], dtype=bool)
    said: dict[Place, Contrast] = {}
    for number in range(1, len(looks) + 1):
        design = _design(looks[number - 1 : number] if naive else looks, 1 if naive else number)
        look = _Look(design, x, y, delta, generator)
        said = look.contrasts(active, {} if naive else said)
        for place, verdict in look.verdicts(said, active).items():
            sign[place] = {Verdict.POSITIVE: 1, Verdict.NEGATIVE: -1}.get(verdict, 0)
            equivalent[place] = verdict is Verdict.EQUIVALENT
            seeds[place], active[place] = looks[number - 1], False
        if not active.any():
            break
    return Outcome(sign, equivalent, seeds)


def _design(looks: Sequence[int], number: int) -> LookDesign:
    ends = list(itertools.pairwise([0, *looks]))
    return LookDesign(tuple(looks), tuple(tuple(range(i, j)) for i, j in ends[:number]), {}, {}, taken=True)


@dataclass
class _Look:
    """One look at many sweeps: what it sees of each pair of arms is judged by rl_transfer."""

    design: LookDesign
    x: Array
    y: Array
    delta: float
    generator: np.random.Generator
    runs: int = field(init=False)

    def __post_init__(self) -> None:
        self.runs = self.design.look.seeds

    def contrasts(
        self, active: npt.NDArray[np.bool_], before: Mapping[Place, Contrast]
    ) -> dict[Place, Contrast]:
        """Every contrast so far that may be worth a verdict, those of decided cells as they were."""
        candidates = self._candidates(active)
        for place in before:
            candidates[place] |= active[place]
        places: list[Place] = [(int(i), int(j)) for i, j in np.argwhere(candidates)]
        tests = self._tests(places)
        found = dict(before)
        for place, test in zip(places, tests, strict=True):
            first, second = (
                dict(zip(_names(name, self.runs), arm[place][: self.runs].tolist(), strict=True))
                for name, arm in (("x", self.x), ("y", self.y))
            )
            scale, level = self._scale(place[0]), Q * self.design.weight
            pair = contrast(first, second, scale, 1 - level, self.generator, ("arm", "scratch"), test)
            pair = self.design.weighed(pair)
            found[place] = with_smaller_p(pair, before[place]) if place in before else pair
        return found

    def _scale(self, sweep: int) -> ScoreScale:
        best = max(float(arm[sweep, :, : self.runs].max()) for arm in (self.x, self.y))
        return ScoreScale("raw", RANDOM, np.nan, Tolerance(self.delta), best=best)

    def _candidates(self, active: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Cells of which either p may be below the share of the level that this look may spend."""
        x, y = self.x[active][:, : self.runs], self.y[active][:, : self.runs]
        level = Q * self.design.weight
        p = drawn_p(x, y, [len(stage) for stage in self.design.stages], self.generator)
        gap, error, _ = rules.welch(x, y)
        found = np.zeros(active.shape, dtype=bool)
        # Twice a level of .0086 is five standard errors of a drawn p above it; t quantiles are above 1.64.
        found[active] = (p < 2 * level) | (self.delta - np.abs(gap) >= 1.64 * error)
        return found

    def _tests(self, places: Sequence[Place]) -> list[Test]:
        """The test of each pair; where there is one block, that of all pairs by the same relabellings."""
        if len(self.design.looks) > 1:
            stages = [name for arm in "xy" for name in _names(arm, self.runs)]
            seeds = dict(zip(stages, [*range(self.runs)] * 2, strict=True))
            return [self.design.test(seeds, cells=self.x.shape[1], q=Q)] * len(places)
        rows = tuple(np.array(places, dtype=np.intp).reshape(-1, 2).T)
        found = rules.permutation(self.x[rows][:, : self.runs], self.y[rows][:, : self.runs])
        return [_known(float(p)) for p in found]

    def verdicts(self, said: Mapping[Place, Contrast], active: npt.NDArray[np.bool_]) -> dict[Place, Verdict]:
        """What the undecided cells are called, those alone that are called something."""
        both = np.ones((2, *active.shape))
        for place, pair in said.items():
            both[(slice(None), *place)] = pair.p, pair.equivalence_p
        rows = {place[0] for place in said}
        for row in rows:
            both[:, row] = [benjamini_hochberg(p) for p in both[:, row]]
        found = {}
        for place in (each for each in said if active[each]):
            used = Corrected(float(both[0][place]), float(both[1][place]), active.shape[1])
            found[place] = verdict_of(said[place], used, delta=self.delta, q=Q)[0]
        return {place: each for place, each in found.items() if each is not Verdict.INCONCLUSIVE}


def _names(arm: str, runs: int) -> list[str]:
    return [f"{arm}{seed}" for seed in range(runs)]


def _known(p: float) -> Test:
    """The test of two arms as they are; with a run more they are tested by themselves."""

    def test(x: Mapping[str, float], y: Mapping[str, float], generator: np.random.Generator) -> float:
        return in_one_block(x, y, generator) if ONE_MORE in (x.keys() | y.keys()) else p

    return test


def drawn_p(x: Array, y: Array, blocks: Sequence[int], generator: np.random.Generator) -> Array:
    """Block-permutation p of many pairs of arms [pair, seed], all by the same 1,999 relabellings.

    Args:
        x: the arms.
        y: what they are compared with.
        blocks: seeds that each look added.
        generator: draws relabellings.
    """
    ends = list(itertools.pairwise(np.cumsum([0, *blocks]).tolist()))
    pooled = np.concatenate([arm[:, i:j] for i, j in ends for arm in (x, y)], axis=1)
    labels = np.concatenate([_labels(size, generator) for size in blocks], axis=1)
    observed = np.abs(x.sum(axis=1) - y.sum(axis=1))[:, None]
    found = np.empty(len(x))
    for rows in np.array_split(np.arange(len(x)), len(x) // 2048 + 1):
        sums = pooled[rows].astype(np.float32) @ labels.T
        slack = 1e-5 * np.abs(pooled[rows]).max(axis=1, keepdims=True, initial=0.0)
        found[rows] = (1 + (np.abs(sums) >= observed[rows] - slack).sum(axis=1)) / (1 + DRAWN)
    return found


def _labels(size: int, generator: np.random.Generator) -> npt.NDArray[np.float32]:
    """Random relabellings of one stage [relabelling, run]: +1 counts for the first arm, -1 for the second."""
    halves = np.repeat(np.array([1.0, -1.0], dtype=np.float32), size)
    return generator.permuted(np.broadcast_to(halves, (DRAWN, 2 * size)), axis=1)


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
    for cells, shares in ((12, (1.0, 0.75, 0.5)), (36, (1.0, 0.75, 0.5)), (144, (1.0,))):
        for share in shares:
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
        told = [simulate(x, y, looks, generator) for looks in designs]
        rates = " | ".join(f"{each.settled.mean():.3f}" for each in told[1:])
        plan = told[0]
        yield f"| {name} | {effect:g} | {plan.settled.mean():.3f} | {plan.seeds.mean():.1f} | {rates} |"


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

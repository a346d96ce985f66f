"""False verdicts, coverage and power of the verdict's rules, by shape of the arms, K and family.

    python -m benchmarks.validity.verdicts shapes    # coverage and false verdicts of single cells
    python -m benchmarks.validity.verdicts capped    # arms without spread, before and after
    python -m benchmarks.validity.verdicts equal     # equivalence at a difference of δ
    python -m benchmarks.validity.verdicts families  # false verdicts and power in families of cells
    python -m benchmarks.validity.verdicts doubted   # bimodal against normal arms, and a studentised test
    python -m benchmarks.validity.verdicts gaps      # power of arms at the ceiling, by the gap

Each takes one to three minutes on one core; ``--repeats 200`` gives a quick look.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from benchmarks.validity.arms import CAP, DELTA, RANDOM, SHAPES, FloatArray, capped, normal
from benchmarks.validity.rules import Tests, guarded, plain, studentised, verdicts

SEEDS = (4, 5, 10, 20)
Rule = Callable[[FloatArray, FloatArray], Tests]
RULES: Mapping[str, Rule] = {"before": plain, "after": guarded}


def shares(found: Tests) -> dict[str, float]:
    """How often a lone cell gets each verdict.

    Args:
        found: of all repeats.
    """
    return {name: float(each.mean()) for name, each in verdicts([found]).items()}


def shapes(repeats: int) -> Iterator[str]:
    """Equal means: coverage of the raw interval, and positive or negative verdicts, all of them false.

    Args:
        repeats: draws per cell.
    """
    rng = np.random.default_rng(0)
    columns = [f"{what}, K = {runs}" for runs in SEEDS for what in ("coverage", "false")]
    yield f"| arm | against | {' | '.join(columns)} |"
    yield "|---|---|" + "---|" * len(columns)
    for name, shape in SHAPES.items():
        mean = 450.0 if name == "capped" else 300.0
        for other, name_of in ((shape, "its like"), (normal, "normal")):
            if name == "normal" and name_of == "normal":
                continue
            cells = []
            for runs in SEEDS:
                x, y = shape(rng, (repeats, runs), mean), other(rng, (repeats, runs), mean)
                found = guarded(x, y)
                told = shares(found)
                cover = float(((found.low <= 0) & (found.high >= 0)).mean())
                cells += [f"{cover:.3f}", f"{told['positive'] + told['negative']:.3f}"]
            yield f"| {name} | {name_of} | {' | '.join(cells)} |"


def doubted(repeats: int) -> Iterator[str]:
    """Bimodal and skewed arms against normal ones of the same mean: the test as it is, and studentised.

    Args:
        repeats: draws per row.
    """
    rng = np.random.default_rng(4)
    yield "| arm | against | K | coverage | false | false, studentised test |"
    yield "|---|---|---|---|---|---|"
    for name, other in (("bimodal", "normal"), ("bimodal", "bimodal"), ("skewed", "normal")):
        for runs in (10, 20):
            x, y = (SHAPES[each](rng, (repeats, runs), 300.0) for each in (name, other))
            found = guarded(x, y)
            cover = float(((found.low <= 0) & (found.high >= 0)).mean())
            told = [
                shares(each) for each in (found, replace(found, p=np.maximum(found.p, studentised(x, y))))
            ]
            false = " | ".join(f"{each['positive'] + each['negative']:.4f}" for each in told)
            against = "its like" if name == other else other
            yield f"| {name} | {against} | {runs} | {cover:.4f} | {false} |"


def gaps(repeats: int) -> Iterator[str]:
    """What one run more leaves of five runs at the ceiling, by the gap to a normal arm below.

    Args:
        repeats: draws per row.
    """
    rng = np.random.default_rng(5)
    seeds = (5, 6, 8, 10)
    yield "| gap | of the way to random | " + " | ".join(f"K = {runs}" for runs in seeds) + " |"
    yield "|---|---|" + "---|" * len(seeds)
    for mean in (136.0, 160.0, 180.0, 188.0, 196.0, 210.0, 230.0, 250.0):
        cells = []
        for runs in seeds:
            x, y = np.full((repeats, runs), CAP), normal(rng, (repeats, runs), mean)
            cells.append(f"{shares(guarded(x, y))['positive']:.2f}")
        share = (CAP - mean) / (CAP - RANDOM)
        yield f"| {CAP - mean:.0f} | {share:.0%} | {' | '.join(cells)} |"


def narrow(rng: np.random.Generator, shape: tuple[int, ...], mean: float) -> FloatArray:
    """Normal, standard deviation 10.

    Args:
        rng: source of randomness.
        shape: [repeat, run].
        mean: of the runs.
    """
    return mean + (normal(rng, shape, 0.0)) / 6


def capped_arms(repeats: int) -> Iterator[str]:
    """Arms at the ceiling: false verdicts before and after, and what power is left.

    Args:
        repeats: draws per cell.
    """
    rng = np.random.default_rng(1)
    yield "| arms | verdict | K | before | after |"
    yield "|---|---|---|---|---|"
    cases: list[tuple[str, str, Callable[[int], tuple[FloatArray, FloatArray]]]] = [
        (
            "one run in ten fails (mean 450) against normal about 450, sd 10",
            "gain or loss: false",
            lambda runs: (capped(rng, (repeats, runs), 450.0), narrow(rng, (repeats, runs), 450.0)),
        ),
        (
            "one run in ten fails (mean 450) against always 500",
            "equivalent: false",
            lambda runs: (capped(rng, (repeats, runs), 450.0), np.full((repeats, runs), CAP)),
        ),
        (
            "always 500 against normal about 136, sd 60",
            "positive: true",
            lambda runs: (np.full((repeats, runs), CAP), normal(rng, (repeats, runs), 136.0)),
        ),
        (
            "always 500 against normal about 250, sd 60",
            "positive: true",
            lambda runs: (np.full((repeats, runs), CAP), normal(rng, (repeats, runs), 250.0)),
        ),
        (
            "always 9 against normal about 250, sd 60",
            "negative: true",
            lambda runs: (np.full((repeats, runs), 9.0), normal(rng, (repeats, runs), 250.0)),
        ),
    ]
    for name, verdict, arms in cases:
        for runs in (5, 10, 20):
            x, y = arms(runs)
            cells = []
            for rule in RULES.values():
                told = shares(rule(x, y))
                said = verdict.partition(":")[0]
                share = told["positive"] + told["negative"] if said == "gain or loss" else told[said]
                cells.append(f"{share:.3f}")
            yield f"| {name} | {verdict} | {runs} | {' | '.join(cells)} |"


def equal(repeats: int) -> Iterator[str]:
    """Equivalence: false where the true difference is δ, and found where it is 0.

    Args:
        repeats: draws per cell.
    """
    rng = np.random.default_rng(2)
    seeds = (5, 10, 20, 40)
    yield "| arms | " + " | ".join(f"at δ, K = {runs} | at 0, K = {runs}" for runs in seeds) + " |"
    yield "|---|" + "---|" * (2 * len(seeds))
    for name, shape in SHAPES.items():
        mean = 450.0 if name == "capped" else 300.0
        cells = []
        for runs in seeds:
            for shift in (DELTA, 0.0):
                x, y = (shape(rng, (repeats, runs), level) for level in (mean, mean - shift))
                cells.append(f"{shares(guarded(x, y))['equivalent']:.3f}")
        yield f"| {name}, sd 60 | {' | '.join(cells)} |"
    cells = []
    for runs in seeds:
        for shift in (DELTA, 0.0):
            x, y = (mean + 25 * rng.normal(size=(repeats, runs)) for mean in (300.0, 300.0 - shift))
            cells.append(f"{shares(guarded(x, y))['equivalent']:.3f}")
    yield f"| normal, sd 25 | {' | '.join(cells)} |"


def family(
    rng: np.random.Generator, repeats: int, runs: int, cells: int, gains: FloatArray
) -> dict[str, FloatArray]:
    """Verdicts of a family on cells / 4 targets: the four cells of a target share their from-scratch arm.

    Args:
        rng: source of randomness.
        repeats: families drawn.
        runs: in each arm.
        cells: in the family.
        gains: true difference of each cell.
    """
    found: list[Tests] = []
    for place in range(cells):
        if place % 4 == 0:
            scratch = normal(rng, (repeats, runs), 250.0)
        found.append(guarded(normal(rng, (repeats, runs), 250.0 + float(gains[place])), scratch))
    return {name: each.astype(float) for name, each in verdicts(found).items()}


def families(repeats: int) -> Iterator[str]:
    """False verdicts in families without effects, false discoveries and power where a quarter of cells gain.

    Args:
        repeats: families of 12 drawn; of 36 a third of that, of 144 a sixth.
    """
    rng = np.random.default_rng(3)
    yield (
        "| cells | K | families with a false verdict | false discoveries, a quarter gain "
        "| power, a quarter gain 2 sd | power, one cell gains 2 sd |"
    )
    yield "|---|---|---|---|---|---|"
    for cells, share in ((12, 1), (36, 3), (144, 6)):
        for runs in (5, 10, 20):
            times = max(20, repeats // share)
            nothing = family(rng, times, runs, cells, np.zeros(cells))
            wrong = (nothing["positive"] + nothing["negative"]).any(axis=1).mean()
            some = np.where(np.arange(cells) < cells // 4, 120.0, 0.0)
            told = family(rng, times, runs, cells, some)
            claimed = told["positive"] + told["negative"]
            right = told["positive"][:, : cells // 4]
            discoveries = (claimed.sum(axis=1) - right.sum(axis=1)) / np.maximum(claimed.sum(axis=1), 1)
            lone = family(rng, times, runs, cells, np.where(np.arange(cells) == 0, 120.0, 0.0))
            alone = lone["positive"][:, 0].mean()
            figures = f"{wrong:.3f} | {discoveries.mean():.3f} | {right.mean():.2f} | {alone:.2f}"
            yield f"| {cells} | {runs} | {figures} |"


TABLES: Mapping[str, Callable[[int], Iterator[str]]] = {
    "shapes": shapes,
    "capped": capped_arms,
    "equal": equal,
    "families": families,
    "doubted": doubted,
    "gaps": gaps,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a table.

    Args:
        arguments: of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("table", choices=TABLES)
    parser.add_argument("--repeats", type=int, default=2_000)
    given = parser.parse_args(arguments)
    for line in TABLES[given.table](given.repeats):
        print(line, flush=True)


if __name__ == "__main__":
    main()

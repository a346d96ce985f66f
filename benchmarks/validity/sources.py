"""Source policies that feed several runs: what is claimed of the source task, and what it is worth.

    python -m benchmarks.validity.sources             # everything, two minutes of CPU
    python -m benchmarks.validity.sources one several # some of the tables

J_ir = μ + a_i + e_ir for run r from source policy i; a share ``rho`` of the variance, half unless another
is named, lies between policies. From-scratch runs have the same variance and no source. All means are
equal, so that every verdict is false.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from scipy import stats

from benchmarks.validity.arms import SHAPES, SPREAD, FloatArray, Shape, normal
from benchmarks.validity.rules import Tests, guarded, paired, verdicts
from rl_transfer.analysis.arm_statistics import Interval, permutation_p, welch_interval
from rl_transfer.analysis.bootstrap import iqm_interval
from rl_transfer.analysis.cluster_bootstrap import cluster_iqm
from rl_transfer.analysis.contrast import studentised
from rl_transfer.analysis.intraclass import intraclass_correlation
from rl_transfer.analysis.sequential import weights
from rl_transfer.analysis.source_policies import SourcePolicies

MEAN, TARGETS, RHO = 300.0, 12, 0.5
UNSEEN = ("skewed", "bimodal", "heavy-tailed")


def arm(
    rng: np.random.Generator, policies: int, runs: int, shape: Shape = normal, rho: float = RHO
) -> FloatArray:
    """Runs that policies feed, array [policy, run].

    Args:
        rng: source of randomness.
        policies: how many.
        runs: of each policy.
        shape: of what is peculiar to policies and to runs.
        rho: share of the variance between policies.
    """
    between, within = (
        (shape(rng, size, MEAN) - MEAN) * share**0.5
        for size, share in (((policies, 1), rho), ((policies, runs), 1 - rho))
    )
    found: FloatArray = MEAN + between + within
    return found


def fed(runs: FloatArray) -> tuple[SourcePolicies, dict[str, float]]:
    """The policies of an arm [policy, run], and its runs by name.

    Args:
        runs: as :func:`arm` gives them.
    """
    names = {(i, r): f"{i}/{r}" for i, r in np.ndindex(runs.shape)}
    sources = SourcePolicies({name: f"source {i}" for (i, _), name in names.items()})
    return sources, {name: float(runs[place]) for place, name in names.items()}


def parted(found: Interval) -> bool:
    """Whether an interval leaves out 0."""
    return found.low > 0 or found.high < 0


def judged(
    runs: FloatArray, scratch: FloatArray, rng: np.random.Generator, level: float = 0.05
) -> tuple[bool, bool, str, bool]:
    """Whether an arm is called different: by its runs, by what is compared now; of what; interval holds 0.

    Args:
        runs: [policy, run].
        scratch: [run].
        rng: of the permutation tests.
        level: of interval and test.
    """
    sources, values = fed(runs)
    x, y = runs.ravel(), scratch.tolist()
    before = parted(welch_interval(x, y, 1 - level)) and permutation_p(x, y, rng) < level
    mine = sources.observations(values)
    found = welch_interval([*mine.values()], y, 1 - level)
    test = studentised() if sources.pooled else None
    after = parted(found) and (before if test is None else test(mine, dict(enumerate_names(y)), rng) < level)
    return before, after, sources.estimand, not parted(found)


def enumerate_names(values: Sequence[float]) -> Iterator[tuple[str, float]]:
    """Runs of an arm that nothing feeds, with names."""
    return ((f"scratch {place}", value) for place, value in enumerate(values))


def one(draws: int) -> Iterator[str]:
    """One policy for all runs.

    Args:
        draws: sweeps per row.
    """
    yield "| K | of the source task, before | of the source task, now | of this checkpoint, now |"
    yield "|---|---|---|---|"
    for runs in (5, 10, 20):
        rng = np.random.default_rng([1, runs])
        found = [judged(arm(rng, 1, runs), normal(rng, (runs,), MEAN), rng) for _ in range(draws)]
        before = np.mean([each[0] for each in found])
        task = np.mean([each[1] and each[2] == "source task" for each in found])
        # The checkpoint's own mean is MEAN + a: what is claimed of it is false only where a is 0.
        flat = [judged(arm(rng, 1, runs, rho=0.0), normal(rng, (runs,), MEAN), rng) for _ in range(draws)]
        here = np.mean([each[1] and each[2] == "checkpoint" for each in flat])
        yield f"| {runs} | {before:.3f} | {task:.3f} | {here:.3f} |"


def several(draws: int) -> Iterator[str]:
    """Several policies, each with several runs, against as many from-scratch runs.

    Args:
        draws: sweeps per row.
    """
    yield "| policies · runs of each | arms | between policies | before: false | now: false | now: coverage |"
    yield "|---|---|---|---|---|---|"
    cases = [
        (m, r, name, rho)
        for m, r in ((4, 5), (5, 4), (10, 2))
        for name in ("normal",)
        for rho in (0.2, 0.5, 0.8)
    ]
    cases += [(5, 4, name, RHO) for name in UNSEEN]
    for m, r, name, rho in cases:
        rng, shape = np.random.default_rng([2, m, r, round(10 * rho)]), SHAPES[name]
        found = [judged(arm(rng, m, r, shape, rho), shape(rng, (m * r,), MEAN), rng) for _ in range(draws)]
        before, after, cover = (np.mean([each[place] for each in found]) for place in (0, 1, 3))
        yield f"| {m} · {r} | {name} | {rho:.0%} | {before:.3f} | {after:.3f} | {cover:.3f} |"


def fed_pair(
    rng: np.random.Generator, draws: int, policies: int, runs: int, shape: Shape, correlation: float
) -> tuple[FloatArray, FloatArray]:
    """What policies make of an arm and of its control, means over their runs, each [draw, policy].

    What is peculiar to a policy is the same in both, or with the sign turned, for as large a share of the
    policies as the correlation says, and else independent.

    Args:
        rng: source of randomness.
        draws: how many pairs of arms.
        policies: that feed both.
        runs: of each policy in each arm.
        shape: of what is peculiar to policies and to runs.
        correlation: of a policy's effects on both.
    """
    first, other = (shape(rng, (draws, policies, 1), MEAN) - MEAN for _ in range(2))
    shares = rng.random(first.shape) < abs(correlation)
    second = np.where(shares, np.sign(correlation) * first, other)
    x, y = (
        MEAN
        + RHO**0.5 * each[..., 0]
        + (1 - RHO) ** 0.5 * (shape(rng, (draws, policies, runs), MEAN) - MEAN).mean(axis=2)
        for each in (first, second)
    )
    return x, y


def told(found: Tests) -> tuple[float, float]:
    """Coverage of a difference of 0, and how often knowledge is said to help or to hurt.

    Args:
        found: of all draws.
    """
    said = verdicts([found])
    cover = ((found.low <= 0) & (found.high >= 0)).mean()
    return float(cover), float((said["positive"] | said["negative"]).mean())


def controls(draws: int) -> Iterator[str]:
    """An arm and a control that the same policies feed, as if independent (before) and in pairs (now).

    Args:
        draws: sweeps per row.
    """
    yield (
        "| arms | policies · runs of each | correlation | coverage, before | now | false, before | now "
        "| power at 1.5 sd, before | now |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    signs = (1.0, 0.5, 0.0, -0.5, -1.0)
    cases = [("normal", m, r, c) for m, r in ((5, 1), (10, 1), (20, 1), (5, 4)) for c in signs]
    cases += [(name, m, 1, c) for name in UNSEEN for m in (5, 20) for c in signs[::2]]
    for name, m, r, c in cases:
        rng = np.random.default_rng([3, m, r, round(10 + 10 * c)])
        x, y = fed_pair(rng, draws, m, r, SHAPES[name], c)
        more = x + 1.5 * SPREAD
        figures = [told(rule(x, y)) for rule in (guarded, paired)]
        power = [verdicts([rule(more, y)])["positive"].mean() for rule in (guarded, paired)]
        cells = [f"{figure:.3f}" for pair in zip(*figures, strict=True) for figure in pair]
        cells += [f"{figure:.2f}" for figure in power]
        yield f"| {name} | {m} · {r} | {c:+.1f} | {' | '.join(cells)} |"


def opposed(draws: int) -> Iterator[str]:
    """Pairs whose policies do opposite things: false knowledge by the t test, and what others would do.

    Args:
        draws: sweeps per row.
    """
    yield (
        "| arms | policies | false: t test (ours) | and sign flips | and Hall's | power at 1 sd: t test "
        "| and Hall's |"
    )
    yield "|---|---|---|---|---|---|---|"
    for name, m in itertools.product(("normal", "skewed"), (10, 20, 40)):
        rng = np.random.default_rng([5, m])
        x, y = fed_pair(rng, draws, m, 1, SHAPES[name], -1.0)
        d = x - y
        flips = rng.choice((-1.0, 1.0), (m, 2000))
        hits = [np.abs(part @ flips) >= np.abs(part.sum(axis=1))[:, None] - 1e-9 for part in _parts(d)]
        flipped = (1 + np.concatenate([each.sum(axis=1) for each in hits])) / 2001
        t, hall = _t_and_hall(d)
        false = [t, np.maximum(t, flipped), np.maximum(t, hall)]
        t, hall = _t_and_hall(d + SPREAD)
        shares = [f"{(p < 0.05).mean():.4f}" for p in false]
        power = [f"{(p < 0.05).mean():.3f}" for p in (t, np.maximum(t, hall))]
        yield f"| {name} | {m} | {' | '.join([*shares, *power])} |"


def _parts(d: FloatArray) -> list[FloatArray]:
    return np.array_split(d, len(d) // 1000 + 1)


def _t_and_hall(d: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Two-sided p of a mean of 0, [repeat]: Student's, and with Hall's (1992) correction for skewness."""
    m = d.shape[1]
    s, skewness = d.mean(axis=1) / d.std(axis=1, ddof=1), stats.skew(d, axis=1, bias=False)
    corrected = s + skewness * s**2 / 3 + skewness**2 * s**3 / 27 + skewness / (6 * m)
    p, other = (2 * stats.t.sf(np.sqrt(m) * np.abs(each), m - 1) for each in (s, corrected))
    return p, other


def aggregates(seeds: int, rho: float, draws: int) -> tuple[float, float]:
    """Coverage of the interquartile mean over 12 targets, source i feeding seed i on all of them.

    Args:
        seeds: as many policies.
        rho: share of the variance between them.
        draws: sweeps.

    Returns:
        With each target resampled on its own, and with policies resampled.
    """
    rng = np.random.default_rng([4, seeds, round(10 * rho)])
    clusters = np.repeat(np.arange(seeds), TARGETS).tolist()
    before = after = 0
    for _ in range(draws):
        runs = arm(rng, seeds, TARGETS, rho=rho)
        old = iqm_interval(runs.T.tolist(), rng, 300, 0.95)
        new = cluster_iqm(runs.ravel(), clusters, rng, 10_000 if seeds == 5 else 2_000, 0.95)
        before += old.low <= MEAN <= old.high
        after += new.low <= MEAN <= new.high
    return before / draws, after / draws


def matrix(draws: int) -> Iterator[str]:
    """Interquartile means over the matrix.

    Args:
        draws: sweeps per row.
    """
    yield "| between policies | K | before: target by target | now: policies, with all their runs |"
    yield "|---|---|---|---|"
    for rho in (0.0, 0.5, 0.8):
        for seeds in (5, 10, 20):
            before, after = aggregates(seeds, rho, draws)
            yield f"| {rho:.0%} | {seeds} | {before:.3f} | {after:.3f} |"


def plans(draws: int) -> Iterator[str]:
    """A seed plan of four looks, whose seeds take the policies in turn: cells that are ever called different.

    Args:
        draws: sweeps per row.
    """
    yield "| policies | between policies | one look, at the end | plan of four looks |"
    yield "|---|---|---|---|"
    for m, rho in ((4, 0.5), (5, 0.5), (5, 0.8), (10, 0.5)):
        rng = np.random.default_rng([6, m, round(10 * rho)])
        spending = weights([m * look for look in range(1, 5)])
        ends, ever = 0, 0
        for _ in range(draws):
            runs, scratch = arm(rng, m, 4, rho=rho), normal(rng, (4 * m,), MEAN)
            ends += judged(runs, scratch, rng)[1]
            ever += any(
                judged(runs[:, : look + 1], scratch[: m * (look + 1)], rng, 0.05 * share)[1]
                for look, share in enumerate(spending)
            )
        yield f"| {m} | {rho:.0%} | {ends / draws:.3f} | {ever / draws:.3f} |"


def correlation(draws: int) -> Iterator[str]:
    """The intraclass correlation: mean estimate, and coverage of its interval.

    Args:
        draws: arms per row.
    """
    yield "| between policies | runs of each policy | mean estimate | coverage |"
    yield "|---|---|---|---|"
    for rho in (0.2, 0.5, 0.8):
        for sizes in ((4,) * 5, (1, 2, 4, 6, 7), (2,) * 10):
            rng = np.random.default_rng([5, len(sizes), sizes[0], round(10 * rho)])
            found = []
            for _ in range(draws):
                runs = arm(rng, len(sizes), max(sizes), rho=rho) / SPREAD
                groups = [row[:size] for row, size in zip(runs, sizes, strict=True)]
                found.append(intraclass_correlation(groups, 0.95))
            cover = np.mean([each.low <= rho <= each.high for each in found])
            shown = f"{len(sizes)} · {sizes[0]}" if len({*sizes}) == 1 else ", ".join(map(str, sizes))
            yield f"| {rho:.0%} | {shown} | {np.mean([each.point for each in found]):.2f} | {cover:.3f} |"


TABLES: Mapping[str, tuple[Callable[[int], Iterator[str]], int]] = {
    "one": (one, 2000),
    "several": (several, 2000),
    "controls": (controls, 5000),
    "opposed": (opposed, 20_000),
    "plans": (plans, 600),
    "matrix": (matrix, 300),
    "correlation": (correlation, 2000),
}
"""Name → table, and its draws."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print tables.

    Args:
        arguments: of the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("tables", nargs="*", metavar="table", default=[*TABLES])
    parser.add_argument("--draws", type=int, default=None, help="per row; each table has its own default")
    given = parser.parse_args(arguments)
    for name in given.tables:
        if name not in TABLES:
            parser.error(f"no table {name!r}, expected some of {', '.join(TABLES)}")
        table, draws = TABLES[name]
        print(f"\n{name}\n", flush=True)
        for line in table(given.draws or draws):
            print(line, flush=True)


if __name__ == "__main__":
    main()

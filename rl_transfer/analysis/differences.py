"""Two sweeps side by side: what was asked for, what each cell came to, and which verdicts are others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from rl_transfer.analysis import overview
from rl_transfer.analysis.arm_statistics import Interval, benjamini_hochberg
from rl_transfer.analysis.arms import NOT_PLANNED, Arm
from rl_transfer.analysis.comparison import JUDGED
from rl_transfer.analysis.contrast import Contrast, contrast, in_one_block, paired_contrast, studentised
from rl_transfer.analysis.inputs import Curve, Sweep
from rl_transfer.analysis.looks import analyse
from rl_transfer.analysis.matrix import Steps
from rl_transfer.analysis.metrics import GAINS
from rl_transfer.analysis.model import CellKey, Matrix
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.errors import StoreError
from rl_transfer.seeding import generator
from rl_transfer.spec.base import Json

FIGURES = {"asymptotic_gain": "final_performance", "auc_gain": "auc"}
"""Judged metric → the figure of each run that it is a difference of."""
_NAMES = ("name", "summary")
"""Keys of a config that change no result."""


@dataclass(frozen=True)
class Setting:
    """A key of the configs, or a library, that differs.

    Attributes:
        key: dotted.
        first: what the first sweep says; None where it says nothing.
        second: what the second says.
    """

    key: str
    first: Json
    second: Json


@dataclass(frozen=True)
class CellDifference:
    """One cell of both sweeps on one figure.

    Attributes:
        cell: source, target and strategy.
        figure: ``final_performance`` or ``auc``.
        difference: the second sweep minus the first, in the measure's unit, with its interval.
        p: two-sided, not adjusted; NaN where nothing was tested.
        adjusted_p: Benjamini–Hochberg over every cell and figure that was tested.
        runs: observations in the first sweep and in the second.
        paired: whether runs of the same seed were compared, because both sweeps have the same root seed.
        shared: runs that are in both sweeps under one id, with one learning curve.
        significant: whether the sweeps differ here, at the first sweep's level.
        problem: why nothing was tested; empty otherwise.
    """

    cell: CellKey
    figure: str
    difference: Interval
    p: float
    adjusted_p: float
    runs: tuple[int, int]
    paired: bool
    shared: int
    significant: bool = False
    problem: str = ""

    @property
    def identical(self) -> bool:
        """Whether it rests on the same runs, with the same results."""
        return not self.problem and self.runs == (self.shared, self.shared)

    @property
    def nested(self) -> bool:
        """Whether one sweep has all runs of the other and more of the same: that is nothing to test."""
        return not self.problem and self.shared == min(self.runs) < max(self.runs)


@dataclass(frozen=True)
class VerdictChange:
    """A verdict that is another one in the second sweep.

    Attributes:
        cell: source, target and strategy.
        metric: the judged metric.
        first: what the first sweep says.
        second: what the second says.
    """

    cell: CellKey
    metric: str
    first: str
    second: str


@dataclass(frozen=True)
class SweepDifferences:
    """What differs between two sweeps.

    Attributes:
        settings: keys of the resolved configs.
        versions: libraries of the records.
        cells: every cell that both have, on both figures.
        only_first: cells that the second sweep lacks.
        only_second: cells that the first lacks.
        verdicts: those that changed.
        unusable: runs of the first sweep and of the second that are not finished, or damaged.
        q: level of the family of tests.
    """

    settings: tuple[Setting, ...]
    versions: tuple[Setting, ...]
    cells: tuple[CellDifference, ...]
    only_first: tuple[CellKey, ...]
    only_second: tuple[CellKey, ...]
    verdicts: tuple[VerdictChange, ...]
    unusable: tuple[int, int]
    q: float

    @property
    def differ(self) -> bool:
        """Whether a figure differs significantly, or runs or cells of one sweep cannot be compared."""
        whole = not self.only_first and not self.only_second and not any(self.unusable)
        return not whole or any(each.significant or each.problem for each in self.cells)


def compare_sweeps(first: Sweep, second: Sweep) -> SweepDifferences:
    """Compare two sweeps, cell by cell and on the raw figures of their runs.

    Runs that both hold under one id with one curve are the same; where a cell has no others in either
    sweep, or one sweep merely has more of them, nothing is tested. Where both have the same root seed and the
    same seeds, runs of a seed share their random streams: their differences are tested, by Student's t.
    Otherwise arms are independent: Welch's interval and a permutation test, which errs to the safe side where
    some runs are in both. Arms without spread are guarded as in verdicts.

    Args:
        first: what is compared with.
        second: what is in question.

    Returns:
        Every difference is the second minus the first.

    Raises:
        StoreError: they are of different kinds, or measure different things.
    """
    kinds = [(str(each.manifest.get("kind", "rl")), each.labels.measure) for each in (first, second)]
    if kinds[0] != kinds[1]:
        said = " and ".join(f"{kind} ({measure})" for kind, measure in kinds)
        raise StoreError(f"the sweeps are of kinds {said}: their figures cannot be compared")
    steps = Steps(first), Steps(second)
    arms = [{**each.arms, **each.longer} for each in steps]
    both = [key for key in arms[0] if key in arms[1]]
    cells = [_compared(steps, (arms[0][key], arms[1][key]), metric) for key in both for metric in JUDGED]
    q = first.settings.q
    return SweepDifferences(
        settings=tuple(_settings(first.config, second.config)),
        versions=tuple(_versions(first, second)),
        cells=tuple(_corrected(cells, q)),
        only_first=tuple(key for key in arms[0] if key not in arms[1]),
        only_second=tuple(key for key in arms[1] if key not in arms[0]),
        verdicts=tuple(_verdicts(analyse(first), analyse(second))),
        unusable=(_unusable(first), _unusable(second)),
        q=q,
    )


def _unusable(sweep: Sweep) -> int:
    return sum(run.problem is not None for run in sweep.runs)


def _compared(steps: tuple[Steps, Steps], arms: tuple[Arm, Arm], metric: str) -> CellDifference:
    key = arms[0].source, arms[0].target, arms[0].strategy
    figure, scale = GAINS[metric], steps[0].scales[arms[0].target]
    by_run = arms[0].by_run(figure), arms[1].by_run(figure)
    runs, shared = (len(by_run[0]), len(by_run[1])), _shared(arms)
    nothing = CellDifference(
        key, FIGURES[metric], Interval(np.nan, np.nan, np.nan), np.nan, np.nan, runs, False, shared
    )
    missing = [place for arm, place in zip(arms, ("first", "second"), strict=True) if _lacks_runs(arm)]
    if missing:
        return replace(nothing, problem=f"runs are missing in the {' and the '.join(missing)}")
    if nothing.identical and shared:
        return replace(nothing, difference=Interval(0.0, 0.0, 0.0))
    if nothing.nested and shared:
        gap = float(np.mean([*by_run[1].values()]) - np.mean([*by_run[0].values()]))
        return replace(nothing, difference=Interval(gap, np.nan, np.nan))
    if min(runs) < 2:
        return replace(nothing, problem=f"{runs[0]} and {runs[1]} runs are too few to compare")
    found = _tested(steps, arms, by_run, scale, metric)
    return replace(
        nothing,
        difference=found.raw,
        p=found.p,
        runs=(len(found.y), len(found.x)),
        paired=found.paired,
    )


def _lacks_runs(arm: Arm) -> bool:
    """Whether a run that was planned cannot be used; a seed plan that ended here planned no more."""
    return any(problem != NOT_PLANNED for problem in arm.problems.values())


def _shared(arms: tuple[Arm, Arm]) -> int:
    """How many runs are in both arms: one id, one learning curve."""
    others = {run.id: run.curve for run in arms[1].runs}
    return sum(_same(run.curve, others.get(run.id)) for run in arms[0].runs)


def _same(curve: Curve | None, other: Curve | None) -> bool:
    if curve is None or other is None or not np.array_equal(curve.steps, other.steps):
        return False
    return all(map(np.array_equal, curve.returns, other.returns))


def _tested(
    steps: tuple[Steps, Steps],
    arms: tuple[Arm, Arm],
    by_run: tuple[Mapping[str, float], Mapping[str, float]],
    scale: ScoreScale,
    metric: str,
) -> Contrast:
    """The second arm against the first."""
    confidence, names = steps[0].settings.confidence, ("the second sweep", "the first sweep")
    if any(arm.pooled for arm in arms):
        groups = [
            each if arm.sources is None else arm.sources.observations(each)
            for arm, each in zip(arms, by_run, strict=True)
        ]
    else:
        seeds = [{run.id: run.seed for run in arm.runs} for arm in arms]
        groups = [
            {str(of[run]): value for run, value in each.items()}
            for of, each in zip(seeds, by_run, strict=True)
        ]
        common = sorted(groups[0].keys() & groups[1].keys(), key=int)
        same_streams = steps[0].sweep.root_seed == steps[1].sweep.root_seed
        if same_streams and len(common) == len(groups[0]) == len(groups[1]):
            x, y = ({seed: each[seed] for seed in common} for each in (groups[1], groups[0]))
            return paired_contrast(x, y, scale, confidence, names, alike_is_spreadless=False)
    pooled = any(arm.pooled for arm in arms)
    cell = (part or "" for part in (arms[0].source, arms[0].target, arms[0].strategy))
    stream = generator(steps[0].sweep.root_seed, "two-sweeps", metric, *cell)
    test = studentised() if pooled else in_one_block
    return contrast(groups[1], groups[0], scale, confidence, stream, names, test)


def _corrected(cells: list[CellDifference], q: float) -> Iterator[CellDifference]:
    tested = [each.p for each in cells if np.isfinite(each.p)]
    adjusted = iter(benjamini_hochberg(tested).tolist() if tested else [])
    for each in cells:
        if not np.isfinite(each.p):
            yield each
            continue
        p = next(adjusted)
        apart = not each.difference.low <= 0 <= each.difference.high
        yield replace(each, adjusted_p=p, significant=bool(p < q and apart))


def _settings(first: Json, second: Json) -> Iterator[Setting]:
    leaves = dict(_leaves(first, "")), dict(_leaves(second, ""))
    for key in dict.fromkeys([*leaves[0], *leaves[1]]):
        values = leaves[0].get(key), leaves[1].get(key)
        if values[0] != values[1] and key not in _NAMES:
            yield Setting(key, *values)


def _leaves(data: Json, key: str) -> Iterator[tuple[str, Json]]:
    """Dotted key → value; a list of things with names is keyed by these."""
    if isinstance(data, list) and data and all(isinstance(each, dict) and "name" in each for each in data):
        data = {str(each["name"]): each for each in data if isinstance(each, dict)}
    if isinstance(data, dict) and data:
        for name, value in data.items():
            yield from _leaves(value, f"{key}.{name}" if key else name)
    else:
        yield key, data


def _versions(first: Sweep, second: Sweep) -> Iterator[Setting]:
    found = overview.versions(first.runs), overview.versions(second.runs)
    for library in dict.fromkeys([*found[0], *found[1]]):
        values = [", ".join(each.get(library, ())) or None for each in found]
        if values[0] != values[1]:
            yield Setting(library, values[0], values[1])


def _verdicts(first: Matrix, second: Matrix) -> Iterator[VerdictChange]:
    later = {cell.key: cell.comparisons for cell in second.cells}
    for cell in first.cells:
        for metric, entry in cell.comparisons.items():
            other = later.get(cell.key, {}).get(metric)
            if other is not None and other.verdict is not entry.verdict:
                yield VerdictChange(cell.key, metric, str(entry.verdict), str(other.verdict))

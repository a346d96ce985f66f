"""Arms: the runs that one cell compares, what is missing of them, and what is doubtful about them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from rl_transfer.analysis.arm_statistics import FloatArray, mean_interval
from rl_transfer.analysis.inputs import Run, Sweep
from rl_transfer.analysis.metrics import RunMetrics, ThresholdTime, measure
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.source_policies import SourcePolicies, policies_of
from rl_transfer.analysis.success import SuccessRule
from rl_transfer.spec import Analysis

NOT_PLANNED = "not planned"
"""Why a seed has no run where a seed plan ended before it."""


@dataclass(frozen=True)
class Arm:
    """The runs of one (source, target, strategy) over the planned seeds."""

    source: str | None
    target: str
    strategy: str
    seeds: tuple[int, ...]
    """Planned seed indices."""
    runs: tuple[Run, ...]
    """The finished runs, by seed."""
    problems: Mapping[int, str]
    """Seed index → why its run cannot be used."""
    metrics: tuple[RunMetrics, ...]
    """Per-run figures, in the order of ``runs``."""
    sources: SourcePolicies | None = None
    """The source policies that feed the planned runs; None where none does."""

    @property
    def complete(self) -> bool:
        """Whether every planned seed has a finished run."""
        return not self.problems

    @property
    def steps(self) -> tuple[float, ...] | None:
        """Evaluation steps, if all finished runs share them."""
        grids = {tuple(run.curve.steps.tolist()) for run in self.runs if run.curve}
        return grids.pop() if len(grids) == 1 else None

    @property
    def budget(self) -> float:
        """The last evaluation step; NaN without a finished run."""
        return max((run.curve.budget for run in self.runs if run.curve), default=math.nan)

    def values(self, figure: Callable[[RunMetrics], float]) -> dict[int, float]:
        """Seed index → the figure, for the runs in which it is defined.

        Args:
            figure: what to read off a run, such as ``lambda run: run.final``.

        Returns:
            Seed index → value in the figure's unit; seeds in which it is NaN are left out.
        """
        found = {run.seed: figure(run) for run in self.metrics}
        return {seed: value for seed, value in found.items() if math.isfinite(value)}

    def by_run(self, figure: Callable[[RunMetrics], float]) -> dict[str, float]:
        """Run id → the figure, for the runs in which it is defined.

        Args:
            figure: as for :meth:`values`.

        Returns:
            Run id → value in the figure's unit: what couples two figures of the same runs.
        """
        found = {run.id: figure(each) for run, each in zip(self.runs, self.metrics, strict=True)}
        return {name: value for name, value in found.items() if math.isfinite(value)}

    @property
    def pooled(self) -> bool:
        """Whether its independent observations are source policies and not runs."""
        return self.sources is not None and self.sources.pooled

    def policy(self, seed: int) -> str:
        """The source policy that fed the finished run of a seed.

        Args:
            seed: seed index.

        Returns:
            Its run id; empty where nothing is known to have fed that run.
        """
        of_run = {} if self.sources is None else self.sources.of_run
        return next((of_run.get(run.id, "") for run in self.runs if run.seed == seed), "")

    def observations(self, figure: Callable[[RunMetrics], float]) -> dict[str, float]:
        """The independent observations of a figure: one per run, or per source policy that feeds several.

        Args:
            figure: as for :meth:`values`.

        Returns:
            Name → value in the figure's unit; the names of runs are their ids.
        """
        found = self.by_run(figure)
        return found if self.sources is None else self.sources.observations(found)

    def pairs(
        self, other: Arm, figure: Callable[[RunMetrics], float]
    ) -> tuple[dict[str, float], dict[str, float]] | None:
        """What each source policy makes of a figure here and in another arm that the same policies feed.

        Args:
            other: the arm that this one is compared with.
            figure: as for :meth:`values`.

        Returns:
            Policy → value in the figure's unit, of both arms, in one order; None where they do not share all
            their policies, or where nothing is claimed of the source task.
        """
        if self.sources is None or other.sources is None:
            return None
        mine = self.sources.by_policy(self.by_run(figure))
        theirs = other.sources.by_policy(other.by_run(figure))
        if not mine or theirs is None or mine.keys() != theirs.keys():
            return None
        return mine, {policy: theirs[policy] for policy in mine}

    def times(self) -> tuple[ThresholdTime, ...]:
        """Times to threshold of the finished runs; empty without a threshold."""
        return tuple(run.reached for run in self.metrics if run.reached is not None)

    def curves(self) -> FloatArray:
        """J(t_k) of the independent observations, array [observation, n+1], on the same steps."""
        rows = np.array([run.curve.means for run in self.runs if run.curve])
        return np.array([rows[each].mean(axis=0) for each in self.rows]) if self.pooled else rows

    @cached_property
    def rows(self) -> list[list[int]]:
        """The places in ``runs`` of what makes one independent observation."""
        places = {run.id: place for place, run in enumerate(self.runs)}
        if self.sources is None or not self.sources.pooled:
            return [[place] for place in places.values()]
        return [*self.sources.groups(places).values()]


def build_arm(
    rows: Sequence[Run],
    seeds: Sequence[int],
    scale: ScoreScale,
    settings: Analysis,
    threshold: float,
    success: SuccessRule | None = None,
) -> Arm:
    """The arm made of the rows of one (source, target, strategy).

    Args:
        rows: its planned runs, at least one, finished or not.
        seeds: seed indices that every cell of the sweep must have.
        scale: the constants of the target's scores.
        settings: shares for the per-run figures.
        threshold: θ of the target; NaN where there is none.
        success: which episodes count as successes; None where the target names none.

    Returns:
        The finished runs with their figures, and what is missing.
    """
    first = rows[0]
    by_seed = {run.seed: run for run in rows}
    planned = tuple(sorted({*seeds, *by_seed}))
    finished = tuple(by_seed[seed] for seed in planned if seed in by_seed and by_seed[seed].finished)
    problems = {
        seed: (by_seed[seed].problem or "unfinished") if seed in by_seed else NOT_PLANNED
        for seed in planned
        if seed not in by_seed or not by_seed[seed].finished
    }
    return Arm(
        source=first.source,
        target=first.target or "",
        strategy=first.strategy or "",
        seeds=planned,
        runs=finished,
        problems=problems,
        metrics=tuple(measure(run, scale, settings, threshold, success) for run in finished),
        sources=policies_of(rows),
    )


@dataclass(frozen=True)
class Band:
    """Mean learning curve of an arm with its pointwise interval; arrays [n+1] in the measure's unit."""

    steps: FloatArray
    mean: FloatArray
    low: FloatArray
    """NaN with fewer than two runs."""
    high: FloatArray
    runs: int
    each: FloatArray
    """What it is the mean of, array [observation, n+1]."""


def band(
    curves: Sequence[tuple[FloatArray, FloatArray]],
    confidence: float,
    rows: Sequence[Sequence[int]] | None = None,
) -> Band | None:
    """Pointwise mean and Student t interval over seeds.

    Curves with differing evaluation steps are compared at the steps that all of them have.

    Args:
        curves: (steps, means) of each run.
        confidence: coverage of the interval at each step.
        rows: the places of the curves whose mean is one independent observation; None: each is one.

    Returns:
        The band; None of no curves, or where they share no step.
    """
    if not curves:
        return None
    shared = set.intersection(*(set(steps.tolist()) for steps, _ in curves))
    if not shared:
        return None
    stacked = np.array([means[np.isin(steps, list(shared))] for steps, means in curves])
    if rows is not None:
        stacked = np.array([stacked[list(each)].mean(axis=0) for each in rows])
    intervals = [mean_interval(column, confidence) for column in stacked.T]
    return Band(
        steps=np.array(sorted(shared)),
        mean=stacked.mean(axis=0),
        low=np.array([interval.low for interval in intervals]),
        high=np.array([interval.high for interval in intervals]),
        runs=len(curves),
        each=stacked,
    )


def arm_band(arm: Arm, confidence: float) -> Band | None:
    """The band of an arm's finished runs.

    Args:
        arm: its finished runs are averaged.
        confidence: coverage of the interval at each step, in (0, 1).
    """
    curves = [(run.curve.steps, run.curve.means) for run in arm.runs if run.curve]
    return band(curves, confidence, arm.rows if arm.pooled else None)


@dataclass(frozen=True)
class SourceInfo:
    """A source task: how good its policies are, and whether they are worth transferring."""

    name: str
    scores: Mapping[int, float]
    """Seed index → J of the policy handed on (last evaluation of the source run)."""
    bar: float | None
    steps: float
    """Training budget of one source run; NaN if unknown."""
    problems: Mapping[int, str]
    unmeasured: bool
    """Whether its policies are there but were never measured: their score is unknown, the bar unchecked."""

    @property
    def below(self) -> tuple[int, ...]:
        """Seed indices whose source is below the bar."""
        if self.bar is None:
            return ()
        return tuple(seed for seed, score in self.scores.items() if score < self.bar)


def source_info(sweep: Sweep, name: str, bar: float | None) -> SourceInfo:
    """The source ``name``: its own runs if the sweep has them, else what the target runs recorded of it.

    Args:
        sweep: the runs.
        name: the source.
        bar: the J that its policies are expected to reach, if any.

    Returns:
        Scores by seed in the measure's unit, those of a run that feeds several seeds once; training steps
        and problems.
    """
    first: dict[str, Run] = {}
    for run in sweep.select("source", source=name):  # one run may feed several seeds
        first.setdefault(run.id, run)
    rows = [*first.values()]
    scores = {run.seed: float(run.curve.means[-1]) for run in rows if run.curve}
    steps = [run.curve.budget for run in rows if run.curve]
    known = {run.id for run in rows if run.curve}
    for run in sweep.select("target", source=name):
        record = run.record or {}
        if record.get("source_score") is not None and record.get("source_run") not in known:
            scores.setdefault(run.seed, float(record["source_score"]))
        if record.get("source_steps") is not None:
            steps.append(float(record["source_steps"]))
    return SourceInfo(
        name=name,
        scores=dict(sorted(scores.items())),
        bar=bar,
        steps=steps[0] if steps else math.nan,
        problems={run.seed: run.problem for run in rows if run.problem},
        unmeasured=not scores and any(run.unmeasured for run in rows),
    )

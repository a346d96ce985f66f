"""Several cells beside each other: which is best, what that is worth once it was chosen, and its rank.

The greatest of several estimates is too great: it was chosen for its luck as well. What it is worth is
therefore read off seeds that did not choose it, beside limits that hold whichever was chosen.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rl_transfer.analysis.arm_statistics import FloatArray, Interval, welch_interval
from rl_transfer.analysis.arms import Arm
from rl_transfer.analysis.comparison import JUDGED, Judged
from rl_transfer.analysis.contrast import contrast, untested
from rl_transfer.analysis.guard import with_one_more
from rl_transfer.analysis.metrics import GAINS
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.seeding import generator

LEAST_SEEDS = 3
"""Two to choose by, so that a mean is more than one run's luck, and one to tell by."""
Key = tuple[str | None, str, str]


@dataclass(frozen=True)
class Best:
    """The cell with the greatest gain of several on one judged metric."""

    metric: Judged
    target: str | None
    """Where they compete; None: on all targets that have scores."""
    key: Key
    of: int
    """Cells that compete."""
    unit: Literal["score", "measure"]
    gain: Interval
    """Its own gain, which the choice makes too great, with limits that hold whichever of them was chosen."""
    held_out: float
    """Mean gain of the cell that all other seeds choose, over the seeds."""
    again: int
    """Seeds whose others choose the same cell."""
    seeds: int


@dataclass(frozen=True)
class Rank:
    """Places that an arm may have among the arms of its target; 1 is the highest mean."""

    first: int
    last: int
    of: int


Contender = tuple[Arm, Arm | None, ScoreScale]
"""A transfer arm that may be the best, the from-scratch arm of its cell, and the scale of its target."""


def best_cells(contenders: Sequence[Contender], confidence: float) -> tuple[Best, ...]:
    """The best cell on each target, and over all targets that have scores, on each judged metric.

    Cells whose arm or from-scratch arm lacks runs do not compete. Where fewer than two compete, or they share
    fewer than :data:`LEAST_SEEDS` seeds, nothing is chosen.

    What it gains on held-out seeds: the cell with the greatest mean gain over all seeds but s is chosen, and
    its run of seed s compared with the from-scratch run of that seed; the mean over s estimates without bias
    what choosing by one seed less is worth. Limits are those of the chosen cell at confidence 1 − α/m over
    the m that compete (Bonferroni), so that they hold for whichever is chosen.

    Source: Andrews, Kitagawa & McCloskey 2024, Inference on winners, QJE 139:305–358 (the problem, and
    projection).

    Args:
        contenders: of a sweep.
        confidence: coverage of the limits, in (0, 1).

    Returns:
        One entry per target and metric, then one per metric over all targets.
    """
    able = [
        (arm, scratch, scale)
        for arm, scratch, scale in contenders
        if scratch is not None and arm.complete and scratch.complete
    ]
    places: list[tuple[str | None, list[_Pair]]] = [
        (target, [each for each in able if each[0].target == target])
        for target in dict.fromkeys(each[0].target for each in able)
    ]
    scored = [each for each in able if not each[2].is_raw]
    if len({each[0].target for each in scored}) > 1:
        places.append((None, scored))
    found = (_best(metric, target, there, confidence) for target, there in places for metric in JUDGED)
    return tuple(each for each in found if each is not None)


_Pair = tuple[Arm, Arm, ScoreScale]


def _best(metric: Judged, target: str | None, pairs: Sequence[_Pair], confidence: float) -> Best | None:
    gains = _by_seed(metric, pairs, scores=target is None)
    if gains is None:
        return None
    chosen, held_out, again = hold_out(gains)
    arm, scratch, scale = pairs[chosen]
    limits = contrast(
        arm.observations(GAINS[metric]),
        scratch.observations(GAINS[metric]),
        scale,
        1 - (1 - confidence) / len(pairs),
        generator(0),
        (arm.strategy, scratch.strategy),
        untested,
    )
    return Best(
        metric=metric,
        target=target,
        key=(arm.source, arm.target, arm.strategy),
        of=len(pairs),
        unit="score" if target is None else "measure",
        gain=limits.gain if target is None else limits.raw,
        held_out=held_out,
        again=again,
        seeds=gains.shape[1],
    )


def hold_out(gains: FloatArray) -> tuple[int, float, int]:
    """The row with the greatest mean, and what choosing it is worth on columns that did not choose.

    >>> hold_out(np.array([[3.0, 4.0, 0.0], [1.0, 2.0, 2.5]]))
    (0, 1.0, 1)

    Args:
        gains: array [cell, seed], in any unit; at least two seeds.

    Returns:
        The row; the mean over seeds of the value of the row that all other seeds choose; how many of these
        are the same row.
    """
    chosen = int(gains.mean(axis=1).argmax())
    without = (gains.sum(axis=1, keepdims=True) - gains).argmax(axis=0)
    held_out = gains[without, np.arange(gains.shape[1])]
    return chosen, float(held_out.mean()), int(np.sum(without == chosen))


def _by_seed(metric: Judged, pairs: Sequence[_Pair], *, scores: bool) -> FloatArray | None:
    """Gain of each cell over the from-scratch run of the same seed, array [cell, seed]; None if too few.

    Seeds that share a source policy of a pooled arm, directly or through others, are one column, their mean:
    each would know of the other.
    """
    figure = GAINS[metric]
    values = [(arm.values(figure), scratch.values(figure)) for arm, scratch, _ in pairs]
    shared = sorted(set.intersection(*({*x} & {*y} for x, y in values)) if values else ())
    if len(values) < 2 or len(shared) < LEAST_SEEDS:
        return None
    units = np.array([scale.span if scores else 1.0 for _, _, scale in pairs])
    found: FloatArray = np.array([[x[seed] - y[seed] for seed in shared] for x, y in values]) / units[:, None]
    pooled = [arm for arm, _, _ in pairs if arm.pooled]
    together = connected([{arm.policy(seed) for arm in pooled} for seed in shared])
    if len(together) < LEAST_SEEDS:
        return None
    return np.stack([found[:, places].mean(axis=1) for places in together], axis=1)


def connected(members: Sequence[Collection[Hashable]]) -> list[list[int]]:
    """Places that have a member in common, directly or through other places.

    >>> connected([{"a"}, {"b"}, {"a", "c"}, {"c"}, set()])
    [[0, 2, 3], [1], [4]]

    Args:
        members: of each place.

    Returns:
        Groups of places, by their first.
    """
    groups: list[tuple[set[Hashable], list[int]]] = []
    for place, own in enumerate(members):
        touched = [group for group in groups if not group[0].isdisjoint(own)]
        joined = (
            {*own}.union(*(names for names, _ in touched)),
            sorted(sum((g for _, g in touched), [place])),
        )
        groups = [group for group in groups if group not in touched] + [joined]
    return sorted(places for _, places in groups)


def ranks(
    arms: Mapping[Key, Arm], scales: Mapping[str, ScoreScale], confidence: float
) -> dict[tuple[Key, Judged], Rank]:
    """The places that each arm may have among those of its target, on each judged metric.

    An arm is behind those whose mean is greater beyond doubt: the Welch interval of their difference, at
    confidence 1 − α/m over the m pairs of arms (Bonferroni), lies above 0, with one run more where an arm
    has no spread. With probability 1 − α the intervals of a target and metric hold all true places at once.

    Source: Mogstad, Romano, Shaikh & Wilhelm 2024, Inference for ranks, REStud 91:476–518 (confidence sets
    from simultaneous intervals of differences).

    Args:
        arms: those that compete, any number of targets; arms without runs get no rank.
        scales: target → the constants of its scores.
        confidence: simultaneous coverage on one target and metric, in (0, 1).

    Returns:
        (cell, metric) → its places.
    """
    found: dict[tuple[Key, Judged], Rank] = {}
    for target in dict.fromkeys(key[1] for key in arms):
        for metric in JUDGED:
            there = {
                key: values
                for key, arm in arms.items()
                if key[1] == target and arm.complete and (values := arm.observations(GAINS[metric]))
            }
            behind = dict.fromkeys(there, 0)
            ahead = dict.fromkeys(there, 0)
            for better, worse in told_apart(there, scales[target], confidence):
                behind[worse] += 1
                ahead[better] += 1
            total = len(there)
            if total > 1:
                found |= {(key, metric): Rank(1 + behind[key], total - ahead[key], total) for key in there}
    return found


def told_apart(
    arms: Mapping[Key, Mapping[str, float]], scale: ScoreScale, confidence: float
) -> Iterator[tuple[Key, Key]]:
    """Pairs of arms of which the first is better beyond doubt.

    Args:
        arms: cell → its observations.
        scale: of the target.
        confidence: simultaneous coverage over all pairs, in (0, 1).
    """
    pairs = [*itertools.combinations(arms, 2)]
    level = 1 - (1 - confidence) / max(len(pairs), 1)
    for one, other in pairs:
        gaps = [
            welch_interval([*data.x.values()], [*data.y.values()], level)
            for data in with_one_more(arms[one], arms[other], scale)
        ]
        if all(gap.low > 0 for gap in gaps):
            yield one, other
        elif all(gap.high < 0 for gap in gaps):
            yield other, one

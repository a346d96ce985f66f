"""Small seeded samples of the simulation of source policies in docs/validity.md."""

import numpy as np
import pytest

from benchmarks.validity import sources
from benchmarks.validity.arms import normal


def figures(line: str) -> list[float]:
    return [float(cell.rstrip("%")) for cell in line.strip("| ").split("|")[-3:]]


def test_nothing_is_claimed_of_a_task_by_one_policy() -> None:
    rows = [figures(line) for line in [*sources.one(40)][2:]]
    before = [row[0] for row in rows]
    assert before[2] > 0.3
    assert [row[1] for row in rows] == [0.0] * 3
    assert max(row[2] for row in rows) < 0.15


@pytest.mark.parametrize(("policies", "runs"), [(4, 5), (5, 4)])
def test_policies_that_feed_several_runs_are_wrong_as_often_as_they_may(policies: int, runs: int) -> None:
    rng = np.random.default_rng(1)
    found = [
        sources.judged(sources.arm(rng, policies, runs), normal(rng, (policies * runs,), 300.0), rng)
        for _ in range(80)
    ]
    assert np.mean([before for before, *_ in found]) > 0.05
    assert np.mean([after for _, after, *_ in found]) < 0.1
    assert {estimand for *_, estimand, _ in found} == {"source task"}


def test_policies_that_feed_twelve_targets_are_covered() -> None:
    before, after = sources.aggregates(10, 0.5, 40)
    assert before < 0.75
    assert after > 0.85

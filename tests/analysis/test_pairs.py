"""An arm and a control that the same source policies feed are compared policy by policy."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from benchmarks.validity import rules, sources
from benchmarks.validity.arms import RANDOM, SHAPES, normal
from rl_transfer.analysis import Sweep, analyse, summary
from rl_transfer.analysis.arm_statistics import mean_interval, permutation_p, welch_interval
from rl_transfer.analysis.attribution import ControlCheck
from rl_transfer.analysis.contrast import paired_contrast
from rl_transfer.analysis.guard import ONE_MORE, with_one_more_pair
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.sequential import weights
from rl_transfer.analysis.source_policies import SourcePolicies
from rl_transfer.analysis.tolerance import Tolerance
from rl_transfer.report.sections import cell_details

from .hand_made import FINE as TUNED
from .hand_made import SCRATCH, SLOW, arm, shifted, sweep
from .test_source_policies import fed, tuned

SHUFFLED = ("base", "task", "shuffled")
STRATEGIES: dict[str, dict[str, Any]] = {
    "fine-tune": {"copy": ["all"]},
    "shuffled": {"copy": ["all"], "control": True, "control_for": ["fine-tune"]},
}
SCALE = ScoreScale("number", 22.0, 422.0, Tolerance(25.0), random_returns=(22.0,), best=500.0)
NAMES = ("fine-tune", "shuffled")
BETTER = {"a": 210.0, "b": 330.0, "c": 420.0, "d": 150.0}
WORSE = {"a": 190.0, "b": 300.0, "c": 380.0, "d": 140.0}
"""Differences 20, 30, 40 and 10: mean 25, standard deviation 12.91, error 6.455, t of 3 degrees 3.1824."""
NOISE = np.random.default_rng(3).normal(0, 6, 60).round(2).tolist()


def beside(
    arm_from: Sequence[str | None], control_from: Sequence[str | None], **options: Any
) -> tuple[Sweep, ControlCheck]:
    """Fine-tuning 20 above its control, what a policy does entering both, and what the control says."""
    seeds = len(arm_from)
    # Policy i is worth 5 i in either arm.
    runs = fed([shifted(SLOW, 20 + 5 * (i % 8) + NOISE[i]) for i in range(seeds)], arm_from)
    other = fed([shifted(SLOW, 5 * (i % 8) + NOISE[20 + i]) for i in range(seeds)], control_from, SHUFFLED)
    base = arm(SCRATCH, [shifted(SLOW, NOISE[40 + i]) for i in range(seeds)])
    given = sweep(
        {SCRATCH: base, TUNED: runs, SHUFFLED: other},
        seeds=seeds,
        strategies=STRATEGIES,
        **{"raw_delta": 1.0, **options},
    )
    found = tuned(analyse(given)).comparisons["asymptotic_gain"].attribution
    assert found is not None
    return given, found.checks[0]


OWN = [f"own-{seed}" for seed in range(8)]


def test_pairs_have_students_interval_of_their_differences() -> None:
    found = paired_contrast(BETTER, WORSE, SCALE, 0.95, NAMES)
    measured = found.measured
    assert measured is not None, "all differences lie within 2δ"
    assert measured.raw.point == 25
    assert (measured.raw.low, measured.raw.high) == pytest.approx((25 - 20.542, 25 + 20.542), abs=1e-3)
    # t = 25 / 6.455 = 3.873 with three degrees of freedom
    assert measured.p == pytest.approx(0.03047, abs=1e-5)
    # The span of 400 is a number: the score's set is the same interval.
    assert measured.score is not None
    assert (measured.score.low, measured.score.high) == pytest.approx((4.458 / 400, 45.542 / 400), abs=1e-5)
    # One-sided, of differences of at most −25 and at least 25: t = 50 / 6.455 = 7.746, and 0
    assert measured.beyond_p == pytest.approx((0.002241, 0.5), abs=1e-5)
    assert measured.equivalence_p == pytest.approx(0.5)
    assert (measured.relevance, measured.runs, measured.paired) == (1, 4, True)


def test_policies_are_paired_by_name_and_not_by_order() -> None:
    mixed = dict(reversed(WORSE.items()))
    found = [paired_contrast(BETTER, each, SCALE, 0.95, NAMES).raw for each in (WORSE, mixed)]
    assert found[0] == found[1]
    given, check = beside(OWN, OWN[::-1])
    finals = [
        {
            (run.record or {})["source_run"]: float(run.curve.means[-1])
            for run in given.runs
            if run.curve and run.strategy == name
        }
        for name in NAMES
    ]
    expected = mean_interval([finals[0][policy] - finals[1][policy] for policy in OWN], 0.95)
    assert check.paired
    assert (check.knowledge.raw.low, check.knowledge.raw.high) == pytest.approx((expected.low, expected.high))


def test_arms_of_the_same_policies_are_paired_and_others_are_not() -> None:
    _, shared = beside(OWN, OWN)
    _, other = beside(OWN, [f"other-{seed}" for seed in range(8)])
    _, unknown = beside(OWN, [*OWN[:-1], None])
    _, single = beside(["a"] * 8, ["a"] * 8)
    _, three = beside([*"abcabcab"], [*"abcabcab"])
    assert [each.paired for each in (shared, other, unknown, single, three)] == [True, *[False] * 4]
    points = {round(each.knowledge.raw.point, 9) for each in (shared, other, unknown, single, three)}
    assert len(points) == 1
    x, y = ([20 * up + 5 * (i % 8) + NOISE[20 * (1 - up) + i] for i in range(8)] for up in (1, 0))
    welch, pairs = welch_interval(x, y, 0.95), mean_interval(np.subtract(x, y), 0.95)
    for each in (other, single):
        assert (each.knowledge.raw.low, each.knowledge.raw.high) == pytest.approx((welch.low, welch.high))
        assert each.knowledge.p == permutation_p(x, y, np.random.default_rng(0))
    assert (shared.knowledge.raw.low, shared.knowledge.raw.high) == pytest.approx((pairs.low, pairs.high))
    assert pairs.high - pairs.low < welch.high - welch.low, "policies are worth the same in both arms"


def test_policies_that_feed_several_runs_are_paired_by_their_means() -> None:
    policies = [*"abcdabcd"]
    _, check = beside(policies, policies)
    gaps = [20 + NOISE[i] - NOISE[20 + i] for i in range(8)]
    expected = mean_interval([(gaps[i] + gaps[i + 4]) / 2 for i in range(4)], 0.95)
    assert check.paired
    assert check.runs == 4
    assert (check.knowledge.raw.low, check.knowledge.raw.high) == pytest.approx((expected.low, expected.high))


def test_both_parts_of_a_gain_add_up_in_pairs_too() -> None:
    given, check = beside([*"abcdabcd"], [*"abcdabcd"])
    entry = tuned(analyse(given)).comparisons["asymptotic_gain"]
    assert check.knowledge.raw.point + check.rest.raw.point == pytest.approx(entry.raw.point)


def test_a_look_of_a_plan_spends_its_share_on_pairs() -> None:
    given, whole = beside(OWN, OWN)
    config = {**given.config, "seeds": {"plan": [4, 8], "first": 0}}
    looks = [[*range(4)], [*range(4, 8)]]
    entry = tuned(analyse(Sweep({**given.manifest, "config": config, "looks": looks}, given.runs)))
    found = entry.comparisons["asymptotic_gain"]
    check = found.attribution.checks[0]
    assert check.paired
    share = weights([4, 8])[found.look.number - 1]
    if found.look.number == 2:
        assert check.knowledge.p == pytest.approx(min(1.0, whole.knowledge.p / share))
    assert check.knowledge.raw.high - check.knowledge.raw.low > 0


def test_summary_and_report_say_that_policies_were_paired() -> None:
    for policies, paired in ((OWN, True), (["a"] * 8, False)):
        given, _ = beside(policies, policies)
        matrix = analyse(given)
        (data,) = [each for each in summary(matrix) if each["strategy"] == "fine-tune"]
        (control,) = data["comparisons"]["auc_gain"]["attribution"]["controls"]
        assert control["paired"] is paired
        assert ("shuffled, policy by policy" in cell_details(tuned(matrix), matrix)) is paired


@pytest.mark.parametrize(
    ("x", "y", "more"),
    [
        # the arm at 500: the policy more ends at random there, and at the mean of 250 in the control
        ([500.0] * 4, [200.0, 240, 260, 300], [(RANDOM, 250.0)]),
        ([200.0, 240, 260, 300], [500.0] * 4, [(250.0, RANDOM)]),
        # at the floor the best seen takes its place
        ([20.0] * 4, [200.0, 240, 260, 300], [(500.0, 250.0)]),
        # neither arm is alike, but policies do the same in both
        ([100.0, 200, 300, 400], [99.0, 199, 301, 401], [(RANDOM, 250.0), (250.0, RANDOM)]),
        ([100.0, 200, 300, 400], [99.0, 149, 301, 251], []),
    ],
)
def test_one_policy_more_feeds_both_arms(
    x: list[float], y: list[float], more: list[tuple[float, float]]
) -> None:
    first, second = (dict(zip("abcd", side, strict=True)) for side in (x, y))
    _, *found = with_one_more_pair(first, second, SCALE)
    assert [(case.x[ONE_MORE], case.y[ONE_MORE]) for case in found] == more
    assert all(len(case.parts) == 1 for case in found)


def test_policies_that_do_exactly_the_same_in_both_arms_prove_nothing() -> None:
    """One policy in ten may do better than its shuffled copy; five that do not are no proof."""
    same = dict(zip("abcde", (500.0, 100, 500, 22, 300), strict=True))
    found = paired_contrast(same, dict(same), SCALE, 0.95, NAMES)
    assert found.measured is not None
    assert (found.measured.p, found.measured.beyond_p) == (1.0, (0.0, 0.0))
    assert found.equivalence_p > 0.05
    assert min(found.beyond_p) > 0.05
    assert found.spreadless == "the difference of fine-tune and shuffled without spread"
    above = paired_contrast({name: value + 40 for name, value in same.items()}, same, SCALE, 0.95, NAMES)
    assert above.measured is not None
    assert above.measured.p == 0.0
    assert above.p > 0.05


@pytest.mark.parametrize("count", [0, 1, 2, 3])
def test_few_pairs_have_no_interval_or_a_wide_one(count: int) -> None:
    x, y = ({name: side[name] for name in "abcd"[:count]} for side in (BETTER, WORSE))
    found = paired_contrast(x, y, replace(SCALE, random=math.nan), 0.95, NAMES)
    assert math.isnan(found.p) == (count == 0)
    assert found.raw.defined == (count > 1)
    if count == 1:
        assert (found.raw.point, found.p) == (20, 1.0)


def test_nothing_is_paired_of_checkpoints_or_unrecorded_policies() -> None:
    values = {"1": 1.0, "2": 2.0, "3": 3.0, "4": 4.0, "5": 7.0}
    shared = SourcePolicies({"1": "a", "2": "b", "3": "c", "4": "d", "5": "a"})
    assert shared.by_policy(values) == {"policy a": 4.0, "policy b": 2.0, "policy c": 3.0, "policy d": 4.0}
    assert SourcePolicies(dict.fromkeys("123", "a")).by_policy({"1": 1.0}) is None
    assert SourcePolicies({"1": "a", "2": "not recorded"}).by_policy({"1": 1.0, "2": 2.0}) is None


@pytest.mark.parametrize("shape", ["normal", "capped", "bimodal"])
def test_the_simulations_pairs_are_the_products(shape: str) -> None:
    rng = np.random.default_rng(4)
    x, y = sources.fed_pair(rng, 30, 5, 1, SHAPES[shape], 0.5)
    x[0], y[1] = 500.0, 500.0
    found = rules.paired(x, y)
    scale = replace(SCALE, random=RANDOM)
    for row in range(30):
        first, second = ({str(i): float(value) for i, value in enumerate(side[row])} for side in (x, y))
        mine = paired_contrast(first, second, scale, 0.95, NAMES)
        assert (found.low[row], found.high[row]) == pytest.approx((mine.raw.low, mine.raw.high))
        assert found.p[row] == pytest.approx(mine.p, abs=1e-9)
        assert (found.above_p[row], found.below_p[row]) == pytest.approx(mine.beyond_p, abs=1e-9)


@pytest.mark.parametrize("correlation", [1.0, -1.0])
def test_pairs_are_covered_whatever_a_policy_does_to_both(correlation: float) -> None:
    rng = np.random.default_rng(5)
    x, y = sources.fed_pair(rng, 2000, 10, 1, normal, correlation)
    before, now = sources.told(rules.guarded(x[:400], y[:400])), sources.told(rules.paired(x, y))
    assert (before[0] > 0.97) if correlation > 0 else (before[0] < 0.93)
    assert 0.93 < now[0] < 0.97
    assert now[1] < 0.065

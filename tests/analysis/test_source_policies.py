"""Source policies that feed several runs: what is one observation, what is claimed, and how it is said."""

import csv
import io
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rl_transfer.analysis import Matrix, Run, Sweep, analyse, csv_text, headlines, summary, text_table
from rl_transfer.analysis.arm_statistics import mean_interval, permutation_p, welch_interval
from rl_transfer.analysis.sequential import block_permutation_p, weights
from rl_transfer.analysis.source_policies import SourcePolicies, policies_of
from rl_transfer.report.gains import gains_so_far
from rl_transfer.report.heatmap import heatmap
from rl_transfer.report.sections import cell_details
from rl_transfer.report.selection_view import selection_section
from rl_transfer.report.verdict_text import verdict_table as markdown_table
from rl_transfer.report.verdict_view import verdict_table
from support.untyped import untyped

from .hand_made import FINE as TUNED
from .hand_made import SCRATCH, SLOW, arm, changed, recorded, shifted, sweep

OTHER = ("base", "task", "other")
NOISE = np.random.default_rng(8).normal(0, 4, 40).round(2).tolist()


def fed(curves: Sequence[Any], sources: Sequence[str | None], key: Any = TUNED) -> tuple[Run, ...]:
    """Runs with these curves, run i from the i-th of these source policies."""
    return recorded(arm(key, curves), source_run=sources)


def flat(level: float, noise: Sequence[float]) -> list[list[float]]:
    return [[level + each] * 6 for each in noise]


def beside(runs: Sequence[Run], scratch: Sequence[Any], other: Sequence[Run] = (), **options: Any) -> Sweep:
    """Fine-tuning, and another strategy, against from-scratch runs with these curves."""
    arms: Any = {SCRATCH: arm(SCRATCH, scratch), TUNED: runs}
    arms |= {(run.source, run.target, run.strategy): other for run in other}
    return sweep(arms, seeds=len(scratch), **{"raw_delta": 1.0, **options})


def two(
    sources: Sequence[str | None], gain: float = 30.0, scratch: Sequence[float] = NOISE[20:], **options: Any
) -> Sweep:
    """Fine-tuning from these sources, ``gain`` above from scratch."""
    runs = fed([shifted(SLOW, gain + noise) for noise in NOISE[: len(sources)]], sources)
    return beside(runs, [shifted(SLOW, noise) for noise in scratch[: len(sources)]], **options)


def best_of(given: Sweep) -> Any:
    """The best cell of the task by the area."""
    return next((e for e in analyse(given).best if e.metric == "auc_gain" and e.target == "task"), None)


def tuned(matrix: Matrix) -> Any:
    (cell,) = matrix.select(strategy="fine-tune")
    return cell


def judged(given: Sweep) -> Any:
    return tuned(analyse(given)).comparisons["asymptotic_gain"]


def limits(found: Any) -> tuple[float, float, float]:
    return (found.point, found.low, found.high)


SHARED = ["a", "b", "c", "d"] * 2
"""Four policies, two runs each."""
OWN = [f"own-{seed}" for seed in range(8)]


@pytest.mark.parametrize(
    ("sources", "estimand", "pooled"),
    [
        (["a"], "source task", False),
        (["a", "b", "c"], "source task", False),
        (["a", "a"], "checkpoint", False),
        (["a", "b", "c", "a"], "checkpoint", False),
        (["a", "b", "c", "d"], "source task", False),
        (["a", "b", "c", "d", "a"], "source task", True),
    ],
)
def test_what_few_and_many_policies_let_claim(sources: list[str], estimand: str, pooled: bool) -> None:
    found = SourcePolicies({f"run {place}": source for place, source in enumerate(sources)})
    assert (found.estimand, found.pooled) == (estimand, pooled)


def test_every_policy_counts_once_whatever_it_feeds() -> None:
    found = SourcePolicies({"1": "a", "2": "b", "3": "c", "4": "d", "5": "a", "6": "a"})
    values = {"1": 1.0, "2": 10.0, "3": 20.0, "4": 30.0, "5": 2.0, "6": 6.0}
    assert [*found.observations(values).values()] == [3.0, 10.0, 20.0, 30.0]
    # A run without the figure: what the policy's other runs have counts.
    assert [*found.observations({"1": 1.0, "6": 6.0, "2": 0.1}).values()] == [3.5, 0.1]
    assert found.observations({}) == {}


def test_a_policy_of_its_own_per_seed_changes_no_number() -> None:
    matrix, plain = (tuned(analyse(two(sources))) for sources in (OWN, [None] * 8))
    for name, entry in matrix.comparisons.items():
        assert repr(replace(entry, fed=None)) == repr(plain.comparisons[name])
        assert (entry.fed.estimand, entry.fed.mark) == ("source task", "")
        assert math.isnan(entry.fed.correlation.point)
    for part in ("metrics", "band", "parting", "flags"):
        assert repr(getattr(matrix, part)) == repr(getattr(plain, part))


def test_policies_that_feed_several_runs_are_compared_by_their_means() -> None:
    entry = judged(two(SHARED))
    x = [130 + (NOISE[i] + NOISE[i + 4]) / 2 for i in range(4)]
    y = [100 + noise for noise in NOISE[20:28]]
    assert limits(entry.raw) == pytest.approx(limits(welch_interval(x, y, 0.95)))
    assert entry.p == block_permutation_p([x], [y], np.random.default_rng(0), samples=1)
    close, low = judged(two(SHARED, gain=3.0)), [each - 27 for each in x]
    assert close.p == block_permutation_p([low], [y], np.random.default_rng(0), samples=1)
    assert close.p != permutation_p(low, y, np.random.default_rng(0))
    assert (str(entry.verdict), entry.outcome) == ("positive", "positive")
    assert (entry.fed.policies, entry.fed.runs, entry.fed.pooled) == (4, 8, True)


def test_effect_sizes_speak_of_runs_and_levels_of_policies() -> None:
    pooled, single = (tuned(analyse(two(sources))) for sources in (SHARED, OWN))
    for name in ("improvement", "cohens_d", "hedges_g"):
        assert getattr(pooled.comparisons["auc_gain"], name) == getattr(single.comparisons["auc_gain"], name)
    assert pooled.comparisons["auc_gain"].iqm_gain.point == single.comparisons["auc_gain"].iqm_gain.point
    final = pooled.metrics["final_performance"].value
    expected = mean_interval([130 + (NOISE[i] + NOISE[i + 4]) / 2 for i in range(4)], 0.95)
    assert (final.mean, final.low, final.high) == pytest.approx(limits(expected))
    assert final.n == 8
    assert final.per_seed == single.metrics["final_performance"].value.per_seed


def test_unbalanced_policies_have_one_mean_curve_and_one_gain() -> None:
    """The course of a gain in TensorBoard ends in the gain that the verdict is about."""
    matrix = analyse(two(["a", "b", "c", "d", "a", "a", "a", "b"]))
    cell = tuned(matrix)
    for metric, entry in cell.comparisons.items():
        assert gains_so_far(cell, matrix)[metric][-1] == pytest.approx(entry.gain.point)
    assert cell.parting.mean[-1] == pytest.approx(cell.comparisons["asymptotic_gain"].raw.point)


def test_times_and_shares_count_policies() -> None:
    curves = [(0, 0, 100, 100, 100, 100), (0, 0, 0, 0, 0, 0)]
    runs = fed([curves[place in (0, 1, 2)] for place in range(8)], SHARED)
    cell = tuned(analyse(beside(runs, [curves[0]] * 8, threshold=90.0, raw_delta=None)))
    # a, b and c reach θ at 200 in one run of two and never (500) in the other; d in both.
    time = cell.metrics["time_to_threshold"].value
    expected = mean_interval([350.0, 350.0, 350.0, 200.0], 0.95)
    assert (time.mean, time.low, time.high) == pytest.approx(limits(expected))
    assert cell.metrics["threshold_reached"].value.mean == 5 / 8
    assert cell.metrics["steps_saved"].value.mean == pytest.approx(200 - 312.5)
    assert cell.metrics["steps_saved"].bound == "≤"
    assert cell.metrics["speed_up"].value.mean == pytest.approx(200 / 312.5)


def test_a_source_that_is_a_from_scratch_run_is_no_run_of_the_arm() -> None:
    """A from-scratch target that equals a source is one run: Fieller's covariance is not that of the copy."""
    given = two(SHARED, reference="scratch")
    names = [run.id for run in given.runs if run.strategy == "scratch"][:4]
    copies = {run.id: recorded([run], source_run=[names[run.seed % 4]])[0] for run in given.runs}
    own = changed(given, lambda run: copies[run.id] if run.strategy == "fine-tune" else run)
    assert judged(own).gain == judged(given).gain


@pytest.mark.parametrize(("sources", "mark"), [(["a"] * 8, "this checkpoint"), (["a", "b"] * 4, "these 2")])
def test_few_policies_are_checkpoints_wherever_a_verdict_is_read(sources: list[str], mark: str) -> None:
    matrix = analyse(two(sources))
    cell, plain = tuned(matrix), tuned(analyse(two(OWN)))
    entry = cell.comparisons["auc_gain"]
    assert entry.outcome.startswith(mark)
    assert (entry.raw, entry.p) == (plain.comparisons["auc_gain"].raw, plain.comparisons["auc_gain"].p)
    (sentence,) = headlines(matrix)
    assert f"fine-tune from {entry.outcome} of base helps on task" in sentence
    assert "from base" not in sentence
    text = text_table(matrix)
    assert f"▲ {entry.outcome}" in text
    assert "fine-tune from base" not in text
    assert "▲ positive" not in text
    assert f"▲ {entry.outcome}" in verdict_table(matrix)
    assert f", from {entry.outcome} of base" in verdict_table(matrix)
    assert f"from {entry.outcome} of base" in cell_details(cell, matrix)
    assert f"**▲ {entry.outcome}**" in markdown_table(matrix, matrix.cells)
    drawn = heatmap(matrix)
    assert any(item.get_text().startswith("▲† ") for axes in drawn.axes for item in axes.texts)
    (data,) = [each for each in json.loads(json.dumps(summary(matrix))) if each["strategy"] == "fine-tune"]
    assert data["estimand"] == data["comparisons"]["auc_gain"]["source_policies"]["estimand"] == "checkpoint"
    assert data["comparisons"]["auc_gain"]["source_policies"]["compared"] == "runs"
    rows = {row["strategy"]: row for row in csv.DictReader(io.StringIO(csv_text(matrix)))}
    assert (rows["fine-tune"]["estimand"], rows["scratch"]["estimand"]) == ("checkpoint", "")
    (flag,) = [flag for flag in cell.flags if flag.code == "checkpoint"]
    assert flag.message.endswith("not for other policies of base, which would take at least 4")


def test_an_undecided_checkpoint_is_undecided() -> None:
    entry = judged(two(["a"] * 8, gain=0.0))
    assert (entry.symbol, entry.outcome) == ("?", "inconclusive")


def test_the_intraclass_correlation_stands_in_summary_and_report() -> None:
    # Policies 10 apart, their runs within 1: nearly all variance lies between them.
    heights = [[0.0, 1.0], [10.0, 11.0], [20.0, 21.0], [30.0, 31.0]]
    curves = [[130.0 + heights[i][r]] * 6 for r in (0, 1) for i in range(4)]
    matrix = analyse(beside(fed(curves, SHARED), [shifted(SLOW, n) for n in NOISE[:8]], raw_delta=None))
    (data,) = [each for each in summary(matrix) if each["strategy"] == "fine-tune"]
    found = data["comparisons"]["asymptotic_gain"]["source_policies"]
    # MS between 2 · 166.67 = 333.33, within 0.5: ρ = 332.83 / 333.83
    assert found["intraclass_correlation"] == pytest.approx(332.8333 / 333.8333, abs=1e-6)
    assert 0.9 < found["interval"][0] < found["interval"][1] <= 1
    details = cell_details(tuned(matrix), matrix)
    assert "8 runs from 4 policies of base" in details
    assert "Intraclass correlation of runs of one policy: final quality 1.00 [0.97, 1.00]" in details
    assert "Intraclass" not in cell_details(tuned(analyse(two(OWN))), analyse(two(OWN)))
    (_, single) = summary(analyse(two(["a"] * 8)))
    found = single["comparisons"]["auc_gain"]["source_policies"]
    assert found["intraclass_correlation"] is None, "one policy has no variance between policies"


def test_a_policy_whose_runs_are_all_alike_is_one_policy() -> None:
    noise = [0.0 if source == "a" else each for source, each in zip(SHARED, NOISE, strict=False)]
    runs = fed(flat(130.0, noise), SHARED)
    entry = judged(beside(runs, [shifted(SLOW, n) for n in NOISE[:8]], raw_delta=None))
    assert 0 <= entry.fed.correlation.low <= entry.fed.correlation.point <= entry.fed.correlation.high <= 1
    assert str(entry.verdict) == "positive"


def test_policies_without_spread_must_survive_one_more_policy() -> None:
    """Four policies at 130 against scratch about 100: the policy more counts a fifth, not a ninth."""
    runs = fed([[130.0] * 6] * 8, SHARED)
    entry = judged(beside(runs, [shifted(SLOW, n) for n in NOISE[:8]]))
    y = [100 + noise for noise in NOISE[:8]]
    assert entry.raw.low == pytest.approx(welch_interval([130.0] * 4 + [0.0], y, 0.95).low)
    assert entry.outcome == "at the ceiling"


@pytest.mark.parametrize("kept", [(), (0,), (0, 4), (0, 1, 4)])
def test_arms_with_missing_runs_are_inconclusive_and_raise_nothing(kept: tuple[int, ...]) -> None:
    def crash(run: Run) -> Run:
        if run.strategy != "fine-tune" or run.seed in kept:
            return run
        return replace(run, record=None, curve=None, problem="failed: boom", needs=(SHARED[run.seed],))

    matrix = analyse(changed(two(SHARED), crash))
    entry = tuned(matrix).comparisons["auc_gain"]
    assert (entry.outcome, entry.fed.estimand, entry.fed.policies) == ("failed", "source task", 4)
    text_table(matrix)
    json.dumps(summary(matrix), allow_nan=False)


def test_what_no_record_says_the_manifest_does_and_else_one_policy_is_assumed() -> None:
    given = [Run(str(i), "target", "base", "task", "x", i, record={"source_run": f"s{i}"}) for i in range(5)]
    silent = [replace(run, record={}) for run in given]
    needing = [replace(run, needs=(f"s{i}",)) for i, run in enumerate(silent)]
    assert policies_of(silent) is None, "a control of the source's network, fed by nothing"
    assert policies_of(needing) == policies_of(given)
    worse, mixed, enough = (untyped(policies_of([*given[:n], *silent[n:]])) for n in (1, 3, 4))
    assert (mixed.count, mixed.estimand) == (3, "checkpoint"), "the silent ones may be of the three"
    assert (enough.count, enough.pooled) == (4, True)
    assert worse.estimand == "checkpoint"


def test_a_seed_plan_compares_policies_at_every_look() -> None:
    """Policies a … e feed seeds 0 … 4 and again 5 … 9: runs at the first look, means at the second."""
    given = two([*"abcde"] * 2, gain=4.5)
    config = {**given.config, "seeds": {"plan": [5, 10], "first": 0}}
    looks = [[*range(5)], [*range(5, 10)]]
    found = Sweep({**given.manifest, "config": config, "looks": looks}, given.runs)
    entry = judged(found)
    assert entry.look.seeds == 10
    x = [130 + (NOISE[i] + NOISE[i + 5]) / 2 for i in range(5)]
    y = [100 + 25.5 + noise for noise in NOISE[20:30]]
    last = block_permutation_p([x], [y], np.random.default_rng(0), samples=10) / weights([5, 10])[1]
    early = [130 + noise for noise in NOISE[:5]], [125.5 + noise for noise in NOISE[20:25]]
    first = permutation_p(*early, np.random.default_rng(0))
    assert entry.p == pytest.approx(min(last, first / weights([5, 10])[0], 1.0))
    assert entry.fed.pooled


def test_seeds_beyond_a_plan_are_counted_as_runs() -> None:
    given = two([*"abcde"] * 3, gain=4.5)
    found = Sweep({**given.manifest, "looks": [[*range(5)]]}, given.runs)
    entry = judged(found)
    assert (entry.look.seeds, entry.exploratory.seeds) == (5, 15)


def test_advice_asks_for_policies_where_policies_are_compared() -> None:
    matrix = analyse(two([*"abcd"] * 4, gain=3.0))
    assert tuned(matrix).comparisons["asymptotic_gain"].fresh_seeds is not None
    assert "fresh sources, each for as many runs as here" in cell_details(tuned(matrix), matrix)


def test_a_seed_held_out_takes_its_policy_along() -> None:
    """Two strategies from four policies with two runs each: three policies choose, not seven seeds."""
    first = fed(flat(140.0, (0, 1, 2, 40, 0, 1, 2, 41)), SHARED)
    second = fed(flat(150.0, range(8)), SHARED, OTHER)
    best = best_of(beside(first, flat(100.0, [0] * 8), second))
    # Means of policies: 40, 41, 42, 80.5 against 52, 53, 54, 55. Three with d's 80.5 choose the first (54.5
    # against 54 without a), three without d the other; the choice of all is the other (53.5 against 50.9).
    assert best.seeds == 4
    assert best.key == OTHER
    assert best.held_out == pytest.approx((40 + 41 + 42 + 55) / 4)


def test_seeds_that_share_any_policy_are_held_out_together() -> None:
    """Two sources, of five and of four policies: every seed is tied to every other by one or the other."""
    first = fed(flat(140.0, NOISE[:20]), [f"a{seed % 5}" for seed in range(20)])
    apart, alike = (
        fed(flat(150.0, NOISE[20:]), [f"b{seed % count}" for seed in range(20)], ("second", "task", "other"))
        for count in (4, 5)
    )
    assert best_of(beside(first, flat(100.0, NOISE[:20]), apart)) is None
    assert best_of(beside(first, flat(100.0, NOISE[:20]), alike)).seeds == 5


def test_the_best_of_checkpoints_is_one_of_a_checkpoint() -> None:
    arms = ((140.0, TUNED), (150.0, OTHER))
    first, second = (fed(flat(level, NOISE[:8]), ["a"] * 8, key) for level, key in arms)
    given = beside(first, flat(100.0, NOISE[8:16]), second)
    section = selection_section(analyse(given))
    assert "other from this checkpoint of base, of 2" in section
    assert "other, from this checkpoint of base" in section
    assert best_of(given).seeds == 8, "of a checkpoint runs are independent"

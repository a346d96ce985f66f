"""What people read of runs that failed, of runs to come, and of too few seeds."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import pytest

from rl_transfer.analysis import analyse, headlines, read_sweep, summary, text_table
from rl_transfer.analysis.arms import build_arm
from rl_transfer.analysis.flags import describe_missing
from rl_transfer.analysis.inputs import Sweep
from rl_transfer.analysis.model import Matrix
from rl_transfer.report.heatmap import heatmap
from rl_transfer.report.verdict_view import verdict_table
from rl_transfer.spec import Analysis

from .hand_made import (
    FAST,
    FINE,
    SCRATCH,
    SLOW,
    arm,
    changed,
    lost,
    on_targets,
    recorded,
    shifted,
    sweep,
    transfer_cell,
    two_arms,
)
from .synthetic import QUICKSTART, SyntheticSweep


def pending(given: Sweep, identifier: str) -> Sweep:
    """The sweep with this run not yet begun."""
    return lost(given, "unfinished", id=identifier)


SPREAD = (-3, -1, 1, 3, 0)
SCATTER = ((-3, -1), (-1, 1), (1, -1), (3, 1))
GOOD, POOR = ([shifted(means, by) for by in SPREAD] for means in (FAST, SLOW))
BOTH = two_arms(GOOD, POOR)
CRASHED = pending(two_arms([*GOOD[:4], None], POOR), "target/None/task/scratch/2")
"""One transfer run has failed, and one from scratch is still to come."""


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (two_arms([*GOOD[:4], None], POOR), "has failed on task (1 of 5 fine-tune runs failed)"),
        (two_arms(GOOD, [*POOR[:3], None, None]), "has failed on task (2 of 5 scratch runs failed)"),
        (two_arms([None] * 5, POOR), "has failed on task (5 of 5 fine-tune runs failed)"),
        (
            pending(two_arms([*GOOD[:4], None], POOR), "target/base/task/fine-tune/0"),
            "has failed on task (1 of 5 fine-tune runs failed, 1 unfinished)",
        ),
        (
            pending(BOTH, "target/None/task/scratch/2"),
            "is unfinished on task (1 of 5 scratch runs unfinished)",
        ),
        (pending(BOTH, "random/task"), "is unfinished on task (the random run is unfinished)"),
    ],
)
def test_crashed_and_unfinished_runs_are_told_apart_from_doubt(given: Sweep, says: str) -> None:
    matrix = analyse(given)
    (text,) = headlines(matrix)
    assert says in text
    word = "failed" if "has failed" in says else "unfinished"
    shown = [text_table(matrix), str(verdict_table(matrix)), "\n".join(_texts(matrix))]
    assert all("undecided" not in each and "? inconclusive" not in each for each in [text, *shown[:2]])
    assert all(word in each for each in shown), word
    # Programs keep the four verdicts, and a crash never gets a better one.
    (cell,) = (each for each in summary(matrix) if each["kind"] == "transfer")
    assert set(cell["verdict"].values()) == {"inconclusive"}


def _texts(matrix):
    return [text.get_text() for axes in heatmap(matrix).axes for text in axes.texts]


def test_runs_skipped_because_their_source_failed_have_failed_too(tmp_path) -> None:
    failed = ["source-cartpole-1"]
    skipped = [f"cartpole-{target}-fine-tune-1" for target in QUICKSTART]
    folder = SyntheticSweep(failed=failed, unfinished=skipped).write(tmp_path / "sweep")
    matrix = analyse(read_sweep(folder))
    tuned = headlines(matrix)[0]
    targets = "longer-pole, weaker-motor and reversed-actions"
    assert f"has failed on {targets} (1 of 5 fine-tune runs failed)" in tuned
    (cell,) = matrix.select(target="longer-pole", strategy="fine-tune")
    assert "seed 1 skipped: its source run failed: ValueError: boom" in cell.flags[0].message
    assert (matrix.counts["failed"], matrix.counts["unfinished"]) == (1, 3)


def test_arms_that_cannot_be_compared_are_no_matter_of_more_seeds() -> None:
    (text,) = headlines(analyse(two_arms(GOOD, POOR, {"steps": [0, 100, 200, 300, 400, 600]})))
    assert "cannot be judged on task (the two arms were not evaluated at the same steps)" in text


def gaining(gaps: Sequence[float], by: float = 1.0, **options: Any) -> Matrix:
    """A target per gap, of which fine-tuning is so much better; four runs an arm."""
    curves = {}
    for index, gap in enumerate(gaps):
        transfer, scratch = ([shifted(SLOW, above + by * e) for e in SPREAD[:4]] for above in (gap, 0.0))
        curves[f"t{index}"] = (transfer, scratch)
    return analyse(on_targets(curves, **options))


def too_few(matrix) -> list[str]:
    return [text for text in matrix.warnings if "too few" in text]


def test_too_few_seeds_are_no_warning_under_verdicts_that_were_reached() -> None:
    reached = gaining([80] * 8)
    # p = 2/70 in all eight cells: together they pass the correction that a lone one could not.
    assert {str(e.verdict) for c in reached.cells for e in c.comparisons.values()} == {"positive"}
    assert too_few(reached) == []
    assert "too few" not in text_table(reached)


def test_too_few_seeds_are_told_where_no_effect_was_settled() -> None:
    (text,) = too_few(gaining([6] * 8))
    assert text == (
        "no gain or loss could be settled, and 4 seeds per arm are too few for a lone one among 8 cells "
        "(the smallest p of the exact test is 0.0286): take at least 6"
    )


def test_a_metric_without_verdicts_is_named_beside_one_with() -> None:
    # The last three evaluations of both arms scatter alike; only the areas before them differ.
    transfer, scratch = (
        [(0.0, early + e, early + e, *(100.0 + 30 * sign,) * 3) for e, sign in SCATTER]
        for early in (400.0, 0.0)
    )
    matrix = analyse(on_targets({f"t{index}": (transfer, scratch) for index in range(8)}))
    for metric, verdict in (("asymptotic_gain", "inconclusive"), ("auc_gain", "positive")):
        cells = summary(matrix)
        assert {cell["verdict"][metric] for cell in cells if cell["kind"] == "transfer"} == {verdict}
    (text,) = too_few(matrix)
    assert text.startswith("no gain or loss could be settled on final quality, and 4 seeds per arm")


def test_a_cell_that_crashed_beside_an_unfinished_baseline_has_failed() -> None:
    entry = transfer_cell(CRASHED).comparisons["auc_gain"]
    assert (entry.outcome, entry.symbol) == ("failed", "✗")
    assert entry.obstacle.short == "1 of 5 fine-tune runs failed; 1 of 5 scratch runs unfinished"


def test_without_a_baseline_a_cell_is_incomparable_and_says_so() -> None:
    alone = changed(BOTH, lambda run: None if run.strategy == "scratch" else run)
    entry = transfer_cell(alone).comparisons["auc_gain"]
    reason = "the sweep has no scratch runs on this target"
    assert (entry.outcome, entry.symbol, entry.reason) == ("incomparable", "≠", reason)
    assert entry.obstacle.short == reason


def test_an_unfinished_cell_has_a_symbol_of_its_own() -> None:
    assert "… unfinished" in text_table(analyse(pending(BOTH, "target/None/task/scratch/2")))


def test_at_most_three_missing_runs_are_named() -> None:
    cell = transfer_cell(two_arms([None] * 5, POOR))
    assert cell.flags[0].message == (
        "5 of 5 fine-tune runs missing (seed 0 failed: boom; seed 1 failed: boom; seed 2 failed: boom and "
        "2 more); the cell stays inconclusive"
    )
    scale = analyse(BOTH).targets["task"].scale
    complete = build_arm(arm((None, "task", "scratch"), POOR), range(5), scale, Analysis(), 80.0)
    assert describe_missing(complete) == ""


def test_missing_runs_are_told_above_the_matrix() -> None:
    text = "9 of 11 runs are finished, 1 failed: cells with missing runs are inconclusive"
    assert text in analyse(CRASHED).warnings
    assert not any("are finished" in each for each in analyse(BOTH).warnings)


def test_a_family_that_no_number_of_seeds_can_serve_is_told() -> None:
    (text,) = analyse(two_arms(GOOD, POOR, q=1e-5)).warnings
    assert text == (
        "no number of seeds lets a lone effect among 1 cell pass the correction: "
        "analyse fewer cells at a time"
    )


def test_seeds_that_are_just_enough_are_not_too_few() -> None:
    noisy = [shifted(SLOW, 10 * e) for e in SPREAD[:4]]
    matrix = analyse(two_arms([shifted(means, 15) for means in noisy], noisy))
    assert transfer_cell(matrix).comparisons["auc_gain"].verdict == "inconclusive"
    assert matrix.smallest_seeds == 4
    assert too_few(matrix) == []


@pytest.mark.parametrize(
    ("gaps", "verdicts"), [([80.0] * 7 + [1.6], {"positive", "inconclusive"}), ([80.0] * 8, {"positive"})]
)
def test_too_few_seeds_are_told_only_if_all_effects_are_undecided(
    gaps: list[float], verdicts: set[str]
) -> None:
    matrix = gaining(gaps, by=0.5, delta=0.0135)
    assert {str(e.verdict) for cell in matrix.cells for e in cell.comparisons.values()} == verdicts
    assert matrix.smallest_seeds == 6
    assert too_few(matrix) == []


def test_libraries_and_their_versions_are_in_order() -> None:
    numbers = [f"2.{minor}" for minor in (5, 1, 4, 2, 3)]
    transfer = recorded(arm(FINE, GOOD), versions=[{"torch": each, "numpy": each} for each in numbers])
    scratch = arm(SCRATCH, POOR, versions={"torch": "2.1", "numpy": "2.1"})
    matrix = analyse(sweep({SCRATCH: scratch, FINE: transfer}, seeds=5))
    ordered = tuple(sorted(numbers))
    assert [*matrix.versions.items()] == [("numpy", ordered), ("torch", ordered)]
    said = [flag.message for flag in transfer_cell(matrix).flags if flag.code == "versions"]
    counts = "2.1, 1 with 2.2, 1 with 2.3, 1 with 2.4, 1 with 2.5"  # all of scratch and one of fine-tune: 2.1
    assert said == [f"6 runs were computed with {name} {counts}" for name in ("numpy", "torch")]


@pytest.mark.parametrize("declared", [None, 5.0])
def test_raw_returns_ask_for_a_delta_where_none_is_declared(declared: float | None) -> None:
    cell = transfer_cell(two_arms([FAST] * 4, [(0.0,) * 6] * 4, raw_delta=declared))
    (flag,) = (flag for flag in cell.flags if flag.code == "raw-returns")
    asks = "; declare raw_delta to judge relevance and equivalence"
    assert flag.message.endswith(asks) == (declared is None)


def test_at_most_three_damaged_and_three_reset_runs_are_named() -> None:
    resumed = {"resumed": [{"step": 1, "environments": "restored"}, {"step": 2, "environments": "reset"}]}
    given = lost(two_arms(GOOD, POOR, resumed), "damaged: torn", strategy="scratch")
    harmless = {"resumed": ["no object", {"environments": "restored"}]}
    given = changed(given, lambda run: run if run.strategy else dataclasses.replace(run, record=harmless))
    warnings = analyse(given).warnings
    scratch, tuned = "target/None/task/scratch", "target/base/task/fine-tune"
    damaged = "; ".join(f"{scratch}/{seed} torn" for seed in range(3))
    reset = ", ".join(f"{tuned}/{seed}" for seed in range(3))
    text = f"damaged: {damaged} and 2 more; the next sweep moves 5 runs aside and computes them again"
    assert text in warnings
    assert (
        "5 runs were interrupted and resumed with environments that were reset, so other episodes than an "
        f"uninterrupted run's: {reset} and 2 more"
    ) in warnings


@pytest.mark.parametrize("given", [two_arms([None] * 5, POOR), two_arms(GOOD, [None] * 5)])
def test_a_target_has_the_budget_of_the_runs_that_there_are(given: Sweep) -> None:
    budget = max(run.curve.budget for run in given.runs if run.curve is not None)
    assert [target.budget for target in analyse(given).targets.values()] == [budget]


def fed_by(policies: int, seeds: int, cells: int) -> list[str]:
    """The warning where so many policies feed so many seeds in each of these cells."""
    curves = [shifted(SLOW, 4.0 * (seed % 3)) for seed in range(seeds)]
    fed = [f"s{seed % policies}" for seed in range(seeds)]
    arms: dict[Any, Any] = {}
    for index in range(cells):
        base, transfer = (None, f"t{index}", "scratch"), ("base", f"t{index}", "fine-tune")
        arms |= {base: arm(base, curves), transfer: recorded(arm(transfer, curves), source_run=fed)}
    return too_few(analyse(sweep(arms, seeds=seeds)))


def test_too_few_source_policies_are_told_where_seeds_would_be_enough() -> None:
    # Four policies against six from-scratch runs: 1 / C(10, 4) = 1 / 210; five: 1 / C(11, 5) = 1 / 462
    (text,) = fed_by(4, 6, 12)
    assert text == (
        "no gain or loss could be settled, and 4 source policies against 6 from-scratch runs are too few "
        "for a lone one among 12 cells (the smallest p of the exact test is 0.00476): "
        "take at least 5 policies"
    )
    assert fed_by(6, 6, 12) == [], "a policy of its own for each of six seeds"
    assert fed_by(4, 6, 8) == [], "8 / 210 is below 0.05"
    assert fed_by(1, 6, 12) == [], "of a checkpoint runs are compared"


def test_that_what_is_judged_was_declared_late_stands_above_the_matrix() -> None:
    assert not analyse(BOTH).warnings
    (text,) = analyse(Sweep({**BOTH.manifest, "declared_after": 8}, BOTH.runs)).warnings
    assert text.startswith("8 runs on targets had ended when seeds, δ, level or final window were declared")

"""What people read of runs that failed, of runs to come, and of too few seeds."""

import dataclasses
from collections.abc import Sequence

import pytest

from rl_transfer.analysis import analyse, headlines, read_sweep, summary, text_table
from rl_transfer.analysis.inputs import Run, Sweep
from rl_transfer.report.heatmap import heatmap
from rl_transfer.report.sections import verdict_table

from .hand_made import FAST, SLOW, arm, shifted, sweep, two_arms
from .synthetic import QUICKSTART, SyntheticSweep


def pending(given: Sweep, *ids: str) -> Sweep:
    """The sweep with these runs not yet begun."""
    runs = [
        dataclasses.replace(run, record=None, curve=None, problem="unfinished") if run.id in ids else run
        for run in given.runs
    ]
    return Sweep(given.manifest, tuple(runs))


Arms = dict[tuple[str | None, str, str], Sequence[Run]]
SPREAD = (-3, -1, 1, 3, 0)
SCATTER = ((-3, -1), (-1, 1), (1, -1), (3, 1))
GOOD, POOR = ([shifted(means, by) for by in SPREAD] for means in (FAST, SLOW))


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
            pending(two_arms(GOOD, POOR), "target/None/task/scratch/2"),
            "is unfinished on task (1 of 5 scratch runs unfinished)",
        ),
        (
            pending(two_arms(GOOD, POOR), "random/task"),
            "is unfinished on task (the random run is unfinished)",
        ),
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
    keys = ((None, "task", "scratch"), ("base", "task", "fine-tune"))
    late = [0, 100, 200, 300, 400, 600]
    arms: Arms = {keys[0]: arm(keys[0], POOR), keys[1]: arm(keys[1], GOOD, steps=late)}
    (text,) = headlines(analyse(sweep(arms, seeds=5)))
    assert "cannot be judged on task (the two arms were not evaluated at the same steps)" in text


def eight_targets(gap: float, seeds: int = 4):
    arms: Arms = {}
    for index in range(8):
        for key, by in (((None, f"t{index}", "scratch"), 0.0), (("base", f"t{index}", "fine-tune"), gap)):
            arms[key] = arm(key, [shifted(SLOW, by + e) for e in SPREAD[:seeds]])
    return analyse(sweep(arms, seeds=seeds))


def too_few(matrix) -> list[str]:
    return [text for text in matrix.warnings if "too few" in text]


def test_too_few_seeds_are_no_warning_under_verdicts_that_were_reached() -> None:
    reached = eight_targets(gap=80)
    # p = 2/70 in all eight cells: together they pass the correction that a lone one could not.
    assert {str(e.verdict) for c in reached.cells for e in c.comparisons.values()} == {"positive"}
    assert too_few(reached) == []
    assert "too few" not in text_table(reached)


def test_too_few_seeds_are_told_where_no_effect_was_settled() -> None:
    (text,) = too_few(eight_targets(gap=6))
    assert text == (
        "no gain or loss could be settled, and 4 seeds per arm are too few for a lone one among 8 cells "
        "(the smallest p of the exact test is 0.0286): take at least 6"
    )


def test_a_metric_without_verdicts_is_named_beside_one_with() -> None:
    arms: Arms = {}
    for index in range(8):
        for strategy, source, early in (("scratch", None, 0.0), ("fine-tune", "base", 400.0)):
            key = (source, f"t{index}", strategy)
            # The last three evaluations of both arms scatter alike; only the areas before them differ.
            curves = [(0.0, early + e, early + e, *(100.0 + 30 * sign,) * 3) for e, sign in SCATTER]
            arms[key] = arm(key, curves)
    matrix = analyse(sweep(arms, seeds=4))
    for metric, verdict in (("asymptotic_gain", "inconclusive"), ("auc_gain", "positive")):
        cells = summary(matrix)
        assert {cell["verdict"][metric] for cell in cells if cell["kind"] == "transfer"} == {verdict}
    (text,) = too_few(matrix)
    assert text.startswith("no gain or loss could be settled on final quality, and 4 seeds per arm")

"""What people are told first: decided cells by strength, everything open once."""

from dataclasses import replace

import pytest

from analysis.hand_made import FAST, SCRATCH, SLOW, on_targets, shifted, sweep_of, two_arms
from rl_transfer.analysis import analyse
from rl_transfer.analysis.findings import findings
from rl_transfer.analysis.terminal import text_table

SPREAD = (-3, -1, 1, 3)


def several(gains, **settings):
    """A target per gain: its fine-tuned arm ends that much above a from-scratch arm of the same shape."""
    scratch = [shifted(SLOW, each) for each in SPREAD]
    arms = [([shifted(curve, gain) for curve in scratch], scratch) for gain in gains]
    curves = {f"task-{number}": each for number, each in enumerate(arms)}
    return analyse(on_targets(curves, q=0.2, **settings))


def test_a_finding_says_effect_interval_seeds_budget_and_that_no_control_was_run():
    scratch = [shifted(SLOW, each) for each in SPREAD]
    matrix = analyse(two_arms([shifted(curve, -40) for curve in scratch], scratch))
    (told,) = findings(matrix).told
    assert told.effect == "hurts"
    assert told.claim == f"{told.cell.strategy} from {told.cell.source} hurts on task"
    text = str(told)
    entry = told.cell.comparisons["asymptotic_gain"]
    assert f"final quality {entry.gain.point:+.2f} [{entry.gain.low:+.2f}, {entry.gain.high:+.2f}]" in text
    assert "4 seeds per arm, at 500 environment steps" in text
    assert "ends at a mean episodic return of 60.0, scratch at 100" in text
    assert "No control was run" in text
    images = replace(matrix, labels=replace(matrix.labels, measure="accuracy"))
    assert "ends at an accuracy of " in str(findings(images).told[0])


def test_the_strongest_come_first_and_the_rest_is_counted():
    matrix = several([30, 50, -60, 40])
    found = findings(matrix, most=2)
    assert [each.cell.target for each in found.told] == ["task-2", "task-1"]
    assert found.summary == "Of 4 transfer cells (a strategy on a target), 3 help and 1 hurts."
    assert found.rest == ("Of 2 more that are decided, 2 help; the matrix below shows them all.",)
    assert findings(matrix, most=3).rest == ("One more helps; the matrix below shows it.",)
    assert found.summary in " ".join(text_table(matrix).split())


@pytest.mark.parametrize(
    ("cells", "line"),
    [(2, "Undecided: fine-tune on task-0 and task-1."), (7, "Undecided: 7 cells of fine-tune.")],
)
def test_what_is_undecided_is_one_line(cells, line):
    found = findings(several([0] * cells, delta=0.001))
    assert found.told == ()
    assert found.rest == (line,)


def test_a_gain_in_one_metric_alone_says_so():
    early = (80, 80, 80, 100, 100, 100)
    fast, slow = ([shifted(curve, each) for each in SPREAD] for curve in (early, SLOW))
    matrix = analyse(two_arms(fast, slow, delta=0.001))
    (told,) = findings(matrix).told
    assert "helps on task in sample efficiency" in told.claim
    assert "(undecided)" in str(told)


def test_a_matrix_without_transfer_has_no_findings():
    found = findings(analyse(sweep_of({SCRATCH: [FAST] * 4})))
    assert (found.summary, found.told, found.rest) == ("", (), ())

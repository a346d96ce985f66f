"""What image sweeps add: linear probes, sources that nobody measured, accuracies with their decimals."""

import csv
import io
import math
from dataclasses import replace

import pytest

from rl_transfer.analysis import Run, analyse, csv_text, summary, text_table
from rl_transfer.analysis.arm_statistics import Interval
from rl_transfer.analysis.words import digits, interval, notes, number
from rl_transfer.results import ACCURACY_DIGITS, PLAYED, Labels

from .hand_made import (
    CONTROL,
    FAST,
    FINE,
    SCRATCH,
    SLOW,
    arm,
    recorded,
    shifted,
    spread,
    sweep,
    sweep_of,
    transfer_cell,
    two_arms,
)

ACCURACY = Labels(unit="epochs", measure="accuracy", digits=ACCURACY_DIGITS)
PLAIN = two_arms([FAST] * 4, [SLOW] * 4)


def source_runs(seeds=4, **record):
    return tuple(Run(f"base-{i}", "source", "base", None, None, i, record=record) for i in range(seeds))


def pretrained(bar=0.9, **record):
    """Fine-tuning from a source of unknown score."""
    planned = two_arms(spread(FAST), spread(SLOW), {"source_score": None, "source_steps": None}, bar=bar)
    return replace(planned, runs=(*planned.runs, *source_runs(**record)))


def test_an_unmeasured_source_counts_as_finished_and_keeps_its_cells():
    matrix = analyse(pretrained(measured=False))
    # 4 source, 4 scratch and 4 fine-tune runs and one random policy
    assert matrix.counts == {"planned": 13, "finished": 13, "failed": 0, "unfinished": 0}
    assert not any("are finished" in text for text in matrix.warnings)
    (cell,) = matrix.select(kind="transfer")
    assert "source-below-bar" not in {flag.code for flag in cell.flags}
    assert cell.comparisons["auc_gain"].verdict == "positive"


def test_the_score_of_an_unmeasured_source_is_unknown_and_its_bar_unchecked():
    matrix = analyse(pretrained(measured=False))
    info = matrix.sources["base"]
    assert (info.unmeasured, info.scores, info.below, info.problems) == (True, {}, (), {})
    assert math.isnan(info.steps)
    assert "fine-tune from base (source score unknown)" in text_table(matrix)


def test_a_source_whose_curve_is_merely_missing_is_not_finished():
    matrix = analyse(pretrained(measured=True))
    assert matrix.counts["failed"] == 4
    assert not matrix.sources["base"].unmeasured


def probed():
    runs = arm(FINE, [FAST] * 4)
    told = recorded(runs[:3], probe=[{"accuracy": 0.5}, {"accuracy": 0.7}, None])
    return analyse(sweep({SCRATCH: arm(SCRATCH, [SLOW] * 4), FINE: (*told, runs[3])}))


def test_a_linear_probe_is_the_mean_over_the_seeds_that_have_one():
    (cell,) = probed().select(kind="transfer")
    probe = cell.metrics["linear_probe"].value
    assert probe.mean == pytest.approx((0.5 + 0.7) / 2)
    assert probe.per_seed == {0: 0.5, 1: 0.7}
    (scratch,) = probed().select(kind="baseline")
    assert "linear_probe" not in scratch.metrics


def test_tables_hold_the_probe_of_cells_that_have_one_and_of_no_others():
    scratch, tuned = summary(probed())
    assert tuned["metrics"]["linear_probe"]["mean"] == pytest.approx(0.6)
    assert "linear_probe" not in scratch["metrics"]
    rows = list(csv.DictReader(io.StringIO(csv_text(probed()))))
    assert [row["linear_probe_mean"] for row in rows] == ["", "0.6"]
    assert "linear_probe" not in csv_text(analyse(PLAIN))


@pytest.mark.parametrize(
    ("value", "text"), [(0.9234, "0.923"), (1.0, "1.000"), (0.001, "0.001"), (0.99996, "1.000")]
)
def test_accuracies_have_three_decimals(value, text):
    assert number(value, digits=digits(ACCURACY)) == text


def test_digits_are_a_kinds_own_whatever_it_calls_its_measure():
    assert digits(Labels(measure="rank correlation", digits=5)) == 5
    assert digits(Labels(measure="accuracy")) == 3


def test_returns_scores_and_steps_keep_two():
    assert [digits(PLAYED), digits(ACCURACY, "score"), digits(ACCURACY, "steps")] == [3] * 3
    assert interval(Interval(0.3, 0.1, 0.5), digits=4) == "+0.300 [+0.100, +0.500]"


def test_the_table_of_an_image_sweep_shows_accuracies():
    curves = [shifted([mean / 200 for mean in SLOW], e / 1000) for e in (-3, -1, 1, 3)]
    planned = two_arms(curves, curves, {"source_score": 0.9926}, bar=0.9, random={"task": [0.01]})
    matrix = analyse(replace(planned, manifest={**planned.manifest, "measure": "accuracy"}))
    text = text_table(matrix)
    assert "source scores 0.993 to 0.993, bar 0.900" in text
    # from scratch: area 60 / 200 = 0.3; Student's t 3.182 · sd 0.002582 / √4 = 0.0041
    assert "0.300 [0.296, 0.304]" in text


@pytest.fixture(scope="module")
def several_sources():
    """Two sources; the control ``shuffled`` uses both, ``random`` none. The bar makes all cells flagged."""
    keys = [(source, "task", name) for source in ("left", "right") for name in ("frozen", "shuffled")]
    arms = {SCRATCH: [SLOW] * 4, **dict.fromkeys([(None, "task", "random"), *keys], [FAST] * 4)}
    strategies = {"frozen": {"freeze": ["trunk"]}, "random": CONTROL}
    strategies["shuffled"] = {**CONTROL, "copy": ["trunk"]}
    return analyse(sweep_of(arms, strategies=strategies, bar=99))


def test_a_control_that_uses_a_source_names_it(several_sources):
    lines = text_table(several_sources).splitlines()
    assert [line.split(" (")[0] for line in lines if "control: not corrected" in line] == [
        "random",
        "shuffled from left",
        "shuffled from right",
    ]


def test_notes_name_the_source_where_there_are_several(several_sources):
    below = [note for note in notes(several_sources) if "below the bar" in note]
    assert [note.split(":")[0] for note in below] == [
        f"! frozen from {source} and shuffled from {source} on task" for source in ("left", "right")
    ]


def test_what_the_data_hold_and_nobody_reads_is_said_above_the_matrix():
    config = {
        **PLAIN.config,
        "sources": {"base": {"notes": ["nothing is read from photos/val"]}},
        "targets": {"task": {"notes": ["nothing is read from photos/val", 3]}, "other": {"notes": "no list"}},
    }
    matrix = analyse(replace(PLAIN, manifest={**PLAIN.manifest, "config": config}))
    assert "base and task: nothing is read from photos/val" in matrix.warnings


@pytest.mark.parametrize(("seen", "flagged"), [(0, False), (3, True)])
def test_test_images_that_the_source_was_trained_on_are_a_reservation(seen: int, flagged: bool) -> None:
    counts = (seen, max(0, seen - 1), max(0, seen - 2), seen)  # the worst of the runs is told
    said = [{"seen": count, "items": 12} for count in counts]
    runs = recorded(arm(FINE, [FAST] * 4), seen_by_source=said)
    cell = transfer_cell(sweep({SCRATCH: arm(SCRATCH, [SLOW] * 4), FINE: runs}))
    found = [flag.message for flag in cell.flags if flag.code == "test-seen-by-source"]
    assert bool(found) is flagged
    assert all("trained on 3 of the 12 " in message for message in found)


def test_raw_gains_have_the_digits_of_their_measure() -> None:
    flat, better = (spread((level,) * 6, by=1e-5) for level in (0.0, 0.1234))
    planned = two_arms(better, flat, raw_delta=1e-6)  # by less than which no arm is without spread
    matrix = analyse(replace(planned, manifest={**planned.manifest, "measure": "accuracy"}))
    assert matrix.targets["task"].scale.is_raw
    assert "+0.123 [+0.123, +0.123] r" in text_table(matrix), "three decimals; a return has two"

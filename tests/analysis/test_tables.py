import json
import math
from typing import Any

import pytest

from rl_transfer.analysis import analyse, headlines, read_sweep, summary, text_table
from rl_transfer.analysis.arm_statistics import Interval
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.words import advice, at_budgets, at_steps, interval, number

from .hand_made import FAST, SCRATCH, SLOW, STEPS, arm, shifted, sweep, sweep_of, transfer_cell, two_arms
from .hand_made import spread as evenly
from .synthetic import QUICKSTART, SyntheticSweep


@pytest.fixture(scope="module")
def matrix(tmp_path_factory):
    return analyse(read_sweep(SyntheticSweep().write(tmp_path_factory.mktemp("tables") / "sweep")))


@pytest.fixture(scope="module")
def partial(tmp_path_factory):
    sweep = SyntheticSweep(
        sources=("cartpole", "pole-on-a-cart-with-a-very-long-name-that-does-not-fit"),
        shapes={"a-target-whose-name-is-" + "long-" * 12: QUICKSTART["longer-pole"], **QUICKSTART},
        failed=["cartpole-longer-pole-fine-tune-2"],
        unfinished=["weaker-motor-scratch-1", "random-reversed-actions"],
    )
    return analyse(read_sweep(sweep.write(tmp_path_factory.mktemp("tables") / "sweep")))


def test_summary_has_one_object_per_cell(matrix):
    cells = summary(matrix)
    assert len(cells) == 3 * 4
    assert len({(cell["source"], cell["target"], cell["strategy"]) for cell in cells}) == 12
    tuned = next(c for c in cells if c["strategy"] == "fine-tune" and c["target"] == "reversed-actions")
    assert (tuned["source"], tuned["kind"], tuned["steps"]) == ("cartpole", "transfer", 6144)
    assert tuned["verdict"] == {"asymptotic_gain": "negative", "auc_gain": "negative"}
    low, high = tuned["interval"]["auc_gain"]
    assert low < tuned["comparisons"]["auc_gain"]["gain"] < high < 0
    assert [*tuned["metrics"]] == [name for name, info in METRICS.items() if info.everywhere]
    assert [*tuned["metrics"]["auc"]["per_seed"]] == ["0", "1", "2", "3", "4"]
    assert (tuned["unit"], tuned["measure"]) == ("environment steps", "mean episodic return")


def test_a_baseline_has_figures_but_no_verdict(matrix):
    scratch = next(cell for cell in summary(matrix) if cell["kind"] == "baseline")
    assert (scratch["verdict"], scratch["source"]) == ({}, None)
    assert "final_performance" in scratch["metrics"]
    assert "auc_gain" not in scratch["metrics"]


def test_summary_is_strict_json(matrix, partial):
    for found in (matrix, partial):
        assert json.loads(json.dumps(summary(found), allow_nan=False)) == summary(found)


def test_undefined_figures_are_null():
    (cell,) = (c for c in summary(analyse(two_arms([FAST] * 4, [SLOW] * 4))) if c["kind"] == "transfer")
    assert cell["metrics"]["retention"] == {
        "unit": "measure", "mean": None, "low": None, "high": None, "n": 0, "per_seed": {}, "bound": None,
        "score": None,
    }  # fmt: skip


def test_the_terminal_table_shows_every_cell(matrix):
    text = text_table(matrix)
    assert text.splitlines()[0] == "synthetic: transfer against scratch, at 6,144 environment steps"
    for strategy in ("fine-tune", "frozen-trunk-new-head", "random-frozen", "scratch"):
        assert any(line.startswith(strategy) for line in text.splitlines())
    assert sum(line.startswith("  longer-pole") for line in text.splitlines()) == 4
    assert "▼ negative" in text
    assert "▲ positive" in text
    assert "At 6,144 environment steps, fine-tune from cartpole" in text


def test_the_terminal_table_keeps_its_width_and_names_what_is_missing(partial):
    text = text_table(partial)
    assert max(map(len, text.splitlines())) <= 110
    assert "1 of 5 fine-tune runs missing (seed 2 failed: ValueError: boom)" in " ".join(text.split())
    assert "a-target-whose-name" in text
    assert "…" in text


def test_headlines_group_targets_and_name_the_budget(matrix):
    tuned, frozen = headlines(matrix)
    assert tuned.startswith("At 6,144 environment steps, fine-tune from cartpole helps on longer-pole")
    assert "hurts on reversed-actions (final quality and sample efficiency)" in tuned
    assert frozen == (
        "At 6,144 environment steps, frozen-trunk-new-head from cartpole helps on longer-pole, weaker-motor "
        "and reversed-actions (final quality and sample efficiency; knowledge helps)."
    )


def test_headlines_tell_every_kind_of_outcome():
    spread = (-3, -1, 1, 3)
    scratch = [shifted(SLOW, e) for e in spread]

    def headline(transfer):
        (text,) = headlines(analyse(two_arms(transfer, scratch)))
        return text

    assert "is undecided on task" in headline(scratch)
    alike = analyse(two_arms(evenly(SLOW, 6), evenly(SLOW, 6), delta=0.045))
    assert "makes no relevant difference on task" in headlines(alike)[0]
    assert "hurts on task (final quality and sample efficiency)" in headline(
        [shifted(SLOW, e - 40) for e in spread]
    )
    assert "is undecided on task" in headline([shifted(SLOW, 20 * e) for e in spread])
    early = [shifted((80, 80, 80, 60, 60, 60), e) for e in spread]  # area 70 against 60, final 60 against 100
    assert "both helps and hurts on task (helps sample efficiency, hurts final quality)" in headline(early)


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (6144, False, "6,144"), (312.4, False, "312"), (12.34, False, "12.3"), (1.234, True, "+1.23"),
        (-0.456, True, "-0.46"), (0.004, True, "+0.00"), (-0.001, True, "+0.00"), (math.nan, False, "–"),
    ],
)  # fmt: skip
def test_numbers_read_well(value, signed, text):
    assert number(value, signed=signed) == text


def test_small_phrases():
    assert interval(Interval(0.3, 0.1, 0.5)) == "+0.30 [+0.10, +0.50]"
    assert interval(Interval(0.3, math.nan, math.nan)) == "+0.30"
    assert at_steps(math.nan, "epochs") == "before any epochs were measured"
    spread = [shifted(SLOW, 10 * e) for e in (-3, -1, 1, 3)]
    entry = transfer_cell(two_arms([shifted(m, 25) for m in spread], spread)).comparisons["auc_gain"]
    assert f"a new plan of {entry.fresh_seeds.least} to {entry.fresh_seeds.most} fresh seeds" in advice(entry)


def test_budgets_of_several_targets_are_all_named():
    spread = (-3, -1, 1, 3)
    arms: dict[Any, Any] = {}
    for target, factor in (("short", 1), ("long", 2)):
        steps = [factor * step for step in STEPS]
        for key, curve in (((None, target, "scratch"), SLOW), (("base", target, "fine-tune"), FAST)):
            arms[key] = arm(key, [shifted(curve, e) for e in spread], steps=steps)
    matrix = analyse(sweep(arms, q=0.2))
    assert at_budgets(matrix) == "at 500 and 1,000 environment steps"
    assert [text.split(",")[0] for text in headlines(matrix)] == [
        "At 500 environment steps",
        "At 1",  # 000 environment steps
    ]


def test_a_matrix_of_the_baseline_alone_is_a_table_too():
    matrix = analyse(sweep_of({SCRATCH: [SLOW] * 4}))
    assert "scratch (baseline" in text_table(matrix)
    assert headlines(matrix) == []
    assert len(summary(matrix)) == 1


def test_the_summary_says_why_a_target_is_judged_raw():
    flat = (0, 0, 0, 0, 0, 0)
    (_, raw), (_, scored) = (
        summary(analyse(two_arms([FAST] * 4, [scratch] * 4))) for scratch in (flat, SLOW)
    )
    assert raw["reference"]["mode"] == "raw"
    assert raw["reference"]["reason"].startswith("from scratch (0) is not clearly above")
    assert scored["reference"]["reason"] is None

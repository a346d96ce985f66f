"""What the terminal and the report say beside the numbers: which target, which scale, whose names."""

import math
from dataclasses import replace
from typing import Any

import pytest

from rl_transfer.analysis import analyse, headlines, text_table
from rl_transfer.analysis.arm_statistics import welch_interval
from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.power import SeedRange
from rl_transfer.analysis.verdict import Verdict
from rl_transfer.analysis.words import advice, at_budgets, notes, number, scale_of_gains

from .hand_made import (
    CONTROL,
    FAST,
    SCRATCH,
    SLOW,
    STEPS,
    arm,
    lost,
    on_targets,
    spread,
    sweep,
    sweep_of,
    transfer_cell,
    two_arms,
)

FLAT = (0, 0, 0, 0, 0, 0)


def strategies_on(targets, curves, **options):
    """Every strategy beside scratch on every target; curves by strategy."""
    sources = {name: None if name == "scratch" else "base" for name in curves}
    arms = {(sources[name], t, name): [curve] * 4 for t in targets for name, curve in curves.items()}
    return analyse(sweep_of(arms, bootstrap=2, **options))


def test_a_note_on_the_scale_names_its_targets_once_and_no_strategy():
    # nobody leaves chance: four strategies on two targets are judged raw, for a reason of the target
    names = ["scratch", "fine-tune", "frozen", "l2-sp", "ewc"]
    matrix = strategies_on(["north", "south"], dict.fromkeys(names, FLAT))
    raw = [note for note in notes(matrix) if "judged on raw returns" in note]
    assert len(raw) == 1
    assert raw[0].startswith("! on north and south: judged on raw returns")
    assert not any("cells" in note for note in raw)


def test_a_note_on_many_cells_names_their_targets():
    curves = {"scratch": SLOW, "fine-tune": FAST, "frozen": FAST}
    matrix = strategies_on(["north", "south", "west"], curves, bar=95.0)
    (note,) = [note for note in notes(matrix) if "below the bar" in note]
    assert note.startswith("! fine-tune and frozen on north, south and west: 4 of 4 source policies")


@pytest.mark.parametrize(
    ("scratch", "said"),
    [(SLOW, "normalised scores"), (FLAT, "raw mean episodic return")],
)
def test_gains_are_called_what_they_are(scratch, said):
    matrix = analyse(two_arms(spread(FAST), spread(scratch)))
    assert scale_of_gains(matrix) == said
    head = text_table(matrix).splitlines()[1]
    assert head.startswith(f"gains in {said}, 95% Welch intervals")


def test_gains_of_mixed_scales_say_which_mark_is_raw():
    given = on_targets({"learnt": ([FAST] * 4, [SLOW] * 4), "never": ([FAST] * 4, [FLAT] * 4)})
    assert scale_of_gains(analyse(given)) == "normalised scores (r: raw mean episodic return)"


def test_the_terminal_speaks_of_metrics_by_their_labels():
    arms = {SCRATCH: spread(SLOW), ("base", "task", "frozen"): spread(FAST)}
    arms[None, "task", "random-frozen"] = spread(FAST)
    strategies = {"frozen": {"copy": ["trunk"], "freeze": ["trunk"]}, "random-frozen": CONTROL}
    matrix = analyse(sweep_of(arms, strategies=strategies))
    doubted = [note for note in notes(matrix) if note.startswith("* ")]
    assert len(doubted) == 1
    assert "sample efficiency: unclear whether it is knowledge: random-frozen gains" in doubted[0]
    text = text_table(matrix)
    assert not [name for name in METRICS if "_" in name and name in text]


def targets_to_break_even(transfer, scratch):
    return transfer_cell(two_arms(transfer, scratch)).metrics["break_even_targets"]


def test_break_even_needs_a_clear_saving():
    # θ = 0.8 · J_ref. One transfer run of four gets there, no scratch run sooner than at the end:
    late = (0, 0, 0, 0, 100, 100)
    one = targets_to_break_even([FAST, FLAT, FLAT, FLAT], [late] * 4)
    assert math.isnan(one.value.mean)
    # three of four early, one never: saved on average, but the interval reaches below 0
    three = targets_to_break_even([FAST, FAST, FAST, FLAT], [SLOW] * 4)
    assert math.isnan(three.value.mean)


def test_break_even_has_the_limits_of_the_steps_saved():
    # 200, 200, 300, 300 against 100 steps each, and one run more of either arm that never arrives
    quick, late = [100] * 40, [200, 200, 300, 300] * 10
    metric = targets_to_break_even([(20, 100, 100, 100, 100, 100)] * 40, [FAST, FAST, SLOW, SLOW] * 10)
    saved = [welch_interval(y, x, 0.95) for y in (late, [*late, 500]) for x in (quick, [*quick, 500])]
    low, high = (1000 / max(each.high for each in saved), 1000 / min(each.low for each in saved))
    assert low < 6 < 7 < high
    assert (metric.value.mean, metric.value.low, metric.value.high) == (7, math.ceil(low), math.ceil(high))
    assert metric.bound == ""


def test_break_even_is_a_bound_where_scratch_runs_never_arrive():
    later = (0, 0, 0, 50, 100, 100)
    metric = targets_to_break_even([FAST] * 4, [later, later, later, (0, 0, 0, 0, 50, 60)])
    assert metric.bound == "≤"
    assert metric.value.mean >= 1


def test_numbers_are_rounded_once() -> None:
    # 0.1349 → 0.13; rounding to 0.135 first would give 0.14
    assert number(0.1349) == "0.13"
    assert number(0.1351) == "0.14"
    assert (number(-6144.4), number(0.0), number(0.999), number(1.0)) == ("-6,144", "0.00", "1.00", "1.00")


@pytest.mark.parametrize(
    ("targets", "strategies", "where"),
    [
        (6, 3, "fine-tune, frozen and l2-sp on t0, t1, t2, t3, t4 and t5: "),
        (7, 4, "4 strategies on t0, t1, t2, t3, t4 and 2 more: "),
    ],
)
def test_long_lists_of_places_are_cut(targets: int, strategies: int, where: str) -> None:
    names = ["fine-tune", "frozen", "l2-sp", "ewc"][:strategies]
    curves = {"scratch": SLOW, **dict.fromkeys(names, FAST)}
    matrix = strategies_on([f"t{index}" for index in range(targets)], curves, bar=95.0)
    (note,) = [note for note in notes(matrix) if "below the bar" in note]
    assert note.startswith(f"! {where}")


def test_budgets_are_those_of_the_targets_that_have_begun() -> None:
    planned = on_targets(dict.fromkeys(("north", "south"), ([FAST] * 4, [SLOW] * 4)))
    some = lost(planned, "unfinished", target="south")
    assert at_budgets(analyse(some)) == "at 500 environment steps"
    nothing = analyse(lost(planned, "unfinished"))
    assert at_budgets(nothing) == "before any environment steps were measured"
    (text,) = headlines(nothing)
    assert text.startswith("Before any environment steps were measured, fine-tune from base is unfinished on")


def test_headlines_go_by_strategy_source_and_budget() -> None:
    arms: dict[Any, Any] = {}
    for target, factor in (("long", 2), ("short", 1)):
        steps = [factor * step for step in STEPS]
        for source, name in ((None, "scratch"), ("north", "fine-tune"), ("south", "fine-tune")):
            arms[source, target, name] = arm((source, target, name), [SLOW] * 4, steps=steps)
    assert [text.split(" is")[0] for text in headlines(analyse(sweep(arms)))] == [
        f"At {budget} environment steps, fine-tune from {source}"
        for source in ("north", "south")
        for budget in ("500", "1,000")
    ]


def test_advice_is_for_what_is_undecided_and_can_be_estimated() -> None:
    entry = transfer_cell(two_arms(spread(FAST), spread(SLOW))).comparisons["auc_gain"]
    assert entry.verdict == "positive"
    undecided = replace(entry, verdict=Verdict.INCONCLUSIVE)
    assert advice(replace(entry, fresh_seeds=SeedRange(8, 20))) == ""
    assert advice(replace(undecided, fresh_seeds=None)) == ""


@pytest.mark.parametrize(
    ("asked", "number"),
    [(SeedRange(8, 20), "8 to 20"), (SeedRange(8, 8), "8"), (SeedRange(8, None), "8 or more")],
)
def test_advice_names_a_range_and_its_condition(asked: SeedRange, number: str) -> None:
    entry = transfer_cell(two_arms([FAST] * 4, [SLOW] * 4)).comparisons["auc_gain"]
    undecided = replace(entry, verdict=Verdict.INCONCLUSIVE, fresh_seeds=asked)
    assert advice(undecided) == (
        f"a new plan of {number} fresh seeds per arm would settle it with probability 0.8, "
        "if the gain lies in the 60 % interval of this one"
    )

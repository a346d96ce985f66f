import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.validity.selection import rank_coverage, selection
from rl_transfer.analysis import analyse, summary
from rl_transfer.analysis.arm_statistics import welch_interval
from rl_transfer.analysis.selection import Key, hold_out
from rl_transfer.report.selection_view import selection_section
from support.cases import EVERY

from .hand_made import STEPS, arm, sweep

SCRATCH = (96, 98, 102, 104)
FIRST = (141, 143, 157, 159)
SECOND = (150, 151, 137, 138)


def flat(value):
    return (value,) * len(STEPS)


def several(*arms, target="task", scratch=SCRATCH, **options):
    """A sweep of ``strategy-0`` … against ``scratch``: flat curves, so every figure is the run's level."""
    keys = [(None, target, "scratch"), *(("base", target, f"strategy-{n}") for n in range(len(arms)))]
    both = zip(keys, (scratch, *arms), strict=True)
    return {key: arm(key, [None if v is None else flat(v) for v in each]) for key, each in both}


def analysed(*arms, **options):
    return analyse(sweep(several(*arms), **options))


def only(matrix, metric="asymptotic_gain", target="task"):
    (found,) = [entry for entry in matrix.best if entry.metric == metric and entry.target == target]
    return found


def test_the_best_cell_by_hand():
    best = only(analysed(FIRST, SECOND))
    # means 150 and 144; without seed 0: 153 and 142, without 2: 147.67 and 146.33, without 3: 147 and 146
    assert best.key == ("base", "task", "strategy-0")
    assert (best.of, best.seeds, best.again) == (2, 4, 4)
    assert best.gain.point == best.held_out == 50
    expected = welch_interval(FIRST, SCRATCH, 1 - 0.05 / 2)
    assert (best.gain.low, best.gain.high) == pytest.approx((expected.low, expected.high))


def test_a_seed_that_made_the_choice_does_not_tell_what_it_is_worth():
    # 0 is best by its seed 3 alone: without it, the other one is chosen, and is 99 there
    best = only(analysed((100, 101, 99, 220), (110, 111, 109, 99)))
    assert (best.key[2], best.gain.point, best.again) == ("strategy-0", 30, 3)
    assert best.held_out == np.mean([100 - 96, 101 - 98, 99 - 102, 99 - 104])


def test_over_all_targets_gains_are_scores():
    arms = several(FIRST, SECOND) | several(
        (230, 240, 270, 260), target="other", scratch=(190, 195, 205, 210)
    )
    matrix = analyse(sweep(arms))
    best = only(matrix, target=None)
    # spans 100 and 200: +0.5 and +0.44 on the task, +0.25 on the other
    assert (best.key, best.unit, best.of) == (("base", "task", "strategy-0"), "score", 3)
    assert (best.gain.point, best.held_out) == pytest.approx((0.5, 0.5))
    assert {entry.target for entry in matrix.best} == {"task", None}  # one cell alone is not chosen


def test_a_cell_that_lacks_runs_does_not_compete_and_has_no_rank():
    matrix = analysed(FIRST, SECOND, (900, 900, 900, None))
    assert only(matrix).key[2] == "strategy-0"
    assert {key[2] for key, _ in matrix.ranks} == {"scratch", "strategy-0", "strategy-1"}
    assert all(rank.of == 3 for rank in matrix.ranks.values())


@pytest.mark.parametrize("arms", [(FIRST,), ((150, 160), (170, 180))])
def test_one_cell_or_two_seeds_choose_nothing(arms):
    scratch = SCRATCH[: len(arms[0])]
    matrix = analyse(sweep(several(*arms, scratch=scratch), seeds=len(scratch)))
    assert not matrix.best


def test_controls_do_not_compete():
    strategies = {"strategy-1": {"control": True, "control_for": ["strategy-0"]}}
    matrix = analysed(FIRST, (900, 910, 920, 930), strategies=strategies)
    assert not matrix.best
    assert {key[2] for key, _ in matrix.ranks} == {"scratch", "strategy-0"}


def test_places_are_those_that_no_interval_excludes():
    matrix = analysed((300, 310, 320, 330), (301, 311, 321, 331), (20, 25, 30, 35))
    places = {
        key[2]: (rank.first, rank.last)
        for (key, metric), rank in matrix.ranks.items()
        if metric == "auc_gain"
    }
    assert places == {"strategy-0": (1, 2), "strategy-1": (1, 2), "scratch": (3, 3), "strategy-2": (4, 4)}


def test_arms_without_spread_are_told_apart_only_if_one_run_more_would_not_matter():
    # five equal runs each: one run more at random makes both intervals wide
    arms = several((200,) * 5, scratch=(100,) * 5)
    matrix = analyse(sweep(arms, seeds=5))
    assert {(rank.first, rank.last) for rank in matrix.ranks.values()} == {(1, 2)}


@given(st.lists(st.lists(st.integers(-50, 50), min_size=4, max_size=4), min_size=2, max_size=5))
def test_held_out_is_the_definition(rows):
    gains = np.array(rows, dtype=float)
    chosen, held_out, again = hold_out(gains)
    seeds = range(gains.shape[1])
    picks = [int(np.argmax(gains[:, [s for s in seeds if s != seed]].sum(axis=1))) for seed in seeds]
    assert held_out == pytest.approx(np.mean([gains[pick, seed] for seed, pick in enumerate(picks)]))
    assert again == sum(pick == chosen for pick in picks)
    assert gains[chosen].mean() == pytest.approx(gains.mean(axis=1).max())


@settings(deadline=None, max_examples=50 if EVERY else 8)
@given(st.lists(st.lists(st.integers(0, 400), min_size=4, max_size=4), min_size=1, max_size=4))
def test_places_hold_the_order_of_the_means(arms):
    matrix = analysed(*arms)
    there = {key: rank for (key, metric), rank in matrix.ranks.items() if metric == "asymptotic_gain"}
    means: dict[Key, float] = {(None, "task", "scratch"): float(np.mean(SCRATCH))}
    means |= {("base", "task", f"strategy-{n}"): float(np.mean(each)) for n, each in enumerate(arms)}
    assert there.keys() == means.keys()
    for key, rank in there.items():
        above = sum(mean > means[key] for mean in means.values())
        level = sum(mean >= means[key] for mean in means.values())
        assert 1 <= rank.first <= above + 1
        assert level <= rank.last <= rank.of


def test_summary_and_page_say_it():
    matrix = analysed(FIRST, SECOND)
    cells = {cell["strategy"]: cell for cell in summary(matrix)}
    json.dumps(cells, allow_nan=False)
    entry = next(each for each in cells["strategy-0"]["best"] if each["metric"] == "asymptotic_gain")
    assert (entry["among"], entry["of"], entry["held_out"]) == (2, "the target", 50)
    assert cells["strategy-1"]["best"] == []
    assert cells["scratch"]["ranks"]["auc_gain"] == {"first": 3, "last": 3, "of": 3}
    page = str(selection_section(matrix))
    assert "strategy-0, of 2" in page
    assert "4 of 4" in page
    assert "1–2, 1–2 of 3" in page


def test_the_page_is_silent_where_nothing_competes():
    assert str(selection_section(analyse(sweep({})))) == ""


def test_without_effects_the_best_is_overstated_and_held_out_seeds_tell():
    own, held, plain, wide = selection("without effects", cells=12, seeds=10, draws=300)
    assert own > 0.9  # standard errors; 1.63 √½ = 1.15 in theory
    assert abs(held) < 4 / math.sqrt(300)
    assert plain < 0.9 < 0.95 < wide


def test_false_ranks_are_rare():
    assert rank_coverage("without effects", arms=4, seeds=5, draws=100) > 0.88

"""Seed plans: what each look decides, what stays decided, and what lies beyond the plan."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest

from rl_transfer.analysis import Matrix, Sweep, analyse, csv_text, summary, text_table
from rl_transfer.analysis.guard import ONE_MORE
from rl_transfer.analysis.look_design import LookDesign
from rl_transfer.analysis.looks import _Looks
from rl_transfer.analysis.sequential import block_permutation_p, weights
from rl_transfer.results.looks import read_looks

from .hand_made import CONTROL, FINE, SLOW, changed, lost, shifted, sweep_of
from .hand_made import SCRATCH as SCRATCH_KEY

PLAN = [[*range(5)], [*range(5, 10)], [*range(10, 15)]]
WEIGHTS = weights([5, 10, 15])
NOISE = np.random.default_rng(4).normal(0, 1, 40).round(2)
CLEAR, NONE, LATE = (
    [shifted(SLOW, gain + noise) for noise in NOISE]
    for gain, NOISE in (
        (30, NOISE),
        (0, np.random.default_rng(1).normal(0, 8, 40)),
        (4.5, np.random.default_rng(2).normal(0, 3.5, 40)),
    )
)
SCRATCH = [shifted(SLOW, noise) for noise in np.random.default_rng(3).normal(0, 3.5, 40)]


def planned(
    came: Mapping[str, int],
    options: Mapping[str, Any] = MappingProxyType({}),
    *,
    looks: Any = PLAN,
    scratch: int | None = None,
) -> Sweep:
    """One target; arm ``clear``, ``none`` or ``late`` with so many seeds."""
    curves = {"clear": CLEAR, "none": NONE, "late": LATE, "control": NONE}
    arms = {SCRATCH_KEY: SCRATCH[: scratch or max(came.values())]}
    for name, seeds in came.items():
        arms[None if name == "control" else "base", "task", name] = curves[name][:seeds]
    found = sweep_of(arms, **{"raw_delta": 0.5, **options})
    config = {**found.config, "seeds": {"plan": [5, 10, 15], "first": 0}}
    return Sweep({**found.manifest, "config": config, "looks": looks}, found.runs)


def going_on(found: Sweep) -> set[str]:
    return {strategy for _, _, strategy in _Looks(found, read_looks(found.manifest)).going_on}


def comparisons(matrix: Matrix, strategy: str) -> list[Any]:
    (cell,) = matrix.select(strategy=strategy)
    return [*cell.comparisons.values()]


def test_a_cell_that_is_decided_stops_and_the_others_go_on() -> None:
    found = planned({"clear": 5, "none": 5})
    assert going_on(found) == {"none", "scratch"}
    for entry in comparisons(analyse(found), "clear"):
        assert (str(entry.verdict), entry.look.seeds, entry.look.number) == ("positive", 5, 1)
        # 2 of 252 relabellings over w = f(1/3)
        assert entry.p == pytest.approx(2 / 252 / WEIGHTS[0])


def test_a_decided_cell_keeps_verdict_interval_and_scale_of_its_look() -> None:
    first, last = (analyse(planned({"clear": 5, "none": seeds})) for seeds in (5, 15))
    (before,), (after,) = (matrix.select(strategy="clear") for matrix in (first, last))
    assert repr(replace(after, band=None)) == repr(replace(before, band=None))  # nan is not nan
    assert last.targets["task"].scale != after.scale, "the others were measured against more scratch runs"
    assert {entry.look.seeds for entry in comparisons(last, "none")} == {15}


def test_intervals_have_the_level_of_their_look() -> None:
    matrix = analyse(planned({"clear": 5, "none": 10}))
    plain = analyse(planned({"none": 10}, {"confidence": 1 - 0.05 * WEIGHTS[1]}, looks=[[*range(10)]]))
    (mine, *_), (other, *_) = comparisons(matrix, "none"), comparisons(plain, "none")
    assert mine.gain == other.gain
    assert matrix.settings.confidence == 0.95


def test_repeated_p_falls_from_look_to_look_and_a_gain_may_come_late() -> None:
    entries = [comparisons(analyse(planned({"late": seeds})), "late")[0] for seeds in (5, 10, 15)]
    assert [str(entry.verdict) for entry in entries] == ["inconclusive", "inconclusive", "positive"]
    assert entries[0].p >= entries[1].p >= entries[2].p
    assert entries[0].fresh_seeds is None, "the next look brings them anyway"


@pytest.mark.parametrize("problem", ["unfinished", "failed: boom"])
def test_a_look_is_taken_only_when_all_its_runs_have_ended(problem: str) -> None:
    found = lost(planned({"clear": 10, "none": 10}), problem, strategy="none", seed=7)
    found = changed(found, lambda run: run if run.strategy != "clear" or run.seed < 5 else None)
    matrix = analyse(found)
    assert matrix.plan is not None
    none = comparisons(matrix, "none")[0]
    if problem == "unfinished":
        assert (matrix.plan.taken, none.look.seeds, none.outcome) == (1, 5, "inconclusive")
        assert matrix.plan.going_on == 1
    else:
        assert (matrix.plan.taken, none.outcome) == (2, "failed")
        assert going_on(found) == set(), "it cannot be judged, so it waits"
    assert comparisons(matrix, "clear")[0].look.seeds == 5


def test_nothing_is_judged_before_the_first_look() -> None:
    matrix = analyse(lost(planned({"clear": 5, "none": 5}), "unfinished", strategy="none", seed=4))
    outcomes = {entry.outcome for name in ("clear", "none") for entry in comparisons(matrix, name)}
    assert outcomes == {"unfinished"}
    assert "until then nothing is judged" in text_table(matrix)


def test_from_scratch_runs_that_failed_stop_every_cell_of_their_target() -> None:
    assert going_on(lost(planned({"clear": 5, "none": 5}), strategy="scratch", seed=1)) == set()


def test_controls_go_on_with_what_they_control() -> None:
    options = {"strategies": {"control": {**CONTROL, "control_for": ["none"]}, "none": {"freeze": ["trunk"]}}}
    assert going_on(planned({"clear": 5, "none": 5, "control": 5}, options)) == {"none", "scratch", "control"}
    serving = {"strategies": {"control": {**CONTROL, "control_for": ["clear"]}}}
    assert going_on(planned({"clear": 5, "none": 5, "control": 5}, serving)) == {"none", "scratch"}


def test_seeds_beyond_the_plan_change_no_verdict_and_are_shown_beside_it() -> None:
    """A plan of one look that was extended, and a plan whose cells all ended."""
    for looks in ([[*range(5)]], PLAN):
        kept = analyse(planned({"late": 15 if looks is PLAN else 5}, looks=looks))
        more = analyse(planned({"late": 30}, looks=looks))
        for before, after in zip(comparisons(kept, "late"), comparisons(more, "late"), strict=True):
            assert repr(replace(after, exploratory=None, look=None)) == repr(replace(before, look=None))
            assert after.exploratory.seeds == 30
        assert "exploratory" in text_table(more)
        assert "exploratory" not in text_table(kept)


def test_seeds_of_a_look_that_is_not_over_are_not_shown() -> None:
    found = planned({"clear": 5, "none": 9}, scratch=9)
    entry = comparisons(analyse(found), "none")[0]
    assert (entry.look.seeds, entry.exploratory) == (5, None)


def test_tables_say_at_which_look_and_what_was_spent() -> None:
    matrix = analyse(planned({"clear": 5, "none": 15}))
    text = " ".join(text_table(matrix).split())
    assert "seed plan 5, 10, 15" in text
    assert "1 cell decided (1 at 5 seeds), 1 not: the plan has ended" in text
    assert "3 of 3 looks taken, 100% of the level and 35 of at most 45 runs on targets spent" in text
    assert "▲ positive K=5" in text
    assert "? inconclusive K=15" in text
    assert "97.7% to 98.8% Welch intervals" in text
    cells = {cell["strategy"]: cell for cell in json.loads(json.dumps(summary(matrix)))}
    look = cells["clear"]["comparisons"]["auc_gain"]["look"]
    assert look == {"number": 1, "of": 3, "seeds": 5, "weight": WEIGHTS[0], "spent": WEIGHTS[0]}
    assert cells["none"]["comparisons"]["auc_gain"]["look"]["spent"] == pytest.approx(1)
    head, *rows = (line.split(",") for line in csv_text(matrix).splitlines())
    place = head.index("auc_gain_verdict_seeds")
    seeds = {row[head.index("strategy")]: row[place] for row in rows}
    assert seeds == {"scratch": "", "clear": "5", "none": "15"}


def test_a_family_of_one_and_metrics_that_part() -> None:
    """Final quality is settled at the first look, the area never: the cell goes on, the verdict stays."""
    start = [
        (0.0, 0.0, 50.0, *(130.0 + noise,) * 3) if seed % 2 else (0, 0, 0, 0, 130 + noise, 130 + noise)
        for seed, noise in enumerate(NOISE)
    ]
    flat = [(0.0, 0.0, 50.0, 100.0, 100 + noise, 100 + noise) for noise in NOISE[::-1]]
    for seeds in (5, 15):
        found = sweep_of({SCRATCH_KEY: flat[:seeds], FINE: start[:seeds]}, raw_delta=0.5)
        judged = analyse(Sweep({**found.manifest, "looks": PLAN}, found.runs))
        final, area = comparisons(judged, "fine-tune")
        assert (str(final.verdict), final.look.seeds, area.look.seeds) == ("positive", 5, seeds)


def test_a_run_more_counts_with_the_last_stage() -> None:
    part = LookDesign((2, 4), ((0, 1), (2, 3)), {}, {}, taken=True)
    runs = {f"{arm}{seed}": seed for arm in "xy" for seed in range(4)}
    x = {"x0": 5.0, "x1": 6.0, "x2": 70.0, "x3": 80.0, ONE_MORE: 0.0}
    y = {"y0": 0.0, "y1": 1.0, "y2": 60.0, "y3": 75.0}
    stream = np.random.default_rng(0)
    mine = part.test(runs, cells=1, q=0.05)(x, y, stream)
    assert mine == block_permutation_p([[5, 6], [70, 80, 0]], [[0, 1], [60, 75]], stream, samples=1)
    assert mine != block_permutation_p([[5, 6, 0], [70, 80]], [[0, 1], [60, 75]], stream, samples=1)


def test_equivalence_is_tested_at_the_level_of_the_look_and_repeated() -> None:
    def judged(seeds: int, looks: Any = PLAN) -> list[Any]:
        return comparisons(analyse(planned({"none": seeds}, {"raw_delta": 6.0}, looks=looks)), "none")

    first, second = judged(5), judged(10)
    plain = [judged(seeds, [[*range(seeds)]]) for seeds in (5, 10)]
    for metric in (0, 1):
        at_first = min(1.0, plain[0][metric].equivalence_p / WEIGHTS[0])
        assert first[metric].equivalence_p == pytest.approx(at_first)
        repeated = min(at_first, plain[1][metric].equivalence_p / WEIGHTS[1])
        assert second[metric].equivalence_p == pytest.approx(repeated)
        assert second[metric].adjusted_equivalence_p == pytest.approx(repeated), "a family of one"
        assert 0 < repeated < 1


def test_an_arm_without_spread_must_survive_one_more_run_at_its_look() -> None:
    wide = {"raw_delta": 8.0}
    entry = comparisons(analyse(planned({"clear": 5}, wide)), "clear")[0]
    assert entry.p > 2 / 252 / WEIGHTS[0]
    assert (entry.verdict, entry.is_open, entry.at_limit != "") == ("inconclusive", True, True)


def test_a_cell_at_chance_goes_on_and_one_without_runs_does_not_stop_the_others() -> None:
    found = planned({"clear": 5, "none": 5}, {"random": {"task": [500.0]}})
    assert {each.outcome for each in comparisons(analyse(found), "clear")} == {"no arm left chance"}
    assert going_on(found) == {"clear", "none", "scratch"}
    matrix = analyse(lost(planned({"clear": 5, "none": 10}), strategy="clear"))
    assert comparisons(matrix, "clear")[0].outcome == "failed"
    none = comparisons(matrix, "none")[0]
    assert (none.look.seeds, none.adjusted_p) == (10, min(1.0, 2 * none.p)), "the other has p = 1"


def test_looks_are_read_from_the_manifest_or_from_its_rows() -> None:
    rows = [{"role": "target", "seed": seed} for seed in (3, 1)]
    assert read_looks({"runs": rows}) == ((1, 3),)
    assert read_looks({"looks": PLAN, "runs": rows}) == tuple(map(tuple, PLAN))
    assert read_looks({"looks": [[]], "runs": rows}) == ((1, 3),)
    assert [*itertools.chain(*PLAN)] == [*range(15)]

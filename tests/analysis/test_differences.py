"""Two sweeps side by side: what is the same, what differs, what cannot be compared."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analysis.hand_made import FAST, SLOW, changed, lost, spread, two_arms
from analysis.synthetic import QUICKSTART, STRATEGIES, Shape, SyntheticSweep
from rl_transfer.analysis import read_sweep
from rl_transfer.analysis.difference_words import difference_data, difference_lines
from rl_transfer.analysis.differences import Setting, compare_sweeps
from rl_transfer.analysis.inputs import Curve, Run, Sweep
from support.cli import Call, calling

PLAN = SyntheticSweep(shapes={name: QUICKSTART[name] for name in ("longer-pole", "reversed-actions")})
TUNED = ("cartpole", "longer-pole", "fine-tune")
KEY = ("base", "task", "fine-tune")


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Call:
    return calling(capfd)


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return PLAN.write(tmp_path_factory.mktemp("first"))


def test_a_copy_rests_on_the_same_runs(first: Path, tmp_path: Path, call: Call) -> None:
    same = PLAN.write(tmp_path / "same")
    outcome = call("compare", str(first), str(same))
    assert outcome.code == 0
    assert outcome.out.splitlines()[-1].startswith("no difference: of 16 figures 16 rest on the same runs")
    data = json.loads(call("compare", str(first), str(same), "--json").out)
    assert data["differ"] is False
    assert all(cell["identical"] and cell["difference"] == 0 for cell in data["cells"])
    assert data["settings"] == data["versions"] == data["verdicts"] == []


def test_a_cell_that_became_worse_is_named(first: Path, tmp_path: Path, call: Call) -> None:
    worse = {**PLAN.shapes["longer-pole"], "fine-tune": Shape(410, 200, 0.2)}
    shapes = {**PLAN.shapes, "longer-pole": worse}
    second = replace(PLAN, shapes=shapes, thresholds={"longer-pole": 475.0}).write(tmp_path / "worse")
    outcome = call("compare", str(first), str(second))
    assert outcome.code == 11
    assert "configs: targets.longer-pole.reward_threshold: – → 475.0" in outcome.out
    assert "cartpole→longer-pole/fine-tune, asymptotic gain: positive → negative" in outcome.out
    found = compare_sweeps(read_sweep(first), read_sweep(second))
    assert {each.cell for each in found.cells if each.significant} == {TUNED}
    assert all(each.identical for each in found.cells if each.cell != TUNED)
    final = next(each for each in found.cells if each.cell == TUNED)
    assert final.difference.low < -280 < final.difference.high, "480 became 200"
    assert final.paired
    back = compare_sweeps(read_sweep(second), read_sweep(first))
    assert next(each for each in back.cells if each.cell == TUNED).difference.point == -final.difference.point


def test_a_cell_that_only_one_sweep_has_is_a_difference(first: Path, tmp_path: Path, call: Call) -> None:
    fewer = replace(PLAN, strategies=[each for each in STRATEGIES if each["name"] != "fine-tune"])
    outcome = call("compare", str(first), str(fewer.write(tmp_path / "fewer")))
    assert outcome.code == 11
    assert "only in the first: cartpole→longer-pole/fine-tune, cartpole→reversed-actions" in outcome.out
    assert "2 cells only in the first" in outcome.out


def test_a_crash_does_not_pass_for_equality(first: Path, tmp_path: Path, call: Call) -> None:
    second = replace(PLAN, failed=["cartpole-longer-pole-fine-tune-2"]).write(tmp_path / "failed")
    outcome = call("compare", str(first), str(second))
    assert outcome.code == 11
    assert "runs are missing in the second" in outcome.out


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"kind": "image", "measure": "accuracy"}, "of kinds rl (mean episodic return) and image (accuracy)"),
        (None, "sweep.json"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    change: dict[str, Any] | None, said: str, first: Path, tmp_path: Path, call: Call
) -> None:
    second = replace(PLAN, **(change or {})).write(tmp_path / "second")
    if change is None:
        (second / "sweep.json").write_text("{", encoding="utf-8")
    outcome = call("compare", str(first), str(second))
    assert outcome.code == 7
    assert said in outcome.err


def renamed(sweep: Sweep, root_seed: int) -> Sweep:
    """The same curves under other ids: what another version, or another root seed, would give."""

    config = {**sweep.config, "root_seed": root_seed}
    renamed = changed(sweep, lambda run: replace(run, id=f"other/{run.id}"))
    return replace(renamed, manifest={**sweep.manifest, "config": config})


def test_pairs_are_those_of_one_root_seed() -> None:
    before = two_arms(spread(FAST, by=20), spread(SLOW, by=20))
    for root_seed, paired in ((0, True), (1, False)):
        after = renamed(two_arms(spread([each + 1 for each in FAST], by=20), spread(SLOW, by=20)), root_seed)
        found = compare_sweeps(before, after)
        (final, area) = [each for each in found.cells if each.cell == KEY]
        assert (final.paired, final.shared, round(final.difference.point, 9)) == (paired, 0, 1.0)
        assert final.significant == paired, "one return more in every pair is a difference"
        assert area.runs == (4, 4)
        settings = [] if paired else [Setting("root_seed", None, 1)]
        assert [each for each in found.settings if each.second or each.first] == settings


def test_more_seeds_of_the_same_experiment_are_no_difference() -> None:
    curves = spread(FAST, runs=6, by=20), spread(SLOW, runs=6, by=20)
    less = two_arms(curves[0][:4], curves[1][:4])
    found = compare_sweeps(less, two_arms(*curves))
    assert not found.differ
    for each in found.cells:
        assert (each.shared, each.runs, each.nested, each.identical) == (4, (4, 6), True, False)
        assert each.difference.point != 0
        assert math.isnan(each.p)
    assert "4 of 6 runs in both, the rest in one: not tested" in "\n".join(difference_lines(found, 2))


def test_a_changed_run_of_many_counts_as_one_of_them() -> None:
    before = two_arms(spread(FAST, runs=6, by=20), spread(SLOW, runs=6, by=20))
    one = next(run for run in before.runs if run.strategy == "fine-tune")
    assert one.curve is not None
    curve = Curve(one.curve.steps, tuple(each + 60 for each in one.curve.returns))
    after = changed(before, lambda run: replace(run, curve=curve) if run is one else run)
    (final, _) = [each for each in compare_sweeps(before, after).cells if each.cell == KEY]
    assert (final.shared, final.runs, final.paired) == (5, (6, 6), True)
    assert final.difference.point == pytest.approx(10)
    assert final.difference.high - final.difference.low > 20


def test_equal_ends_of_other_curves_are_not_the_same_runs() -> None:
    before = two_arms(spread(FAST, by=20), spread(SLOW, by=20))

    def other(run: Run) -> Run:
        assert run.curve is not None
        first, *rest = run.curve.returns
        return replace(run, curve=Curve(run.curve.steps, (first - 3, *rest)))

    after = changed(before, lambda run: other(run) if run.strategy else run)
    found = compare_sweeps(before, after)
    assert not any(each.identical for each in found.cells)
    assert all(each.shared == 0 for each in found.cells)


def test_a_seed_plan_that_ended_early_somewhere_is_the_same_as_itself() -> None:
    whole = two_arms(spread(FAST, runs=6, by=20), spread(SLOW, runs=6, by=20))
    sweep = changed(whole, lambda run: None if run.strategy == "fine-tune" and run.seed > 3 else run)
    assert len(sweep.runs) < len(whole.runs)
    found = compare_sweeps(sweep, sweep)
    assert not found.differ
    assert all(each.identical for each in found.cells)


def test_a_run_that_no_cell_shows_does_not_pass_for_equality() -> None:
    whole = two_arms(spread(FAST, by=20), spread(SLOW, by=20))
    found = compare_sweeps(whole, lost(whole, "unfinished", role="random"))
    assert found.unusable[0] == 0 < found.unusable[1]
    assert found.differ


def test_correction_is_over_all_that_was_tested() -> None:
    before = two_arms(spread(FAST, runs=6, by=20), spread(SLOW, runs=6, by=20))
    moved = two_arms(
        spread([each + 200 for each in FAST], runs=6, by=20),
        spread([each + 9 for each in SLOW], runs=6, by=21),
    )
    found = compare_sweeps(before, renamed(moved, 1))
    assert [each.p for each in found.cells] != [each.adjusted_p for each in found.cells]
    assert all(each.adjusted_p >= each.p for each in found.cells)
    assert {each.cell for each in found.cells if each.significant} == {KEY}
    assert difference_data(found)["differ"] is True

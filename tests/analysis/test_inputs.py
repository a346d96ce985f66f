import json
import math
import shutil
from pathlib import Path

import numpy as np
import pytest

from rl_transfer.analysis import analyse, csv_text, read_sweep, summary, text_table
from rl_transfer.analysis.inputs import Curve
from rl_transfer.analysis.settings import read_settings
from rl_transfer.errors import StoreError
from rl_transfer.results.seal import sealed
from rl_transfer.spec import Analysis
from support.records import as_old, change_manifest, change_record

from .synthetic import SyntheticSweep

FINE_TUNED = "cartpole-longer-pole-fine-tune-2"


def run_of(sweep, identity=FINE_TUNED):
    """A run of a sweep, or of its folder."""
    runs = read_sweep(sweep).runs if isinstance(sweep, Path) else sweep.runs
    return next(run for run in runs if run.id == identity)


@pytest.fixture
def folder(tmp_path):
    return SyntheticSweep(seeds=3, budget=512).write(tmp_path / "sweep")


@pytest.fixture
def tuned(folder):
    """The folder of a run."""
    return folder / "runs" / FINE_TUNED


def test_a_sweep_folder_is_read_back(tmp_path):
    sweep = read_sweep(SyntheticSweep(seeds=2, budget=1024).write(tmp_path / "sweep"))
    assert (sweep.labels.unit, sweep.labels.measure) == ("environment steps", "mean episodic return")
    assert sweep.baseline == "scratch"
    assert sweep.seeds == (0, 1)
    assert [*sweep.strategies] == ["scratch", "fine-tune", "frozen-trunk-new-head", "random-frozen"]
    assert sweep.strategies["random-frozen"].control_for == ("frozen-trunk-new-head",)
    run = run_of(sweep, "cartpole-longer-pole-fine-tune-1")
    assert run.finished
    assert (run.source, run.target, run.strategy, run.seed) == ("cartpole", "longer-pole", "fine-tune", 1)
    assert run.needs == ("source-cartpole-1",)
    assert run.curve.steps.tolist() == [0, 512, 1024]
    assert [len(returns) for returns in run.curve.returns] == [10, 10, 10]
    assert run.curve.means[1] == pytest.approx(np.mean(run.curve.returns[1]))
    assert len(sweep.select("target", target="longer-pole", strategy="scratch")) == 2


def test_strategies_may_be_a_map_and_keys_may_be_missing(tmp_path):
    folder = SyntheticSweep(seeds=1, budget=512).write(tmp_path / "sweep")
    config = {"strategies": {"random-frozen": {"control": True, "control_for": "fine-tune", "freeze": None}}}
    change_manifest(folder, config=config)
    sweep = read_sweep(folder)
    assert sweep.settings == Analysis()
    assert sweep.strategies["random-frozen"].control_for == ("fine-tune",)
    assert {*sweep.strategies} == {"scratch", "fine-tune", "frozen-trunk-new-head", "random-frozen"}
    assert sweep.seeds == (0,)
    change_manifest(folder, config={**config, "seeds": 3})
    assert read_sweep(folder).seeds == (0, 1, 2), "a number of seeds means that many indices"


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda run: (run / "record.json").unlink(), "unfinished"),
        (lambda run: (run / "record.json").write_text("{"), "damaged: record.json"),
        (lambda run: (run / "record.json").write_text("[]"), "damaged: record.json"),
        (lambda run: (run / "curve.jsonl").unlink(), "damaged: curve.jsonl"),
        (lambda run: (run / "curve.jsonl").write_text(""), "damaged: curve.jsonl"),
    ],
)
def test_a_run_that_cannot_be_used_says_why(folder, tuned, spoil, problem):
    spoil(tuned)
    run = run_of(folder)
    assert not run.finished
    assert run.curve is None
    assert run.problem.startswith(problem)


@pytest.mark.parametrize("size", [1e299, -1e307, 1.1e30])
def test_returns_that_no_square_holds_are_a_failed_run_and_no_traceback(folder, tuned, size):
    as_old(tuned)
    lines = f'{{"step": 0, "returns": [1.0]}}\n{{"step": 512, "returns": [{size}, 2.0]}}\n'
    (tuned / "curve.jsonl").write_text(lines)
    found = read_sweep(folder)
    run = run_of(found)
    assert run.curve is None
    assert run.problem == f"failed: its returns reach {abs(size):.3g} in size, and 1e+30 is the most"
    cells = analyse(found).select(kind="transfer")
    assert "failed" in {entry.outcome for cell in cells for entry in cell.comparisons.values()}


@pytest.mark.parametrize("size", [1e30, -9e29])
def test_the_largest_returns_are_computed_with(folder, size):
    for place, path in enumerate(sorted((folder / "runs").iterdir())):
        as_old(path)
        curve = path / "curve.jsonl"
        points = [json.loads(line) for line in curve.read_text().splitlines()]
        lines = [json.dumps({**point, "returns": [size * (1 - place / 100), size / 2]}) for point in points]
        curve.write_text("\n".join(lines) + "\n")
    found = read_sweep(folder)
    assert {run.problem for run in found.runs} == {None}
    matrix = analyse(found)
    json.dumps(summary(matrix), allow_nan=False)
    csv_text(matrix)


@pytest.mark.parametrize(
    ("curve", "problem"),
    [
        ('{"step": 0}\n', "damaged: curve.jsonl cannot be used"),
        ('{"returns": [1.0]}\n', "damaged: curve.jsonl cannot be used"),
        ('{"step": 0, "returns": []}\n', "damaged: curve.jsonl cannot be used (every evaluation needs"),
        ('{"step": 0, "returns": [1, NaN]}\n', "damaged: curve.jsonl cannot be used (every evaluation needs"),
        ('{"step": 0, "returns": [1' + "0" * 400 + "]}\n", "damaged: curve.jsonl cannot be used"),
        ('{"step": 512, "returns": [1]}\n' * 2, "damaged: curve.jsonl cannot be used (evaluation steps must"),
        ('{"step": 0, "returns": [1.0]}\n', "damaged: the curve ends at 0 of 512 steps"),
        ("[" * 100_000, "damaged: curve.jsonl cannot be used"),
    ],
)
def test_a_curve_that_no_digest_guards_is_checked_all_the_same(folder, tuned, curve, problem):
    as_old(tuned)
    assert run_of(folder).finished
    (tuned / "curve.jsonl").write_text(curve)
    run = run_of(folder)
    assert not run.finished
    assert run.curve is None
    assert run.problem.startswith(problem)


def test_a_failed_run_gives_the_first_line_of_its_failure(tmp_path):
    sweep = read_sweep(SyntheticSweep(seeds=3, budget=512, failed=[FINE_TUNED]).write(tmp_path / "sweep"))
    assert run_of(sweep, FINE_TUNED).problem == "failed: ValueError: boom"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is no sweep folder"),
        ("{", "is damaged: .*Run the same sweep again"),
        ("[]", "is no JSON object"),
        ('{"schema": 99}', "has schema 99; this version reads 1 and 2"),
        ('{"schema": 2, "runs": []}', "has schema 2"),
        ('{"schema": 1, "runs": [{"id": "a"}]}', "runs.0.role is 'None', expected a text"),
        ('{"schema": 1, "runs": [], "looks": [[0, 1], [1, 2]]}', "no number twice"),
        ('{"schema": 1, "runs": [], "looks": [[]]}', "none empty"),
    ],
)
def test_a_broken_manifest_is_one_clear_error(tmp_path, content, message):
    if content is not None:
        (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(StoreError, match=message):
        read_sweep(tmp_path)


@pytest.mark.parametrize(
    ("analysis", "message"),
    [
        ({"reference": "best"}, r"reference: got 'best', accepted: scratch, threshold"),
        ({"q": 1.5}, r"q: got 1\.5 \(a number\), expected less than 1"),
        ({"delta": 0}, "delta: got 0 .*greater than 0"),
    ],
)
def test_impossible_settings_are_refused(analysis, message):
    with pytest.raises(StoreError, match=message):
        read_settings({"analysis": analysis})


@pytest.mark.parametrize(
    ("steps", "returns"),
    [
        ([], []),
        ([0, 10], [[1.0]]),
        ([0, 0], [[1.0], [2.0]]),
        ([0, 10], [[1.0], []]),
        ([0, 10], [[1.0], [1.0, math.nan]]),
        ([0, 10], [[1.0], [math.inf]]),
    ],
)
def test_impossible_curves_are_refused(steps, returns):
    with pytest.raises(ValueError, match=r"curve|increase|needs"):
        Curve(np.array(steps, dtype=float), tuple(np.array(values, dtype=float) for values in returns))


def test_means_are_those_of_each_evaluation_whether_all_have_as_many_episodes_or_not():
    even = [np.array([0.1, 0.2, 0.7]), np.array([1e9, 1.0, -1e9]), np.array([1 / 3] * 3)]
    uneven = [*even, np.array([2.5])]
    for returns in (even, uneven, [episodes[:1] for episodes in even]):
        curve = Curve(np.arange(len(returns), dtype=float), tuple(returns))
        assert curve.means.tolist() == [float(episodes.mean()) for episodes in returns]


def test_records_are_kept_without_what_no_figure_rests_on(tmp_path):
    folder = SyntheticSweep(seeds=1).write(tmp_path / "sweep")
    for run in read_sweep(folder).runs:
        assert run.record is not None
        assert {"id", "source_run", "zero_shot"} <= run.record.keys()
        assert not run.record.keys() & {"spec", "plan", "frozen", "architecture", "files"}


def unmeasured(folder, identity, **fields):
    """Make a run one that has a record but was never measured."""
    run = folder / "runs" / identity
    (run / "curve.jsonl").unlink()
    change_record(run, total_steps=0, **fields)


def test_a_source_without_measurements_is_finished(folder):
    unmeasured(folder, "source-cartpole-0", measured=False)
    run = run_of(folder, "source-cartpole-0")
    assert (run.finished, run.unmeasured, run.curve, run.problem) == (True, True, None, None)
    assert not run_of(folder, "source-cartpole-1").unmeasured


@pytest.mark.parametrize(
    ("identity", "fields", "problem"),
    [
        ("source-cartpole-0", {"measured": True}, "damaged: the record speaks of no curve.jsonl"),
        ("source-cartpole-0", {}, "damaged: the record speaks of no curve.jsonl"),
        ("cartpole-longer-pole-fine-tune-0", {"measured": False}, "damaged: only a source may be without"),
    ],
)
def test_any_other_run_without_a_curve_is_damaged(folder, identity, fields, problem):
    unmeasured(folder, identity, **fields)
    run = run_of(folder, identity)
    assert run.problem.startswith(problem)
    assert not run.finished


def test_an_unmeasured_run_with_a_broken_curve_is_damaged(folder):
    unmeasured(folder, "source-cartpole-0", measured=False)
    (folder / "runs" / "source-cartpole-0" / "curve.jsonl").write_text("{")
    run = run_of(folder, "source-cartpole-0")
    assert run.problem == "damaged: the record speaks of no curve.jsonl, and one is there"
    assert not run.finished


def test_a_sweep_without_a_name_is_called_sweep(tmp_path):
    folder = SyntheticSweep().write(tmp_path / "named")
    assert read_sweep(folder).name == "synthetic"
    manifest = json.loads((folder / "sweep.json").read_text())
    del manifest["name"]
    (folder / "sweep.json").write_text(json.dumps(sealed(manifest)))
    assert read_sweep(folder).name == "sweep"


def test_a_manifest_changed_by_hand_is_refused_with_the_way_out(folder):
    path = folder / "sweep.json"
    path.write_text(
        path.read_text().replace('"delta"', '"Delta"').replace('"seeds": [0, 1, 2]', '"seeds": [0]')
    )
    with pytest.raises(StoreError, match=r"changed after it was written.* Run the same sweep again"):
        read_sweep(folder)


def test_another_runs_curve_gives_no_verdict_and_is_named(tmp_path):
    folder = SyntheticSweep(budget=512).write(tmp_path / "sweep")
    runs = folder / "runs"
    shutil.copy(runs / "longer-pole-scratch-0" / "curve.jsonl", runs / FINE_TUNED / "curve.jsonl")
    matrix = analyse(read_sweep(folder))
    (cell,) = matrix.select(target="longer-pole", strategy="fine-tune")
    assert {str(each.verdict) for each in cell.comparisons.values()} == {"inconclusive"}
    (warning,) = [text for text in matrix.warnings if text.startswith("damaged: ")]
    assert warning == (
        f"damaged: {FINE_TUNED} curve.jsonl was changed, or is of another run: its digest is not the one in "
        "the record; the next sweep moves 1 run aside and computes it again"
    )
    assert warning in " ".join(text_table(matrix).split())


def test_runs_without_digests_are_counted(folder):
    assert "on trust" not in text_table(analyse(read_sweep(folder)))
    for name in (FINE_TUNED.replace("-2", "-0"), FINE_TUNED.replace("-2", "-1")):
        as_old(folder / "runs" / name)
    assert "2 runs of rl-transfer 0.1.0 taken on trust" in text_table(analyse(read_sweep(folder)))


def test_runs_that_were_resumed_in_reset_environments_are_told(folder):
    exact, reset = FINE_TUNED.replace("-2", "-0"), FINE_TUNED
    change_record(folder / "runs" / exact, resumed=[{"step": 128, "environments": "restored"}])
    assert "interrupted" not in text_table(analyse(read_sweep(folder)))
    both = [{"step": 128, "environments": "restored"}, {"step": 256, "environments": "reset"}]
    change_record(folder / "runs" / reset, resumed=both)
    assert [text for text in analyse(read_sweep(folder)).warnings if "interrupted" in text] == [
        "1 run was interrupted and resumed with environments that were reset, so other episodes than an "
        f"uninterrupted run's: {reset}"
    ]


def test_a_curve_with_fewer_episodes_in_one_evaluation_is_read_as_it_is(folder, tuned):
    as_old(tuned)
    lines = ('{"step": 0, "returns": [1, 2]}', '{"step": 512, "returns": [4]}')
    (tuned / "curve.jsonl").write_text("\n".join(lines) + "\n")
    curve = run_of(folder).curve
    assert [episodes.tolist() for episodes in curve.returns] == [[1, 2], [4]]
    assert curve.steps.tolist() == [0, 512]

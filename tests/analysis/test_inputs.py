import json

import numpy as np
import pytest

from rl_transfer.analysis import read_sweep
from rl_transfer.analysis.inputs import Curve
from rl_transfer.analysis.settings import read_settings
from rl_transfer.errors import StoreError
from rl_transfer.spec import Analysis

from .synthetic import SyntheticSweep

FINE_TUNED = "cartpole-longer-pole-fine-tune-2"


def run_of(sweep, identity):
    return next(run for run in sweep.runs if run.id == identity)


def test_a_sweep_folder_is_read_back(tmp_path):
    sweep = read_sweep(SyntheticSweep(seeds=2, budget=1024).write(tmp_path / "sweep"))
    assert (sweep.labels.unit, sweep.labels.measure, sweep.baseline) == (
        "environment steps",
        "mean episodic return",
        "scratch",
    )
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
    manifest = json.loads((folder / "sweep.json").read_text())
    manifest["config"] = {
        "strategies": {"random-frozen": {"control": True, "control_for": "fine-tune", "freeze": None}}
    }
    (folder / "sweep.json").write_text(json.dumps(manifest))
    sweep = read_sweep(folder)
    assert sweep.settings == Analysis()
    assert sweep.strategies["random-frozen"].control_for == ("fine-tune",)
    assert {*sweep.strategies} == {"scratch", "fine-tune", "frozen-trunk-new-head", "random-frozen"}
    assert sweep.seeds == (0,)
    manifest["config"]["seeds"] = 3
    (folder / "sweep.json").write_text(json.dumps(manifest))
    assert read_sweep(folder).seeds == (0, 1, 2), "a number of seeds means that many indices"


@pytest.mark.parametrize(
    ("spoil", "problem"),
    [
        (lambda run: (run / "record.json").unlink(), "unfinished"),
        (lambda run: (run / "record.json").write_text("{"), "damaged: record.json"),
        (lambda run: (run / "record.json").write_text("[]"), "damaged: record.json"),
        (lambda run: (run / "curve.jsonl").unlink(), "damaged: curve.jsonl"),
        (lambda run: (run / "curve.jsonl").write_text(""), "damaged: curve.jsonl"),
        (lambda run: (run / "curve.jsonl").write_text('{"step": 0}\n'), "damaged: curve.jsonl"),
        (
            lambda run: (run / "curve.jsonl").write_text('{"step": 0, "returns": [1, NaN]}\n'),
            "damaged: curve.jsonl cannot be used (every evaluation needs",
        ),
        (
            lambda run: (run / "curve.jsonl").write_text('{"step": 0, "returns": [1.0]}\n'),
            "damaged: the curve ends at 0 of 512 steps",
        ),
    ],
)
def test_a_run_that_cannot_be_used_says_why(tmp_path, spoil, problem):
    folder = SyntheticSweep(seeds=3, budget=512).write(tmp_path / "sweep")
    spoil(folder / "runs" / FINE_TUNED)
    run = run_of(read_sweep(folder), FINE_TUNED)
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
        ("{", "cannot be read"),
        ("[]", "has schema list"),
        ('{"schema": 99}', "has schema 99; this version reads schema 1"),
        ('{"schema": 1, "runs": [{"id": "a"}]}', "a run needs id, role and seed"),
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
    [([], []), ([0, 10], [[1.0]]), ([0, 0], [[1.0], [2.0]]), ([0, 10], [[1.0], []])],
)
def test_impossible_curves_are_refused(steps, returns):
    with pytest.raises(ValueError, match=r"curve|increase|needs"):
        Curve(np.array(steps, dtype=float), tuple(np.array(values, dtype=float) for values in returns))


def unmeasured(folder, identity, **fields):
    """Make a run one that has a record but was never measured."""
    run = folder / "runs" / identity
    (run / "curve.jsonl").unlink()
    record = json.loads((run / "record.json").read_text())
    (run / "record.json").write_text(json.dumps({**record, "total_steps": 0, **fields}))


def test_a_source_without_measurements_is_finished(tmp_path):
    folder = SyntheticSweep(seeds=2, budget=512).write(tmp_path / "sweep")
    unmeasured(folder, "source-cartpole-0", measured=False)
    run = run_of(read_sweep(folder), "source-cartpole-0")
    assert (run.finished, run.unmeasured, run.curve, run.problem) == (True, True, None, None)
    assert not run_of(read_sweep(folder), "source-cartpole-1").unmeasured


@pytest.mark.parametrize(
    ("identity", "fields", "problem"),
    [
        ("source-cartpole-0", {"measured": True}, "damaged: curve.jsonl cannot be used"),
        ("source-cartpole-0", {}, "damaged: curve.jsonl cannot be used"),
        ("cartpole-longer-pole-fine-tune-0", {"measured": False}, "damaged: only a source may be without"),
    ],
)
def test_any_other_run_without_a_curve_is_damaged(tmp_path, identity, fields, problem):
    folder = SyntheticSweep(seeds=2, budget=512).write(tmp_path / "sweep")
    unmeasured(folder, identity, **fields)
    run = run_of(read_sweep(folder), identity)
    assert run.problem.startswith(problem)
    assert not run.finished


def test_an_unmeasured_run_with_a_broken_curve_is_damaged(tmp_path):
    folder = SyntheticSweep(seeds=2, budget=512).write(tmp_path / "sweep")
    unmeasured(folder, "source-cartpole-0", measured=False)
    (folder / "runs" / "source-cartpole-0" / "curve.jsonl").write_text("{")
    run = run_of(read_sweep(folder), "source-cartpole-0")
    assert run.problem.startswith("damaged: curve.jsonl")
    assert not run.finished


def test_a_sweep_without_a_name_is_called_sweep(tmp_path):
    folder = SyntheticSweep().write(tmp_path / "named")
    assert read_sweep(folder).name == "synthetic"
    manifest = json.loads((folder / "sweep.json").read_text())
    del manifest["name"]
    (folder / "sweep.json").write_text(json.dumps(manifest))
    assert read_sweep(folder).name == "sweep"

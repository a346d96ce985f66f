import math
import shutil

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2

from analysis.hand_made import SLOW, two_arms
from rl_transfer.analysis import analyse, read_sweep
from rl_transfer.report.tensorboard import OVERVIEW, write_tensorboard


def events(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0, "images": 0})
    accumulator.Reload()
    return accumulator


@pytest.fixture(scope="module")
def matrix(complete):
    return analyse(read_sweep(complete.folder))


def test_each_cell_is_a_run_with_the_same_three_tags(complete, matrix):
    for cell in matrix.cells:
        found = events(complete.paths.tensorboard / cell.target / cell.strategy / "mean")
        for name, values in (("mean", cell.band.mean), ("low", cell.band.low), ("high", cell.band.high)):
            points = found.Scalars(f"{cell.target}/{name}")
            assert [point.step for point in points] == cell.band.steps.tolist()
            assert [point.value for point in points] == pytest.approx(values.tolist(), rel=1e-6)


def test_gains_and_verdicts_stand_at_the_budget(complete, matrix):
    cell = matrix.select(target="reversed-actions", strategy="fine-tune")[0]
    found = events(complete.paths.tensorboard / "reversed-actions" / "fine-tune" / "mean")
    (gain,) = found.Scalars("auc_gain (score)/reversed-actions")
    assert (gain.step, gain.value) == (6144, pytest.approx(cell.metrics["auc_gain"].score.mean, rel=1e-6))
    (verdict,) = found.Scalars("auc_gain verdict/reversed-actions")
    assert verdict.value == -1
    assert "jump_start (score)/reversed-actions" in found.Tags()["scalars"]
    (text,) = found.Tensors("auc_gain/reversed-actions/text_summary")
    assert "▼ negative** at 6,144 environment steps" in text.tensor_proto.string_val[0].decode()


def test_an_inconclusive_verdict_has_no_height(complete):
    found = events(complete.paths.tensorboard / "weaker-motor" / "fine-tune" / "mean")
    assert math.isnan(found.Scalars("asymptotic_gain verdict/weaker-motor")[0].value)


def test_an_equivalent_verdict_is_drawn_at_zero(tmp_path):
    # The same curves in both arms: gains of exactly 0.
    matrix = analyse(two_arms([SLOW] * 4, [SLOW] * 4))
    (cell,) = matrix.select(strategy="fine-tune")
    assert {entry.verdict for entry in cell.comparisons.values()} == {"equivalent"}
    found = events(write_tensorboard(matrix, tmp_path) / "task" / "fine-tune" / "mean")
    for metric in cell.comparisons:
        assert [point.value for point in found.Scalars(f"{metric} verdict/task")] == [0]


def test_the_overview_joins_the_curves_and_shows_the_matrix(complete):
    found = events(complete.paths.tensorboard / OVERVIEW)
    (layout,) = found.Tensors("custom_scalars__config__")
    parsed = layout_pb2.Layout.FromString(layout.tensor_proto.string_val[0])
    charts = {chart.title: chart.margin.series[0] for chart in parsed.category[0].chart}
    assert set(charts) == {"longer-pole", "weaker-motor", "reversed-actions"}
    series = charts["longer-pole"]
    assert (series.value, series.lower, series.upper) == (
        "longer-pole/mean",
        "longer-pole/low",
        "longer-pole/high",
    )
    (image,) = found.Images("transfer matrix")
    assert image.width > 500
    (text,) = found.Tensors("in short/text_summary")
    assert "hurts on reversed-actions" in text.tensor_proto.string_val[0].decode()


def test_writing_again_replaces_its_own_runs_only(complete, matrix, tmp_path):
    folder = tmp_path / "tensorboard"
    shutil.copytree(complete.paths.tensorboard, folder)
    seeds = folder / "longer-pole" / "fine-tune" / "seed-0"
    seeds.mkdir()
    (seeds / "events.out").write_text("a run's own events")
    gone = folder / "old-target" / "fine-tune" / "mean"
    gone.mkdir(parents=True)
    write_tensorboard(matrix, folder)
    files = list((folder / "longer-pole" / "fine-tune" / "mean").iterdir())
    assert len(files) == 1
    assert (seeds / "events.out").read_text() == "a run's own events"
    assert not gone.exists()


def test_several_sources_have_runs_of_their_own(partial):
    runs = {path.name for path in (partial.paths.tensorboard / "longer-pole").iterdir()}
    assert {"fine-tune--from-cartpole", "fine-tune--from-acrobot", "scratch", "random-frozen"} <= runs

"""The event files of a report, read back."""

import dataclasses
import io
import shutil
from collections import defaultdict

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar import layout_pb2
from tensorboard.plugins.hparams import metadata, plugin_data_pb2

from analysis.hand_made import FAST, SLOW, arm, sweep, two_arms
from analysis.synthetic import QUICKSTART, SyntheticSweep
from analysis.test_inside import diagnosed, matrix_of, part
from rl_transfer.analysis import analyse, read_sweep
from rl_transfer.analysis.comparison import JUDGED
from rl_transfer.report import write_report
from rl_transfer.report.gains import gains_so_far
from rl_transfer.report.style import png
from rl_transfer.report.tensorboard import (
    ALL,
    CURVES,
    HIGH,
    INSIDE,
    LOW,
    MOST_RUNS,
    OVERVIEW,
    arm_runs,
    gain_tag,
    write_tensorboard,
)


def written(matrix, folder):
    blank = png(Figure(figsize=(0.2, 0.2)))
    return write_tensorboard(matrix, folder, defaultdict(lambda: blank))


def events(folder):
    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0, "images": 0})
    accumulator.Reload()
    return accumulator


def text(found, tag):
    (entry,) = found.Tensors(f"{tag}/text_summary")
    return entry.tensor_proto.string_val[0].decode()


def hparams_of(found, tag):
    content = found.summary_metadata[tag].plugin_data.content
    return plugin_data_pb2.HParamsPluginData.FromString(content)


@pytest.fixture(scope="module")
def matrix(complete):
    return analyse(read_sweep(complete.folder))


def test_the_folder_holds_one_run_per_strategy_and_the_overview(complete):
    runs = {path.parent.relative_to(complete.paths.tensorboard).as_posix()
            for path in complete.paths.tensorboard.rglob("*tfevents*")}  # fmt: skip
    assert runs == {"scratch", "fine-tune", "frozen-trunk-new-head", "random-frozen", OVERVIEW}


def test_every_target_has_a_curve_with_limits_of_every_strategy(complete, matrix):
    for cell in matrix.cells:
        found = events(complete.paths.tensorboard / cell.strategy)
        for name, values in ((CURVES, cell.band.mean), (LOW, cell.band.low), (HIGH, cell.band.high)):
            points = found.Scalars(f"{name}/{cell.target}")
            assert [point.step for point in points] == cell.band.steps.tolist()
            assert [point.value for point in points] == pytest.approx(values.tolist(), rel=1e-6)


def test_no_scalar_is_a_single_dot(complete):
    for run in complete.paths.tensorboard.iterdir():
        found = events(run)
        for tag in found.Tags()["scalars"]:
            assert len(found.Scalars(tag)) > 10, tag


def test_learning_curves_sort_before_everything_else(complete):
    tags = {tag for run in complete.paths.tensorboard.iterdir() for tag in events(run).Tags()["scalars"]}
    assert sorted({tag.split("/")[0] for tag in tags})[0] == CURVES
    pictures = events(complete.paths.tensorboard / OVERVIEW).Tags()["images"]
    assert sorted(pictures)[-1] == f"{CURVES}/{ALL}"


def test_a_gain_ends_where_its_verdict_was_decided(complete, matrix):
    for cell in matrix.cells:
        found = events(complete.paths.tensorboard / cell.strategy)
        for metric in JUDGED:
            tag = f"{gain_tag(metric, matrix)}/{cell.target}"
            if cell.kind == "baseline":
                assert tag not in found.Tags()["scalars"]
                continue
            last = found.Scalars(tag)[-1]
            assert last.step == cell.budget
            assert last.value == pytest.approx(cell.comparisons[metric].gain.point, rel=1e-5)


def test_a_gain_so_far_is_that_of_a_shorter_training():
    # Areas up to step 200: FAST (40 + 80) / 2 = 60, SLOW (0 + 25) / 2 = 12.5; the reference is 100.
    matrix = analyse(two_arms([FAST] * 4, [SLOW] * 4, reference=100))
    (cell,) = matrix.select(kind="transfer")
    gains = gains_so_far(cell, matrix)
    assert gains["auc_gain"][2] == pytest.approx((60 - 12.5) / 100)
    # A third of the first three evaluations is the last of them.
    assert gains["asymptotic_gain"][2] == pytest.approx((100 - 50) / 100)


def test_gains_need_the_same_evaluations_and_a_baseline_has_none():
    matrix = analyse(two_arms([FAST] * 4, [SLOW] * 4))
    (cell,) = matrix.select(kind="transfer")
    assert cell.band is not None
    late = dataclasses.replace(cell.band, steps=cell.band.steps + 1)
    assert gains_so_far(dataclasses.replace(cell, band=late), matrix) == {}
    assert gains_so_far(matrix.select(kind="baseline")[0], matrix) == {}


def test_raw_gains_are_in_the_measures_unit():
    stuck, solved = [(-200,) * 6] * 5, [(-200, -180, -150, -120, -110, -110)] * 5
    matrix = analyse(two_arms(solved, stuck, random={"task": [-200.0]}))
    (cell,) = matrix.select(kind="transfer")
    assert gains_so_far(cell, matrix)["asymptotic_gain"][-1] == pytest.approx(90)


def test_custom_scalars_begin_with_curves_and_their_bands(complete, matrix):
    (layout,) = events(complete.paths.tensorboard / OVERVIEW).Tensors("custom_scalars__config__")
    parsed = layout_pb2.Layout.FromString(layout.tensor_proto.string_val[0])
    first, *gains = parsed.category
    assert first.title == "mean episodic return, mean and 95% interval over seeds"
    charts = {chart.title: chart.margin.series[0] for chart in first.chart}
    assert [*charts] == [*matrix.targets][::-1]  # shown from last to first
    series = charts["longer-pole"]
    assert (series.value, series.lower, series.upper) == tuple(
        f"{name}/longer-pole" for name in (CURVES, LOW, HIGH)
    )
    assert [category.title for category in gains] == [
        "gain over scratch, final quality, had training ended here",
        "gain over scratch, sample efficiency, had training ended here",
    ]


def test_pictures_show_the_curves_and_the_matrix(complete, matrix):
    found = events(complete.paths.tensorboard / OVERVIEW)
    expected = [f"{CURVES}/{target}, with intervals" for target in matrix.targets]
    assert set(found.Tags()["images"]) == {*expected, f"{CURVES}/{ALL}"}
    for tag in found.Tags()["images"]:
        (shown,) = found.Images(tag)
        name = "heatmap" if tag.endswith(ALL) else f"curves-{tag.removeprefix(f'{CURVES}/').split(',')[0]}"
        assert shown.encoded_image_string == (complete.paths.figures / f"{name}.png").read_bytes()
        with Image.open(io.BytesIO(shown.encoded_image_string)) as opened:
            assert (shown.width, shown.height) == opened.size


def test_the_text_says_the_verdicts(complete):
    found = events(complete.paths.tensorboard / OVERVIEW)
    assert "hurts on reversed-actions" in text(found, "in short")
    table = text(found, "verdicts").splitlines()
    assert table[0] == "| strategy | target | final quality | sample efficiency | why |"
    (row,) = [line for line in table if line.startswith("| fine-tune | reversed-actions |")]
    assert "**▼ negative**" in row
    assert len(table) == 2 + 9, "all but the baseline"


def test_text_is_no_markup(tmp_path):
    key = ("base", "ta_sk*", "<b>fine|tune</b>")
    scratch = (None, "ta_sk*", "scratch")
    matrix = analyse(sweep({scratch: arm(scratch, [SLOW] * 4), key: arm(key, [FAST, FAST, FAST, None])}))
    found = events(written(matrix, tmp_path) / OVERVIEW)
    for line in text(found, "verdicts").splitlines():
        assert line.replace(r"\|", "").count("|") == 6
    assert r"\<b\>fine\|tune\</b\>" in text(found, "verdicts")
    assert "**✗ failed**" in text(found, "verdicts")


def test_hparams_have_a_row_per_strategy_and_metrics_that_exist(complete, matrix):
    overview = events(complete.paths.tensorboard / OVERVIEW)
    experiment = hparams_of(overview, metadata.EXPERIMENT_TAG).experiment
    assert [info.name for info in experiment.hparam_infos] == ["copied", "frozen"]
    first, *_ = experiment.metric_infos
    assert first.display_name == "longer-pole: final quality gain"
    tags = [info.name.tag for info in experiment.metric_infos]
    assert len(tags) == 3 * 3
    for strategy in matrix.strategies:
        found = events(complete.paths.tensorboard / strategy)
        start = hparams_of(found, metadata.SESSION_START_INFO_TAG).session_start_info
        assert start.group_name == strategy
        missing = set(tags) - set(found.Tags()["scalars"])
        assert not missing or strategy == "scratch"
    assert start.hparams["frozen"].string_value == "trunk"


def test_writing_again_replaces_its_own_runs_only(complete, matrix, tmp_path):
    folder = tmp_path / "tensorboard"
    shutil.copytree(complete.paths.tensorboard, folder)
    mine = folder / "fine-tune" / "events.out.tfevents.of-somebody"
    mine.write_text("a user's own events")
    # What the first reports left: a mean per target and strategy, and links to the runs.
    old = folder / "longer-pole" / "fine-tune" / "mean" / "events.out.tfevents.1.host"
    old.parent.mkdir(parents=True)
    old.write_text("")
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "events.out.tfevents.2.host").write_text("a run's own events")
    (folder / "longer-pole" / "fine-tune" / "seed-0").symlink_to(runs, target_is_directory=True)
    written(matrix, folder)
    assert len(list((folder / "fine-tune").iterdir())) == 2
    assert mine.read_text() == "a user's own events"
    assert not (folder / "longer-pole").exists()
    assert (runs / "events.out.tfevents.2.host").read_text() == "a run's own events"


def test_several_sources_have_runs_of_their_own(partial):
    runs = {path.name for path in partial.paths.tensorboard.iterdir()}
    assert {"fine-tune--from-cartpole", "fine-tune--from-acrobot", "scratch", "random-frozen"} <= runs
    assert (partial.paths.seeds / "longer-pole" / "fine-tune--from-acrobot" / "mean").is_dir()


def test_runs_have_names_of_their_own_and_are_no_more_than_are_shown(tmp_path):
    names = ["scratch", OVERVIEW, "a b", "a-b", *(f"strategy-{index}" for index in range(50))]
    arms = {}
    for name in names:
        key = (None if name == "scratch" else "base", "task", name)
        arms[key] = arm(key, [SLOW] * 4)
    matrix = analyse(sweep(arms))
    found = arm_runs(matrix)
    assert len(set(found.values()) | {OVERVIEW}) == MOST_RUNS
    assert found["scratch", None] == "scratch"
    assert found["a b", "base"] != found["a-b", "base"]
    folder = written(matrix, tmp_path)
    assert len(list(folder.iterdir())) == MOST_RUNS
    assert "15 more strategies" in text(events(folder / OVERVIEW), "in short")


@pytest.mark.full
def test_seeds_and_their_mean_have_the_same_tag_also_in_a_copy_of_what_links_lead_to(small, tmp_path):
    row = next(run for run in read_sweep(small).runs if run.strategy == "fine-tune" and run.seed == 3)
    own = small / "runs" / row.id / "tensorboard"
    own.mkdir()
    (own / "events.out.tfevents.1.host").write_text("")
    paths = write_report(small)
    place = paths.seeds / str(row.target) / "fine-tune"
    assert {path.name for path in place.iterdir()} == {"mean", "seed-3"}
    assert (place / "seed-3").resolve() == own.resolve()
    points = events(place / "mean").Scalars("evaluation/mean_return")
    (cell,) = paths.matrix.select(target=row.target, strategy="fine-tune")
    assert cell.band is not None
    assert np.allclose([point.value for point in points], cell.band.mean)

    copied = shutil.copytree(small, tmp_path / "copied", symlinks=False)
    seeds = write_report(copied).seeds / str(row.target) / "fine-tune"
    assert [path.name for path in (seeds / "seed-3").iterdir()] == ["events.out.tfevents.1.host"]
    assert {path.name for path in seeds.iterdir()} == {"mean", "seed-3"}


def test_a_sweep_that_has_not_begun_has_an_overview_alone(tmp_path):
    pending = SyntheticSweep(shapes={"task": QUICKSTART["longer-pole"]}, seeds=2)
    pending.unfinished = [row["id"] for row in pending.rows()]
    paths = write_report(pending.write(tmp_path / "sweep"))
    found = events(paths.tensorboard / OVERVIEW)
    assert "unfinished" in text(found, "verdicts")
    assert events(paths.tensorboard / "scratch").Tags()["scalars"] == []


def test_one_run_has_limits_at_its_mean(tmp_path):
    matrix = analyse(two_arms([FAST], [SLOW]))
    found = events(written(matrix, tmp_path) / "fine-tune")
    values = [[point.value for point in found.Scalars(f"{name}/task")] for name in (CURVES, LOW, HIGH)]
    assert values[0] == values[1] == values[2] == [*FAST]


def test_what_diagnostics_say_is_charted_per_part_arm_and_target(tmp_path):
    scratch = [
        diagnosed(trunk=part(rank), head=part(rank, role="head", distance=None)) for rank in (2.0, 4.0)
    ]
    tuned = [diagnosed(trunk=part(5.0, effective_rank=rank)) for rank in (6.0, 8.0)]
    matrix = matrix_of(scratch, tuned).matrix()
    written(matrix, tmp_path)
    found = {arm: events(tmp_path / arm) for arm in ("scratch", "fine-tune", OVERVIEW)}
    budget = int(matrix.cells[0].budget)

    def points(arm, tag):
        return [(each.step, each.value) for each in found[arm].Scalars(f"within the networks: {tag}/task")]

    assert points("scratch", "effective rank/trunk") == [(0, 3.0), (budget, 3.0)]
    assert points("fine-tune", "effective rank/trunk") == [(0, 5.0), (budget, 7.0)]
    assert points("fine-tune", "distance from the start/trunk") == [(0, 0.0), (budget, 0.5)]
    assert points("scratch", "gradient agreement/head") == [(0, 0.5), (budget, 0.5)]
    scalars = found["scratch"].Tags()["scalars"]
    assert "within the networks: distance from the start/head/task" not in scalars, "nothing says so"
    assert not [tag for tag in scalars if "saturated" in tag]
    assert sorted(scalars)[0].startswith(CURVES)
    assert "within the networks/task" in found[OVERVIEW].Tags()["images"]
    experiment = hparams_of(found[OVERVIEW], metadata.EXPERIMENT_TAG).experiment
    columns = {info.name.tag: info.display_name for info in experiment.metric_infos}
    assert columns["within the networks: effective rank/trunk/task"] == "task: effective rank, trunk"
    assert not [tag for tag in columns if "/head/" in tag], "trunks alone have columns"


def test_without_diagnostics_nothing_is_said_of_the_inside(complete):
    for run in complete.paths.tensorboard.iterdir():
        tags = events(run).Tags()
        assert not [tag for tag in [*tags["scalars"], *tags["images"]] if tag.startswith(INSIDE)]

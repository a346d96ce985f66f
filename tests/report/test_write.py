import csv
import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from matplotlib.image import imread

from analysis.synthetic import QUICKSTART, Shape, SyntheticSweep
from rl_transfer.analysis import analyse, read_sweep, summary
from rl_transfer.errors import StoreError
from rl_transfer.report import write_report


def test_everything_is_written_from_records_alone(complete):
    paths = complete.paths
    assert json.loads(paths.summary.read_text()) == summary(analyse(read_sweep(complete.folder)))
    assert len(list(csv.DictReader(paths.csv.read_text().splitlines()))) == 12
    assert "▼ negative" in paths.table
    names = {path.name for path in paths.figures.iterdir()}
    stems = ["heatmap", "jump-start", "profiles", *(f"curves-{target}" for target in QUICKSTART)]
    assert names == {f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")}
    assert paths.page == complete.folder / "report" / "index.html"
    assert paths.tensorboard == complete.folder / "tensorboard"


@pytest.mark.full
def test_a_report_imports_no_torch(small):
    code = (
        "import sys; from rl_transfer.report import write_report; write_report(sys.argv[1]); "
        "sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(small)], check=True)


def test_figures_show_something(complete):
    for path in complete.paths.figures.glob("*.png"):
        pixels = imread(path)[..., :3]
        assert min(pixels.shape[:2]) > 300
        inked = (pixels < 0.9).any(axis=-1).mean()
        assert 0.01 < inked < 0.9, path.name


def test_writing_again_gives_the_same_files(small):
    paths = write_report(small)
    forgotten = paths.figures / "curves-forgotten.png"
    forgotten.write_bytes(b"of a target that is gone")
    names = ("summary.json", "summary.csv", "report/index.html", "report/figures/heatmap.svg")
    before = {name: (small / name).read_bytes() for name in names}
    pixels = imread(paths.figures / "heatmap.png")
    write_report(small)
    assert {name: (small / name).read_bytes() for name in names} == before
    assert not forgotten.exists()
    assert np.array_equal(imread(paths.figures / "heatmap.png"), pixels)


def test_a_sweep_with_missing_runs_is_reported_as_such(partial):
    cells = {
        (c["source"], c["target"], c["strategy"]): c for c in json.loads(partial.paths.summary.read_text())
    }
    broken = cells["cartpole", "longer-pole", "fine-tune"]
    assert set(broken["verdict"].values()) == {"inconclusive"}
    assert (len(broken["finished"]), len(broken["seeds"])) == (4, 5)
    assert {flag["code"] for flag in broken["flags"]} == {"missing-runs", "source-below-bar", "no-control"}
    assert "runs are finished, 1 failed" in partial.paths.table


def test_a_sweep_that_has_not_begun_is_reported_too(tmp_path):
    sweep = SyntheticSweep(shapes={"task": QUICKSTART["longer-pole"]}, seeds=2)
    sweep.unfinished = [row["id"] for row in sweep.rows()]
    paths = write_report(sweep.write(tmp_path / "sweep"))
    assert "0 of 11 runs are finished" in paths.table
    assert all(cell["metrics"]["auc"]["mean"] is None for cell in json.loads(paths.summary.read_text()))


def test_images_use_their_own_words(tmp_path):
    shapes = {"small-digits": {"scratch": Shape(0.1, 0.8), "fine-tune": Shape(0.3, 0.95, 0.2)}}
    sweep = SyntheticSweep(
        shapes=shapes,
        strategies=({"name": "scratch"}, {"name": "fine-tune", "copy": ["all"]}),
        seeds=4,
        budget=20,
        every=2,
        episodes=1,
        top=1.0,
        bottom=0.1,
        bar=None,
        unit="epochs",
        measure="accuracy",
        kind="image",
    )
    paths = write_report(sweep.write(tmp_path / "sweep"))
    page = paths.page.read_text()
    assert "fine-tune from cartpole helps on" in page
    assert "at 20 epochs" in page
    assert "accuracy" in page
    assert "environment steps" not in page
    assert "episodic return" not in page


def test_a_folder_without_a_sweep_is_refused(tmp_path):
    with pytest.raises(StoreError, match="is no sweep folder"):
        write_report(tmp_path)


def test_a_report_that_cannot_be_written_is_one_clear_error(tmp_path):
    sweep = SyntheticSweep(shapes={"task": QUICKSTART["longer-pole"]}, seeds=1, budget=1024)
    folder = sweep.write(tmp_path / "sweep")
    (folder / "report").write_text("a file where a folder should be")
    with pytest.raises(StoreError, match="cannot be written"):
        write_report(folder)


def test_pictures_of_image_runs_are_embedded_and_absent_elsewhere(complete, small):
    assert "Predictions" not in complete.paths.page.read_text()
    rows = json.loads((small / "sweep.json").read_text())["runs"]
    run = next(row for row in rows if row["role"] == "target" and row["seed"] == 0)
    figures = small / "runs" / run["id"] / "figures"
    figures.mkdir()
    for name in ("predictions", "confusion"):
        shutil.copy(complete.paths.figures / "heatmap.png", figures / f"{name}.png")
    page = write_report(small).page.read_text()
    assert page.count("data:image/png;base64") >= 2
    assert "seed 0: confusion matrix" in page

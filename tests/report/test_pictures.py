"""The report of an image sweep: pictures of its runs, linear probes, unknown sources, accuracies."""

import base64
import re
from types import SimpleNamespace

import pytest
from matplotlib.figure import Figure

from analysis.synthetic import Shape, SyntheticSweep
from rl_transfer.analysis import analyse, read_sweep
from rl_transfer.report import write_report
from rl_transfer.report.heatmap import heatmap
from rl_transfer.report.pictures import MOST_BYTES, run_pictures, section
from rl_transfer.report.style import png
from support.records import change_record

from .test_page import check

SHAPES = {
    "digits": {"scratch": Shape(0.1, 0.5), "fine-tune": Shape(0.3, 0.9, 0.2), "shuffled": Shape(0.1, 0.99)},
    "faces": {"scratch": Shape(0.1, 0.8), "fine-tune": Shape(0.1, 0.6), "shuffled": Shape(0.1, 0.99)},
}
STRATEGIES = (
    {"name": "scratch"},
    {"name": "fine-tune", "copy": ["all"]},
    {"name": "shuffled", "copy": ["all"], "control": True, "control_for": ["fine-tune"]},
)


def image_sweep(folder, **options):
    """Two sources; every target run has a probe and its two pictures, each a PNG of its own."""
    sweep = SyntheticSweep(
        shapes=SHAPES, sources=("left", "right"), strategies=STRATEGIES, seeds=2, budget=20, every=4,
        episodes=1, top=1.0, bottom=0.1, bar=0.7, source_final=0.95, unit="epochs", measure="accuracy",
        kind="image", **options,
    )  # fmt: skip
    sweep.write(folder)
    blank = png(Figure(figsize=(0.2, 0.2)))
    for row in sweep.rows():
        run = folder / "runs" / row["id"]
        if row["role"] != "target" or not (run / "record.json").exists():
            continue
        probe = {"accuracy": 0.75 + 0.1 * row["seed"]} if row["source"] else None
        change_record(run, probe=probe)
        (run / "figures").mkdir()
        for name in ("predictions", "confusion"):
            (run / "figures" / f"{name}.png").write_bytes(blank + f"{row['id']} {name}".encode())
    return folder


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = image_sweep(tmp_path_factory.mktemp("images") / "sweep")
    return SimpleNamespace(folder=folder, paths=write_report(folder))


def chosen(folder):
    sweep = read_sweep(folder)
    return run_pictures(folder, sweep, analyse(sweep))


@pytest.mark.full
def test_the_page_embeds_the_best_strategy_and_scratch_of_each_target(images):
    page = check(images.paths.page)
    assert page.open == []
    shown = [base64.b64decode(link.partition(",")[2]) for link in page.links if link.startswith("data:")]
    assert all(data.startswith(b"\x89PNG") for data in shown)
    best = {
        target: max(
            images.paths.matrix.select(target=target, kind="transfer"),
            key=lambda cell: cell.metrics["final_performance"].value.mean,
        )
        for target in SHAPES
    }
    expected = [
        f"{identity} {name}".encode()
        for target, cell in best.items()
        for identity in (f"{cell.source}-{target}-fine-tune-0", f"{target}-scratch-0")
        for name in ("predictions", "confusion")
    ]
    ends = [name for data in shown for name in expected if data.endswith(name)]
    assert ends == expected
    assert images.paths.page.read_text().count("<img ") == len(expected) == 8
    assert f"fine-tune from {best['faces'].source}, seed 0: confusion matrix" in " ".join(page.text)


def test_pictures_are_of_the_first_finished_seed(tmp_path):
    folder = image_sweep(tmp_path / "sweep", failed=["digits-scratch-0"])
    titles = [picture.title for picture in chosen(folder)]
    assert "scratch, seed 1: confusion matrix" in titles
    assert len(titles) == 8


def test_a_picture_that_is_missing_or_too_large_is_not_embedded(tmp_path):
    folder = image_sweep(tmp_path / "sweep")
    figures = folder / "runs" / "digits-scratch-0" / "figures"
    (figures / "predictions.png").unlink()
    (figures / "confusion.png").write_bytes(bytes(MOST_BYTES + 1))
    pictures = chosen(folder)
    assert len(pictures) == 7
    shown = section(pictures)
    assert shown.count("<img") == 6
    assert "confusion matrix: 1.0 MB, see runs/digits-scratch-0/figures/confusion.png" in shown


def test_a_page_without_pictures_has_no_section_for_them(complete):
    assert chosen(complete.folder) == []
    assert section([]) == ""
    text = complete.paths.page.read_text()
    assert "section-predictions" not in text
    assert "linear probe" not in text


def test_probes_stand_in_the_details_of_their_cells(images):
    text = images.paths.page.read_text()
    # seeds 0.75 and 0.85: mean 0.8; Student's t 12.706 · sd 0.070711 / √2 = 0.635; none is above 1
    entry = r"converged linear probe</a></th><td[^>]*>0\.800 \[0\.165, 1\.000\]</td><td[^>]*>accuracy</td>"
    assert len(re.findall(entry, text)) == 8  # fine-tune and shuffled, two sources, two targets
    assert text.count(">converged linear probe</dt>") == 1


def test_heatmap_rows_name_the_source_of_controls_too(images):
    labels = [text.get_text() for text in heatmap(images.paths.matrix).axes[0].get_yticklabels()]
    assert labels == [
        "fine-tune from left",
        "fine-tune from right",
        "shuffled from left (control)",
        "shuffled from right (control)",
    ]


def test_the_heatmap_gives_accuracies_three_decimals(images):
    scale = images.paths.matrix.targets["digits"].scale
    label = heatmap(images.paths.matrix).axes[0].get_xticklabels()[0].get_text()
    assert label == f"digits\nscratch {scale.reference:.3f}\nrandom {scale.random:.3f}"


@pytest.mark.full
def test_an_unmeasured_source_is_told_as_such(tmp_path):
    folder = image_sweep(tmp_path / "sweep")
    for path in (folder / "runs").iterdir():
        fields: dict[str, object] = {"source_score": None}
        if path.name.startswith("source-left"):
            (path / "curve.jsonl").unlink()
            fields |= {"measured": False, "total_steps": 0}
        change_record(path, **fields)
    text = " ".join(check(write_report(folder).page).text)
    assert "unknown, not measured" in text
    assert "the bar is not checked" in text
    assert "26 of 26 runs finished" in text  # 4 of sources, 2 random, 4 from scratch, 16 from a source

"""What TensorBoard shows of a sweep on the first screen of each tab, without a click."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from matplotlib.image import imread
from playwright.sync_api import BrowserContext, Locator, Page
from torch.utils.tensorboard import SummaryWriter

from analysis.synthetic import QUICKSTART, SyntheticSweep
from rl_transfer.analysis import analyse, read_sweep
from rl_transfer.report import write_report
from support.boards import board
from support.browser import SCREEN, browsing, chromium, columns_in_colour, on_screen

STRATEGIES = ["fine-tune", "frozen-trunk-new-head", "random-frozen", "scratch"]
ROOT = Path(__file__).resolve().parent.parent.parent
LINE = 60
"""A line crosses more columns of pixels than this; a dot does not."""
Colour = tuple[int, ...]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep as training leaves it, with event files of all its 68 runs, and its report."""
    folder = SyntheticSweep().write(tmp_path_factory.mktemp("browser") / "sweep")
    for run in read_sweep(folder).runs:
        with SummaryWriter(str(folder / "runs" / run.id / "tensorboard")) as writer:
            assert run.curve is not None
            for step, value in zip(run.curve.steps, run.curve.means, strict=True):
                writer.add_scalar("evaluation/mean_return", float(value), int(step))
            writer.add_scalar("train/loss", 1.0, 0)
    write_report(folder)
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    with browsing(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture(scope="module")
def means(folder: Path) -> Iterator[str]:
    with board(str(folder)) as address:
        yield address


@pytest.fixture(scope="module")
def seeds(folder: Path) -> Iterator[str]:
    with board(str(folder), "--seeds", "longer-pole") as address:
        yield address


def opened(browser: BrowserContext, address: str, tab: str, ready: str) -> Page:
    """The tab as it opens, once ``ready`` is there."""
    page = browser.new_page()
    page.goto(f"{address}#{tab}")
    page.locator(ready).first.wait_for(state="visible")
    return page


def colours(page: Page) -> dict[str, Colour]:
    """Name of each run in the list of Time Series → its colour; all of them must be shown."""
    rows = page.locator("runs-data-table tb-data-table-content-row")
    rows.first.wait_for()
    found = {}
    for row in rows.all():
        name = row.locator(".table-column-run").inner_text().strip()
        assert row.locator("input[type=checkbox]").is_checked(), f"{name} is not shown"
        found[name] = rgb(row.locator("button.run-color-swatch").get_attribute("style"))
    return found


def rgb(style: str | None) -> Colour:
    """``background: rgb(18, 181, 203)`` or ``--…-color: #12b5cb`` as three numbers below 256."""
    text = style or ""
    code = re.search(r"#([0-9a-f]{6})", text)
    if code:
        return tuple(bytes.fromhex(code[1]))
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def card(page: Page, title: str) -> Locator:
    """A card of Time Series."""
    return page.locator("card-view").filter(has=page.locator(f'[title="{title}"]')).first


def loaded(picture: Locator) -> bool:
    return bool(picture.evaluate("image => image.complete && image.naturalWidth > 500"))


def test_time_series_open_with_curves_and_their_bands(browser: BrowserContext, means: str) -> None:
    page = opened(browser, means, "timeseries", "scalar-card line-chart")
    runs = colours(page)
    assert [*runs] == sorted([*STRATEGIES, "overview"])
    assert len({*runs.values()}) == len(runs)
    chart = card(page, "learning curves/longer-pole").locator("line-chart").first
    assert on_screen(chart)
    for strategy in STRATEGIES:
        assert columns_in_colour(page, chart, runs[strategy]) > LINE, f"no line of {strategy}"
    picture = card(page, "learning curves/longer-pole, with intervals").locator("img")
    picture.wait_for()
    assert on_screen(picture)
    assert loaded(picture)
    assert page.locator(".scalars-smoothing input[type=number]").input_value() == "0"
    page.close()


def legend(page: Page, title: str) -> dict[str, Colour]:
    """Run → its colour in the table below a chart of Time Series."""
    rows = card(page, title).locator("scalar-card-data-table tb-data-table-content-row")
    rows.first.wait_for()
    found = {}
    for row in rows.all():
        name = row.locator(".cell").nth(1).inner_text().strip()
        found[name] = rgb(row.locator("span").first.get_attribute("style"))
    return found


def test_a_strategy_has_one_colour_on_every_target(browser: BrowserContext, means: str) -> None:
    page = opened(browser, means, "timeseries", "scalar-card line-chart")
    runs = colours(page)
    for target in ("longer-pole", "reversed-actions"):
        assert legend(page, f"learning curves/{target}") == {name: runs[name] for name in STRATEGIES}
    page.close()


def test_custom_scalars_open_with_margin_charts_of_all_runs(browser: BrowserContext, means: str) -> None:
    page = opened(browser, means, "custom_scalars", "tf-custom-scalar-margin-chart-card")
    boxes = page.locator("tf-multi-checkbox paper-checkbox.checkbox")
    boxes.first.wait_for()
    assert boxes.count() == len(STRATEGIES) + 1
    assert all(box.get_attribute("aria-checked") == "true" for box in boxes.all())
    charts = page.locator("tf-custom-scalar-margin-chart-card")
    names = charts.locator(".heading-label.name")
    assert [name.inner_text().strip() for name in names.all()] == [*QUICKSTART]
    for chart in charts.all():
        plot = chart.locator("vz-line-chart2")
        assert on_screen(plot)
        shown = [columns_in_colour(page, plot, rgb(box.get_attribute("style"))) for box in boxes.all()]
        assert sum(columns > LINE for columns in shown) == len(STRATEGIES), shown
    page.close()


def test_images_open_with_curves_and_the_matrix(browser: BrowserContext, means: str) -> None:
    page = opened(browser, means, "images", "tf-image-loader img")
    for title in (
        *(f"{target}, with intervals" for target in QUICKSTART),
        "∑ all targets: gains and verdicts",
    ):
        loader = page.locator("tf-image-loader").filter(has_text=title).first
        picture = loader.locator("img")
        picture.wait_for()
        box = picture.bounding_box()
        assert box is not None
        assert box["y"] + 150 < SCREEN[1], f"{title} is below the first screen"
        assert loaded(picture)
    page.close()


def test_text_opens_with_sentences_and_verdicts(browser: BrowserContext, means: str) -> None:
    page = opened(browser, means, "text", "tf-text-loader")
    assert on_screen(page.get_by_text("hurts on reversed-actions").first)
    assert on_screen(page.get_by_role("columnheader", name="final quality").first)
    assert on_screen(page.get_by_text("▲ positive").first)
    page.close()


def test_hparams_open_with_gains_of_every_strategy(browser: BrowserContext, folder: Path, means: str) -> None:
    page = opened(browser, means, "hparams", "tf-hparams-table-view .table-cell")
    assert on_screen(page.locator(".table-header", has_text="longer-pole: final quality gain").first)
    for strategy in STRATEGIES:
        assert on_screen(page.locator(".table-cell", has_text=strategy[:16]).first)
    (cell,) = analyse(read_sweep(folder)).select(target="longer-pole", strategy="fine-tune")
    gain = cell.comparisons["asymptotic_gain"].gain.point
    assert on_screen(page.locator(".table-cell", has_text=f"{gain:.4f}").first)
    page.close()


def test_single_runs_open_checked_with_the_mean_under_their_tag_and_in_its_colour(
    browser: BrowserContext, seeds: str
) -> None:
    page = opened(browser, seeds, "timeseries", "scalar-card line-chart")
    runs = colours(page)
    assert {name for name in runs if name.startswith("fine-tune/")} == {
        "fine-tune/mean", *(f"fine-tune/seed-{seed}" for seed in range(5))
    }  # fmt: skip
    of = {name: {runs[run] for run in runs if run.startswith(name)} for name in STRATEGIES}
    assert all(len(found) == 1 for found in of.values())
    assert len(set.union(*of.values())) == len(STRATEGIES)
    assert {"fine-tune/mean", "fine-tune/seed-0"} <= {*legend(page, "evaluation/mean_return")}
    page.close()


def test_the_pictures_of_the_page_are_made_by_its_command(folder: Path, tmp_path: Path) -> None:
    chromium()
    script = ROOT / "docs" / "board_screenshots.py"
    done = subprocess.run(
        [sys.executable, str(script), str(folder), str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    page = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} == set(re.findall(r"images/(board-[\w-]+\.png)", page))
    for path in tmp_path.iterdir():
        assert imread(path).shape[:2] == SCREEN[::-1]
        assert path.stat().st_size < 200_000

"""What TensorBoard shows of a sweep on the first screen of each tab, without a click."""

import re
import runpy
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from matplotlib.image import imread
from playwright.sync_api import BrowserContext, Locator, Page
from torch.utils.tensorboard import SummaryWriter

from analysis.synthetic import QUICKSTART, SyntheticSweep
from rl_transfer.analysis import analyse, read_sweep
from rl_transfer.report import write_report
from support.boards import board
from support.browser import SCREEN, browsing, columns_in_colour, on_screen, pixels_of

STRATEGIES = ["fine-tune", "frozen-trunk-new-head", "random-frozen", "scratch"]
ROOT = Path(__file__).resolve().parent.parent.parent
LINE = 60
"""A line crosses more columns of pixels than this; a dot does not."""
Colour = tuple[int, ...]
Opened = Callable[[str, str], Page]


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


@pytest.fixture(scope="module")
def opened(browser: BrowserContext) -> Opened:
    """A tab as it opens, once what is given is there; it stays open, for nothing here touches it."""
    pages: dict[str, Page] = {}

    def go(address: str, ready: str) -> Page:
        if address not in pages:
            pages[address] = browser.new_page()
            pages[address].goto(address)
        pages[address].bring_to_front()
        pages[address].locator(ready).first.wait_for(state="visible")
        return pages[address]

    return go


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


def test_time_series_open_with_curves_and_their_bands(opened: Opened, means: str) -> None:
    page = opened(f"{means}#timeseries", "scalar-card line-chart")
    runs = colours(page)
    assert [*runs] == sorted([*STRATEGIES, "overview"])
    assert len({*runs.values()}) == len(runs)
    chart = card(page, "learning curves/longer-pole").locator("line-chart").first
    assert on_screen(chart)
    pixels = pixels_of(page, chart)
    for strategy in STRATEGIES:
        assert columns_in_colour(pixels, runs[strategy]) > LINE, f"no line of {strategy}"
    picture = card(page, "learning curves/longer-pole, with intervals").locator("img")
    picture.wait_for()
    assert on_screen(picture)
    assert loaded(picture)
    assert page.locator(".scalars-smoothing input[type=number]").input_value() == "0"


def legend(page: Page, title: str) -> dict[str, Colour]:
    """Run → its colour in the table below a chart of Time Series."""
    rows = card(page, title).locator("scalar-card-data-table tb-data-table-content-row")
    rows.first.wait_for()
    found = {}
    for row in rows.all():
        name = row.locator(".cell").nth(1).inner_text().strip()
        found[name] = rgb(row.locator("span").first.get_attribute("style"))
    return found


def test_a_strategy_has_one_colour_on_every_target(opened: Opened, means: str) -> None:
    page = opened(f"{means}#timeseries", "scalar-card line-chart")
    runs = colours(page)
    for target in ("longer-pole", "reversed-actions"):
        assert legend(page, f"learning curves/{target}") == {name: runs[name] for name in STRATEGIES}


def test_custom_scalars_open_with_margin_charts_of_all_runs(opened: Opened, means: str) -> None:
    page = opened(f"{means}#custom_scalars", "tf-custom-scalar-margin-chart-card")
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
        pixels = pixels_of(page, plot)
        shown = [columns_in_colour(pixels, rgb(box.get_attribute("style"))) for box in boxes.all()]
        assert sum(columns > LINE for columns in shown) == len(STRATEGIES), shown


def test_images_open_with_curves_and_the_matrix(opened: Opened, means: str) -> None:
    page = opened(f"{means}#images", "tf-image-loader img")
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


def test_text_opens_with_sentences_and_verdicts(opened: Opened, means: str) -> None:
    page = opened(f"{means}#text", "tf-text-loader")
    assert on_screen(page.get_by_text("hurts on reversed-actions").first)
    assert on_screen(page.get_by_role("columnheader", name="final quality").first)
    assert on_screen(page.get_by_text("▲ positive").first)


def test_hparams_open_with_gains_of_every_strategy(opened: Opened, folder: Path, means: str) -> None:
    page = opened(f"{means}#hparams", "tf-hparams-table-view .table-cell")
    assert on_screen(page.locator(".table-header", has_text="longer-pole: final quality gain").first)
    for strategy in STRATEGIES:
        assert on_screen(page.locator(".table-cell", has_text=strategy[:16]).first)
    (cell,) = analyse(read_sweep(folder)).select(target="longer-pole", strategy="fine-tune")
    gain = cell.comparisons["asymptotic_gain"].gain.point
    assert on_screen(page.locator(".table-cell", has_text=f"{gain:.4f}").first)


def test_single_runs_open_checked_with_the_mean_under_their_tag_and_in_its_colour(
    opened: Opened, seeds: str
) -> None:
    page = opened(f"{seeds}#timeseries", "scalar-card line-chart")
    runs = colours(page)
    assert {name for name in runs if name.startswith("fine-tune/")} == {
        "fine-tune/mean", *(f"fine-tune/seed-{seed}" for seed in range(5))
    }  # fmt: skip
    of = {name: {runs[run] for run in runs if run.startswith(name)} for name in STRATEGIES}
    assert all(len(found) == 1 for found in of.values())
    assert len(set.union(*of.values())) == len(STRATEGIES)
    assert {"fine-tune/mean", "fine-tune/seed-0"} <= {*legend(page, "evaluation/mean_return")}


def test_the_pictures_of_the_page_are_made_by_its_command(
    opened: Opened, means: str, seeds: str, tmp_path: Path
) -> None:
    names = runpy.run_path(str(ROOT / "docs" / "board_screenshots.py"))
    names["pictures"](opened, means, seeds, tmp_path, 0.5)
    page = (ROOT / "docs" / "quickstart.md").read_text(encoding="utf-8")
    assert {path.name for path in tmp_path.iterdir()} == set(re.findall(r"images/(board-[\w-]+\.png)", page))
    for path in tmp_path.iterdir():
        assert imread(path).shape[:2] == SCREEN[::-1]
        assert path.stat().st_size < 200_000

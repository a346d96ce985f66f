"""The report page in a browser: sizes, themes, what its script does, and what axe says."""

import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from analysis.synthetic import QUICKSTART, SyntheticSweep
from rl_transfer.analysis import analyse, read_sweep
from rl_transfer.report import cell_curves, live, packing, verdict_view
from rl_transfer.report import page as report_page
from rl_transfer.report.beside import Beside
from rl_transfer.report.document import document
from rl_transfer.report.live import LivePage
from rl_transfer.report.markup import Html
from rl_transfer.results import RunFolder
from rl_transfer.results.standing import Onlooker
from support.browser import browsing

ROOT = Path(__file__).resolve().parent.parent.parent
WIDE, NARROW = 1280, 390


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrowserContext]:
    with browsing(tmp_path_factory.mktemp("profile")) as context:
        yield context


@pytest.fixture
def page(browser: BrowserContext, complete: Any) -> Iterator[Page]:
    """The report of a finished sweep, at its first opening, in light colours."""
    page = opened(browser, complete.paths.page)
    yield page
    page.evaluate("localStorage.clear()")
    page.close()


def opened(browser: BrowserContext, path: Path) -> Page:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.emulate_media(color_scheme="light")
    page.goto(path.as_uri())
    assert said == [], "the policy of the page lets its own script and styles pass"
    return page


def paper(page: Page) -> float:
    """Brightness of the page's background, 0 to 255."""
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    parts = [int(part) for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    return sum(parts) / 3


def resized(page: Page, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 800})


@pytest.mark.parametrize("width", [WIDE, NARROW])
def test_nothing_is_wider_than_the_window(page: Page, width: int) -> None:
    resized(page, width)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    cut = page.evaluate(
        """() => [...document.querySelectorAll("main *, header *")].filter(each => {
            const box = each.getBoundingClientRect();
            return box.width && box.right > innerWidth + 1 && !each.closest(".scroll, .figure, pre, thead");
        }).map(each => each.outerHTML.slice(0, 80))"""
    )
    assert cut == []


def test_verdicts_are_cards_that_name_their_targets_on_small_screens(page: Page) -> None:
    table = page.locator("table.verdicts").first
    resized(page, NARROW)
    boxes = [each.bounding_box() for each in table.locator("tbody tr").first.locator("td").all()]
    assert len({box["x"] for box in boxes if box}) == 1, "below each other"
    named = table.locator("tbody td").first.evaluate("each => getComputedStyle(each, '::before').content")
    assert "longer-pole" in named


def too_wide(page: Page, chosen: str) -> list[str]:
    """Heads of tables that scroll sideways."""
    heads: list[str] = page.locator(chosen).evaluate_all(
        "all => all.filter(each => each.scrollWidth > each.clientWidth + 1).map(each => each.innerText)"
    )
    return heads


def test_an_opened_cell_fits_its_window_and_its_reasons_stand_below_the_table(page: Page) -> None:
    cell = "details[data-strategy=fine-tune]"
    resized(page, WIDE)
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert too_wide(page, f"{cell} .scroll") == []
    first = page.locator(cell).first
    assert first.locator("li", has_text="final quality").first.is_visible()
    resized(page, NARROW)
    boxes = [each.bounding_box() for each in first.locator("tbody tr").first.locator("td").all()]
    assert len({box["x"] for box in boxes if box}) == 1, "below each other"
    assert too_wide(page, f"{cell} > .scroll") == []


def test_the_theme_follows_the_system_until_somebody_chooses_and_is_remembered(page: Page) -> None:
    assert paper(page) > 240
    page.emulate_media(color_scheme="dark")
    assert paper(page) < 40
    ink = page.locator("svg text").first.evaluate("each => getComputedStyle(each).fill")
    assert sum(int(part) for part in ink[4:-1].split(",")) > 600, "figures are readable on dark paper"
    page.get_by_role("button", name="Light colours").click()
    assert paper(page) > 240
    page.reload()
    assert paper(page) > 240
    page.get_by_role("button", name="Dark colours").click()
    assert paper(page) < 40


def test_print_is_light_and_open(page: Page) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    assert paper(page) > 240
    assert not page.locator("nav").is_visible()
    assert page.locator(".filtered > details table").first.is_visible()


def test_print_cuts_no_table_and_all_its_text_is_small(page: Page) -> None:
    page.emulate_media(media="print")
    resized(page, 718)  # A4 less Chromium's margins
    page.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert too_wide(page, ".scroll") == []
    sizes = page.locator("main p, main td").evaluate_all(
        "all => all.map(each => getComputedStyle(each).fontSize)"
    )
    assert max(float(size.removesuffix("px")) for size in sizes) == 11


def test_contents_lead_to_every_section_and_the_skip_link_comes_first(page: Page) -> None:
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "Skip to the results"
    headings = page.locator("main h2").all_inner_texts()
    assert page.locator("nav a").all_inner_texts() == headings
    page.locator("nav a").last.click()
    assert page.locator("main h2").last.is_visible()


def serious(page: Page) -> list[tuple[str, str, str]]:
    """What axe finds that hinders people."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    return [
        (each["id"], each["nodes"][0]["html"], each["nodes"][0]["failureSummary"])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize(("width", "scheme"), [(WIDE, "light"), (WIDE, "dark"), (NARROW, "light")])
def test_axe_finds_nothing_serious(page: Page, width: int, scheme: Literal["light", "dark"]) -> None:
    resized(page, width)
    page.emulate_media(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((each, place) => { each.open = place < 6; })")
    assert serious(page) == []


def test_the_page_of_a_sweep_that_runs_fits_a_small_screen_and_axe_finds_nothing_serious(
    browser: BrowserContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "svg", lambda figure, name: "<svg></svg>")
    running = "cartpole-longer-pole-fine-tune-2"
    sweep = SyntheticSweep(
        shapes={"longer-pole": QUICKSTART["longer-pole"]}, seeds=3, analysis={"bootstrap": 100},
        unfinished=[running],
    )  # fmt: skip
    folder = sweep.write(tmp_path / "sweep")
    (folder / "runs" / running / "spec.json").write_text("{}", encoding="utf-8")
    RunFolder(folder / "runs" / running).beat(1024, 6144, 77.0)
    written = LivePage(folder, 3600)
    written.write(Onlooker(folder).look(), 83.0)
    page = opened(browser, written.path)
    resized(page, NARROW)
    page.emulate_media(color_scheme="dark")
    page.locator("details:has(> #cell-1) > summary").click()
    page.locator(".own svg[role=img]").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= NARROW
    row = page.locator("#section-running ~ .scroll tbody tr").first.locator("td").all()
    assert len({box["x"] for each in row if (box := each.bounding_box())}) == 1, "a card"
    assert paper(page) < 60
    assert serious(page) == []
    page.close()


def test_the_pictures_of_the_page_are_made_by_its_command(
    browser: BrowserContext, complete: Any, tmp_path: Path
) -> None:
    names = runpy.run_path(str(ROOT / "docs" / "report_screenshots.py"))
    live, made = names["live_page"](complete.folder, tmp_path / "live"), tmp_path / "made"
    made.mkdir()
    names["pictures"](browser, complete.paths.page.resolve().as_uri(), live, made)
    text = (ROOT / "docs" / "report.md").read_text(encoding="utf-8")
    assert {path.name for path in made.iterdir()} == set(re.findall(r"images/(report-[\w-]+\.png)", text))
    for path in made.iterdir():
        assert path.stat().st_size < 200_000


def shown(page: Page, chosen: str) -> list[str]:
    return [each for each in page.locator(chosen).all_inner_texts() if each.strip()]


def test_verdicts_are_filtered_by_word_and_by_what_was_found(page: Page) -> None:
    table, bar = page.locator("table.verdicts"), page.locator(".filter").first
    rows = table.locator("tbody tr:visible")
    assert rows.count() == 3
    bar.get_by_label("strategy").select_option("fine-tune")
    assert [each.split("\n")[0] for each in rows.all_inner_texts()] == ["fine-tune, from cartpole"]
    assert bar.get_by_role("status").inner_text() == "3 of 9 cells"
    bar.get_by_label("verdict").select_option("negative")
    seen = [each for each in rows.locator("td b").all() if each.is_visible()]
    assert [each.inner_text() for each in seen] == ["▼ negative", "▼ negative"]
    bar.get_by_label("strategy").select_option("all")
    bar.get_by_label("verdict").select_option("all")
    bar.get_by_label("filter").fill("FROZEN longer")
    assert bar.get_by_role("status").inner_text() == "2 of 9 cells"


def test_verdicts_are_sorted_by_gain_both_ways(page: Page) -> None:
    table = page.locator("table.verdicts")
    head = table.locator("thead th").nth(3)
    order = []
    for direction in ("ascending", "descending"):
        head.get_by_role("button").click()
        assert head.get_attribute("aria-sort") == direction
        gains = table.locator("tbody td:nth-of-type(3)").evaluate_all(
            "all => all.map(each => parseFloat(each.dataset.gain))"
        )
        order.append(gains)
    assert order[0] == sorted(order[0]) == order[1][::-1]
    assert len(set(order[0])) == 3


def test_what_is_no_number_is_sorted_last_both_ways_and_heads_without_words_stay_empty(page: Page) -> None:
    table = page.locator("table.verdicts")
    table.locator("tbody td:nth-of-type(1)").first.evaluate("each => { each.dataset.gain = 'nan|nan'; }")
    for _ in range(2):
        table.locator("thead th").nth(1).get_by_role("button").click()
        gains = table.locator("tbody td:nth-of-type(1)").evaluate_all(
            "all => all.map(each => each.dataset.gain)"
        )
        assert gains.index("nan|nan") == 2
    named = page.locator("table.sortable thead tr").evaluate_all(
        "all => all.map(each => [...each.cells].filter(one => one.textContent.trim() === 'strategy').length)"
    )
    assert max(named) == 1


def test_a_typed_minus_finds_what_is_written_with_a_proper_one(page: Page) -> None:
    bar = page.locator(".filter").first
    number = re.search(r"−[\d.]+", page.locator("table.verdicts tbody").inner_text())
    assert number
    bar.get_by_label("filter").fill(number[0].replace("−", "-"))
    assert not bar.get_by_role("status").inner_text().startswith("0 ")


def test_details_are_filtered_ordered_and_unfolded_together(page: Page) -> None:
    box = page.locator(".filtered").last
    cells, bar = box.locator("> details"), box.locator(".filter")
    before = cells.evaluate_all("all => all.map(each => each.firstChild.textContent)")
    assert bar.get_by_role("status").inner_text() == "12 cells"
    bar.get_by_label("target").select_option("weaker-motor")
    bar.get_by_role("button", name="open all").click()
    assert box.locator("> details[open]").count() == box.locator("> details:visible").count() == 4
    bar.get_by_role("button", name="close all").click()
    assert box.locator("> details[open]").count() == 0
    bar.get_by_label("order").select_option("final quality, largest gain first")
    gains = cells.evaluate_all(
        "all => all.map(each => parseFloat(each.dataset.gain)).filter(each => !isNaN(each))"
    )
    assert len(gains) == 9
    assert gains == sorted(gains, reverse=True)
    bar.get_by_label("order").select_option("as planned")
    assert cells.evaluate_all("all => all.map(each => each.firstChild.textContent)") == before


@pytest.mark.parametrize("link", ["table.verdicts .more", "svg a"])
def test_cells_of_the_matrix_lead_to_their_details(page: Page, link: str) -> None:
    first = page.locator(link).first
    place = first.evaluate("each => each.getAttribute('href') || each.getAttribute('xlink:href')")
    first.focus()
    page.keyboard.press("Enter")
    details = page.locator(f"details:has({place})")
    details.locator("table").first.wait_for()
    assert "longer-pole: fine-tune from cartpole" in details.inner_text()
    assert 0 <= details.evaluate("each => each.getBoundingClientRect().top") < 800


def test_figures_say_their_values_to_pointer_and_keyboard(page: Page) -> None:
    figure = page.locator("figure", has=page.get_by_label("Learning curves on longer-pole."))
    said, box = figure.locator("output"), figure.locator(".figure")
    box.focus()
    page.keyboard.press("ArrowRight")
    assert said.inner_text().startswith("at 0 environment steps\nscratch: ")
    page.keyboard.press("ArrowRight")
    lines = said.inner_text().splitlines()
    assert lines[0] == "at 512 environment steps"
    assert [each.split(":")[0] for each in lines[1:]] == [
        "scratch", "fine-tune", "frozen-trunk-new-head", "random-frozen",
    ]  # fmt: skip
    figure.locator(".note").last.hover()
    assert said.inner_text().startswith("at 6,144")


def test_an_opened_cell_draws_its_curves_with_those_that_it_is_compared_with(page: Page) -> None:
    cell = page.locator("details:has(> #cell-6)")
    assert page.locator(".own").count() == 0, "nothing is drawn before somebody looks"
    cell.locator("summary").first.click()
    figure = cell.locator(".own")
    chart = figure.get_by_role("img", name="Learning curves of frozen-trunk-new-head on longer-pole")
    chart.wait_for()
    assert figure.locator("li").all_inner_texts() == [
        "scratch (baseline)", "random-frozen (control)", "frozen-trunk-new-head",
    ]  # fmt: skip
    assert "thin: each seed" in figure.locator("figcaption").inner_text()
    assert len(re.findall(r": [\d.]+ \[[\d.]+, [\d.]+\]", chart.locator("desc").text_content() or "")) == 3
    assert chart.locator('path[style*="stroke-width: .6"]').count() == 15
    assert chart.locator('path[style*="--gain"]').get_attribute("d") != "M0 0"
    figure.locator(".note").first.hover()
    assert figure.locator("output").inner_text().startswith("at 0 environment steps\nscratch: ")
    cell.locator("summary").first.click()
    cell.locator("summary").first.click()
    assert cell.locator(".own svg[role=img]").count() == 1, "drawn once"
    known, far = (page.evaluate(f"heights([0, 10], [{edge}], 1)") for edge in (15, 500))
    assert known[1:] == [pytest.approx(15.6), False]
    assert far[1:] == [pytest.approx(20.8), True], "what is cut off is told"


def test_without_its_script_everything_can_be_read(browser: BrowserContext, complete: Any) -> None:
    text = complete.paths.page.read_text()
    bare = complete.paths.page.with_name("bare.html")
    bare.write_text(text[: text.rindex("<script>")])
    page = browser.new_page()
    page.goto(bare.as_uri())
    page.locator(".filtered > details summary").first.click()
    assert page.locator(".filtered > details table").first.is_visible()
    assert page.locator("table.verdicts tbody tr:visible").count() == 3
    assert page.locator(".filter").count() == 0
    page.close()
    bare.unlink()


def test_what_a_large_page_holds_packed_comes_out_when_it_is_looked_at(
    browser: BrowserContext, complete: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "MOST_PLAIN", 60_000)
    monkeypatch.setattr(packing, "MOST_ROWS", 2)
    monkeypatch.setattr(verdict_view, "MOST_COLUMNS", 2)
    monkeypatch.setattr(cell_curves, "MOST_PLAIN", 100)
    matrix = analyse(read_sweep(complete.folder))
    drawings = {path.stem: path.read_text() for path in complete.paths.figures.glob("*.svg")}
    path = tmp_path / "index.html"
    path.write_text(report_page.page(matrix, drawings, Beside()))
    assert path.stat().st_size < complete.paths.page.stat().st_size / 2
    page = opened(browser, path)
    assert page.locator("table.verdicts tbody tr").count() == 9, "rows are there without a look at them"
    assert page.locator("template").count() == 0
    page.locator(".filter input").first.fill("random-frozen weaker")
    expect(page.locator("table.verdicts tbody tr:visible")).to_have_count(1)
    page.locator(".filter input").first.fill("")
    assert [each.text_content() for each in page.locator(".filter output").all()] == ["9 cells", "12 cells"]
    page.locator("table.verdicts a.more").last.click()
    expect(page.locator(".filtered > details").last).to_have_attribute("open", "")
    page.locator("nav a", has_text="Jump-start").click()
    page.locator('svg[aria-label^="Means with intervals"]').wait_for()
    last = page.locator(".filtered > details").last
    last.locator("table").first.wait_for()
    assert "final performance" in last.inner_text()
    last.get_by_role("img", name="Learning curves of random-frozen on reversed-actions").wait_for()
    assert serious(page) == []
    page.add_init_script("delete globalThis.DecompressionStream")
    page.reload()
    expect(page.locator("p.warnings", has_text="in a browser of 2023 or later")).to_be_visible()
    assert page.locator(".filter").count() == 2, "what is there can be filtered all the same"
    page.close()


def test_a_browser_follows_with_the_same_details_open_until_it_is_held(
    browser: BrowserContext, tmp_path: Path
) -> None:
    path, page = tmp_path / "page.html", browser.new_page()
    body = "<details><summary>one</summary></details><details><summary>two</summary></details>"

    def write(number: int, live: int | None) -> None:
        path.write_text(document("t", Html(f"<h1>{number}</h1>"), Html(body), live), encoding="utf-8")

    write(1, 1)
    page.goto(path.as_uri())
    page.locator("summary", has_text="two").click()
    write(2, 1)
    expect(page.locator("h1")).to_have_text("2")
    assert page.locator("details").evaluate_all("all => all.map(each => each.open)") == [False, True]
    page.get_by_role("button", name="Hold this page").click()
    expect(page.get_by_role("button", name="Follow the sweep")).to_be_visible()
    write(3, None)
    page.wait_for_timeout(1500)
    assert page.locator("h1").inner_text() == "2"
    page.get_by_role("button", name="Follow the sweep").click()
    expect(page.locator("h1")).to_have_text("3")
    assert page.get_by_role("button", name="Hold this page").count() == 0, "the sweep has ended"

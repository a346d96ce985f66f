"""The pictures of the report in docs/report.md.

    rl-transfer sweep quickstart
    python docs/report_screenshots.py results/quickstart docs/images

Needs the dev extra and Chromium.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import BrowserContext, sync_playwright

from rl_transfer.report.live import LivePage
from rl_transfer.results import RunFolder, read_json
from rl_transfer.results.standing import Onlooker
from rl_transfer.sweep.remaining import seconds_left

HEIGHTS = {1280: 800, 390: 844}
"""Width of the window in pixels → its height."""
PARTS = {
    "top": None,
    "matrix": "#section-verdicts",
    "curves": "#section-learning-curves",
    "cells": "#section-every-cell",
    "cell": "details[open]",
    "live": None,
}
"""Part of the page → what the window shows at its upper edge; the live page is one of its own."""
OPENED = "longer-pole: fine-tune"
"""What the title of the opened cell begins with."""
DONE = 0.6
"""Part of the runs that has ended on the live page."""
PICTURES: tuple[tuple[str, int, Literal["light", "dark"]], ...] = (
    ("top", 1280, "light"),
    ("matrix", 1280, "dark"),
    ("curves", 1280, "light"),
    ("cells", 1280, "dark"),
    ("cell", 1280, "light"),
    ("live", 1280, "light"),
    ("matrix", 390, "light"),
    ("curves", 390, "dark"),
)
"""Part, width and colours."""


def main() -> None:
    """Draw all pictures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sweep", type=Path, help="folder of a sweep with its report")
    parser.add_argument("output", type=Path, help="folder for the pictures")
    given = parser.parse_args()
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    address = (given.sweep / "report" / "index.html").resolve().as_uri()
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        live = live_page(given.sweep, Path(profile) / given.sweep.name)
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=browser, args=["--no-sandbox", "--disable-gpu"]
        )
        pictures(context, address, live, given.output)
        context.close()


def pictures(context: BrowserContext, address: str, live: str, output: Path) -> None:
    """All of them, of the report at ``address`` and of the live page."""
    page = context.new_page()
    for part, width, scheme in PICTURES:
        page.goto(live if part == "live" else address)
        page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
        page.emulate_media(color_scheme=scheme)
        if part == "cell":
            page.locator("main details", has_text=OPENED).first.locator("summary").first.click()
            page.locator(".own svg[role=img]").wait_for()
            page.mouse.move(0, 0)
        page.evaluate(
            "place => place ? document.querySelector(place).scrollIntoView() : scrollTo(0, 0)",
            PARTS[part],
        )
        path = output / f"report-{part}-{width}-{scheme}.png"
        page.screenshot(path=path)
        Image.open(path).convert("RGB").quantize(256, kmeans=2).save(path, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    page.close()


def live_page(sweep: Path, place: Path) -> str:
    """Address of the page as it was while the sweep ran: of its last runs two are under way, others wait."""
    (place / "runs").mkdir(parents=True)
    for each in sweep.glob("*.*"):
        (place / each.name).symlink_to(each.resolve())
    runs = list(dict.fromkeys(row["id"] for row in read_json(sweep / "sweep.json")["runs"]))
    ended = int(DONE * len(runs))
    for identifier in runs[:ended]:
        (place / "runs" / identifier).symlink_to((sweep / "runs" / identifier).resolve())
    for part, identifier in enumerate(runs[ended : ended + 2], start=1):
        folder = RunFolder(place / "runs" / identifier)
        folder.path.mkdir()
        (folder.path / "spec.json").write_text("{}", encoding="utf-8")
        last = json.loads((sweep / "runs" / identifier / "curve.jsonl").read_text().splitlines()[-1])
        folder.beat(part * last["step"] // 3, last["step"], None)
    standing = Onlooker(place).look()
    page = LivePage(place, 60)
    page.write(standing, seconds_left(standing, 2))
    return page.path.resolve().as_uri()


if __name__ == "__main__":
    main()

"""The pictures of the report in docs/report.md.

    rl-transfer sweep quickstart
    python docs/report_screenshots.py results/quickstart docs/images

Needs the dev extra and Chromium.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Literal

from PIL import Image
from playwright.sync_api import sync_playwright

HEIGHTS = {1280: 800, 390: 844}
"""Width of the window in pixels → its height."""
PARTS = {
    "top": None,
    "matrix": "#section-verdicts",
    "curves": "#section-learning-curves",
    "cells": "#section-every-cell",
}
"""Part of the page → what the window shows at its upper edge."""
PICTURES: tuple[tuple[str, int, Literal["light", "dark"]], ...] = (
    ("top", 1280, "light"),
    ("matrix", 1280, "dark"),
    ("curves", 1280, "light"),
    ("cells", 1280, "dark"),
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
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=browser, args=["--no-sandbox", "--disable-gpu"]
        )
        page = context.new_page()
        page.goto(address)
        for part, width, scheme in PICTURES:
            page.set_viewport_size({"width": width, "height": HEIGHTS[width]})
            page.emulate_media(color_scheme=scheme)
            page.evaluate(
                "place => place ? document.querySelector(place).scrollIntoView() : scrollTo(0, 0)",
                PARTS[part],
            )
            path = given.output / f"report-{part}-{width}-{scheme}.png"
            page.screenshot(path=path)
            Image.open(path).convert("RGB").quantize(128).save(path, optimize=True)
            print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
        context.close()


if __name__ == "__main__":
    main()

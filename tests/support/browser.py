"""A headless Chromium for tests of what people see in a browser."""

from __future__ import annotations

import io
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.image import imread
from playwright.sync_api import BrowserContext, Locator, Page, sync_playwright

SCREEN = (1280, 800)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
MISSING = "these tests open pages in Chromium, and there is none; on Debian: apt-get install chromium"
PATIENCE = 60_000
"""Milliseconds until something that should appear is given up."""


def chromium() -> str | None:
    """The system's Chromium, if there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@contextmanager
def browsing(profile: Path) -> Iterator[BrowserContext]:
    """A browser whose windows are as large as :data:`SCREEN`; ``profile`` is a new folder."""
    path = chromium()
    assert path is not None, MISSING
    with sync_playwright() as playwright:
        context = playwright.chromium.launch_persistent_context(
            str(profile), executable_path=path, headless=True, args=FLAGS,
            viewport={"width": SCREEN[0], "height": SCREEN[1]},
        )  # fmt: skip
        context.set_default_timeout(PATIENCE)
        yield context
        context.close()


def on_screen(locator: Locator) -> bool:
    """Whether it lies wholly within the first screen."""
    box = locator.bounding_box()
    if box is None or not locator.is_visible():
        return False
    right, bottom = box["x"] + box["width"], box["y"] + box["height"]
    return bool(box["x"] >= 0 and box["y"] >= 0 and right <= SCREEN[0] + 1 and bottom <= SCREEN[1] + 1)


def pixels_of(page: Page, locator: Locator) -> np.ndarray[Any, Any]:
    """What an element shows, ``[row, column, colour]`` 0 to 255; lines get half a second to be drawn."""
    page.wait_for_timeout(500)
    return 255 * np.asarray(imread(io.BytesIO(locator.screenshot())))[..., :3]


def columns_in_colour(pixels: np.ndarray[Any, Any], colour: tuple[int, ...]) -> int:
    """How many columns of pixels hold this colour: a line has many, a dot a few."""
    close = (np.abs(pixels - np.array(colour)) < 24).all(axis=-1)
    return int(close.any(axis=0).sum())


if __name__ == "__main__":
    sys.exit(None if chromium() else MISSING)

"""What ``rl-transfer board`` opens with, one picture a tab: the pictures of docs/quickstart.md.

    rl-transfer sweep quickstart
    python docs/board_screenshots.py results/quickstart docs/images

Needs Chromium (Debian's package chromium) and playwright (the dev extra).
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from rl_transfer.report.board import board_folder, start_board

TABS = {
    "timeseries": "scalar-card line-chart",
    "custom_scalars": "tf-custom-scalar-margin-chart-card vz-line-chart2",
    "images": "tf-image-loader img",
    "text": "tf-text-loader table",
    "hparams": "tf-hparams-table-view .table-cell",
}
"""Tab → what is there once it has opened."""
SCREEN = (1280, 800)
PATIENCE = 120_000
"""Milliseconds until a tab that does not open is given up."""


def main() -> None:
    """Open each tab of a sweep's board and keep its first screen."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("sweep", type=Path, help="folder of a sweep with its report")
    parser.add_argument("output", type=Path, help="folder for the pictures")
    parser.add_argument("--seeds", default="longer-pole", help="target whose single runs are shown")
    parser.add_argument("--wait", type=float, default=4, help="seconds that lines have to be drawn")
    given = parser.parse_args()
    means = start_board(board_folder(given.sweep), title=given.sweep.name)
    seeds = start_board(board_folder(given.sweep, given.seeds), title=given.sweep.name)
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    with sync_playwright() as playwright, tempfile.TemporaryDirectory() as profile:
        context = playwright.chromium.launch_persistent_context(
            profile, executable_path=browser, args=["--no-sandbox", "--disable-gpu"],
            viewport={"width": SCREEN[0], "height": SCREEN[1]},
        )  # fmt: skip
        context.set_default_timeout(PATIENCE)

        def opened(address: str, ready: str) -> Page:
            page = context.new_page()
            page.goto(address)
            page.locator(ready).first.wait_for(state="visible")
            return page

        pictures(opened, means, seeds, given.output, given.wait)
        context.close()


def pictures(opened: Callable[[str, str], Page], means: str, seeds: str, output: Path, wait: float) -> None:
    """Every tab of the board at ``means``, and the curves of the one at ``seeds``.

    Args:
        opened: gives the page of an address, once what its second argument selects is there.
        means: address of the board of a sweep.
        seeds: address of that of single runs.
        output: folder for the pictures.
        wait: seconds that lines have to be drawn.
    """
    for tab, ready in TABS.items():
        page = opened(f"{means}#{tab}", ready)
        picture(page, output / f"board-{tab.replace('_', '-')}.png", wait)
    page = opened(f"{seeds}#timeseries", TABS["timeseries"])
    picture(page, output / "board-seeds.png", wait)


def picture(page: Page, path: Path, wait: float) -> None:
    """One tab as it is."""
    page.wait_for_timeout(1000 * wait)  # lines and pictures are drawn after their cards
    page.screenshot(path=path)
    Image.open(path).quantize(128).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()

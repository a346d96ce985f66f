import itertools
import math
import re
from collections.abc import Sequence

import pytest
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from analysis.hand_made import FAST, SLOW, arm, shifted, sweep
from rl_transfer.analysis import analyse
from rl_transfer.analysis.inputs import Run
from rl_transfer.analysis.model import CellKey
from rl_transfer.report import tiles
from rl_transfer.report.figures import all_figures
from rl_transfer.report.style import svg
from rl_transfer.report.tiles import crowded, jump_start_tiles, tile_map

SPREAD = (-5, -3, -1, 1, 3, 5)
SHAPES = {
    "better": [shifted(FAST, e) for e in SPREAD],
    "worse": [shifted(SLOW, e - 40) for e in SPREAD],
    "unclear": [shifted(SLOW, 20 * e) for e in SPREAD],
}


@pytest.fixture(scope="module")
def two_sources():
    """Three strategies from two sources on two targets; the better one lacks a run from one of them."""
    arms: dict[CellKey, Sequence[Run]] = {}
    for target in ("near", "far"):
        key: CellKey = (None, target, "scratch")
        arms[key] = arm(key, [shifted(SLOW, e) for e in SPREAD])
        for source, (strategy, curves) in itertools.product(("one", "two"), SHAPES.items()):
            key = (source, target, strategy)
            arms[key] = arm(key, curves)
    return analyse(sweep(arms, seeds=6, delta=0.049, q=0.2))


def drawn(axes):
    """(column, row) → tile and symbol."""
    symbols = {}
    for text in axes.texts:
        x, y = text.get_position()
        symbols[round(x), round(y, 1)] = text.get_text()
    for tile in axes.get_children():
        if not isinstance(tile, Rectangle) or not tile.get_url():
            continue
        x, y = (
            start + size / 2
            for start, size in zip(tile.get_xy(), (tile.get_width(), tile.get_height()), strict=True)
        )
        yield tile, round(x), y, symbols.get((round(x), round(y, 1)), "")


def test_tiles_say_verdict_and_hue_without_numbers(two_sources):
    figure = tile_map(two_sources)
    for axes, verdicts in zip(figure.axes, ({"≈", "▼", ""}, {"▲", "▼", ""}), strict=False):
        shown = [*drawn(axes)]
        assert {symbol for *_, symbol in shown} == verdicts
        assert len(shown) == 12
        for tile, *_, symbol in shown:
            red, _, blue = to_rgb(tile.get_facecolor())
            assert {"▲": blue > red, "▼": red > blue, "≈": min(red, blue) > 0.95, "": tile.get_width() < 0.7}[
                symbol
            ]
            assert (tile.get_facecolor()[3] < 1) == (not symbol), "on dark paper it is dark too"
    assert not any(re.search(r"\d", text.get_text()) for axes in figure.axes[:2] for text in axes.texts)


def test_sources_stand_under_their_strategy_and_tiles_lead_to_cells_with_numbers(two_sources):
    figure = tile_map(two_sources)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == ["better", "one", "two", "worse", "one", "two", "unclear", "one", "two"]
    bold = [text.get_text() for text in figure.axes[0].get_yticklabels() if text.get_fontweight() == "bold"]
    assert bold == [*SHAPES]
    page = svg(figure, "tiles")
    assert "better from two on far, sample efficiency: positive, +0.24" in page
    assert len(set(re.findall(r"#(cell-\d+)", page))) == 12


def test_jump_starts_in_tiles_are_coloured_up_to_the_largest_of_a_target(two_sources):
    (axes,) = jump_start_tiles(two_sources).axes
    shown = [*drawn(axes)]
    assert len(shown) == 12
    signs = {"better": "+", "worse": "−", "unclear": ""}
    assert sorted(symbol for *_, symbol in shown) == sorted(4 * [*signs.values()])
    assert "unclear from one on near, jump-start: " in svg(jump_start_tiles(two_sources), "start")


@pytest.mark.parametrize(("name", "many"), [("MOST_ROWS", 5), ("MOST_TARGETS", 1)])
def test_large_matrices_are_drawn_in_tiles_and_small_ones_with_numbers(two_sources, name, many, monkeypatch):
    assert not crowded(two_sources)
    _, before = next(all_figures(two_sources))
    assert any("+0.24" in text.get_text() for text in before.axes[1].texts)
    monkeypatch.setattr(tiles, name, many)
    assert crowded(two_sources)
    _, after = next(all_figures(two_sources))
    assert {text.get_text() for text in after.axes[1].texts} == {"▲", "▼"}


def test_panels_of_wide_matrices_stand_below_each_other(two_sources, monkeypatch):
    monkeypatch.setattr(tiles, "_PAPER", 1.0)
    figure = tile_map(two_sources)
    figure.draw_without_rendering()
    upper, lower = (axes.get_position() for axes in figure.axes[:2])
    assert upper.y0 > lower.y1
    assert math.isclose(upper.x0, lower.x0)

import colorsys
import itertools
import re
import struct
from dataclasses import replace
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from analysis.hand_made import FAST, SLOW, arm, shifted, sweep, two_arms
from analysis.synthetic import QUICKSTART, STRATEGIES, SyntheticSweep
from rl_transfer.analysis import analyse, read_sweep
from rl_transfer.report import curves as curves_module
from rl_transfer.report.curves import jump_start, learning_curves, profiles
from rl_transfer.report.figures import all_figures, safe_name
from rl_transfer.report.heatmap import heatmap
from rl_transfer.report.style import GAIN, LOSS, looks, png, svg, titled
from rl_transfer.report.verdict_view import small_spans
from support.untyped import untyped


def texts(figure):
    return [text.get_text() for axes in figure.axes for text in axes.texts]


def patches(figure):
    return [patch for axes in figure.axes[:2] for patch in axes.patches]


SPREAD = (-5, -3, -1, 1, 3, 5)


@pytest.fixture(scope="module")
def four_verdicts():
    """Four strategies on one target: positive, negative, equivalent, inconclusive in sample efficiency."""
    shapes: dict[str, Any] = {
        "scratch": [shifted(SLOW, e) for e in SPREAD],
        "better": [shifted(FAST, e) for e in SPREAD],
        "worse": [shifted(SLOW, e - 40) for e in SPREAD],
        "same": [shifted(SLOW, e) for e in SPREAD],
        "unclear": [shifted(SLOW, 20 * e) for e in SPREAD],
    }
    arms = {}
    for name, curves in shapes.items():
        key = (None if name == "scratch" else "base", "task", name)
        arms[key] = arm(key, curves)
    return analyse(sweep(arms, seeds=6, delta=0.049, q=0.2))


def test_the_heatmap_says_gain_and_verdict_without_colour(four_verdicts):
    figure = heatmap(four_verdicts)
    shown = texts(figure)
    assert "▲ +0.24" in shown
    assert "▼ −0.40" in shown
    assert "≈ +0.00" in shown
    assert "? +0.00" in shown
    hatched = [patch for patch in patches(figure) if patch.get_hatch()]
    inconclusive = [text for text in shown if text.startswith("?")]
    assert len(hatched) == len(inconclusive) > 0


def test_loss_and_gain_have_different_hues_and_inconclusive_is_pale(four_verdicts):
    def colour(strategy):
        row = [name for name in four_verdicts.strategies if name != "scratch"].index(strategy)
        centre = next(
            patch
            for patch in heatmap(four_verdicts).axes[1].patches
            if round(untyped(patch).get_y() + 0.46) == row
        )
        return to_rgb(centre.get_facecolor())

    better, worse = colour("better"), colour("worse")
    assert better[2] > better[0]  # blue
    assert worse[0] > worse[2]  # orange
    assert min(colour("unclear")) > 0.9


def test_the_heatmap_marks_missing_runs_flags_and_doubts(partial):
    figure = heatmap(analyse(read_sweep(partial.folder)))
    shown = texts(figure)
    assert "failed, 4 of 5 runs" in shown
    assert "!" in shown


def test_raw_targets_are_coloured_up_to_their_own_largest_gain():
    stuck = [(-200,) * 6] * 5
    for sign, curve in (
        ("+", (-200, -180, -150, -120, -110, -110)),
        ("−", (-200, -220, -250, -280, -290, -290)),
    ):
        figure = heatmap(analyse(two_arms([curve] * 5, stuck, random={"task": [-200.0]})))
        red, _, blue, _ = patches(figure)[0].get_facecolor()
        assert blue > red if sign == "+" else red > blue
        assert " ".join(figure.axes[-1].get_ylabel().split()) == "gain as a share of the target's largest"
        assert any(f"{sign}90.0" in text for text in texts(figure))


def test_learning_curves_show_every_strategy_with_its_interval_and_levels(complete):
    matrix = analyse(read_sweep(complete.folder))
    axes = learning_curves(matrix, "longer-pole").axes[0]
    labels = axes.get_legend_handles_labels()[1]
    assert labels == [
        "scratch (baseline)",
        "fine-tune",
        "frozen-trunk-new-head",
        "random-frozen (control)",
    ]
    assert len(axes.collections) == 4  # one interval each
    scale = matrix.targets["longer-pole"].scale
    heights = {float(ys[0]) for line in axes.lines if len(ys := np.asarray(line.get_ydata())) == 2}
    assert heights == {scale.random, scale.reference}
    assert any("random policy" in text.get_text() for text in axes.texts)
    band = matrix.select(target="longer-pole", strategy="fine-tune")[0].band
    assert band is not None
    curve = next(line for line in axes.lines if line.get_label() == "fine-tune")
    assert np.array_equal(curve.get_ydata(), band.mean)


def test_several_sources_get_a_panel_each(partial):
    figure = learning_curves(analyse(read_sweep(partial.folder)), "longer-pole")
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert titles[:2] == ["from cartpole", "from acrobot"]
    assert ["difference" in title for title in titles[2:]] == [True, False]  # said once for the lower row
    assert "fine-tune: 4 of 5 runs" in figure.axes[0].get_title(loc="right")


def test_wild_intervals_do_not_flatten_the_curves():
    wild = [shifted(SLOW, e) for e in (-400, 0, 0, 400)]
    axes = learning_curves(analyse(two_arms([FAST] * 4, wild, reference=100)), "task").axes[0]
    low, high = axes.get_ylim()
    assert -50 < low < 0 < 100 < high < 150


def test_with_many_sources_panels_are_small_and_the_cells_alone_have_values_and_differences(
    four_verdicts, monkeypatch
):
    figure = learning_curves(four_verdicts, "task")
    assert any("difference, " in axes.get_title(loc="left") for axes in figure.axes)
    assert 'class="note"' in svg(figure, "c")
    monkeypatch.setattr(curves_module, "_MOST_WIDE", 0)
    small = learning_curves(four_verdicts, "task")
    shown = [axes for axes in small.axes if axes.get_visible()]
    assert len(shown) == 1
    assert shown[0].get_legend_handles_labels()[1] == figure.axes[0].get_legend_handles_labels()[1]
    assert shown[0].get_ylim() == figure.axes[0].get_ylim()
    assert "differences to scratch: in every cell's details" in small.texts[0].get_text()
    assert 'class="note"' not in svg(small, "c")


def test_long_names_of_targets_stay_within_their_panels(tmp_path):
    names = [
        f"a-name-{place}-of-a-target-that-somebody-wrote-without-any-thought-of-figures" for place in range(3)
    ]
    shapes = dict.fromkeys(names, QUICKSTART["longer-pole"])
    sweep = SyntheticSweep(shapes=shapes, seeds=2, analysis={"bootstrap": 100})
    matrix = analyse(read_sweep(sweep.write(tmp_path / "sweep")))
    figure = jump_start(matrix)
    figure.draw_without_rendering()
    boxes = [axes.title.get_window_extent() for axes in figure.axes]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes)), "titles beside each other"
    figure = learning_curves(matrix, names[0])
    figure.draw_without_rendering()
    (title,) = figure.texts
    assert title.get_window_extent().width < figure.bbox.width


@pytest.mark.parametrize(("inches", "size"), [(4.5, 11.5), (12.4, 11.5), (10.0, 10.5)])
def test_titles_are_broken_where_their_figure_ends_and_their_own_lines_stay(inches, size):
    figure = Figure(figsize=(inches, 3), layout="constrained")
    figure.subplots()
    name = "Wide-MMWMW-targets-have-long-names-that-nobody-thought-of-here-or-anywhere-else"
    titled(
        figure,
        f"{name}: inside the networks at the end of training (open: at the start)\nfor the record",
        size,
    )
    figure.draw_without_rendering()
    (title,) = figure.texts
    assert title.get_window_extent().width < figure.bbox.width
    assert title.get_text().splitlines()[-1] == "for the record"
    assert name in title.get_text().replace("\n", "")


def test_jump_start_shows_every_seed(complete):
    matrix = analyse(read_sweep(complete.folder))
    axes = jump_start(matrix).axes[0]
    circles = [line for line in axes.lines if line.get_markerfacecolor() == "none"]
    assert [len(np.asarray(line.get_xdata())) for line in circles] == [5, 5, 5, 5]


def test_profiles_need_aggregates(complete, partial):
    assert profiles(analyse(read_sweep(complete.folder))) is not None
    assert "profiles" in dict(all_figures(analyse(read_sweep(complete.folder))))
    assert profiles(analyse(two_arms([FAST] * 4, [*[SLOW] * 3, None]))) is not None  # fine-tune is complete
    assert profiles(analyse(two_arms([*[FAST] * 3, None], [*[SLOW] * 3, None]))) is None


def test_strategies_differ_in_more_than_colour():
    names = ("scratch", *(f"strategy-{index}" for index in range(8)))
    arms = {}
    for name in names:
        key = (None if name == "scratch" else "base", "task", name)
        arms[key] = arm(key, [SLOW] * 4)
    styles = looks(analyse(sweep(arms)))
    shapes = [(str(look.line), look.marker) for look in styles.values()]
    assert len(set(shapes)) == len(names)
    hues = {round(colorsys.rgb_to_hsv(*to_rgb(look.colour))[0], 2) for look in styles.values()}
    assert len(hues) >= 6


def test_drawing_leaves_the_settings_of_matplotlib_alone(four_verdicts):
    before = dict(matplotlib.rcParams)
    figure = heatmap(four_verdicts)
    png(figure)
    svg(figure, "heatmap")
    assert dict(matplotlib.rcParams) == before


def test_the_heatmap_of_hundreds_of_targets_is_a_picture_too():
    assert struct.unpack(">II", png(Figure(figsize=(500, 1)))[16:24]) == (16384, 32)


def test_the_label_of_the_colours_fits_into_a_low_picture():
    arms = {}
    for target in ("raw", "scored"):
        for strategy in ("scratch", "fine-tune"):
            key = (None if strategy == "scratch" else "base", target, strategy)
            arms[key] = arm(key, [SLOW] * 4)
    figure = heatmap(analyse(sweep(arms, random={"raw": [900.0], "scored": [0.0]})))
    figure.draw_without_rendering()
    label = figure.axes[-1].yaxis.label
    assert "raw: as a share" in label.get_text().replace("\n", " ")
    extent = label.get_window_extent()
    assert extent.y0 >= 0
    assert extent.y1 <= figure.bbox.height
    assert extent.x1 <= figure.bbox.width


@pytest.mark.parametrize("count", [9, pytest.param(55, marks=pytest.mark.full)])
def test_figures_have_room_for_a_legend_of_many_strategies(count):
    """Matplotlib warns where a layout fails, and warnings are errors."""
    arms = {}
    for name in ("scratch", *(f"strategy-{index}" for index in range(count))):
        key = (None if name == "scratch" else "base", "task", name)
        arms[key] = arm(key, [SLOW] * 2)
    for _, figure in all_figures(analyse(sweep(arms, seeds=2))):
        png(figure)
        assert all(axes.get_position().height * figure.get_figheight() > 1 for axes in figure.axes)


def test_svg_repeats_and_prefixes_its_ids(four_verdicts):
    first, second = (svg(heatmap(four_verdicts), "a") for _ in range(2))
    assert first == second
    assert first.startswith("<svg")
    assert 'id="a-' in first
    assert 'id="figure_1"' not in first
    assert set(re.findall(r"url\(#([^)]*)\)", first)) <= set(re.findall(r'id="([^"]*)"', first))


def test_the_last_digits_of_a_layout_change_no_byte():
    """What a layout's solver rounds otherwise is no other figure."""

    def drawn(left):
        figure = Figure()
        figure.add_axes((left, 0.1, 0.7, 0.8)).plot([0, 1], [1, 3], marker="o")
        return svg(figure, "a")

    assert drawn(0.2) == drawn(0.2 + 1e-13)


@pytest.mark.parametrize(
    ("name", "safe"), [("longer-pole", "longer-pole"), ("a/b c", "a-b-c"), ("../x", "x"), ("//", "unnamed")]
)
def test_names_become_file_names(name, safe):
    assert safe_name(name) == safe


def test_figures_of_a_single_seed_and_of_the_baseline_alone():
    key = (None, "task", "scratch")
    for matrix in (analyse(two_arms([FAST], [SLOW])), analyse(sweep({key: arm(key, [SLOW] * 4)}))):
        figures = dict(all_figures(matrix))
        assert set(figures) == {"heatmap", "curves-task", "jump-start", "profiles"}
        assert all(png(figure).startswith(b"\x89PNG") for figure in figures.values())


def test_gains_of_more_than_a_score_have_colours_of_their_own_and_bands_end_where_values_do():
    sides = {}
    for place, middle in enumerate((165, 368)):
        curve = tuple(np.linspace(0, 100 + middle, 6))
        figure = heatmap(analyse(two_arms([curve] * 4, [SLOW] * 4, reference=100)))
        sides[place] = to_rgb(patches(figure)[0].get_facecolor())
    assert max(abs(a - b) for a, b in zip(*sides.values(), strict=True)) > 0.1


def test_thin_lines_are_seeds_and_shading_is_blue_for_gain(complete):
    matrix = analyse(read_sweep(complete.folder))
    upper, lower = learning_curves(matrix, "reversed-actions").axes[:2]
    (cell,) = matrix.select(target="reversed-actions", strategy="fine-tune")
    assert cell.band is not None
    assert cell.band.each.shape == (5, 13)
    assert np.allclose(cell.band.each.mean(axis=0), cell.band.mean)
    thin = [len(np.asarray(line.get_xdata())) for line in upper.lines if line.get_linewidth() < 0.8]
    assert thin == [5 * (13 + 1)] * 4
    faces = [untyped(each).get_facecolor()[0][:3] for each in lower.collections]
    for colour in (GAIN, LOSS):
        assert any(np.allclose(face, to_rgb(colour)) for face in faces)


def test_many_sources_have_lines_of_panels(tmp_path):
    folder = SyntheticSweep(
        shapes={"task": QUICKSTART["longer-pole"]},
        sources=("a", "b", "c"),
        seeds=3,
        strategies=STRATEGIES[:2],
    ).write(tmp_path / "sweep")
    figure = learning_curves(analyse(read_sweep(folder)), "task")
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_visible()]
    assert [title for title in titles if title.startswith("from")] == ["from a", "from b", "from c"]
    assert figure.get_figwidth() < 14


def test_a_small_unit_of_scores_is_told():
    # The last two evaluations count: finals 2.5, 3.5, 4.5, 4.5, 5.5 and 7 over random 0, so 4.58 with a
    # standard error of 0.64.
    weak = [(0, 0, 0, 0, 0, final) for final in (5, 7, 9, 9, 11, 14)]
    (said,) = small_spans(analyse(two_arms([FAST] * 6, weak)))
    assert "task: a score of 1 is worth only 4.58 ± 1.28" in said
    assert small_spans(analyse(two_arms([FAST] * 6, [SLOW] * 6))) == []


def test_bands_end_where_values_do():
    matrix = analyse(two_arms([FAST] * 4, [shifted(SLOW, e) for e in (-60, 0, 0, 60)]))
    drawn = {}
    for name, ends in (("free", (-np.inf, np.inf)), ("bounded", (0.0, 100.0))):
        cells = tuple(replace(cell, scale=replace(cell.scale, possible=ends)) for cell in matrix.cells)
        axes = learning_curves(replace(matrix, cells=cells), "task").axes[0]
        heights = np.concatenate([untyped(each).get_paths()[0].vertices[:, 1] for each in axes.collections])
        drawn[name] = (heights.min(), heights.max())
    assert drawn["free"][0] < 0 < 100 < drawn["free"][1]
    assert drawn["bounded"][0] >= 0
    assert drawn["bounded"][1] <= 100

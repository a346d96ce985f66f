"""The figure and the section of how the arms were tuned."""

import numpy as np
import pytest

from analysis.hand_made import FINE, SCRATCH, tuned
from rl_transfer.analysis import analyse
from rl_transfer.analysis.model import Matrix
from rl_transfer.report.beside import Beside
from rl_transfer.report.figures import all_figures
from rl_transfer.report.page import page
from rl_transfer.report.sensitivity import grid_axis, sensitivity
from rl_transfer.report.style import svg
from rl_transfer.results.tuning import ArmPlace

LEVELS: dict[ArmPlace, list[tuple[float | None, float | None]]] = {
    SCRATCH: [(10.0, 20.0), (30.0, 40.0), (0.0, 5.0)],
    FINE: [(50.0, 60.0), (40.0, 44.0), (70.0, None)],
}
MATRIX = analyse(tuned(LEVELS, {SCRATCH: 1, FINE: 0}))


def drawn(matrix: Matrix) -> str:
    drawings = {name: svg(figure, name) for name, figure in all_figures(matrix)}
    return page(matrix, drawings, Beside())


def test_arms_stand_over_a_logarithmic_axis_and_gains_beside_them() -> None:
    assert MATRIX.tuning is not None
    figure = sensitivity(MATRIX, MATRIX.tuning, "task")
    left, right = figure.axes
    assert left.get_xscale() == right.get_xscale() == "log"
    assert [tick.get_text() for tick in left.get_xticklabels()] == ["0.001", "0.01", "0.1"]
    (line,) = [each for each in left.lines if each.get_label() == "fine-tune"]
    assert np.asarray(line.get_ydata()) == pytest.approx([55, 42, 70])
    (gain,) = [each for each in right.lines if each.get_label() == "fine-tune"]
    assert np.asarray(gain.get_ydata()) == pytest.approx([40, 7, 67.5])
    assert np.asarray(gain.get_xdata()) == pytest.approx([0.001, 0.01, 0.1], rel=0.2)
    assert not [each for each in right.lines if "scratch" in str(each.get_label())]
    rings = [each for each in left.lines if each.get_markersize() == 11]
    assert sorted(float(np.asarray(each.get_ydata())[0]) for each in rings) == [35, 55]
    open_marks = [each for each in left.lines if each.get_markerfacecolor() == "white"]
    assert [float(np.asarray(each.get_ydata())[0]) for each in open_marks] == [70]
    assert "no verdict rests on it" in str(figure.get_suptitle())


def test_a_second_key_has_a_row_and_others_stay_at_the_choice() -> None:
    points = [
        {"algorithm.learning_rate": rate, "algorithm.use": kind} for rate in (1.0, 2.0) for kind in ("a", "b")
    ]
    levels: dict[ArmPlace, list[tuple[float, float]]]
    levels = {SCRATCH: [(0.0, 2.0)] * 4, FINE: [(1.0, 1.0), (2.0, 2.0), (3.0, 3.0), (4.0, 4.0)]}
    matrix = analyse(tuned(levels, {SCRATCH: 0, FINE: 3}, points))
    assert matrix.tuning is not None
    figure = sensitivity(matrix, matrix.tuning, "task")
    assert len(figure.axes) == 4
    lines = {
        axes.get_xlabel(): np.asarray(line.get_ydata()).tolist()
        for axes in (figure.axes[0], figure.axes[2])
        for line in axes.lines
        if line.get_label() == "fine-tune"
    }
    assert lines == {"algorithm.learning_rate": [2.0, 4.0], "algorithm.use": [3.0, 4.0]}
    assert figure.axes[0].get_xscale() == "linear", "1 and 2 are near each other"
    assert grid_axis(matrix.tuning, "algorithm.use").places == [0.0, 1.0]
    assert "scratch on task</th><td>learning_rate=1.0, use=a" in drawn(matrix).replace(' scope="row"', "")


def test_the_page_tells_what_was_chosen_and_that_it_is_exploratory() -> None:
    text = drawn(MATRIX)
    assert '<h2 id="section-tuning">Tuning</h2>' in text
    assert "exploratory, uncorrected, and no verdict rests on them" in text
    assert "learning_rate=0.001 (end of the grid)" in text
    assert "70.0 (1 run)" in text
    assert "but for arms that had no point" not in text
    text = drawn(analyse(tuned({SCRATCH: [(1, 1)] * 3, FINE: [(1, None)] * 3}, {}, untuned=[FINE])))
    assert "ran, but for arms that had no point with all its runs" in " ".join(text.split())


def test_without_tuning_there_is_no_section_and_no_figure() -> None:
    sweep = tuned({}, {})
    matrix = analyse(type(sweep)({k: v for k, v in sweep.manifest.items() if k != "tuning"}, sweep.runs))
    assert "Tuning" not in drawn(matrix)
    assert not [name for name, _ in all_figures(matrix) if name.startswith("sensitivity")]

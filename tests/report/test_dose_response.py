"""The figure of gains over severity."""

from typing import Any

import numpy as np
import pytest

from analysis.hand_made import FAST, SLOW, arm, shifted, sweep
from rl_transfer.analysis import analyse
from rl_transfer.analysis.model import Matrix
from rl_transfer.report.beside import Beside
from rl_transfer.report.dose_response import dose_response
from rl_transfer.report.figures import all_figures
from rl_transfer.report.page import page
from rl_transfer.report.style import svg

SPREAD = (-3, -1, 1, 3)
DOSES = {"heavy-1": 1.0, "heavy-0.25": 0.25, "heavy-0.5": 0.5}


def doses(*, fails: bool = False, stuck: bool = False, axis: str = "heavy") -> Matrix:
    """Fine-tuning gains less the larger the severity: by 20 per unit; beside a target of no axis."""
    arms: dict[tuple[str | None, str, str], Any] = {}
    for name, severity in {**DOSES, "other": None}.items():
        low = SLOW if not (stuck and severity == 1.0) else (0,) * 6
        scratch = (None, name, "scratch")
        arms[scratch] = arm(scratch, [shifted(low, e) for e in SPREAD] if not stuck else [low] * 4)
        curves = [shifted(FAST, e - 20 * (severity or 0)) for e in SPREAD]
        key = ("base", name, "fine-tune")
        arms[key] = arm(key, [None, *curves[1:]] if fails and severity == 0.5 else curves)
    found = sweep(arms)
    for name, severity in DOSES.items():
        found.manifest["config"]["targets"][name] |= {"axis": axis, "severity": severity}
    return analyse(found)


def test_targets_of_an_axis_stand_by_severity() -> None:
    (targets,) = doses().severity_axes.values()
    assert [info.name for info in targets] == ["heavy-0.25", "heavy-0.5", "heavy-1"]


def test_each_strategy_is_a_line_of_its_gains_with_intervals() -> None:
    matrix = doses()
    axes = dose_response(matrix, "heavy").axes[1]
    cells = [matrix.select(target=name, strategy="fine-tune")[0] for name in sorted(DOSES)]
    (line,) = [each for each in axes.lines if each.get_label() == "fine-tune"]
    assert np.asarray(line.get_xdata()) == pytest.approx([0.25, 0.5, 1.0])
    gains = [cell.comparisons["auc_gain"].gain for cell in cells]
    assert np.asarray(line.get_ydata()) == pytest.approx([gain.point for gain in gains])
    bars = [each for each in axes.lines if len(set(np.asarray(each.get_xdata()))) == 1]
    assert [tuple(np.asarray(each.get_ydata())) for each in bars] == [(g.low, g.high) for g in gains]
    # FAST has an area of 84, SLOW of 60, scratch 100 at the end: 0.24 less 0.2 per unit of severity
    assert gains[0].point == pytest.approx(0.24 - 0.05)
    assert gains[2].point == pytest.approx(0.24 - 0.2)


def test_missing_runs_break_the_line_and_leave_an_open_mark() -> None:
    axes = dose_response(doses(fails=True), "heavy").axes[1]
    (line,) = [each for each in axes.lines if each.get_label() == "fine-tune"]
    assert np.isnan(np.asarray(line.get_ydata())).tolist() == [False, True, False]
    (mark,) = [each for each in axes.lines if each.get_markerfacecolor() == "none"]
    assert np.asarray(mark.get_xdata()) == pytest.approx([0.5])


def test_gains_are_raw_where_one_target_has_no_scores() -> None:
    matrix = doses(stuck=True)
    assert [info.scale.is_raw for info in matrix.severity_axes["heavy"]] == [False, False, True]
    figure = dose_response(matrix, "heavy")
    assert "(raw)" in figure.axes[0].get_ylabel()
    (line,) = [each for each in figure.axes[1].lines if each.get_label() == "fine-tune"]
    # 84 − 60 − 20·0.25, 84 − 60 − 20·0.5, 84 − 0 − 20
    assert np.asarray(line.get_ydata()) == pytest.approx([19, 14, 64])


@pytest.mark.full
def test_the_page_shows_one_figure_an_axis_and_none_without() -> None:
    matrix = doses(axis="heavy <b>")
    figures = dict(all_figures(matrix))
    (name,) = [each for each in figures if each.startswith("dose-response")]
    text = page(matrix, {each: svg(figure, each) for each, figure in figures.items()}, Beside())
    assert f"url(#{name}-" in text
    assert text.count('<svg role="img" aria-label="Gains on ') == 1
    assert "Gains on heavy &lt;b&gt;" in text
    key = (None, "task", "scratch")
    plain = analyse(sweep({key: arm(key, [SLOW] * 4)}))
    assert not [each for each in dict(all_figures(plain)) if each.startswith("dose-response")]


def test_an_axis_of_one_target_is_none() -> None:
    matrix = doses()
    config = {"heavy-1": matrix.targets["heavy-1"], "other": matrix.targets["other"]}
    assert not Matrix.severity_axes.fget(type("Few", (), {"targets": config})())  # type: ignore[attr-defined]

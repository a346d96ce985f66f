"""The report's section on the inside of networks: a figure, sentences, a table; nothing without records."""

from typing import Any

import pytest

from analysis.test_inside import diagnosed, matrix_of, part
from rl_transfer.report.figures import all_figures, inside_name
from rl_transfer.report.inside import differences, inside_figure, section
from rl_transfer.report.markup import Html
from rl_transfer.report.style import png
from support.untyped import untyped


@pytest.fixture(scope="module")
def matrix() -> Any:
    scratch = [diagnosed(trunk=part(2 + e, saturated=0.0)) for e in (-0.1, 0.0, 0.1)]
    frozen = [diagnosed(trunk=part(4 + e, saturated=0.25, distance=0.0)) for e in (-0.1, 0.0, 0.1)]
    return matrix_of(scratch, frozen).matrix()


def test_sentences_give_both_numbers_and_no_verdict(matrix: Any) -> None:
    (said,) = differences(matrix, "task")
    assert said == (
        "fine-tune at the end: saturated units of trunk 25.0% (from scratch 0); "
        "effective rank of trunk 4.00 [3.75, 4.25] (from scratch 2.00 [1.75, 2.25])."
    )


def test_an_arm_like_scratch_is_said_to_be(matrix: Any) -> None:
    same = matrix_of([diagnosed(trunk=part(2.0))] * 2, [diagnosed(trunk=part(2.0))] * 2).matrix()
    (said,) = differences(same, "task")
    assert said == "fine-tune at the end: no interval leaves that of the from-scratch arm."


def test_the_section_has_the_figure_the_table_and_says_that_nothing_is_tested(matrix: Any) -> None:
    text = section(matrix, lambda target, _: Html(f"[{target}]"))
    assert "What happened inside" in text
    assert "no test stands behind these" in text
    assert "[task]" in text
    assert '<th scope="row">trunk: fine-tune</th>' in text
    assert "4.00 → 4.00 [3.75, 4.25]" in text
    for word in ("positive", "negative", "significant"):
        assert word not in text


def test_figures_that_are_nothing_throughout_have_no_panel(matrix: Any) -> None:
    figure = inside_figure(matrix, "task")
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["saturated units", "effective rank", "gradient agreement", "distance from the start"]
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["trunk"]
    drawn = [list(untyped(line).get_xdata()) for line in figure.axes[3].lines]
    distances = {float(each[0]) for each in drawn if each}
    assert {0.0, 0.5} <= distances
    figure.draw_without_rendering()
    ticks = [label.get_text() for label in figure.axes[3].get_xticklabels()]
    assert ticks[:3] == ["0", "0.01", "0.1"], "as plain numbers"
    assert png(figure).startswith(b"\x89PNG")


def test_without_records_there_is_no_section_and_no_figure() -> None:
    matrix = matrix_of([None] * 2, [None] * 2).matrix()
    assert section(matrix, lambda *_: Html("never")) == ""
    assert inside_name("task") not in dict(all_figures(matrix))


def test_the_report_draws_it_per_target(matrix: Any) -> None:
    assert inside_name("task") in [name for name, _ in all_figures(matrix)]

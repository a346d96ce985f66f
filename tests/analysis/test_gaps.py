"""What records say of gaps, over seeds, against numbers by hand; and the report's section."""

import json
import math
from typing import Any

import pytest

from analysis.hand_made import FAST, SCRATCH, SLOW, arm, recorded, sweep
from rl_transfer.analysis import summary
from rl_transfer.analysis.gaps import gaps
from rl_transfer.analysis.matrix import Steps
from rl_transfer.report.figures import all_figures, gaps_name
from rl_transfer.report.gaps_view import gaps_figure, gaps_section
from rl_transfer.report.markup import Html
from rl_transfer.report.style import png
from support.untyped import untyped


def at(mmd: float, p: float = 0.01) -> dict[str, Any]:
    return {"coral": 0.1, "coral_share": 0.2, "mmd": mmd, "p": p}


def layer(start: float, end: float, given: float | None = None) -> dict[str, Any]:
    conditional = None if given is None else {**at(given), "labels": {"0": [9, 9]}, "left_out": {}}
    moments = {"start": at(start, 0.004), "end": at(end, 0.2)}
    return {"features": 4, **{k: {"marginal": v, "conditional": conditional} for k, v in moments.items()}}


def measured(**layers: Any) -> dict[str, Any]:
    return {"states": {"rows": 8}, "layers": layers}


def steps(tuned: list[Any]) -> Steps:
    count = len(tuned)
    none = [{"left_out": "the run has no source"}] * count
    scratch = recorded(arm(SCRATCH, [SLOW] * count), gaps=none)
    arms = {SCRATCH: scratch, TUNED: recorded(arm(TUNED, [FAST] * count), gaps=tuned)}
    return Steps(sweep(arms, seeds=count))


THREE = [measured(input=layer(0.5, 0.5), trunk=layer(0.4, x, 0.1)) for x in (0.1, 0.2, 0.3)]
TUNED = ("base", "task", "tuned")


def test_means_intervals_and_median_p_over_seeds_by_hand() -> None:
    found = gaps(steps(THREE).arms[TUNED], 0.95)
    assert [*found] == ["input", "trunk"]
    end = found["trunk"].figures["mmd_marginal_end"]
    # 0.2 ± 4.303 · 0.1 / √3
    assert end.mean == pytest.approx(0.2)
    assert end.low == pytest.approx(0.2 - 4.3027 * 0.1 / math.sqrt(3), abs=1e-4)
    assert found["trunk"].figures["mmd_conditional_end"].mean == pytest.approx(0.1)
    assert found["trunk"].figures["coral_share_marginal_start"].mean == pytest.approx(0.2)
    assert found["trunk"].p == {
        "marginal_start": 0.004, "marginal_end": 0.2, "conditional_start": 0.01, "conditional_end": 0.01,
    }  # fmt: skip
    assert "mmd_conditional_start" not in found["input"].figures, "no label there"


@pytest.mark.parametrize(
    "damaged",
    [
        None, {}, {"left_out": "no source"}, {"layers": 3}, {"layers": {"a": 3}},
        {"layers": {"a": {"start": 1}}},
        measured(a={"features": 9000, "left_out": "more than 4,096 features"}),
        measured(a={"start": {"marginal": {"mmd": "x", "p": math.nan}}}),
    ],
)  # fmt: skip
def test_records_that_say_nothing_are_passed_over(damaged: Any) -> None:
    assert gaps(steps([damaged] * 2).arms[TUNED], 0.95) == {}


def test_summary_figure_and_section() -> None:
    matrix = steps(THREE).matrix()
    cells = {cell["strategy"]: cell for cell in json.loads(json.dumps(summary(matrix)))}
    assert cells["tuned"]["gaps"]["trunk"]["mmd_marginal_end"]["mean"] == pytest.approx(0.2)
    assert cells["tuned"]["gaps"]["trunk"]["median_p"]["marginal_end"] == 0.2
    assert "gaps" not in cells["scratch"]
    assert gaps_name("task") in [name for name, _ in all_figures(matrix)]
    figure = gaps_figure(matrix, "task")
    assert [axes.get_title() for axes in figure.axes] == ["marginal", "conditional on the label"]
    assert [each.get_text() for each in figure.axes[0].get_yticklabels()] == ["input", "trunk"]
    drawn = {round(float(x), 6) for line in figure.axes[0].lines for x in untyped(line).get_xdata()}
    assert {0.5, 0.4, 0.2} <= drawn
    assert png(figure).startswith(b"\x89PNG")
    text = gaps_section(matrix, lambda target, caption: Html(f"[{target}: {caption}]"))
    assert "[task: Gap between the source and task in every layer" in text
    assert "0.400 → 0.200" in text
    assert "0.004 → 0.2<" in text


def test_without_records_there_is_no_section() -> None:
    matrix = steps([None, None]).matrix()
    assert gaps_section(matrix, lambda *_: Html("never")) == ""
    assert gaps_name("task") not in [name for name, _ in all_figures(matrix)]

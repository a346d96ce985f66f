"""The spec's analysis settings are the analysis' own: what a config may say is what can be computed with."""

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rl_transfer.analysis import analyse, read_sweep, summary, text_table
from rl_transfer.analysis.settings import Dose, StrategyInfo, read_dose, read_settings, read_strategies
from rl_transfer.errors import ConfigError, StoreError
from rl_transfer.spec import Analysis, parse
from support.cases import EVERY

from .hand_made import FAST, SLOW, arm, shifted, sweep, two_arms

EDGES = (0.0, 5e-324, 1e-300, 1e-12, 0.5, 1.0, math.nextafter(1, 0), math.nextafter(1, 2), 1e12, 1e300)
NUMBER = st.floats(allow_nan=False, allow_infinity=False) | st.floats(0, 1) | st.sampled_from(EDGES)
ANYTHING = st.fixed_dictionaries(
    {},
    optional={
        "reference": st.sampled_from(["scratch", "threshold"]) | NUMBER,
        "threshold_share": NUMBER,
        "delta": NUMBER,
        "raw_delta": st.none() | NUMBER,
        "q": NUMBER,
        "confidence": NUMBER,
        "final_share": NUMBER,
    },
)
"""What a YAML file could say; ``bootstrap``, a mere count, is kept small for speed."""
SCATTER = (-3, -1, 1, 3)
BY_HAND: dict[str, Any] = {
    "a gain": ([FAST] * 4, [shifted(SLOW, e) for e in SCATTER]),
    "undecided": ([shifted(SLOW, 20 * e) for e in SCATTER], [shifted(SLOW, e) for e in SCATTER]),
    "chance": ([(0.0,) * 6] * 4, [(0.0,) * 6] * 4),
}


def accepted(given_settings: dict[str, Any]) -> bool:
    try:
        parse(Analysis, given_settings)
    except ConfigError:
        return False
    return True


@settings(deadline=None, max_examples=100 if EVERY else 20)
@given(ANYTHING, st.sampled_from(sorted(BY_HAND)), st.none() | st.floats(-1e3, 1e3))
def test_whatever_a_config_may_say_can_be_analysed(
    given_settings: dict[str, Any], which: str, threshold: float | None
) -> None:
    assume(accepted(given_settings))
    matrix = analyse(two_arms(*BY_HAND[which], threshold=threshold, **{"bootstrap": 2, **given_settings}))
    assert json.loads(json.dumps(summary(matrix), allow_nan=False))
    assert text_table(matrix)


@settings(deadline=None)
@given(ANYTHING)
def test_the_analysis_refuses_what_a_config_may_not_say(given_settings: dict[str, Any]) -> None:
    if accepted(given_settings):
        assert read_settings({"analysis": given_settings}) == Analysis(**given_settings)
    else:
        with pytest.raises(StoreError, match="analysis settings cannot be used"):
            read_settings({"analysis": given_settings})


def test_sweeps_of_the_first_version_still_read(tmp_path: Path) -> None:
    stored = {
        "reference": "scratch", "threshold_share": 0.8, "delta": 0.05, "raw_delta": None, "q": 0.05,
        "confidence": 0.95, "bootstrap": 10000, "final_share": 0.1,
    }  # fmt: skip
    manifest = {"schema": 1, "name": "old", "config": {"analysis": stored}, "runs": []}
    (tmp_path / "sweep.json").write_text(json.dumps(manifest), encoding="utf-8")
    assert read_sweep(tmp_path).settings == Analysis()


def test_settings_that_are_missing_or_of_another_version_do_not_stop_a_report() -> None:
    assert read_settings({}) == read_settings({"analysis": {"colour": "blue"}}) == Analysis()
    assert analyse(sweep({})).settings.bootstrap == 50


def test_the_documentation_lists_every_setting_with_its_default() -> None:
    text = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    section = text.split("## Settings")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `?([\w.]+)`? \|", section, re.MULTILINE)
    defaults = {name: str(value).lower() for name, value in Analysis().plain().items()}
    assert dict(rows) == defaults


@pytest.mark.parametrize("value", ["high", True, math.inf, [400.0]])
def test_a_threshold_that_is_no_number_is_named(value: Any) -> None:
    planned = two_arms([FAST] * 4, [SLOW] * 4)
    planned.config["targets"]["task"]["reward_threshold"] = value
    with pytest.raises(StoreError, match=r"targets\.task\.reward_threshold must be a finite number, got"):
        analyse(planned)


def test_a_strategy_that_says_nothing_has_nothing() -> None:
    said = {"bare": {}, "full": {"summary": "Copy it.", "copy": "all", "freeze": ["trunk", "head"]}}
    assert read_strategies({"strategies": said}) == {
        "bare": StrategyInfo("bare", summary="", control=False, control_for=(), copy=(), freeze=()),
        "full": StrategyInfo(
            "full", summary="Copy it.", copy=("all",), freeze=("trunk", "head"), uses_source=True
        ),
    }


@pytest.mark.parametrize(
    ("target", "dose"),
    [
        ({"axis": "gravity", "severity": 0.5}, Dose("gravity", 0.5)),
        ({"axis": "gravity"}, None),
        ({"severity": 0.5}, None),
        ({}, None),
        (None, None),
    ],
)
def test_a_target_has_a_dose_where_it_has_axis_and_severity(target: Any, dose: Dose | None) -> None:
    assert read_dose({"targets": {"moon": target, "other": {"axis": "wind", "severity": 1}}}, "moon") == dose
    assert read_dose({}, "moon") is None


def test_axes_have_their_targets_by_rising_severity_and_one_target_is_no_axis() -> None:
    doses = {"far": ("gravity", 1.0), "near": ("gravity", 0.25), "alone": ("wind", 0.5), "plain": None}
    arms: Any = {(None, name, "scratch"): arm((None, name, "scratch"), [SLOW] * 4) for name in doses}
    planned = sweep(arms)
    for name, dose in doses.items():
        if dose is not None:
            planned.config["targets"][name] |= {"axis": dose[0], "severity": dose[1]}
    matrix = analyse(planned)
    assert matrix.targets["far"].dose == Dose("gravity", 1.0)
    axes = {axis: [info.name for info in infos] for axis, infos in matrix.severity_axes.items()}
    assert axes == {"gravity": ["near", "far"]}

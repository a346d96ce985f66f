"""Gains predicted over contexts: what they are, what they say of themselves, and why there are none."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl_transfer.analysis.gaussian_process import fit_process
from rl_transfer.api.known_gains import KnownGains, read_known_gains
from rl_transfer.api.predicted_gain import gain_predictor, predicted_lines
from rl_transfer.errors import ConfigError
from rl_transfer.frame.scores import PREDICTED, SourceScores, TransferScore
from rl_transfer.rl.scores.context import context_values
from rl_transfer.spec import Environment

LENGTHS = (0.25, 0.5, 1.0, 2.0)


def cartpole(*perturb: dict[str, Any], **more: Any) -> Environment:
    return Environment(id="CartPole-v1", perturb=perturb, **more)


def poles(*lengths: float) -> tuple[Environment, ...]:
    return tuple(cartpole({"length": each}) for each in lengths)


def known(**changes: Any) -> KnownGains:
    """A gain of 100, less 50 for every doubling between the source's pole and the target's."""
    at = np.log2(LENGTHS)
    gains = 100 - 50 * np.abs(at[:, None] - at[None])
    found = KnownGains("poles", "fine-tune", "auc_gain", poles(*LENGTHS), poles(*LENGTHS), gains)
    return replace(found, **changes)


def predicted(source: Environment, target: Environment, *sweeps: KnownGains) -> TransferScore:
    return gain_predictor(sweeps or (known(),))(source, target, context_values)


def test_it_is_the_process_over_logarithms_from_0_to_1() -> None:
    target = cartpole({"length": 0.75})
    found = predicted(cartpole({"length": 0.5}), target)
    unit = np.arange(4) / 3
    points = np.array([(a, b) for a in unit for b in unit])
    process = fit_process(points, known().gains.ravel())
    mean, sd = process.predict(np.array([[1 / 3, math.log(0.75 / 0.25) / math.log(8)]]))
    assert found.value == pytest.approx(mean[0])
    wanted = math.sqrt(sd[0] ** 2 + process.noise * process.variance)
    assert found.details["sd"] == pytest.approx(wanted)
    assert found.details["high"] == pytest.approx(mean[0] + 1.96 * wanted)
    assert (found.details["pairs"], found.details["known_source"], found.details["beyond"]) == (16, True, [])
    multiple, plain = (predicted(each, target) for each in (cartpole({"length": "x1"}), cartpole()))
    assert multiple == plain == found, "0.5 m is the default"
    order = [predicted(each, target).value or math.nan for each in poles(0.5, 2.0, 0.25)]
    assert order == sorted(order, reverse=True), "nearest first"


def test_sources_and_targets_that_the_sweep_has_not_are_told() -> None:
    target = cartpole({"length": 0.75})
    near, far = (predicted(cartpole({"length": each}), target) for each in (0.5, 4.0))
    assert far.details["known_source"] is False
    assert far.details["beyond"] == ["length"]
    assert number(far, "sd") > number(near, "sd")
    told = predicted_lines({"a": scores(near), "b": scores(far), "c": scores(TransferScore.none("why"))})
    assert len(told) == 2
    assert "a: predicted gain +" in told[0]
    assert "16 pairs of poles" in told[0]
    assert "no source of that sweep" not in told[0]
    assert "beyond that sweep in length; no source of that sweep was trained where this one was" in told[1]


def number(score: TransferScore, name: str) -> float:
    found = score.details[name]
    assert isinstance(found, float)
    return found


def scores(gain: TransferScore) -> SourceScores:
    return SourceScores(0, {PREDICTED: gain})


@pytest.mark.parametrize(
    ("source", "target", "sweep", "reason"),
    [
        (Environment(id="Acrobot-v1"), cartpole(), known(), "Acrobot-v1 and CartPole-v1 are different"),
        (*2 * (Environment(id="Acrobot-v1"),), known(), "poles: it is of CartPole-v1, and the target is Acr"),
        (cartpole({"gravity": 5.0}), cartpole(), known(), "gravity is never changed in the sweep and 5 here"),
        (cartpole({"length": {"uniform": [1, 2]}}), cartpole(), known(), "length is drawn anew"),
        (cartpole({"observation_permutation": "reverse"}), cartpole(), known(), "is no single number"),
        (
            cartpole(),
            cartpole(),
            known(sources=poles(0.5, 0.5, 1.0, 1.0)),
            "2 different contexts of sources and 4 of targets, and a process is fitted from 3 of each",
        ),
        (cartpole(), cartpole(), known(gains=np.full((4, 4), math.nan)), "0 different contexts of sources"),
        (cartpole(), cartpole(), known(gains=np.full((4, 4), 5.0)), "all its pairs have the same gain"),
        (
            cartpole(),
            cartpole(),
            known(sources=tuple(cartpole({"length": x}, {"time_limit": 20}) for x in LENGTHS)),
            "time_limit.steps is set in one environment, and has no default",
        ),
        (
            *2 * (cartpole({"gravity": 5.0}),),
            known(sources=tuple(cartpole({"length": x}, {"gravity": 9.8}) for x in LENGTHS)),
            "gravity is 9.8 everywhere in the sweep and 5 here",
        ),
        (
            cartpole(),
            cartpole(),
            known(
                sources=20 * poles(*LENGTHS), gains=np.tile(known().gains, (20, 1))
            ),
            "320 pairs, and a process of more than 300",
        ),
        (
            cartpole(),
            cartpole(),
            known(sources=(Environment(id="CartPole-v1", env_module="nobody.knows"),) * 4),
            "its environments are others than CartPole-v1",
        ),
    ],
)  # fmt: skip
def test_where_nothing_is_said_it_says_why(
    source: Environment, target: Environment, sweep: KnownGains, reason: str
) -> None:
    found = predicted(source, target, sweep)
    assert found.value is None
    assert reason in found.reason


def test_what_stands_at_its_default_everywhere_hinders_nothing() -> None:
    source, target = cartpole({"length": 0.5}, {"gravity": 9.8}), cartpole({"length": 0.75})
    assert predicted(source, target) == predicted(cartpole(), target)


def test_of_several_sweeps_the_one_of_the_most_pairs_speaks() -> None:
    gains = known().gains.copy()
    gains[0, 0] = math.nan
    smaller = known(sweep="smaller", gains=gains)
    source, target = poles(0.5, 1.0)
    found = predicted(source, target, smaller, known(), known(sweep="bad", sources=poles(1, 1, 1, 1)))
    assert found.details["sweep"] == "poles"
    assert predicted(source, target, smaller).details["pairs"] == 15


def content(**changes: Any) -> dict[str, Any]:
    envs = [each.plain() for each in poles(*LENGTHS)]
    rows = [[None, *row[1:]] for row in known().gains.tolist()]
    entry = {"sweep": "poles", "sources": envs, "targets": envs, "gains": rows} | changes
    return {"weights": {"td_error": 1}, "strategy": "fine-tune", "metric": "auc_gain", "gains": [entry]}


def test_gains_are_read_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(content()), encoding="utf-8")
    (found,) = read_known_gains(path)
    assert (found.sources, found.targets) == (poles(*LENGTHS), poles(*LENGTHS))
    assert math.isnan(found.gains[0, 0])
    assert found.gains[3, 1:].tolist() == known().gains[3, 1:].tolist()
    for none in ({"td_error": 1}, {"weights": {"td_error": 1}}):
        path.write_text(json.dumps(none), encoding="utf-8")
        assert read_known_gains(path) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"gains": [[1.0]]},
        {"gains": [["1"] * 4] * 4},
        {"gains": [[True] * 4] * 4},
        {"gains": [[1e300] * 4] * 4},
        {"gains": 3},
        {"sources": [{"id": "CartPole-v1", "nonsense": 1}] * 4},
        {"targets": None},
        {"sources": [], "gains": []},
    ],
)
def test_gains_that_are_none_are_refused(wrong: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    others = [
        {**content(), "gains": 3},
        {**content(), "metric": "foo"},
        {**content(), "metric": ["auc_gain"]},
    ]
    for said in (content(**wrong), {**content(), "gains": [wrong]}, *others):
        path.write_text(json.dumps(said), encoding="utf-8")
        with pytest.raises(ConfigError, match=r"gains is not what .* calibrate again"):
            read_known_gains(path)

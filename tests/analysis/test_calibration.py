import json
import math
import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.validity.likely_negative import proofs, rates
from rl_transfer.analysis import analyse
from rl_transfer.analysis.calibration import (
    calibrate,
    chance_p,
    combined,
    conformal_threshold,
    left_out_warnings,
    nonnegative_ridge,
    standings,
    warning_rates,
)
from rl_transfer.analysis.calibration_file import calibrated, calibration_lines, played_worse
from rl_transfer.analysis.contexts import contexts
from rl_transfer.analysis.ranked_sources import PairScore, ScoreRanking, SourceRanking
from rl_transfer.analysis.ranking import rank
from rl_transfer.analysis.source_ranking import PROCESS
from rl_transfer.api.known_gains import kept_gains, read_known_gains, worth_lines
from rl_transfer.cli import main
from rl_transfer.errors import StoreError
from rl_transfer.frame.scores import SourceScores
from rl_transfer.results import write_json, write_manifest

from .hand_made import arm, sweep
from .synthetic import SyntheticSweep

RNG = np.random.default_rng(3)


def ranking(gains, scores):
    """A ranking of these gains with these scores, [source, target] each."""
    sources, targets = (
        tuple(f"{what}-{i}" for i in range(n)) for what, n in zip("st", gains.shape, strict=True)
    )
    found = []
    for name, values in scores.items():
        each = rank(values, gains, np.random.default_rng(0), 20, 0.95, 10)
        found.append(ScoreRanking(name, each, 1.0, (), PairScore(name, values, True, 0.0)))
    return SourceRanking("fine-tune", "auc_gain", sources, targets, gains, tuple(found), (), None)


def test_standings_are_ranks():
    values = np.array([[5.0, math.nan], [5.0, 1.0], [9.0, 0.0], [1.0, math.nan]])
    assert standings(values).T.tolist() == [[0.0, 0.0, 1.0, -1.0], [0.0, 1.0, -1.0, 0.0]]


def test_ridge_is_the_minimum_and_never_below_zero():
    x, y = RNG.normal(size=(40, 3)), RNG.normal(size=40)
    w = nonnegative_ridge(x, y, 2.0)

    def loss(at):
        return ((y - x @ at) ** 2).sum() + 2 * (at**2).sum()

    assert (w >= 0).all()
    for step in np.eye(3) * 1e-4:
        assert loss(w + step) >= loss(w)
        assert (w - step < 0).any() or loss(w - step) >= loss(w)


def test_a_score_that_knows_gets_the_weight_and_one_that_knows_nothing_hardly_any():
    gains = RNG.normal(size=(8, 8))
    entry = ranking(gains, {"good": gains + 0.3 * RNG.normal(size=(8, 8)), "none": RNG.normal(size=(8, 8))})
    found = calibrate([entry], 100, 0.95)
    assert sum(found.weights.values()) == pytest.approx(1)
    assert found.weights["good"] > 0.8
    assert found.combined[0].tau.point > 0.6
    warnings = found.warnings
    assert (warnings.negatives, warnings.pairs) == (int((gains < 0).sum()), 64)
    assert warnings.false_alarms.point < 0.2
    assert warnings.misses.point < 0.8
    assert warnings.p <= 0.02
    assert -1 < found.threshold < 1
    assert found.least_sources == 8


def test_a_left_out_target_takes_no_part_in_its_own_weights():
    # each score is right on half of the targets: on a target left out, the others speak for the wrong one
    gains = np.tile(np.arange(6.0)[:, None], (1, 4))
    first = gains * np.array([1, 1, -1, -1])
    found = calibrate([ranking(gains, {"first": first, "second": -first})], 50, 0.95)
    assert found.combined[0].tau.point == -1
    assert found.single[0].tau.point == -1


def test_warning_rates_by_hand():
    gains = np.array([[-1.0, 2.0], [-3.0, 4.0], [math.nan, 0.0]])
    warned = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, math.nan]])
    found = warning_rates([warned], [gains], np.random.default_rng(0), 50, 0.95)
    assert (found.false_alarms.point, found.misses.point) == (0.5, 0.5)
    assert (found.negatives, found.pairs) == (2, 4)


def test_a_target_takes_no_part_in_what_it_is_warned_by():
    rng = np.random.default_rng(5)
    gains = rng.normal(size=(8, 5))
    tables = [np.stack([standings(gains + rng.normal(0, s, gains.shape)) for s in (0.3, 2)], axis=-1)]
    (warned,) = left_out_warnings(tables, [gains])
    (other,) = left_out_warnings(tables, [gains * np.array([-1, 1, 1, 1, 1])])
    assert warned[:, 0].tolist() == other[:, 0].tolist()
    assert warned[:, 1:].tolist() != other[:, 1:].tolist()
    assert 0 < warned.sum() < warned.size


@given(st.lists(st.integers(-9, 9), max_size=60), st.floats(0.01, 0.5))
@settings(max_examples=60, deadline=None)
def test_no_more_than_the_level_lies_below_the_threshold(scores, level):
    values = np.array(scores, dtype=float)
    threshold = conformal_threshold(values, level)
    assert (values < threshold).sum() <= max(0, level * (len(values) + 1) - 1 + 1e-6)
    if level * (len(values) + 1) >= 1:
        assert (values <= threshold).sum() >= 1


def test_one_bad_source_of_six_is_no_proof():
    gains = np.tile(np.arange(-1.0, 5.0)[:, None], (1, 4))
    tables = [standings(gains)[:, :, None]]
    p = chance_p(tables, [gains], np.random.default_rng(0))
    assert p > 0.05, "the score might have named any of six"
    both = chance_p(tables * 2, [gains] * 2, np.random.default_rng(0))
    assert both < 0.1, "and any pair of 36"
    assert math.isnan(chance_p(tables, [np.abs(gains)], np.random.default_rng(0)))


def test_what_knows_nothing_hits_no_more_than_it_is_wrong():
    false, hit = rates(8, 6, 0.0, 0.3, 12)
    assert false < 0.14
    assert abs(hit - false) < 0.08
    knows = rates(8, 6, 0.9, 0.3, 6)
    assert knows[0] < 0.14
    assert knows[1] > 0.2
    assert proofs(6, 3, 10) <= 0.3


def test_combined_leaves_out_what_is_not_there():
    values = np.array([[1.0], [2.0], [3.0]])
    assert combined({"a": 0.5, "b": 0.5}, {"a": values}).ravel().tolist() == [-0.5, 0.0, 0.5]
    with pytest.raises(ValueError, match="no score"):
        combined({}, {})


def test_one_target_calibrates_nothing():
    gains = np.array([[1.0], [2.0]])
    with pytest.raises(ValueError, match="two targets"):
        calibrate([ranking(gains, {"a": gains})], 20, 0.95)


def test_contexts_are_read_or_not_compared():
    made = sweep({key: arm(key, [(0,) * 6]) for key in [("base", "task", "fine-tune")]}, seeds=1)
    matrix = analyse(made)

    def read(source, target):
        made.config["sources"] = {"base": {"env": source}}
        made.config["targets"] = {"task": {"env": target}}
        return contexts(made, matrix)

    one, two = ({"id": "CartPole-v1", "perturb": [{"length": value}]} for value in (0.5, 1.0))
    found = read(one, two)
    assert found is not None
    assert [each.tolist() for each in found] == [[[math.log(0.5)]], [[0.0]]]
    plain = {"id": "CartPole-v1", "perturb": []}
    assert read(plain, two) is None  # nobody here knows the default
    multiple = read(plain, {"id": "CartPole-v1", "perturb": [{"length": "x2"}]})
    assert multiple is not None
    assert multiple[1][0, 0] == pytest.approx(math.log(2))
    assert read(plain, plain) is None
    assert read(one, {"id": "Pendulum-v1", "perturb": [{"length": 1.0}]}) is None
    assert read(one, {"id": "CartPole-v1", "perturb": [{"length": {"uniform": [1, 2]}}]}) is None


def command(*arguments):
    with pytest.raises(SystemExit) as end:
        main([*arguments])
    return end.value.code or 0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = SyntheticSweep(seeds=2, sources=("one", "two"), analysis={"bootstrap": 50})
    return made.write(tmp_path_factory.mktemp("several") / "sweep")


def test_the_command_writes_a_file_that_says_what_it_rests_on(folder, tmp_path, capsys):
    target = tmp_path / "calibration.json"
    assert command("calibrate", str(folder), "--output", str(target)) == 0
    data = json.loads(target.read_text())
    assert data["sweeps"][0]["digest"] == json.loads((folder / "sweep.json").read_text())["digest"]
    assert data["strategy"] == "fine-tune"
    assert set(data["weights"]) == {"zero_shot_return", "source_quality", "source_budget"}
    assert "likely negative" in capsys.readouterr().out
    assert data["gains"] == [], "its config names no environments"
    assert calibration_lines(calibrated([folder], None, "asymptotic_gain"))


def test_gains_are_kept_with_the_environments_of_sources_and_targets(folder, tmp_path):
    file = calibrated([folder], None, "auc_gain")
    manifest = json.loads((folder / "sweep.json").read_text())
    config, targets = manifest["config"], file.rankings[0].targets
    config["sources"]["one"]["env"] = {"id": "CartPole-v1", "perturb": [{"length": 1.0}]}
    for name in targets[1:]:
        config["targets"][name]["env"] = {"id": "CartPole-v1"}
    write_manifest(tmp_path, manifest)
    path = tmp_path / "calibration.json"
    write_json(path, {**file.data, "gains": kept_gains([tmp_path], file)})
    (kept,) = read_known_gains(path)
    assert (kept.sweep, kept.strategy, kept.metric) == ("synthetic", "fine-tune", "auc_gain")
    assert [each.perturb for each in kept.sources] == [({"length": 1.0},)], "that of two is at home nowhere"
    assert len(kept.targets) == len(targets) - 1 > 0
    assert kept.gains.tolist() == [file.rankings[0].gains[0, 1:].tolist()]


def test_what_predicted_gains_are_worth_stands_beside_context_distance(folder):
    file = calibrated([folder], None, "auc_gain")
    assert worth_lines(file) == [], "no process over the contexts of this sweep"
    gains = RNG.normal(size=(4, 4))
    entry = ranking(gains, {"context_distance": -gains})
    entry = replace(entry, controls=ranking(gains, {PROCESS: gains}).scores)
    (_, told) = worth_lines(replace(file, names=("poles",), rankings=(entry,)))
    assert re.fullmatch(
        r"  poles: Gaussian process over contexts τ \+1\.0.* regret 0%; "
        r"context distance τ -1\.0.* regret 100%",
        told,
    )


def test_weights_of_nothing_but_zero_are_told_with_what_follows(folder):
    file = calibrated([folder], None, "auc_gain")
    none = replace(file, found=replace(file.found, weights=dict.fromkeys(file.found.weights, 0.0)))
    assert "weights: all 0" in calibration_lines(none)[0]
    assert "`recommend --calibration` refuses this file" in calibration_lines(none)[0]


def test_without_a_calibration_it_is_said_of_sources_that_play_worse_than_random_actions(folder):
    def scored(*differences):
        random = (100.0, 120.0, 140.0)
        returns = tuple(a + b for a, b in zip(random, differences, strict=True))
        return {"source_scores": SourceScores(9, {}, returns, (1, 1, 1), random).plain()}

    pairs = {
        ("s-0", "t-0"): scored(-10, -11, -12),
        ("s-1", "t-0"): scored(-10, -11, 12),  # the interval of the differences reaches above 0
        ("s-0", "t-1"): {},
        ("s-1", "t-1"): scored(10, 11, 12),
    }
    keys = {(*pair, "fine-tune"): found for pair, found in pairs.items()}
    made = sweep({key: arm(key, [(1,) * 6], **found) for key, found in keys.items()}, seeds=1)
    gains = np.array([[-1.0, 1.0], [-2.0, 3.0]])
    warned = played_worse(made, ranking(gains, {"x": gains}))
    assert np.array_equal(warned, [[1.0, math.nan], [0.0, 0.0]], equal_nan=True)
    rates = warning_rates([warned], [gains], np.random.default_rng(0), 50, 0.95)
    assert (rates.false_alarms.point, rates.misses.point, rates.negatives, rates.pairs) == (0.0, 0.5, 2, 3)
    file = calibrated([folder], None, "auc_gain")
    assert not file.uncalibrated.pairs, "no run was scored"
    told = calibration_lines(replace(file, uncalibrated=rates))
    assert "2 pairs of 3 lost; false alarms 0%, misses 50%" in told[-1]


def test_what_cannot_be_calibrated_is_refused(folder, tmp_path):
    with pytest.raises(StoreError, match="no judged metric 'auc'"):
        calibrated([folder], None, "auc")
    with pytest.raises(StoreError, match="no finished cells of several sources for 'align'"):
        calibrated([folder], "align", "auc_gain")
    one = SyntheticSweep(seeds=2, analysis={"bootstrap": 50}).write(tmp_path / "one")
    with pytest.raises(StoreError, match="ranks no sources"):
        calibrated([one], None, "auc_gain")
    assert command("calibrate", str(tmp_path / "nowhere"), "-o", str(tmp_path / "x.json")) == 7

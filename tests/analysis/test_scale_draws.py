"""Constants of scores that are estimates are drawn along with the runs: by hand, and by coverage."""

import math
from dataclasses import replace

import numpy as np
import pytest

from analysis.hand_made import FAST, SLOW, shifted, two_arms
from benchmarks.validity.profiles import coverage
from rl_transfer.analysis import analyse
from rl_transfer.analysis.bootstrap import interquartile_mean, performance_profile
from rl_transfer.analysis.cluster_bootstrap import weighted_iqm_rows
from rl_transfer.analysis.scale_draws import ScaledRuns, drawn_scores, needs_drawn_scales, shares_above
from rl_transfer.analysis.score_scale import ScoreScale
from rl_transfer.analysis.special import t_quantile
from rl_transfer.analysis.tolerance import UNDECLARED

KNOWN = ScoreScale("number", 0.0, 100.0, UNDECLARED, random_returns=(0.0, 0.0))
FINALS = {"a": 80.0, "b": 100.0, "c": 120.0}
ESTIMATED = replace(KNOWN, mode="scratch", finals=FINALS)


def test_what_is_known_is_not_drawn():
    generator = np.random.default_rng(0)
    scores = drawn_scores(np.array([[50.0, 200.0]]), [(KNOWN, 2)], 3, generator, student=True)
    assert scores.tolist() == [[0.5, 2.0]] * 3
    assert not needs_drawn_scales([KNOWN], {"a"})
    assert needs_drawn_scales([KNOWN, ESTIMATED], {"x"})
    assert needs_drawn_scales([replace(KNOWN, random_returns=(-1.0, 1.0))], {"a"})
    assert not needs_drawn_scales([ESTIMATED], {"x", "a"}), "its own mean is the unit"
    assert not needs_drawn_scales([replace(KNOWN, finals=FINALS)], {"x"}), "finals that are no reference"


@pytest.mark.parametrize("student", [True, False])
def test_spans_scatter_as_the_mean_of_few_runs_does(student):
    """Finals 80, 100, 120: a standard error of 20 / √3; scores of 100 are 100 / span."""
    drawn = drawn_scores(
        np.array([[100.0]]), [(ESTIMATED, 1)], 40_000, np.random.default_rng(1), student=student
    )
    spans = np.sort(100 / drawn[:, 0])
    assert spans[0] > 0
    error = 20 / math.sqrt(3)
    half = t_quantile(0.75, 2) * error if student else 0.6745 * error * math.sqrt(2 / 3)
    middle = np.quantile(spans, [0.25, 0.5, 0.75])
    assert middle == pytest.approx([100 - half, 100, 100 + half], abs=0.5)


def test_spans_that_are_not_above_0_are_drawn_again_also_alone():
    close = replace(ESTIMATED, random=95.0, random_returns=(0.0, 190.0))
    generator = np.random.default_rng(5)
    for _ in range(200):
        (score,) = drawn_scores(np.array([[1e6]]), [(close, 1)], 1, generator, student=True)[0]
        assert score > 0


def test_runs_of_one_target_share_its_constants_in_a_draw():
    returns = np.array([[50.0, 100.0, 100.0]])
    other = replace(ESTIMATED, finals={name: 2 * each for name, each in FINALS.items()}, reference=200.0)
    parts = [(ESTIMATED, 2), (other, 1)]
    drawn = drawn_scores(returns, parts, 50, np.random.default_rng(2), student=True)
    assert drawn[:, 1] == pytest.approx(2 * drawn[:, 0])
    assert abs(np.corrcoef(drawn[:, 1], drawn[:, 2])[0, 1]) < 0.5


def test_both_statistics_are_those_of_the_values_written_out():
    generator = np.random.default_rng(3)
    scores = generator.normal(size=(20, 9))
    weights = generator.multinomial(9, np.full(9, 1 / 9), size=20)
    grid = np.linspace(-1, 1, 7)
    written = [np.repeat(row, counts) for row, counts in zip(scores, weights, strict=True)]
    expected = [interquartile_mean(each) for each in written]
    assert weighted_iqm_rows(scores, weights.astype(float)) == pytest.approx(expected)
    shares = [performance_profile(each, grid) for each in written]
    assert shares_above(scores, weights.astype(float), grid) == pytest.approx(np.array(shares))


def test_policies_are_drawn_with_their_runs():
    """All runs of one policy alike, constants known: a draw of one policy is its score."""
    runs = ScaledRuns([np.array([0.0, 100.0])] * 3, [KNOWN] * 3, [0, 1] * 3)
    draws = runs.draws(weighted_iqm_rows, np.random.default_rng(4), 200)
    assert {*draws.tolist()} <= {0.0, 0.5, 1.0}
    assert {0.0, 1.0} <= {*draws.tolist()}


def test_a_sweeps_aggregates_know_that_their_unit_is_an_estimate():
    spread = (-20, -10, 10, 20)
    fast = [shifted(FAST, e / 10) for e in spread]
    widths = []
    for wide in (1, 0.05):
        matrix = analyse(two_arms(fast, [shifted(SLOW, wide * e) for e in spread]))
        (base, tuned) = (
            {each.strategy: each for each in matrix.aggregates}[n] for n in ("scratch", "fine-tune")
        )
        found = tuned.iqm["final_performance"]
        assert found.low < found.point < found.high
        widths.append(found.high - found.low)
        assert base.iqm["final_performance"].point == pytest.approx(1)
    assert widths[0] > 2 * widths[1], "the arm's own spread is the same"


@pytest.mark.parametrize("fed", [True, False])
def test_intervals_cover_where_those_of_a_known_scale_do_not(fed):
    """In small: docs/validity.md has the table."""
    known, drawn, wider = coverage(1.5, 10, 100, fed=fed)
    assert known < 0.85
    assert drawn > 0.9
    assert wider > 1.5

import itertools
import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from benchmarks.validity.ranking import coverage, false_alarms
from rl_transfer.analysis import Run, analyse, ranking_data, text_table
from rl_transfer.analysis.ranking import kendall_tau, mean_taus, rank, regrets
from rl_transfer.analysis.source_ranking import other_seeds
from rl_transfer.report.markup import Html
from rl_transfer.report.ranking_view import ranking_section

from .hand_made import SCRATCH, STEPS, arm, sweep

Arms = dict[tuple[str | None, str, str], tuple[Run, ...]]


def weights(count):
    return np.ones((1, count))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-3, 3), st.integers(-3, 3)), min_size=2, max_size=9))
def test_tau_is_scipys(pairs):
    x, y = (np.array(each, dtype=float) for each in zip(*pairs, strict=True))
    expected = kendalltau(x, y).statistic
    found = kendall_tau(x, y)
    assert (math.isnan(found) and math.isnan(expected)) or found == pytest.approx(expected, abs=1e-12)


def test_a_source_drawn_twice_is_no_pair_with_itself():
    scores, gains = np.array([[1.0], [2.0], [3.0]]), np.array([[10.0], [30.0], [20.0]])
    # sources 0, 0 and 1: the two pairs of 0 and 1 are alike
    assert mean_taus(scores, gains, np.array([[2.0, 1.0, 0.0]]), weights(1)).tolist() == [1.0]
    # 1 and 2 twice: 0-1 alike, 0-2 twice alike, 1-2 twice unlike: (1 + 2 − 2) / 5
    assert mean_taus(scores, gains, np.array([[1.0, 1.0, 2.0]]), weights(1)) == pytest.approx([0.2])


def test_a_score_that_tells_nothing_apart_ranks_none_and_equal_gains_leave_nothing_to_rank():
    flat, gains = np.zeros((4, 2)), np.array([[1.0, 5.0], [2.0, 5.0], [3.0, 5.0], [4.0, 5.0]])
    found = rank(flat, gains, np.random.default_rng(0), 50, 0.95)
    assert found.tau.point == 0
    assert (found.taus[0], math.isnan(found.taus[1])) == (0, True)
    # at random: best 4, mean 2.5
    assert found.regrets == (1.5, 0.0)
    assert found.regret_shares == (0.5, 0.0)
    nothing = rank(gains, flat, np.random.default_rng(0), 50, 0.95)
    assert math.isnan(nothing.tau.point)
    assert math.isnan(nothing.p)


def test_regret_by_hand():
    scores = np.array([[3.0, math.nan], [3.0, 2.0], [1.0, 1.0]])
    gains = np.array([[4.0, 9.0], [8.0, 7.0], [0.0, 1.0]])
    lost, share = regrets(scores, gains, weights(3))
    # two sources tie for the first place on one target; one has no score on the other, and is the best there
    assert lost.tolist() == [[2.0, 2.0]]
    assert share.tolist() == [[0.25, 0.25]]


def test_p_is_exact_with_few_sources():
    scores = np.array([[1.0], [2.0], [3.0], [4.0]])
    found = rank(scores, scores, np.random.default_rng(0), 20, 0.95)
    assert found.p == 1 / 24
    assert rank(-scores, scores, np.random.default_rng(0), 20, 0.95).p == 1


def test_draws_of_one_source_are_counted_and_limits_rest_on_the_others():
    gains = np.tile([[1.0], [2.0], [3.0], [4.0]], (1, 4))
    found = rank(gains, gains, np.random.default_rng(1), 4000, 0.95)
    assert 0 < found.degenerate < 4000 * 4 * (1 / 4) ** 4 * 2  # all four draws the same source: 1/64
    assert (found.tau.low, found.tau.high) == (1, 1)
    three = rank(gains[:3], gains[:3], np.random.default_rng(1), 100, 0.95)
    assert not three.tau.limited
    assert three.degenerate == 0


@given(st.integers(2, 6), st.integers(1, 4), st.integers(0, 2**16))
@settings(max_examples=30, deadline=None)
def test_mean_tau_is_the_mean_of_taus(sources, targets, seed):
    rng = np.random.default_rng(seed)
    scores, gains = rng.normal(size=(2, sources, targets))
    each = [kendall_tau(scores[:, j], gains[:, j]) for j in range(targets)]
    assert mean_taus(scores, gains, weights(sources), weights(targets)) == pytest.approx([np.mean(each)])


def test_other_seeds_by_hand():
    by_seed = np.array([[[1.0, 1.0]], [[2.0, 0.0]]])
    # seed 0 says the second source, seed 1 the first: each is wrong of the other
    found = other_seeds(by_seed)
    assert found is not None
    assert (found.tau, found.regret_share, found.seeds) == (-1, 1, 2)
    assert other_seeds(by_seed[:, :, :1]) is None


def several(levels, scratch=(0, 0), starts=None, **record):
    """Sources that end at these levels on a target, flat curves; what each returned there before training."""
    arms: Arms = {SCRATCH: arm(SCRATCH, [(v,) * len(STEPS) for v in scratch])}
    for place, each in enumerate(levels):
        key = (f"source-{place}", "task", "fine-tune")
        curves = [None if v is None else (v,) * len(STEPS) for v in each]
        start = {} if starts is None else {"zero_shot": {"returns": [starts[place]]}}
        arms[key] = arm(key, curves, **start, **record)
    strategies = {"fine-tune": {"copy": ["all"]}}
    return sweep(arms, seeds=len(scratch), strategies=strategies)


def by_metric(matrix, metric="asymptotic_gain"):
    (found,) = [each for each in matrix.rankings if each.metric == metric]
    return found


def test_a_sweep_of_several_sources_says_how_its_scores_rank():
    matrix = analyse(several([(10, 12), (30, 32), (20, 22)], scratch=(1, 3), starts=[5.0, 9.0, 4.0]))
    found = by_metric(matrix)
    assert found.gains.tolist() == [[9.0], [29.0], [19.0]]
    scores = {each.name: each for each in found.scores}
    start = scores["zero_shot_return"]
    assert start.ranking.tau.point == pytest.approx(1 / 3)
    assert start.chosen == (("source-1",),)
    assert start.ranking.regret.point == 0
    assert scores["source_quality"].ranking.tau.point == 0  # all have scored 90
    assert scores["source_quality"].ranking.regret_share.point == pytest.approx((29 - 19) / 20)
    assert found.other_seeds is not None
    assert found.other_seeds.tau == 1
    data = json.loads(json.dumps(ranking_data(matrix), allow_nan=False))
    assert data[0]["scores"][0]["score"] == "zero_shot_return"
    assert data[0]["better_than_chance"] == []
    assert "zero-shot return +0.33" in text_table(matrix)
    assert "No score is shown to rank better than chance." in text_table(matrix).replace("\n", " ")


def test_scored_runs_say_more_and_lower_may_be_better():
    def scored(value):
        entry = {"value": value, "higher_is_better": False}
        return {"steps": 2048, "scores": {"context_distance": entry, "logme": {"value": None}}}

    levels, distances = [(10, 12), (30, 32), (20, 22)], [3.0, 1.0, 2.0]
    arms: Arms = {SCRATCH: arm(SCRATCH, [(0,) * 6, (0,) * 6])}
    for place, (each, distance) in enumerate(zip(levels, distances, strict=True)):
        key = (f"source-{place}", "task", "fine-tune")
        arms[key] = arm(key, [(v,) * 6 for v in each], source_scores=scored(distance))
    matrix = analyse(sweep(arms, seeds=2, strategies={"fine-tune": {"copy": ["all"]}}))
    best = by_metric(matrix).scores[0]
    assert best.name == "context_distance"
    assert best.ranking.tau.point == 1
    assert best.score.steps == 2048
    assert "logme" not in {each.name for each in by_metric(matrix).scores}


def test_cells_that_lack_runs_are_not_ranked_and_one_source_is_none():
    matrix = analyse(several([(10, 12), (30, None), (20, 22)], scratch=(1, 3), starts=[5.0, 9.0, 4.0]))
    found = by_metric(matrix)
    assert np.isnan(found.gains[1]).all()
    start = next(each for each in found.scores if each.name == "zero_shot_return")
    assert start.ranking.pairs == 2
    assert start.ranking.tau.point == -1
    one = analyse(several([(10, 12)], scratch=(1, 3), starts=[5.0]))
    assert one.rankings == ()
    assert "ranking" not in text_table(one)


def test_the_page_has_every_score_and_control():
    matrix = analyse(several([(10, 12), (30, 32), (20, 22)], scratch=(1, 3), starts=[5.0, 9.0, 4.0]))
    page = str(ranking_section(matrix, lambda entry, caption: Html(caption)))
    for text in ("zero-shot return", "source's own score", "at random (control)", "gains of other seeds"):
        assert text.replace("'", "&#x27;") in page or text in page
    assert str(ranking_section(analyse(several([(10, 12)])), lambda entry, caption: Html(caption))) == ""


def test_limits_hold_and_chance_is_seldom_called_better():
    tau, regret, share = coverage(sources=5, targets=5, rho=0.6, draws=30, resamples=300)
    assert min(tau, regret, share) > 0.85
    assert false_alarms(sources=5, targets=5, draws=30) < 0.2


def test_permutations_of_sources_keep_targets_together():
    # one source is best everywhere by both: of 3! orders, two keep it in its place
    scores = np.tile([[9.0], [1.0], [1.0]], (1, 50))
    found = rank(scores, scores, np.random.default_rng(0), 10, 0.95)
    orders = [*itertools.permutations(range(3))]
    assert found.p == sum(order[0] == 0 for order in orders) / len(orders)


def test_a_single_source_is_ranked_by_nothing_and_breaks_nothing():
    assert math.isnan(kendall_tau([1.0], [2.0]))

"""Aggregates over targets: limits by hand, order of what is missing, a stream for every strategy."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rl_transfer.analysis import aggregate, analyse
from rl_transfer.analysis.bootstrap import iqm_interval, stratified_bootstrap
from rl_transfer.analysis.cluster_bootstrap import few_tail
from rl_transfer.analysis.matrix import Steps
from rl_transfer.report.sections import aggregate_table
from rl_transfer.seeding import generator

from .hand_made import arm, lost, recorded, sweep

SPREAD = (-3, -1, 1, 3)


def finals(source_run=None, **heights):
    """Fine-tune ends at these scores on these targets, fed by nothing or by one policy per seed; random is 0,
    the reference 1."""
    arms = {}
    for target, values in heights.items():
        for source, strategy in ((None, "scratch"), ("base", "fine-tune")):
            key = (source, target, strategy)
            found = arm(key, [[value] * 6 for value in (values if source else [1.0] * len(values))])
            fed = [source_run and source_run(run.seed) for run in found]
            arms[key] = recorded(found, source_run=fed)
    return sweep(arms, reference=1)


def tuned(given):
    (found,) = (entry for entry in analyse(given).aggregates if entry.strategy == "fine-tune")
    return found


def test_a_profile_without_spread_inside_its_targets_has_no_width():
    # One target at 0.25 and one at 1, all runs alike: above τ are both, then one, then none; not *at* 1.
    profile = tuned(finals(low=[0.25] * 4, high=[1.0] * 4)).profile
    assert profile is not None
    expected = [1.0 if tau < 0.25 else 0.5 if tau < 1 else 0.0 for tau in profile.thresholds]
    assert expected[10:12] == [0.5, 0.5], "0.25 is itself a threshold"
    for found in (profile.share, profile.low, profile.high):
        assert found.tolist() == expected


@pytest.mark.parametrize(("confidence", "tail"), [(0.95, 0.025), (0.9, 0.05)])
def test_the_limits_of_a_profile_are_percentiles_of_its_draws(monkeypatch, confidence, tail):
    draws = np.linspace(0, 1, 1001)[:, None] + np.zeros(41)
    monkeypatch.setattr(aggregate, "stratified_bootstrap", lambda *arguments: draws)
    given = finals(task=[0.0, 0.5, 0.5, 1.0])
    given.config["analysis"]["confidence"] = confidence
    profile = tuned(given).profile
    assert profile is not None
    assert profile.low == pytest.approx([tail] * 41)
    assert profile.high == pytest.approx([1 - tail] * 41)


def test_the_draws_of_a_profile_are_shares_of_scores_above_each_threshold():
    given = finals(task=[0.0, 0.25, 0.25, 1.0, 1.5], other=[0.5, -1.0, 0.75, 0.8, 2.0])
    strata = [[0.0, 0.25, 0.25, 1.0, 1.5], [0.5, -1.0, 0.75, 0.8, 2.0]]
    stream = generator(given.root_seed, "bootstrap", "matrix", "base", "fine-tune")
    for _ in aggregate.SUMMED:
        stratified_bootstrap(strata, lambda values: values[:, 0], stream, 50)
    drawn = stratified_bootstrap(strata, lambda values: values, stream, 50)
    profile = tuned(given).profile
    assert profile is not None
    shares = np.stack([(drawn > tau).mean(axis=1) for tau in profile.thresholds], axis=1)
    tail = (1 - 0.95) / 2
    low, high = np.quantile(shares, [tail, 1 - tail], axis=0)
    assert (profile.low.tolist(), profile.high.tolist()) == (low.tolist(), high.tolist())


def test_what_is_missing_is_named_in_order_and_no_run_counts():
    names = [f"task-{letter}" for letter in "hcbgfade"]
    complete = finals(**{name: [0.5] * 4 for name in names})
    gone = tuned(lost(complete, strategy="fine-tune", seed=0))
    assert gone.reason == f"runs are missing on {', '.join(sorted(names))}"
    assert (gone.runs, gone.profile) == (0, None)
    assert all(math.isnan(found.point) for found in gone.iqm.values())


def test_every_strategy_of_every_source_has_a_stream_of_its_own():
    scores = [0.5 + 0.1 * e for e in SPREAD]
    found = tuned(finals(task=scores)).iqm["final_performance"]
    stream = generator(0, "bootstrap", "matrix", "base", "fine-tune")
    expected = iqm_interval([scores], stream, 50, 0.95)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    other = iqm_interval([scores], generator(0, "bootstrap", "matrix", "", "fine-tune"), 50, 0.95)
    assert (other.low, other.high) != (expected.low, expected.high)


def own(seed):
    return f"base-{seed}"


def test_policies_are_drawn_with_their_runs_on_all_targets():
    """The same five scores on twelve targets tell no more of policies than on one of them."""
    scores = [0.1, 0.3, 0.5, 0.6, 0.9]
    (single, many), (apart, together) = (
        [
            tuned(finals(fed, **{f"task-{place}": scores for place in range(count)})).iqm["auc"]
            for count in (1, 12)
        ]
        for fed in (own, None)
    )
    assert many.high - many.low > 0.8 * (single.high - single.low)
    assert together.high - together.low < 0.5 * (apart.high - apart.low)


def test_a_profile_of_fed_runs_is_drawn_by_policy():
    given = finals(own, task=[0.0, 0.25, 0.25, 1.0, 1.5], other=[0.5, -1.0, 0.75, 0.8, 2.0])
    profile = tuned(given).profile
    stream = generator(given.root_seed, "bootstrap", "matrix", "base", "fine-tune")
    values = np.array([0.0, 0.25, 0.25, 1.0, 1.5, 0.5, -1.0, 0.75, 0.8, 2.0])
    for _ in aggregate.SUMMED:
        stream.multinomial(5, [0.2] * 5, size=50)
    counts = np.tile(stream.multinomial(5, [0.2] * 5, size=50), 2)
    drawn = [[np.repeat(values, row) > tau for tau in profile.thresholds] for row in counts]
    shares = np.array([[each.mean() for each in row] for row in drawn])
    tail = few_tail(5, 0.95)
    assert profile.low == pytest.approx(np.quantile(shares, tail, axis=0))
    assert profile.high == pytest.approx(np.quantile(shares, 1 - tail, axis=0))


def test_checkpoints_are_no_sample_of_policies():
    """One policy for all: runs are drawn target by target, and the aggregate says what it speaks of."""
    heights = {"task": [0.1, 0.3, 0.5, 0.6], "other": [0.5, 0.7, 0.8, 0.9]}
    fed, unfed = tuned(finals(lambda seed: "base", **heights)), tuned(finals(**heights))
    assert fed.mark == "this checkpoint"
    assert unfed.mark == tuned(finals(own, **heights)).mark == ""
    assert fed.iqm == unfed.iqm
    assert "8 runs on 2 targets, this checkpoint" in aggregate_table(
        analyse(finals(lambda seed: "base", **heights))
    )


def test_policies_that_feed_some_targets_only_are_drawn_all_the_same():
    """Cells of a seed plan stop at different looks: policies 4 and 5 feed one target."""
    given = finals(own, task=[0.1, 0.3, 0.5, 0.6, 0.7, 0.9], other=[0.5, 0.7, 0.8, 0.9])
    (arms,) = ([arm for arm in Steps(given).arms.values() if arm.strategy == "fine-tune"],)
    cut = [replace(each, problems={}) for each in arms]
    scales = Steps(given).scales
    (found,) = aggregate.aggregate({("base", "fine-tune"): cut}, scales, given.settings, 0)
    assert found.runs == 10
    assert found.iqm["auc"].low < found.iqm["auc"].point < found.iqm["auc"].high

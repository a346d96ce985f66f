"""Aggregates over targets: limits by hand, order of what is missing, a stream for every strategy."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rl_transfer.analysis import Sweep, aggregate, analyse
from rl_transfer.analysis.bootstrap import iqm_interval, stratified_bootstrap
from rl_transfer.seeding import generator

from .hand_made import arm, sweep

SPREAD = (-3, -1, 1, 3)


def finals(**heights):
    """Fine-tune ends at these scores on these targets; the reference is 1, random is 0."""
    arms = {}
    for target, values in heights.items():
        for source, strategy in ((None, "scratch"), ("base", "fine-tune")):
            key = (source, target, strategy)
            arms[key] = arm(key, [[value] * 6 for value in (values if source else [1.0] * len(values))])
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
    runs = tuple(
        replace(run, record=None, curve=None, problem="failed: boom")
        if (run.strategy, run.seed) == ("fine-tune", 0)
        else run
        for run in complete.runs
    )
    gone = tuned(Sweep(complete.manifest, runs))
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

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import t as student

from rl_transfer.analysis import power
from rl_transfer.analysis.arm_statistics import Interval, welch_error, welch_interval
from rl_transfer.analysis.power import SeedRange, fresh_seeds, smallest_p, smallest_seeds
from rl_transfer.analysis.verdict import Evidence, Verdict, decide
from support.untyped import untyped


def judged(point, low, high, p=0.01, within=1.0, runs=5, delta=0.05, **options):
    relevance = (point >= delta) - (point <= -delta)
    evidence = Evidence(Interval(point, low, high), relevance, p, within, runs)
    return decide(evidence, delta=delta, q=0.05, **options)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((0.3, 0.1, 0.5), "positive"),
        ((0.05, 0.01, 0.09), "positive"),  # point = δ counts
        ((0.04, 0.01, 0.07), "inconclusive"),  # too small to matter, not shown to be equivalent
        ((0.04, 0.031, 0.049, 0.01, 0.04), "equivalent"),  # significant, but irrelevant
        ((0.3, 0.0, 0.6), "inconclusive"),  # the limit itself is not above 0
        ((0.3, 0.1, 0.5, 0.05), "inconclusive"),  # p must be below q
        ((-0.3, -0.5, -0.1), "negative"),
        ((-0.05, -0.09, -0.01), "negative"),
        ((-0.3, -0.6, 0.0), "inconclusive"),
        ((-0.3, -0.5, -0.1, 0.05), "inconclusive"),
        ((0.0, -0.06, 0.06, 1.0, 0.04), "equivalent"),  # each test has 5 %: the 95 % interval may be wider
        ((0.0, -0.05, 0.05, 1.0, 0.05), "inconclusive"),
        ((0.06, 0.0, 0.07, 1.0, 0.01), "inconclusive"),  # a point beyond δ is never equivalent
        ((0.3, 0.1, 0.5, 0.01, 1.0, 3), "inconclusive"),
        ((0.0, 0.0, 0.0, 1.0, 0.0, 3), "inconclusive"),
        ((0.3, math.nan, math.nan), "inconclusive"),
        ((0.3, 0.1, 0.5, 0.01, 1.0, 5, 0.0), "positive"),  # without a declared δ
        ((0.0, -1.0, 1.0, 1.0, 1.0, 5, 0.0), "inconclusive"),
    ],
)
def test_verdict_rules(arguments, expected):
    assert judged(*arguments)[0] == expected


def test_an_obstacle_overrules_everything_and_is_the_reason():
    found = judged(1, 0.9, 1.1, 0.001, 0.001, runs=9, obstacle="a run is missing")
    assert found == (Verdict.INCONCLUSIVE, "a run is missing")


@settings(deadline=None)
@given(st.floats(-2, 2), st.floats(0, 1), st.floats(0, 1), st.floats(0, 1), st.integers(4, 20))
def test_mirrored_data_get_the_mirrored_verdict(point, half, p, within, runs):
    mirror = {"positive": "negative", "negative": "positive"}
    found = judged(point, point - half, point + half, p, within, runs)[0]
    assert judged(-point, -point - half, -point + half, p, within, runs)[0] == mirror.get(found, found)


@pytest.mark.parametrize(
    ("reason", "arguments"),
    [
        ("contains 0", (0.1, -0.1, 0.3, 0.3, 5)),
        ("contains 0", (0.3, 0.0, 0.6, 0.01, 5)),  # a limit of 0 is contained
        ("contains 0", (-0.3, -0.6, 0.0, 0.01, 5)),
        ("smaller than", (0.04, 0.01, 0.07, 0.01, 5)),
        ("smaller than", (-0.04, -0.07, -0.01, 0.01, 5)),
        ("adjusted p", (0.05, 0.01, 0.09, 0.2, 5)),  # a difference of δ is not smaller
        ("adjusted p", (-0.3, -0.5, -0.1, 0.2, 5)),
        ("adjusted p", (0.3, 0.1, 0.5, 0.2, 5)),
        ("too few", (0.3, 0.1, 0.5, 0.01, 3)),
    ],
)
def test_inconclusive_says_why(reason, arguments):
    point, low, high, p, runs = arguments
    assert reason in judged(point, low, high, p, runs=runs)[1]


@pytest.mark.parametrize(
    ("runs", "expected"), [(3, 2 / 20), (4, 2 / 70), (5, 2 / 252), (6, 2 / 924), (7, 2 / 3432)]
)
def test_smallest_p_of_the_exact_test(runs, expected):
    assert smallest_p(runs, runs) == pytest.approx(expected)


def test_smallest_p_of_unequal_and_sampled_arms(monkeypatch):
    assert smallest_p(4, 5) == pytest.approx(1 / 126)
    assert smallest_p(9, 9) == 1 / 20_001
    assert smallest_p(0, 0) == 1
    monkeypatch.setattr(power, "PERMUTATION_LIMIT", 70)
    assert smallest_p(4, 4) == 2 / 70  # as many splits as the limit are enumerated
    assert smallest_p(4, 5) == 1 / 71


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (1, 4),  # 2/70 = 0.029 < 0.05
        (2, 5),  # 2 · 2/70 = 0.057
        (6, 5),  # 6 · 2/252 = 0.048
        (7, 6),  # 7 · 2/252 = 0.056; 7 · 2/924 = 0.015
        (24, 7),  # 24 · 2/924 = 0.052; 24 · 2/3432 = 0.014
        (10_000, None),  # more than 20,000 sampled splits can resolve
    ],
)
def test_smallest_number_of_seeds_for_a_lone_effect(cells, expected):
    assert smallest_seeds(cells, 0.05) == expected


def test_the_smallest_p_must_be_below_q():
    assert smallest_seeds(1, 2 / 70) == 5  # 2/70 itself is not
    assert smallest_seeds(0, 2 / 70) == 5  # a sweep without transfer arms is asked as if it had one cell


FRESH: dict[str, Any] = {"delta": 0.05, "q": 0.05, "cells": 1, "confidence": 0.95}


def spread(centre):
    """Four runs about ``centre`` with variance 1."""
    return [centre - math.sqrt(0.75)] * 2 + [centre + math.sqrt(0.75)] * 2


def needed(room, variances=(1.0, 1.0), tail=0.025, floor=4):
    """The smallest K for ``room``, found by going through them."""
    for k in range(floor, 1001):
        error, degrees = welch_error(variances[0], k, variances[1], k)
        if room >= error * float(student.ppf([1 - tail, 0.8], degrees).sum()):
            return k
    return None


def test_fresh_seeds_are_the_textbook_sample_sizes_at_the_ends_of_the_pilots_interval():
    # d = 1, s = 1, four runs an arm: 60 % of Student's t with 6 degrees is ±0.9057, √(2/4) = 0.7071, so the
    # gain lies in 1 ± 0.6404. For 1.6404, seven: (2.1788 + 0.8726) · √(2/7) = 1.631; six would need 1.794.
    found = untyped(fresh_seeds(spread(1), spread(0), **FRESH))
    assert found.least == 7
    assert found.most == needed(1 - 0.90570 * math.sqrt(0.5))
    # A family of six asks for α = 0.05/6.
    more = untyped(fresh_seeds(spread(1), spread(0), **{**FRESH, "cells": 6}))
    assert more.least > found.least
    assert more.most > found.most


def test_nothing_is_said_of_seeds_where_the_pilots_interval_contains_0():
    assert fresh_seeds(spread(0.6), spread(0), **FRESH) is None  # 0.6 ± 0.6404
    assert fresh_seeds(spread(0), spread(0.6), **FRESH) is None
    assert fresh_seeds(spread(0.65), spread(0), **FRESH) is not None
    assert fresh_seeds(spread(0), spread(0.65), **FRESH) is not None


def test_nothing_is_said_of_seeds_where_no_verdict_could_be_given():
    assert fresh_seeds([1.0] * 3, [0.0] * 9, **FRESH) is None
    assert fresh_seeds([1.0] * 9, [0.0] * 3, **FRESH) is None
    assert fresh_seeds([1.0] * 4, [0.0] * 4, **FRESH) == SeedRange(4, 4)
    assert fresh_seeds([1.0] * 4, [0.0] * 4, **{**FRESH, "cells": 24}) == SeedRange(7, 7)
    assert fresh_seeds([1.0] * 4, [0.0] * 4, **{**FRESH, "cells": 10_000}) is None


def test_a_gain_that_may_be_irrelevant_has_no_upper_number():
    # 0.7 ± 0.6404 reaches down to 0.0596, below δ.
    found = untyped(fresh_seeds(spread(0.7), spread(0), **{**FRESH, "delta": 0.06}))
    assert found.most is None
    assert found.least == needed(0.7 + 0.90570 * math.sqrt(0.5), floor=5)
    assert untyped(fresh_seeds(spread(0.7), spread(0), **{**FRESH, "delta": 0.05})).most is None  # thousands
    assert untyped(fresh_seeds(spread(0.9), spread(0), **{**FRESH, "delta": 0.05})).most is not None


@pytest.mark.parametrize("gap", [0.2, -0.2, 0.0, 0.9])
def test_fresh_seeds_for_equivalence(gap):
    # The gain lies within δ = 2: what is left of δ on its side, from as near to 0 as it may be to as far.
    half = 0.90570 * math.sqrt(0.5)
    near, far = max(abs(gap) - half, 0.0), abs(gap) + half
    found = untyped(fresh_seeds(spread(gap), spread(0), **{**FRESH, "delta": 2.0, "cells": 50}))
    assert (found.least, found.most) == (needed(2 - near), needed(2 - far))


def test_fresh_seeds_do_not_ask_which_arm_is_better_nor_where_they_lie():
    expected = fresh_seeds(spread(1), spread(0), **FRESH)
    assert fresh_seeds(spread(0), spread(1), **FRESH) == expected
    assert fresh_seeds(spread(101), spread(100), **FRESH) == expected


@pytest.mark.parametrize("seed", range(6))
def test_fresh_seeds_of_unequal_arms_are_the_smallest_numbers_that_the_quantiles_ask_for(seed):
    draw = np.random.default_rng(seed)
    x, y = draw.normal(0.8, 0.4 + 0.3 * seed, 5), draw.normal(0, 0.4, 6)
    interval = welch_interval(x, y, 0.6)
    found = fresh_seeds(x, y, **{**FRESH, "delta": 0.01, "cells": 10})
    if interval.low <= 0 <= interval.high:
        assert found is None
        return
    near, far = sorted(abs(end) for end in (interval.low, interval.high))
    variances = (x.var(ddof=1), y.var(ddof=1))
    ends = [needed(room, variances, 0.05 / 20, smallest_seeds(10, 0.05)) for room in (far, near)]
    assert found == SeedRange(untyped(ends[0]), ends[1])

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl_transfer.analysis import power
from rl_transfer.analysis.arm_statistics import Interval, welch_error
from rl_transfer.analysis.power import more_seeds, smallest_p, smallest_seeds
from rl_transfer.analysis.special import t_quantile
from rl_transfer.analysis.verdict import Verdict, decide
from support.untyped import untyped


def verdict(point, low, high, p=0.01, runs=5, delta=0.05, obstacle=None):
    return decide(Interval(point, low, high), p, runs=runs, delta=delta, q=0.05, obstacle=obstacle)[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ((0.3, 0.1, 0.5), "positive"),
        ((0.05, 0.01, 0.09), "positive"),  # point = δ counts
        ((0.04, 0.01, 0.07), "inconclusive"),  # too small to matter, too wide to be equivalent
        ((0.04, 0.031, 0.049), "equivalent"),  # significant, but irrelevant
        ((0.3, 0.0, 0.6), "inconclusive"),  # the limit itself is not above 0
        ((0.3, 0.1, 0.5, 0.05), "inconclusive"),  # p must be below q
        ((-0.3, -0.5, -0.1), "negative"),
        ((-0.05, -0.09, -0.01), "negative"),
        ((-0.3, -0.6, 0.0), "inconclusive"),
        ((-0.3, -0.5, -0.1, 0.05), "inconclusive"),
        ((0.0, -0.05, 0.05, 1.0), "equivalent"),  # δ itself is inside
        ((0.0, -0.06, 0.05, 1.0), "inconclusive"),
        ((0.3, 0.1, 0.5, 0.01, 3), "inconclusive"),
        ((0.0, 0.0, 0.0, 1.0, 3), "inconclusive"),
        ((0.3, math.nan, math.nan), "inconclusive"),
        ((0.3, 0.1, 0.5, 0.01, 5, 0.0), "positive"),  # raw returns without a declared δ
        ((0.0, -1.0, 1.0, 1.0, 5, 0.0), "inconclusive"),
    ],
)
def test_verdict_rules(arguments, expected):
    assert verdict(*arguments) == expected


def test_an_obstacle_overrules_everything_and_is_the_reason():
    found = decide(Interval(1, 0.9, 1.1), 0.001, runs=9, delta=0.05, q=0.05, obstacle="a run is missing")
    assert found == (Verdict.INCONCLUSIVE, "a run is missing")


@settings(deadline=None)
@given(st.floats(-2, 2), st.floats(0, 1), st.floats(0, 1), st.integers(4, 20))
def test_mirrored_data_get_the_mirrored_verdict(point, half, p, runs):
    mirror = {"positive": "negative", "negative": "positive"}
    found = verdict(point, point - half, point + half, p, runs)
    assert verdict(-point, -point - half, -point + half, p, runs) == mirror.get(found, found)


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
    assert reason in decide(Interval(point, low, high), p, runs=runs, delta=0.05, q=0.05)[1]


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


def spread(centre, runs=2):
    """Runs about ``centre`` with variance 1: ±√½ for two."""
    return [centre - math.sqrt(0.5), centre + math.sqrt(0.5)][:runs]


def test_more_seeds_is_the_textbook_sample_size():
    # d = 1, s = 1, α = 0.05, power 0.8. 16 per arm: (2.0423 + 0.8538) · √(2/16) = 1.024 > 1;
    # 17 per arm: (2.0369 + 0.8530) · √(2/17) = 0.991 ≤ 1. Two are there.
    options: dict[str, Any] = {"delta": 0.05, "q": 0.05, "cells": 1, "confidence": 0.95}
    assert more_seeds(spread(1), spread(0), **options) == 15
    # A family of six asks for α = 0.05/6.
    assert untyped(more_seeds(spread(1), spread(0), **{**options, "cells": 6})) > 15


def test_more_seeds_for_equivalence():
    # d = 0, δ = 1: the same room of 1 and the same levels as above
    options: dict[str, Any] = {"delta": 1.0, "q": 0.05, "cells": 50, "confidence": 0.95}
    assert more_seeds(spread(0), spread(0), **options) == 15


def test_more_seeds_gives_up_and_never_says_zero():
    options: dict[str, Any] = {"delta": 0.05, "q": 0.05, "cells": 1, "confidence": 0.95}
    assert more_seeds(spread(0.05), spread(0), **options) is None  # thousands
    assert more_seeds([1.0], [0.0], **options) is None  # no spread known
    assert more_seeds([1.0, 1.0], [0.0, 0.0], **options) == 2  # four are the least
    assert more_seeds([1.0] * 9, [0.0] * 9, **options) == 1


def test_more_seeds_looks_at_the_difference_and_not_where_the_arms_lie():
    options: dict[str, Any] = {"delta": 0.05, "q": 0.05, "cells": 1, "confidence": 0.95}
    assert more_seeds(spread(101), spread(100), **options) == more_seeds(spread(1), spread(0), **options)


def test_more_seeds_does_not_ask_which_arm_is_better():
    options: dict[str, Any] = {"delta": 0.05, "q": 0.05, "cells": 1, "confidence": 0.95}
    assert more_seeds(spread(0), spread(1), **options) == more_seeds(spread(1), spread(0), **options) == 15


def test_more_seeds_at_its_limits():
    options: dict[str, Any] = {"delta": 0.05, "q": 0.05, "cells": 1, "confidence": 0.95}
    # Half a point apart with δ = 1.5: a room of 1, as for no difference and δ = 1.
    assert more_seeds(spread(0.5), spread(0), **{**options, "delta": 1.5}) == 15
    # A difference of δ is an effect, for which a family of six asks five seeds.
    assert more_seeds([1.0] * 2, [0.0] * 2, **{**options, "delta": 1.0, "cells": 6}) == 3
    # Equal arms without spread and no δ: four seeds are enough for "equivalent".
    assert more_seeds([1.0] * 3, [1.0] * 3, **{**options, "delta": 0.0}) == 1
    # On top of the smaller arm: 24 cells ask for seven seeds.
    for x, y in (([1.0] * 3, [0.0] * 6), ([1.0] * 6, [0.0] * 3)):
        assert more_seeds(x, y, **{**options, "cells": 24}) == 4
    assert more_seeds([1.0], [0.0] * 6, **options) is None
    assert more_seeds([1.0] * 999, [0.0] * 999, **options) == 1  # the thousandth is the last that is named
    assert more_seeds([1.0] * 1000, [0.0] * 1000, **options) is None


@pytest.mark.parametrize("seed", range(6))
def test_more_seeds_is_the_smallest_number_that_the_quantiles_ask_for(seed):
    draw = np.random.default_rng(seed)
    x, y = draw.normal(0.3, 0.4 + 0.3 * seed, 5), draw.normal(0, 0.4, 6)
    difference = abs(x.mean() - y.mean())

    def settles(k):
        error, degrees = welch_error(x.var(ddof=1), k, y.var(ddof=1), k)
        return difference >= error * (t_quantile(1 - 0.05 / 20, degrees) + t_quantile(0.8, degrees))

    more = more_seeds(x, y, delta=0.01, q=0.05, cells=10, confidence=0.95)
    if more is None:
        assert not settles(1000)
    else:
        assert settles(5 + more)
        assert not settles(5 + more - 1)

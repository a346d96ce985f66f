"""Small seeded samples of the simulations of docs/validity.md."""

import numpy as np

from benchmarks.validity import advice


def test_the_upper_number_of_the_advice_settles_large_differences_and_none_that_is_not_there():
    _, _, advised, least, most, size = advice.follow(5, 1.5, 40, np.random.default_rng(0))
    assert advised > 0.6
    assert 0.6 < least < most
    assert most > 0.95
    assert 20 < size < 100
    _, before, advised, _, most, _ = advice.follow(5, 0.0, 60, np.random.default_rng(1))
    assert advised < 0.45
    assert max(before, most) < 0.25

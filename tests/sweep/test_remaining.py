"""How long a sweep will still take, by what its folder says."""

import pytest

from rl_transfer.results.standing import Standing, Underway
from rl_transfer.sweep.remaining import seconds_left


def row(identifier: str) -> dict[str, object]:
    """``scratch-0`` on one target, ``source-0``, ``random-0``."""
    strategy, _, seed = identifier.partition("-")
    trained = strategy not in ("source", "random")
    return {
        "id": identifier,
        "role": "target" if trained else strategy,
        "source": None,
        "target": None if strategy == "source" else "task",
        "strategy": strategy if trained else None,
        "seed": int(seed),
    }


def standing(finished: dict[str, tuple[int, float]], running: dict[str, float], *waiting: str) -> Standing:
    """``running`` says when each began; it is 1,000 seconds after the epoch."""
    rows = {each: row(each) for each in (*finished, *running, *waiting)}
    under_way = tuple(
        Underway(each, each, step=1, steps=100, score=None, begun=begun, seen=1000.0)
        for each, begun in running.items()
    )
    return Standing({}, rows, finished, (), (), under_way, waiting, 1000.0)


def test_nothing_is_promised_before_a_run_of_each_kind_has_begun() -> None:
    assert seconds_left(standing({}, {"source-0": 990.0}, "scratch-0"), 1) is None
    only_sources = standing({"source-0": (1000, 10.0)}, {}, "scratch-0")
    assert seconds_left(only_sources, 1) is None, "nobody knows the budget of the others"
    begun = standing({"source-0": (1000, 10.0)}, {"scratch-0": 1000.0}, "scratch-1", "random-0")
    assert seconds_left(begun, 1) == pytest.approx(2 * 100 * 10 / 1000)


def test_seeds_last_as_long_as_those_of_their_place_over_as_many_as_run_at_a_time() -> None:
    found = standing({"scratch-0": (100, 30.0)}, {"scratch-1": 990.0}, "scratch-2", "scratch-3")
    assert seconds_left(found, 1) == pytest.approx(20 + 2 * 30)
    assert seconds_left(found, 2) == pytest.approx((20 + 2 * 30) / 2)
    assert seconds_left(found, 8) == pytest.approx(30), "the last one to begin takes its time"


def test_other_strategies_count_by_their_budget() -> None:
    found = standing({"scratch-0": (100, 30.0)}, {}, "tune-0")
    assert seconds_left(found, 1) == pytest.approx(30)

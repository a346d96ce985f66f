"""Spaces as SB3 prints them into its data, by today's and by yesterday's Gym."""

import json
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3.common.save_util import data_to_json

from rl_transfer.rl.sources.printed_spaces import printed_space
from support.untyped import untyped

INF = np.inf


def printed(space: spaces.Space[Any]) -> dict[str, Any]:
    """What SB3 writes of a space, without the pickle."""
    entry: dict[str, Any] = json.loads(data_to_json({"space": space}))["space"]
    del entry[":serialized:"]
    return entry


def gym(kind: str, **attributes: Any) -> dict[str, Any]:
    return {":type:": f"<class 'gym.spaces.{kind.lower()}.{kind}'>", "_np_random": None, **attributes}


# Eighths have few decimals, so that what NumPy prints is exact.
NUMBERS = st.integers(0, 800).map(lambda each: each / 8) | st.just(INF)


@st.composite
def boxes(draw: st.DrawFn) -> spaces.Box:
    bounds = draw(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=6))
    low, high = np.array(bounds, draw(st.sampled_from([np.float32, np.float64]))).T
    return spaces.Box(-low, high, dtype=low.dtype.type)


SIMPLE = (
    boxes()
    | st.builds(spaces.Discrete, st.integers(1, 50), start=st.integers(-3, 3))
    | st.lists(st.integers(1, 9), min_size=1, max_size=4).map(spaces.MultiDiscrete)
    | st.integers(1, 9).map(spaces.MultiBinary)
)


@given(
    SIMPLE
    | st.dictionaries(st.sampled_from(["a", "b c", "d-1"]), SIMPLE, min_size=1).map(untyped(spaces.Dict))
)
def test_what_sb3_prints_today_is_read_back(space: spaces.Space[Any]) -> None:
    assert printed_space(printed(space), bounded=True) == space


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (gym("Discrete", n=4, shape=[], dtype="int64"), spaces.Discrete(4)),
        (gym("Discrete", n="4", start="-1"), spaces.Discrete(4, start=-1)),
        (
            gym("Box", shape=[2], low="[-4.8000002e+00 -3.4028235e+38]", high="[4.8 1.0e+00]"),
            spaces.Box(np.array([-4.8, -3.4028235e38], np.float32), np.array([4.8, 1], np.float32)),
        ),
        (
            gym("Box", dtype="float32", _shape=[3], low="[-1. -1. -1.]", high="[1. 1. 1.]", low_repr="-1.0"),
            spaces.Box(-1, 1, (3,)),
        ),
        (
            gym("Box", dtype="uint8", shape=[4, 84, 84], low="[[[0 0 ... 0]\n  ...\n  [0 0 ... 0]]]",
                high="[[[255 255 255 ... 255 255 255]\n  ...]]"),
            spaces.Box(0, 255, (4, 84, 84), np.uint8),
        ),
        (gym("MultiDiscrete", nvec="[3 2]", shape=[2]), spaces.MultiDiscrete([3, 2])),
        (gym("MultiBinary", n=3, shape=[3]), spaces.MultiBinary(3)),
        (
            gym("Dict", spaces="OrderedDict([('achieved_goal', Box(-inf, inf, (3,), float32)), "
                               "('observation', Box([-1.  -2.5], [inf  3.], (2,), float32)), "
                               "('n', Discrete(5))])"),
            spaces.Dict({
                "achieved_goal": spaces.Box(-INF, INF, (3,)),
                "observation": spaces.Box(np.array([-1, -2.5], np.float32), np.array([INF, 3], np.float32)),
                "n": spaces.Discrete(5),
            }),
        ),
    ],
)  # fmt: skip
def test_what_old_gym_printed_is_read(entry: dict[str, Any], expected: spaces.Space[Any]) -> None:
    assert printed_space(entry, bounded=True) == expected


@pytest.mark.parametrize(
    "entry",
    [
        None,
        "Box",
        {},
        {":type:": "<class 'gym.spaces.tuple.Tuple'>", "spaces": "(Discrete(2), Discrete(3))"},
        gym("Box", dtype="float32", low="[0.]", high="[1.]"),
        gym("Box", dtype="float32", shape="(1,)", low="[0.]", high="[1.]"),
        gym("Box", dtype="object", shape=[1], low="[0.]", high="[1.]"),
        gym("Box", dtype="float32", shape=[2**20, 2**20], low="[0.]", high="[1.]"),
        gym("Box", dtype="float32", shape=[-1], low="[0.]", high="[1.]"),
        gym("Discrete", n="many"),
        gym("Discrete", n=0),
        gym("MultiDiscrete", nvec="[2 2 ... 2 2]"),
        gym("Dict", spaces="OrderedDict([('x', Box(3,))])"),
        gym("Dict", spaces="OrderedDict([('x', Discrete(2)), ('y', Tuple(Discrete(2), Discrete(3)))])"),
        gym("Dict", spaces="{'a': Box(" + "(" * 5000),
        gym("Dict", spaces="{" + "'a': Box(0, 1, " * 5000),
    ],
)
def test_what_does_not_say_the_whole_space_is_not_guessed(entry: Any) -> None:
    assert printed_space(entry) is None


def test_abbreviated_bounds_matter_for_actions_only() -> None:
    entry = gym("Box", dtype="float32", shape=[2000], low="[-1. -2. ... -1. -2.]", high="[1. 1. ... 1. 1.]")
    assert printed_space(entry, bounded=True) is None
    space = printed_space(entry)
    assert isinstance(space, spaces.Box)
    assert (space.low == -INF).all()
    assert (space.high == 1).all()

"""Distributions: truncated normals, unions of intervals, and what is refused."""

import math
import re
from statistics import NormalDist
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import rl_transfer_envs as envs
from rl_transfer_envs.check import conformance
from rl_transfer_envs.values.distributions import draw, extremes
from rl_transfer_envs.values.reading import canonical_value
from support.vector import assert_equal_to_sync

LENGTH = envs.Quantity(name="length", unit="m", default=0.5, bounds=(0.05, 5.0), source="-", summary="-")
STEPS = envs.Quantity(
    name="steps", unit="steps", default=0, bounds=(0, 30), source="-", summary="-", kind="integer"
)


def drawn(quantity: envs.Quantity, raw: object, count: int = 2000, seed: int = 0) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(seed)
    value = canonical_value(quantity, raw, "key")
    return np.array([draw(quantity, value, quantity.default, rng, "key") for _ in range(count)])


def test_a_union_is_drawn_by_length_and_never_between() -> None:
    """[1, 2] and [3.5, 5]: of 2.5 m in all, 40 % lie in the first interval; the means are 1.5 and 4.25."""
    values = drawn(LENGTH, {"uniform": [[3.5, 5.0], [1.0, 2.0]]})
    low, high = values[values <= 2], values[values >= 3.5]
    assert len(low) + len(high) == len(values)
    # 2,000 draws: standard error of a share of 0.4 is 0.011, of the means 0.010 and 0.0125
    assert len(low) / len(values) == pytest.approx(0.4, abs=0.045)
    assert low.mean() == pytest.approx(1.5, abs=0.04)
    assert high.mean() == pytest.approx(4.25, abs=0.05)


def test_a_union_of_whole_numbers_counts_both_ends() -> None:
    values = drawn(STEPS, {"uniform": [[1, 5], [15, 20]]})
    numbers, counts = np.unique(values, return_counts=True)
    assert numbers.tolist() == [1, 2, 3, 4, 5, 15, 16, 17, 18, 19, 20]
    # 2,000 draws of 11 numbers: 182 each, standard deviation 13
    assert abs(counts - 2000 / 11).max() < 55


def test_a_logarithmic_union_is_drawn_by_the_length_of_the_logarithm() -> None:
    """ln 2 of [0.1, 0.2] beside ln 4 of [1, 4]: one third lies in the first interval."""
    values = drawn(LENGTH, {"log_uniform": [[0.1, 0.2], [1, 4]]})
    assert ((values <= 0.2) | (values >= 1)).all()
    assert (values <= 0.2).mean() == pytest.approx(1 / 3, abs=0.045)


def test_a_normal_has_its_moments_where_the_bounds_are_far() -> None:
    values = drawn(LENGTH, {"normal": [2.0, 0.2]})
    # 2,000 draws: standard error of the mean is 0.0045, of the standard deviation 0.0032
    assert values.mean() == pytest.approx(2.0, abs=0.02)
    assert values.std() == pytest.approx(0.2, abs=0.015)


def test_a_normal_is_cut_and_not_heaped_up_at_the_bounds() -> None:
    """N(0.05, 1) cut at its mean and at 5: the half-normal, whose mean is 0.05 + √(2/π) = 0.848."""
    values = drawn(LENGTH, {"normal": [0.05, 1.0]})
    assert values.min() >= 0.05
    assert len(np.unique(values)) == len(values)
    assert values.mean() == pytest.approx(0.05 + math.sqrt(2 / math.pi), abs=0.06)


@given(st.floats(0.05, 5.0), st.floats(0.001, 10.0), st.integers(0, 2**32))
def test_every_draw_of_a_normal_lies_within_the_bounds(mean: float, std: float, seed: int) -> None:
    normal = NormalDist(mean, std)
    raw = {"normal": [mean, std]}
    if normal.cdf(5.0) - normal.cdf(0.05) < 0.01:
        with pytest.raises(envs.InvalidValueError, match="lies within the bounds"):
            canonical_value(LENGTH, raw, "key")
        return
    values = drawn(LENGTH, raw, 20, seed)
    assert ((values >= 0.05) & (values <= 5.0)).all()
    assert extremes(LENGTH, raw, 0.5, "key") == (0.05, 5.0)


@given(
    st.lists(st.floats(0.05, 5.0), min_size=2, max_size=8, unique=True).filter(lambda x: len(x) % 2 == 0),
    st.sampled_from(["uniform", "log_uniform"]),
)
def test_every_draw_of_a_union_lies_in_an_interval(ends: list[float], name: str) -> None:
    ends = sorted(ends)
    pairs = list(zip(ends[::2], ends[1::2], strict=True))
    for value in drawn(LENGTH, {name: [list(pair) for pair in pairs]}, 20):
        nearest = min(max(low - value, value - high, 0.0) for low, high in pairs)
        assert nearest <= 1e-12 * value


def test_relative_moments_multiply_the_default() -> None:
    value = canonical_value(LENGTH, {"normal": ["x2", "x0.2"]}, "key")
    assert value == {"normal": ["x2.0", "x0.2"]}
    rng, other = np.random.default_rng(3), np.random.default_rng(3)
    absolute = {"normal": [1.0, 0.1]}
    assert draw(LENGTH, value, 0.5, rng, "key") == draw(LENGTH, absolute, 0.5, other, "key")


def test_a_single_interval_in_brackets_stands_for_itself() -> None:
    assert canonical_value(LENGTH, {"uniform": [[1, 2]]}, "key") == {"uniform": [1.0, 2.0]}


BAD = [
    ({"uniform": [[1, 2], [2, 3]]}, "length.uniform", "overlap or touch"),
    ({"uniform": [[2, 1]]}, "length.uniform.0", "low < high"),
    ({"uniform": [[1, 2], [3, 9]]}, "length.uniform.1.1", "upper bound 5 m"),
    ({"uniform": [[1, 2], ["x7", "x8"]]}, "length.uniform", "mix of relative and absolute"),
    ({"uniform": [[1, 2], 3]}, "length.uniform.0", "must be a number"),
    ({"uniform": [[]]}, "length.uniform.0", "needs values"),
    ({"choice": [[1, 2], [3, 4]]}, "length.choice.0", "must be a number"),
    ({"normal": [1]}, "length.normal", "[mean, standard deviation]"),
    ({"normal": [1, 0]}, "length.normal.1", "above 0"),
    ({"normal": [1, -1]}, "length.normal.1", "above 0"),
    ({"normal": [1, math.inf]}, "length.normal.1", "finite"),
    ({"normal": ["x1", 0.1]}, "length.normal", "mix of relative and absolute"),
    ({"normal": [9, 1]}, "length.normal.0", "upper bound 5 m"),
    ({"normal": [1, 1000]}, "length.normal", "only 0.20% lies within the bounds, 0.05 to 5"),
]


@pytest.mark.parametrize(("value", "key", "words"), BAD)
def test_what_cannot_be_drawn_is_refused_with_its_key(value: object, key: str, words: str) -> None:
    with pytest.raises(envs.EnvError, match=re.escape(words)) as caught:
        envs.canonical({"id": "CartPole-v1", "perturb": [{"length": value}]})
    assert caught.value.key == f"perturb.0.{key}"


def test_whole_numbers_have_no_normal_distribution() -> None:
    with pytest.raises(envs.InvalidValueError, match="whole"):
        canonical_value(STEPS, {"normal": [3, 1]}, "key")


def test_what_has_no_bounds_cannot_be_cut() -> None:
    with pytest.raises(envs.InvalidValueError, match="bounds"):
        envs.make({"id": "CartPole-v1", "perturb": [{"attribute": {"gravity": {"normal": [9.8, 1]}}}]})


def test_a_relative_interval_of_a_negative_default() -> None:
    """MountainCar's left wall stands at −1.2: x0.9 to x1.1 is −1.32 to −1.08."""
    wall = {"attribute": {"min_position": {"uniform": ["x0.9", "x1.1"]}}}
    env = envs.make({"id": "MountainCar-v0", "perturb": [wall]})
    starts = [env.reset(seed=seed)[1]["context"]["attribute"]["min_position"] for seed in range(50)]
    assert -1.32 <= min(starts) < -1.25
    assert -1.15 < max(starts) <= -1.08


def test_elements_under_one_normal_share_the_draw() -> None:
    """Every body of the robot is heavier by the same factor."""
    env = envs.make({"id": "Hopper-v5", "perturb": [{"body_mass": {"normal": ["x1", "x0.3"]}}]})
    base = envs.parameters("Hopper-v5")["body_mass"].get(envs.make("Hopper-v5").unwrapped)
    _, info = env.reset(seed=0)
    factors = [mass / base[name] for name, mass in info["context"]["body_mass"].items()]
    assert len(factors) > 3
    assert factors == pytest.approx([factors[0]] * len(factors))
    assert factors[0] != 1


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_batched_instances_draw_what_single_ones_draw(mode: str) -> None:
    specs = [
        {"id": "CartPole-v1", "perturb": [{"length": {"normal": ["x1", "x0.5"]}}]},
        {"id": "CartPole-v1", "perturb": [{"force_mag": {"uniform": [[1, 5], [15, 20]]}}]},
        {"id": "CartPole-v1", "perturb": [{"observation_bias": {"normal": [0.0, 0.1]}}]},
        {"id": "CartPole-v1", "perturb": [{"action_delay": {"uniform": [[1, 2], [4, 5]]}}]},
    ]
    assert assert_equal_to_sync(specs, mode, 150) > 5


@pytest.mark.parametrize(
    "value", [{"length": {"normal": [1.5, 0.3]}}, {"force_mag": {"uniform": [[1, 5], [15, 20]]}}]
)
def test_the_conformance_kit_passes_them(value: dict[str, Any]) -> None:
    rows = conformance.check({"id": "CartPole-v1", "perturb": [value]})
    assert {row.check: row.status for row in rows} == dict.fromkeys(
        ("effect", "spaces", "rebuild", "leak"), "pass"
    )

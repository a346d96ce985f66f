"""Specifications: canonical form, forms of a value, and what bad input says."""

import json
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

import rl_transfer_envs as envs


def cartpole(*perturb):
    return {"id": "CartPole-v1", "perturb": list(perturb)}


def test_an_id_alone_is_a_specification():
    assert dict(envs.canonical("CartPole-v1")) == {"id": "CartPole-v1", "kwargs": {}, "perturb": []}


def test_canonical_form_orders_physics_first_and_spells_arguments_out():
    spec = cartpole(
        {"observation_noise": 0.1}, {"length": 1}, {"action_remap": "reverse"}, {"gravity": "x1.50"}
    )
    assert envs.canonical(spec)["perturb"] == [
        {"length": 1.0},
        {"gravity": "x1.5"},
        {"observation_noise": {"std": 0.1}},
        {"action_remap": {"mapping": "reverse"}},
    ]


def test_canonical_is_idempotent_and_json():
    spec = cartpole({"length": {"uniform": ["x0.5", "x2"]}}, {"observation_noise": {"std": [0.1, 0, 0, 0]}})
    once = envs.canonical(spec)
    assert envs.canonical(json.loads(json.dumps(once))) == once


def test_arguments_at_their_default_are_dropped():
    given_default = cartpole({"observation_noise": {"std": 0.1, "distribution": "normal"}})
    assert envs.canonical(given_default) == envs.canonical(cartpole({"observation_noise": 0.1}))


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        # bounds of length are 0.05 … 5, default 0.5: 0.5 + 0.5·(5 − 0.5) = 2.75
        ({"severity": 0.5, "towards": "high"}, 2.75),
        # 0.5 + 1·(0.05 − 0.5)
        ({"severity": 1, "towards": "low"}, 0.05),
        ({"severity": 0, "towards": "low"}, 0.5),
    ],
)
def test_severity_is_the_share_of_the_way_from_default_to_bound(raw, expected):
    assert envs.canonical(cartpole({"length": raw}))["perturb"] == [{"length": expected}]


def test_severity_of_a_one_sided_parameter_needs_no_direction():
    # observation_noise.std: default 0, bounds 0 … 10
    assert envs.canonical(cartpole({"observation_noise": {"severity": 0.25}}))["perturb"] == [
        {"observation_noise": {"std": 2.5}}
    ]


@given(st.floats(0.05, 5.0))
def test_every_length_within_bounds_is_kept_exactly(length):
    assert envs.canonical(cartpole({"length": length}))["perturb"] == [{"length": length}]


@given(st.floats().filter(lambda x: not 0.05 <= x <= 5.0))
def test_every_length_outside_the_bounds_is_refused(length):
    with pytest.raises(envs.EnvError) as caught:
        envs.canonical(cartpole({"length": length}))
    assert caught.value.key == "perturb.0.length"
    kind = envs.OutOfBoundsError if math.isfinite(length) else envs.InvalidValueError
    assert type(caught.value) is kind


CARTPOLE_BAD = [
    ("length", envs.InvalidSpecError, "", "one name and one value"),
    ({"length": 1, "tau": 0.01}, envs.InvalidSpecError, "", "one name and one value"),
    ({"lenght": 1}, envs.UnknownParameterError, ".lenght", "Did you mean 'length'"),
    ({"length": 100}, envs.OutOfBoundsError, ".length", "upper bound 5 m"),
    ({"length": "x100"}, envs.OutOfBoundsError, ".length", "x100.0 = 50 m"),
    ({"length": float("nan")}, envs.InvalidValueError, ".length", "finite"),
    ({"length": "1.5x"}, envs.InvalidValueError, ".length", "'x1.5'"),
    ({"length": True}, envs.InvalidValueError, ".length", "(bool)"),
    ({"length": None}, envs.InvalidValueError, ".length", "(NoneType)"),
    ({"length": [1]}, envs.InvalidValueError, ".length", "(list)"),
    ({"length": {"severity": 2}}, envs.OutOfBoundsError, ".length.severity", "0 (default)"),
    ({"length": {"severity": 1}}, envs.InvalidValueError, ".length.towards", "both ways"),
    ({"length": {"severity": 1, "towards": "up"}}, envs.InvalidValueError, ".length.towards", "low or high"),
    ({"length": {"unifrom": [1, 2]}}, envs.InvalidValueError, ".length", "'uniform'"),
    ({"length": {"uniform": [2, 1]}}, envs.InvalidValueError, ".length.uniform", "low < high"),
    ({"length": {"uniform": ["x1", 2]}}, envs.InvalidValueError, ".length.uniform", "mix"),
    ({"length": {"choice": []}}, envs.InvalidValueError, ".length.choice", "needs values"),
    ({"length": {"uniform": [1, 9]}}, envs.OutOfBoundsError, ".length.uniform.1", "5 m"),
    ({"observation_noise": {"sdt": 1}}, envs.InvalidValueError, ".observation_noise.sdt", "you mean 'std'"),
    ({"action_remap": "revers"}, envs.InvalidValueError, ".action_remap", "'reverse'"),
]
BAD = [
    ("CartPool-v1", envs.UnknownEnvironmentError, "id", "Did you mean 'CartPole-v1'"),
    ({}, envs.InvalidSpecError, "id", "must name an environment"),
    (7, envs.InvalidSpecError, None, "an id or a mapping"),
    ({"id": "CartPole-v1", "pertub": []}, envs.InvalidSpecError, "pertub", "Did you mean 'perturb'"),
    ({"id": "CartPole-v1", "perturb": {"length": 1}}, envs.InvalidSpecError, "perturb", "must be a list"),
    ({"id": "CartPole-v1", "kwargs": [1]}, envs.InvalidSpecError, "kwargs", "mapping"),
    ({"id": "CartPole-v1", "kwargs": {"a": {1, 2}}}, envs.InvalidSpecError, "kwargs", "plain JSON"),
    ({"id": "a:B-v0", "env_module": "c"}, envs.InvalidSpecError, "env_module", "give one of them"),
    ({"id": "no_such_module_at_all:B-v0"}, envs.InvalidSpecError, "env_module", "cannot be imported"),
    ({"id": "Perturbed-v0"}, envs.InvalidSpecError, "kwargs.base", "needs base"),
    (cartpole({"length": 1}, {"length": 2}), envs.InvalidSpecError, "perturb.1.length", "twice"),
    *((cartpole(entry), error, f"perturb.0{key}", words) for entry, error, key, words in CARTPOLE_BAD),
]


@pytest.mark.parametrize(("spec", "error", "key", "words"), BAD)
def test_bad_input_says_what_where_and_what_to_do(spec, error, key, words):
    with pytest.raises(error, match=re.escape(words)) as caught:
        envs.canonical(spec)
    assert caught.value.key == key


NOT_CARRIED = [
    ({"action_remap": [0, 0]}, envs.IncompatiblePerturbationError, "action_remap.mapping"),
    ({"action_inversion": "all"}, envs.IncompatiblePerturbationError, "action_inversion"),
    ({"observation_noise": [0.1]}, envs.IncompatiblePerturbationError, "observation_noise.std"),
    ({"attribute": {"mascart": 1}}, envs.UnknownParameterError, "attribute.mascart"),
    ({"attribute": {"spec.id": 1}}, envs.IncompatiblePerturbationError, "attribute.spec.id"),
    ({"attribute": {"__class__.x": 1}}, envs.IncompatiblePerturbationError, "attribute.__class__.x"),
]


@pytest.mark.parametrize(("entry", "error", "key"), NOT_CARRIED)
def test_what_the_environment_cannot_carry_is_refused_at_make(entry, error, key):
    with pytest.raises(error) as caught:
        envs.make(cartpole({"observation_noise": 0.1}, entry))
    assert caught.value.key == f"perturb.1.{key}"


def test_unknown_constructor_argument_is_named():
    with pytest.raises(envs.InvalidSpecError, match="gravty") as caught:
        envs.make({"id": "CartPole-v1", "kwargs": {"gravty": 1}})
    assert caught.value.key == "kwargs"


@pytest.mark.parametrize("value", [float("-inf"), 3.0])
def test_a_constructor_that_refuses_its_arguments_is_reported(value):
    # LunarLander asserts −12 < gravity < 0
    with pytest.raises(envs.EnvError) as caught:
        envs.make({"id": "LunarLander-v3", "kwargs": {"gravity": value}})
    assert caught.value.key == "kwargs"

"""State of live objects as plain data: what is carried, what stays one thing, and what is refused."""

import copy
import dataclasses
import json
import math
from collections import OrderedDict, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rl_transfer.frame.restore import restore
from rl_transfer.frame.state import CannotCapture, CannotRestore, Captured, capture


class Thing:
    """Holds whatever it is given."""

    def __init__(self, **attributes: Any) -> None:
        vars(self).update(attributes)


@dataclasses.dataclass(frozen=True)
class Fixed:
    numbers: list[int]


def moved(before: Any, after: Any) -> Any:
    """The state of one object written into another, over JSON."""
    state = capture(before)
    nodes = json.loads(json.dumps(state.nodes, allow_nan=False))
    return restore(Captured(nodes, state.tensors), after)


VALUES: dict[str, Any] = {
    "scalars": [None, True, 3, -(2**70), 0.1, "text", math.inf],
    "numbers": [0.1 * k for k in range(100)],
    "whole numbers": list(range(100)),
    "large whole numbers": [2**80 + k for k in range(100)],
    "truth values": [True, False] * 10,
    "containers": {"a": (1, [2.0]), 3: {"b"}, (1, "k"): OrderedDict(x=1)},
    "deque": deque([{"r": 1.0}], maxlen=3),
    "empty": [[], {}, (), deque(), np.zeros((0, 3))],
}


@pytest.mark.parametrize("name", VALUES)
def test_plain_data_come_back_equal_and_of_the_same_types(name: str) -> None:
    twin = Thing(value=None)
    moved(Thing(value=copy.deepcopy(VALUES[name])), twin)
    assert repr(vars(twin)["value"]) == repr(VALUES[name])


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.uint8, np.int64, np.uint32, np.bool_])
def test_arrays_are_written_where_they_stand(dtype: Any) -> None:
    array = np.arange(6).reshape(2, 3).astype(dtype)
    place = np.zeros_like(array)
    twin = Thing(array=place, number=None)
    moved(Thing(array=array, number=array[1, 2]), twin)
    found = vars(twin)
    assert found["array"] is place
    assert np.array_equal(place, array)
    assert found["number"].dtype == dtype
    assert found["number"] == array[1, 2]


def test_nan_and_signed_zero_keep_their_bits() -> None:
    twin = Thing(a=0.0, b=np.zeros(2))
    moved(Thing(a=-0.0, b=np.array([np.nan, -0.0])), twin)
    assert math.copysign(1, vars(twin)["a"]) == -1
    assert np.signbit(vars(twin)["b"][1])
    assert np.isnan(vars(twin)["b"][0])


def test_what_is_one_thing_under_two_names_stays_one() -> None:
    shared = [np.ones(2)]
    twin = Thing(a=None, b=None, c=None)
    moved(Thing(a=shared, b=shared, c=shared[0]), twin)
    found = vars(twin)
    assert found["a"] is found["b"]
    assert found["c"] is found["a"][0]


def test_what_became_two_things_does_not_stay_one() -> None:
    shared = np.zeros(2)
    twin = Thing(a=shared, b=shared)
    moved(Thing(a=np.ones(2), b=np.full(2, 2.0)), twin)
    assert [vars(twin)[name].tolist() for name in "ab"] == [[1, 1], [2, 2]]


def test_circles_are_followed_once() -> None:
    def circle(number: int) -> Thing:
        inner = Thing(number=number)
        vars(inner)["outer"] = outer = Thing(inner=inner)
        return outer

    twin = circle(0)
    moved(circle(7), twin)
    assert vars(vars(twin)["inner"])["number"] == 7


def test_generators_go_on_where_they_were() -> None:
    before, place = np.random.default_rng(0), np.random.default_rng(1)
    before.random(3)
    twin = Thing(own=place, late=None)
    late = np.random.Generator(np.random.MT19937(3))
    moved(Thing(own=before, late=late), twin)
    assert vars(twin)["own"] is place
    assert place.random() == before.random()
    assert vars(twin)["late"].random() == late.random()


def test_attributes_that_are_gone_are_removed_and_frozen_objects_are_written() -> None:
    twin = Thing(old=1, fixed=Fixed([1]))
    moved(Thing(new=2, fixed=Fixed([3, 4])), twin)
    assert vars(twin) == {"new": 2, "fixed": Fixed([3, 4])}


def test_networks_and_optimizers_train_on_as_if_nothing_had_happened() -> None:
    def built(seed: int) -> tuple[torch.nn.Sequential, torch.optim.Optimizer]:
        torch.manual_seed(seed)
        network = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 1))
        network[2].weight.requires_grad_(seed == 1)
        return network, torch.optim.Adam(network.parameters(), lr=0.01 * (seed + 1))

    def train(pair: tuple[torch.nn.Sequential, torch.optim.Optimizer], steps: int) -> None:
        network, optimizer = pair
        rows = torch.ones(5, 3) * torch.arange(5)[:, None]
        for _ in range(steps):
            optimizer.zero_grad()
            network(rows).square().mean().backward()
            optimizer.step()

    first, second = built(0), built(1)
    train(first, 3)
    moved({"pair": list(first)}, {"pair": list(second)})
    train(first, 2)
    train(second, 2)
    assert all(
        torch.equal(a, b)
        for a, b in zip(first[0].state_dict().values(), second[0].state_dict().values(), strict=True)
    )
    assert not second[0][2].weight.requires_grad


def test_functions_and_classes_are_left_as_they_were_built() -> None:
    twin = Thing(function=max, kind=int, numbers=[])
    moved(Thing(function=min, kind=str, numbers=[1]), twin)
    assert vars(twin) == {"function": max, "kind": int, "numbers": [1]}


class Slotted:
    __slots__ = ("hidden",)


class InheritingFromC(list):  # type: ignore[type-arg]
    pass


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (Slotted(), "Slotted"),
        (InheritingFromC(), "InheritingFromC"),
        (iter([1]), "list_iterator"),
        (b"bytes", "bytes"),
        (np.array([object()]), "array of object"),
        (np.zeros(2, dtype=complex), "array of complex128"),
        (np.zeros(2, dtype=">f8"), "array of >f8"),
        (bytearray(b"x"), "bytearray"),
    ],
)
def test_what_cannot_be_carried_is_refused_by_its_path(value: object, what: str) -> None:
    with pytest.raises(CannotCapture, match=r"state\.outer\.0\.inner is a") as caught:
        capture(Thing(outer=[Thing(inner=value)]))
    assert what in str(caught.value)


def test_nothing_is_changed_by_looking() -> None:
    thing = Thing(array=np.ones(2), rng=np.random.default_rng(0), items=[1, 2])
    before = thing.rng.bit_generator.state, thing.array.tobytes()  # type: ignore[attr-defined]
    state = capture(thing)
    thing.array[:] = 5  # type: ignore[attr-defined]
    assert before[0] == thing.rng.bit_generator.state  # type: ignore[attr-defined]
    assert all(5 not in tensor for tensor in state.tensors.values()), "it shares memory with the object"


HOSTILE: dict[str, Callable[[Captured], object]] = {
    "another text": lambda state: state.nodes[0]["attributes"].update(path="/etc/passwd"),
    "another class": lambda state: state.nodes[0].update({"class": "builtins.object"}),
    "a method's name": lambda state: state.nodes[0].update({"is": "take"}),
    "no such node": lambda state: state.nodes[0]["attributes"].update(numbers={"at": 99}),
    "a negative node": lambda state: state.nodes[0]["attributes"].update(numbers={"at": "1"}),
    "no such tensor": lambda state: state.tensors.clear(),
    "a generator of one's own": lambda state: _generator(state).update(items=[["bit_generator", "seed"]]),
    "a new text": lambda state: state.nodes[0]["attributes"].update(folder="/tmp"),
    "a number for a text": lambda state: state.nodes[0]["attributes"].update(path={"float": "x"}),
}


def _generator(state: Captured) -> dict[str, Any]:
    number = next(each["state"]["at"] for each in state.nodes if each["is"] == "generator")
    node: dict[str, Any] = state.nodes[number]
    return node


@pytest.mark.parametrize("harm", HOSTILE)
def test_data_made_to_harm_are_refused(harm: str) -> None:
    def thing() -> Thing:
        return Thing(path="here", numbers=np.ones(3), rng=np.random.default_rng(0), folder=Path())

    state = capture(thing())
    HOSTILE[harm](state)
    with pytest.raises(CannotRestore):
        restore(state, thing())

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rl_transfer.core import rename_tensors
from rl_transfer.errors import TransferError

STATE = {name: torch.zeros(i) for i, name in enumerate(["a.w", "a.b.w", "ab.w", "c"])}


@pytest.mark.parametrize(
    ("renames", "expected"),
    [
        ({}, ["a.w", "a.b.w", "ab.w", "c"]),
        ({"a": "x.y"}, ["x.y.w", "x.y.b.w", "ab.w", "c"]),
        ({"a": "x", "a.b": "z"}, ["x.w", "z.w", "ab.w", "c"]),
        ({"a.w": "first", "c": "d"}, ["first", "a.b.w", "ab.w", "d"]),
        ({"": "net"}, ["net.a.w", "net.a.b.w", "net.ab.w", "net.c"]),
        ({"a": "", "ab": "n"}, ["w", "b.w", "n.w", "c"]),
        ({"a": "ab", "ab": "a"}, ["ab.w", "ab.b.w", "a.w", "c"]),
    ],
    ids=["nothing", "prefix", "longest", "whole names", "add", "strip", "swap"],
)
def test_renaming_by_hand(renames, expected):
    renamed = rename_tensors(STATE, renames)
    assert list(renamed) == expected
    assert [tensor is old for tensor, old in zip(renamed.values(), STATE.values(), strict=True)] == [True] * 4


@pytest.mark.parametrize(
    ("renames", "message"),
    [
        ({"a.v": "x"}, r"renames 'a\.v', which the source does not have.*Did you mean 'a\.w'\?"),
        ({"ab": "a"}, r"both a\.w and ab\.w become 'a\.w'"),
        ({"c": ""}, "c gets no name"),
    ],
)
def test_maps_that_lose_tensors_are_refused(renames, message):
    with pytest.raises(TransferError, match=message) as caught:
        rename_tensors(STATE, renames, key="source.names")
    assert caught.value.key == "source.names"


@given(st.dictionaries(st.sampled_from(["", "a", "a.b", "ab", "c"]), st.sampled_from(["", "p", "p.q"])))
def test_no_tensor_is_ever_lost(renames):
    try:
        renamed = rename_tensors(STATE, renames)
    except TransferError:
        return
    assert [id(t) for t in renamed.values()] == [id(t) for t in STATE.values()]

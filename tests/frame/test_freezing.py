"""The shared stages of a transfer: initial weights, freezing with a schedule, the record's proof."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from rl_transfer import core
from rl_transfer.core import PartMap, PartRule
from rl_transfer.errors import FrozenTensorMoved, TransferError
from rl_transfer.frame.freezing import FreezeSchedule
from rl_transfer.frame.initial import apply_initial
from rl_transfer.spec import StrategyVerbs

RULES = {
    "body": PartRule(("0",), "trunk"),
    "middle": PartRule(("1",), "trunk"),
    "head": PartRule(("2",), "head"),
}


def network(seed: int) -> tuple[Any, PartMap]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    return model, PartMap.build(model, RULES)


def strategy(**verbs: object) -> core.Strategy:
    return core.Strategy(name="test", key="strategy", **verbs)  # type: ignore[arg-type]


def test_a_thaw_verifies_what_it_lets_go_and_the_record_only_speaks_of_the_rest() -> None:
    model, parts = network(0)
    thaw = (core.ThawStep(0.5, ("middle",)),)
    schedule = FreezeSchedule(model, parts, strategy(freeze=("body", "middle"), thaw=thaw))
    assert schedule.thaws
    assert schedule.progress(0.4) == []
    assert schedule.progress(0.5) == ["middle"]
    assert schedule.progress(0.9) == []
    with torch.no_grad():
        model[1].weight.add_(1)
    record = schedule.record()
    assert record is not None
    assert (record["parts"], record["norm"]) == (["body"], "frozen")
    assert record["digest_before"] == record["digest_after"]


def test_what_moved_before_its_thaw_is_found_at_the_thaw() -> None:
    model, parts = network(0)
    thaw = (core.ThawStep(0.5, ("middle",)),)
    schedule = FreezeSchedule(model, parts, strategy(freeze=("body", "middle"), thaw=thaw))
    with torch.no_grad():
        model[1].weight.add_(1)
    with pytest.raises(FrozenTensorMoved):
        schedule.progress(0.5)


def test_what_moved_is_found_by_the_record() -> None:
    model, parts = network(0)
    schedule = FreezeSchedule(model, parts, strategy(freeze=("body",)))
    with torch.no_grad():
        model[0].weight.add_(1)
    with pytest.raises(FrozenTensorMoved):
        schedule.record()


def test_without_a_freeze_there_is_no_record() -> None:
    model, parts = network(0)
    schedule = FreezeSchedule(model, parts, strategy())
    assert schedule.frozen is None
    assert not schedule.thaws
    assert (schedule.progress(1.0), schedule.record()) == ([], None)


@pytest.mark.parametrize("kind", ["shuffled", "shrink_and_perturb"])
def test_the_reference_is_the_source_as_it_was_whatever_the_start(kind: str) -> None:
    source, source_parts = network(1)
    model, parts = network(2)
    verbs = StrategyVerbs.model_validate({"copy": ["trunk"], "initial": {"kind": kind}})
    given = (source.state_dict(), source_parts)
    weights = apply_initial(model, parts, strategy(copy=("trunk",)), verbs, given, seed=0)
    assert torch.equal(weights.reference["0.weight"], source[0].weight)
    assert not torch.equal(model[0].weight, source[0].weight)
    if kind == "shuffled":
        before, after = (
            np.sort(each.detach().numpy().ravel()) for each in (source[0].weight, model[0].weight)
        )
        assert np.array_equal(before, after)


def test_a_source_that_does_not_fit_leaves_the_model_as_it_was() -> None:
    source = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 2))
    model, parts = network(2)
    before = core.digest_model(model)
    given = (source.state_dict(), PartMap.build(source, RULES))
    with pytest.raises(TransferError):
        apply_initial(model, parts, strategy(copy=("trunk",)), StrategyVerbs(copy_=("trunk",)), given, 0)
    assert core.digest_model(model) == before

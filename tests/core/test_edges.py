"""Edges of the core that larger tests pass over; each was found by a mutant that lived."""

import pytest
import torch
from torch import nn

from rl_transfer.core import (
    EWC,
    L2SP,
    PartLearningRates,
    PartMap,
    PartRule,
    Strategy,
    digest_tensors,
    inventory,
    inventory_table,
    load_bundle,
    plan,
    save_bundle,
    shrunk_and_perturbed,
)
from rl_transfer.errors import TransferError

from .networks import ActorCritic


def test_a_saved_bundle_does_not_follow_the_model(tmp_path):
    weight = torch.ones(2, 2)
    bundle = save_bundle(tmp_path / "b", {"w": weight}, {})
    weight.zero_()
    assert bundle.tensors["w"].tolist() == [[1, 1], [1, 1]]
    assert torch.equal(bundle.tensors["w"], load_bundle(tmp_path / "b").tensors["w"])


def test_a_plan_made_from_live_parameters_holds_plain_values():
    source, target = ActorCritic(), ActorCritic()
    made = plan(dict(source.named_parameters()), target, target.parts(), Strategy("all", copy=("all",)))
    mixed = shrunk_and_perturbed(made, target, target.parts(), shrink=0.5, noise=0.5)
    assert made.values
    assert not any(value.requires_grad for each in (made, mixed) for value in each.values.values())


@pytest.mark.parametrize("strength", [-1.0, float("inf"), float("nan")])
def test_impossible_strengths_of_anchors_are_refused(strength):
    reference = {"w": torch.ones(2)}
    with pytest.raises(TransferError, match="must be a number ≥ 0"):
        L2SP(reference, strength=strength)
    with pytest.raises(TransferError, match="must be a number ≥ 0"):
        EWC(reference, reference, strength=strength)


def test_merging_divides_by_the_multiplier_of_the_first_parameter():
    # log_std is the network's first parameter, so its piece stands for the merged group.
    assert 0.2 * 0.7 / 0.7 != 0.2, "else dividing would do where the rate must be remembered"
    model = ActorCritic()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.2)
    rates = PartLearningRates(optimizer, model, model.parts(), {"log_std": 0.7})
    with rates.merged():
        assert [group["lr"] for group in optimizer.param_groups] == [0.2]
    for group in optimizer.param_groups:  # a scheduler
        group["lr"] /= 2
    with rates.merged():
        assert [group["lr"] for group in optimizer.param_groups] == [pytest.approx(0.1)]
    rates.rescale(0.2)
    assert [group["lr"] for group in optimizer.param_groups] == [0.2 * 0.7, 0.2]
    with rates.merged():
        assert [group["lr"] for group in optimizer.param_groups] == [0.2], "the rate that was set"


def test_an_optimizers_empty_group_keeps_its_rate():
    model = ActorCritic()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.3)
    optimizer.param_groups.append({**optimizer.param_groups[0], "params": [], "lr": 0.1})
    rates = PartLearningRates(optimizer, model, model.parts(), {"trunk": 0.5})
    with rates.merged():
        merged = [(group["lr"], len(group["params"])) for group in optimizer.param_groups]
        assert merged == [(0.3, 13), (0.1, 0)]
    rates.rescale(0.4)
    assert optimizer.param_groups[-1]["lr"] == 0.1


def test_parts_of_a_source_may_name_tensors_that_it_lacks():
    source, target = ActorCritic(), ActorCritic()
    state = {name: tensor for name, tensor in source.state_dict().items() if not name.startswith("value_net")}
    made = plan(state, target, target.parts(), Strategy("s", copy=("trunk",)), source_parts=source.parts())
    assert len(made.names("copied")) == 8
    with pytest.raises(TransferError, match=r"value_net\.weight: the source has no counterpart"):
        plan(state, target, target.parts(), Strategy("s", copy=("all",)), source_parts=source.parts())


def test_an_inventory_has_every_tensor_every_total_and_the_statistics():
    model = nn.Linear(2, 1000)
    state, statistics = model.state_dict(), {"mean": torch.zeros(3, dtype=torch.float64)}
    rows = inventory(PartMap.build(model, {"body": PartRule(("",), "trunk")}), state, statistics)
    assert [(row["part"], row["role"], row["tensor"], row["elements"], row["dtype"]) for row in rows] == [
        ("body", "trunk", "weight", 2000, "float32"),
        ("body", "trunk", "bias", 1000, "float32"),
        ("body", "trunk", None, 3000, None),
        ("normalization", "statistics", "mean", 3, "float64"),
        ("normalization", "statistics", None, 3, None),
        ("all", "", None, 3003, None),
    ]
    assert [row["shape"] for row in rows] == [[1000, 2], [1000], None, [3], None, None]
    assert rows[-1]["digest"] == digest_tensors({**state, **statistics})[:12]
    assert rows[0]["digest"] == digest_tensors({"weight": state["weight"]})[:12]


def test_an_inventory_as_a_table_groups_digits_and_leaves_blanks_in_totals():
    model = nn.Linear(2, 1000)
    rows = inventory(PartMap.build(model, {"trunk": PartRule(("",), "trunk")}), model.state_dict())
    head, *_, weight, _, total, everything = inventory_table(rows).splitlines()
    assert head.split() == ["part", "role", "tensor", "shape", "elements", "dtype", "digest"]
    assert weight.split()[:3] == ["trunk", "trunk", "weight"]
    assert "2,000" in weight
    assert total.split() == ["trunk", "trunk", "total", "3,000", rows[2]["digest"]]
    assert everything.split() == ["all", "total", "3,000", rows[3]["digest"]]

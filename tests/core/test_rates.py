import copy

import pytest
import torch
from torch import nn

from rl_transfer.core import PartLearningRates, freeze, learning_rates_by_part
from rl_transfer.errors import TransferError

from .networks import ActorCritic
from .training import changed, snapshot, update


def sgd_step(model, optimizer):
    """A plain gradient step with gradient 1 everywhere: w ← w − lr."""
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()


def test_each_part_steps_by_its_own_rate():
    model = ActorCritic()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    PartLearningRates(optimizer, model, model.parts(), {"trunk[:1]": 0.25, "action_head": 2.0})
    before = snapshot(model)
    sgd_step(model, optimizer)
    moved = {name: (before[name] - tensor).mean().item() for name, tensor in model.state_dict().items()}
    assert moved["mlp_extractor.policy_net.0.weight"] == pytest.approx(0.125)
    assert moved["mlp_extractor.value_net.0.bias"] == pytest.approx(0.125)
    assert moved["mlp_extractor.policy_net.2.weight"] == pytest.approx(0.5)
    assert moved["action_net.bias"] == pytest.approx(1.0)
    assert moved["log_std"] == pytest.approx(0.5)


def test_rates_stay_in_proportion_after_one_rate_was_written_to_all_groups():
    model = ActorCritic()
    parts = model.parts()
    optimizer = torch.optim.Adam(model.parameters(), lr=1.0)
    rates = PartLearningRates(optimizer, model, parts, {"trunk": 0.1})
    for group in optimizer.param_groups:  # what Stable-Baselines3 does before every update
        group["lr"] = 0.5
    rates.rescale(0.5)
    rates.rescale(0.5)
    by_part = learning_rates_by_part(optimizer, model, parts)
    assert by_part == {
        "policy_trunk": 0.05,
        "value_trunk": 0.05,
        "action_head": 0.5,
        "value_head": 0.5,
        "log_std": 0.5,
    }


def test_rates_are_reported_layer_by_layer_where_they_differ_and_0_where_frozen():
    model = ActorCritic()
    parts = model.parts()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    PartLearningRates(optimizer, model, parts, {"policy_trunk.0": 0.5})
    freeze(model, parts, ["value_trunk"])
    by_part = learning_rates_by_part(optimizer, model, parts)
    assert by_part == {
        "policy_trunk.0": 0.5,
        "policy_trunk.1": 1.0,
        "value_trunk": 0.0,
        "action_head": 1.0,
        "value_head": 1.0,
        "log_std": 1.0,
    }


@pytest.mark.parametrize("late", [False, True])
def test_multipliers_of_1_change_nothing_even_in_the_middle_of_training(late):
    """Splitting keeps every moment: the same updates as the unsplit optimizer, bit for bit."""
    plain = ActorCritic()
    split = copy.deepcopy(plain)
    plain_optimizer = torch.optim.Adam(plain.parameters(), lr=0.01)
    optimizer = torch.optim.Adam(split.parameters(), lr=0.01)
    rates = None
    for step in range(6):
        if step == (3 if late else 0):
            rates = PartLearningRates(optimizer, split, split.parts(), {"trunk": 1.0, "action_head": 0.5})
            rates.rescale(0.01)
            for group in optimizer.param_groups:
                group["lr"] = 0.01
        for model, each in ((plain, plain_optimizer), (split, optimizer)):
            torch.manual_seed(step)
            update(model, each)
    assert len(optimizer.param_groups) == 2
    assert changed(split, snapshot(plain)) == set()


def test_a_merged_state_loads_into_an_unsplit_optimizer_and_back():
    model = ActorCritic()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.3)
    rates = PartLearningRates(optimizer, model, model.parts(), {"policy_trunk": 0.7, "value_trunk": 0.1})
    update(model, optimizer)
    with rates.merged():
        state = copy.deepcopy(optimizer.state_dict())
    assert len(optimizer.param_groups) == 3
    assert [group["lr"] for group in state["param_groups"]] == [0.3]

    twin = copy.deepcopy(model)
    plain = torch.optim.Adam(twin.parameters(), lr=1.0)
    plain.load_state_dict(state)
    for parameter, other in zip(model.parameters(), twin.parameters(), strict=True):
        assert torch.equal(optimizer.state[parameter]["exp_avg"], plain.state[other]["exp_avg"])

    with rates.merged():
        optimizer.load_state_dict(plain.state_dict())
    update(model, optimizer)
    assert sorted(group["lr"] for group in optimizer.param_groups) == [0.3 * 0.1, 0.3 * 0.7, 0.3]


def test_merging_keeps_what_a_scheduler_did_and_groups_that_were_added():
    model, extra = ActorCritic(), nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.8)
    rates = PartLearningRates(optimizer, model, model.parts(), {"trunk": 0.5})
    optimizer.add_param_group({"params": [extra], "lr": 0.2})
    for group in optimizer.param_groups:
        group["lr"] /= 2
    with rates.merged():
        assert [group["lr"] for group in optimizer.param_groups] == [0.4, 0.1]
        assert [id(p) for p in optimizer.param_groups[0]["params"]] == [id(p) for p in model.parameters()]
    assert sorted(group["lr"] for group in optimizer.param_groups) == [0.1, 0.2, 0.4]


def test_an_optimizer_may_hold_other_parameters_and_only_some_of_the_model():
    model, coefficient = ActorCritic(), nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([*model.mlp_extractor["policy_net"].parameters(), coefficient], lr=1.0)
    PartLearningRates(optimizer, model, model.parts(), {"policy_trunk": 0.5, "value_trunk": 0.1})
    assert [(group["lr"], len(group["params"])) for group in optimizer.param_groups] == [(0.5, 4), (1.0, 1)]
    assert learning_rates_by_part(optimizer, model, model.parts()) == {"policy_trunk": 0.5}


@pytest.mark.parametrize(
    ("multipliers", "message", "key"),
    [
        (
            {"trunk": 0.1, "policy_trunk": 0.2},
            "two learning-rate multipliers: 0.1 from 'trunk'",
            "k.policy_trunk",
        ),
        ({"trunk": 0.0}, "must be > 0", "k.trunk"),
        ({"trnk": 0.5}, "Did you mean 'trunk'", "k.0"),
    ],
)
def test_bad_multipliers(multipliers, message, key):
    model = ActorCritic()
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    with pytest.raises(TransferError, match=message) as caught:
        PartLearningRates(optimizer, model, model.parts(), multipliers, key="k")
    assert caught.value.key == key
    assert len(optimizer.param_groups) == 1


def test_a_layer_that_is_frozen_in_part_is_reported_with_its_rate():
    model = ActorCritic()
    model.action_net.weight.requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    assert learning_rates_by_part(optimizer, model, model.parts())["action_head"] == 0.5

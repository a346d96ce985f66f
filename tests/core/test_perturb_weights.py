from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rl_transfer.core import Strategy, apply, plan, shrunk_and_perturbed, shuffled
from rl_transfer.errors import TransferError

from .networks import ConvNet, one_part
from .training import snapshot

NEW_HEAD = Strategy("new-head", copy=("trunk",))


def conv_plan():
    source, target = ConvNet(), ConvNet()
    source(torch.randn(8, 2, 6, 6))
    return source, target, plan(source.state_dict(), target, target.parts(), NEW_HEAD)


def test_shuffled_tensors_hold_the_same_numbers_in_another_order():
    source, target, made = conv_plan()
    head = snapshot(target.head)
    changed_plan = shuffled(made, np.random.default_rng(0))
    apply(changed_plan, target)
    for name, tensor in source.trunk.state_dict().items():
        ours = target.trunk.state_dict()[name]
        assert torch.equal(ours.flatten().sort().values, tensor.flatten().sort().values), name
    assert not torch.equal(target.trunk[0].weight, source.trunk[0].weight)
    assert not torch.equal(target.trunk[1].running_mean, source.trunk[1].running_mean)
    assert all(torch.equal(tensor, head[name]) for name, tensor in target.head.state_dict().items())
    rows = [row for row in changed_plan.entries if row.action == "copied"]
    assert all(row.reason == "permuted within the tensor" for row in rows)
    assert made.entries[0].reason == ""


def test_shuffling_is_seeded():
    _, _, made = conv_plan()
    first, again, other = (shuffled(made, np.random.default_rng(seed)).values for seed in (1, 1, 2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["trunk.0.weight"], other["trunk.0.weight"])


def counted_plan(rows, columns):
    """The plan of a layer whose numbers are their own places; the bias begins at 100."""
    target = nn.Sequential(nn.Linear(columns, rows))
    weight = torch.arange(float(rows * columns)).reshape(rows, columns)
    source = {"0.weight": weight, "0.bias": 100 + torch.arange(float(rows))}
    return plan(source, target, one_part(target), NEW_HEAD)


@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 5))
def test_any_seed_permutes_within_each_tensor(seed, rows, columns):
    values = shuffled(counted_plan(rows, columns), np.random.default_rng(seed)).values
    assert sorted(values["0.weight"].flatten().tolist()) == list(range(rows * columns))
    assert sorted(values["0.bias"].tolist()) == list(range(100, 100 + rows))


def test_shrink_and_perturb_by_hand():
    target: Any = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    parts = one_part(target)
    target[0].weight.data.fill_(10.0)
    target[0].bias.data.fill_(-10.0)
    source = {name: torch.full_like(tensor, 4) for name, tensor in target.state_dict().items()}
    made = shrunk_and_perturbed(plan(source, target, parts, NEW_HEAD), target, parts, shrink=0.5, noise=0.1)
    # 0.5 · 4 + 0.1 · 10 = 3 and 0.5 · 4 − 1 = 1; BatchNorm's fresh weight 1 and bias 0: 2.1 and 2;
    # buffers are copied as they are.
    expected = {"0.weight": 3.0, "0.bias": 1.0, "1.weight": 2.1, "1.bias": 2.0, "1.running_mean": 4.0}
    apply(made, target)
    found = {name: target.state_dict()[name].item() for name in expected}
    assert found == pytest.approx(expected)
    reasons = {row.tensor: row.reason for row in made.entries}
    assert reasons["0.weight"] == "shrink 0.5, noise 0.1"
    assert reasons["1.running_mean"] == ""


def test_without_shrinking_and_noise_nothing_changes():
    _, target, made = conv_plan()
    same = shrunk_and_perturbed(made, target, target.parts(), shrink=1.0, noise=0.0)
    assert all(torch.equal(same.values[name], made.values[name]) for name in made.values)


@pytest.mark.parametrize(
    ("shrink", "noise"), [(1.5, 0.1), (-0.1, 0.1), (0.5, -1.0), (0.5, float("inf")), (float("nan"), 0.0)]
)
def test_impossible_factors_are_refused(shrink, noise):
    _, target, made = conv_plan()
    with pytest.raises(TransferError, match="give 0 ≤ shrink ≤ 1 and noise ≥ 0"):
        shrunk_and_perturbed(made, target, target.parts(), shrink=shrink, noise=noise)


def test_permutations_are_drawn_in_the_order_of_the_sorted_names():
    values = shuffled(counted_plan(3, 2), np.random.default_rng(7)).values
    rng = np.random.default_rng(7)
    # 0.bias is drawn first, then 0.weight, row after row.
    assert values["0.bias"].tolist() == (100 + rng.permutation(3)).tolist()
    assert values["0.weight"].flatten().tolist() == rng.permutation(6).tolist()


def test_shrinking_to_nothing_leaves_the_scaled_initialisation():
    _, target, made = conv_plan()
    fresh = target.trunk[0].weight.detach().clone()
    mixed = shrunk_and_perturbed(made, target, target.parts(), shrink=0.0, noise=2.0)
    assert torch.equal(mixed.values["trunk.0.weight"], 2 * fresh)

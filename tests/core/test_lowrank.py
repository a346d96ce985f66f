import copy

import pytest
import torch
from torch import nn

from rl_transfer.core import PartMap, add_low_rank, freeze, tensors_of
from rl_transfer.errors import FrozenTensorMoved, TransferError

from .networks import ActorCritic, ConvNet, one_part
from .training import changed, snapshot, train


def adapters_of(model, *selectors, rank=2, alpha=None, seed=0):
    """Low-rank adapters on frozen parts."""
    generator = torch.Generator().manual_seed(seed)
    return add_low_rank(model, model.parts(), selectors, rank=rank, alpha=alpha, generator=generator)


def adapted(rank=2, alpha=None, seed=0):
    model = ConvNet()
    frozen = freeze(model, model.parts(), ["trunk"])
    return model, frozen, adapters_of(model, "trunk", rank=rank, alpha=alpha, seed=seed)


def small_policy(**sizes):
    """A policy with its trunk frozen, the trunk's only layer, and that layer's weight."""
    model = ActorCritic(width=2, depth=1, **sizes)
    freeze(model, model.parts(), ["policy_trunk"])
    layer = model.mlp_extractor["policy_net"][0]
    return model, layer, layer.weight.detach().clone()


def test_adapters_start_as_the_identity():
    model = ConvNet()
    x = torch.randn(3, 2, 6, 6)
    before = model.eval()(x)
    freeze(model, model.parts(), ["trunk"])
    assert adapters_of(model, "trunk").paths == ("trunk.0", "trunk.4")
    assert torch.equal(model.eval()(x), before)


def test_only_adapters_and_head_train_and_the_trunk_adapts():
    model, frozen, adapters = adapted()
    optimizer = torch.optim.Adam([*model.head.parameters(), *adapters.parameters()], lr=0.01)
    before, x = snapshot(model), torch.randn(3, 2, 6, 6)
    outputs = model.trunk(x)
    train(model, optimizer)
    moved = {name for name in changed(model, before) if name.startswith("trunk.")}
    ours = {f"trunk.{i}.parametrizations.weight.0.{name}" for i in (0, 4) for name in ("up", "down")}
    assert moved == ours
    frozen.verify()
    assert not torch.equal(model.trunk(x), outputs)
    # Convolutions 4×(2·9) and 4×(4·9) at rank 2: 2·(4 + 18) + 2·(4 + 36).
    assert sum(p.numel() for p in adapters.parameters()) == 124
    assert all(p.requires_grad for p in adapters.parameters())


def test_the_update_by_hand():
    model, layer, weight = small_policy(observations=3)
    adapters = adapters_of(model, "policy_trunk", rank=1, alpha=4.0)
    down, up = sorted(adapters.parameters(), key=lambda p: p.shape[0])
    down.data, up.data = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[1.0], [-1.0]])
    # α/r · up @ down = 4 · [[1, 2, 3], [−1, −2, −3]].
    update = torch.tensor([[4.0, 8.0, 12.0], [-4.0, -8.0, -12.0]])
    assert torch.allclose(layer.weight, weight + update)


@pytest.mark.parametrize("how", ["merge", "merged_state"])
def test_a_merged_network_computes_the_same_without_adapters(how):
    model, frozen, adapters = adapted(alpha=8.0)
    optimizer = torch.optim.Adam([*model.head.parameters(), *adapters.parameters()], lr=0.05)
    train(model, optimizer)
    frozen.verify()
    x = torch.randn(3, 2, 6, 6)
    expected = model.eval()(x)
    plain = ConvNet()
    if how == "merge":
        weight = model.trunk[0].parametrizations.weight.original
        adapters.merge()
        assert model.trunk[0].weight is weight, "optimizers keep hold of it"
        assert not weight.requires_grad
        assert list(model.state_dict()) == list(plain.state_dict())
        assert type(model.trunk[0]) is type(plain.trunk[0])
        assert adapters.parameters() == []
        with pytest.raises(FrozenTensorMoved, match=r"trunk\.0\.weight, trunk\.4\.weight"):
            frozen.verify()
        plain.load_state_dict(model.state_dict(), strict=True)
    else:
        before = snapshot(model)
        plain.load_state_dict(adapters.merged_state(), strict=True)
        assert changed(model, before) == set()
    assert torch.allclose(plain.eval()(x), expected, atol=1e-6)


def test_adapters_survive_training_mode_and_deepcopy():
    model, _, _ = adapted()
    twin = copy.deepcopy(model)
    twin.train()
    assert not twin.trunk[0].training
    x = torch.randn(2, 2, 6, 6)
    assert torch.equal(twin.trunk(x), model.trunk(x))
    with torch.no_grad():
        twin.trunk[0].parametrizations.weight[0].up.add_(1)
    assert not torch.equal(twin.trunk(x), model.trunk(x))


def test_parts_built_anew_keep_their_layers_with_the_adapters_inside():
    model, _, _ = adapted()
    parts = PartMap.build(model, ConvNet.RULES)
    assert [layer.path for layer in parts["trunk"].layers] == ["trunk.0", "trunk.1", "trunk.4", "trunk.5"]
    assert "trunk.0.parametrizations.weight.0.up" in parts["trunk"].layers[0].tensors


def test_the_initial_matrices_come_from_the_generator_alone():
    def downs(seed):
        torch.rand(seed)  # the global generator is somewhere else each time
        return [tensor for name, tensor in tensors_of(adapted(seed=seed)[0]).items() if name.endswith("down")]

    first, other = downs(1), downs(2)
    again = downs(1)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


@pytest.mark.parametrize(
    ("selectors", "rank", "message"),
    [
        (["head"], 2, r"head\.0, head\.3 is trainable: freeze it first"),
        (["trunk.1"], 2, r"no Linear or Conv2d layer to adapt among trunk\.1"),
        (["trunk"], 0, "rank 0 is out of range"),
        (["trnk"], 1, "Did you mean 'trunk'"),
    ],
)
def test_bad_adapters_leave_the_network_alone(selectors, rank, message):
    model = ConvNet()
    freeze(model, model.parts(), ["trunk"])
    keys = list(model.state_dict())
    with pytest.raises(TransferError, match=message):
        adapters_of(model, *selectors, rank=rank)
    assert list(model.state_dict()) == keys


def test_without_alpha_the_update_counts_once_and_a_rank_is_no_larger_than_the_layer():
    model = ActorCritic()
    freeze(model, model.parts(), ["value_head"])
    weight = model.value_net.weight.detach().clone()
    down, up = adapters_of(model, "value_head", rank=3).parameters()
    assert (down.shape, up.shape) == ((1, 8), (1, 1)), "one output, eight inputs"
    down.data.fill_(1.0)
    up.data.fill_(0.5)
    assert torch.allclose(model.value_net.weight, weight + 0.5)


def test_alpha_is_divided_by_the_rank():
    model, layer, weight = small_policy()
    for parameter in adapters_of(model, "policy_trunk", alpha=6.0).parameters():
        parameter.data.fill_(1.0)
    # α/r · Σ over two ranks of 1 · 1 = 3 · 2.
    assert torch.allclose(layer.weight, weight + 6.0)


def test_the_initial_matrices_are_kaiming_uniform():
    model = nn.Sequential(nn.Linear(100, 50).requires_grad_(False), nn.Linear(50, 1))
    parts, seeded = one_part(model, t="0", top="1"), torch.Generator().manual_seed(0)
    adapters = add_low_rank(model, parts, ["t"], rank=40, generator=seeded)
    down = next(p for p in adapters.parameters() if p.shape == (40, 100))
    # With a = √5 the bound is √(6 / ((1 + 5) · 100)) = 0.1; the largest of 4,000 draws lies close to it.
    assert 0.099 < down.abs().max().item() <= 0.1


def test_the_merged_state_is_plain_and_leaves_other_parametrizations_alone():
    model = ConvNet()
    freeze(model, model.parts(), ["trunk"])
    parts = model.parts()
    nn.utils.parametrize.register_parametrization(model.head[0], "weight", nn.Identity())
    state = add_low_rank(model, parts, ["trunk"], rank=1, generator=torch.Generator()).merged_state()
    assert "trunk.0.weight" in state
    assert torch.equal(state["head.0.parametrizations.weight.original"], model.head[0].weight)
    assert "head.0.weight" not in state
    assert not any(tensor.requires_grad for tensor in state.values())

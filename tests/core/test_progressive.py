import pytest
import torch
from torch import nn

from rl_transfer.core import PartMap, PartRule, ProgressiveTrunk, digest_model
from rl_transfer.errors import TransferError
from support.untyped import untyped


def source_trunk():
    return nn.Sequential(nn.Linear(3, 5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, 4), nn.Tanh())


def set_linear(layer, weight, bias=None):
    with torch.no_grad():
        layer.weight.fill_(weight)
        if layer.bias is not None:
            layer.bias.fill_(bias or 0.0)


def test_two_layers_by_hand():
    source = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1), nn.ReLU())
    set_linear(source[0], 2.0)
    set_linear(source[2], 3.0)
    trunk = ProgressiveTrunk(source)
    set_linear(trunk.column[0].linear, 1.0)
    set_linear(trunk.column[1].linear, 10.0)
    set_linear(trunk.laterals[0], 0.5)
    set_linear(trunk.laterals[1], 0.25)
    # x = 1: s_1 = 2, s_2 = 6; h_1 = 1, h_2 = 10·1 + 0.5·2 = 11; output 11 + 0.25·6 = 12.5.
    assert trunk(torch.ones(1, 1)).item() == pytest.approx(12.5)
    # x = −1: every ReLU is shut.
    assert trunk(-torch.ones(1, 1)).item() == 0.0


def test_training_moves_everything_but_the_source_column():
    trunk = ProgressiveTrunk(source_trunk())
    head = nn.Linear(trunk.out_features, 2)
    digest = digest_model(trunk.source)
    before = {name: p.detach().clone() for name, p in trunk.named_parameters()}
    optimizer = torch.optim.Adam([*trunk.parameters(), *head.parameters()], lr=0.01, weight_decay=0.1)
    for _ in range(5):
        trunk.train()
        optimizer.zero_grad()
        head(trunk(torch.randn(8, 3))).square().sum().backward()
        optimizer.step()
    assert digest_model(trunk.source) == digest
    still = {name for name, p in trunk.named_parameters() if torch.equal(p, before[name])}
    assert still == {name for name in before if name.startswith("source.")}


def test_the_source_column_is_a_deterministic_copy():
    source = source_trunk()
    trunk = ProgressiveTrunk(source).train()
    assert untyped(trunk.column[0]).then[1].training, "the new column's dropout is on"
    assert not any(module.training for module in trunk.source.modules())
    with torch.no_grad():
        source[0].weight.add_(1)
    assert not torch.equal(untyped(trunk.source[0]).linear.weight, source[0].weight)
    assert not any(module.training for module in trunk.eval().modules())
    assert {path for path, module in trunk.train().named_modules() if not module.training} == {
        path for path, _ in trunk.named_modules() if path.split(".")[0] == "source"
    }


def test_the_new_column_reads_the_source_at_every_depth():
    trunk = ProgressiveTrunk(source_trunk()).eval()
    x = torch.randn(4, 3)
    before = trunk(x)
    for i in range(2):
        changed = ProgressiveTrunk(source_trunk()).eval()
        changed.load_state_dict(trunk.state_dict())
        with torch.no_grad():
            untyped(changed.laterals[i]).weight.zero_()
        assert not torch.allclose(changed(x), before)


def test_the_new_column_has_the_sources_widths():
    trunk = ProgressiveTrunk(source_trunk())
    assert trunk(torch.randn(7, 3)).shape == (7, 4)
    assert trunk.out_features == 4


def test_columns_are_parts():
    trunk = ProgressiveTrunk(source_trunk())
    rules = {
        "source_column": PartRule(("source",), "trunk"),
        "column": PartRule(("column", "laterals"), "trunk"),
    }
    parts = PartMap.build(trunk, rules)
    # 3·5 + 5 + 5·4 + 4 = 44; the same again, plus laterals 5·4 + 4·4.
    assert (parts["source_column"].numel, parts["column"].numel) == (44, 44 + 36)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)),
            "module '1' of the source trunk is a BatchNorm1d",
        ),
        (nn.Sequential(nn.Tanh(), nn.Linear(2, 2)), "module '0' of the source trunk is a Tanh"),
        (nn.Sequential(), "has no Linear layer"),
    ],
)
def test_sources_that_cannot_be_extended_are_refused(source, message):
    with pytest.raises(TransferError, match=message):
        ProgressiveTrunk(source)


def test_a_new_column_with_the_sources_weights_and_no_laterals_is_the_source():
    source = nn.Sequential(
        nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 4), nn.ReLU(), nn.Linear(4, 2), nn.Sigmoid()
    )
    trunk = ProgressiveTrunk(source)
    assert trunk.out_features == 2
    assert [tuple(untyped(each).weight.shape) for each in trunk.laterals] == [(4, 5), (2, 4), (2, 2)]
    trunk.column.load_state_dict(trunk.source.state_dict())
    for lateral in trunk.laterals:
        set_linear(lateral, 0.0)
    x = torch.randn(7, 3)
    assert torch.equal(trunk(x), source(x))


def test_the_source_column_is_frozen_and_in_evaluation_mode_from_the_start():
    trunk = ProgressiveTrunk(source_trunk())
    assert not any(p.requires_grad for p in trunk.source.parameters())
    assert not any(module.training for module in trunk.source.modules())
    assert all(p.requires_grad for p in trunk.column.parameters())

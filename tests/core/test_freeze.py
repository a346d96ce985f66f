import copy
import hashlib
import io

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rl_transfer.core import PartMap, PartRule, count_parameters, digest_model, freeze
from rl_transfer.errors import FrozenTensorMoved, TransferError

from .networks import ActorCritic, ConvNet, SharedExtractor, one_part
from .training import changed, snapshot, train

OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, lr=0.01, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.9, weight_decay=0.1),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=0.1),
}


def frozen_net(*selectors, **how):
    """A network with these parts frozen (the trunk), and the freeze."""
    model = ConvNet()
    return model, freeze(model, model.parts(), selectors or ["trunk"], **how)


def frozen_policy(*selectors):
    """The same of an actor-critic (its policy's trunk)."""
    model = ActorCritic()
    return model, freeze(model, model.parts(), selectors or ["policy_trunk"])


def moved_by_training(model, optimizer=torch.optim.Adam):
    before = snapshot(model)
    train(model, optimizer(model.parameters()))
    return changed(model, before)


def named(model, *prefixes):
    return {name for name in model.state_dict() if name.startswith(prefixes)}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("late", [False, True], ids=["at once", "after momentum has built up"])
@pytest.mark.parametrize("set_to_none", [True, False])
def test_frozen_tensors_and_buffers_stay_bit_equal_while_the_rest_moves(optimizer, late, set_to_none):
    model = ConvNet()
    optimizer = OPTIMIZERS[optimizer](model.parameters())
    if late:
        train(model, optimizer, set_to_none=set_to_none)
    frozen = freeze(model, model.parts(), ["trunk"])
    before, x = snapshot(model), torch.randn(4, 2, 6, 6)
    outputs = model.train().trunk(x)
    train(model, optimizer, set_to_none=set_to_none)
    assert changed(model, before) == {name for name in before if name.startswith("head.")}
    assert torch.equal(model.train().trunk(x), outputs)
    assert frozen.digest_now() == frozen.digest_before
    frozen.verify()


def test_without_the_hold_running_statistics_drift_and_verify_sees_it():
    """``requires_grad_(False)`` alone is not freezing: the loss that this module prevents."""
    model, frozen = frozen_net()
    for module in model.modules():
        module.__dict__.pop("train", None)
    train(model, torch.optim.SGD(model.parameters(), lr=0.01))
    with pytest.raises(FrozenTensorMoved, match=r"6 frozen tensor.*trunk\.1\.running_mean"):
        frozen.verify()
    assert frozen.digest_now() != frozen.digest_before


def test_only_the_frozen_modules_stay_in_evaluation_mode():
    model, _ = frozen_net()
    model.train()
    training = {path for path, module in model.named_modules() if module.training}
    assert training == {"", "head", *(f"head.{i}" for i in range(4))}
    assert model.trunk[3].train(True) is model.trunk[3]
    assert not model.trunk[3].training
    model.eval()
    assert not any(module.training for module in model.modules())


def test_freezing_the_first_layers_holds_what_stands_behind_them():
    model, frozen = frozen_net("trunk[:2]")
    model.train()
    assert [module.training for module in model.trunk] == [False] * 4 + [True] * 4
    assert set(model.state_dict()) - moved_by_training(model) == named(model, "trunk.0.", "trunk.1.")
    frozen.verify()


def test_a_norm_layer_outside_the_frozen_layers_goes_on_learning():
    model, _ = frozen_net("trunk.0")
    assert "trunk.1.running_mean" in moved_by_training(model)
    assert model.trunk[1].training


def test_adapting_statistics_follow_the_data_and_nothing_else_does():
    model, frozen = frozen_net(norm="adapt")
    moved = moved_by_training(model) & named(model, "trunk.")
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    assert moved == {f"trunk.{i}.{name}" for i in (1, 5) for name in statistics}
    assert not model.trunk[3].training, "dropout is held all the same"
    assert set(frozen.tensors) == named(model, "trunk.") - moved, "the rest is verified"
    frozen.verify()


def test_the_state_dict_and_the_module_tree_keep_their_shape():
    model = ConvNet()
    keys, modules, digest = list(model.state_dict()), list(model.named_modules()), digest_model(model)
    optimizer = torch.optim.Adam(model.parameters())
    groups = optimizer.state_dict()["param_groups"]
    freeze(model, model.parts(), ["trunk"])
    assert list(model.state_dict()) == keys
    assert list(model.named_modules()) == modules
    assert digest_model(model) == digest
    assert optimizer.state_dict()["param_groups"] == groups


@pytest.mark.parametrize("how", ["deepcopy", "torch.save"])
def test_a_copy_is_frozen_by_itself(how):
    model, _ = frozen_net()
    if how == "deepcopy":
        twin = copy.deepcopy(model)
    else:
        file = io.BytesIO()
        torch.save(model, file)
        file.seek(0)
        twin = torch.load(file, weights_only=False)
    assert twin.trunk[1].train() is twin.trunk[1]
    original = snapshot(model)
    assert moved_by_training(twin) == named(twin, "head.")
    assert changed(model, original) == set()


def test_unfreezing_gives_everything_back():
    model, frozen = frozen_net()
    train(model, torch.optim.Adam(model.parameters()))
    assert set(frozen.unfreeze()) == named(model, "trunk.")
    assert all(module.training for module in model.modules())
    assert all("train" not in vars(module) for module in model.modules())
    assert moved_by_training(model) == set(model.state_dict())
    assert frozen.tensors == ()
    assert frozen.parts == ()
    frozen.verify()


def test_thawing_some_layers_keeps_the_rest_frozen():
    model, frozen = frozen_net()
    frozen.unfreeze(["trunk.2", "trunk.3", "head"])
    assert frozen.parts == ("trunk",)
    still = set(model.state_dict()) - moved_by_training(model)
    assert still == set(frozen.tensors) == named(model, "trunk.0.", "trunk.1.")
    assert [module.training for module in model.trunk] == [False] * 4 + [True] * 4
    frozen.verify()
    assert frozen.unfreeze(["trunk.2"]) == ()


def test_what_was_not_trainable_before_stays_so():
    model = ConvNet()
    model.trunk[0].weight.requires_grad_(False)
    freeze(model, model.parts(), ["trunk"]).unfreeze()
    assert [name for name, p in model.named_parameters() if not p.requires_grad] == ["trunk.0.weight"]


def test_freezing_drops_the_gradient_that_is_there():
    model = ConvNet()
    model(torch.randn(4, 2, 6, 6)).sum().backward()
    freeze(model, model.parts(), ["trunk"])
    assert all(p.grad is None for p in model.trunk.parameters())
    assert all(p.grad is not None for p in model.head.parameters())


@pytest.mark.parametrize("selectors", [["all"], ["trunk", "head"]])
def test_freezing_everything_is_refused_and_touches_nothing(selectors):
    model = ConvNet()
    with pytest.raises(
        TransferError, match="leaves nothing to train; keep at least one of trunk, head"
    ) as caught:
        freeze(model, model.parts(), selectors, key="strategies.s.freeze")
    assert caught.value.key == "strategies.s.freeze"
    assert count_parameters(model)["trainable"] == count_parameters(model)["total"]
    assert all(module.training for module in model.modules())


def test_target_networks_do_not_count_as_something_to_train():
    model = nn.ModuleDict({"q": nn.Linear(2, 2), "q_target": nn.Linear(2, 2)})
    rules = {"q": PartRule(("q",), "head"), "target": PartRule(("q_target",), "auxiliary")}
    parts = PartMap.build(model, rules)
    with pytest.raises(TransferError, match="nothing to train"):
        freeze(model, parts, ["q"])
    freeze(model, parts, ["target"])


def test_freezing_a_part_without_tensors_is_refused():
    model = ActorCritic()
    with pytest.raises(TransferError, match="'features' matches no tensors") as caught:
        freeze(model, model.parts(), ["features"], key="k")
    assert caught.value.key == "k.0"


def test_freezing_nothing_is_a_valid_freeze():
    model = ActorCritic()
    frozen = freeze(model, model.parts(), [])
    assert frozen.tensors == ()
    assert count_parameters(model)["trainable"] == count_parameters(model)["total"]
    frozen.verify()


def test_verify_names_every_tensor_that_moved():
    model, frozen = frozen_policy()
    with torch.no_grad():
        model.mlp_extractor["policy_net"][2].bias.add_(1e-7)
        model.action_net.bias.add_(1)
    with pytest.raises(FrozenTensorMoved, match=r"1 frozen tensor.*: mlp_extractor\.policy_net\.2\.bias"):
        frozen.verify()


def test_verify_sees_a_replaced_parameter_and_a_vanished_one():
    model, frozen = frozen_policy()
    model.mlp_extractor["policy_net"][0].bias = nn.Parameter(torch.ones(8))
    model.mlp_extractor["policy_net"][2].bias = None
    with pytest.raises(FrozenTensorMoved, match=r"policy_net\.0\.bias, mlp_extractor\.policy_net\.2\.bias"):
        frozen.verify()


def test_verify_survives_a_parametrization_added_after_the_freeze():
    model = ActorCritic()
    frozen = freeze(model, model.parts(), ["policy_trunk"])
    layer = model.mlp_extractor["policy_net"][0]
    nn.utils.parametrize.register_parametrization(layer, "weight", nn.Identity())
    frozen.verify()
    with torch.no_grad():
        layer.parametrizations.weight.original.add_(1)
    with pytest.raises(FrozenTensorMoved, match=r"policy_net\.0\.weight"):
        frozen.verify()


def test_two_freezes_of_different_parts_are_independent():
    model = ActorCritic()
    parts = model.parts()
    policy, value = freeze(model, parts, ["policy_trunk"]), freeze(model, parts, ["value_trunk"])
    policy.unfreeze()
    assert all(p.requires_grad for p in model.mlp_extractor["policy_net"].parameters())
    assert not any(p.requires_grad for p in model.mlp_extractor["value_net"].parameters())
    assert value.parts == ("value_trunk",)


def test_what_another_freeze_holds_stays_held():
    model, frozen = frozen_net()
    freeze(model, model.parts(), ["trunk[:2]"]).unfreeze()
    assert moved_by_training(model) == named(model, "head.")
    frozen.verify()


def test_a_shared_extractor_is_frozen_under_all_its_names():
    model = SharedExtractor()
    freeze(model, model.parts(), ["features"])
    model.train()
    assert not model.vf_features_extractor.training
    before = snapshot(model)
    optimizer = torch.optim.Adam(model.parameters(), weight_decay=0.1)
    policy, value = model(torch.randn(3, 1, 4, 4))
    (policy.sum() + value.sum()).backward()
    optimizer.step()
    assert changed(model, before) == {n for n in before if n.startswith(("action_net", "value_net"))}


class Attention(nn.Module):
    """A container that applies dropout itself, and owns tensors beside its children's."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.5, batch_first=True)
        self.head = nn.Linear(8, 1)

    def forward(self, x):
        return self.head(self.trunk(x))


@pytest.mark.parametrize("parametrized", [False, True])
def test_dropout_inside_attention_is_off_when_frozen(parametrized):
    model, x = Attention(), torch.randn(2, 3, 8)
    if parametrized:
        nn.utils.parametrize.register_parametrization(model.trunk.self_attn, "in_proj_weight", nn.Identity())
    model.train()
    assert not torch.equal(model(x), model(x))
    freeze(model, one_part(model, t="trunk", top="head"), ["t"])
    model.train()
    assert torch.equal(model(x), model(x))


LAYERS = [f"{part}.{i}" for part in ("trunk", "head") for i in range(4 if part == "trunk" else 3)]


@settings(deadline=None, max_examples=25)
@given(st.sets(st.sampled_from(LAYERS), min_size=1, max_size=6), st.sets(st.sampled_from(LAYERS)))
def test_any_frozen_set_holds_and_any_thaw_releases_exactly_itself(selectors, thaw):
    model = ConvNet()
    parts = model.parts()
    frozen = freeze(model, parts, sorted(selectors))
    frozen.unfreeze(sorted(thaw))
    expected = set(parts.select(sorted(selectors - thaw)))
    assert set(frozen.tensors) == expected
    before = snapshot(model)
    train(model, torch.optim.Adam(model.parameters(), lr=0.1, weight_decay=0.1), steps=2)
    assert set(before) - changed(model, before) == expected
    frozen.verify()


def test_a_part_map_of_another_network_is_refused():
    model = ActorCritic()
    with pytest.raises(TransferError, match="part map was built for another network"):
        freeze(model, ActorCritic(width=16).parts(), ["policy_trunk"])
    assert count_parameters(model)["trainable"] == count_parameters(model)["total"]


def test_the_digest_of_a_freeze_by_hand():
    model, frozen = frozen_policy("action_head")
    # One line per tensor, sorted by name: bias before weight, though the layer has them the other way.
    names = ("action_net.bias", "action_net.weight")
    lines = "".join(f"{name} {digest_model(model, [name])}\n" for name in names)
    assert frozen.tensors == names[::-1]
    assert frozen.digest_before == hashlib.sha256(lines.encode()).hexdigest()

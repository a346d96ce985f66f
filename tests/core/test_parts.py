import copy
import functools
import hashlib

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from rl_transfer.core import PartMap, PartRule, count_parameters, digest_model, digest_tensors
from rl_transfer.errors import TransferError
from support.untyped import untyped

from .networks import ActorCritic, ConvNet, SharedExtractor, one_part


def test_every_tensor_lies_in_exactly_one_part():
    model = ConvNet()
    parts = model.parts()
    held = [name for part in parts for name in part.tensor_names]
    # Parameters and buffers: 2 convolutions × 2, 2 BatchNorm2d × (2 + 3); head 2 × 2 + 5.
    assert len(parts["trunk"].tensors) == 14
    assert len(parts["head"].tensors) == 9
    assert sorted(held) == sorted(model.state_dict())
    kinds = {info.name: info.kind for info in parts["trunk"].tensors}
    assert kinds["trunk.1.weight"] == "parameter"
    assert kinds["trunk.1.running_mean"] == "buffer"
    assert kinds["trunk.1.num_batches_tracked"] == "buffer"


def test_roles_sizes_and_order_of_an_actor_critic():
    parts = ActorCritic(observations=4, actions=2, width=8, depth=2).parts()
    assert parts.names == ("features", "policy_trunk", "value_trunk", "action_head", "value_head", "log_std")
    # 4·8 + 8 = 40, then 8·8 + 8 = 72.
    assert parts["policy_trunk"].numel == 112
    assert parts["action_head"].numel == 8 * 2 + 2
    assert parts["features"].tensors == ()
    assert parts["log_std"].role == "head"
    assert [layer.path for layer in parts["policy_trunk"].layers] == [
        "mlp_extractor.policy_net.0",
        "mlp_extractor.policy_net.2",
    ]


def test_tensors_that_no_rule_covers_are_named():
    rules = {k: v for k, v in ActorCritic.RULES.items() if k not in ("log_std", "value_head")}
    with pytest.raises(TransferError, match=r"3 tensor.*log_std, value_net\.weight, value_net\.bias"):
        PartMap.build(ActorCritic(), rules)


def test_a_prefix_ends_at_a_dot():
    model = nn.ModuleDict({"net": nn.Linear(2, 2), "net2": nn.Linear(2, 2)})
    with pytest.raises(TransferError, match=r"net2\.weight, net2\.bias"):
        one_part(model, body="net")


def test_the_longest_prefix_decides():
    parts = one_part(nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(3, 1)), body="", top="2")
    assert parts.select(["body"]) == ("0.weight", "0.bias")
    assert parts.select(["top"]) == ("2.weight", "2.bias")


def test_one_prefix_in_two_parts_is_refused():
    with pytest.raises(TransferError, match="'0' stands in two parts: 'a' and 'b'"):
        one_part(nn.Sequential(nn.Linear(1, 1)), a="0", b="0")


@pytest.mark.parametrize(
    ("name", "message"), [("all", "hide the group"), ("head", "hide the group"), ("a.b", "letters")]
)
def test_part_names_that_selectors_could_not_reach_are_refused(name, message):
    with pytest.raises(TransferError, match=message):
        one_part(nn.Sequential(nn.Linear(1, 1)), **{name: ""})


def test_an_unknown_role_is_refused():
    with pytest.raises(TransferError, match=r"'body' is unknown.*trunk, head, auxiliary"):
        PartRule(("0",), untyped("body"))


def test_a_tensor_with_three_names_is_held_once():
    model = SharedExtractor()
    parts = model.parts()
    names = [f"{prefix}features_extractor.0.weight" for prefix in ("", "pi_", "vf_")]
    assert parts["features"].tensors[0].names == tuple(names)
    # 2·1·3·3 + 2 = 20 and 8·4 + 4 = 36, once.
    assert parts["features"].numel == 56
    assert sum(part.numel for part in parts) == sum(p.numel() for p in model.parameters())
    assert parts.part_of("vf_features_extractor.3.bias").name == "features"
    assert len(parts["features"].layers) == 2
    apart = SharedExtractor(share=False).parts()["features"]
    assert (apart.numel, apart.tensors[0].names, len(apart.layers)) == (112, tuple(names[:2]), 4)


def test_a_tensor_tied_across_parts_goes_to_the_first_declared():
    model = nn.ModuleDict({"decoder": nn.Linear(2, 2, bias=False), "encoder": nn.Linear(2, 2)})
    model["decoder"].weight = model["encoder"].weight
    rules = {"encoder": PartRule(("encoder",), "trunk"), "decoder": PartRule(("decoder",), "head")}
    parts = PartMap.build(model, rules)
    assert parts["encoder"].tensor_names == ("decoder.weight", "encoder.bias")
    assert parts["decoder"].tensors == ()


def test_views_empty_tensors_and_tensors_without_data_are_not_aliases():
    flat, model = torch.zeros(4), nn.Module()
    for name, view in (("low", flat[:2]), ("high", flat[2:])):
        model.register_buffer(name, view)
        model.register_buffer(f"{name}_empty", torch.zeros(0, 3))
        model.register_buffer(f"{name}_meta", torch.zeros(2, device="meta"))
    assert one_part(model)["body"].tensor_names == (
        *("low", "low_empty", "low_meta"),
        *("high", "high_empty", "high_meta"),
    )


def test_a_lazy_parameter_is_refused():
    with pytest.raises(TransferError, match=r"0\.weight, 0\.bias have no shape yet"):
        one_part(nn.Sequential(nn.LazyLinear(3)))


def test_selectors():
    parts = ActorCritic().parts()
    trunk0, trunk1, value0 = (
        tuple(f"mlp_extractor.{layer}.{name}" for name in ("weight", "bias"))
        for layer in ("policy_net.0", "policy_net.2", "value_net.0")
    )
    assert parts.select(["policy_trunk"]) == trunk0 + trunk1
    assert parts.select(["policy_trunk.1"]) == trunk1
    assert parts.select(["policy_trunk[:1]"]) == trunk0
    assert parts.select(["trunk[:1]"]) == trunk0 + value0
    assert parts.select(["trunk"]) == parts.select(["policy_trunk", "value_trunk"])
    assert parts.select(["head"]) == parts.select(["log_std", "value_head", "action_head"])
    assert set(parts.select(["all"])) == set(ActorCritic().state_dict())
    assert parts.select([]) == ()


def test_a_layer_counts_when_it_owns_tensors():
    parts = ConvNet().parts()
    assert [layer.path for layer in parts["trunk"].layers] == ["trunk.0", "trunk.1", "trunk.4", "trunk.5"]
    # ReLU 2 and Dropout 3 follow the BatchNorm; ReLU 6 and Flatten 7 the last one.
    assert parts["trunk"].layers[1].followers == ("trunk.2", "trunk.3")
    assert parts["trunk"].layers[3].followers == ("trunk.6", "trunk.7")
    assert parts["head"].layers[1].followers == ("head.2",)


def test_modules_that_no_prefix_covers_follow_the_layer_before_them():
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 3), nn.Dropout(), nn.Linear(3, 1))
    parts = one_part(model, body="1", top="3")
    assert parts["body"].layers[0].followers == ("0", "2")
    assert parts["top"].layers[0].followers == ()


@pytest.mark.parametrize(
    ("selector", "message"),
    [
        ("polcy_trunk", r"names no part.*policy_trunk.*Did you mean 'policy_trunk'\?"),
        ("trnk", r"Did you mean 'trunk'\?"),
        ("features", r"'features' matches no tensors.*Parts with tensors: policy_trunk"),
        ("features.0", "matches no tensors"),
        ("auxiliary", "matches no tensors"),
        ("policy_trunk.2", r"has 2 layer\(s\), numbered 0 to 1: mlp_extractor\.policy_net\.0"),
        ("policy_trunk[:3]", "first 3 layer.*give a number from 1 to 2"),
        ("policy_trunk[:0]", "give a number from 1 to 2"),
        ("policy_trunk[1:]", "is not a selector"),
        ("policy_trunk.-1", "is not a selector"),
        ("", "is not a selector"),
    ],
)
def test_selectors_that_match_nothing_say_what_exists(selector, message):
    with pytest.raises(TransferError, match=message) as caught:
        ActorCritic().parts().select(["value_head", selector], key="strategies.mine.copy")
    assert caught.value.key == "strategies.mine.copy.1"


@functools.cache
def deep_parts():
    return ActorCritic(depth=3).parts()


SELECTORS = [
    *("trunk", "head", "all", "policy_trunk", "value_trunk", "action_head", "log_std"),
    *(f"policy_trunk.{i}" for i in range(3)),
    *(f"value_trunk[:{k}]" for k in range(1, 4)),
]


@given(st.lists(st.sampled_from(SELECTORS)), st.lists(st.sampled_from(SELECTORS)))
def test_a_selection_is_a_union(left, right):
    both = deep_parts().select(left + right)
    assert set(both) == set(deep_parts().select(left)) | set(deep_parts().select(right))
    assert len(both) == len(set(both))
    order = list(deep_parts().tensors)
    assert list(both) == sorted(both, key=order.index)


@given(st.text(alphabet="policy_trunkheadall.[:]01 -", max_size=16))
def test_any_text_selects_something_or_is_refused(selector):
    try:
        selected = deep_parts().select([selector])
    except TransferError as error:
        selected = (error.message,) * (repr(selector) in error.message)
    assert selected


def test_an_unknown_part_is_named_with_a_suggestion():
    with pytest.raises(TransferError, match=r"no part 'value_hed'.*Did you mean 'value_head'\?"):
        ActorCritic().parts()["value_hed"]
    with pytest.raises(TransferError, match=r"no part holds a tensor 'log_st'.*'log_std'"):
        ActorCritic().parts().part_of("log_st")


def test_foreign_names_are_sorted_by_the_same_rules():
    parts = ActorCritic(depth=1).parts()
    found = parts.assign([*ActorCritic(depth=2).state_dict(), "optimizer.step"])
    assert found["policy_trunk"] == tuple(
        f"mlp_extractor.policy_net.{i}.{name}" for i in (0, 2) for name in ("weight", "bias")
    )
    assert all("optimizer.step" not in names for names in found.values())


def test_a_description_is_plain_data():
    row = ConvNet().parts().describe()[1]
    assert (row["part"], row["role"], row["layers"]) == ("head", "head", ["head.0", "head.1", "head.3"])
    # 16·8 + 8, BatchNorm 4·8 + 1, 8·3 + 3.
    assert row["elements"] == 136 + 33 + 27
    first = {"names": ["head.0.weight"], "shape": [8, 16], "dtype": "float32", "kind": "parameter"}
    assert row["tensors"][0] == first


def test_parameters_are_counted_once():
    model = SharedExtractor()
    model.action_net.requires_grad_(False)
    # 56 in the extractor, 4·2 + 2 and 4·1 + 1 in the heads.
    assert count_parameters(model) == {"total": 71, "trainable": 61}


def test_digest_of_one_tensor_by_hand():
    # name, dtype and shape on a line, then 1.0 as little-endian IEEE 754: 00 00 80 3f.
    expected = hashlib.sha256(b"'w' float32 (1,)\n\x00\x00\x80\x3f").hexdigest()
    assert digest_tensors({"w": torch.ones(1)}) == expected


@pytest.mark.parametrize(
    "other",
    [
        {"b": torch.zeros(2, 3)},
        {"a": torch.zeros(3, 2)},
        {"a": torch.zeros(2, 3, dtype=torch.float64)},
        {"a": -torch.zeros(2, 3)},
        {"a": torch.zeros(2, 3).index_fill(1, torch.tensor(0), 1e-45)},
        {"a": torch.zeros(2, 3), "b": torch.zeros(0)},
    ],
    ids=["name", "shape", "dtype", "negative zero", "one bit", "one more"],
)
def test_a_digest_sees_every_difference(other):
    assert digest_tensors(other) != digest_tensors({"a": torch.zeros(2, 3)})


@pytest.mark.parametrize(
    "dtype", [torch.float16, torch.bfloat16, torch.float64, torch.int64, torch.bool, torch.complex64]
)
def test_every_dtype_and_layout_has_a_digest(dtype):
    tensor = torch.arange(6).reshape(2, 3).to(dtype)
    strided, scalar = torch.stack([tensor, tensor], dim=-1)[..., 0], tensor[0, 0]
    assert not strided.is_contiguous()
    assert digest_tensors({"a": strided, "s": scalar}) == digest_tensors({"s": scalar, "a": tensor})


def test_part_digests_see_buffers_and_only_their_part():
    model = ConvNet()
    parts = model.parts()
    before = parts.digests(model)
    assert before == parts.digests(copy.deepcopy(model))
    model.trunk[1].running_mean.add_(1)
    after = parts.digests(model)
    assert after["trunk"] != before["trunk"]
    assert after["head"] == before["head"]
    assert digest_model(model) == digest_tensors(model.state_dict())
    assert digest_model(model, ["head.0.bias"]) == digest_tensors({"head.0.bias": model.head[0].bias})
    with pytest.raises(TransferError, match=r"head\.9\.bias"):
        digest_model(model, ["head.9.bias"])


def test_parts_without_tensors_have_no_digest():
    model = ActorCritic()
    assert set(model.parts().digests(model)) == set(ActorCritic.RULES) - {"features"}


class Counting(nn.Linear):
    """A layer whose state dict holds something that is no tensor."""

    def get_extra_state(self):
        return {"calls": 3}

    def set_extra_state(self, state):
        assert state == {"calls": 3}


def test_what_is_no_tensor_in_a_state_dict_is_passed_over():
    model = nn.Sequential(Counting(2, 3))
    assert "0._extra_state" in model.state_dict()
    parts = one_part(model)
    assert parts["body"].tensor_names == ("0.weight", "0.bias")
    assert parts.digests(model)["body"] == digest_model(model, ["0.weight", "0.bias"]) == digest_model(model)


def test_a_module_without_tensors_follows_a_layer_of_the_part_whose_prefix_covers_it():
    model = nn.Sequential(nn.Flatten(), nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU(), nn.Tanh())
    rules = {"body": PartRule(("1", "3"), "trunk"), "top": PartRule(("0", "2"), "head")}
    parts = PartMap.build(model, rules)
    # ReLU 3 is the body's, though the top's layer stands before it; Tanh 4 is nobody's and follows that.
    # Flatten 0 is the top's, and before each of its layers: it goes with the first.
    assert parts["body"].layers[0].followers == ("3",)
    assert parts["top"].layers[0].followers == ("0", "4")


def test_frozen_parameters_are_parameters_and_so_is_what_requires_a_gradient():
    model = nn.Linear(2, 2).requires_grad_(False)
    model.register_buffer("coefficient", torch.zeros(1, requires_grad=True))
    model.register_buffer("count", torch.zeros(1))
    kinds = {info.name: info.kind for info in one_part(model)["body"].tensors}
    assert kinds == {**dict.fromkeys(("weight", "bias", "coefficient"), "parameter"), "count": "buffer"}


def test_numbered_parts_are_selected_as_their_names_say():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 1))
    rules = {
        "block.0": PartRule(("0", "1"), "trunk"),
        "block.1": PartRule(("2",), "trunk"),
        "head": PartRule(("3",), "head"),
    }
    parts = PartMap.build(model, rules)
    paths = {
        selector: [layer.path for layer in parts.layers((selector,))]
        for selector in ("block.0", "block.1", "block.0.1", "block.0[:1]", "trunk", "head.0")
    }
    assert paths == {
        "block.0": ["0", "1"], "block.1": ["2"], "block.0.1": ["1"], "block.0[:1]": ["0"],
        "trunk": ["0", "1", "2"], "head.0": ["3"],
    }  # fmt: skip
    with pytest.raises(TransferError, match=r"names no part .*block\.1"):
        parts.layers(("block.7",))
    with pytest.raises(TransferError, match="perhaps with a number behind a dot"):
        PartMap.build(model, {"block.a": PartRule(("",), "trunk")})

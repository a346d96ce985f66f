import json
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rl_transfer.core import PartMap, PartRule, Strategy, ThawStep, apply, digest_model, plan
from rl_transfer.errors import TransferError
from support.untyped import untyped

from .networks import ActorCritic, ConvNet, SharedExtractor, one_part, transferred
from .training import changed, snapshot, update

ALL = Strategy("fine-tune", copy=("all",))
NEW_HEAD = Strategy("new-head", copy=("trunk",))


def test_copying_everything_makes_the_target_compute_the_same():
    source, target = ConvNet(), ConvNet()
    source(torch.randn(8, 2, 6, 6))  # moves the running statistics
    transferred(source, target)
    assert digest_model(target) == digest_model(source)
    x = torch.randn(3, 2, 6, 6)
    assert torch.equal(target.eval()(x), source.eval()(x))


def test_a_new_head_keeps_its_initialisation():
    source, target = ActorCritic(), ActorCritic()
    before = snapshot(target)
    made = plan(source.state_dict(), target, target.parts(), NEW_HEAD)
    assert changed(target, before) == set(), "planning touches nothing"
    apply(made, target)
    trunk = {name for name in before if name.startswith("mlp_extractor")}
    assert changed(target, before) == trunk
    assert set(made.names("copied")) == trunk
    assert set(made.names("reset")) == set(before) - trunk
    assert made.summary() == "copied 8, reset 5, skipped 0"


def test_an_optimizer_made_before_the_copy_stays_valid():
    target = ActorCritic()
    optimizer = torch.optim.Adam(target.parameters(), lr=0.1)
    transferred(ActorCritic(), target)
    before = snapshot(target)
    update(target, optimizer)
    assert changed(target, before) == set(before)


def test_every_target_tensor_has_one_row_with_shapes_and_a_reason():
    source, target = ActorCritic(actions=3), ActorCritic(actions=2)
    made = plan(source.state_dict(), target, target.parts(), NEW_HEAD)
    rows = made.rows()
    assert [row["tensor"] for row in rows] == list(target.parts().tensors)
    (head,) = (row for row in rows if row["tensor"] == "action_net.weight")
    assert head == {
        "tensor": "action_net.weight",
        "part": "action_head",
        "source_shape": [3, 8],
        "target_shape": [2, 8],
        "action": "reset",
        "reason": "the strategy does not copy it",
        "frozen": "",
    }
    assert json.loads(json.dumps(rows)) == rows
    first, *lines = made.table().splitlines()
    assert first.split() == ["tensor", "part", "source", "target", "action", "frozen", "reason"]
    assert ["action_net.weight", "action_head", "3×8", "2×8", "reset"] in [line.split()[:5] for line in lines]
    assert lines[-1] == "new-head: copied 8, reset 5, skipped 0"


def test_scratch_needs_no_source_and_touches_nothing():
    target = ActorCritic()
    before = snapshot(target)
    made = plan(None, target, target.parts(), Strategy("scratch"))
    apply(made, target)
    assert changed(target, before) == set()
    assert made.names("copied") == ()
    assert not Strategy("scratch").needs_source
    assert NEW_HEAD.needs_source


def test_a_strategy_that_copies_needs_a_source():
    target = ActorCritic()
    with pytest.raises(TransferError, match="'new-head' copies trunk, but no source"):
        plan(None, target, target.parts(), NEW_HEAD)


def test_reset_takes_precedence_over_copy():
    made = transferred(ActorCritic(), ActorCritic(), reset=("log_std", "policy_trunk.1"))
    layer = "mlp_extractor.policy_net.2"
    assert made.names("reset") == (f"{layer}.weight", f"{layer}.bias", "log_std")
    assert {row.reason for row in made.entries if row.action == "reset"} == {"the strategy resets it"}


@pytest.mark.parametrize(
    ("strategy", "message", "key"),
    [
        ({"copy": ("policy_trunk",), "reset": ("trunk",)}, "resets everything that it copies", "reset"),
        ({"copy": ("value_trunk", "polcy_trunk")}, "Did you mean 'policy_trunk'", "copy.1"),
    ],
    ids=["resets all that is copied", "unknown part"],
)
def test_a_bad_strategy_is_refused_with_the_config_path(strategy, message, key):
    with pytest.raises(TransferError, match=message) as caught:
        transferred(ActorCritic(), ActorCritic(), key="strategies.s", **strategy)
    assert caught.value.key == f"strategies.s.{key}"


def test_another_head_must_be_reset_on_purpose():
    source, target = ActorCritic(actions=3), ActorCritic(actions=2)
    before = snapshot(target)
    with pytest.raises(TransferError) as caught:
        transferred(source, target)
    message = caught.value.message
    assert "action_net.weight: 3×8 in the source, 2×8 here" in message
    assert "log_std: 3 in the source, 2 here" in message
    assert "weight 3×8, bias 3" in message
    assert "weight 2×8, bias 2" in message
    assert "policy_trunk" not in message
    assert changed(target, before) == set()

    made = transferred(source, target, reset_on_mismatch=("action_head", "value_head", "log_std"))
    assert made.names("reset") == ("action_net.weight", "action_net.bias", "log_std")
    assert "value_net.weight" in made.names("copied")
    reasons = {row.tensor: row.reason for row in made.entries}
    assert reasons["action_net.bias"].startswith("action_net.weight: 3×8 in the source, 2×8 here; the layer")


@pytest.mark.parametrize(
    ("source", "target"),
    [({"width": 16}, {"width": 8}), ({"depth": 3}, {"depth": 2}), ({"depth": 2}, {"depth": 3})],
    ids=["wider", "deeper", "shallower"],
)
def test_another_architecture_is_refused_side_by_side(source, target):
    source, target = ActorCritic(**source), ActorCritic(**target)
    before = snapshot(target)
    with pytest.raises(TransferError) as caught:
        transferred(source, target, copy=("trunk",))
    lines = caught.value.message.splitlines()
    assert ["layer", "source", "target"] in [line.split() for line in lines]
    depth = max(len(each.mlp_extractor["policy_net"]) for each in (source, target)) // 2
    assert sum(line.startswith("policy_trunk.") for line in lines) == depth
    assert changed(target, before) == set()


def test_the_first_layers_of_a_deeper_source_can_be_copied():
    made = transferred(
        ActorCritic(depth=3), ActorCritic(depth=2), copy=("trunk[:2]",), reset=("value_trunk.1",)
    )
    layers = ("policy_net.0", "policy_net.2", "value_net.0")
    names = ("weight", "bias")
    assert made.names("copied") == tuple(
        f"mlp_extractor.{layer}.{name}" for layer in layers for name in names
    )
    unused = [row for row in made.entries if row.part is None]
    assert {row.tensor for row in unused} == {
        f"mlp_extractor.{net}_net.4.{name}" for net in ("policy", "value") for name in names
    }
    assert all(row.action == "skipped" and row.target_shape is None for row in unused)


def test_a_plan_whose_layers_all_differ_copies_nothing_and_is_refused():
    with pytest.raises(TransferError, match="nothing would be transferred"):
        transferred(
            ActorCritic(width=16), ActorCritic(width=8), copy=("trunk",), reset_on_mismatch=("trunk",)
        )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda w: w.fill_(float("nan")), "NaN or infinite"),
        (lambda w: w.index_fill(0, torch.tensor(3), -float("inf")), "NaN or infinite"),
        (lambda w: w.double(), "float64 in the source, float32 here"),
    ],
)
def test_unsound_source_values_are_refused_even_where_resets_are_allowed(spoil, message):
    target = ActorCritic()
    state = snapshot(ActorCritic())
    name = "mlp_extractor.policy_net.0.bias"
    state[name] = spoil(state[name])
    strategy = Strategy("s", copy=("trunk",), reset_on_mismatch=("trunk",))
    with pytest.raises(TransferError, match=rf"policy_net\.0\.bias: .*{message}"):
        plan(state, target, target.parts(), strategy)


def test_a_network_of_many_unsound_tensors_is_told_by_the_first():
    target = ActorCritic()
    state = {name: torch.full_like(value, torch.nan) for name, value in target.state_dict().items()}
    assert len(state) > 10
    with pytest.raises(TransferError) as error:
        plan(state, target, target.parts(), ALL)
    lines = error.value.message.splitlines()
    assert len(lines) == 12
    assert lines[-1] == f"  and {len(state) - 10} more tensors"


def test_unsound_values_do_not_matter_where_nothing_is_copied():
    source = ActorCritic()
    source.action_net.weight.data.fill_(float("nan"))
    assert "action_net.weight" not in transferred(source, ActorCritic(), copy=("trunk",)).names("copied")


def test_all_problems_are_reported_at_once():
    target, state = ActorCritic(), snapshot(ActorCritic())
    state["value_net.bias"] = torch.zeros(7)
    state["action_net.bias"].fill_(float("nan"))
    del state["log_std"]
    with pytest.raises(TransferError) as caught:
        plan(state, target, target.parts(), ALL)
    assert "value_net.bias: 7 in the source, 1 here" in caught.value.message
    assert "action_net.bias: the source holds NaN" in caught.value.message
    assert "log_std: the source has no" in caught.value.message


def test_a_missing_source_tensor_is_never_passed_over():
    target = ConvNet()
    state = snapshot(ConvNet())
    del state["trunk.1.num_batches_tracked"]
    with pytest.raises(TransferError, match=r"trunk\.1\.num_batches_tracked: the source has no counterpart"):
        plan(state, target, target.parts(), NEW_HEAD)


def one_layer(inputs):
    model = nn.Sequential(nn.Linear(inputs, 2), nn.Tanh(), nn.Linear(2, 1))
    return model, one_part(model, body="0", top="2")


@pytest.mark.parametrize(
    ("columns", "expected"),
    [
        # Source weight [[1, 2, 3], [4, 5, 6]]; target feature i reads source feature columns[i].
        ((2, 0, 1), [[3, 1, 2], [6, 4, 5]]),
        ((0, None, 2, 1), [[1, 0, 3, 2], [4, 0, 6, 5]]),
        ((1,), [[2], [5]]),
        ((0, 0), [[1, 1], [4, 4]]),
    ],
    ids=["permuted", "padded", "dropped", "doubled"],
)
def test_input_maps_by_hand(columns, expected):
    source, _ = one_layer(3)
    source[0].weight.data = torch.arange(1.0, 7.0).reshape(2, 3)
    target, parts = one_layer(len(columns))
    made = transferred(source, target, parts, input_maps={"body.0": columns})
    assert target[0].weight.tolist() == expected
    assert torch.equal(target[0].bias, source[0].bias)
    assert made.entries[0].reason.startswith("input map: ")


def test_a_padded_policy_computes_the_source_on_the_mapped_features():
    source, _ = one_layer(3)
    target, parts = one_layer(5)
    transferred(source, target, parts, input_maps={"body.0": (2, None, 0, None, 1)})
    x = torch.randn(7, 5)
    assert torch.allclose(target(x), source(x[:, [2, 4, 0]]), atol=1e-6)


def test_new_features_may_keep_the_fresh_weights():
    source, _ = one_layer(1)
    target, parts = one_layer(2)
    fresh = target[0].weight.detach().clone()
    strategy = Strategy("s", copy=("all",), input_maps={"body.0": (None, 0)}, input_fill="fresh")
    made = plan(source.state_dict(), target, parts, strategy)
    assert torch.equal(target[0].weight, fresh), "planning touches nothing"
    apply(made, target)
    assert torch.equal(target[0].weight[:, 0], fresh[:, 0])
    assert torch.equal(target[0].weight[:, 1], source[0].weight[:, 0])
    assert made.entries[0].reason == "input map: 1 of 2 features from the source, the others fresh"


def test_image_channels_are_mapped_too():
    source, target = ConvNet(channels=1), ConvNet(channels=3)
    transferred(source, target, copy=("trunk",), input_maps={"trunk.0": (None, 0, None)})
    assert torch.equal(target.trunk[0].weight[:, 1], source.trunk[0].weight[:, 0])
    assert not target.trunk[0].weight[:, [0, 2]].any()


def test_another_observation_without_a_map_is_refused_or_starts_fresh():
    source, target = ActorCritic(observations=4), ActorCritic(observations=6)
    with pytest.raises(TransferError, match=r"(?s)8×4 in the source, 8×6 here.*input map"):
        transferred(source, target, copy=("trunk",))
    made = transferred(source, target, copy=("trunk",), reset_on_mismatch=("trunk[:1]",))
    assert set(made.names("copied")) == {
        f"mlp_extractor.{net}_net.2.{name}" for net in ("policy", "value") for name in ("weight", "bias")
    }


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ({"input_maps": {"body.0": (0, 1)}}, r"has 2 entries, but 0\.weight takes 4"),
        ({"input_maps": {"body.0": (0, 1, 3, None)}}, "index 3 is outside the source's features 0 to 2"),
        ({"input_maps": {"body.0": (0, 1, -1, None)}}, "index -1 is outside"),
        ({"input_maps": {"top.0": (0, 1)}, "copy": ("body",)}, "'2', which is not copied"),
        ({"input_maps": {"body.0": (0, 1, 2, 2), "body": (0, 1, 2, 2)}}, "two input maps cover '0'"),
        ({"input_maps": {"boddy.0": (0,)}}, "Did you mean 'body'"),
    ],
)
def test_bad_input_maps(strategy, message):
    with pytest.raises(TransferError, match=message):
        transferred(one_layer(3)[0], *one_layer(4), **strategy)


def test_a_shared_source_fills_both_extractors():
    source, target = SharedExtractor(share=True), SharedExtractor(share=False)
    transferred(source, target, copy=("trunk",))
    wanted = source.features_extractor[3].weight
    assert torch.equal(target.pi_features_extractor[3].weight, wanted)
    assert torch.equal(target.vf_features_extractor[3].weight, wanted)


def test_a_separate_source_says_which_extractor_a_shared_target_takes():
    source, target = SharedExtractor(share=False), SharedExtractor(share=True)
    made = transferred(source, target, copy=("trunk",))
    assert torch.equal(target.features_extractor[0].weight, source.pi_features_extractor[0].weight)
    assert "separate in the source: taken from features_extractor.0.weight" in made.entries[0].reason
    assert "not vf_features_extractor.0.weight" in made.entries[0].reason


def mlp(depth, outputs):
    """Linear layers of 8 units with ReLUs; their paths are the even numbers."""
    layers = [module for i in range(depth) for module in (nn.Linear(8 if i else 4, 8), nn.ReLU())]
    return nn.Sequential(*layers, *([nn.Linear(8, outputs)] if outputs else []))


def off_policy():
    model = nn.ModuleDict({"actor": nn.ModuleDict({"latent_pi": mlp(2, 0), "mu": nn.Linear(8, 2)})})
    rules = {
        "policy_trunk": PartRule(("actor.latent_pi",), "trunk"),
        "action_head": PartRule(("actor.mu",), "head"),
    }
    return model, PartMap.build(model, rules)


@pytest.mark.parametrize("as_names", [False, True])
def test_another_algorithm_is_matched_part_by_part_layer_by_layer(as_names):
    source = ActorCritic()
    source_parts: Any = source.parts()
    if as_names:
        source_parts = {part.name: part.tensor_names for part in source_parts}
    target, parts = off_policy()
    made = plan(source.state_dict(), target, parts, ALL, source_parts=source_parts)
    apply(made, target)
    latent = target["actor"]["latent_pi"]
    assert torch.equal(latent[2].weight, source.mlp_extractor["policy_net"][2].weight)
    assert torch.equal(target["actor"]["mu"].bias, source.action_net.bias)
    assert made.entries[0].reason == "from mlp_extractor.policy_net.0.weight"
    unused = {row.tensor for row in made.entries if row.part is None}
    assert unused == {name for name in source.state_dict() if "value" in name or name == "log_std"}


def test_another_algorithm_without_its_parts_is_refused():
    target, parts = off_policy()
    with pytest.raises(TransferError, match=r"latent_pi\.0\.weight: the source has no counterpart"):
        plan(ActorCritic().state_dict(), target, parts, ALL)


def q_network(depth):
    model = mlp(depth, 8)
    trunk = PartRule(tuple(str(2 * i) for i in range(depth)), "trunk")
    return model, PartMap.build(model, {"t": trunk, "h": PartRule((str(2 * depth),), "head")})


def test_equal_names_in_different_parts_are_not_counterparts():
    """With 3 layers, tensor 4.weight is the trunk's; with 2, the head's: shape and name agree."""
    source, source_parts = q_network(depth=3)
    target, parts = q_network(depth=2)
    with pytest.raises(TransferError, match=r"t: the source has more there: 4\.weight, 4\.bias"):
        plan(source.state_dict(), target, parts, NEW_HEAD, source_parts=source_parts)
    made = plan(source.state_dict(), target, parts, Strategy("s", copy=("h",)), source_parts=source_parts)
    apply(made, target)
    assert torch.equal(target[4].weight, source[6].weight)


def test_target_networks_are_left_to_the_algorithm_unless_named():
    source, target = (nn.ModuleDict({"q": nn.Linear(2, 2), "q_target": nn.Linear(2, 2)}) for _ in range(2))
    rules = {"q": PartRule(("q",), "trunk"), "target": PartRule(("q_target",), "auxiliary")}
    parts = PartMap.build(target, rules)
    made = transferred(source, target, parts, copy=("trunk",))
    assert made.names("skipped") == ("q_target.weight", "q_target.bias")
    assert transferred(source, target, parts).names("skipped") == ()


def test_a_plan_for_another_network_is_not_applied():
    source, target, other = ActorCritic(), ActorCritic(), ActorCritic(width=16)
    made = plan(source.state_dict(), target, target.parts(), NEW_HEAD)
    before = snapshot(other)
    with pytest.raises(TransferError, match="made for another network"):
        apply(made, other)
    assert changed(other, before) == set()
    with pytest.raises(TransferError, match="part map was built for another network"):
        plan(source.state_dict(), other, target.parts(), NEW_HEAD)


def test_an_interrupted_copy_is_undone():
    source, target = ActorCritic(), ActorCritic()
    made = plan(source.state_dict(), target, target.parts(), ALL)
    broken = dict(made.values)
    broken["value_net.bias"] = torch.zeros(5)  # cannot be broadcast to 1
    before = snapshot(target)
    with pytest.raises(RuntimeError, match="broadcast"):
        apply(untyped(SimpleNamespace(entries=made.entries, values=broken, strategy="s")), target)
    assert changed(target, before) == set()


@settings(deadline=None, max_examples=60)
@given(
    sizes=st.tuples(*[st.integers(1, 3)] * 6),
    copy=st.lists(st.sampled_from(["all", "trunk", "head", "trunk[:1]", "policy_trunk.0"]), min_size=1),
    lenient=st.lists(st.sampled_from(["head", "trunk", "trunk[:1]"])),
    spoiled=st.booleans(),
)
def test_a_plan_is_all_or_nothing(sizes, copy, lenient, spoiled):
    """Either an error and an untouched target, or exactly the planned tensors change."""
    a, b, c, d, e, f = sizes
    source, target = ActorCritic(a, b, c), ActorCritic(d, e, f)
    with torch.no_grad():
        for parameter in source.parameters():
            parameter.add_(100)
        if spoiled:
            source.value_net.bias.fill_(float("nan"))
    before = snapshot(target)
    strategy = Strategy("s", copy=tuple(copy), reset_on_mismatch=tuple(lenient))
    parts = target.parts()
    try:
        made = plan(source.state_dict(), target, parts, strategy)
    except TransferError:
        assert changed(target, before) == set()
        return
    assert changed(target, before) == set()
    apply(made, target)
    assert changed(target, before) == set(made.names("copied")) != set()
    for name in made.names("copied"):
        assert torch.equal(target.state_dict()[name], source.state_dict()[name])
    assert set(made.names("copied")) <= set(parts.select(copy))


def test_the_plan_says_until_when_a_tensor_is_frozen():
    thaw = (ThawStep(0.25, ("policy_trunk.1",)), ThawStep(0.6, ("policy_trunk", "action_head")))
    made = transferred(ActorCritic(), ActorCritic(), freeze=("policy_trunk", "value_head"), thaw=thaw)
    until = {row.tensor: row.frozen for row in made.entries if row.tensor.endswith("weight")}
    assert until == {
        "mlp_extractor.policy_net.0.weight": "until 60 %",
        "mlp_extractor.policy_net.2.weight": "until 25 %",  # the first thaw counts
        "mlp_extractor.value_net.0.weight": "",
        "mlp_extractor.value_net.2.weight": "",
        "action_net.weight": "",  # never frozen, whatever thaws it
        "value_net.weight": "frozen",
    }
    cells = {line.split()[0]: line.split()[5:] for line in made.table().splitlines()}
    assert cells["mlp_extractor.policy_net.2.weight"] == ["until", "25", "%"]
    assert cells["value_net.weight"] == ["frozen"]
    assert cells["action_net.weight"] == ["–"]

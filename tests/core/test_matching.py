"""Which source tensor a target tensor takes, and how what does not fit is told."""

from dataclasses import replace

import pytest
import torch
from torch import nn

from rl_transfer.core import Strategy, apply, plan
from rl_transfer.errors import TransferError

from .networks import ActorCritic, SharedExtractor, one_part, transferred
from .training import changed, snapshot

ALL = Strategy("s", copy=("all",))


def linears(*modules):
    """A network that is one trunk, and its part map."""
    model = nn.Sequential(*modules)
    return model, one_part(model, t="")


@pytest.mark.parametrize("known", [True, False], ids=["parts of the source given", "names alone"])
def test_a_part_with_only_some_names_in_common_is_matched_in_order_if_the_sources_parts_are_known(known):
    source, source_parts = linears(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    target, parts = linears(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(), nn.Linear(4, 2))
    if not known:
        with pytest.raises(TransferError, match=r"3\.weight: the source has no counterpart"):
            transferred(source, target, parts)
        return
    made = plan(source.state_dict(), target, parts, ALL, source_parts=source_parts)
    apply(made, target)
    assert torch.equal(target[3].weight, source[2].weight)
    assert [row.reason for row in made.entries] == ["", "", "from 2.weight", "from 2.bias"]


def test_three_separate_sources_of_one_shared_tensor_are_all_named():
    target = SharedExtractor(share=True)
    offset = {"pi": 1.0, "vf": 2.0}
    state = {name: tensor + offset.get(name[:2], 0.0) for name, tensor in target.state_dict().items()}
    assert plan(state, target, target.parts(), ALL).entries[0].reason == (
        "shared here, separate in the source: taken from features_extractor.0.weight, "
        "not pi_features_extractor.0.weight, vf_features_extractor.0.weight"
    )


def test_further_names_of_a_copied_tensor_are_not_told_as_unused():
    target = nn.Sequential(nn.Linear(2, 2))
    state, parts = target.state_dict(), one_part(target, t="0")
    made = plan({**state, "alias": state["0.weight"], "other": torch.ones(1)}, target, parts, ALL)
    assert [row.tensor for row in made.entries if row.action == "skipped"] == ["other"]
    row = next(line.split() for line in made.table().splitlines() if line.startswith("other"))
    assert row[:6] == ["other", "–", "1", "–", "skipped", "–"]


def test_a_deeper_part_starts_fresh_where_all_of_its_layers_may():
    target = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    parts = one_part(target, t="0", top="1")
    theirs = {"t": ("0.weight", "0.bias", "1.weight", "1.bias"), "top": ("2.weight", "2.bias")}
    state = {**target.state_dict(), "2.weight": torch.ones(3, 3), "2.bias": torch.ones(3)}
    lenient = replace(ALL, reset_on_mismatch=("t",))
    made = plan(state, target, parts, lenient, source_parts=theirs)
    assert made.names("reset") == ("0.weight", "0.bias")
    assert made.entries[0].reason == "the source's part has more layers; the layer starts fresh"
    assert made.names("copied") == ("1.weight", "1.bias")


def test_the_layers_of_both_sides_stand_in_columns():
    with pytest.raises(TransferError) as caught:
        transferred(ActorCritic(depth=3), ActorCritic(depth=2), copy=("policy_trunk",))
    lines = caught.value.message.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("layer"))
    assert lines[start : start + 5] == [
        "layer           source              target",
        "──────────────  ──────────────────  ──────────────────",
        "policy_trunk.0  weight 8×4, bias 8  weight 8×4, bias 8",
        "policy_trunk.1  weight 8×8, bias 8  weight 8×8, bias 8",
        "policy_trunk.2  weight 8×8, bias 8  –",
    ]


def test_ten_problems_are_told_without_a_rest():
    target, parts = linears(*(nn.Linear(2, 2) for _ in range(5)))
    state = {name: torch.full_like(value, torch.nan) for name, value in target.state_dict().items()}
    with pytest.raises(TransferError) as caught:
        plan(state, target, parts, ALL)
    assert len(caught.value.message.splitlines()) == 11
    assert "more tensors" not in caught.value.message


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (nn.Linear(3, 2), nn.Linear(2, 4), "2×3 in the source, 4×2 here"),
        (nn.Conv2d(3, 4, 3), nn.Conv2d(2, 4, (5, 3)), "4×3×3×3 in the source, 4×2×5×3 here"),
    ],
    ids=["wider", "larger kernel"],
)
def test_an_input_map_does_not_bridge_other_differences(source, target, message):
    with pytest.raises(TransferError, match=message):
        transferred(linears(source)[0], *linears(target), input_maps={"t.0": (0, 1)})


@pytest.mark.parametrize(
    ("columns", "note"),
    [
        ((0, None, 2, 1), "input map: 3 of 4 features from the source, the others zero"),
        ((2, 0, 1), "input map: 3 of 3 features from the source"),
    ],
)
def test_the_plan_counts_the_mapped_features(columns, note):
    target = linears(nn.Linear(len(columns), 2))
    made = transferred(linears(nn.Linear(3, 2))[0], *target, input_maps={"t.0": columns})
    assert made.entries[0].reason == note


@pytest.mark.parametrize("maps", ["input_maps", "output_maps"])
def test_a_bad_map_carries_its_config_path(maps):
    target, parts = linears(nn.Linear(3, 2))
    with pytest.raises(TransferError, match="has 1 entries") as caught:
        transferred(target, target, parts, key="strategies.s", **{maps: {"t.0": (0,)}})
    assert caught.value.key == f"strategies.s.{maps}.t.0"


@pytest.mark.parametrize(
    "more",
    [{"input_maps": {"t.0": (1, None)}, "input_fill": "fresh"}, {"output_maps": {"t.0": (1, None)}}],
    ids=["inputs", "outputs"],
)
def test_planning_a_map_leaves_the_target_alone_and_its_values_are_plain(more):
    (source, _), (target, parts) = linears(nn.Linear(2, 2)), linears(nn.Linear(2, 2))
    before = snapshot(target)
    made = plan(dict(source.named_parameters()), target, parts, replace(ALL, **more))
    assert changed(target, before) == set()
    assert set(made.values) == {"0.weight", "0.bias"}
    assert not any(value.requires_grad for value in made.values.values())

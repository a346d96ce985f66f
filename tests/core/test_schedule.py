import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rl_transfer.core import (
    Strategy,
    ThawSchedule,
    ThawStep,
    critic_warmup,
    freeze,
    gradual_unfreezing,
)
from rl_transfer.errors import TransferError

from .networks import ActorCritic, ConvNet, SharedExtractor
from .training import changed, snapshot, train, update


def test_parts_thaw_when_their_share_of_the_budget_is_spent():
    model = ConvNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    frozen = freeze(model, model.parts(), ["trunk"])
    schedule = ThawSchedule(frozen, [ThawStep(0.5, ("trunk[:2]",)), ThawStep(0.25, ("trunk.2", "trunk.3"))])
    moved = []
    for progress in (0.0, 0.24, 0.25, 0.49, 0.5, 1.0):
        schedule.update(progress)
        before = snapshot(model)
        train(model, optimizer, steps=2)
        moved.append({name.rsplit(".", 1)[0] for name in changed(model, before)})
        frozen.verify()
    head = {"head.0", "head.1", "head.3"}
    top = head | {"trunk.4", "trunk.5"}
    everything = top | {"trunk.0", "trunk.1"}
    assert moved == [head, head, top, top, everything, everything]


def test_update_reports_each_step_once_and_makes_up_for_missed_ones():
    early, late = ThawStep(0.2, ("value_trunk",)), ThawStep(0.6, ("policy_trunk",))

    def begun():
        model = ActorCritic()
        frozen = freeze(model, model.parts(), ["trunk"])
        return frozen, ThawSchedule(frozen, [late, early])

    _, schedule = begun()
    assert schedule.steps == (early, late)
    told = [schedule.update(progress) for progress in (0.1, 0.2, 0.2, 0.6, 1.0)]
    assert told == [(), (early,), (), (late,), ()]
    frozen, resumed = begun()
    assert resumed.update(0.9) == (early, late)
    assert frozen.tensors == ()


@given(st.lists(st.floats(0, 1), max_size=8))
def test_any_order_of_calls_ends_where_one_call_ends(points):
    model = ActorCritic(width=2)
    frozen = freeze(model, model.parts(), ["trunk"])
    steps = [ThawStep(0.3, ("policy_trunk.1", "value_trunk")), ThawStep(0.7, ("policy_trunk.0",))]
    schedule = ThawSchedule(frozen, steps)
    for point in points:
        schedule.update(point)
    reached = max(points, default=0.0)
    expected = 8 if reached < 0.3 else 2 if reached < 0.7 else 0
    assert len(frozen.tensors) == expected


@pytest.mark.parametrize(
    ("steps", "key"),
    [
        ([ThawStep(0.5, ("value_trunk",))], "k.0"),
        ([ThawStep(0.6, ("policy_trunk.0",)), ThawStep(0.5, ("policy_trunk",))], "k.0"),
    ],
    ids=["never frozen", "thawed before"],
)
def test_a_step_without_effect_is_refused(steps, key):
    model = ActorCritic()
    frozen = freeze(model, model.parts(), ["policy_trunk"])
    with pytest.raises(TransferError, match=r"changes nothing.*frozen at first: policy_trunk") as caught:
        ThawSchedule(frozen, steps, key="k")
    assert caught.value.key == key


@pytest.mark.parametrize("share", [0, 1, -0.1, float("nan")])
def test_a_share_outside_the_budget_is_refused(share):
    with pytest.raises(TransferError, match="give a number between 0 and 1"):
        ThawStep(share, ("trunk",))


def test_a_step_that_names_nothing_and_a_thaw_without_freeze_are_refused():
    with pytest.raises(TransferError, match="names no part"):
        ThawStep(0.5, ())
    with pytest.raises(TransferError, match="thaws but freezes nothing") as caught:
        Strategy("s", copy=("all",), thaw=(ThawStep(0.5, ("trunk",)),), key="strategies.s")
    assert caught.value.key == "strategies.s.thaw"


def test_gradual_unfreezing_goes_from_the_output_to_the_input():
    parts = ActorCritic(depth=3).parts()
    steps = gradual_unfreezing(parts, [["policy_trunk", "value_trunk"]], start=0.2, end=0.6)
    # Three layers: 0.2, 0.4, 0.6, the last layer first, both trunks side by side.
    assert [step.share for step in steps] == pytest.approx([0.2, 0.4, 0.6])
    assert [step.selectors for step in steps] == [
        ("policy_trunk.2", "value_trunk.2"),
        ("policy_trunk.1", "value_trunk.1"),
        ("policy_trunk.0", "value_trunk.0"),
    ]


def test_stages_thaw_one_after_the_other():
    parts = SharedExtractor().parts()
    steps = gradual_unfreezing(parts, [["features"], ["action_head"]], start=0.1, end=0.7)
    assert [step.selectors for step in steps] == [("action_head.0",), ("features.1",), ("features.0",)]
    assert [step.share for step in steps] == pytest.approx([0.1, 0.4, 0.7])


def test_a_single_layer_thaws_at_the_start_and_an_empty_stage_takes_no_share():
    parts = ActorCritic().parts()
    alone = gradual_unfreezing(parts, [["action_head"], []], start=0.3, end=0.9)
    assert alone == (ThawStep(0.3, ("action_head.0",)),)
    shares = [step.share for step in gradual_unfreezing(parts, [["policy_trunk"], []], start=0.1, end=0.5)]
    assert shares == pytest.approx([0.1, 0.5])


@pytest.mark.parametrize(("start", "end"), [(0, 0.5), (0.6, 0.5), (0.5, 1.0)])
def test_impossible_ranges_are_refused(start, end):
    with pytest.raises(TransferError, match="give 0 < start ≤ end < 1"):
        gradual_unfreezing(ActorCritic().parts(), [["trunk"]], start=start, end=end)


def test_gradual_unfreezing_of_nothing_is_refused():
    with pytest.raises(TransferError, match="names no part"):
        gradual_unfreezing(ActorCritic().parts(), [], start=0.1, end=0.2)


def test_critic_warmup_holds_the_policy_until_the_critic_has_caught_up():
    model = ActorCritic()
    strategy = critic_warmup(
        model.parts(),
        Strategy("s", copy=("all",), freeze=("policy_trunk.0",)),
        ["policy_trunk", "action_head", "log_std"],
        share=0.3,
    )
    assert strategy.copy == ("all",)
    frozen = freeze(model, model.parts(), strategy.freeze)
    schedule = ThawSchedule(frozen, strategy.thaw)
    optimizer = torch.optim.Adam(model.parameters())
    before = snapshot(model)
    schedule.update(0.29)
    update(model, optimizer)
    assert changed(model, before) == {n for n in before if "value" in n}
    before = snapshot(model)
    schedule.update(0.3)
    update(model, optimizer)
    assert set(before) - changed(model, before) == {
        "mlp_extractor.policy_net.0.weight",
        "mlp_extractor.policy_net.0.bias",
    }, "what the strategy freezes for good stays frozen"


def test_critic_warmup_of_a_frozen_policy_is_refused():
    strategy = Strategy("s", freeze=("policy_trunk",))
    with pytest.raises(TransferError, match="policy_trunk is frozen by strategy 's' already"):
        critic_warmup(ActorCritic().parts(), strategy, ["policy_trunk"], share=0.3)


def test_two_layers_thaw_at_both_ends_and_a_shallow_tower_with_the_last_layer_of_a_deep_one():
    steps = gradual_unfreezing(ActorCritic().parts(), [["policy_trunk", "action_head"]], start=0.2, end=0.8)
    assert [step.selectors for step in steps] == [("policy_trunk.1", "action_head.0"), ("policy_trunk.0",)]
    assert [step.share for step in steps] == pytest.approx([0.2, 0.8])

"""The first n layers of a network, and the groups that gradual unfreezing thaws, on many architectures."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from rl_transfer.core import PartMap, digest_model
from rl_transfer.errors import TransferError
from rl_transfer.image.backbones import classifier_of
from rl_transfer.image.heads import find_head
from rl_transfer.image.preprocessing import plain
from rl_transfer.image.resnet import SmallResNet
from rl_transfer.spec import shipped
from rl_transfer.spec.yaml_map import read_yaml
from rl_transfer.supervised.series import in_series, layers_in_series, refuse_displaced, thaw_groups
from support.image import Execute
from support.image_networks import TRUNK, parts_of, torchvision_model, verbs, weights
from support.untyped import untyped


def resnet18() -> PartMap:
    return parts_of(torchvision_model("resnet18"))


def test_the_first_layers_of_a_resnet_are_its_first_convolutions_with_their_norms() -> None:
    parts = resnet18()
    # Yosinski et al. 2014 count weight layers from the input: conv1, then two per block.
    assert in_series(verbs(copy=["trunk[:1]"]), parts).copy_ == ("stem",)
    first = in_series(verbs(copy=["trunk[:3]"]), parts).copy_
    assert weights(parts, first) == ["conv1.weight", "layer1.0.conv1.weight", "layer1.0.conv2.weight"]
    assert "layer1.0.bn2.running_mean" in parts.select(first)
    # 1 + 4 stages of 4 convolutions, and 3 shortcuts.
    assert in_series(verbs(copy=["trunk[:20]"]), parts).copy_ == (
        "stem",
        "stage1",
        "stage2",
        "stage3",
        "stage4",
    )
    assert in_series(verbs(copy=["all[:21]"]), parts).copy_[-1] == "head"
    with pytest.raises(
        TransferError, match="has 20 layers with weights; give a number from 1 to 20"
    ) as error:
        in_series(verbs(freeze=["head", "trunk[:21]"]), parts)
    assert error.value.key == "strategy.freeze.1"


@given(widths=st.lists(st.integers(1, 3), min_size=1, max_size=4), count=st.integers(1, 10))
@settings(max_examples=25, deadline=None)
def test_n_layers_hold_n_weights_and_one_more_layer_adds_to_them(widths: list[int], count: int) -> None:
    model = SmallResNet(3, 4, widths)
    parts = parts_of(model, (1, 8, 8))
    count = min(count, len(layers_in_series(parts)) - 1)
    some, more = (
        parts.select(in_series(verbs(copy=[f"trunk[:{n}]"]), parts).copy_) for n in (count, count + 1)
    )
    assert [n for n in more if n in some] == list(some)
    assert len(weights(parts, in_series(verbs(copy=[f"trunk[:{count}]"]), parts).copy_)) == count
    everything = in_series(verbs(copy=[f"trunk[:{len(layers_in_series(parts))}]"]), parts).copy_
    assert parts.select(everything) == parts.select(TRUNK)


def test_every_verb_that_takes_selectors_follows() -> None:
    written = in_series(
        verbs(
            copy=["trunk[:2]"], reset=["trunk[:1]"], reset_on_mismatch=["trunk[:1]"], freeze=["trunk[:2]"],
            thaw=[{"at": 0.5, "parts": ["trunk[:1]"]}], learning_rates={"trunk[:1]": 0.1},
            anchor={"kind": "l2_sp", "strength": 1.0, "parts": ["trunk[:1]"]},
        ),
        parts_of(SmallResNet(3, 4, (1, 1)), (1, 8, 8)),
    )  # fmt: skip
    assert written.copy_ == written.freeze == ("stem", "stage1[:2]")
    assert written.reset == written.reset_on_mismatch == written.thaw[0].parts == ("stem",)
    assert written.learning_rates == {"stem": 0.1}
    assert untyped(written.anchor).parts == ("stem",)


@pytest.mark.parametrize("name", ["partial-freeze", "partial-copy"])
def test_the_shipped_partial_strategies_take_the_first_layer_only(run: Execute, name: str) -> None:
    source = run()
    strategy = {**read_yaml(shipped("strategies")[name]).data}
    strategy = {key: value for key, value in strategy.items() if key not in ("name", "summary", "paper")}
    record = run(strategy=strategy, source=source, seed=1).record()
    copied = {row["tensor"] for row in record["plan"] if row["action"] == "copied"}
    stem = {f"stem.{each}" for each in ("conv.weight", *(f"norm.{n}" for n in ("weight", "bias")))}
    if name == "partial-copy":
        assert copied >= stem
        assert not [tensor for tensor in copied if tensor.startswith("stages")]
    else:
        assert record["frozen"]["parts"] == ["stem"]
        assert "stages.0.0.conv1.weight" in copied


def test_looking_at_the_order_leaves_the_network_alone() -> None:
    model = SmallResNet(3, 4, (1, 1)).train()
    model.stages[0].eval()
    classifier = classifier_of(model, find_head(model, (1, 8, 8)), plain(1, 8))
    before = digest_model(model)
    refuse_displaced(verbs(copy=["trunk[:2]"]), classifier)
    assert digest_model(model) == before
    assert model.training
    assert not model.stages[0].training
    assert not any(each._forward_pre_hooks for each in model.modules())


@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("vit_b_16", 1 + 12 + 1),  # embeddings, 12 blocks, norm
        ("convnext_tiny", 1 + 4 + 1),  # stem, four stages, norm
        ("vgg11", 8 + 1),  # its convolutions, which lie in one part, and the two layers before the head
    ],
)
def test_gradual_unfreezing_takes_many_steps(name: str, steps: int) -> None:
    parts = parts_of(torchvision_model(name))
    groups = thaw_groups(parts, TRUNK)
    assert [n for group in groups for n in parts.select(group)] == [*parts.select(TRUNK)]
    assert len(groups) == steps


def test_embeddings_go_with_the_first_layer_of_a_transformer() -> None:
    parts = parts_of(torchvision_model("vit_b_16"))
    first = parts.select(in_series(verbs(copy=["trunk[:1]"]), parts).copy_)
    assert {*first} >= {"class_token", "encoder.pos_embedding", "conv_proj.weight"}
    assert not [name for name in first if "attention" in name]


class Late(nn.Module):
    """Runs the layer that it registers first as the eleventh."""

    def __init__(self) -> None:
        super().__init__()
        self.late = nn.Linear(64, 64)
        self.blocks = nn.Sequential(*(nn.Linear(64, 64) for _ in range(10)))
        self.head = nn.Linear(64, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.late(self.blocks(images.flatten(1))))
        return logits


@pytest.mark.parametrize("selector", ["trunk[:1]", "all[:3]"])
def test_a_layer_that_is_registered_first_and_runs_late_is_not_the_first(selector: str) -> None:
    model = Late()
    classifier = classifier_of(model, find_head(model, (1, 8, 8)), plain(1, 8))
    with pytest.raises(
        TransferError, match="Late registers late among them and runs it as its layer 11"
    ) as e:
        refuse_displaced(verbs(copy=["trunk"], freeze=["stage1", selector]), classifier)
    assert e.value.key == "strategy.freeze.1"
    refuse_displaced(verbs(copy=["trunk[:11]"], freeze=["late"]), classifier)


def test_stages_that_are_stages_stay_whole() -> None:
    assert thaw_groups(resnet18(), TRUNK) == [("stem",), ("stage1",), ("stage2",), ("stage3",), ("stage4",)]


def test_only_what_is_frozen_thaws() -> None:
    parts = parts_of(SmallResNet(3, 4, (1, 1)), (1, 8, 8))
    assert thaw_groups(parts, ("stem", "stage1.0")) == [("stem",), ("stage1.0",)]


def test_the_log_and_the_record_say_how_many_steps_there_are(run: Execute, tmp_path: Path) -> None:
    source = run()
    strategy = {"copy": ["trunk"], "freeze": ["trunk"], "gradual": {"start": 0.25, "end": 0.75}}
    notes = run(strategy=strategy, source=source, seed=1).record()["notes"]
    assert "gradual unfreezing in 3 steps, from the output down from 25% to 75% of the budget" in notes

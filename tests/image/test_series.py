"""The first n layers of a network, and the groups that gradual unfreezing thaws, on many architectures."""

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision.models import get_model

from rl_transfer.core import PartMap, digest_model
from rl_transfer.errors import TransferError
from rl_transfer.image.backbones import classifier_of
from rl_transfer.image.heads import find_head
from rl_transfer.image.parts import image_parts
from rl_transfer.image.preprocessing import imagenet, plain
from rl_transfer.image.resnet import SmallResNet
from rl_transfer.spec import StrategyVerbs, shipped
from rl_transfer.spec.yaml_map import read_yaml
from rl_transfer.supervised.classifier import Classifier
from rl_transfer.supervised.series import in_series, layers_in_series, refuse_displaced, thaw_groups
from support.image import Execute
from support.untyped import untyped

TRUNK = ("trunk",)


def parts_of(model: nn.Module, shape: tuple[int, ...] = (3, 224, 224)) -> PartMap:
    return image_parts(model, find_head(model, shape))


def timm_parts(name: str) -> PartMap:
    with torch.device("meta"):
        model = timm.create_model(name)
    model.to("meta")
    return parts_of(model, untyped(model.pretrained_cfg)["input_size"])


def resnet18() -> PartMap:
    with torch.device("meta"):
        return parts_of(get_model("resnet18"))


def verbs(**fields: Any) -> StrategyVerbs:
    return StrategyVerbs.model_validate(fields)


def weights(parts: PartMap, selectors: tuple[str, ...]) -> list[str]:
    return [
        name
        for name in parts.select(selectors)
        if name.endswith("weight") and len(parts.tensors[name].shape) > 1
    ]


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


def test_embeddings_of_class_and_position_go_with_the_first_layer_of_a_transformer() -> None:
    parts = timm_parts("vit_tiny_patch16_224")
    first = parts.select(in_series(verbs(copy=["trunk[:1]"]), parts).copy_)
    assert set(first) >= {"cls_token", "pos_embed", "patch_embed.proj.weight"}
    assert not [name for name in first if name.startswith("blocks.0.attn")]


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


def classifier_of_timm(name: str) -> Classifier:
    with torch.device("meta"):
        model = timm.create_model(name)
    model.to("meta")
    head = find_head(model, untyped(model.pretrained_cfg)["input_size"])
    return classifier_of(model, head, imagenet())


@pytest.mark.parametrize(
    ("name", "selector", "late"),
    [
        ("coat_lite_tiny", "trunk[:4]", "patch_embed4.proj among them and runs it as its layer 40"),
        ("twins_svt_small", "all[:3]", r"patch_embeds.2.proj among them and runs it as its layer \d+"),
    ],
)
def test_layers_that_are_registered_first_and_run_late_are_not_the_first(
    name: str, selector: str, late: str
) -> None:
    classifier = classifier_of_timm(name)
    with pytest.raises(TransferError, match=late) as error:
        refuse_displaced(verbs(copy=["trunk"], freeze=["stem", selector]), classifier)
    assert error.value.key == "strategy.freeze.1"
    refuse_displaced(verbs(copy=["trunk[:1]"], freeze=["stem", "stage1"]), classifier)


@pytest.mark.parametrize(
    "name", ["cait_xxs24_224", "fastvit_t8", "hrnet_w18_small", "tiny_vit_5m_224", "repvgg_a0"]
)
def test_branches_in_another_order_are_no_other_layers(name: str) -> None:
    classifier = classifier_of_timm(name)
    for count in range(1, len(layers_in_series(classifier.parts)) + 1, 9):
        refuse_displaced(verbs(copy=[f"trunk[:{count}]"]), classifier)


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


# What timm 1.0 builds: stem, stages or blocks, and what stands behind them.
@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("fastvit_t8", 1 + 4 + 1),  # stem, four stages, final convolution
        ("cait_xxs24_224", 1 + 24 + 1 + 1),  # embeddings, 24 blocks, the blocks of the class token, norm
        (
            "volo_d1_224",
            1 + 5 + 1 + 1,
        ),  # stem, five parts of the network, class blocks, norm and auxiliary head
        ("efficientvit_b0", 1 + 4 + 1),
        ("naflexvit_base_patch16_gap", 1 + 12 + 1),  # embeddings, 12 blocks, norm
        ("selecsls42", None),
        ("resnet18", 5),
        ("vit_tiny_patch16_224", 14),
        ("convnext_tiny", 6),
    ],
)
def test_gradual_unfreezing_takes_many_steps_on_every_architecture(name: str, steps: int | None) -> None:
    parts = timm_parts(name)
    groups = thaw_groups(parts, TRUNK)
    assert [n for group in groups for n in parts.select(group)] == [*parts.select(TRUNK)]
    largest = max(len(weights(parts, group)) for group in groups)
    assert largest <= 0.75 * len(weights(parts, TRUNK))
    assert len(groups) == steps if steps is not None else len(groups) > 6


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

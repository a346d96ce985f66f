"""The head of every architecture at hand is found and replaced; all on the meta device, without weights."""

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import get_model, list_models

from rl_transfer.errors import TransferError
from rl_transfer.image.heads import drop_auxiliary, find_head
from rl_transfer.image.parts import image_parts
from rl_transfer.image.resnet import SmallResNet
from support.cases import drawn, tiered
from support.image_networks import check_head, torchvision_model, trunk_parts

# torchvision's RegNets read numbers out of tensors while they are built; one small one is built on the CPU.
REGNETS = [name for name in list_models(module=torchvision.models) if name.startswith("regnet")]
# Of each family the smaller members: the deeper ones repeat the same blocks.
DEEPER = [
    "convnext_base", "convnext_large", "densenet201", "efficientnet_b4", "efficientnet_b5",
    "efficientnet_b6", "efficientnet_b7", "efficientnet_v2_l", "efficientnet_v2_m", "resnet152",
    "resnext101_64x4d", "swin_b", "swin_v2_b", "swin_v2_s", "vit_h_14", "vit_l_16", "vit_l_32",
    "wide_resnet101_2",
]  # fmt: skip
TORCHVISION = sorted(set(list_models(module=torchvision.models)) - set(REGNETS) - set(DEEPER))
WHERE = {
    "alexnet": "classifier.6", "convnext_tiny": "classifier.2", "densenet121": "classifier",
    "efficientnet_b0": "classifier.1", "googlenet": "fc", "inception_v3": "fc", "maxvit_t": "classifier.5",
    "mnasnet1_0": "classifier.1", "mobilenet_v2": "classifier.1", "mobilenet_v3_small": "classifier.3",
    "resnet18": "fc", "shufflenet_v2_x1_0": "fc", "squeezenet1_0": "classifier.1", "swin_t": "head",
    "vgg11": "classifier.6", "vit_b_16": "heads.head",
}  # fmt: skip
"""Where torchvision's own source code assigns the classifier."""


@pytest.mark.parametrize(
    "name", tiered(sorted({*WHERE, *TORCHVISION}), {*drawn(sorted(WHERE), 9), *drawn(TORCHVISION, 3)})
)
def test_the_head_of_every_torchvision_classifier(name: str) -> None:
    size = 299 if name == "inception_v3" else 224
    head, _ = check_head(torchvision_model(name), (3, size, size))
    assert len(head.paths) == 1
    assert head.outputs == 1000
    if name in WHERE:
        assert head.paths == (WHERE[name],)


def test_the_head_of_a_regnet() -> None:
    head, _ = check_head(get_model("regnet_y_400mf").to("meta"), (3, 224, 224))
    assert head.paths == ("fc",)


def test_the_table_has_more_than_sixty_architectures() -> None:
    assert len(TORCHVISION) + 1 > 40


def test_a_head_without_bias_stays_without() -> None:
    model = torchvision_model("maxvit_t")
    _, replaced = check_head(model, (3, 224, 224))
    assert model.get_submodule(replaced.paths[0]).bias is None


def test_a_convolution_as_head_stays_one_with_its_kernel() -> None:
    model = torchvision_model("squeezenet1_0")
    _, replaced = check_head(model, (3, 224, 224))
    layer = model.get_submodule(replaced.paths[0])
    assert isinstance(layer, nn.Conv2d)
    assert (layer.kernel_size, layer.in_channels, layer.out_channels) == ((1, 1), 512, 7)


def test_auxiliary_classifiers_are_dropped_and_named() -> None:
    assert drop_auxiliary(torchvision_model("googlenet")) == ("aux1", "aux2")
    assert drop_auxiliary(torchvision_model("inception_v3")) == ("AuxLogits",)
    assert drop_auxiliary(torchvision_model("resnet18")) == ()


def convolutions() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1))


class Distilled(nn.Module):
    """With two classifiers without bias, and the methods by which timm's models name and replace them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 1)
        self.stages = nn.Sequential(convolutions(), convolutions())
        self.reset_classifier(5, bias=False)

    def get_classifier(self) -> tuple[nn.Module, nn.Module]:
        return self.head, self.head_dist

    def reset_classifier(self, classes: int, bias: bool = True) -> None:
        self.head, self.head_dist = (nn.Linear(4, classes, bias=bias) for _ in range(2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        features = self.stages(self.stem(images)).mean((2, 3))
        logits: torch.Tensor = (self.head(features) + self.head_dist(features)) / 2
        return logits


def test_both_heads_that_a_network_names_are_one_part_and_stay_without_bias() -> None:
    model = Distilled()
    head, replaced = check_head(model, (3, 8, 8))
    assert (head.paths, head.outputs, head.bias) == (("head", "head_dist"), 5, False)
    assert image_parts(model, replaced)["head"].tensor_names == ("head.weight", "head_dist.weight")


def test_a_last_layer_that_is_not_the_head_is_noticed() -> None:
    class Surprise(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.classifier = nn.Linear(12, 5)
            self.decoy = nn.Linear(12, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            logits: torch.Tensor = self.classifier(images.flatten(1))
            return logits

    with pytest.raises(TransferError, match=r"3 outputs at decoy, but its logits have the shape \(1, 5\)"):
        find_head(Surprise(), (3, 2, 2))
    assert find_head(Surprise(), (3, 2, 2), path="classifier").outputs == 5
    with pytest.raises(TransferError, match="has no module 'clasifier'"):
        find_head(Surprise(), (3, 2, 2), path="clasifier")


def test_looking_for_the_head_leaves_the_model_and_the_random_state_alone() -> None:
    model = SmallResNet(3, width=4)
    model.train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    state = torch.get_rng_state()
    find_head(model, (1, 8, 8))
    assert model.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_an_image_of_the_wrong_size_is_explained() -> None:
    with pytest.raises(TransferError, match=r"does not take an image of 3×8×8 .*model\.input\.size"):
        find_head(get_model("alexnet"), (3, 8, 8))


def test_the_parts_of_a_resnet_are_stem_four_stages_and_head() -> None:
    model = torchvision_model("resnet18")
    parts = image_parts(model, find_head(model, (3, 224, 224)))
    assert trunk_parts(parts) == ("stem", "stage1", "stage2", "stage3", "stage4")
    assert parts.part_of("layer3.0.bn1.running_mean").name == "stage3"
    assert parts.part_of("bn1.weight").name == "stem"
    assert parts["head"].tensor_names == ("fc.weight", "fc.bias")


def test_a_lone_layer_between_blocks_belongs_to_the_stage_after_it() -> None:
    model = torchvision_model("densenet121")
    parts = image_parts(model, find_head(model, (3, 224, 224)))
    assert parts.part_of("features.transition1.conv.weight").name == "stage2"
    assert parts.part_of("features.norm5.weight").name == "neck"


def test_our_small_resnet_has_the_depth_that_its_name_says() -> None:
    # ResNet-8: one convolution, three blocks of two, one linear layer; shortcuts do not count.
    model = SmallResNet(10)
    layers = [n for n, m in model.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len([name for name in layers if "shortcut" not in name]) == 8
    assert model(torch.zeros(2, 1, 16, 16)).shape == (2, 10)
    grouped = SmallResNet(4, width=6, blocks=(2,), channels=3, norm="group")
    assert grouped(torch.zeros(1, 3, 8, 8)).shape == (1, 4)
    assert not [name for name in grouped.state_dict() if "running" in name]

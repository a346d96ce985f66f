"""Arguments of an architecture that make it too large are refused, and no memory is taken before that."""

import pytest
import torch
from torchvision.models import mobilenet_v2

from rl_transfer.core import isolated
from rl_transfer.errors import ConfigError
from rl_transfer.image.backbones import build_module
from rl_transfer.spec.image_model import TorchvisionConfig
from support.image_networks import peak


def test_a_network_that_is_too_large_is_refused_without_taking_memory() -> None:
    config = TorchvisionConfig(name="torchvision", architecture="mobilenet_v2", kwargs={"width_mult": 4096})
    before = peak()
    with pytest.raises(ConfigError, match="more than 1,073,741,824 weights") as caught:
        build_module(config)
    assert caught.value.key == "model.kwargs"
    assert peak() - before < 200


def test_looking_at_the_size_changes_no_network() -> None:
    config = TorchvisionConfig(name="torchvision", architecture="mobilenet_v2", kwargs={"width_mult": 0.25})
    with isolated(3):
        looked_at, after = build_module(config), torch.rand(1)
    with isolated(3):
        plain, expected = mobilenet_v2(width_mult=0.25), torch.rand(1)
    assert after == expected
    for mine, theirs in zip(looked_at.parameters(), plain.parameters(), strict=True):
        assert torch.equal(mine, theirs)


def test_whatever_a_library_makes_of_an_argument_is_told() -> None:
    config = TorchvisionConfig(name="torchvision", architecture="resnet18", kwargs={"width_per_group": 128})
    with pytest.raises(ConfigError, match="BasicBlock only supports groups=1 and base_width=64"):
        build_module(config)

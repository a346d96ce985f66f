"""Networks of image classifiers and what tests ask of them."""

import resource
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn
from torchvision.models import get_model

from rl_transfer.core import PartMap
from rl_transfer.image.heads import Head, drop_auxiliary, find_head, logits_shape, replace_head
from rl_transfer.image.parts import image_parts
from rl_transfer.spec import StrategyVerbs

TRUNK = ("trunk",)


def torchvision_model(name: str) -> nn.Module:
    """On the meta device, without weights."""
    arguments = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with torch.device("meta"):
        model: nn.Module = get_model(name, **arguments)
    return model


def peak() -> float:
    """The most memory that this process has held, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10


def picture(width: int, height: int, mode: str = "RGB") -> Image.Image:
    rng = np.random.default_rng(width * height)
    return Image.fromarray(rng.integers(0, 256, size=(height, width, 3)).astype(np.uint8)).convert(mode)


def same(left: nn.Module, right: nn.Module) -> bool:
    """Whether all tensors of the first are those of the second."""
    other = right.state_dict()
    return all(torch.equal(tensor, other[name]) for name, tensor in left.state_dict().items())


def parts_of(model: nn.Module, shape: tuple[int, ...] = (3, 224, 224)) -> PartMap:
    return image_parts(model, find_head(model, shape))


def trunk_parts(parts: PartMap) -> tuple[str, ...]:
    return tuple(part.name for part in parts if part.role == "trunk" and part.tensors)


def verbs(**fields: Any) -> StrategyVerbs:
    return StrategyVerbs.model_validate(fields)


def weights(parts: PartMap, selectors: tuple[str, ...]) -> list[str]:
    """Names of the matrices and kernels that selectors name."""
    return [
        name
        for name in parts.select(selectors)
        if name.endswith("weight") and len(parts.tensors[name].shape) > 1
    ]


def check_head(model: nn.Module, shape: tuple[int, int, int]) -> tuple[Head, Head]:
    """Find the head, replace it by one of 7 classes, and check what must stay."""
    dropped = drop_auxiliary(model)
    head = find_head(model, shape)
    kinds = [type(model.get_submodule(path)) for path in head.paths]
    replaced = replace_head(model, head, 7, shape)
    model.to("meta")
    assert logits_shape(model, shape) == (1, 7)
    if head.paths:
        assert replaced.paths == head.paths
        assert [type(model.get_submodule(path)) for path in replaced.paths] == kinds
        layers = [m for p in replaced.paths for m in model.get_submodule(p).modules()]
        assert all((m.bias is not None) == head.bias for m in layers if isinstance(m, nn.Linear | nn.Conv2d))
    assert all("aux" not in name.lower() for name, _ in model.named_modules() if dropped)
    parts = image_parts(model, replaced)
    in_head = set(parts["head"].tensor_names)
    assert in_head == {n for n in model.state_dict() if n.startswith(tuple(f"{p}." for p in replaced.paths))}
    assert len(trunk_parts(parts)) >= 2
    return head, replaced

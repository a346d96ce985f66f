"""How torchvision and timm load a classifier without this package."""

from __future__ import annotations

from contextlib import suppress

from torch import nn

from rl_transfer.core import isolated
from rl_transfer.errors import RLTransferError
from rl_transfer.image.backbones import build_module
from rl_transfer.results.published import PlainLoading
from rl_transfer.spec.image_model import TimmConfig, TorchvisionConfig
from rl_transfer.supervised.classifier import Network
from rl_transfer.wording import placeless


def plain_loading(network: Network) -> PlainLoading | None:
    """Lines that load a classifier into the library's own network.

    Args:
        network: as its bundle describes it.

    Returns:
        None where the library's network with as many classes has other tensors or needs files of this
        machine, and for other architectures.
    """
    model, count = network.model, network.classifier.outputs
    if not isinstance(model, TorchvisionConfig | TimmConfig) or not _fits(model, count, network):
        return None
    if any(placeless(str(each)) != str(each) for each in (model.architecture, *model.kwargs.values())):
        return None  # it needs files of this machine
    maker = "torchvision.models.get_model" if isinstance(model, TorchvisionConfig) else "timm.create_model"
    arguments = "".join(f", {name}={value!r}" for name, value in model.kwargs.items())
    return PlainLoading(
        f"With {model.name} alone; the inputs must be prepared as it says at the top (`preprocessing` in "
        "`bundle.json`), and `classes` there names the outputs:",
        (
            f"import {model.name}",
            "from safetensors.torch import load_file",
            "",
            f"model = {maker}({model.architecture!r}, num_classes={count}{arguments})",
            'model.load_state_dict(load_file("tensors.safetensors"))',
            "model.eval()",
        ),
    )


def _fits(model: TorchvisionConfig | TimmConfig, count: int, network: Network) -> bool:
    own: nn.Module | None = None
    with suppress(RLTransferError), isolated(0):
        own = build_module(model.model_copy(update={"kwargs": {**model.kwargs, "num_classes": count}}))
    theirs = {} if own is None else {name: each.shape for name, each in own.state_dict().items()}
    return theirs == {name: each.shape for name, each in network.state.items()}

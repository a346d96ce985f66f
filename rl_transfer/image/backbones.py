"""Image classifiers from their configs: our small ResNet, torchvision's and timm's architectures."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import nn

from rl_transfer.core import isolated
from rl_transfer.core.limits import TooLarge, of_bearable_size, refunded
from rl_transfer.errors import ConfigError, MissingExtraError
from rl_transfer.image import preprocessing
from rl_transfer.image.heads import Head, drop_auxiliary, find_head, replace_head
from rl_transfer.image.parts import image_parts
from rl_transfer.image.preprocessing import ImagePreprocessing
from rl_transfer.image.resnet import SmallResNet
from rl_transfer.spec.base import Json
from rl_transfer.spec.image_model import Backbone, SmallResNetConfig, TimmConfig, TorchvisionConfig
from rl_transfer.supervised.classifier import Classifier
from rl_transfer.wording import did_you_mean, shortened

# torchvision's pretrained Inception networks expect inputs rescaled inside the network; a fresh
# network must treat its inputs alike, or source and target would see different images.
INCEPTION = {"googlenet": 224, "inception_v3": 299}


def classifier_of(module: nn.Module, head: Head, preprocess: ImagePreprocessing) -> Classifier:
    """A network with everything that transfer needs to know of it.

    Args:
        module: any image classifier.
        head: where its classifier is.
        preprocess: how its images are prepared.
    """
    return Classifier(module, preprocess, head.paths, head.outputs, partial(image_parts, head=head))


def build_classifier(
    config: Backbone, num_classes: int, seed: int, preprocess: ImagePreprocessing | None = None
) -> Classifier:
    """Build a network without pretrained weights, its head made for ``num_classes``.

    Args:
        config: the architecture.
        num_classes: classes of the data set.
        seed: of the initialisation.
        preprocess: how images are prepared; none: what the architecture's weights were trained
            with, changed by ``config.input``.

    Returns:
        The network on the CPU, with its head, preprocessing and parts.

    Raises:
        ConfigError: the architecture or an argument of it does not exist.
        MissingExtraError: its library is not installed.
        TransferError: its head cannot be found.
    """
    refuse_class_count(config)
    with isolated(seed):
        module = build_module(config)
        dropped = drop_auxiliary(module)
        wanted = preprocess or default_preprocessing(config, module).overridden(config.input)
        head = find_head(module, wanted.input_shape, config.head)
        head = Head(head.paths, head.outputs, head.bias, dropped)
        if head.outputs != num_classes:
            head = replace_head(module, head, num_classes, wanted.input_shape)
    return classifier_of(module, head, wanted)


def build_module(config: Backbone) -> nn.Module:
    """The bare architecture with its library's own number of classes (1,000 as a rule).

    Args:
        config: the architecture.

    Returns:
        Randomly initialised from torch's global generator.
    """
    if isinstance(config, SmallResNetConfig):
        return SmallResNet(2, config.width, config.blocks, config.channels, config.norm)
    if isinstance(config, TorchvisionConfig):
        return _torchvision(config)
    return _timm(config)


def default_preprocessing(config: Backbone, module: nn.Module) -> ImagePreprocessing:
    """How the architecture's published weights were trained to see images.

    Args:
        config: the architecture.
        module: built from it.

    Returns:
        Size, crop, mean and deviation from the weights' metadata.
    """
    if isinstance(config, SmallResNetConfig):
        return preprocessing.plain(config.channels, 32)
    if isinstance(config, TorchvisionConfig):
        entries = weights_enum(config.architecture)
        if entries:
            return preprocessing.of_preset(entries[-1].transforms())
        return preprocessing.imagenet()
    data = library("timm").data
    return preprocessing.of_timm(data.resolve_model_data_config(module))


def weights_enum(architecture: str) -> Sequence[Any]:
    """Torchvision's weights entries of an architecture.

    Args:
        architecture: its name in ``torchvision.models``.

    Returns:
        Members of its enum, the default one last; empty if none are published.
    """
    models = library("torchvision").models
    enum = models.get_model_weights(_known(architecture, _torchvision_names(), "torchvision"))
    entries = list(enum)
    if not entries:
        return []
    default = getattr(enum, "DEFAULT", entries[-1])
    return [entry for entry in entries if entry is not default] + [default]


def library(name: str) -> Any:
    """Import torchvision or timm.

    Args:
        name: which.

    Returns:
        The module.

    Raises:
        MissingExtraError: it is not installed.
    """
    extra = {"torchvision": "image", "timm": "timm"}[name]
    try:
        module = importlib.import_module(name)
        if name == "torchvision":
            importlib.import_module("torchvision.models")
    except ImportError as error:
        raise MissingExtraError(
            f"this model needs {name}, which is not installed ({error}); "
            f"install it with: pip install 'rl-transfer[{extra}]'",
            key="model",
        ) from None
    return module


def refuse_class_count(config: Backbone) -> None:
    """The number of classes comes from the data; a second one in ``kwargs`` would contradict it.

    Args:
        config: the architecture.

    Raises:
        ConfigError: ``kwargs`` names classes or weights.
    """
    arguments = getattr(config, "kwargs", {})
    for name in ("num_classes", "weights", "pretrained"):
        if name in arguments:
            raise ConfigError(
                f"model.kwargs gives {name}={arguments[name]!r}; the number of classes comes from the data "
                "(a pretrained head of 1,000 classes is replaced by a new one), and pretrained weights are "
                "given under the key weights",
                key=f"model.kwargs.{name}",
            )


def _torchvision_names() -> list[str]:
    torchvision = library("torchvision")
    names: list[str] = torchvision.models.list_models(module=torchvision.models)
    return names


def _torchvision(config: TorchvisionConfig) -> nn.Module:
    name = _known(config.architecture, _torchvision_names(), "torchvision")
    arguments: dict[str, Any] = dict(config.kwargs)
    if name in INCEPTION:
        arguments = {"transform_input": True, "init_weights": True, **arguments}
    return _called(library("torchvision").models.get_model, name, arguments)


def _timm(config: TimmConfig) -> nn.Module:
    timm = library("timm")
    name = config.architecture
    if not name.startswith(("hf-hub:", "hf_hub:", "local-dir:", "local_dir:")):
        bare, _, tag = name.partition(".")
        _known(bare, timm.list_models(), "timm")
        if tag and name not in timm.list_pretrained(f"{bare}.*"):
            tags = ", ".join(timm.list_pretrained(f"{bare}.*"))
            raise ConfigError(
                f"timm has no pretrained tag {name!r}; it has {tags or 'none'}", key="model.architecture"
            )
    return _called(timm.create_model, name, dict(config.kwargs))


def _called(builder: Any, name: str, arguments: dict[str, Any]) -> nn.Module:
    try:
        if arguments:
            _rehearse(builder, name, arguments)
        with of_bearable_size():
            module: nn.Module = builder(name, **arguments)
    except Exception as error:  # noqa: BLE001 - what a library makes of arguments that nobody foresaw
        raise ConfigError(
            f"{name} cannot be built with {shortened(str(arguments)) if arguments else 'its defaults'}: "
            f"{str(error) or type(error).__name__}",
            key="model.kwargs",
        ) from None
    return module


def _rehearse(builder: Callable[..., nn.Module], name: str, arguments: Mapping[str, Json]) -> None:
    """Build it without memory, so that one that is too large takes none; not every architecture can be."""
    try:
        with refunded(), isolated(0), of_bearable_size(), torch.device("meta"):
            builder(name, **arguments)
    except TooLarge:
        raise
    except Exception:  # noqa: BLE001 - it looks at numbers, and there are none; any other error comes again
        return


def _known(name: str, known: Sequence[str], where: str) -> str:
    if name in known:
        return name
    meant = did_you_mean(name, known)
    other = "timm" if where == "torchvision" else "torchvision"
    raise ConfigError(
        f"{where} has no classifier {name!r} ({len(known)} are known).{meant} "
        f"{other}'s are written as {{name: {other}, architecture: …}}.",
        key="model.architecture",
    )

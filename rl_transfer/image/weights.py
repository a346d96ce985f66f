"""Pretrained networks: an architecture with the weights of a file, whole and strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rl_transfer.core import isolated
from rl_transfer.errors import BundleError, ConfigError
from rl_transfer.image import preprocessing
from rl_transfer.image.backbones import (
    build_module,
    default_preprocessing,
    refuse_class_count,
)
from rl_transfer.image.heads import Head, drop_auxiliary, find_head, replace_head
from rl_transfer.image.preprocessing import ImagePreprocessing
from rl_transfer.image.weight_files import (
    checked_hash,
    entry_of_hash,
    find_entry,
    read_tensors,
    weights_path,
)
from rl_transfer.spec.base import Json
from rl_transfer.spec.image_model import (
    Model,
    TimmConfig,
    TorchvisionConfig,
    WeightsConfig,
)


@dataclass(frozen=True)
class Pretrained:
    """A network with pretrained weights and the head that they came with.

    Attributes:
        classes: names of the classes of its head, None if the weights do not say.
        published: top-1 accuracy that the weights' publisher states (not measured here), or None.
        description: where the weights came from, for the record.
    """

    module: nn.Module
    head: Head
    preprocessing: ImagePreprocessing
    classes: tuple[str, ...] | None
    published: float | None
    description: dict[str, Json]


def load_pretrained(config: Model, weights: WeightsConfig, key: str = "weights") -> Pretrained:
    """Build the architecture and load the weights, whole and strictly.

    Args:
        config: the architecture.
        weights: where they lie.
        key: config path of ``weights``, for errors.

    Returns:
        The network with the head that the weights came with.

    Raises:
        BundleError: the file is absent, has another hash, or does not fit the architecture.
        ConfigError: there is no entry of that name.
    """
    refuse_class_count(config)
    entry = find_entry(config, weights, key)
    path = weights_path(config, weights, entry, key)
    sha256 = checked_hash(path, weights, key)
    entry = entry or entry_of_hash(config, sha256)
    state = read_tensors(path, key)
    with isolated(0):
        module = build_module(config)
        meta: Mapping[str, Any] = entry.meta if entry is not None else {}
        dropped = drop_auxiliary(module)
        wanted = default_preprocessing(config, module)
        if entry is not None:
            wanted = preprocessing.of_preset(entry.transforms())
        wanted = wanted.overridden(config.input)
        head = _fit_head(module, find_head(module, wanted.input_shape, config.head), state, wanted)
        _load(module, state, path, config, weights, key)
    categories = meta.get("categories")
    classes = tuple(categories) if categories and len(categories) == head.outputs else None
    return Pretrained(
        module,
        Head(head.paths, head.outputs, head.bias, dropped),
        wanted,
        classes,
        _published(meta),
        {"file": path.name, "sha256": sha256, "entry": None if entry is None else str(entry)},
    )


def _fit_head(module: nn.Module, head: Head, state: Mapping[str, Tensor], wanted: ImagePreprocessing) -> Head:
    """Give the module a head of the file's number of classes, where the names agree."""
    for path in head.paths:
        weight = state.get(f"{path}.weight")
        if weight is not None and weight.ndim > 1 and weight.shape[0] != head.outputs:
            return replace_head(module, head, weight.shape[0], wanted.input_shape)
    return head


def _load(
    module: nn.Module, state: dict[str, Tensor], path: Path, config: Model, weights: WeightsConfig, key: str
) -> None:
    if weights.remap:
        if not isinstance(config, TimmConfig):
            raise ConfigError("remap is timm's matching by order; it needs a timm model", key=f"{key}.remap")
        module.load_state_dict(_in_order(module, state, path, key))
        return
    if isinstance(config, TorchvisionConfig) and config.architecture.startswith("densenet"):
        state = {_densenet_name(name): value for name, value in state.items()}
    if isinstance(config, TimmConfig):
        filter_state = getattr(module, "checkpoint_filter_fn", None)
        state = filter_state(state, module) if callable(filter_state) else state
    known = set(module.state_dict())
    auxiliary = ("aux1.", "aux2.", "AuxLogits.")
    state = {name: t for name, t in state.items() if name in known or not name.startswith(auxiliary)}
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:4]]
        raise BundleError(
            f"{path.name} does not fit {type(module).__name__}: {' '.join(lines)[:400]}. Give the "
            "architecture that the file was made with"
            + (", or weights.remap: true if only the names differ" if isinstance(config, TimmConfig) else ""),
            key=key,
        ) from None


def _in_order(module: nn.Module, state: Mapping[str, Tensor], path: Path, key: str) -> dict[str, Tensor]:
    """The file's tensors under the network's names, first to first; shapes may differ in ones only."""
    own = module.state_dict()
    if len(own) != len(state):
        raise BundleError(
            f"{path.name} cannot be matched in order: it holds {len(state)} tensors, {type(module).__name__} "
            f"has {len(own)}. Give the architecture that the file was made with",
            key=f"{key}.remap",
        )
    found = {}
    for number, ((name, mine), (theirs, value)) in enumerate(zip(own.items(), state.items(), strict=True), 1):
        if [size for size in mine.shape if size > 1] != [size for size in value.shape if size > 1]:
            raise BundleError(
                f"{path.name} cannot be matched in order: its tensor {number}, {theirs}, has the shape "
                f"{tuple(value.shape)}, the network's, {name}, has {tuple(mine.shape)}. Give the "
                "architecture that the file was made with",
                key=f"{key}.remap",
            )
        found[name] = value.reshape(mine.shape)
    return found


def _densenet_name(name: str) -> str:
    """Map names: torchvision's old checkpoints write ``norm.1`` where the modules are called ``norm1``."""
    return re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12])", r"\1\2", name)


def _published(meta: Mapping[str, Any]) -> float | None:
    accuracy = meta.get("_metrics", {}).get("ImageNet-1K", {}).get("acc@1")
    return None if accuracy is None else float(accuracy) / 100

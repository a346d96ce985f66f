"""Pretrained networks: an architecture with the weights of a file, whole and strictly."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from rl_transfer.core import isolated
from rl_transfer.core.outline import NeedsMemoryError, without_memory
from rl_transfer.errors import BundleError, ConfigError
from rl_transfer.image import preprocessing
from rl_transfer.image.backbones import (
    build_module,
    default_preprocessing,
    refuse_class_count,
)
from rl_transfer.image.checkpoints import (
    Checkpoint,
    Fitted,
    read_checkpoint,
    refuse_endless,
    with_fresh_head,
    without_prefix,
)
from rl_transfer.image.heads import Head, drop_auxiliary, find_head, replace_head
from rl_transfer.image.preprocessing import ImagePreprocessing
from rl_transfer.image.weight_files import (
    checked_hash,
    entry_of_hash,
    find_entry,
    weights_path,
)
from rl_transfer.spec.base import Json
from rl_transfer.spec.image_model import (
    Backbone,
    TimmConfig,
    TorchvisionConfig,
    WeightsConfig,
)

SPARE_BYTES = 32 * 2**20
"""A file as small as that is hashed in less than 0.1 s, whatever is in it."""
MOST_COPIES = 16
"""Of its network that a checkpoint may have: gradients' moments, averages, a teacher, in ``float64`` even."""


@dataclass(frozen=True)
class Pretrained:
    """A network with pretrained weights and the head that they came with.

    Attributes:
        classes: names of the classes of its head, None if the weights do not say or have no head.
        published: top-1 accuracy that the weights' publisher states (not measured here), or None.
        description: where the weights came from, for the record.
    """

    module: nn.Module
    head: Head
    preprocessing: ImagePreprocessing
    classes: tuple[str, ...] | None
    published: float | None
    description: dict[str, Json]


def load_pretrained(config: Backbone, weights: WeightsConfig, key: str = "weights") -> Pretrained:
    """Build the architecture and load the weights, whole and strictly; a file may lack the head.

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
    refuse_endless(path, key)
    _refuse_far_larger(path, config, key)
    sha256 = checked_hash(path, weights, key)
    entry = entry or entry_of_hash(config, sha256)
    content = read_checkpoint(path, key)
    with isolated(0):
        module = build_module(config)
        meta: Mapping[str, Any] = entry.meta if entry is not None else {}
        dropped = drop_auxiliary(module)
        wanted = default_preprocessing(config, module)
        if entry is not None:
            wanted = preprocessing.of_preset(entry.transforms())
        wanted = wanted.overridden(config.input)
        head = find_head(module, wanted.input_shape, config.head)
        fitted = _prepared(module, head, content.state, config, weights, key)
        head = _fit_head(module, head, fitted.state, wanted)
        headless = _load(module, head, fitted.state, path, config, weights, key)
    description: dict[str, Json] = {
        "file": path.name,
        "sha256": sha256,
        "entry": None if entry is None else str(entry),
        **({"prefix": fitted.prefix} if fitted.prefix else {}),
        **({"head": "absent"} if headless else {}),
    }
    return Pretrained(
        module,
        Head(head.paths, head.outputs, head.bias, dropped),
        wanted,
        _class_names(weights, content, meta, head, headless, key),
        _published(meta),
        description,
    )


def _refuse_far_larger(path: Path, config: Backbone, key: str) -> None:
    """Refuse a file that holds far more than any checkpoint of the network, before it is hashed."""
    size = path.stat().st_size
    if size <= SPARE_BYTES:
        return
    with suppress(NeedsMemoryError), isolated(0), without_memory():
        module = build_module(config)
        needed = sum(each.numel() * each.element_size() for each in module.state_dict().values())
        if size > SPARE_BYTES + MOST_COPIES * needed:
            raise BundleError(
                f"{path.name} has {size / 2**20:,.0f} MiB, and {type(module).__name__} {needed / 2**20:,.0f} "
                "MiB of weights. Give the architecture that the file was made with, or save its state dict "
                "alone",
                key=key,
            )


def _class_names(
    weights: WeightsConfig,
    content: Checkpoint,
    meta: Mapping[str, Sequence[str]],
    head: Head,
    headless: bool,
    key: str,
) -> tuple[str, ...] | None:
    """Of the head: what the config says, else the file, else the publisher; None if nobody does.

    Raises:
        ConfigError: the config names another number of classes than the head has.
    """
    if weights.classes is not None and (headless or len(weights.classes) != head.outputs):
        there = "the file has no head" if headless else f"the file's head has {head.outputs} outputs"
        raise ConfigError(
            f"{key}.classes names {len(weights.classes)} classes, but {there}; give one name per output, in "
            "their order, or leave classes out",
            key=f"{key}.classes",
        )
    known = (weights.classes, content.classes, meta.get("categories"))
    found = [tuple(map(str, names)) for names in known if names and len(names) == head.outputs]
    return found[0] if found and not headless else None


def _fit_head(module: nn.Module, head: Head, state: Mapping[str, Tensor], wanted: ImagePreprocessing) -> Head:
    """Give the module a head of the file's number of classes, where the names agree."""
    for path in head.paths:
        weight = state.get(f"{path}.weight")
        if weight is not None and weight.ndim > 1 and weight.shape[0] != head.outputs:
            return replace_head(module, head, weight.shape[0], wanted.input_shape)
    return head


def _prepared(
    module: nn.Module,
    head: Head,
    state: dict[str, Tensor],
    config: Backbone,
    weights: WeightsConfig,
    key: str,
) -> Fitted:
    """The file's tensors under the network's names."""
    if weights.remap:
        if not isinstance(config, TimmConfig):
            raise ConfigError("remap is timm's matching by order; it needs a timm model", key=f"{key}.remap")
        return Fitted(state)
    if isinstance(config, TorchvisionConfig) and config.architecture.startswith("densenet"):
        state = {_densenet_name(name): value for name, value in state.items()}
    fitted = without_prefix(module, head, state, key)
    filter_state = getattr(module, "checkpoint_filter_fn", None) if isinstance(config, TimmConfig) else None
    if not callable(filter_state):
        return fitted
    return Fitted(filter_state(fitted.state, module), fitted.prefix)


def _load(
    module: nn.Module,
    head: Head,
    state: dict[str, Tensor],
    path: Path,
    config: Backbone,
    weights: WeightsConfig,
    key: str,
) -> bool:
    """Load the state, whole and strictly; whether the head is the module's own because the file has none."""
    if weights.remap:
        module.load_state_dict(_in_order(module, state, path, key))
        return False
    known = set(module.state_dict())
    auxiliary = ("aux1.", "aux2.", "AuxLogits.")
    state = {name: t for name, t in state.items() if name in known or not name.startswith(auxiliary)}
    trunk_only = with_fresh_head(module, head, state)
    try:
        module.load_state_dict(state if trunk_only is None else trunk_only)
    except RuntimeError as error:
        lines = [line.strip() for line in str(error).splitlines()[1:4]]
        raise BundleError(
            f"{path.name} does not fit {type(module).__name__}: {' '.join(lines)[:400].rstrip('.')}. Give "
            "the architecture that the file was made with"
            + (", or weights.remap: true if only the names differ" if isinstance(config, TimmConfig) else ""),
            key=key,
        ) from None
    return trunk_only is not None


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

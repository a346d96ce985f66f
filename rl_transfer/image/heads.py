"""The head of an image classifier: find it, replace it, prove by the logits' shape that it was the head.

timm's models say where their classifier is; of all others the head is the last registered Linear or
Conv2d. Either way the claim is checked: the logits must have as many entries as the head has outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from rl_transfer.core import isolated
from rl_transfer.errors import TransferError

AUXILIARY = {"GoogLeNet": ("aux1", "aux2"), "Inception3": ("AuxLogits",)}
"""Classes with auxiliary classifiers that only speak during training, and where these are."""


@dataclass(frozen=True)
class Head:
    """Where the classifier of a model is.

    Attributes:
        paths: module paths; one, or several where a network has more than one classifier
            (distilled transformers, which average them); none for a timm model without one yet.
        outputs: number of logits.
        bias: whether the classifiers have one.
        dropped: auxiliary classifiers that were removed.
    """

    paths: tuple[str, ...]
    outputs: int
    bias: bool
    dropped: tuple[str, ...] = ()


def drop_auxiliary(model: nn.Module) -> tuple[str, ...]:
    """Remove the auxiliary classifiers that a model has for training only, and name them.

    GoogLeNet and Inception v3 (Szegedy et al. 2015, 2016) return several logits in training mode.

    Args:
        model: changed in place.

    Returns:
        Names of what was removed.
    """
    names = tuple(
        name for name in AUXILIARY.get(type(model).__name__, ()) if getattr(model, name, None) is not None
    )
    for name in names:
        setattr(model, name, None)
    if hasattr(model, "aux_logits"):
        model.aux_logits = False  # type: ignore[assignment]
    return names


def find_head(model: nn.Module, input_shape: tuple[int, ...], path: str | None = None) -> Head:
    """The classifier of ``model``.

    Args:
        model: any classifier whose output is logits [n, classes].
        input_shape: (channels, height, width) of one image, for the check.
        path: where the user says that it is.

    Returns:
        Where it is, checked by the logits' shape.

    Raises:
        TransferError: there is no Linear or Conv2d, ``path`` names none, the model returns
            something else than logits, or their number is not the head's.
    """
    paths = (path,) if path is not None else _timm_paths(model)
    if not paths and _is_timm(model):
        return Head((), 0, True)
    paths = paths or (_last_layer(model),)
    modules = [_module(model, each) for each in paths]
    leaves = [leaf for module in modules for leaf in _linear_leaves(module)]
    if not leaves:
        names = ", ".join(f"{each} ({type(m).__name__})" for each, m in zip(paths, modules, strict=True))
        raise TransferError(f"{names} holds no Linear or Conv2d that could be a classifier", key="model.head")
    outputs = _outputs(leaves[-1])
    found = logits_shape(model, input_shape)
    if found != (1, outputs):
        raise TransferError(
            f"{type(model).__name__} has {outputs} outputs at {', '.join(paths)}, but its logits have the "
            f"shape {found}: that is not its head. Name the classifier's module as model.head; "
            f"candidates: {', '.join(_candidates(model)[-5:])}",
            key="model.head",
        )
    return Head(paths, outputs, all(leaf.bias is not None for leaf in leaves))


def replace_head(model: nn.Module, head: Head, num_classes: int, input_shape: tuple[int, ...]) -> Head:
    """Give ``model`` a freshly initialised classifier of the same kind with ``num_classes`` outputs.

    Bias, kernel, stride and padding stay as they were. The weights come from torch's global
    generator (call inside :func:`rl_transfer.core.isolated`).

    Args:
        model: changed in place.
        head: as :func:`find_head` found it.
        num_classes: outputs of the new head, ≥ 1.
        input_shape: (channels, height, width) of one image, for the check.

    Returns:
        The new head.

    Raises:
        TransferError: the logits of the changed model have another shape than (n, num_classes).
    """
    if _is_timm(model) and _timm_paths(model) == head.paths:
        model.reset_classifier(num_classes)  # type: ignore[operator]
        paths = _timm_paths(model)
        for path in paths:
            _keep_bias(model, path, head.bias)
    else:
        paths = head.paths
        for path in paths:
            _set_module(model, path, _like(_module(model, path), num_classes, head.bias))
        for name in ("num_classes", "n_classes"):
            if isinstance(getattr(model, name, None), int):
                setattr(model, name, num_classes)
    changed = logits_shape(model, input_shape)
    if changed != (1, num_classes):
        raise TransferError(
            f"{type(model).__name__}: after replacing {', '.join(paths)} by a head of {num_classes} classes "
            f"the logits have the shape {changed}. Name the classifier's module as model.head",
            key="model.head",
        )
    return Head(paths, num_classes, head.bias, head.dropped)


def logits_shape(model: nn.Module, input_shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the logits of one image; the model and the random state are left as they were.

    Args:
        model: any classifier.
        input_shape: (channels, height, width) of one image.

    Returns:
        (1, classes) for a plain classifier.

    Raises:
        TransferError: the model does not take such an image, or does not return a tensor.
    """
    parameter = next(model.parameters(), None)
    device = torch.device("cpu") if parameter is None else parameter.device
    was_training = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad(), isolated(0):
            output: Any = model(torch.zeros(1, *input_shape, device=device))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise TransferError(
            f"{type(model).__name__} does not take an image of {'×'.join(map(str, input_shape))} "
            f"(channels×height×width): {str(error).splitlines()[0]}. Set model.input.size.",
            key="model.input",
        ) from None
    finally:
        for module, mode in was_training:
            module.training = mode
    if not isinstance(output, Tensor):
        raise TransferError(
            f"{type(model).__name__} returns a {type(output).__name__}, not logits; it is no plain classifier"
        )
    return tuple(output.shape)


def _is_timm(model: nn.Module) -> bool:
    return callable(getattr(model, "get_classifier", None)) and callable(
        getattr(model, "reset_classifier", None)
    )


def _timm_paths(model: nn.Module) -> tuple[str, ...]:
    """Paths of what timm's ``get_classifier`` returns; none for other models."""
    if not _is_timm(model):
        return ()
    found = model.get_classifier()  # type: ignore[operator]
    modules = [found] if isinstance(found, nn.Module) else list(found)
    by_identity = {id(module): path for path, module in model.named_modules()}
    paths = [by_identity[id(module)] for module in modules if id(module) in by_identity]
    return tuple(path for path in paths if _linear_leaves(model.get_submodule(path)))


def _linear_leaves(module: nn.Module) -> list[nn.Linear | nn.Conv2d]:
    return [leaf for leaf in module.modules() if isinstance(leaf, nn.Linear | nn.Conv2d)]


def _candidates(model: nn.Module) -> list[str]:
    return [path for path, module in model.named_modules() if isinstance(module, nn.Linear | nn.Conv2d)]


def _last_layer(model: nn.Module) -> str:
    candidates = _candidates(model)
    if not candidates:
        raise TransferError(f"{type(model).__name__} has no Linear or Conv2d; it is no classifier")
    return candidates[-1]


def _module(model: nn.Module, path: str) -> nn.Module:
    try:
        return model.get_submodule(path)
    except AttributeError:
        raise TransferError(
            f"{type(model).__name__} has no module {path!r}; its Linear and Conv2d layers end with "
            f"{', '.join(_candidates(model)[-5:])}",
            key="model.head",
        ) from None


def _outputs(layer: nn.Linear | nn.Conv2d) -> int:
    return layer.out_features if isinstance(layer, nn.Linear) else layer.out_channels


def _like(layer: nn.Module, outputs: int, bias: bool) -> nn.Module:
    """A fresh layer of the same kind with another number of outputs."""
    if isinstance(layer, nn.Linear):
        return nn.Linear(layer.in_features, outputs, bias=bias, device=layer.weight.device)
    if isinstance(layer, nn.Conv2d):
        return nn.Conv2d(
            layer.in_channels,
            outputs,
            kernel_size=layer.kernel_size,  # type: ignore[arg-type]
            stride=layer.stride,  # type: ignore[arg-type]
            padding=layer.padding,  # type: ignore[arg-type]
            dilation=layer.dilation,  # type: ignore[arg-type]
            bias=bias,
            device=layer.weight.device,
        )
    raise TransferError(
        f"the head is a {type(layer).__name__}; only a Linear or a Conv2d can be replaced. "
        "Name the layer itself as model.head",
        key="model.head",
    )


def _keep_bias(model: nn.Module, path: str, bias: bool) -> None:
    """Undo a change of the bias that a library's own reset made."""
    module = _module(model, path)
    if isinstance(module, nn.Linear | nn.Conv2d) and (module.bias is not None) != bias:
        _set_module(model, path, _like(module, _outputs(module), bias))


def _set_module(model: nn.Module, path: str, module: nn.Module) -> None:
    parent, _, name = path.rpartition(".")
    setattr(model.get_submodule(parent), name, module)

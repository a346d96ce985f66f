"""How the tensors and sub-modules of a model are sorted into parts and layers."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from typing import Literal, get_args

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from rl_transfer.core._layout import Layer, PartRule, Role, TensorInfo
from rl_transfer.core.digest import dtype_name, tensors_of
from rl_transfer.errors import TransferError
from rl_transfer.wording import listing

_NAME = re.compile(r"[^\W\d]\w*(?:\.\d+)?")


def alias_groups(tensors: Mapping[str, Tensor]) -> list[tuple[str, ...]]:
    """Names that share one storage and view, grouped; groups and names in the given order."""
    groups: dict[object, list[str]] = {}
    for name, tensor in tensors.items():
        groups.setdefault(identity(tensor), []).append(name)
    return [tuple(names) for names in groups.values()]


def owner_path(tensor: str) -> str:
    """Path of the sub-module that owns a tensor; parametrized tensors belong to the layer itself."""
    path = tensor.rpartition(".")[0]
    return f".{path}".partition(".parametrizations")[0].removeprefix(".")


def identity(tensor: Tensor) -> object:
    if tensor.numel() == 0 or tensor.is_meta:
        return id(tensor)
    return (tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())


def tensor_infos(model: nn.Module) -> list[TensorInfo]:
    tensors = tensors_of(model)
    lazy = [name for name, tensor in tensors.items() if is_lazy(tensor)]
    if lazy:
        raise TransferError(f"{listing(lazy)} have no shape yet; run one forward pass first")
    infos = []
    for names in alias_groups(tensors):
        tensor = tensors[names[0]]
        trained = isinstance(tensor, nn.Parameter) or tensor.requires_grad
        kind: Literal["parameter", "buffer"] = "parameter" if trained else "buffer"
        infos.append(TensorInfo(names[0], names, tuple(tensor.shape), dtype_name(tensor), kind))
    return infos


def checked_prefixes(rules: Mapping[str, PartRule]) -> dict[str, str]:
    """Prefix → part, once each; part names must be selectable."""
    prefixes: dict[str, str] = {}
    for part, rule in rules.items():
        if not _NAME.fullmatch(part):
            raise TransferError(
                f"part name {part!r} must consist of letters, digits and underscores, perhaps with a number "
                "behind a dot"
            )
        if part == "all" or (part in get_args(Role) and part != rule.role):
            raise TransferError(
                f"a part named {part!r} with role {rule.role!r} would hide the group {part!r}"
            )
        for prefix in rule.prefixes:
            if prefixes.setdefault(prefix, part) != part:
                raise TransferError(
                    f"prefix {prefix!r} stands in two parts: {prefixes[prefix]!r} and {part!r}"
                )
    return prefixes


def match(name: str, prefixes: Mapping[str, str]) -> str | None:
    """The part of the longest prefix that covers ``name``."""
    prefix = longest_prefix(name, prefixes)
    return None if prefix is None else prefixes[prefix]


def longest_prefix(name: str, prefixes: Container[str]) -> str | None:
    """The longest of the prefixes that is ``name``, ends at a dot of it, or is empty."""
    end = len(name)
    while end > 0:
        if name[:end] in prefixes:
            return name[:end]
        end = name.rfind(".", 0, end)
    return "" if "" in prefixes else None


def group_layers(part: str, infos: list[TensorInfo], followers: Mapping[str, list[str]]) -> tuple[Layer, ...]:
    owned: dict[str, list[str]] = {}
    for info in infos:
        owned.setdefault(owner_path(info.name), []).append(info.name)
    return tuple(
        Layer(part, i, path, tuple(tensors), tuple(followers.get(tensors[0], ())))
        for i, (path, tensors) in enumerate(owned.items())
    )


def find_followers(
    model: nn.Module, held: Mapping[str, list[TensorInfo]], prefixes: Mapping[str, str]
) -> dict[str, list[str]]:
    """First tensor of a layer → the tensorless leaf modules that go with that layer.

    A leaf goes with the layer before it: before it in its own part if a prefix covers it,
    else before it in the model. One that stands before every layer goes with the first.
    """
    first: dict[tuple[str, str], str] = {}  # (part, owner path) → the layer's first tensor
    for part, infos in held.items():
        for info in infos:
            first.setdefault((part, owner_path(info.name)), info.name)
    followers: dict[str, list[str]] = {}
    seen: list[tuple[str, str]] = []
    for path, module in model.named_modules():
        here = [layer for layer in first if layer[1] == path]
        seen.extend(here)
        if here or not path or list(module.children()):
            continue
        home = match(path, prefixes)
        before = [layer for layer in seen if home in (None, layer[0])]
        after = [layer for layer in first if home in (None, layer[0])]
        if before or after:
            followers.setdefault(first[before[-1] if before else after[0]], []).append(path)
    return followers

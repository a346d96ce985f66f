"""The named parts of a network: which part every tensor of its state dict belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn

from rl_transfer.core._layout import Layer, Part, PartRule, Role, TensorInfo
from rl_transfer.core._selectors import resolve
from rl_transfer.core._sorting import (
    checked_prefixes,
    find_followers,
    group_layers,
    match,
    tensor_infos,
)
from rl_transfer.core.digest import digest_tensors, tensors_of
from rl_transfer.errors import TransferError
from rl_transfer.wording import did_you_mean, listing

__all__ = ["Layer", "Part", "PartMap", "PartRule", "Role", "TensorInfo", "count_parameters"]


@dataclass(frozen=True)
class PartMap:
    """The ordered parts of one model; every state-dict tensor lies in exactly one.

    Built once per architecture by :meth:`build`; holds names and shapes, not the model.
    """

    parts: tuple[Part, ...]
    rules: Mapping[str, PartRule]

    @classmethod
    def build(cls, model: nn.Module, rules: Mapping[str, PartRule]) -> PartMap:
        """Sort the state dict of ``model`` into the parts that ``rules`` name.

        Within one name the longest matching prefix decides. A tensor with several names
        (the same storage) is held once, by the first-declared part that any of its names
        matches. A rule that matches nothing gives an empty part (``features`` of an MLP
        policy); selecting it is an error.

        Args:
            model: the network to be mapped, not changed.
            rules: part → its role and the prefixes of its tensors' names, in the order of the parts.

        Returns:
            The map: every tensor of the state dict in exactly one part.

        Raises:
            TransferError: tensors that no rule covers, the same prefix in two parts, a part
                named like a group of another role, an uninitialised (lazy) parameter.
        """
        prefixes = checked_prefixes(rules)
        held: dict[str, list[TensorInfo]] = {part: [] for part in rules}
        leftover = []
        for info in tensor_infos(model):
            matches = {match(name, prefixes) for name in info.names}
            owner = next((part for part in rules if part in matches), None)
            if owner is None:
                leftover.append(info.name)
            else:
                held[owner].append(info)
        if leftover:
            raise TransferError(
                f"{len(leftover)} tensor(s) belong to no part: {listing(leftover)}. "
                f"The rules cover the prefixes {listing(sorted(prefixes), 20)}; "
                "add the missing ones to a part."
            )
        followers = find_followers(model, held, prefixes)
        parts = (
            Part(name, rules[name].role, group_layers(name, infos, followers), tuple(infos))
            for name, infos in held.items()
        )
        return cls(tuple(parts), dict(rules))

    @property
    def names(self) -> tuple[str, ...]:
        """Part names in the order of declaration."""
        return tuple(part.name for part in self.parts)

    @cached_property
    def tensors(self) -> Mapping[str, TensorInfo]:
        """Every tensor by canonical name, part after part."""
        return {info.name: info for part in self.parts for info in part.tensors}

    def __iter__(self) -> Iterator[Part]:
        return iter(self.parts)

    def __getitem__(self, name: str) -> Part:
        for part in self.parts:
            if part.name == name:
                return part
        raise TransferError(
            f"there is no part {name!r}; the parts are {listing(self.names)}."
            + did_you_mean(name, self.names)
        )

    def part_of(self, tensor: str) -> Part:
        """The part that holds the tensor with this state-dict name (aliases count).

        Args:
            tensor: a state-dict name.

        Returns:
            The part.

        Raises:
            TransferError: no part holds it; the message suggests a name that one does.
        """
        for part in self.parts:
            if any(tensor in info.names for info in part.tensors):
                return part
        raise TransferError(f"no part holds a tensor {tensor!r}." + did_you_mean(tensor, self.tensors))

    def layers(self, selectors: Iterable[str], *, key: str | None = None) -> tuple[Layer, ...]:
        """The layers that the selectors name, each once, in part and registration order.

        Selectors: a part (``policy_trunk``), its i-th layer (``policy_trunk.0``), its first
        k layers (``policy_trunk[:2]``), or a group: ``trunk``, ``head``, ``auxiliary``
        (every non-empty part of that role) and ``all``. ``trunk[:1]`` takes the first layer
        of each trunk part.

        Args:
            selectors: what to select; an empty sequence selects nothing.
            key: config path of the sequence, attached to errors as ``key.<index>``.

        Returns:
            The layers; empty for an empty sequence.

        Raises:
            TransferError: a selector that is malformed, unknown, out of range or that
                matches no tensor; the message lists what exists.
        """
        if isinstance(selectors, str):
            selectors = (selectors,)
        chosen: set[Layer] = set()
        for i, selector in enumerate(selectors):
            chosen.update(resolve(self.parts, selector, None if key is None else f"{key}.{i}"))
        return tuple(layer for part in self.parts for layer in part.layers if layer in chosen)

    def select(self, selectors: Iterable[str], *, key: str | None = None) -> tuple[str, ...]:
        """Canonical names of the tensors that the selectors name; see :meth:`layers`.

        Args:
            selectors: as :meth:`layers` takes them.
            key: config path of the sequence, for errors.
        """
        return tuple(name for layer in self.layers(selectors, key=key) for name in layer.tensors)

    def check(self, model: nn.Module) -> None:
        """Make sure that ``model`` has the tensors that this map was built for.

        Args:
            model: the network to compare with.

        Raises:
            TransferError: naming the tensors that are missing or have another shape.
        """
        live = tensors_of(model)
        wrong = [
            info.name
            for info in self.tensors.values()
            if info.name not in live or tuple(live[info.name].shape) != info.shape
        ]
        if wrong:
            raise TransferError(
                f"the part map was built for another network: this one lacks or reshapes {listing(wrong)}"
            )

    def assign(self, names: Iterable[str]) -> dict[str, tuple[str, ...]]:
        """Sort foreign tensor names into this map's parts by its rules; leave out the rest.

        Args:
            names: tensor names of another network.

        Returns:
            Part → the names that its rules match, in the given order; every part of this map is a key.
        """
        prefixes = checked_prefixes(self.rules)
        found: dict[str, list[str]] = {part: [] for part in self.names}
        for name in names:
            part = match(name, prefixes)
            if part is not None:
                found[part].append(name)
        return {part: tuple(tensors) for part, tensors in found.items()}

    def digests(self, model: nn.Module) -> dict[str, str]:
        """The content digest of every non-empty part of ``model``.

        Args:
            model: a network that the map was built for.

        Returns:
            Part → SHA-256 (hex) over its tensors, as :func:`digest_tensors` takes it.
        """
        live = tensors_of(model)
        return {
            part.name: digest_tensors({name: live[name] for name in part.tensor_names})
            for part in self.parts
            if part.tensors
        }

    def describe(self) -> list[dict[str, Any]]:
        """The map as JSON-ready data: one object per part with role, counts, layers, tensors."""
        return [
            {
                "part": part.name,
                "role": part.role,
                "elements": part.numel,
                "layers": [layer.path for layer in part.layers],
                "tensors": [
                    {"names": list(i.names), "shape": list(i.shape), "dtype": i.dtype, "kind": i.kind}
                    for i in part.tensors
                ],
            }
            for part in self.parts
        ]


def count_parameters(model: nn.Module) -> dict[str, int]:
    """``{"total": …, "trainable": …}`` elements of the parameters, shared ones once.

    >>> count_parameters(nn.Sequential(nn.Linear(3, 2), nn.Linear(2, 1).requires_grad_(False)))
    {'total': 11, 'trainable': 8}

    Args:
        model: any module; buffers do not count.

    Returns:
        The two counts.
    """
    parameters = list(model.parameters())
    return {
        "total": sum(p.numel() for p in parameters),
        "trainable": sum(p.numel() for p in parameters if p.requires_grad),
    }

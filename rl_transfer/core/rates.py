"""Discriminative learning rates: one multiplier per part (Howard & Ruder 2018, ULMFiT)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from rl_transfer.core.digest import tensors_of
from rl_transfer.core.parts import PartMap
from rl_transfer.errors import TransferError


class PartLearningRates:
    """Splits an optimizer's parameter groups by part and keeps their rates in proportion.

    The optimizer's state (moments, step counts) is keyed by parameter and survives splitting
    and merging. Parameters that no selector covers keep the multiplier 1. Split before a
    learning-rate scheduler is made: it takes the scaled rates as its own.

    Args:
        optimizer: changed in place; it may hold only some of the model's parameters (an
            actor's optimizer) and others besides (an entropy coefficient).
        model: whose parts the selectors speak of.
        part_map: the parts of ``model``; selectors name them.
        multipliers: selector → multiplier of the learning rate, > 0.
        key: config path of ``multipliers``, for errors.

    Raises:
        TransferError: an unknown selector, a multiplier ≤ 0, two different multipliers for
            one parameter.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        model: nn.Module,
        part_map: PartMap,
        multipliers: Mapping[str, float],
        *,
        key: str | None = None,
    ) -> None:
        self._optimizer = optimizer
        self._multipliers = _by_parameter(tensors_of(model), part_map, multipliers, key)
        self._bases: list[float] = []
        self._merged: list[tuple[int, list[Tensor]]] = []  # per original group: its pieces, its parameters
        self._split()

    def rescale(self, learning_rate: float) -> None:
        """Set every group to ``learning_rate`` times its multiplier.

        For libraries that write one rate into all groups before each update (Stable-Baselines3):
        call it right after, with the same rate. Calling it twice changes nothing.

        Args:
            learning_rate: the rate of multiplier 1, > 0.
        """
        self._bases = [learning_rate] * len(self._bases)
        for group in self._optimizer.param_groups:
            if group["params"]:
                group["lr"] = learning_rate * self._multiplier(group["params"][0])

    @contextmanager
    def merged(self) -> Iterator[None]:
        """The optimizer with its original groups, order and rates, for the length of a ``with`` block.

        ``optimizer.state_dict()`` and ``load_state_dict()`` inside the block are those of the
        unsplit optimizer, so that checkpoints stay loadable elsewhere.
        """
        pieces = iter(self._optimizer.param_groups)
        groups = []
        for base, (count, parameters) in zip(self._bases, self._merged, strict=True):
            first, *_ = [next(pieces) for _ in range(count)]
            groups.append({**first, "params": parameters, "lr": self._unscaled(first, base)})
        self._optimizer.param_groups[:] = [*groups, *pieces]  # groups that were added since stay last
        try:
            yield
        finally:
            self._split()

    def _split(self) -> None:
        groups: list[dict[str, Any]] = []
        self._bases, self._merged = [], []
        for group in self._optimizer.param_groups:
            pieces: dict[float, list[Tensor]] = {}
            for parameter in group["params"]:
                pieces.setdefault(self._multiplier(parameter), []).append(parameter)
            pieces = pieces or {1.0: []}
            self._bases.append(float(group["lr"]))
            self._merged.append((len(pieces), group["params"]))
            groups += [{**group, "params": p, "lr": float(group["lr"]) * m} for m, p in pieces.items()]
        self._optimizer.param_groups[:] = groups

    def _unscaled(self, group: Mapping[str, Any], base: float) -> float:
        """The group's rate without its multiplier: ``base`` unless a scheduler has changed it."""
        multiplier = self._multiplier(group["params"][0]) if group["params"] else 1.0
        rate = float(group["lr"])
        return base if rate == base * multiplier else rate / multiplier

    def _multiplier(self, parameter: Tensor) -> float:
        return self._multipliers.get(parameter, 1.0)


def learning_rates_by_part(
    optimizer: torch.optim.Optimizer, model: nn.Module, part_map: PartMap
) -> dict[str, float]:
    """The learning rate in force for every part that the optimizer holds, 0 where it is frozen.

    A part whose layers have several rates is reported layer by layer (``policy_trunk.0``).

    Args:
        optimizer: as it stands; it may hold only some parameters.
        model: whose parameters it holds.
        part_map: the parts of ``model``; selectors name them.

    Returns:
        Part (or layer) → learning rate; parts that the optimizer does not hold are left out.
    """
    rates = {p: float(group["lr"]) for group in optimizer.param_groups for p in group["params"]}
    live = tensors_of(model)
    found: dict[str, float] = {}
    for part in part_map:
        by_layer: dict[str, float] = {}
        for layer in part.layers:
            held = [live[name] for name in layer.tensors if live[name] in rates]
            if held:
                by_layer[f"{part.name}.{layer.index}"] = max(rates[p] * p.requires_grad for p in held)
        distinct = set(by_layer.values())
        found |= {part.name: distinct.pop()} if len(distinct) == 1 else by_layer
    return found


def _by_parameter(
    live: Mapping[str, Tensor], part_map: PartMap, multipliers: Mapping[str, float], key: str | None
) -> dict[Tensor, float]:
    chosen: dict[Tensor, float] = {}
    source: dict[str, str] = {}
    for selector, multiplier in multipliers.items():
        selector_key = None if key is None else f"{key}.{selector}"
        if not multiplier > 0:
            raise TransferError(
                f"the learning-rate multiplier of {selector!r} is {multiplier}; it must be > 0 "
                "(to hold a part fixed, freeze it)",
                key=selector_key,
            )
        for name in part_map.select((selector,), key=key):
            if chosen.setdefault(live[name], multiplier) != multiplier:
                raise TransferError(
                    f"{name} has two learning-rate multipliers: {chosen[live[name]]} from "
                    f"{source[name]!r} and {multiplier} from {selector!r}; let selectors not overlap",
                    key=selector_key,
                )
            source.setdefault(name, selector)
    return chosen

"""A classifier's layers from input to output: the first n of them, and the groups that thaw together.

A layer is a module with a weight matrix or kernel, with the normalisations and bare parameters that follow
it: the layers that Yosinski et al. (2014) count. The parts of a classifier stand one behind the other, so
``trunk[:3]`` are the first three layers of the network, whatever stages they lie in.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import chain, groupby

import torch
from torch import nn

from rl_transfer.core import Layer, PartMap, isolated
from rl_transfer.errors import TransferError
from rl_transfer.spec import StrategyVerbs
from rl_transfer.spec.strategy import Thaw
from rl_transfer.supervised.classifier import Classifier

COLLAPSED = 0.75
"""A part that holds more than this share of the trunk's layers is no stage but all of them in one."""
DISPLACED = 0.1
"""Of all layers: branches may be registered that much earlier than they run."""
_FIRST = re.compile(r"(?P<group>trunk|all)\[:(?P<count>\d+)\]", re.ASCII)


def layers_in_series(parts: PartMap, group: str = "trunk") -> list[tuple[Layer, ...]]:
    """The layers of a classifier from input to output.

    Args:
        parts: of the classifier.
        group: ``trunk``, or ``all`` with the head behind it.

    Returns:
        Each with what follows it up to the next; what stands before the first one belongs to it.
    """
    found: list[list[Layer]] = []
    for part in parts:
        if part.role == "trunk" or (group == "all" and part.role == "head"):
            for layer in part.layers:
                if not found or (
                    _has_weight(parts, layer) and any(_has_weight(parts, each) for each in found[-1])
                ):
                    found.append([])
                found[-1].append(layer)
    return [tuple(each) for each in found]


def in_series(verbs: StrategyVerbs, parts: PartMap) -> StrategyVerbs:
    """The strategy with ``trunk[:n]`` and ``all[:n]`` written out as the first n layers of the network.

    Args:
        verbs: as written.
        parts: of the classifier.

    Returns:
        Selectors that name parts and their first layers only.

    Raises:
        TransferError: there are fewer layers; with the key of the selector.
    """

    def written(selectors: Sequence[str], key: str) -> tuple[str, ...]:
        return tuple(
            each for i, one in enumerate(selectors) for each in _first(parts, one, f"strategy.{key}.{i}")
        )

    changes: dict[str, object] = {
        name: written(getattr(verbs, name), name.rstrip("_"))
        for name in ("copy_", "reset", "reset_on_mismatch", "freeze")
    }
    changes["thaw"] = tuple(
        Thaw(at=step.at, parts=written(step.parts, f"thaw.{i}.parts")) for i, step in enumerate(verbs.thaw)
    )
    changes["learning_rates"] = {
        each: rate
        for one, rate in verbs.learning_rates.items()
        for each in _first(parts, one, f"strategy.learning_rates.{one}")
    }
    for name in ("anchor", "low_rank", "match"):
        config = getattr(verbs, name)
        if config is not None:
            changes[name] = config.model_copy(update={"parts": written(config.parts, f"{name}.parts")})
    return verbs.model_copy(update=changes)


def refuse_displaced(verbs: StrategyVerbs, classifier: Classifier) -> None:
    """Refuse ``trunk[:n]`` on a network that runs its first n layers, in order of registration, much later.

    Args:
        verbs: as written.
        classifier: its module is run once on zeros, and left as it was.

    Raises:
        TransferError: with the key of the selector.
    """
    chosen = {
        (match["group"], int(match["count"])): f"strategy.{name.rstrip('_')}.{i}"
        for name in ("copy_", "reset", "reset_on_mismatch", "freeze")
        for i, one in enumerate(getattr(verbs, name))
        if (match := _FIRST.fullmatch(one))
    }
    called = _run_order(classifier) if chosen else []
    parts, name = classifier.parts, type(classifier.module).__name__
    for (group, count), key in chosen.items():
        series = [
            [layer.path for layer in one if _has_weight(parts, layer)]
            for one in layers_in_series(parts, group)
        ]
        weighted, early = (set(chain.from_iterable(each)) for each in (series, series[:count]))
        ran = [path for path in called if path in weighted]
        late = [path for path in ran[count + max(2, round(DISPLACED * len(series))) :] if path in early]
        if late:
            raise TransferError(
                f"'{group}[:{count}]' means the first {count} layer(s), but {name} registers {late[-1]} "
                f"among them and runs it as its layer {ran.index(late[-1]) + 1}; name parts or layers: "
                f"{', '.join(part.name for part in parts)}",
                key=key,
            )


def _run_order(classifier: Classifier) -> list[str]:
    """Paths of the modules with a weight, as they are called first; none where zeros are no input."""
    module, order = classifier.module, dict[str, None]()

    def noted(path: str) -> Callable[[nn.Module, object], None]:
        def note(_module: nn.Module, _inputs: object) -> None:
            order[path] = None

        return note

    modes = [(each, each.training) for each in module.modules()]
    device = next(module.parameters()).device
    with ExitStack() as stack, torch.no_grad(), isolated(0):
        for path, each in module.named_modules():
            if any(parameter.ndim > 1 for parameter in each.parameters(recurse=False)):
                stack.callback(each.register_forward_pre_hook(noted(path)).remove)
        try:
            module.eval()
            module(torch.zeros(1, *classifier.preprocessing.input_shape, device=device))
        except (RuntimeError, ValueError, TypeError, AssertionError):
            return []
        finally:
            for each, mode in modes:
                each.training = mode
    return [*order]


def _first(parts: PartMap, selector: str, key: str) -> tuple[str, ...]:
    match = _FIRST.fullmatch(selector)
    if match is None:
        return (selector,)
    series, count = layers_in_series(parts, match["group"]), int(match["count"])
    if not 1 <= count <= len(series):
        raise TransferError(
            f"{selector!r} asks for the first {count} layer(s); this network's {match['group']} has "
            f"{len(series)} layers with weights; give a number from 1 to {len(series)}",
            key=key,
        )
    chosen = [layer for one in series[:count] for layer in one]
    found = []
    for name, mine in groupby(chosen, key=lambda layer: layer.part):
        taken = len(tuple(mine))
        found.append(name if taken == len(parts[name].layers) else f"{name}[:{taken}]")
    return tuple(found)


def thaw_groups(parts: PartMap, freeze: Sequence[str]) -> list[tuple[str, ...]]:
    """What gradual unfreezing thaws together, from input to output.

    A stage is a group; where a network's stages lie in one part, the blocks of that part are.

    Args:
        parts: of the classifier.
        freeze: selectors of what is frozen.

    Returns:
        Selectors, group after group; every frozen layer of the trunk in one of them.
    """
    frozen = set(parts.layers(freeze))
    total = sum(_weights(parts, part.layers) for part in parts if part.role == "trunk")
    found = []
    for part in parts:
        if part.role != "trunk" or not frozen & set(part.layers):
            continue
        blocks = _split(parts, part.layers, COLLAPSED * total)
        for block in blocks:
            chosen = [layer for layer in block if layer in frozen]
            whole = len(chosen) == len(part.layers)
            if chosen:
                found.append(
                    (part.name,) if whole else tuple(f"{part.name}.{layer.index}" for layer in chosen)
                )
    return found


def _split(parts: PartMap, layers: Sequence[Layer], limit: float) -> list[tuple[Layer, ...]]:
    """The blocks of layers, as far down as a block holds more than ``limit`` of them."""
    if _weights(parts, layers) <= limit or len(layers) < 2:
        return [tuple(layers)]
    paths = [layer.path.split(".") for layer in layers]
    depth = next((i for i, names in enumerate(zip(*paths, strict=False)) if len({*names}) > 1), 0)
    inner = [
        tuple(layer for layer, _ in members)
        for _, members in groupby(
            zip(layers, paths, strict=True), key=lambda pair: pair[1][depth : depth + 1]
        )
    ]
    merged: list[tuple[Layer, ...]] = []
    for block in inner:
        if (merged and not _weights(parts, block)) or (merged and not _weights(parts, merged[-1])):
            merged[-1] += block
        else:
            merged.append(block)
    if len(merged) == 1:
        return [tuple(layers)]
    return [each for block in merged for each in _split(parts, block, limit)]


def _has_weight(parts: PartMap, layer: Layer) -> bool:
    """Whether a layer owns a matrix or kernel; embeddings of position and class do not count."""
    return any(
        name.endswith(("weight", "kernel"))
        and len(parts.tensors[name].shape) > 1
        and parts.tensors[name].kind == "parameter"
        for name in layer.tensors
    )


def _weights(parts: PartMap, layers: Sequence[Layer]) -> int:
    return sum(_has_weight(parts, layer) for layer in layers)

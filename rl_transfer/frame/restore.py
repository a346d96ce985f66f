"""Write a captured state into the same objects, built anew; see :mod:`rl_transfer.frame.state`.

This makes no objects of its own but numbers, containers, arrays and generators, calls nothing that the data
name, and changes no text of an object: a file from a stranger can at worst be refused.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import cast

import numpy as np
import torch
from torch import Tensor, nn

from rl_transfer.frame.state import (
    GENERATORS,
    MISSING,
    OPTIMIZERS,
    CannotRestore,
    Captured,
    Special,
    attributes_of,
    class_name,
    text_digest,
)
from rl_transfer.spec.base import Json, JsonObject


def restore(state: Captured, root: object, *, specials: Sequence[Special] = ()) -> object:
    """Write a captured state into the same objects, built anew.

    Args:
        state: what :func:`capture` gave.
        root: shaped as the one that was captured; live objects in their places, the rest may be missing.
        specials: as for :func:`capture`.

    Returns:
        The root with everything restored.

    Raises:
        CannotRestore: the objects are others than those that were captured.
    """
    try:
        return _Restore(state, (OPTIMIZERS, *specials)).value({"at": 0}, root, "state")
    except (
        KeyError,
        IndexError,
        TypeError,
        ValueError,
        AttributeError,
        AssertionError,
        RuntimeError,
    ) as error:
        raise CannotRestore(f"{type(error).__name__}: {error}") from error


class _Restore:
    def __init__(self, state: Captured, specials: tuple[Special, ...]) -> None:
        self._nodes, self._tensors, self._specials = state.nodes, state.tensors, specials
        self._ways: dict[str, Callable[[int, JsonObject, object, str], object]] = {
            "fixed": self._fixed,
            "passing": self._passing,
            "special": self._special,
            "object": self._object,
            "texts": self._texts,
            "array": self._array,
            "number": self._number,
            "tensor": self._tensor,
            "generator": self._generator,
            "tuple": self._tuple,
            "list": self._list,
            "numbers": self._numbers,
            "deque": self._deque,
            "set": self._set,
            "dict": self._dict,
        }
        self._done: dict[int, object] = {}
        self._taken: set[int] = set()

    def value(self, data: Json, twin: object, path: str) -> object:
        """What ``data`` say, written into ``twin`` where that is possible."""
        if not isinstance(data, dict):
            return data
        if "float" in data:
            return float(str(data["float"]))
        number = data["at"]
        if not isinstance(number, int):
            raise CannotRestore(f"{path} is no node")
        if number not in self._done:
            node = self._nodes[number]
            self._done[number] = self._ways[node["is"]](number, node, twin, path)
        return self._done[number]

    def _take(self, twin: object) -> bool:
        """Whether an object is free to be written to; what two names shared may be two things now."""
        if id(twin) in self._taken:
            return False
        self._taken.add(id(twin))
        return True

    def _fixed(self, number: int, node: JsonObject, twin: object, path: str) -> object:
        if twin is MISSING:
            raise CannotRestore(f"{path} is missing")
        return twin

    def _passing(self, number: int, node: JsonObject, twin: object, path: str) -> object:
        return None if twin is MISSING else twin

    def _same(self, node: JsonObject, twin: object, path: str) -> None:
        if class_name(type(twin)) != node["class"] or not self._take(twin):
            raise CannotRestore(f"{path} was a {node['class']} and is a {class_name(type(twin))}")

    def _special(self, number: int, node: JsonObject, twin: object, path: str) -> object:
        self._same(node, twin, path)
        special = next(each for each in self._specials if each.fits(twin))
        special.restore(twin, self.value(node["state"], MISSING, path))
        return twin

    def _object(self, number: int, node: JsonObject, twin: object, path: str) -> object:
        self._same(node, twin, path)
        self._done[number] = twin
        live, saved = attributes_of(twin), node["attributes"]
        for name in live.keys() - saved.keys():
            del vars(twin)[name]
        for name, data in saved.items():
            before = live.get(name, MISSING)
            value = self.value(data, before, f"{path}.{name}")
            if isinstance(value, str) and value != before:
                raise CannotRestore(f"{path}.{name} is another text")
            if value is not before:
                vars(twin)[name] = value
        return twin

    def _texts(self, number: int, node: JsonObject, twin: object, path: str) -> object:
        if not isinstance(twin, np.ndarray | np.generic) or text_digest(twin) != node["digest"]:
            raise CannotRestore(f"{path} is another text")
        return twin

    def _array(self, number: int, node: JsonObject, twin: object, path: str) -> object:
        value = self._tensors[node["tensor"]].numpy()
        if isinstance(twin, np.ndarray) and twin.shape == value.shape and twin.dtype == value.dtype:
            if not twin.flags.writeable and np.array_equal(twin, value, equal_nan=value.dtype.kind == "f"):
                return twin
            if twin.flags.writeable and self._take(twin):
                twin[...] = value
                return twin
        return value.copy()

    def _number(self, number: int, node: JsonObject, twin: object, path: str) -> object:
        return self._tensors[node["tensor"]].numpy()[()]

    def _tensor(self, number: int, node: JsonObject, twin: object, path: str) -> object:
        value = self._tensors[node["tensor"]]
        alike = isinstance(twin, Tensor) and twin.shape == value.shape and twin.dtype == value.dtype
        if isinstance(twin, Tensor) and alike and twin.is_leaf and self._take(twin):
            with torch.no_grad():
                twin.copy_(value)
            return twin.requires_grad_(bool(node["requires_grad"]))
        if isinstance(twin, nn.Parameter):
            raise CannotRestore(f"{path} has another shape")
        return value.clone().requires_grad_(bool(node["requires_grad"]))

    def _generator(self, number: int, node: JsonObject, twin: object, path: str) -> object:
        state = self.value(node["state"], MISSING, path)
        if not isinstance(state, dict) or state["bit_generator"] not in GENERATORS:
            raise CannotRestore(f"{path} is no generator")
        if isinstance(twin, np.random.Generator) and self._take(twin):
            twin.bit_generator.state = state  # of another kind: refused by NumPy
            return twin
        fresh = np.random.Generator(getattr(np.random, state["bit_generator"])(0))
        fresh.bit_generator.state = state
        return fresh

    def _items(self, node: JsonObject, twin: object, path: str) -> list[object]:
        twins = list(twin) if isinstance(twin, list | tuple | deque) else []
        padded = [*twins, *[MISSING] * len(node["items"])]
        return [self.value(v, t, f"{path}.{i}") for i, (v, t) in enumerate(zip(node["items"], padded))]  # noqa: B905

    def _tuple(self, number: int, node: JsonObject, twin: object, path: str) -> object:
        items = self._items(node, twin, path)
        if not isinstance(twin, tuple) or type(twin) is tuple:
            return tuple(items)
        if isinstance(twin, torch.Size):
            return torch.Size(cast("list[int]", items))
        named: Callable[..., object] = type(twin)
        return named(*items)

    def _list(self, number: int, node: JsonObject, twin: object, path: str) -> object:
        found = twin if type(twin) is list and self._take(twin) else []
        self._done[number] = found
        found[:] = self._items(node, twin, path)
        return found

    def _numbers(self, number: int, node: JsonObject, twin: object, path: str) -> object:
        found = twin if type(twin) is list and self._take(twin) else []
        found[:] = self._tensors[node["tensor"]].tolist()
        return found

    def _deque(self, number: int, node: JsonObject, twin: object, path: str) -> object:
        same = isinstance(twin, deque) and twin.maxlen == node["most"] and self._take(twin)
        found: deque[object] = twin if isinstance(twin, deque) and same else deque(maxlen=node["most"])
        self._done[number] = found
        items = self._items(node, twin, path)
        found.clear()
        found.extend(items)
        return found

    def _set(self, number: int, node: JsonObject, twin: object, path: str) -> object:
        items = self._items(node, MISSING, path)
        return frozenset(items) if isinstance(twin, frozenset) else set(items)

    def _dict(self, number: int, node: JsonObject, twin: object, path: str) -> object:
        before = dict(twin) if isinstance(twin, dict) else {}
        kind = OrderedDict if node["ordered"] else dict
        found = twin if isinstance(twin, dict) and type(twin) is kind and self._take(twin) else kind()
        self._done[number] = found
        pairs = [(self.value(key, MISSING, path), each) for key, each in node["items"]]
        items = {key: self.value(v, before.get(key, MISSING), f"{path}.{key}") for key, v in pairs}
        found.clear()
        found.update(items)
        return found

"""The state of live objects as plain data, without pickle: what a checkpoint holds.

:func:`capture` walks everything that is reachable from a root: numbers, texts, arrays, tensors, containers,
generators, and the attributes of objects that are written in Python. What is one object under two names
stays one. :mod:`rl_transfer.frame.restore` writes the state into the same objects, built anew.

What cannot be carried (a handle of a C library, an open file) is refused by its path, never left out.
"""

from __future__ import annotations

import enum
import functools
import math
import types
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import PurePath
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from rl_transfer.spec import Frozen
from rl_transfer.spec.base import Json, JsonObject


class Stateless:
    """What holds no numbers that training changes: copies share it, and checkpoints leave it out."""

    def __deepcopy__(self, memo: object) -> Self:
        """Itself."""
        return self


FIXED: tuple[type, ...] = (
    type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType,
    functools.partial, np.dtype, np.ufunc, enum.Enum, PurePath, Frozen, Stateless, torch.dtype,
    torch.device,
)  # fmt: skip
"""What is as it was built."""
PASSING = (torch.distributions.Distribution,)
"""What is made anew each time before it is used."""

GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")


class CannotCapture(Exception):
    """Something that holds state cannot be written down; the message says what, and where."""


class CannotRestore(Exception):
    """The data do not fit the objects; some of these may have been written to already."""


@dataclass(frozen=True)
class Captured:
    """What :func:`capture` found.

    Attributes:
        nodes: one JSON object for everything that is no scalar; they speak of one another by number.
        tensors: what the nodes call by number in a text, arrays among them.
    """

    nodes: list[JsonObject] = field(default_factory=list)
    tensors: dict[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Special:
    """A kind of object with a way of its own.

    Attributes:
        fits: whether an object is of this kind.
        capture: its state as something that :func:`capture` knows.
        restore: writes such a state into the object.
    """

    fits: Callable[[object], bool]
    capture: Callable[[object], object]
    restore: Callable[[object, object], None]


OPTIMIZERS = Special(
    lambda each: isinstance(each, torch.optim.Optimizer),
    lambda each: each.state_dict(),  # type: ignore[attr-defined]
    lambda each, state: each.load_state_dict(state),  # type: ignore[attr-defined]
)
"""Moments and step counts, parameter groups with their rates."""


class _Plain:
    pass


class _Missing:
    pass


MISSING = _Missing()
"""In the place of a live object that is not there."""
_HOOKS = vars(nn.Module()).keys() - {"training", "_parameters", "_buffers", "_modules"}
"""What torch keeps in a module's attributes that is no state: hooks, by numbers that differ each time."""


def attributes_of(value: object) -> dict[str, object]:
    """The attributes of an object in which its state lies.

    Args:
        value: one that has attributes.

    Returns:
        Name → value; torch's hooks are left out.
    """
    found = vars(value)
    return {k: v for k, v in found.items() if k not in _HOOKS} if isinstance(value, nn.Module) else found


def _walkable(value: object) -> bool:
    """Whether all of an object's state lies in its attributes: no slots, no C structure behind it."""
    return hasattr(value, "__dict__") and type(value).__basicsize__ <= _Plain.__basicsize__


def class_name(kind: type) -> str:
    """Module and name of a class; some of C libraries have no module.

    Args:
        kind: the class.
    """
    return f"{getattr(kind, '__module__', '')}.{kind.__qualname__}"


def text_digest(texts: NDArray[np.generic] | np.generic) -> str:
    """The digest of an array of texts, which are as they were built or cannot be restored.

    Args:
        texts: of any shape.
    """
    return sha256(f"{texts.dtype} {texts.shape}\n".encode() + texts.tobytes()).hexdigest()


def capture(
    root: object,
    *,
    fixed: Collection[object] = (),
    kinds: Sequence[type] = (),
    specials: Sequence[Special] = (),
) -> Captured:
    """Write down the state of everything that is reachable from ``root``; nothing is changed.

    Args:
        root: usually a dict of live objects and plain data.
        fixed: objects that are left out, by identity.
        kinds: further types that are left out.
        specials: further kinds of objects with ways of their own.

    Returns:
        The state; it shares no memory with the objects.

    Raises:
        CannotCapture: something that holds state is of no known kind.
    """
    walk = _Capture({id(each) for each in fixed}, (*FIXED, *kinds), (OPTIMIZERS, *specials))
    walk.value(root, "state")
    return walk.state


class _Capture:
    def __init__(self, fixed: set[int], kinds: tuple[type, ...], specials: tuple[Special, ...]) -> None:
        self.state = Captured()
        self._fixed, self._kinds, self._specials = fixed, kinds, specials
        self._numbers: dict[int, int] = {}
        self._alive: list[object] = []  # an identity is one only as long as its object lives

    def value(self, value: object, path: str) -> Json:
        if value is None or type(value) in (bool, int, str):
            return value  # type: ignore[return-value]
        if type(value) is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        number = self._numbers.get(id(value))
        if number is None:
            number = self._numbers[id(value)] = len(self.state.nodes)
            self._alive.append(value)
            self.state.nodes.append({})
            self.state.nodes[number] = self._node(value, path)
        return {"at": number}

    def _tensor(self, tensor: Tensor) -> str:
        name = str(len(self.state.tensors))
        self.state.tensors[name] = tensor.detach().cpu().clone(memory_format=torch.contiguous_format)
        return name

    def _node(self, value: object, path: str) -> JsonObject:
        if id(value) in self._fixed or isinstance(value, self._kinds):
            return {"is": "fixed"}
        if isinstance(value, PASSING):
            return {"is": "passing"}
        for special in self._specials:
            if special.fits(value):
                state = self.value(special.capture(value), path)
                return {"is": "special", "class": class_name(type(value)), "state": state}
        if isinstance(value, np.ndarray | np.generic):
            if value.dtype.kind in "SU":
                return {"is": "texts", "digest": text_digest(value)}
            if value.dtype.kind not in "biuf" or not value.dtype.isnative or value.dtype.itemsize > 8:
                raise CannotCapture(f"{path} is an array of {value.dtype}")
            name = self._tensor(torch.from_numpy(np.array(value)))
            return {"is": "array" if isinstance(value, np.ndarray) else "number", "tensor": name}
        if isinstance(value, Tensor):
            trained = value.requires_grad and value.is_leaf
            return {"is": "tensor", "tensor": self._tensor(value), "requires_grad": trained}
        if isinstance(value, np.random.Generator):
            return {"is": "generator", "state": self.value(value.bit_generator.state, path)}
        return self._container(value, path) or self._object(value, path)

    def _container(self, value: object, path: str) -> JsonObject | None:
        if isinstance(value, tuple):
            return {"is": "tuple", "items": [self.value(v, f"{path}.{i}") for i, v in enumerate(value)]}
        if type(value) is list:
            same = {type(each) for each in value}
            if len(value) > 8 and (same == {float} or (same == {int} and all(abs(v) < 2**62 for v in value))):
                exact = torch.tensor(value, dtype=torch.float64 if same == {float} else torch.int64)
                return {"is": "numbers", "tensor": self._tensor(exact)}
            return {"is": "list", "items": [self.value(v, f"{path}.{i}") for i, v in enumerate(value)]}
        if type(value) is deque:
            items = [self.value(v, f"{path}.{i}") for i, v in enumerate(value)]
            return {"is": "deque", "items": items, "most": value.maxlen}
        if isinstance(value, set | frozenset):
            return {"is": "set", "items": [self.value(v, path) for v in sorted(value, key=repr)]}
        if type(value) in (dict, OrderedDict) and isinstance(value, dict):
            pairs: list[Json] = [
                [self.value(key, path), self.value(each, f"{path}.{key}")] for key, each in value.items()
            ]
            return {"is": "dict", "items": pairs, "ordered": type(value) is OrderedDict}
        return None

    def _object(self, value: object, path: str) -> JsonObject:
        if not _walkable(value):
            raise CannotCapture(f"{path} is a {class_name(type(value))}")
        found = {name: self.value(each, f"{path}.{name}") for name, each in attributes_of(value).items()}
        return {"is": "object", "class": class_name(type(value)), "attributes": found}

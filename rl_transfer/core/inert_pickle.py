"""A pickle read as data: its opcodes are followed, but nothing that it names is imported or called.

A pickle is a program for a stack machine; what makes it dangerous are the opcodes that look a class
or function up by name and call it. Here such a lookup gives a :class:`Reference` and such a call a
:class:`Built`, both plain data, and only for names that the caller allows.
"""

from __future__ import annotations

import pickletools
import struct
import warnings
from collections.abc import Callable, Iterable, Sized
from dataclasses import dataclass
from typing import IO, Any

from rl_transfer.errors import BundleError


@dataclass(frozen=True)
class Reference:
    """A class or function that the pickle names, as ``module.name``."""

    name: str


@dataclass(eq=False)
class Built:
    """What the pickle would have made by calling ``name`` with ``arguments`` and setting ``state``."""

    name: str
    arguments: tuple[Any, ...]
    state: Any = None


MOST_OPCODES = 2**16
"""More than a policy's list of tensors or normalisation statistics needs; each makes up to 72 bytes."""

_MOST_COPIED = 2**16
_MOST_KEY_BITS = 64
_STORAGE_KEY = 2


class _Refused(ValueError):
    """The pickle names or does something that is not allowed."""


def read_pickle(
    content: bytes | IO[bytes], allowed: Callable[[str], bool], where: str, most: int = MOST_OPCODES
) -> object:
    """The object that a pickle describes, as plain data.

    Args:
        content: the pickle, of any protocol; a stream is left behind its end.
        allowed: whether a dotted name may occur.
        where: the file's name, for errors.
        most: opcodes that it may have.

    Returns:
        Numbers, texts, bytes, tuples, lists, sets and dicts (ordered ones too); :class:`Reference`
        and :class:`Built` for everything else.

    Raises:
        BundleError: the pickle is damaged, or names something that is not allowed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pickletools on odd escapes in texts
            return _Machine(allowed, most).run(content)
    except _Refused as error:
        raise BundleError(f"{where} is refused: {error}. Nothing of it was run.") from None
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, struct.error) as error:
        raise BundleError(f"{where} is truncated or no pickle: {error}") from None


_LITERALS = {
    "INT", "LONG", "FLOAT", "BININT", "BININT1", "BININT2", "LONG1", "LONG4", "BINFLOAT",
    "STRING", "BINSTRING", "SHORT_BINSTRING",
    "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8",
    "BINBYTES", "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_EMPTY: dict[str, Callable[[], object]] = {
    "EMPTY_LIST": list,
    "EMPTY_TUPLE": tuple,
    "EMPTY_DICT": dict,
    "EMPTY_SET": set,
}
_COLLECTED: dict[str, Callable[[list[object]], object]] = {
    "LIST": list,
    "TUPLE": tuple,
    "FROZENSET": lambda items: frozenset(_hashed(items)),
    "DICT": lambda items: _pairs(items),
}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class _Machine:
    """The pickle's stack machine over inert values."""

    def __init__(self, allowed: Callable[[str], bool], most: int) -> None:
        self.allowed, self.most = allowed, most
        self.stack: list[object] = []
        self.marked: list[list[object]] = []
        self.memo: dict[int, object] = {}
        self.copied = 0

    def run(self, content: bytes | IO[bytes]) -> object:
        for count, (opcode, argument, _) in enumerate(pickletools.genops(content)):
            if opcode.name == "STOP":
                break
            if count >= self.most:
                raise _Refused(f"it has more than {self.most:,} opcodes")
            self.step(opcode.name, argument)
        return self.stack.pop()

    def step(self, opcode: str, argument: object) -> None:
        if opcode in _LITERALS:
            self.stack.append(argument)
        elif opcode in _CONSTANTS:
            self.stack.append(_CONSTANTS[opcode])
        elif opcode in _EMPTY:
            self.stack.append(_EMPTY[opcode]())
        elif opcode in _COLLECTED:
            items = self.to_mark()
            self.stack.append(_COLLECTED[opcode](items))
        elif opcode in _TUPLES:
            items = [self.stack.pop() for _ in range(_TUPLES[opcode])]
            self.stack.append(tuple(items[::-1]))
        elif opcode in _STEPS:
            _STEPS[opcode](self, argument)
        elif opcode not in ("PROTO", "FRAME"):
            raise _Refused(f"it uses {opcode}, which tensors and statistics never need")

    def mark(self, _: object) -> None:
        self.marked.append(self.stack)
        self.stack = []

    def to_mark(self) -> list[object]:
        items = self.stack
        self.stack = self.marked.pop()
        return items

    def put(self, index: int) -> None:
        self.memo[index] = self.stack[-1]

    def memoize(self, _: object) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def get(self, index: int) -> None:
        self.stack.append(self.memo[index])

    def fill(self, items: list[object]) -> None:
        """Append to a list, update a dict or set; what an object would collect is left out."""
        target = self.stack[-1]
        if isinstance(target, list):
            target.extend(items)
        elif isinstance(target, dict):
            target.update(_pairs(items))
        elif isinstance(target, set):
            target.update(_hashed(items))
        elif not isinstance(target, Built):
            raise _Refused(f"it adds items to a {type(target).__name__}")

    def refer(self, module: object, name: object) -> None:
        dotted = f"{module}.{name}"
        if not (isinstance(module, str) and isinstance(name, str) and self.allowed(dotted)):
            raise _Refused(f"it names {dotted[:80]}, which tensors and statistics never need")
        self.stack.append(Reference(dotted))

    def stack_global(self, _: object) -> None:
        name, module = self.stack.pop(), self.stack.pop()
        self.refer(module, name)

    def call(self, count: int) -> None:
        """Call with a tuple of arguments (2), or with a tuple and a dict of them (3)."""
        operands = [self.stack.pop() for _ in range(count)][::-1]
        called, arguments = operands[0], operands[1]
        if not isinstance(called, Reference) or not isinstance(arguments, tuple):
            raise _Refused("it calls something else than what it names")
        if called.name.endswith("._reconstructor") and isinstance(arguments[0], Reference):
            self.stack.append(Built(arguments[0].name, ()))
        elif called.name in _COPIES:
            self.copied += sum(len(each) for each in arguments if isinstance(each, Sized))
            if self.copied > _MOST_COPIED:
                raise _Refused(f"it copies more than {_MOST_COPIED:,} items")
            self.stack.append(_COPIES[called.name](*arguments))
        else:
            self.stack.append(Built(called.name, arguments))

    def persist(self, _: object) -> None:
        """A tensor's storage: words and numbers, and perhaps a tuple of them (of what it is a view)."""
        named = self.stack.pop()
        for place, each in enumerate(named if isinstance(named, tuple) else ()):
            if isinstance(each, tuple) and (place == _STORAGE_KEY or any(isinstance(i, tuple) for i in each)):
                raise _Refused("it names a storage by a tuple, which only the hostile need")
        self.stack.append(Built("persistent", (named,)))

    def build(self, _: object) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, dict):  # an OrderedDict with attributes, which are left out
            return
        if not isinstance(target, Built):
            raise _Refused(f"it sets the state of a {type(target).__name__}")
        target.state = state


def _pairs(items: list[object]) -> dict[object, object]:
    return dict(zip(_hashed(items[::2]), items[1::2], strict=True))


def _copied(*given: object) -> dict[object, object]:
    """What an OrderedDict is made of: nothing, a dict, or pairs in a list."""
    pairs = given[0] if given else {}
    if isinstance(pairs, dict):
        return dict(pairs)
    if not isinstance(pairs, list):
        raise _Refused(f"it makes a dict of a {type(pairs).__name__}")
    return _pairs([each for pair in pairs for each in pair])


def _hashed(items: Iterable[object]) -> Iterable[object]:
    """Keys of dicts and members of sets: a tuple or a long number among them may take for ever to hash."""
    for each in items:
        if isinstance(each, tuple | frozenset):
            raise _Refused(f"it has a {type(each).__name__} for a key, which only the hostile need")
        if isinstance(each, int) and each.bit_length() > _MOST_KEY_BITS:
            raise _Refused(f"it has a number of {each.bit_length():,} bits for a key")
    return items


def _counted(*given: object) -> dict[object, object]:
    """A ``Counter`` of nothing, of a dict or of a list."""
    return dict.fromkeys(_members(given))


def _members(given: tuple[object, ...]) -> Iterable[object]:
    found = given[0] if given else ()
    if not isinstance(found, dict | list | tuple | set):
        raise _Refused(f"it collects the items of a {type(found).__name__}")
    return _hashed(found)


_COPIES: dict[str, Callable[..., object]] = {
    "collections.OrderedDict": _copied,
    "collections.Counter": _counted,
    **{
        f"{module}.{name}": lambda *given: set(_members(given))
        for module in ("__builtin__", "builtins")
        for name in ("set", "frozenset")
    },
}
_STEPS: dict[str, Callable[[_Machine, Any], object]] = {
    "MARK": _Machine.mark,
    "POP": lambda machine, _: machine.stack.pop(),
    "POP_MARK": lambda machine, _: machine.to_mark(),
    "DUP": lambda machine, _: machine.stack.append(machine.stack[-1]),
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "APPEND": lambda machine, _: machine.fill([machine.stack.pop()]),
    "APPENDS": lambda machine, _: machine.fill(machine.to_mark()),
    "ADDITEMS": lambda machine, _: machine.fill(machine.to_mark()),
    "SETITEM": lambda machine, _: machine.fill([machine.stack.pop(), machine.stack.pop()][::-1]),
    "SETITEMS": lambda machine, _: machine.fill(machine.to_mark()),
    "GLOBAL": lambda machine, names: machine.refer(*names.split(" ", 1)),
    "STACK_GLOBAL": _Machine.stack_global,
    "REDUCE": lambda machine, _: machine.call(2),
    "NEWOBJ": lambda machine, _: machine.call(2),
    "NEWOBJ_EX": lambda machine, _: machine.call(3),
    "BUILD": _Machine.build,
    "BINPERSID": _Machine.persist,
}

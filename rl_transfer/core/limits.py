"""How large a file may be, and a network: one that a file describes about as large as the file's tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod

from torch import nn
from torch.nn.modules.module import register_module_parameter_registration_hook

Shape = tuple[int, ...]

MOST_TENSOR_BYTES = 8 * 2**30
"""Of a file of tensors: two billion parameters as ``float32``."""

SPARE_NUMBERS = 2**23
"""What a network may have for a while and then drop, such as the head that a backbone comes with."""

SPARE_TENSORS = 64

MOST_NUMBERS = 2**30
MOST_TENSORS = 10_000
"""Of a network that a config describes."""


class TooLarge(ValueError):
    """A network outgrew its bound."""


@contextmanager
def no_larger_than(shapes: Mapping[str, Shape]) -> Iterator[None]:
    """Refuse, while it lasts, networks that outgrow their state dict; before they take the memory.

    Twice the numbers and tensors of the state, and some to spare, may be made.

    Args:
        shapes: of the tensors that the network is to be filled with.

    Yields:
        Nothing; build the network inside.

    Raises:
        TooLarge: a parameter goes beyond that, at once.
    """
    numbers = SPARE_NUMBERS + 2 * sum(map(prod, shapes.values()))
    with _budget(numbers, SPARE_TENSORS + 2 * len(shapes), "it is far larger than the tensors in the file"):
        yield


@contextmanager
def of_bearable_size() -> Iterator[None]:
    """Refuse, while it lasts, networks that no machine here could train; before they take the memory.

    Yields:
        Nothing; build the network inside.

    Raises:
        TooLarge: a parameter goes beyond :data:`MOST_NUMBERS` or :data:`MOST_TENSORS`, at once.
    """
    what = (
        f"it has more than {MOST_NUMBERS:,} weights (16 GiB with gradients and moments) "
        f"or {MOST_TENSORS:,} tensors"
    )
    with _budget(MOST_NUMBERS, MOST_TENSORS, what):
        yield


@dataclass(eq=False)
class _Ledger:
    """What may still be registered."""

    numbers: int
    tensors: int


_OPEN: list[_Ledger] = []


@contextmanager
def refunded() -> Iterator[None]:
    """Give back, in the end, what networks took that were built meanwhile and dropped again.

    Yields:
        Nothing; each of them is bounded as ever.
    """
    before = [(ledger, ledger.numbers, ledger.tensors) for ledger in _OPEN]
    try:
        yield
    finally:
        for ledger, numbers, tensors in before:
            ledger.numbers, ledger.tensors = numbers, tensors


@contextmanager
def _budget(numbers: int, tensors: int, complaint: str) -> Iterator[None]:
    """Charge every parameter that is registered; one is refused while nothing is written into it."""
    ledger = _Ledger(numbers, tensors)

    def charge(_: nn.Module, name: str, parameter: nn.Parameter) -> None:
        ledger.numbers, ledger.tensors = ledger.numbers - parameter.numel(), ledger.tensors - 1
        if ledger.numbers < 0 or ledger.tensors < 0:
            raise TooLarge(f"{complaint}, with a {name} of shape {tuple(parameter.shape)}")

    registered = register_module_parameter_registration_hook(charge)
    _OPEN.append(ledger)
    try:
        yield
    finally:
        _OPEN.remove(ledger)
        registered.remove()

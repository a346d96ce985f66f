"""How large a file may be, and a network: one that a file describes about as large as the file's tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
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


@contextmanager
def _budget(numbers: int, tensors: int, complaint: str) -> Iterator[None]:
    """Charge every parameter that is registered; one is refused while nothing is written into it."""

    def charge(_: nn.Module, name: str, parameter: nn.Parameter) -> None:
        nonlocal numbers, tensors
        numbers, tensors = numbers - parameter.numel(), tensors - 1
        if numbers < 0 or tensors < 0:
            raise TooLarge(f"{complaint}, with a {name} of shape {tuple(parameter.shape)}")

    registered = register_module_parameter_registration_hook(charge)
    try:
        yield
    finally:
        registered.remove()

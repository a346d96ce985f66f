"""Networks without memory: built for their names and shapes alone, on torch's ``meta`` device."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode


class NeedsMemoryError(RuntimeError):
    """Building a network looks at numbers, and without memory there are none."""


@contextmanager
def without_memory() -> Iterator[None]:
    """Have what is built, while it lasts, take no memory, however large it is.

    Yields:
        Nothing; build the network inside.

    Raises:
        NeedsMemoryError: it cannot be built without its numbers.
    """
    try:
        with torch.device("meta"), _Staying():
            yield
    except Exception as error:
        if not _lacks_numbers(error):
            raise
        raise NeedsMemoryError(str(error)) from None


def _lacks_numbers(error: BaseException | None) -> bool:
    """Whether torch, at the bottom of an error, says that a tensor has no numbers."""
    while error is not None:
        says = str(error)
        if isinstance(error, RuntimeError) and re.search(r"\bmeta\b", says, re.IGNORECASE):
            return True
        if isinstance(error, TypeError) and "meta device type tensor" in says:
            return True
        error = error.__cause__ or error.__context__
    return False


class _Staying(TorchFunctionMode):
    """What is asked for on another device stays where it is, and checks of numbers pass."""

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: tuple[type, ...],
        args: tuple[object, ...] = (),
        kwargs: Mapping[str, object] | None = None,
    ) -> object:
        named = dict(kwargs or {})
        if func is torch._is_all_true:  # how torch.distributions checks its arguments
            return True
        if func is Tensor.to and isinstance(args[0], Tensor) and args[0].is_meta:
            found = [each for each in (*args[1:], *named.values()) if isinstance(each, torch.dtype | Tensor)]
            args, named = (args[0], *found), {}
            if not found:
                return args[0]
        return func(*args, **named)

"""What a run needs in memory beside what every run needs, as far as its network and its buffers tell."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from torch import nn

COPIES = 4
"""Of each parameter while it is trained: itself, its gradient and Adam's two moments."""


def training_bytes(module: nn.Module) -> int:
    """What the parameters of a network take while they are trained.

    Args:
        module: the whole of it.

    Returns:
        Bytes.
    """
    return COPIES * sum(each.numel() * each.element_size() for each in module.parameters())


def array_bytes(holders: Iterable[object]) -> int:
    """What the arrays take that objects hold as attributes, alone or in dicts.

    Args:
        holders: buffers, for example; None holds nothing.

    Returns:
        Bytes of the arrays as they are when they are full.
    """
    found: dict[int, int] = {}
    for holder in holders:
        for value in getattr(holder, "__dict__", {}).values():
            for each in value.values() if isinstance(value, dict) else (value,):
                if isinstance(each, np.ndarray):
                    found[id(each)] = each.nbytes
    return sum(found.values())

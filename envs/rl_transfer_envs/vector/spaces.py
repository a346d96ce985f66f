"""The one space that holds what all instances of a batch give or take."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gymnasium import spaces
from gymnasium.vector.utils import batch_differing_spaces, batch_space

from rl_transfer_envs.aliases import Array, Space
from rl_transfer_envs.errors import IncompatiblePerturbationError


def common_space(each: Sequence[Space], side: str) -> Space:
    """The smallest space that holds ``each[instance]``: boxes may differ in their bounds.

    Args:
        each: the instances' spaces.
        side: ``"observation"`` or ``"action"``, for the error.

    Returns:
        The space.

    Raises:
        IncompatiblePerturbationError: two instances differ in shape, dtype or number of actions.
    """
    first = each[0]
    for number, other in enumerate(each):
        boxes = isinstance(first, spaces.Box) and isinstance(other, spaces.Box)
        if other != first and not (boxes and first.shape == other.shape and first.dtype == other.dtype):
            raise IncompatiblePerturbationError(
                f"instances 0 and {number} differ in their {side} space: {first} and {other}. "
                "One batch holds instances of one shape and one number of actions."
            )
    if not isinstance(first, spaces.Box) or all(other == first for other in each):
        return first
    bounds = [(box.low, box.high) for box in each if isinstance(box, spaces.Box)]
    low: Array = np.min([ends[0] for ends in bounds], axis=0)
    high: Array = np.max([ends[1] for ends in bounds], axis=0)
    return spaces.Box(low, high, dtype=first.dtype.type)


def batched_space(each: Sequence[Space]) -> Space:
    """The space of a whole batch, with every instance's own bounds.

    Args:
        each: the instances' spaces.

    Returns:
        The batched space.
    """
    if all(other == each[0] for other in each):
        return batch_space(each[0], len(each))
    return batch_differing_spaces(list(each))

"""What a gap given the action takes for the same action."""

from __future__ import annotations

from gymnasium import spaces
from torch import Tensor

from rl_transfer.core.strata import action_strata
from rl_transfer.rl.environments.spaces import Space


def action_labels(space: Space, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Labels of the actions of two sides: a ``Discrete`` action itself, of all others its stratum.

    Args:
        space: of the actions.
        source: ``[row, component]``.
        target: likewise, in the same units.

    Returns:
        ``int64[row]`` for either side.

    Raises:
        TransferError: an action is no number.
    """
    if isinstance(space, spaces.Discrete):
        return source.long()[:, 0], target.long()[:, 0]
    return action_strata(source, target)


def labels_in_words(space: Space) -> str:
    """What :func:`action_labels` gives.

    Args:
        space: of the actions.
    """
    return "actions" if isinstance(space, spaces.Discrete) else "strata of actions"

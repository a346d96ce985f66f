"""What a user's hook keeps from one step to the next, as the hook itself tells it, for checkpoints."""

from __future__ import annotations

from typing import Protocol, cast

import torch
from torch import nn

from rl_transfer.frame.restore import restore
from rl_transfer.frame.state import MISSING, CannotCapture, CannotRestore, Captured, capture

STATE: dict[str, tuple[str, ...]] = {"state_dict": (), "load_state_dict": ("state",)}
"""What a hook with a state offers: its methods, and what they are called with."""
_DATA = {"array", "number", "tensor", "tuple", "list", "numbers", "deque", "set", "dict", "generator"}
"""Nodes of a captured state that need no living object to be read again."""
_WORDS = {
    "fixed": "function, a class or the like",
    "passing": "distribution of torch",
    "texts": "NumPy array of texts",
}
"""What people call other nodes."""


class Stateful(Protocol):
    """A hook that writes down what it keeps."""

    def state_dict(self) -> dict[str, object]:
        """Everything that the rest of the run depends on, as plain data."""

    def load_state_dict(self, state: dict[str, object]) -> None:
        """Go on from such a state.

        Args:
            state: what :meth:`state_dict` gave, in another process perhaps.
        """


def offered(hook: object) -> list[str]:
    """The methods of :data:`STATE` that a hook has; torch's own do not count: they know tensors alone.

    Args:
        hook: of any class.
    """
    return [
        name
        for name in STATE
        if callable(getattr(hook, name, None))
        and getattr(type(hook), name, None) is not getattr(nn.Module, name)
    ]


def written(hook: Stateful) -> dict[str, object]:
    """The state of a hook, if that is plain data.

    Args:
        hook: one that offers its state.

    Returns:
        A copy of what the hook gave.

    Raises:
        CannotCapture: it is no dict, or holds what is no plain data.
    """
    return _read(_captured(hook.state_dict()))


def why_not_the_same(hook: Stateful, fresh: Stateful) -> str | None:
    """Whether a fresh hook that is given another one's state says the same of itself.

    Args:
        hook: one that was used.
        fresh: built alike, not used.

    Returns:
        What is wrong, in words; None if nothing is.
    """
    try:
        before = _captured(hook.state_dict())
        fresh.load_state_dict(_read(before))
        after = _captured(fresh.state_dict())
    except (CannotCapture, CannotRestore) as error:
        return f"gave a state that is no plain data: {error}"
    if before.nodes != after.nodes or before.tensors.keys() != after.tensors.keys():
        return "gave another state after load_state_dict"
    for name, each in before.tensors.items():
        other = after.tensors[name]
        if each.dtype != other.dtype or not torch.equal(_bits(each), _bits(other)):
            return "gave another state after load_state_dict"
    return None


def _captured(state: object) -> Captured:
    if not isinstance(state, dict):
        raise CannotCapture(f"it is a {type(state).__name__}; expected is a dict")
    found = capture(state)
    for node in found.nodes:
        if node["is"] not in _DATA:
            what = node.get("class") or _WORDS.get(str(node["is"]), node["is"])
            raise CannotCapture(
                f"it holds a {what}; expected are numbers, texts, arrays, tensors, NumPy generators, and "
                "lists and dicts of them"
            )
    return found


def _read(state: Captured) -> dict[str, object]:
    return cast("dict[str, object]", restore(state, MISSING))


def _bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)

"""What a part map is made of: rules, tensors, layers, parts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from rl_transfer.errors import TransferError
from rl_transfer.wording import listing

Role = Literal["trunk", "head", "auxiliary"]


@dataclass(frozen=True)
class PartRule:
    """Which tensors a part holds, and what the part is for.

    Attributes:
        prefixes: module paths or tensor names; ``"net.0"`` matches ``net.0`` and all
            that begins with ``net.0.``; ``""`` matches everything that no other prefix does.
        role: ``trunk`` (representation), ``head`` (output, ``log_std`` included) or
            ``auxiliary`` (not trained by the loss on its own: target networks, entropy coefficient).
    """

    prefixes: tuple[str, ...]
    role: Role

    def __post_init__(self) -> None:
        if self.role not in get_args(Role):
            raise TransferError(f"role {self.role!r} is unknown; a part is one of {listing(get_args(Role))}")


@dataclass(frozen=True)
class TensorInfo:
    """One tensor of the state dict, under its canonical (first) name.

    Attributes:
        name: the canonical name.
        names: every state-dict name of the same storage, the canonical one first.
        shape, dtype: as in the state dict, the dtype without ``torch.``.
        kind: parameters are trained, buffers (running statistics …) are not.
    """

    name: str
    names: tuple[str, ...]
    shape: tuple[int, ...]
    dtype: str
    kind: Literal["parameter", "buffer"]

    @property
    def numel(self) -> int:
        """Number of elements."""
        count = 1
        for size in self.shape:
            count *= size
        return count


@dataclass(frozen=True)
class Layer:
    """A sub-module that directly owns tensors, as the ``index``-th of its part.

    Attributes:
        path: the sub-module's path, ``""`` for the model itself.
        tensors: canonical names of the tensors that it owns in this part.
        followers: paths of the sub-modules without tensors (activations, dropout) that
            stand after it in registration order; they are frozen and thawed with it.
    """

    part: str
    index: int
    path: str
    tensors: tuple[str, ...]
    followers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A named part: its role, layers (registration order) and tensors. May be empty."""

    name: str
    role: Role
    layers: tuple[Layer, ...]
    tensors: tuple[TensorInfo, ...]

    @property
    def tensor_names(self) -> tuple[str, ...]:
        """Canonical names, in state-dict order."""
        return tuple(info.name for info in self.tensors)

    @property
    def numel(self) -> int:
        """Number of elements of all tensors, each counted once."""
        return sum(info.numel for info in self.tensors)

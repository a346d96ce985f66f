"""Content digests of tensors: the evidence that a frozen tensor did not move."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from rl_transfer.errors import TransferError


def tensor_bytes(tensor: Tensor) -> bytes:
    """The elements of ``tensor`` in row-major order, as raw bytes of its dtype."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().tobytes()


def dtype_name(tensor: Tensor) -> str:
    """``float32`` for ``torch.float32``.

    Args:
        tensor: of any dtype.
    """
    return str(tensor.dtype).removeprefix("torch.")


def digest_tensors(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 (hex) over (name, dtype, shape, bytes) of every tensor, sorted by name.

    Bit-exact: −0.0 and 0.0 differ, two NaNs with the same bits agree. The device and
    the memory layout do not matter. No tensors at all have a digest too.

    Args:
        tensors: name → tensor, on any device; the order does not matter.

    Returns:
        64 hexadecimal digits.
    """
    return digest_content(
        (name, dtype_name(tensor), tuple(tensor.shape), (tensor_bytes(tensor),))
        for name, tensor in sorted(tensors.items())
    )


def digest_content(tensors: Iterable[tuple[str, str, tuple[int, ...], Iterable[bytes]]]) -> str:
    """SHA-256 (hex) over tensors that may lie anywhere; :func:`digest_tensors` says of what.

    Args:
        tensors: name, dtype, shape and bytes of each, by name; the bytes in pieces of any size.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for name, dtype, shape, pieces in tensors:
        digest.update(f"{name!r} {dtype} {shape}\n".encode())
        for piece in pieces:
            digest.update(piece)
    return digest.hexdigest()


def tensors_of(model: nn.Module) -> dict[str, Tensor]:
    """The live parameters and buffers of ``model`` by state-dict name (no copies).

    Args:
        model: any module.
    """
    return {
        name: value for name, value in model.state_dict(keep_vars=True).items() if isinstance(value, Tensor)
    }


def digest_model(model: nn.Module, names: Iterable[str] | None = None) -> str:
    """The digest of the named state-dict tensors of ``model``, of all by default.

    Args:
        model: any module.
        names: state-dict names; None for all.

    Returns:
        64 hexadecimal digits, as :func:`digest_tensors` computes them.

    Raises:
        TransferError: a name is not in the state dict.
    """
    tensors = tensors_of(model)
    if names is None:
        return digest_tensors(tensors)
    wanted = list(names)
    missing = [name for name in wanted if name not in tensors]
    if missing:
        raise TransferError(f"cannot digest {', '.join(missing)}: the model has no such tensor")
    return digest_tensors({name: tensors[name] for name in wanted})

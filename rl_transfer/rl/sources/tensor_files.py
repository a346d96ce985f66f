"""Tensors out of foreign files: ``.pth`` through torch's ``weights_only`` reader, and safetensors."""

from __future__ import annotations

import io
import pickle
import re
import struct
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from rl_transfer import bounded
from rl_transfer.core.archives import MOST_FILE_BYTES
from rl_transfer.core.stored import read_header
from rl_transfer.core.torch_files import Bounds, refuse_bombs, refuse_unmarked
from rl_transfer.errors import BundleError

SUFFIXES = (".safetensors", ".pth", ".pt")

_DAMAGE = (  # what torch.load is seen to raise on damaged and hostile files
    pickle.UnpicklingError, RuntimeError, ValueError, LookupError, TypeError, AttributeError, EOFError,
    OverflowError, AssertionError, MemoryError, OSError, struct.error, zipfile.BadZipFile,
)  # fmt: skip
_MOST_ENTRIES = 2**16
"""Of a file's dicts, each as often as it is referred to."""
_LONGEST_NAME = 1000
_GLOBAL = re.compile(r"GLOBAL ([\w.]+)")


def read_tensor_file(path: Path) -> dict[str, Tensor]:
    """The tensors of a ``.safetensors``, ``.pth`` or ``.pt`` file by name, on the CPU.

    Dicts within dicts are joined with dots (``model.actor.0.weight``); what is no tensor is left out.

    Args:
        path: the file; its ending says how it is read.

    Returns:
        Name → tensor of finite numbers.

    Raises:
        BundleError: the file is missing, truncated, no such file, holds no tensors, or anything
            but tensors and plain data.
    """
    try:
        if path.suffix == ".safetensors":
            bounded.regular_size(path, MOST_FILE_BYTES)
            read_header(path)
            tensors = checked(load_file(path), path.name)
        else:
            with path.open("rb") as stream:
                refuse_unmarked(stream.read(16), path.name)
            tensors = load_tensors(bounded.read_bytes(path, MOST_FILE_BYTES), path.name)
    except (SafetensorError, ValueError) as error:
        raise BundleError(f"{path.name} is truncated or no {path.suffix} file: {error}") from None
    except OSError as error:
        raise BundleError(f"{path} cannot be read: {error.strerror or error}") from None
    if not tensors:
        raise BundleError(f"{path.name} holds no tensors")
    return tensors


def load_tensors(content: bytes, where: str) -> dict[str, Tensor]:
    """The tensors that ``torch.save`` wrote, by dotted name; nothing is unpickled beyond tensors.

    Args:
        content: a file, or a member of an archive.
        where: its name, for errors.

    Returns:
        Dotted name → tensor on the CPU.

    Raises:
        BundleError: it is damaged, or names anything but tensors and plain data.
    """
    refuse_unmarked(content, where)
    try:
        refuse_bombs(io.BytesIO(content), len(content), where, Bounds())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch on pickle protocols that it may not know
            flat = _flat(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))
    except _DAMAGE as error:
        named = _GLOBAL.search(str(error))
        if named:
            raise BundleError(
                f"{where} is refused: it names {named[1]}, which tensors never need. Nothing of it was run."
            ) from None
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BundleError(f"{where} is truncated or damaged: {reason}") from None
    return checked(flat, where)


def checked(tensors: Mapping[str, Tensor], where: str) -> dict[str, Tensor]:
    """The tensors, made sure to be dense numbers that fill their own memory and are finite.

    Args:
        tensors: as a reader gave them.
        where: the file's name, for errors.

    Returns:
        The same tensors, detached.

    Raises:
        BundleError: naming those that are not.
    """
    for name, tensor in tensors.items():
        if not _dense(tensor):
            raise BundleError(f"{where}: {name} is no plain dense tensor of real numbers")
    bad = [name for name, each in tensors.items() if each.is_floating_point() and not each.isfinite().all()]
    if bad:
        raise BundleError(
            f"{where}: {', '.join(bad[:5])} {'hold' if len(bad) > 1 else 'holds'} NaN or infinite values; "
            "the training diverged, and such a policy cannot be used"
        )
    return {name: tensor.detach() for name, tensor in tensors.items()}


def _flat(found: object) -> dict[str, Tensor]:
    """Tensors of dicts within dicts, by dotted name; dicts may be within themselves, or multiply."""
    tensors: dict[str, Tensor] = {}
    waiting, entries = [("", found, 0)], 0
    while waiting:
        name, value, depth = waiting.pop()
        entries += len(value) if isinstance(value, Mapping) else 0
        if entries > _MOST_ENTRIES or depth > bounded.DEEPEST or len(name) > _LONGEST_NAME:
            raise ValueError("its dicts are nested too deeply, or hold more than any policy")
        if isinstance(value, Tensor):
            tensors[name] = value
        elif isinstance(value, Mapping):
            inner = [(f"{name}.{key}" if name else str(key), each, depth + 1) for key, each in value.items()]
            waiting += reversed(inner)
    return tensors


def _dense(tensor: Tensor) -> bool:
    """Whether the tensor is what it seems: a small file can claim a huge one by repeating elements."""
    plain = type(tensor) in (Tensor, torch.nn.Parameter) and tensor.device.type == "cpu"
    if not plain or tensor.layout != torch.strided or tensor.is_quantized or tensor.is_complex():
        return False
    return tensor.untyped_storage().nbytes() >= tensor.numel() * tensor.element_size()

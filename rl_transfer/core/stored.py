"""A safetensors file as it lies on disk: its header checked, its content hashed, no tensor in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TypeGuard

from rl_transfer import bounded
from rl_transfer.core.digest import digest_content
from rl_transfer.core.limits import Shape

MOST_HEADER_BYTES = 8 * 2**20
"""More than the header of any file of ours ever needs."""

_CHUNK = 2**20
_MOST_DIMENSIONS = 64
_METADATA = "__metadata__"
_DTYPES = {  # safetensors' name → torch's, bytes of an element
    "BOOL": ("bool", 1), "U8": ("uint8", 1), "I8": ("int8", 1), "U16": ("uint16", 2), "I16": ("int16", 2),
    "U32": ("uint32", 4), "I32": ("int32", 4), "U64": ("uint64", 8), "I64": ("int64", 8),
    "F16": ("float16", 2), "BF16": ("bfloat16", 2), "F32": ("float32", 4), "F64": ("float64", 8),
    "C64": ("complex64", 8), "F8_E4M3": ("float8_e4m3fn", 1), "F8_E4M3FNUZ": ("float8_e4m3fnuz", 1),
    "F8_E5M2": ("float8_e5m2", 1), "F8_E5M2FNUZ": ("float8_e5m2fnuz", 1), "F8_E8M0": ("float8_e8m0fnu", 1),
}  # fmt: skip


@dataclass(frozen=True)
class StoredTensor:
    """A tensor of a file, by its header.

    Attributes:
        dtype: torch's name of it, without the module.
        shape: its sizes.
        start: where its bytes begin, counted from the beginning of the file.
        size: how many they are.
    """

    dtype: str
    shape: Shape
    start: int
    size: int


def read_header(path: Path) -> dict[str, StoredTensor]:
    """What a safetensors file says of its tensors, if the file is exactly as large as they are.

    Args:
        path: the file.

    Returns:
        Name → dtype, shape and place of each tensor, in the order of the header.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it has no such header, or other bytes than the header describes.
    """
    whole = bounded.regular_size(path)
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if length > min(whole, MOST_HEADER_BYTES):
            raise ValueError("it has no header of reasonable size")
        header = bounded.parse_json(stream.read(length))
    if not isinstance(header, dict):
        raise ValueError("it has no header")
    start = 8 + length
    tensors = {
        str(name): _stored(str(name), each, start) for name, each in header.items() if name != _METADATA
    }
    end = start
    for name, each in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].size)):
        if each.start != end:
            raise ValueError(f"its header leaves a gap, or an overlap, before {name[:80]!r}")
        end += each.size
    if end != whole:
        raise ValueError(f"its header describes {end:,} bytes, and it has {whole:,}")
    return tensors


def _stored(name: str, entry: object, start: int) -> StoredTensor:
    """One entry of a header, each number and word of it checked."""
    found = entry if isinstance(entry, dict) else {}
    dtype, shape, offsets = found.get("dtype"), found.get("shape"), found.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in _DTYPES or not _sizes(shape) or not _sizes(offsets):
        raise ValueError(f"its header does not describe {name[:80]!r}")
    kind, width = _DTYPES[dtype]
    size = width * prod(shape)
    if len(offsets) != 2 or offsets[1] - offsets[0] != size:
        raise ValueError(f"its header gives {name[:80]!r} other bytes than a {kind} of its shape has")
    return StoredTensor(kind, tuple(shape), start + offsets[0], size)


def _sizes(value: object) -> TypeGuard[list[int]]:
    if not isinstance(value, list) or len(value) > _MOST_DIMENSIONS:
        return False
    return all(type(each) is int and 0 <= each < 2**63 for each in value)


def digest_stored(path: Path, tensors: Mapping[str, StoredTensor]) -> str:
    """The digest of a file's tensors, as ``digest_tensors`` gives it once they are loaded.

    Args:
        path: the file; it is read in small pieces.
        tensors: as :func:`read_header` gave them.

    Returns:
        64 hexadecimal digits.

    Raises:
        OSError: it cannot be read.
        ValueError: it ends too early.
    """
    return digest_content(
        (name, each.dtype, each.shape, _chunks(path, each)) for name, each in sorted(tensors.items())
    )


def _chunks(path: Path, tensor: StoredTensor) -> Iterator[bytes]:
    with path.open("rb") as stream:
        stream.seek(tensor.start)
        left = tensor.size
        while left:
            chunk = stream.read(min(left, _CHUNK))
            if not chunk:
                raise ValueError("it ends before its last tensor")
            left -= len(chunk)
            yield chunk

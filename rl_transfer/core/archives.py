"""Zip archives of strangers: every read is bounded, whatever their headers claim."""

from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path
from typing import IO

from rl_transfer import bounded
from rl_transfer.errors import BundleError

MOST_FILE_BYTES = 2**30
"""Largest file and member that are read; the policy of an Atari agent has 7 MiB."""

PLAUSIBLE_BYTES = 16 * 2**20
PLAUSIBLE_RATIO = 50
"""Members above ``PLAUSIBLE_BYTES`` that unpack to more than this many times their size are refused."""

_MOST_DIRECTORY_BYTES = 2**20
_UNPACKED_IN_STEPS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class _Directory(io.BufferedIOBase):
    """A file from which, until ``opened``, no more than an archive's directory is read at once."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.opened = False

    def read(self, size: int | None = -1) -> bytes:
        if not self.opened:
            size = _MOST_DIRECTORY_BYTES if size is None or size < 0 else size
            if size > _MOST_DIRECTORY_BYTES:
                raise zipfile.BadZipFile("its directory is longer than that of any policy")
        return self._stream.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._stream.seek(offset, whence)

    def tell(self) -> int:
        return self._stream.tell()


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, read piece by piece.

    Args:
        path: the file.

    Returns:
        Hexadecimal digits.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it is larger than any policy.
    """
    bounded.regular_size(path, MOST_FILE_BYTES)
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def open_archive(stream: IO[bytes], where: str) -> zipfile.ZipFile:
    """A zip archive whose list of members is of reasonable length.

    Args:
        stream: the file; stays the caller's to close.
        where: its name, for errors.

    Returns:
        The archive.

    Raises:
        BundleError: its members are packed in a way that cannot be unpacked in steps.
        BadZipFile: it is none, or its directory is too long.
    """
    directory = _Directory(stream)
    archive = zipfile.ZipFile(directory)
    directory.opened = True
    odd = [info.filename for info in archive.infolist() if info.compress_type not in _UNPACKED_IN_STEPS]
    if odd:
        raise BundleError(
            f"{where} is refused: {odd[0][:80]!r} is packed by another method than deflate, "
            "which Stable-Baselines3 and torch never use"
        )
    return archive


def unpack(archive: zipfile.ZipFile, info: zipfile.ZipInfo, where: str, most: int | None = None) -> bytes:
    """A member's content; no more is unpacked than its header claims, and the claim must be plausible.

    Args:
        archive: as :func:`open_archive` gave it.
        info: the member.
        where: the archive's name, for errors.
        most: bytes that such a member may have; None: as many as a file.

    Returns:
        Exactly as many bytes as the header claims.

    Raises:
        BundleError: the claim is implausible, or more than the member unpacks to.
        BadZipFile: the member is damaged, or unpacks to more than the claim.
        EOFError: the archive ends before the member.
    """
    size, packed = info.file_size, max(info.compress_size, 1)
    if size > (most or MOST_FILE_BYTES) or (size > PLAUSIBLE_BYTES and size > PLAUSIBLE_RATIO * packed):
        raise BundleError(
            f"{where} is refused: {info.filename} unpacks from {packed:,} to {size:,} bytes, "
            "which weights never do"
        )
    with archive.open(info) as member:
        content = member.read(size)
    if len(content) < size:
        raise BundleError(
            f"{where} is refused: {info.filename} claims {size:,} bytes, but has {len(content):,}"
        )
    return content

"""What ``torch.save`` wrote, looked at before torch reads it: nothing endless, nothing that runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

from rl_transfer.core.archives import open_archive, unpack
from rl_transfer.core.inert_pickle import MOST_OPCODES, read_pickle
from rl_transfer.errors import BundleError

# What torch.save writes: a zip archive, and before torch 1.6 a pickled magic number. Its still
# older tar format is not read: torch 2.5's weights_only reader ran code from it.
_MAGIC = (b"PK\x03\x04", b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.")
_OLD_PICKLES = 5  # magic number, protocol, machine, the object itself, keys of its storages; then numbers
_SWELLING = ("_codecs.encode", "builtins.bytearray", "__builtin__.bytearray")


@dataclass(frozen=True)
class Bounds:
    """Of the pickles in a file.

    Attributes:
        pickle_bytes: of one.
        opcodes: of one.
    """

    pickle_bytes: int = 2**20
    opcodes: int = MOST_OPCODES


def refuse_unmarked(start: bytes, where: str) -> None:
    """Refuse what does not begin as ``torch.save`` begins a file.

    Args:
        start: its first bytes, 16 or more.
        where: its name, for errors.

    Raises:
        BundleError: it begins otherwise.
    """
    if not start.startswith(_MAGIC):
        raise BundleError(f"{where} was not written by torch.save, or is truncated")


def refuse_bombs(stream: IO[bytes], size: int, where: str, bounds: Bounds) -> None:
    """Refuse archives with compressed members (torch.save stores them as they are) and endless pickles.

    Args:
        stream: the file, at its beginning.
        size: bytes that it has.
        where: its name, for errors.
        bounds: of its pickles.

    Raises:
        BundleError: it unpacks to more than it has, or a pickle in it is too long, damaged, or takes for
            ever to build.
        BadZipFile: the archive is damaged.
    """

    def allowed(name: str) -> bool:  # the rest is torch's to refuse
        return name not in _SWELLING

    if not stream.read(2).startswith(b"PK"):
        stream.seek(0)
        for _ in range(_OLD_PICKLES):
            read_pickle(stream, allowed, where, bounds.opcodes)
        return
    stream.seek(0)
    with open_archive(stream, where) as archive:
        members = archive.infolist()
        pickles = [each for each in members if each.filename.endswith(".pkl")]
        short = [unpack(archive, each, where) for each in pickles if each.file_size <= bounds.pickle_bytes]
    unpacked = sum(member.file_size for member in members)
    if unpacked > size:
        raise BundleError(f"{where} is refused: it unpacks from {size:,} to {unpacked:,} bytes")
    if len(short) < len(pickles):
        raise BundleError(f"{where} is refused: its list of tensors is longer than that of any such network")
    for each in short:
        read_pickle(each, allowed, where, bounds.opcodes)

"""Zip archives of strangers: what is read of them is bounded, whatever their headers claim."""

import hashlib
import io
import os
import struct
import zipfile
from pathlib import Path

import pytest

from rl_transfer.core import archives
from rl_transfer.core.archives import file_digest, open_archive, unpack
from rl_transfer.errors import BundleError
from support.untyped import untyped

MEBIBYTE = 2**20


class Recording(io.BytesIO):
    """A file that knows what was asked of it."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.asked: list[int | None] = []

    def read(self, size: int | None = -1, /) -> bytes:
        self.asked.append(size)
        return super().read(size)


LOOKED_FOR = (EOFError, zipfile.BadZipFile)
"""What zipfile says of a member that would reach beyond the archive; newer versions: that it overlaps."""


def packed(content: bytes, method: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    """An archive of one member, ``weights``."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression=method) as archive:
        archive.comment = comment
        archive.writestr("weights", content)
    return stream.getvalue()


def opened(content: bytes) -> tuple[zipfile.ZipFile, zipfile.ZipInfo]:
    archive = open_archive(io.BytesIO(content), "m.zip")
    return archive, archive.infolist()[0]


def listing(*comments: int) -> bytes:
    """A directory without anything before it: members without content, with comments of so many bytes."""
    fixed = b"PK\x01\x02" + struct.pack("<HHHHHHIII", 20, 20, 0, 0, 0, 0, 0, 0, 0)
    directory = b"".join(
        fixed + struct.pack("<HHHHHII", 1, 0, comment, 0, 0, 0, 0) + b"x" + bytes(comment)
        for comment in comments
    )
    end = (b"PK\x05\x06", 0, 0, len(comments), len(comments), len(directory), 0, 0)
    return directory + struct.pack("<4sHHHHIIH", *end)


def test_a_digest_is_that_of_all_bytes(tmp_path: Path) -> None:
    path = tmp_path / "policy.zip"
    path.write_bytes(b"policy")
    assert file_digest(path) == hashlib.sha256(b"policy").hexdigest()


def test_a_digest_of_what_is_larger_than_any_policy_or_endless_is_refused(tmp_path: Path) -> None:
    with (tmp_path / "policy.zip").open("wb") as stream:
        stream.truncate(2**30 + 1)
    with pytest.raises(ValueError, match="larger than 1024 MiB"):
        file_digest(tmp_path / "policy.zip")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ValueError, match="no regular file"):
        file_digest(tmp_path / "pipe")


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_member_is_unpacked_whole(method: int) -> None:
    content = bytes(range(256)) * 40
    archive, info = opened(packed(content, method))
    assert unpack(archive, info, "m.zip") == content
    assert unpack(archive, info, "m.zip", most=len(content)) == content


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_what_cannot_be_unpacked_in_steps_is_refused_by_name(method: int) -> None:
    with pytest.raises(BundleError, match=r"m\.zip is refused: 'weights' is packed by another method"):
        open_archive(io.BytesIO(packed(bytes(100), method)), "m.zip")


def test_a_directory_may_have_a_mebibyte_and_no_byte_more() -> None:
    comments = [2**15 - 47] * 32
    assert len(open_archive(io.BytesIO(listing(*comments)), "m.zip").infolist()) == 32
    stream = Recording(listing(*comments[1:], comments[0] + 1))
    with pytest.raises(zipfile.BadZipFile, match="its directory is longer than that of any policy"):
        open_archive(stream, "m.zip")
    assert MEBIBYTE + 1 not in stream.asked, "it was refused before it was read"


def test_no_read_is_without_a_bound_until_the_directory_is_known() -> None:
    """Where an archive ends in a comment, zipfile reads all that is left."""
    stream = Recording(packed(b"x", comment=b"by whom"))
    archive = open_archive(stream, "m.zip")
    assert archive.comment == b"by whom"
    assert all(size is not None and 0 <= size <= MEBIBYTE for size in stream.asked)


def test_members_are_read_beyond_the_bound_of_directories() -> None:
    content = bytes(3 * MEBIBYTE)
    archive, info = opened(packed(content))
    assert unpack(archive, info, "m.zip") == content
    everything = untyped(archive.fp)
    for size in (-1, None):
        everything.seek(0)
        assert len(everything.read(size)) == everything.tell() > 3 * MEBIBYTE


def test_of_an_archive_without_members_nothing_but_its_end_is_read() -> None:
    stream = Recording(listing())
    assert open_archive(stream, "m.zip").namelist() == []
    assert stream.asked[-1] == 0


def test_a_stream_that_is_no_zip_is_refused() -> None:
    with pytest.raises(zipfile.BadZipFile):
        open_archive(io.BytesIO(b"no zip at all"), "m.zip")


@pytest.mark.parametrize("most", [None, 2**30, 100])
def test_a_member_of_more_than_the_most_is_refused(most: int | None) -> None:
    archive, info = opened(packed(b"x"))
    size = (most or 2**30) + 1
    info.file_size = info.compress_size = size
    with pytest.raises(BundleError, match=rf"m\.zip is refused: weights unpacks from .* to {size:,} bytes"):
        unpack(archive, info, "m.zip", most)
    info.file_size = info.compress_size = size - 1
    with pytest.raises(LOOKED_FOR):
        unpack(archive, info, "m.zip", most)


def test_a_member_that_claims_more_than_it_has_is_refused() -> None:
    archive, info = opened(packed(bytes(100)))
    info.file_size = 101
    with pytest.raises(BundleError, match=r"m\.zip is refused: weights claims 101 bytes, but has 100$"):
        unpack(archive, info, "m.zip")


@pytest.mark.parametrize(
    ("size", "packed_size", "plausible"),
    [
        (16 * MEBIBYTE, 1, True),
        (16 * MEBIBYTE + 1, 1, False),
        (50 * MEBIBYTE, MEBIBYTE, True),
        (50 * MEBIBYTE + 1, MEBIBYTE, False),
    ],
)
def test_only_large_members_that_swell_are_bombs(size: int, packed_size: int, plausible: bool) -> None:
    archive, info = opened(packed(b"x"))
    info.file_size, info.compress_size = size, packed_size
    with pytest.raises((BundleError, *LOOKED_FOR) if plausible else BundleError) as caught:
        unpack(archive, info, "m.zip")
    assert ("which weights never do" in str(caught.value)) != plausible


def test_a_member_of_nothing_that_claims_much_is_no_division_by_zero() -> None:
    archive, info = opened(packed(b""))
    assert unpack(archive, info, "m.zip") == b""
    info.file_size = archives.PLAUSIBLE_BYTES + 1
    with pytest.raises(BundleError, match="unpacks from 1 to"):
        unpack(archive, info, "m.zip")


def test_no_more_is_unpacked_than_a_member_claims() -> None:
    archive, info = opened(packed(bytes(8 * MEBIBYTE), zipfile.ZIP_DEFLATED))
    info.file_size = 100
    with pytest.raises(zipfile.BadZipFile, match="CRC"):
        unpack(archive, info, "m.zip")

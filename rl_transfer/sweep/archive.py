"""A run's folder as bytes, for nodes that do not see the folder of the sweep."""

from __future__ import annotations

import io
import shutil
import tarfile
from collections.abc import Collection
from pathlib import Path, PurePosixPath

from rl_transfer.results import RunFolder

MOST_BYTES = 2 * 2**30
"""More than the bundle, curve and events of any run take."""


def pack(folder: Path, without: Collection[str] = ()) -> bytes:
    """The regular files of a folder.

    Args:
        folder: what to pack.
        without: names in the folder itself that are left out.

    Returns:
        A tar archive.

    Raises:
        ValueError: they are larger than ``MOST_BYTES``.
        OSError: a file cannot be read.
    """
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.is_symlink() and path.relative_to(folder).parts[0] not in without
    ]
    if sum(path.stat().st_size for path in files) > MOST_BYTES:
        raise ValueError(
            f"{folder} holds more than {MOST_BYTES >> 30} GiB; it needs a folder that all nodes see"
        )
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for path in files:
            archive.add(path, path.relative_to(folder).as_posix(), recursive=False)
    return stream.getvalue()


def unpack(content: bytes, folder: Path) -> None:
    """Write what :func:`pack` packed.

    Args:
        content: the archive; only regular files below the folder are taken.
        folder: made if it is missing.

    Raises:
        ValueError: it is no archive, or holds something else.
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:") as archive:
            for member in archive:
                name = PurePosixPath(member.name)
                data = archive.extractfile(member) if member.isreg() else None
                if data is None or name.is_absolute() or ".." in name.parts:
                    raise ValueError(f"{member.name} is no file of a run's folder")
                path = folder / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data.read())
    except tarfile.TarError as error:
        raise ValueError(f"it is no archive: {error}") from None


def bring(returned: bytes | None, folder: Path, final: RunFolder) -> str | None:
    """Bring the files of a run that has ended to their place.

    Args:
        returned: packed files, unless they are in ``folder`` already.
        folder: on the same disk as the run's place.
        final: that place; what an earlier attempt left there goes.

    Returns:
        What made the run fail; None if it is finished.
    """
    try:
        if returned is not None:
            unpack(returned, folder)
        shutil.rmtree(final.path, ignore_errors=True)
        folder.rename(final.path)
        folder.parent.rmdir()
    except (OSError, ValueError) as error:
        return f"its results cannot be brought to {final.path}: {error}"
    if final.finished:
        return None
    failure = final.failure()
    return str(failure.get("message")) if failure else "it ended without a record"

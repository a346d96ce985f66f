"""What lies in a sweep's folder: its runs, and what nothing needs any more."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from rl_transfer.errors import StoreError
from rl_transfer.results.address import shortest
from rl_transfer.results.manifest import read_manifest
from rl_transfer.results.reading import RunReading
from rl_transfer.results.store import INCOMING, RunStore

_CUT = re.compile(r"\..+\.(\d+\.partial|[0-9a-f]{32}\.tmp)|\.heartbeat\.partial")
"""Names that our writes give what is not in its place yet; other people's temporary files are not ours."""


@dataclass(frozen=True)
class Listed:
    """A run of a folder.

    Attributes:
        id: of the run.
        name: its address within the sweep; None where it has no place in the matrix.
        reading: what is on disk of it.
    """

    id: str
    name: str | None
    reading: RunReading


@dataclass(frozen=True)
class Leftover:
    """What nothing needs any more.

    Attributes:
        path: file or folder.
        why: in words.
        size: bytes on disk.
    """

    path: Path
    why: str
    size: int


def list_runs(folder: Path, *, bundle: bool = False) -> list[Listed]:
    """Every run of a sweep's matrix, then those in its folder that have no place in it.

    Args:
        folder: the sweep's.
        bundle: check the bundles' files too, which may be large.

    Returns:
        Runs in the order of the matrix.

    Raises:
        StoreError: it is no sweep folder, or its manifest cannot be used.
    """
    store, names = RunStore(folder), shortest(read_manifest(folder))
    others = sorted(store.identifiers() - names.keys())
    return [
        Listed(each, names.get(each), store.folder(each).read(bundle=bundle)) for each in (*names, *others)
    ]


def leftovers(folder: Path) -> list[Leftover]:
    """Runs without a place in the matrix, damaged ones that were moved aside, what was cut short.

    Args:
        folder: a sweep's.

    Returns:
        What may be deleted.

    Raises:
        StoreError: it is no sweep folder, or its manifest cannot be used.
    """
    planned = {row["id"] for row in read_manifest(folder)["runs"]}
    found = [
        Leftover(folder / "runs" / each, "no place in the matrix", _size(folder / "runs" / each))
        for each in sorted(RunStore(folder).identifiers() - planned)
    ]
    found += [
        Leftover(each, "damaged, moved aside", _size(each)) for each in sorted((folder / "damaged").glob("*"))
    ]
    if (folder / INCOMING).exists():
        why = "left by a sweep on a cluster, checkpoints of long runs among it, unless one is at work"
        found.append(Leftover(folder / INCOMING, why, _size(folder / INCOMING)))
    cut = sorted(each for each in folder.rglob(".*") if _CUT.fullmatch(each.name))
    gone = [each.path for each in found]
    found += [
        Leftover(each, "a write that was cut short", _size(each))
        for each in cut
        if not any(each.is_relative_to(path) for path in gone)
    ]
    return found


def remove(folder: Path) -> list[Leftover]:
    """Delete what :func:`leftovers` finds, while nobody else writes to the folder.

    Args:
        folder: a sweep's.

    Returns:
        What was deleted.

    Raises:
        StoreError: another process writes to the folder, or something cannot be deleted.
    """
    read_manifest(folder)
    with RunStore(folder).lock():
        found = leftovers(folder)
        for each in found:
            try:
                if each.path.is_dir() and not each.path.is_symlink():
                    shutil.rmtree(each.path)
                else:
                    each.path.unlink()
            except OSError as error:
                raise StoreError(f"{each.path} cannot be deleted: {error.strerror}") from None
    return found


def _size(path: Path) -> int:
    files = [path] if not path.is_dir() or path.is_symlink() else path.rglob("*")
    return sum(each.lstat().st_size for each in files if each.is_symlink() or each.is_file())

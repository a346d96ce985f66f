"""The finished run that a folder means, checked whole before anything starts from it."""

from __future__ import annotations

from pathlib import Path

from rl_transfer.errors import StoreError
from rl_transfer.results.reading import SPEC, read_run
from rl_transfer.results.store import RunFolder
from rl_transfer.spec import JsonObject
from rl_transfer.wording import listing


def find_run(path: Path) -> RunFolder:
    """The finished run at ``path``: a run folder, or an output folder that holds exactly one run.

    A run folder may have been renamed since; its record knows its id.

    Args:
        path: an existing folder.

    Returns:
        The run's folder; record, config, curve and bundle are sound.

    Raises:
        StoreError: there is none, or more than one, or it is damaged.
    """
    here = (path / "record.json").is_file()
    found = [path] if here else sorted(each.parent for each in (path / "runs").glob("*/record.json"))
    if len(found) == 1:
        folder = RunFolder(found[0])
        _checked(folder)
        return folder
    if found:
        names = listing([str(folder) for folder in found], 5)
        raise StoreError(f"{path} holds {len(found)} finished runs; name one of them: {names}")
    if (path / SPEC).is_file():
        raise StoreError(f"{path} is a run that has not finished; run it again to finish it")
    raise StoreError(f"{path} is neither a finished run nor a policy bundle")


def run_of_bundle(bundle: Path) -> str | None:
    """The id of the run of ours that a bundle folder belongs to.

    Args:
        bundle: a bundle folder.

    Returns:
        The id in the record of a sound run; None for a bundle that stands alone.

    Raises:
        StoreError: the run is damaged, its bundle included.
    """
    folder = RunFolder(bundle.parent)
    if bundle.name != folder.bundle.name or not (folder.path / "record.json").exists():
        return None
    return str(_checked(folder)["id"])


def _checked(folder: RunFolder) -> JsonObject:
    """The record of a run, everything that it speaks of checked; its folder may have any name."""
    reading = read_run(folder.path, None, bundle=True)
    if reading.record is None:
        raise StoreError(
            f"{folder.path} is {reading.problem}. Restore it from a copy, or run what made it again: the "
            "damaged run is moved aside and computed anew"
        )
    return reading.record

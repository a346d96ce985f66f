"""Which bundle a path means, and what a transfer from it is recorded as."""

from __future__ import annotations

from pathlib import Path

from rl_transfer.errors import BundleError, StoreError
from rl_transfer.results import RunFolder, find_run


def bundle_folder(path: Path, *, hint: str = "") -> Path:
    """The bundle folder that ``path`` names: itself, a run's, or an output folder's only run's.

    Args:
        path: what the user named.
        hint: a sentence that errors end with: where else the kind's sources come from.

    Returns:
        A folder; whether the bundle in it is sound, its reader finds out.

    Raises:
        BundleError: there is none, or more than one.
    """
    tail = f". {hint}" if hint else ""
    if (path / "bundle.json").is_file() or (path / "tensors.safetensors").is_file():
        return path
    if not path.exists():
        raise BundleError(f"{path}: no such bundle or run folder{tail}")
    if path.is_file():
        raise BundleError(f"{path} is a file; expected a bundle folder or a run folder{tail}")
    try:
        return find_run(path).bundle
    except StoreError as error:
        raise BundleError(error.message) from None


def run_identity(path: Path, digest: str) -> str:
    """What a transfer from the bundle at ``path`` is recorded as.

    Args:
        path: bundle folder, run folder, or output folder with one run.
        digest: the bundle's.

    Returns:
        The run's id where a run of ours made the bundle, ``digest:…`` where it is foreign.

    Raises:
        BundleError: there is no bundle.
    """
    folder = RunFolder(bundle_folder(path).parent)
    return str(folder.record()["id"]) if folder.finished else f"digest:{digest}"

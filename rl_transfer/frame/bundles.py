"""Which bundle a path means, whether it is sound, and what a transfer from it is recorded as."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import BinaryIO

from rl_transfer.errors import BundleError, StoreError
from rl_transfer.results import RunFolder, find_run, run_of_bundle
from rl_transfer.results.address import run_at

ONLY_BUNDLES = (
    "A foreign policy is brought in first (`rl-transfer policies import`), weights of a library by a run "
    "that trains or transfers from them"
)
"""What errors say where a bundle is to be published and something else was named."""

BUNDLE_FILES = ("bundle.json", "tensors.safetensors")


def bundle_folder(path: Path, *, hint: str = "") -> Path:
    """The bundle folder that ``path`` names: itself, a run's, or an output folder's only run's.

    Args:
        path: what the user named; an address such as ``results/x:heavy/fine-tune/0`` too.
        hint: a sentence that errors end with: where else the kind's sources come from.

    Returns:
        A folder. A run's bundle is the one that its record speaks of; whether one that stands alone is
        sound, its reader finds out.

    Raises:
        BundleError: there is none, or more than one, or its run is damaged.
    """
    tail = f". {hint}" if hint else ""
    try:
        path = run_at(path)
    except StoreError as error:
        raise BundleError(error.message) from None
    if (path / "bundle.json").is_file() or (path / "tensors.safetensors").is_file():
        _run_of(path)
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
        BundleError: there is no bundle, or its run is damaged.
    """
    run = _run_of(bundle_folder(path))
    return f"digest:{digest}" if run is None else run


def _run_of(bundle: Path) -> str | None:
    """The id of the sound run that a bundle belongs to; None if it stands alone."""
    try:
        return run_of_bundle(bundle)
    except StoreError as error:
        raise BundleError(error.message) from None


def source_problem(run: RunFolder) -> str | None:
    """What is the matter with a finished run that others are to start from.

    Args:
        run: its folder; the whole bundle is read.

    Returns:
        ``damaged: …``, or None if everything is as the run left it.
    """
    reading = run.read(bundle=True)
    if reading.problem is not None or not reading.on_trust:
        return reading.problem
    from rl_transfer.core import verify_bundle  # heavy: only records of 0.1.0 need it

    try:
        verify_bundle(run.bundle)
    except BundleError as error:
        return f"damaged: {error.message.rstrip('.')}"
    return None


def copy_bundle(bundle: Path, folder: Path, digest: str) -> None:
    """Copy a bundle byte for byte.

    Args:
        bundle: its folder.
        folder: gets its files; it exists.
        digest: that the bundle had when it was read.

    Raises:
        BundleError: it has another one by now, or was damaged.
    """
    from rl_transfer.core import verify_bundle  # heavy

    for name in BUNDLE_FILES:
        shutil.copyfile(bundle / name, folder / name)
    if verify_bundle(folder) != digest:
        raise BundleError(f"{bundle} was changed while it was read; publish it again")


def write_finished(content: BinaryIO, destination: Path) -> None:
    """Write a finished file under its name, unless something got that name in the meantime.

    Args:
        content: what it is to hold.
        destination: must not exist; its folder may be missing.

    Raises:
        BundleError: it exists, or cannot be written.
    """
    try:
        if not destination.parent.is_dir():
            destination.parent.mkdir(parents=True)
        with destination.open("xb") as copy:
            shutil.copyfileobj(content, copy)
    except OSError as error:
        raise BundleError(
            f"{destination} cannot be written ({error.filename}: {error.strerror}); choose another place"
        ) from None

"""A policy or model on disk: a folder with tensors (safetensors) and JSON, never a pickle.

    bundle.json           format, schema, kind, metadata, tensor list, aliases, digest
    tensors.safetensors   every tensor once; normalisation statistics under "normalization/"

The digest covers both files: the content of every tensor and everything else in the JSON.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rl_transfer import bounded
from rl_transfer.core._description import (
    AGAIN,
    FORMAT,
    JSON_NAME,
    SCHEMA,
    TENSORS_NAME,
    Description,
    digest_of,
    is_consistent,
    plain_json,
    read_description,
    refuse_no_folder,
)
from rl_transfer.core._sorting import alias_groups
from rl_transfer.core.digest import digest_tensors, dtype_name, tensors_of
from rl_transfer.core.limits import MOST_TENSOR_BYTES, Shape, no_larger_than
from rl_transfer.core.outline import NeedsMemoryError, without_memory
from rl_transfer.core.stored import MOST_HEADER_BYTES, StoredTensor, digest_stored, read_header
from rl_transfer.errors import BundleError
from rl_transfer.wording import listing

NORMALIZATION = "normalization/"
HASHED_AT_ONCE = 32 * 2**20
"""Bytes of tensors that are hashed before anything else is looked at; it takes less than 0.1 s."""

T = TypeVar("T")


@dataclass(frozen=True)
class Bundle:
    """What a bundle holds.

    Attributes:
        tensors: canonical name → tensor on the CPU; normalisation statistics included.
        metadata: the caller's JSON object.
        kind: what was saved, e.g. ``policy``.
        aliases: canonical name → the further state-dict names of the same tensor.
        digest: SHA-256 (hex) of tensors, metadata, kind and aliases: the bundle's identity.
    """

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, Any]
    kind: str
    aliases: Mapping[str, tuple[str, ...]]
    digest: str

    def state(self) -> dict[str, Tensor]:
        """The model's state dict with every alias, normalisation statistics left out.

        Returns:
            State-dict name → tensor on the CPU; aliases share their tensor.
        """
        return _state(self.tensors, self.aliases)

    def normalization(self) -> dict[str, NDArray[Any]]:
        """The normalisation statistics as arrays, names without the prefix; empty if none."""
        return {
            name.removeprefix(NORMALIZATION): tensor.numpy().copy()
            for name, tensor in self.tensors.items()
            if name.startswith(NORMALIZATION)
        }


@dataclass(frozen=True)
class StoredBundle:
    """A bundle on disk, none of whose tensors is in memory.

    Attributes:
        folder: where it lies.
        stored: canonical name → dtype, shape and place of the tensor; normalisation statistics included.
        described: what ``bundle.json`` says.
        verified: whether the digest was compared with the content.
    """

    folder: Path
    stored: Mapping[str, StoredTensor]
    described: Description
    verified: bool = False

    @property
    def shapes(self) -> dict[str, Shape]:
        """Canonical name → shape; normalisation statistics included."""
        return {name: each.shape for name, each in self.stored.items()}

    @property
    def dtypes(self) -> dict[str, str]:
        """Canonical name → torch's name of the dtype, without the module."""
        return {name: each.dtype for name, each in self.stored.items()}

    @property
    def metadata(self) -> Mapping[str, Any]:
        """The JSON object that it was saved with."""
        return self.described.metadata

    @property
    def kind(self) -> str:
        """What was saved."""
        return self.described.kind

    @property
    def aliases(self) -> dict[str, tuple[str, ...]]:
        """Canonical name → the further state-dict names of the same tensor."""
        return self.described.aliases

    @property
    def digest(self) -> str:
        """The bundle's identity; what the folder claims while it is not verified."""
        return self.described.digest

    def verify(self, build: Callable[[], nn.Module] | None = None) -> StoredBundle:
        """Compare the digest with the content, unless that was done.

        Args:
            build: makes the network that the tensors are meant for. It is built without memory first, and
                names, dtypes and shapes are compared before a byte is hashed; where it cannot be, after.

        Returns:
            The same bundle, verified.

        Raises:
            BundleError: it was altered.
            ValueError: the network has other tensors.
        """
        if self.verified:
            return self
        if build is not None:
            with suppress(NeedsMemoryError):
                with no_larger_than(self.shapes), without_memory():
                    outline = build()
                self._compare(outline)
        with _readable(self.folder):
            found = digest_of(self.described.content, digest_stored(self.folder / TENSORS_NAME, self.stored))
        if found != self.digest:
            raise _altered(self.folder)
        return replace(self, verified=True)

    def load(self) -> Bundle:
        """Read the tensors into memory.

        Returns:
            The whole bundle.

        Raises:
            BundleError: it was altered, a tensor is not finite, or the file is gone.
        """
        self.verify()
        with _readable(self.folder):
            tensors = load_file(self.folder / TENSORS_NAME)
        _refuse_non_finite(tensors, f"{self.folder} cannot be used")
        ordered = {name: tensors[name] for name in self.stored}
        return Bundle(ordered, self.metadata, self.kind, self.aliases, self.digest)

    def fill(self, module: nn.Module) -> Bundle:
        """Read the tensors into memory and into a network, if they are exactly the network's.

        Args:
            module: changed in place; its state dict says which names, shapes and dtypes are needed.

        Returns:
            The whole bundle.

        Raises:
            BundleError: as :meth:`load`.
            ValueError: the network has other tensors; none was read then.
        """
        self._compare(module)
        bundle = self.load()
        module.load_state_dict(bundle.state())
        return bundle

    def _compare(self, module: nn.Module) -> None:
        kinds = {name: (each.dtype, each.shape) for name, each in self.stored.items()}
        stored = _state(kinds, self.aliases)
        needed = {name: (dtype_name(each), tuple(each.shape)) for name, each in tensors_of(module).items()}
        odd = [name for name in {**needed, **stored} if needed.get(name) != stored.get(name)]
        if odd:
            first = odd[0]
            raise ValueError(
                f"{listing([name[:80] for name in odd])} differ; {first[:80]} is {_of(needed.get(first))} "
                f"in the network and {_of(stored.get(first))} in the file"
            )


def save_bundle(
    folder: str | Path,
    tensors: Mapping[str, Tensor | NDArray[Any]],
    metadata: Mapping[str, Any],
    *,
    kind: str = "policy",
) -> Bundle:
    """Write a bundle folder atomically; an existing one is never overwritten.

    Args:
        folder: must not exist; missing parents are made.
        tensors: a state dict, aliases welcome (each storage is written once), plus
            normalisation statistics as arrays under ``normalization/<name>``.
        metadata: a JSON object: architecture, spaces, algorithm, environment, seeds, …
        kind: what is saved.

    Returns:
        The bundle as :func:`load_bundle` will give it back.

    Raises:
        BundleError: the folder exists or cannot be written; the metadata is not JSON; a
            value is no tensor or not finite.
    """
    folder = Path(folder)
    if folder.exists() or folder.is_symlink():
        raise BundleError(f"{folder} exists already; bundles are never overwritten. Choose another folder.")
    live = {name: _as_tensor(name, value) for name, value in tensors.items()}
    _refuse_non_finite(live, f"bundle not written to {folder}")
    groups = alias_groups(live)
    unique = {names[0]: live[names[0]].detach().cpu().contiguous().clone() for names in groups}
    size = sum(tensor.nbytes for tensor in unique.values())
    if size > MOST_TENSOR_BYTES - MOST_HEADER_BYTES:
        raise BundleError(f"bundle not written to {folder}: {_too_large(size)}")
    plain = plain_json(metadata)
    aliases = {names[0]: tuple(names[1:]) for names in groups if len(names) > 1}
    content: dict[str, object] = {
        "format": FORMAT,
        "schema": SCHEMA,
        "kind": kind,
        "metadata": plain,
        "aliases": {name: list(others) for name, others in aliases.items()},
        "tensors": {n: {"dtype": dtype_name(t), "shape": list(t.shape)} for n, t in unique.items()},
    }
    content["digest"] = digest = digest_of(content, digest_tensors(unique))
    temporary = folder.parent / f".{folder.name}.{uuid.uuid4().hex}.tmp"
    try:
        temporary.mkdir(parents=True)
        save_file(unique, temporary / TENSORS_NAME)
        (temporary / JSON_NAME).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        temporary.rename(folder)
    except (OSError, SafetensorError) as error:
        raise BundleError(f"cannot write the bundle {folder}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return Bundle(unique, plain, kind, aliases, digest)


def load_bundle(folder: str | Path) -> Bundle:
    """Read a bundle folder and check it whole. Nothing is ever unpickled or executed.

    Description, shapes and digest are checked before a tensor is in memory.

    Args:
        folder: as :func:`save_bundle` wrote it.

    Returns:
        What the bundle holds, its digest checked.

    Raises:
        BundleError: the folder or a file is missing, truncated, altered, foreign, too large or of a
            newer schema, or a tensor is not finite; the message says what to do.
    """
    return open_bundle(folder).load()


def verify_bundle(folder: str | Path) -> str:
    """Check a bundle folder against its digest, in little memory whatever its size.

    Whether its numbers are finite is seen when it is loaded.

    Args:
        folder: as :func:`save_bundle` wrote it.

    Returns:
        The digest: 64 hexadecimal digits. Compare it with the one that you noted; a whole other bundle
        in the same place has another one.

    Raises:
        BundleError: as :func:`load_bundle`.
    """
    return open_bundle(folder).digest


def open_bundle(folder: str | Path) -> StoredBundle:
    """Check a bundle folder against its digest, and leave the tensors on disk.

    Args:
        folder: as :func:`save_bundle` wrote it.

    Returns:
        What it says of itself.

    Raises:
        BundleError: as :func:`load_bundle`, but for numbers that are not finite.
    """
    return described_bundle(folder).verify()


def described_bundle(folder: str | Path) -> StoredBundle:
    """What a bundle folder says of itself; if it is large, its content is not hashed yet.

    Args:
        folder: as :func:`save_bundle` wrote it.

    Returns:
        Description and header of the tensors, which agree with each other and with the file's size.

    Raises:
        BundleError: as :func:`open_bundle`.
    """
    folder = Path(folder)
    refuse_no_folder(folder)
    described = read_description(folder / JSON_NAME)
    path = folder / TENSORS_NAME
    with _readable(folder):
        size = bounded.regular_size(path)
        if size > MOST_TENSOR_BYTES:
            raise BundleError(f"{path} is refused: {_too_large(size)}")
        stored = read_header(path)
    if not is_consistent(described, stored):
        raise _altered(folder)
    found = StoredBundle(folder, {name: stored[name] for name in described.tensors}, described)
    return found if size > HASHED_AT_ONCE else found.verify()


def _altered(folder: Path) -> BundleError:
    return BundleError(f"{folder} was altered after it was written: its digest does not match. {AGAIN}")


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Say in words why the tensors of a bundle cannot be read."""
    path = folder / TENSORS_NAME
    try:
        yield
    except FileNotFoundError:
        raise BundleError(f"{folder} has no {TENSORS_NAME}: the bundle is incomplete. {AGAIN}") from None
    except (OSError, ValueError, SafetensorError) as error:
        raise BundleError(
            f"{path} cannot be read ({error}): it is truncated or no safetensors file. {AGAIN}"
        ) from error


def _too_large(size: int) -> str:
    return f"it takes {size / 2**30:,.1f} GiB, and the largest that is read {MOST_TENSOR_BYTES >> 30} GiB"


def _state(each: Mapping[str, T], aliases: Mapping[str, tuple[str, ...]]) -> dict[str, T]:
    """What belongs to each name of the state dict, aliases included, statistics left out."""
    state = {name: value for name, value in each.items() if not name.startswith(NORMALIZATION)}
    for name, others in aliases.items():
        state.update(dict.fromkeys(others, state[name]))
    return state


def _of(kind: tuple[str, Shape] | None) -> str:
    return "not there" if kind is None else f"{kind[0]} of shape {list(kind[1])}"


def _as_tensor(name: str, value: object) -> Tensor:
    if isinstance(value, np.ndarray | np.generic):
        return torch.from_numpy(np.array(value))
    if isinstance(value, Tensor):
        return value
    raise BundleError(f"{name!r} is a {type(value).__name__}; a bundle holds tensors and arrays only")


def _refuse_non_finite(tensors: Mapping[str, Tensor], prefix: str) -> None:
    bad = [n for n, t in tensors.items() if t.is_floating_point() and not bool(t.isfinite().all())]
    if bad:
        raise BundleError(
            f"{prefix}: {listing(bad)} hold NaN or infinite values; the training diverged. "
            "Train again with a smaller learning rate or gradient clipping."
        )

"""A policy or model on disk: a folder with tensors (safetensors) and JSON, never a pickle.

    bundle.json           format, schema, kind, metadata, tensor list, aliases, digest
    tensors.safetensors   every tensor once; normalisation statistics under "normalization/"

The digest covers both files: the content of every tensor and everything else in the JSON.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from rl_transfer import bounded
from rl_transfer.core._sorting import alias_groups
from rl_transfer.core.digest import digest_tensors, dtype_name, tensors_of
from rl_transfer.core.limits import MOST_TENSOR_BYTES, Shape
from rl_transfer.core.stored import MOST_HEADER_BYTES, StoredTensor, digest_stored, read_header
from rl_transfer.errors import BundleError
from rl_transfer.wording import listing

FORMAT = "rl_transfer bundle"
SCHEMA = 1
JSON_NAME = "bundle.json"
TENSORS_NAME = "tensors.safetensors"
NORMALIZATION = "normalization/"

T = TypeVar("T")

_AGAIN = "Restore it from a copy, or train and save the source again."


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
    """A bundle on disk: its digest is checked, and none of its tensors is in memory.

    Attributes:
        folder: where it lies.
        shapes: canonical name → shape; normalisation statistics included.
        dtypes: canonical name → torch's name of the dtype, without the module.
        metadata: the JSON object that it was saved with.
        kind: what was saved.
        aliases: canonical name → the further state-dict names of the same tensor.
        digest: the bundle's identity.
    """

    folder: Path
    shapes: Mapping[str, Shape]
    dtypes: Mapping[str, str]
    metadata: Mapping[str, Any]
    kind: str
    aliases: Mapping[str, tuple[str, ...]]
    digest: str

    def load(self) -> Bundle:
        """Read the tensors into memory.

        Returns:
            The whole bundle.

        Raises:
            BundleError: a tensor is not finite, or the file is gone.
        """
        with _readable(self.folder):
            tensors = load_file(self.folder / TENSORS_NAME)
        _refuse_non_finite(tensors, f"{self.folder} cannot be used")
        ordered = {name: tensors[name] for name in self.shapes}
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
        kinds = {name: (self.dtypes[name], shape) for name, shape in self.shapes.items()}
        stored = _state(kinds, self.aliases)
        needed = {name: (dtype_name(each), tuple(each.shape)) for name, each in tensors_of(module).items()}
        odd = [name for name in {**needed, **stored} if needed.get(name) != stored.get(name)]
        if odd:
            first = odd[0]
            raise ValueError(
                f"{listing([name[:80] for name in odd])} differ; {first[:80]} is {_of(needed.get(first))} "
                f"in the network and {_of(stored.get(first))} in the file"
            )
        bundle = self.load()
        module.load_state_dict(bundle.state())
        return bundle


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
    plain = _plain_json(metadata)
    content = {
        "format": FORMAT,
        "schema": SCHEMA,
        "kind": kind,
        "metadata": plain,
        "aliases": {names[0]: list(names[1:]) for names in groups if len(names) > 1},
        "tensors": {n: {"dtype": dtype_name(t), "shape": list(t.shape)} for n, t in unique.items()},
    }
    content["digest"] = digest = _digest(content, digest_tensors(unique))
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
    return Bundle(unique, plain, kind, _aliases(content), digest)


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
    folder = Path(folder)
    _refuse_no_folder(folder)
    content = _read_json(folder / JSON_NAME)
    path = folder / TENSORS_NAME
    with _readable(folder):
        size = bounded.regular_size(path)
        if size > MOST_TENSOR_BYTES:
            raise BundleError(f"{path} is refused: {_too_large(size)}")
        stored = read_header(path)
        whole = _consistent(content, stored) and (
            _digest(content, digest_stored(path, stored)) == content["digest"]
        )
    if not whole:
        raise BundleError(f"{folder} was altered after it was written: its digest does not match. {_AGAIN}")
    shapes = {name: stored[name].shape for name in content["tensors"]}
    dtypes = {name: stored[name].dtype for name in content["tensors"]}
    return StoredBundle(
        folder, shapes, dtypes, content["metadata"], content["kind"], _aliases(content), content["digest"]
    )


@contextmanager
def _readable(folder: Path) -> Iterator[None]:
    """Say in words why the tensors of a bundle cannot be read."""
    path = folder / TENSORS_NAME
    try:
        yield
    except FileNotFoundError:
        raise BundleError(f"{folder} has no {TENSORS_NAME}: the bundle is incomplete. {_AGAIN}") from None
    except (OSError, ValueError, SafetensorError) as error:
        raise BundleError(
            f"{path} cannot be read ({error}): it is truncated or no safetensors file. {_AGAIN}"
        ) from error


def _too_large(size: int) -> str:
    return f"it takes {size / 2**30:,.1f} GiB, and the largest that is read {MOST_TENSOR_BYTES >> 30} GiB"


def _aliases(content: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(others) for name, others in content["aliases"].items()}


def _state(each: Mapping[str, T], aliases: Mapping[str, tuple[str, ...]]) -> dict[str, T]:
    """What belongs to each name of the state dict, aliases included, statistics left out."""
    state = {name: value for name, value in each.items() if not name.startswith(NORMALIZATION)}
    for name, others in aliases.items():
        state.update(dict.fromkeys(others, state[name]))
    return state


def _of(kind: tuple[str, Shape] | None) -> str:
    return "not there" if kind is None else f"{kind[0]} of shape {list(kind[1])}"


def _consistent(content: Mapping[str, Any], stored: Mapping[str, StoredTensor]) -> bool:
    """Whether the JSON speaks of exactly these tensors, in these shapes, and of aliases of them alone."""
    aliases: dict[str, object] = content["aliases"]
    lists = [others if isinstance(others, list) else [None] for others in aliases.values()]
    named = all(isinstance(name, str) for others in lists for name in others)
    listed = {name: {"dtype": each.dtype, "shape": list(each.shape)} for name, each in stored.items()}
    return named and content["tensors"] == listed and set(listed) >= set(aliases)


def _digest(content: Mapping[str, object], tensors: str) -> str:
    """The bundle's digest, from its JSON and the digest of its tensors."""
    rest = {key: value for key, value in content.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(f"{text}\n{tensors}".encode()).hexdigest()


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


def _plain_json(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata as it will be read back (tuples become lists)."""
    try:
        plain: dict[str, Any] = json.loads(json.dumps(dict(metadata), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BundleError(f"the bundle's metadata must be plain JSON: {error}") from error
    return plain


def _refuse_no_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    if not folder.exists():
        raise BundleError(f"there is no bundle at {folder}; give the folder that holds {JSON_NAME}")
    hint = " A zip of Stable-Baselines3 is imported as a source, not opened as a bundle."
    raise BundleError(
        f"{folder} is a file; a bundle is a folder with {JSON_NAME} and {TENSORS_NAME}."
        + (hint if folder.suffix == ".zip" else "")
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = bounded.parse_json(bounded.read_bytes(path, MOST_HEADER_BYTES))
    except FileNotFoundError:
        raise BundleError(
            f"{path.parent} is no bundle: it has no {JSON_NAME}. Give the folder that holds one "
            "(a run keeps it under bundle/)."
        ) from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read as JSON ({error}). {_AGAIN}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise BundleError(f"{path} was not written by this package (no {FORMAT!r} in it)")
    schema = content.get("schema")
    if isinstance(schema, int) and schema > SCHEMA:
        raise BundleError(
            f"{path} has schema {schema}; this version reads up to {SCHEMA}. Install a newer rl-transfer."
        )
    expected = {"schema": int, "kind": str, "metadata": dict, "aliases": dict, "tensors": dict, "digest": str}
    wrong = [key for key, kind in expected.items() if not isinstance(content.get(key), kind)]
    if wrong or schema != SCHEMA:
        raise BundleError(f"{path} is damaged: {listing(wrong or ['schema'])} missing or malformed. {_AGAIN}")
    return content

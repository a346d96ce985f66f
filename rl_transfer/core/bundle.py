"""A policy or model on disk: a folder with tensors (safetensors) and JSON, never a pickle.

    bundle.json           format, schema, kind, metadata, tensor list, aliases, digest
    tensors.safetensors   every tensor once; normalisation statistics under "normalization/"

The digest covers both files: the content of every tensor and everything else in the JSON.
"""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from rl_transfer import bounded
from rl_transfer.core._sorting import alias_groups
from rl_transfer.core.digest import digest_tensors, dtype_name
from rl_transfer.errors import BundleError
from rl_transfer.wording import listing

FORMAT = "rl_transfer bundle"
SCHEMA = 1
JSON_NAME = "bundle.json"
TENSORS_NAME = "tensors.safetensors"
NORMALIZATION = "normalization/"

MOST_JSON_BYTES = 8 * 2**20
"""More than ``bundle.json``, or the header of the tensors' file, ever needs."""

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
        state = {name: t for name, t in self.tensors.items() if not name.startswith(NORMALIZATION)}
        for name, others in self.aliases.items():
            state.update(dict.fromkeys(others, state[name]))
        return state

    def normalization(self) -> dict[str, NDArray[Any]]:
        """The normalisation statistics as arrays, names without the prefix; empty if none."""
        return {
            name.removeprefix(NORMALIZATION): tensor.numpy().copy()
            for name, tensor in self.tensors.items()
            if name.startswith(NORMALIZATION)
        }


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
    content = {
        "format": FORMAT,
        "schema": SCHEMA,
        "kind": kind,
        "metadata": _plain_json(metadata),
        "aliases": {names[0]: list(names[1:]) for names in groups if len(names) > 1},
        "tensors": {n: {"dtype": dtype_name(t), "shape": list(t.shape)} for n, t in unique.items()},
    }
    content["digest"] = _digest(content, unique)
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
    return _bundle(content, unique)


def load_bundle(folder: str | Path) -> Bundle:
    """Read a bundle folder and check it whole. Nothing is ever unpickled or executed.

    The description and the tensors' shapes are checked before a tensor is read.

    Args:
        folder: as :func:`save_bundle` wrote it.

    Returns:
        What the bundle holds, its digest checked.

    Raises:
        BundleError: the folder or a file is missing, truncated, altered, foreign or of a
            newer schema, or a tensor is not finite; the message says what to do.
    """
    folder = Path(folder)
    _refuse_no_folder(folder)
    content = _read_json(folder / JSON_NAME)
    altered = f"{folder} was altered after it was written: its digest does not match. {_AGAIN}"
    try:
        if not _consistent(content, stored_shapes(folder / TENSORS_NAME)):
            raise BundleError(altered)
        tensors = load_file(folder / TENSORS_NAME)
    except FileNotFoundError:
        raise BundleError(f"{folder} has no {TENSORS_NAME}: the bundle is incomplete. {_AGAIN}") from None
    except (OSError, ValueError, SafetensorError) as error:
        raise BundleError(
            f"{folder / TENSORS_NAME} cannot be read ({error}): it is truncated "
            f"or no safetensors file. {_AGAIN}"
        ) from error
    if _digest(content, tensors) != content["digest"]:
        raise BundleError(altered)
    _refuse_non_finite(tensors, f"{folder} cannot be used")
    return _bundle(content, {name: tensors[name] for name in content["tensors"]})


def _bundle(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Bundle:
    aliases = {name: tuple(others) for name, others in content["aliases"].items()}
    return Bundle(tensors, content["metadata"], content["kind"], aliases, content["digest"])


def stored_shapes(path: Path) -> dict[str, object]:
    """The shapes in a safetensors file, without reading a tensor.

    Args:
        path: the file.

    Returns:
        Name → shape, as the file's header lists them.

    Raises:
        OSError: it is missing or cannot be read.
        ValueError: it has no such header, or one larger than any of ours.
    """
    bounded.regular_size(path)
    with path.open("rb") as stream:
        size = int.from_bytes(stream.read(8), "little")
        if size > MOST_JSON_BYTES:
            raise ValueError("no header of reasonable size")
        header = bounded.parse_json(stream.read(size))
    if not isinstance(header, dict):
        raise ValueError("no header")
    shapes = {name: each.get("shape") for name, each in header.items() if isinstance(each, dict)}
    return {name: shape for name, shape in shapes.items() if name != "__metadata__"}


def _consistent(content: Mapping[str, Any], shapes: Mapping[str, object]) -> bool:
    """Whether the JSON speaks of exactly these tensors, in these shapes."""
    aliases: dict[str, object] = content["aliases"]
    lists = [others if isinstance(others, list) else [None] for others in aliases.values()]
    named = all(isinstance(name, str) for others in lists for name in others)
    told = {name: each.get("shape") for name, each in content["tensors"].items() if isinstance(each, dict)}
    return named and told == shapes and set(told) == set(content["tensors"]) >= set(aliases)


def _digest(content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> str:
    rest = {key: value for key, value in content.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(f"{text}\n{digest_tensors(tensors)}".encode()).hexdigest()


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
        content = bounded.parse_json(bounded.read_bytes(path, MOST_JSON_BYTES))
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

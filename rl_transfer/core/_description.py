"""``bundle.json``: read within bounds, its form checked, and the digest that it should state."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from rl_transfer import bounded
from rl_transfer.core.stored import MOST_HEADER_BYTES, StoredTensor
from rl_transfer.errors import BundleError
from rl_transfer.wording import listing

FORMAT = "rl_transfer bundle"
SCHEMA = 1
JSON_NAME = "bundle.json"
TENSORS_NAME = "tensors.safetensors"
AGAIN = "Restore it from a copy, or train and save the source again."


@dataclass(frozen=True)
class Description:
    """What ``bundle.json`` says, in fields of the right form; what is in them is not checked."""

    content: Mapping[str, object]
    kind: str
    metadata: Mapping[str, Any]
    listed_aliases: Mapping[str, object]
    tensors: Mapping[str, object]
    digest: str

    @property
    def aliases(self) -> dict[str, tuple[str, ...]]:
        """Canonical name → the further state-dict names of the same tensor; of a consistent description."""
        return {
            name: tuple(map(str, others))
            for name, others in self.listed_aliases.items()
            if isinstance(others, list)
        }


def refuse_no_folder(folder: Path) -> None:
    if folder.is_dir():
        return
    if not folder.exists():
        raise BundleError(f"there is no bundle at {folder}; give the folder that holds {JSON_NAME}")
    hint = " A zip of Stable-Baselines3 is imported as a source, not opened as a bundle."
    raise BundleError(
        f"{folder} is a file; a bundle is a folder with {JSON_NAME} and {TENSORS_NAME}."
        + (hint if folder.suffix == ".zip" else "")
    )


def read_description(path: Path) -> Description:
    try:
        content = bounded.parse_json(bounded.read_bytes(path, MOST_HEADER_BYTES))
    except FileNotFoundError:
        raise BundleError(
            f"{path.parent} is no bundle: it has no {JSON_NAME}. Give the folder that holds one "
            "(a run keeps it under bundle/)."
        ) from None
    except (OSError, ValueError) as error:
        raise BundleError(f"{path} cannot be read as JSON ({error}). {AGAIN}") from error
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
        raise BundleError(f"{path} is damaged: {listing(wrong or ['schema'])} missing or malformed. {AGAIN}")
    return Description(
        content,
        content["kind"],
        content["metadata"],
        content["aliases"],
        content["tensors"],
        content["digest"],
    )


def is_consistent(described: Description, stored: Mapping[str, StoredTensor]) -> bool:
    """Whether the JSON speaks of exactly these tensors, in these shapes, and of aliases of them alone."""
    aliases = described.listed_aliases
    lists = [others if isinstance(others, list) else [None] for others in aliases.values()]
    named = all(isinstance(name, str) for others in lists for name in others)
    listed = {name: {"dtype": each.dtype, "shape": list(each.shape)} for name, each in stored.items()}
    return named and described.tensors == listed and set(listed) >= set(aliases)


def digest_of(content: Mapping[str, object], tensors: str) -> str:
    """The bundle's digest, from its JSON and the digest of its tensors."""
    rest = {key: value for key, value in content.items() if key != "digest"}
    text = json.dumps(rest, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return sha256(f"{text}\n{tensors}".encode()).hexdigest()


def plain_json(metadata: Mapping[str, object]) -> dict[str, object]:
    """The metadata as it will be read back (tuples become lists)."""
    try:
        plain: dict[str, object] = json.loads(json.dumps(dict(metadata), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BundleError(f"the bundle's metadata must be plain JSON: {error}") from error
    return plain

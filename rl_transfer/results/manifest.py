"""``sweep.json``: what a sweep plans, with a digest of itself."""

from __future__ import annotations

from pathlib import Path

from rl_transfer.errors import StoreError
from rl_transfer.results.files import read_json, write_json
from rl_transfer.results.seal import SCHEMA, intact, sealed
from rl_transfer.spec import JsonObject
from rl_transfer.spec.base import Json

NAME = "sweep.json"


def write_manifest(folder: Path, manifest: JsonObject) -> None:
    """Write ``sweep.json``, with schema and digest.

    Args:
        folder: the sweep's folder; it exists.
        manifest: the rest of it (docs/architecture.md).

    Raises:
        StoreError: the folder cannot be written to, or the disk is full.
    """
    write_json(folder / NAME, sealed({"schema": SCHEMA, **manifest}))


def read_manifest(folder: Path) -> JsonObject:
    """Read ``sweep.json`` and check that it is what a sweep wrote.

    Args:
        folder: a sweep's folder.

    Returns:
        Its content; one of 0.1.0 has schema 1 and no digest.

    Raises:
        StoreError: the folder is no sweep folder, or its manifest is damaged, changed or of another schema.
    """
    path = folder / NAME
    if not path.exists():
        raise StoreError(f"{folder} is no sweep folder: it has no {NAME}")
    again = "Run the same sweep again: it writes the file anew, and what is finished is kept"
    try:
        manifest = read_json(path)
    except StoreError as error:
        raise StoreError(f"{error.message}. {again}") from None
    if not isinstance(manifest, dict):
        raise StoreError(f"{path} is no JSON object. {again}")
    schema = manifest.get("schema")
    if schema == 1 and "digest" not in manifest:
        return _with_rows(manifest, path, again)
    if "digest" in manifest and not intact(manifest):
        raise StoreError(f"{path} was changed after it was written: its digest does not match. {again}")
    if schema != SCHEMA or "digest" not in manifest:
        raise StoreError(f"{path} has schema {schema}; this version reads 1 and {SCHEMA}. {again}")
    return _with_rows(manifest, path, again)


def _with_rows(manifest: JsonObject, path: Path, again: str) -> JsonObject:
    rows = manifest.get("runs")
    for row in rows if isinstance(rows, list) else [rows]:
        if not _is_row(row):
            raise StoreError(f"{path}: a run needs id, role and seed, got {row!r}. {again}")
    return manifest


def _is_row(row: Json) -> bool:
    return (
        isinstance(row, dict)
        and all(isinstance(row.get(key), str) for key in ("id", "role"))
        and isinstance(row.get("seed"), int)
        and all(isinstance(row.get(key), str | None) for key in ("source", "target", "strategy"))
        and isinstance(row.get("needs"), list | None)
    )

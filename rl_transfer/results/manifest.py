"""``sweep.json``: what a sweep plans, with a digest of itself."""

from __future__ import annotations

from pathlib import Path

from rl_transfer import bounded
from rl_transfer.errors import StoreError
from rl_transfer.results.files import read_json, write_json, write_text
from rl_transfer.results.manifest_kinds import wrong_kind
from rl_transfer.results.seal import SCHEMA, intact, sealed
from rl_transfer.spec import JsonObject

NAME = "sweep.json"
CONFIG = "config.yaml"
"""The suite as a file that a sweep can be run from again; nothing reads it but people and the report."""
CONFIG_DIGEST = "config_yaml"
"""Key of ``sweep.json``: the digest of that file's text."""
MOST_CONFIG = 2**20


def write_manifest(folder: Path, manifest: JsonObject) -> None:
    """Write ``sweep.json``, with schema and digest.

    Args:
        folder: the sweep's folder; it exists.
        manifest: the rest of it (docs/architecture.md).

    Raises:
        StoreError: the folder cannot be written to, or the disk is full.
    """
    write_json(folder / NAME, sealed({"schema": SCHEMA, **manifest}))


def write_config(folder: Path, text: str) -> None:
    """Write ``config.yaml``, unless it says this already.

    Args:
        folder: the sweep's folder; it exists.
        text: the suite as YAML.

    Raises:
        StoreError: the folder cannot be written to, or the disk is full.
    """
    if read_config_text(folder) != text:
        write_text(folder / CONFIG, text, durable=False)


def read_config_text(folder: Path) -> str:
    """The text of ``config.yaml``.

    Args:
        folder: a sweep's folder.

    Returns:
        As it stands there; empty where an older version ran the sweep, or it cannot be read.
    """
    try:
        return bounded.read_bytes(folder / CONFIG, MOST_CONFIG).decode("utf-8")
    except (OSError, ValueError):
        return ""


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
    old = schema == 1 and "digest" not in manifest
    if not old and "digest" in manifest and not intact(manifest):
        raise StoreError(f"{path} was changed after it was written: its digest does not match. {again}")
    if not old and (schema != SCHEMA or "digest" not in manifest):
        raise StoreError(f"{path} has schema {str(schema)[:40]}; this version reads 1 and {SCHEMA}. {again}")
    if wrong := wrong_kind(manifest):
        raise StoreError(f"{path} is damaged: {wrong}. {again}")
    return manifest

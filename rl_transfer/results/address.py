"""Runs as people call them: ``results/x:heavy/fine-tune/0`` is the run of that place in the matrix."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

from rl_transfer.errors import StoreError
from rl_transfer.results.manifest import NAME, read_manifest
from rl_transfer.results.scores import SCORES
from rl_transfer.results.tuning import TUNING
from rl_transfer.spec import JsonObject
from rl_transfer.wording import did_you_mean, listing

_ARROW = "→"
_LEAST_PREFIX = 4


def run_at(path: Path) -> Path:
    """The run folder that an address means; every other path is what it was.

    An address is a sweep's folder, a colon, and one of: ``<target>/<strategy>/<seed>``, with ``<source>→`` or
    ``<source>->`` before it where there are several sources; ``source/<source>/<seed>``;
    ``<target>/random``; the first digits of a run id. Runs of tuning: ``tuning/point-<i>/`` before the
    place, and ``tuning/source/<source>/<seed>``. Scores of a source: ``scores/<source>→<target>/<seed>``.

    Args:
        path: what a person gave; it may exist or not.

    Returns:
        The folder of the run, or ``path``.

    Raises:
        StoreError: the sweep has no such run, or several; or its manifest cannot be used.
    """
    found = _split(path)
    if found is None:
        return path
    folder, wanted = found
    return folder / "runs" / _identifier(folder, wanted)


def is_address(path: Path) -> bool:
    """Whether a path is an address of a run: no such path, but a sweep's folder before a colon.

    Args:
        path: what a person gave.
    """
    return _split(path) is not None


def addresses(manifest: JsonObject) -> dict[str, set[str]]:
    """Every address in a sweep, short and long, and the ids that it means.

    Args:
        manifest: of a sweep.

    Returns:
        Address → ids, in the order of the matrix; those with the source's name only where it feeds the run.
    """
    found: dict[str, set[str]] = defaultdict(set)
    for row in manifest["runs"]:
        target, strategy, source, seed = (row.get(key) for key in ("target", "strategy", "source", "seed"))
        tuning = row["role"] == TUNING
        start = f"{TUNING}/" if tuning else ""
        if row["role"] == "random":
            found[f"{target}/random"].add(row["id"])
        elif row["role"] == SCORES:
            found[f"{SCORES}/{target}/{seed}"].add(row["id"])
            found[f"{SCORES}/{source}{_ARROW}{target}/{seed}"].add(row["id"])
        elif target is None:
            found[f"{start}source/{source}/{seed}"].add(row["id"])
        else:
            start += f"point-{row.get('point')}/" if tuning else ""
            found[f"{start}{target}/{strategy}/{seed}"].add(row["id"])
            if source:
                found[f"{start}{source}{_ARROW}{target}/{strategy}/{seed}"].add(row["id"])
    return found


def shortest(manifest: JsonObject) -> dict[str, str]:
    """Each run of a sweep by the first address that means it alone.

    Args:
        manifest: of the sweep.

    Returns:
        Run id → address, in the order of the matrix.
    """
    names: dict[str, str] = {}
    for address, ids in addresses(manifest).items():
        if len(ids) == 1:
            names.setdefault(next(iter(ids)), address)
    return names


def _split(path: Path) -> tuple[Path, str] | None:
    text = str(path)
    if "://" in text or path.exists():
        return None
    for place in (index for index, sign in enumerate(text) if sign == ":"):
        folder, wanted = Path(text[:place]), text[place + 1 :]
        if place and (folder / NAME).is_file():
            return folder, wanted.replace(os.sep, "/").strip("/")
    return None


def _identifier(folder: Path, wanted: str) -> str:
    manifest = read_manifest(folder)
    known = addresses(manifest)
    ids = known.get(wanted.replace("->", _ARROW), set())
    if not ids and len(wanted) >= _LEAST_PREFIX:
        ids = {row["id"] for row in manifest["runs"] if row["id"].startswith(wanted)}
    if len(ids) == 1:
        return next(iter(ids))
    if not ids:
        raise StoreError(
            f"{folder} has no run {wanted!r}.{did_you_mean(wanted, known)} A run is called "
            f"TARGET/STRATEGY/SEED, source/NAME/SEED or TARGET/random, or by its id; "
            f"`rl-transfer runs list {folder}` lists them"
        )
    longer = [address for address, found in known.items() if len(found) == 1 and found <= ids]
    raise StoreError(
        f"{folder}: {wanted!r} is {len(ids)} runs; name one: {listing(longer or sorted(ids), 5)}"
    )

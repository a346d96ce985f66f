"""Whether a folder may take a matrix: the same suite goes on, another one is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from rl_transfer.errors import StoreError
from rl_transfer.results import RunStore, read_manifest
from rl_transfer.spec import JsonObject
from rl_transfer.spec.base import Json
from rl_transfer.wording import counted, listing

_PLACE = ("role", "source", "target", "strategy", "seed", "point")
_FREE = ("name", "seeds", "analysis")
"""Keys of a suite whose change makes no other runs."""
_GROWING = ("sources", "targets", "strategies")


def check_matrix(output: Path, planned: JsonObject) -> None:
    """Refuse a folder whose matrix is another one.

    The same suite with more or fewer seeds, sources, targets or strategies, and with other analysis settings,
    is the same matrix. One that shares no run, or that fills a place with another run, is not.

    Args:
        output: the sweep's folder, or one that does not exist.
        planned: the manifest of what is to run.

    Raises:
        StoreError: it holds another matrix; the message says what differs, and the ways out.
    """
    try:
        found = read_manifest(output)
    except StoreError:  # missing or damaged: it is written anew
        return
    before, after = _places(found), _places(planned)
    shared = before.keys() & after.keys()
    other = [place for place in shared if before[place] != after[place]]
    if not before or (shared and not other):
        return
    if shared:
        differences = listing(list(_differences(found, planned)), 5, "; ")
        differences = differences or "nothing; this version makes other runs of the same settings"
        what = (
            f"runs of other settings in {len(other)} of {counted(len(after), 'place')} of this matrix. What "
            f"differs, there → here: {differences}"
        )
    else:
        name, size = found.get("name"), counted(len(before), "place")
        what = f"the matrix {name!r} with {size}, none of which is planned here"
    raise StoreError(
        f"{output} holds {what}. Choose another folder with --output; or let this matrix take the place of "
        "that one with --replace-matrix: finished runs stay in runs/, and those that both have are reused"
    )


def no_longer_planned(store: RunStore, planned: JsonObject) -> int:
    """How many runs of a folder have a record and no place in the matrix.

    Args:
        store: the sweep's folder.
        planned: the manifest of what is to run.

    Returns:
        Their number.
    """
    left = store.identifiers() - {str(row["id"]) for row in planned["runs"]}
    return sum((store.folder(each).path / "record.json").exists() for each in left)


def _places(manifest: JsonObject) -> dict[tuple[Json, ...], Json]:
    """Place in the matrix → id of the run that fills it."""
    rows = manifest.get("runs")
    return {
        tuple(row.get(key) for key in _PLACE): row.get("id")
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict)
    }


def _differences(before: JsonObject, after: JsonObject) -> Iterator[str]:
    """``training.total_steps: 6144 → 8192``, for each setting that both have and that makes other runs."""
    old, new = (_settings(manifest) for manifest in (before, after))
    for key in sorted(old.keys() | new.keys()):
        group, _, rest = key.partition(".")
        name = rest.partition(".")[0]
        both = all(any(each.startswith(f"{group}.{name}.") for each in side) for side in (old, new))
        # None: what only the preflight finds out, such as a reward threshold.
        if new.get(key) not in (None, old.get(key)) and (group not in _GROWING or both):
            yield f"{key}: {_shown(old, key)} → {_shown(new, key)}"


def _settings(manifest: JsonObject) -> dict[str, Json]:
    config = manifest.get("config")
    return (
        {}
        if not isinstance(config, dict)
        else dict(_leaves({k: v for k, v in config.items() if k not in _FREE}))
    )


def _leaves(value: Json, path: str = "") -> Iterator[tuple[str, Json]]:
    """Dotted keys and plain values; a list of named objects (strategies) is keyed by their names."""
    if isinstance(value, list):
        names = [each.get("name") if isinstance(each, dict) else None for each in value]
        if value and all(isinstance(name, str) for name in names):
            value = {str(name): each for name, each in zip(names, value, strict=True)}
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _leaves(each, f"{path}.{key}" if path else key)
    else:
        yield path, value


def _shown(settings: Mapping[str, Json], key: str) -> str:
    text = str(settings[key]) if key in settings else "not set"
    return text if len(text) <= 60 else f"{text[:57]}…"

"""Whether a folder may take a matrix: the same suite goes on, another one is refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from rl_transfer.errors import ConfigError, StoreError
from rl_transfer.results import RunStore, read_json, read_manifest
from rl_transfer.results.reading import SPEC
from rl_transfer.spec import JsonObject, parse
from rl_transfer.spec.base import Json
from rl_transfer.spec.engine import SB3
from rl_transfer.spec.experiment import RunConfig
from rl_transfer.wording import counted, listing

_PLACE = ("role", "source", "target", "strategy", "seed", "point")
_FREE = ("name", "seeds", "analysis")
"""Keys of a suite whose change makes no other runs."""
_GROWING = ("sources", "targets", "strategies")
_MOST_READ = 20
"""Runs whose configs are compared where the suites' tell nothing."""


def check_matrix(output: Path, planned: JsonObject, specs: Mapping[str, RunConfig]) -> None:
    """Refuse a folder whose matrix is another one.

    The same suite with more or fewer seeds, sources, targets or strategies, and with other analysis settings,
    is the same matrix. One that shares no run, or that fills a place with another run, is not.

    Args:
        output: the sweep's folder, or one that does not exist.
        planned: the manifest of what is to run.
        specs: run id → what is to run.

    Raises:
        StoreError: it holds another matrix; the message says what differs, and the ways out.
    """
    try:
        found = read_manifest(output)
    except StoreError:  # missing or damaged: it is written anew
        return
    before, after = _places(found), _places(planned)
    shared = [place for place in after if place in before]
    other = [place for place in shared if before[place] != after[place]]
    if not before or (shared and not other):
        return
    if shared:
        pairs = dict.fromkeys((str(before[place]), str(after[place])) for place in other)
        lines = [*_differences(found, planned)] or _of_runs(output, [*pairs], specs)
        differences = listing(lines, 5, "; ") or "nothing; this version makes other runs of the same settings"
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
    if not isinstance(config, dict):
        return {}
    found = {key: value for key, value in config.items() if key not in _FREE}
    for group in ("sources", "targets"):
        if config.get("kind") == "rl" and isinstance(found.get(group), dict):
            found[group] = {name: _with_engine(entry) for name, entry in found[group].items()}
    return dict(_leaves(found))


def _with_engine(entry: Json) -> Json:
    """A task with the name of its engine alone, which no manifest says where SB3 was asked for."""
    if not isinstance(entry, dict) or entry.get("policy"):
        return entry
    engine = entry.get("engine")
    return {**entry, "engine": engine.get("name") if isinstance(engine, dict) else SB3}


def _of_runs(output: Path, pairs: Sequence[tuple[str, str]], specs: Mapping[str, RunConfig]) -> list[str]:
    """``training.engine: compiled → sb3``: how the configs of runs differ that take each other's places."""
    found: dict[str, None] = {}
    for there, here in pairs[:_MOST_READ]:
        run = specs.get(here)
        try:
            data = read_json(RunStore(output).folder(there).path / SPEC)
            former = None if run is None else parse(type(run), data)
        except (StoreError, ConfigError):  # not begun, or of another version
            continue
        if run is None or former is None:
            continue
        old, new = (dict(_leaves(each.identity())) for each in (former, run))
        for key in sorted(old.keys() | new.keys()):
            if key != "source" and old.get(key) != new.get(key):  # another source is told by its own run
                found[f"{key}: {_shown(old, key, former)} → {_shown(new, key, run)}"] = None
    return [*found]


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


def _shown(settings: Mapping[str, Json], key: str, run: RunConfig | None = None) -> str:
    """A setting in short; one that is left out at its default is what the run itself has."""
    value: object = settings.get(key, run)
    for name in key.split(".") if key not in settings else ():
        value = value.get(name) if isinstance(value, Mapping) else getattr(value, name, None)
    text = "not set" if value is None and key not in settings else str(value)
    return text if len(text) <= 60 else f"{text[:57]}…"

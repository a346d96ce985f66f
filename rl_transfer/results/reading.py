"""What is on disk of one run, and whether it is sound; nothing is used before its digest was checked.

The bytes that are hashed are the bytes that are parsed: each file is read once.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rl_transfer import bounded
from rl_transfer.errors import StoreError
from rl_transfer.results.files import MOST_BYTES, file_digest, read_json
from rl_transfer.results.scores import finite_numbers, wrong_scores
from rl_transfer.results.seal import SCHEMA, intact
from rl_transfer.spec import JsonObject
from rl_transfer.spec.base import MOST_EVALUATIONS

SPEC, CURVE, FAILURE = "spec.json", "curve.jsonl", "failure.json"
BUNDLE = ("bundle/bundle.json", "bundle/tensors.safetensors")
COVERED = (SPEC, CURVE, *BUNDLE)
"""The files that a record has digests of, where the run has them."""

MOST_CURVE_BYTES = 256 * 2**20

_STRUCTURE = {b"{": 1, b"[": 3, b'"': 10}
"""What opens objects, lists and texts, and how many of each an evaluation has."""


@dataclass(frozen=True)
class RunReading:
    """What was read of a run.

    Attributes:
        state: ``damaged`` where a record is there, but it or what it speaks of is not what the run wrote.
        problem: why the run cannot be used, for people: ``unfinished``, ``failed: …``, ``damaged: …``; None
            if it is finished.
        record: of a finished run only (docs/architecture.md).
        curve: one object per evaluation; None unless the run is finished and was measured.
        on_trust: whether the record is of 0.1.0 and has no digests to check files by.
    """

    state: Literal["finished", "unfinished", "failed", "damaged"]
    problem: str | None = None
    record: JsonObject | None = None
    curve: tuple[JsonObject, ...] | None = None
    on_trust: bool = False


_NUMBERS = ("total_steps", "wall_seconds", "cpu_seconds")
_OBJECTS = (
    "spec", "versions", "code", "provenance", "zero_shot", "retention", "parameters", "frozen", "diagnostics",
    "gaps", "alignment", "source_scores", "knobs", "seen_by_source", "probe", "reference",
)  # fmt: skip
_PERHAPS = ("source_steps", "guide_steps", "source_score")
"""Numbers that only some runs have."""
_INSIDE = {"probe": ("accuracy",), "reference": ("accuracy",), "seen_by_source": ("seen", "items")}
"""Object → numbers in it."""
_LISTS = ("plan", "thaws", "resumed")


class _DamagedError(Exception):
    """What is wrong with a run that has a record."""


def read_run(path: Path, name: str | None, *, bundle: bool = False) -> RunReading:
    """Read a run's record, config and curve, and check that they belong together.

    Args:
        path: the run's folder.
        name: the id that the run must have; None: any.
        bundle: check the bundle's files too.

    Returns:
        Record and curve of a sound run; of any other, why it cannot be used.

    Raises:
        StoreError: a newer version wrote the record.
    """
    try:
        record = _record(path / "record.json")
        if record is None:
            return _without_record(path)
        if name is not None and record.get("id") != name:
            raise _DamagedError(f"it is run {record.get('id')}, renamed or copied into this folder")
        _check_spec(path, record)
        curve = _curve(path, record)
        if bundle:
            _check_bundle(path, record)
    except _DamagedError as damage:
        return RunReading("damaged", f"damaged: {damage}")
    return RunReading("finished", None, record, curve, on_trust=record["files"] is None)


def read_record(path: Path) -> JsonObject | None:
    """Read a run's record alone, without the files that it speaks of.

    Args:
        path: the run's folder.

    Returns:
        A record that was not changed since it was written; None where there is none.

    Raises:
        StoreError: a newer version wrote it.
    """
    try:
        return _record(path / "record.json")
    except _DamagedError:
        return None


def read_failure(path: Path) -> JsonObject | None:
    """What made a run fail.

    Args:
        path: the run's folder.

    Returns:
        The content of ``failure.json``; of one that is damaged, ``message`` says so; None without one.
    """
    try:
        failure = read_json(path / FAILURE)
    except StoreError as error:
        if not (path / FAILURE).exists():
            return None
        return {"message": f"{FAILURE} cannot be read ({error.message})"}
    return failure if isinstance(failure, dict) else {"message": str(failure or "")}


def _record(path: Path) -> JsonObject | None:
    try:
        record = bounded.parse_json(bounded.read_bytes(path, MOST_BYTES))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise _DamagedError(f"record.json cannot be read ({error})") from None
    if not isinstance(record, dict):
        raise _DamagedError("record.json is no JSON object")
    if record.get("schema") == 1 and "digest" not in record:
        _check_kinds(record)
        return _migrated(record)
    if not intact(record):
        raise _DamagedError("record.json was changed after it was written: its digest does not match")
    if record.get("schema") != SCHEMA:
        raise StoreError(
            f"{path} has schema {record.get('schema')}; this version reads up to {SCHEMA}. "
            "Install a newer rl-transfer, or choose another folder"
        )
    files = record.get("files")
    if not isinstance(files, dict) or not {SPEC} <= set(files) <= set(COVERED):
        raise _DamagedError("record.json does not say which files it speaks of")
    _check_kinds(record)
    return record


def _check_kinds(record: JsonObject) -> None:
    """What is read of a record without asking is of the kind that a run writes; a key may be missing."""
    numbers = {name: record.get(name, 0) for name in _NUMBERS}
    wrong = [name for name, it in numbers.items() if not (isinstance(it, int | float) and 0 <= it < 2**63)]
    wrong += [name for name in _OBJECTS if not isinstance(record.get(name), dict | None)]
    wrong += [name for name in _LISTS if not isinstance(record.get(name), list | None)]
    wrong += [name for name in _PERHAPS if not (record.get(name) is None or fits_record(record[name]))]
    if not isinstance(record.get("source_run"), str | None):
        wrong.append("source_run")
    thaws = record.get("thaws") if "thaws" not in wrong else None
    if not all(isinstance(each, dict) and "share" in each for each in thaws or ()):
        wrong.append("thaws")
    wrong += [
        name
        for name, keys in _INSIDE.items()
        if isinstance(it := record.get(name), dict) and not all(fits_record(it.get(key, 0)) for key in keys)
    ]
    if wrong:
        raise _DamagedError(f"record.json has {wrong[0]} {str(record[wrong[0]])[:40]!r}, which no run writes")
    inside = None if record.get("source_scores") is None else wrong_scores(record["source_scores"])
    for name, key in itertools.product(("zero_shot", "retention"), ("returns", "source_returns")):
        values = (record.get(name) or {}).get(key)
        if values is not None and not finite_numbers(values):
            inside = f"{name}.{key} {str(values)[:40]!r}"
    if inside is not None:
        raise _DamagedError(f"record.json has {inside}, which no run writes")


def fits_record(value: object) -> bool:
    """Whether it is a number as records have them; a truth is none.

    Args:
        value: anything.
    """
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**63


def _migrated(record: JsonObject) -> JsonObject:
    """A record of 0.1.0 in today's form: of its files no digests are known."""
    return {**record, "schema": SCHEMA, "files": None}


def _content(path: Path, name: str, record: JsonObject, most: int) -> bytes:
    """The bytes of a file of the run, checked where the record has a digest of them."""
    try:
        content = bounded.read_bytes(path / name, most)
    except FileNotFoundError:
        raise _DamagedError(f"{name} is missing") from None
    except (OSError, ValueError) as error:
        raise _DamagedError(f"{name} cannot be read ({error})") from None
    files = record["files"]
    if files is not None:
        _compare(name, files, hashlib.sha256(content).hexdigest())
    return content


def _compare(name: str, files: dict[str, str], found: str) -> None:
    if files[name] != found:
        raise _DamagedError(
            f"{name} was changed, or is of another run: its digest is not the one in the record"
        )


def _check_spec(path: Path, record: JsonObject) -> None:
    content = _content(path, SPEC, record, MOST_BYTES)
    if record["files"] is not None:
        return
    try:
        spec = bounded.parse_json(content)
    except ValueError as error:
        raise _DamagedError(f"{SPEC} cannot be read ({error})") from None
    if spec != record.get("spec"):
        raise _DamagedError(f"{SPEC} is not the config in the record")


def _curve(path: Path, record: JsonObject) -> tuple[JsonObject, ...] | None:
    files = record["files"]
    there = (path / CURVE).exists()
    if not there and record.get("measured") is False and (files is None or CURVE not in files):
        return None
    if files is not None and CURVE not in files:
        raise _DamagedError(f"the record speaks of no {CURVE}" + (", and one is there" if there else ""))
    content = _content(path, CURVE, record, MOST_CURVE_BYTES)
    try:
        points = parse_curve(content)
        _check_points(points)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise _DamagedError(f"{CURVE} cannot be used ({error})") from None
    last, total = points[-1]["step"], record.get("total_steps")
    if isinstance(total, int | float) and not math.isclose(last, total):
        raise _DamagedError(f"the curve ends at {last:g} of {total:g} steps")
    return points


def parse_curve(content: bytes) -> tuple[JsonObject, ...]:
    """The evaluations of a curve, if it has as many as a run may have and nothing that takes more memory.

    Args:
        content: of ``curve.jsonl``.

    Returns:
        One object per line that is not empty.

    Raises:
        ValueError: it holds more, or a line is no JSON.
        RecursionError: a line is nested too deeply.
    """
    if any(content.count(each) > n * MOST_EVALUATIONS for each, n in _STRUCTURE.items()):
        raise ValueError(f"it holds more than {MOST_EVALUATIONS:,} evaluations")
    return tuple(json.loads(line) for line in io.BytesIO(content) if line.strip())


def _check_points(points: tuple[JsonObject, ...]) -> None:
    if not points:
        raise ValueError("it is empty")
    steps = [point["step"] for point in points]
    if not all(isinstance(step, int | float) and math.isfinite(step) for step in steps):
        raise ValueError("evaluation steps are finite numbers")
    if any(not after > before for before, after in itertools.pairwise(steps)):
        raise ValueError("evaluation steps must increase")
    for point in points:
        if not point["returns"] or not all(map(math.isfinite, point["returns"])):
            raise ValueError("every evaluation needs at least one return, all of them finite")
        said = point.get("successes")
        if said is not None and not (len(said) == len(point["returns"]) and set(said) <= {True, False}):
            raise ValueError("successes are true or false, one per return")


def _check_bundle(path: Path, record: JsonObject) -> None:
    files = record["files"]
    if files is None:
        _check_old_bundle(path, record)
        return
    for name in BUNDLE:
        there = (path / name).exists()
        if name not in files and there:
            raise _DamagedError(f"{name} is there, and the record speaks of none")
        if name in files:
            try:
                _compare(name, files, file_digest(path / name))
            except FileNotFoundError:
                raise _DamagedError(f"{name} is missing") from None
            except (OSError, ValueError) as error:
                raise _DamagedError(f"{name} cannot be read ({error})") from None


def _check_old_bundle(path: Path, record: JsonObject) -> None:
    """A bundle of 0.1.0 names its run; whoever loads it checks its own digest."""
    if not (path / BUNDLE[0]).exists():
        return
    try:
        content = read_json(path / BUNDLE[0])
    except StoreError as error:
        raise _DamagedError(error.message) from None
    metadata = content.get("metadata") if isinstance(content, dict) else None
    run = metadata.get("run") if isinstance(metadata, dict) else None
    if run is not None and run != record.get("id"):
        raise _DamagedError(f"the bundle is that of run {run}")


def _without_record(path: Path) -> RunReading:
    failure = read_failure(path)
    if failure is None:
        return RunReading("unfinished", "unfinished")
    text = failure.get("message") or failure.get("error")
    lines = str(text or "").strip().splitlines() or ["see its log.txt"]
    return RunReading("failed", f"failed: {lines[0]}")

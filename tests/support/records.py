"""Records and manifests as runs and sweeps write them, digests included; nothing waits for the disk."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_transfer.results.files import file_digest
from rl_transfer.results.reading import COVERED
from rl_transfer.results.seal import SCHEMA, sealed


def write_record(run: Path, record: Mapping[str, Any]) -> None:
    """The record of a run whose other files lie in its folder; a missing spec.json is written."""
    if not (run / "spec.json").exists():
        (run / "spec.json").write_text(json.dumps(record["spec"]), encoding="utf-8")
    files = {name: file_digest(run / name) for name in COVERED if (run / name).exists()}
    whole = sealed({**record, "schema": SCHEMA, "files": files, "sync_seconds": 0.0})
    (run / "record.json").write_text(json.dumps(whole), encoding="utf-8")


def write_finished(run: Path, score: float = 1.0, **record: Any) -> None:
    """A finished run of the least size: its config, one evaluation, its record."""
    run.mkdir(parents=True, exist_ok=True)
    point = {"evaluation": 0, "step": 0, "returns": [score], "lengths": [1]}
    (run / "curve.jsonl").write_text(json.dumps(point) + "\n", encoding="utf-8")
    write_record(run, {"id": run.name, "spec": {}, "total_steps": 0, **record})


def change_record(run: Path, **fields: Any) -> None:
    """Write a run's record again with other values, as if the run had found them."""
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    write_record(run, {**record, **fields})


def as_old(run: Path) -> None:
    """Make a record one of 0.1.0: schema 1, without digests."""
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    for key in ("files", "sync_seconds", "digest"):
        del record[key]
    (run / "record.json").write_text(json.dumps({**record, "schema": 1}), encoding="utf-8")


def change_manifest(sweep: Path, **fields: Any) -> None:
    """Write a sweep's manifest again with other values, as the sweep would."""
    manifest = json.loads((sweep / "sweep.json").read_text(encoding="utf-8"))
    whole = sealed({"schema": SCHEMA, **manifest, **fields})
    (sweep / "sweep.json").write_text(json.dumps(whole), encoding="utf-8")

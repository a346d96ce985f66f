"""Data sets as Hugging Face's `datasets` 5.2 writes them, made with pyarrow alone."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

CLASSES = ("neg", "pos")
TEXTS: dict[str, Any] = {
    "text": {"dtype": "string", "_type": "Value"},
    "label": {"names": list(CLASSES), "_type": "ClassLabel"},
}
Rows = Sequence[tuple[object, object]]


def table_of(rows: Rows, features: Mapping[str, Any] = TEXTS, **types: pa.DataType) -> pa.Table:
    """Two columns, with what `datasets` writes beside them."""
    described = {"huggingface": json.dumps({"info": {"features": features}})}
    kinds = {"text": pa.string(), "label": pa.int64(), **types}
    columns = [pa.array([row[i] for row in rows], kind) for i, kind in enumerate(kinds.values())]
    return pa.table(columns, pa.schema([*kinds.items()], metadata=described))


def write_stream(path: Path, table: pa.Table) -> Path:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    return path


def save(folder: Path, *shards: pa.Table, **state: Any) -> Path:
    """``Dataset.save_to_disk``."""
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"data-{i:05d}-of-{len(shards):05d}.arrow" for i in range(len(shards))]
    for name, table in zip(names, shards, strict=True):
        write_stream(folder / name, table)
    found = {
        "_data_files": [{"filename": name} for name in names],
        "_fingerprint": "6632d0a96c56731d", "_format_columns": None, "_format_kwargs": {},
        "_format_type": None, "_output_all_columns": False, "_split": None, **state,
    }  # fmt: skip
    (folder / "state.json").write_text(json.dumps(found), encoding="utf-8")
    features = json.loads(shards[0].schema.metadata[b"huggingface"])["info"]["features"]
    info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
    (folder / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
    return folder


def save_splits(folder: Path, **splits: pa.Table) -> Path:
    """``DatasetDict.save_to_disk``."""
    for name, table in splits.items():
        save(folder / name, table)
    (folder / "dataset_dict.json").write_text(json.dumps({"splits": list(splits)}), encoding="utf-8")
    return folder


def write_parquet(path: Path, table: pa.Table) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path

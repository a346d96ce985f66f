"""Small data for the third kind, and its row in the table of kinds."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rl_transfer.sweep import dispatch
from support.vectors_spec import VectorRun, VectorSuite, VectorTrainConfig, VectorTransferConfig

ROW = dispatch.Kind(
    "support.vectors_room", VectorRun, VectorSuite, VectorTrainConfig, VectorTransferConfig
)  # fmt: skip


TABLES: tuple[tuple[dict[str, Any], Any], ...] = (
    (dispatch.KINDS, ROW),
    (dispatch.SUITES, ROW.suite),
    (dispatch.TRAIN, ROW.train),
    (dispatch.TRANSFER, ROW.transfer),
)


def register(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the row for the length of a test."""
    for table, value in TABLES:
        monkeypatch.setitem(table, "vector", value)


def save_rows(path: Path, names: tuple[str, ...] = ("a", "b", "c"), turned: bool = False) -> Path:
    """A data set of 20 rows of 6 numbers per class.

    The class is the largest of the first three numbers, or of the last three if ``turned``.
    """
    rng = np.random.default_rng(0)
    labels = np.arange(20 * len(names)) % len(names)
    rows = rng.normal(scale=0.5, size=(len(labels), 6))
    rows[np.arange(len(labels)), labels + (3 if turned else 0)] += 3
    np.savez(path, rows=rows, labels=labels, classes=np.array(names))
    return path

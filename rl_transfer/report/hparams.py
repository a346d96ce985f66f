"""The tab *HParams*: a row per arm, what it copies and freezes, and what came of it on every target."""

from __future__ import annotations

from collections.abc import Mapping

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import summary_v2

from rl_transfer.analysis.model import Matrix


def experiment(matrix: Matrix, columns: Mapping[str, str]) -> Summary:
    """The columns of the table; of the metrics TensorBoard checks the first five.

    Args:
        matrix: the analysis.
        columns: first part of a scalar's tag → what its last value is called; one column per target each.

    Returns:
        A summary for the overview's event file.
    """
    metrics = [
        summary_v2.Metric(f"{tag}/{target}", display_name=f"{target}: {label}")
        for tag, label in columns.items()
        for target in matrix.targets
    ]
    names = [summary_v2.HParam(name) for name in _values(matrix.baseline, None, matrix)]
    return summary_v2.hparams_config_pb(names, metrics, time_created_secs=0)


def session(name: str, strategy: str, source: str | None, matrix: Matrix) -> Summary:
    """One row of the table.

    Args:
        name: the arm's run.
        strategy: of the arm.
        source: of the arm, if it has one.
        matrix: the analysis.

    Returns:
        A summary for the arm's event file.
    """
    values = _values(strategy, source, matrix)
    return summary_v2.hparams_pb(values, trial_id=name, start_time_secs=0)


def _values(strategy: str, source: str | None, matrix: Matrix) -> dict[str, str]:
    """Few, so that metrics are seen beside them; the row's name says the strategy."""
    info = matrix.strategies.get(strategy)
    copied, frozen = (info.copy, info.freeze) if info else ((), ())
    values = {"copied": ", ".join(copied) or "nothing", "frozen": ", ".join(frozen) or "nothing"}
    return values if len(matrix.sources) < 2 else {"source": source or "none", **values}

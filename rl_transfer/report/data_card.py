"""A sweep as a data set: its tables as CSV, and the card that says what every column is."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from rl_transfer.analysis.metric_table import METRICS
from rl_transfer.analysis.model import Matrix
from rl_transfer.analysis.words import headlines, notes
from rl_transfer.report.markdown import literal, table
from rl_transfer.report.run_card import NO_LICENCE
from rl_transfer.report.verdict_text import unmarked
from rl_transfer.results.labels import PLAYED
from rl_transfer.spec import JsonObject
from rl_transfer.spec.base import Json
from rl_transfer.spec.yaml_text import yaml_text
from rl_transfer.wording import visible

SWEEP_TAG = "rl-transfer-sweep"
"""The tag that the card of a sweep's data set has, and no other card."""
TABLES = {
    "cells": "one row per source, target, strategy and metric, over the seeds",
    "seeds": "one row per source, target, strategy, metric and seed: what the means are made of",
    "curves": "one row per run and evaluation: the learning curves",
}
COLUMNS = {
    "source": "source task; empty: nothing was copied",
    "target": "target task; empty: the run trained a source",
    "strategy": "how the source was used",
    "kind": "transfer, control or baseline",
    "steps": "training budget of one run, in the sweep's steps",
    "planned": "seeds that were planned",
    "finished": "seeds with a finished run",
    "flags": "codes of warnings",
    "metric": "name of the metric; defined below",
    "unit": "what value, mean, low and high are in",
    "mean": "mean over seeds",
    "low": "lower end of the confidence interval",
    "high": "upper end of the confidence interval",
    "n": "runs that it rests on",
    "bound": "≥, ≤ or ≷ where the figure is a mere bound",
    "score_mean": "the same as a normalised score: 0 is chance (the random policy), 1 the reference",
    "score_low": "lower end of its interval",
    "score_high": "upper end of its interval",
    "verdict": "positive, negative, equivalent or inconclusive, against the baseline",
    "verdict_unit": "what the verdict is decided in: score or measure",
    "verdict_gain": "gain over the baseline in that unit",
    "verdict_low": "lower end of its interval",
    "verdict_high": "upper end of its interval",
    "verdict_delta": "δ, the least relevant gain, in that unit",
    "outcome": "what people read: the verdict, or what is in its way",
    "p": "of no difference to the baseline",
    "adjusted_p": "the same after Benjamini–Hochberg over the family of cells",
    "equivalence_p": "of the two one-sided tests of ±δ",
    "adjusted_equivalence_p": "the same after the correction",
    "hedges_g": "standardised difference",
    "improvement": "probability that a run is better than one of the baseline",
    "verdict_seeds": "seeds that the verdict rests on",
    "knowledge": "what the controls say of it",
    "seed": "seed index; the same index has the same random streams in every arm",
    "value": "the metric of one run, or the mean of an evaluation's episodes",
    "score": "value as a normalised score; empty without a reference",
    "run": "id of the run: the hash of everything that can change its result",
    "role": "source, target, random, tuning or scores",
    "step": "steps trained before the evaluation",
    "episodes": "episodes, or test items, of the evaluation",
    "lowest": "least of them",
    "highest": "greatest of them",
    "success_rate": "share of successful episodes; empty where nothing counts as a success",
}
"""Column → what it is, for every column of every table."""


def csv_of(rows: Sequence[JsonObject]) -> str:
    """A table as CSV.

    Args:
        rows: with the same keys.

    Returns:
        The text, header first; None is empty, and texts have no control characters. Empty without rows.
    """
    stream = io.StringIO()
    if rows:
        writer = csv.DictWriter(stream, [*rows[0]], lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _entry(value) for name, value in row.items()} for row in rows)
    return stream.getvalue()


def _entry(value: Json) -> Json:
    return visible(value) if isinstance(value, str) else value


def data_card(
    matrix: Matrix,
    columns: Mapping[str, Sequence[str]],
    digests: Mapping[str, str],
    reproduce: Sequence[str],
    licence: str | None,
) -> str:
    """The card of a sweep's data set.

    Args:
        matrix: its analysis.
        columns: table → its columns, for each that was written.
        digests: file → SHA-256.
        reproduce: how the runs are computed again, a sentence each.
        licence: as the Hub writes it; None: not given.

    Returns:
        Markdown under the header that the Hugging Face Hub reads.
    """
    header: dict[str, Json] = {
        "pretty_name": f"{matrix.name}: a transfer matrix",
        "tags": [
            *(["reinforcement-learning"] if matrix.labels.network == PLAYED.network else []),
            *("transfer-learning", "rl-transfer", SWEEP_TAG, "tabular"),
        ],
        "configs": [{"config_name": name, "data_files": f"{name}.csv"} for name in columns],
    }
    if licence is not None:
        header["license"] = licence
    settings = matrix.settings
    counts = ", ".join(f"{count} {state}" for state, count in matrix.counts.items())
    metrics = [
        (literal(name), unmarked(info.label), info.unit, unmarked(info.defined(matrix.labels, settings)))
        for name, info in METRICS.items()
    ]
    versions = [(unmarked(name), unmarked(", ".join(found))) for name, found in matrix.versions.items()]
    parts = [
        f"# {unmarked(matrix.name)}",
        unmarked(matrix.summary),
        f"Measured: {matrix.measure}; steps are {matrix.unit}. Runs: {counts}.",
        "## What was found",
        "\n".join(f"- {unmarked(text)}" for text in [*headlines(matrix), *notes(matrix)]) or "Nothing yet.",
        "## How it was measured",
        f"Every strategy is compared with {literal(matrix.baseline)}: the same algorithm, budget, seeds and "
        f"evaluations. Intervals are at {settings.confidence:g}, over runs; verdicts at a false "
        f"discovery rate of {settings.q:g}. Missing runs make a cell inconclusive.",
        "## Tables",
        *[
            f"### {literal(f'{name}.csv')}\n\n{TABLES[name][0].upper()}{TABLES[name][1:]}.\n\n"
            + table(("column", "what it is"), [(literal(each), COLUMNS[each]) for each in names])
            for name, names in columns.items()
        ],
        "## Metrics",
        "`measure` stands for the measure above, `steps` for its steps.",
        table(("metric", "name", "unit", "definition"), metrics),
        "## Again",
        "\n".join(f"- {text}" for text in reproduce),
        "## Versions",
        table(("library", "version"), versions),
        "## Files",
        table(("file", "SHA-256"), [(literal(name), literal(each)) for name, each in digests.items()]),
        "## Licence",
        literal(licence) if licence else NO_LICENCE,
    ]
    return f"---\n{yaml_text(header)}---\n\n" + "\n\n".join(part for part in parts if part) + "\n"

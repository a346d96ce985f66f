"""A sweep's data set: tables, config and card in a new folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from rl_transfer.api.publishing import CARD, checked_licence, new_folder
from rl_transfer.api.results import SweepResults, Table, load_sweep
from rl_transfer.errors import ConfigError, RLTransferError
from rl_transfer.report.data_card import csv_of, data_card
from rl_transfer.report.model_card import literal
from rl_transfer.results.files import file_digest
from rl_transfer.spec import JsonObject, parse
from rl_transfer.spec.yaml_text import yaml_text
from rl_transfer.sweep.dispatch import SUITES

SUITE = "suite.yaml"


def publish_sweep(sweep: str | os.PathLike[str], folder: str | os.PathLike[str], license: str | None) -> Path:
    """Write a sweep's cells, seeds and curves as CSV, its resolved config, and a card.

    Args:
        sweep: the output folder of a sweep; it is only read.
        folder: the new folder; one that exists must be empty.
        license: as the Hub writes it, ``cc-by-4.0``; None: the card says that none was given.

    Returns:
        The folder.

    Raises:
        StoreError: the first is no sweep folder, or nothing of it can be judged; the second is not empty.
        ConfigError: the licence is malformed.
    """
    target, licence = Path(folder), checked_licence(license)
    results = load_sweep(os.fspath(sweep))
    with new_folder(target) as scratch:
        columns: dict[str, list[str]] = {}
        for name in get_args(Table):
            rows = results.rows(name)
            if rows:
                columns[name] = [*rows[0]]
                (scratch / f"{name}.csv").write_text(csv_of(rows), encoding="utf-8", newline="")
        again = _suite(results)
        if again is not None:
            (scratch / SUITE).write_text(yaml_text(again), encoding="utf-8")
        digests = {path.name: file_digest(path) for path in sorted(scratch.iterdir())}
        text = data_card(results.matrix, columns, digests, [*_reproduce(results, again is not None)], licence)
        (scratch / CARD).write_text(text, encoding="utf-8")
    return target


def _suite(results: SweepResults) -> JsonObject | None:
    """The resolved config without what was only found out; None where it is no config any more."""
    config = results.config
    model = SUITES.get(str(config.get("kind")))
    if model is None:
        return None
    given = dict(config)
    for part in ("sources", "targets"):
        known = {*get_args(model.model_fields[part].annotation)[1].model_fields}
        given[part] = {
            name: {key: value for key, value in each.items() if key in known}
            for name, each in config.get(part, {}).items()
        }
    try:
        parse(model, given)
    except (ConfigError, RLTransferError):
        return None
    return given


def _reproduce(results: SweepResults, again: bool) -> Iterator[str]:
    records = [run.record for run in results.runs if run.record]
    origins = [record.get("provenance") or {} for record in records]
    for command in dict.fromkeys(str(each["command"]) for each in origins if each.get("command")):
        yield f"computed by {literal(command)}"
    commits = [each["git"]["commit"] for each in origins if isinstance(each.get("git"), dict)]
    for commit in dict.fromkeys(map(str, commits)):
        yield f"in a repository at commit {literal(commit)}"
    for cpu in dict.fromkeys(str(each["cpu"]) for each in origins if each.get("cpu")):
        yield f"on {literal(cpu)}"
    if again:
        yield f"`rl-transfer sweep ./{SUITE}` computes the runs again, under the same ids"

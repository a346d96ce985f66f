"""A sweep's data set: tables, config and card, in a new folder or on the Hub."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

from rl_transfer.api.cards import CARD
from rl_transfer.api.publishing import checked_licence, new_folder, refuse_private_folder
from rl_transfer.api.repositories import TABLES
from rl_transfer.api.results import SweepResults, Table, load_sweep
from rl_transfer.errors import ConfigError, RLTransferError
from rl_transfer.frame import Say, silent
from rl_transfer.hub import SCHEME, HubTarget
from rl_transfer.report.data_card import csv_of, data_card
from rl_transfer.report.markdown import literal
from rl_transfer.results.files import file_digest
from rl_transfer.spec import JsonObject, RLSuite, parse
from rl_transfer.spec.engine import SB3
from rl_transfer.spec.yaml_text import yaml_text
from rl_transfer.sweep.dispatch import SUITES

SUITE = "suite.yaml"


def publish_sweep(
    sweep: str | os.PathLike[str],
    target: str | os.PathLike[str],
    license: str | None,
    *,
    private: bool = False,
    say: Say = silent,
) -> str:
    """Write a sweep's cells, seeds and curves as CSV, its resolved config, and a card.

    Args:
        sweep: the output folder of a sweep; it is only read.
        target: the new folder (one that exists must be empty), or ``hf://datasets/user/repository`` on the
            Hugging Face Hub (extra ``hub``), created if there is none.
        license: as the Hub writes it, ``cc-by-4.0``; None: the card says that none was given.
        private: whether a repository that is created is private.
        say: gets a line now and then.

    Returns:
        The folder, or the address of the data set.

    Raises:
        StoreError: the first is no sweep folder, or nothing of it can be judged; the second is not empty.
        ConfigError: the licence is malformed, or ``private`` and a folder were given.
        BundleError: the Hub refuses, or the repository holds something else.
        MissingExtraError: huggingface_hub is needed and not installed.
    """
    place, licence = os.fspath(target), checked_licence(license)
    refuse_private_folder(place, private)
    if not place.startswith(SCHEME):
        with new_folder(Path(place)) as scratch:
            _write(load_sweep(os.fspath(sweep)), scratch, licence)
        return place
    hub = HubTarget(place, TABLES)
    with tempfile.TemporaryDirectory() as name:
        _write(load_sweep(os.fspath(sweep)), Path(name), licence)
        say("sending it")
        hub.send(Path(name), private=private)
    return f"{SCHEME}datasets/{hub.repository}"


def _write(results: SweepResults, folder: Path, licence: str | None) -> None:
    """Tables, config and card into an empty folder."""
    columns: dict[str, list[str]] = {}
    for name in get_args(Table):
        rows = results.rows(name)
        if rows:
            columns[name] = [*rows[0]]
            (folder / f"{name}.csv").write_text(csv_of(rows), encoding="utf-8", newline="")
    again = _suite(results.config)
    if again is not None:
        (folder / SUITE).write_text(yaml_text(again), encoding="utf-8")
    digests = {path.name: file_digest(path) for path in sorted(folder.iterdir())}
    text = data_card(results.matrix, columns, digests, [*_reproduce(results, again)], licence)
    (folder / CARD).write_text(text, encoding="utf-8")


def _suite(config: JsonObject) -> JsonObject | None:
    """The resolved config without what was only found out; None where it is no config any more."""
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
        if issubclass(model, RLSuite):
            _name_engines(given, config)
            parse(model, given)
    except (ConfigError, RLTransferError):
        return None
    return given


def _name_engines(given: JsonObject, config: JsonObject) -> None:
    """Write the engine that trained beside every budget: ``auto`` may find another one elsewhere.

    Args:
        given: the suite's config; it is changed.
        config: what ``sweep.json`` says, with the engine of a task where one had to be chosen.
    """
    chosen = {
        (part, name): entry["engine"].get("name") if isinstance(entry.get("engine"), dict) else SB3
        for part in ("sources", "targets")
        for name, entry in config[part].items()
        if not entry.get("policy")
    }
    common = next(engine for (part, _), engine in chosen.items() if part == "targets")
    for (part, name), engine in chosen.items():
        own = given[part][name].get("training")
        if own or engine != common:
            given[part][name]["training"] = {**(own or given["training"]), "engine": engine}
    given["training"] = {**given["training"], "engine": common}


def _reproduce(results: SweepResults, again: JsonObject | None) -> Iterator[str]:
    records = [run.record for run in results.runs if run.record]
    origins = [record.get("provenance") or {} for record in records]
    for command in dict.fromkeys(str(each["command"]) for each in origins if each.get("command")):
        yield f"computed by {literal(command)}"
    commits = [each["git"]["commit"] for each in origins if isinstance(each.get("git"), dict)]
    for commit in dict.fromkeys(map(str, commits)):
        yield f"in a repository at commit {literal(commit)}"
    for cpu in dict.fromkeys(str(each["cpu"]) for each in origins if each.get("cpu")):
        yield f"on {literal(cpu)}"
    if again is not None:
        yield f"`rl-transfer sweep ./{SUITE}` computes the runs again, under the same ids"

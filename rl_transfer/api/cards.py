"""A policy or classifier with its card: what is written, and what was measured and recorded of it."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from rl_transfer.api.results import load_sweep
from rl_transfer.errors import (
    ClassesDiffer,
    ConfigError,
    DataNotAtHand,
    MissingExtraError,
    NothingUnseen,
    RLTransferError,
)
from rl_transfer.frame import EvaluationRequest, Say, bundle_folder
from rl_transfer.report.classifier_card import ClassifierCard, TestScore
from rl_transfer.report.model_card import ModelCard, PlayedScore
from rl_transfer.report.run_card import RunCard, SweptCell
from rl_transfer.results import RunFolder, run_id
from rl_transfer.results.files import file_digest
from rl_transfer.results.manifest import NAME
from rl_transfer.results.published import PublishedClassifier, PublishedPolicy
from rl_transfer.spec import JsonObject, parse
from rl_transfer.spec.engine import SB3
from rl_transfer.spec.experiment import SingleTransferConfig
from rl_transfer.spec.yaml_text import yaml_text
from rl_transfer.sweep.dispatch import TRAIN, TRANSFER, bundle_kind, room
from rl_transfer.wording import counted

CARD = "README.md"
CONFIG = "config.yaml"
EPISODES = 100


@dataclass(frozen=True)
class Wanted:
    """What is to be written of which policy or classifier.

    Attributes:
        argument: names it.
        licence: as the Hub writes it; None: not given.
        episodes: to play for a policy's card; None: 100.
        seed: root seed of them; None: 0.
        onnx: write a graph too.
    """

    argument: str
    licence: str | None
    episodes: int | None
    seed: int | None
    onnx: bool


def write_published(wanted: Wanted, folder: Path, address: str, say: Say) -> None:
    """Bundle, config and card into an empty folder.

    Args:
        wanted: of what.
        folder: gets the files.
        address: where it can be loaded from, for the card.
        say: gets a line now and then.

    Raises:
        RLTransferError: it cannot be read or measured, or is asked for what it cannot have.
    """
    kind = bundle_kind(wanted.argument)
    say("writing the bundle")
    written = room(kind).publish(wanted.argument, folder, wanted.onnx)
    run = _run_of(wanted.argument)
    record = None if run is None else run.record()
    files = dict(written.files)
    config = None if record is None else _config(record)
    if config is not None:
        (folder / CONFIG).write_text(yaml_text(config), encoding="utf-8")
        files[CONFIG] = "the config of its run"
    swept, unjudged = _swept(run, say)
    common = RunCard(
        address=address,
        licence=wanted.licence,
        record=record,
        config=None if config is None else CONFIG,
        sweep=swept,
        unjudged=unjudged,
        digests={name: file_digest(folder / name) for name in files},
    )
    written = replace(written, files=files)
    card: ModelCard | ClassifierCard
    if isinstance(written, PublishedPolicy):
        scores = [*_played(wanted, folder, say), *([] if run is None else [_recorded(run, run.record())])]
        card = ModelCard(policy=written, scores=scores, **vars(common))
    else:
        card = _classifier_card(cast("PublishedClassifier", written), wanted, run, common, say)
    (folder / CARD).write_text(card.text(), encoding="utf-8")


def _played(wanted: Wanted, folder: Path, say: Say) -> list[PlayedScore]:
    """What a policy reaches in episodes of its own environment."""
    episodes, seed = EPISODES if wanted.episodes is None else wanted.episodes, wanted.seed or 0
    if not episodes:
        return []
    played = counted(episodes, "episode")
    say(f"playing {played}")
    measured = room(bundle_kind(str(folder))).evaluate(
        str(folder), EvaluationRequest(episodes=episodes, seed=seed)
    )
    what = f"this policy, {played} with root seed {seed}, likeliest actions"
    return [PlayedScore(what, cast("list[float]", measured["returns"]), fresh=True)]


def _classifier_card(
    written: PublishedClassifier, wanted: Wanted, run: RunFolder | None, common: RunCard, say: Say
) -> ClassifierCard:
    """A classifier is measured on its test part, where its data are at hand."""
    for name, value in (("episodes", wanted.episodes), ("seed", wanted.seed)):
        if value is not None:
            raise ConfigError(
                f"{wanted.argument} is {written.classifier}; it plays no episodes and is measured on its "
                f"test part. Leave {name} out"
            )
    say(f"measuring it on its test {written.items}")
    measured, confusion, unmeasured = None, None, ""
    try:
        found = room(written.kind).evaluate(wanted.argument, EvaluationRequest()).data
    except RLTransferError as error:
        say(f"not measured: {error.message}")
        unmeasured = _why_unmeasured(written, error)
    else:
        count, left_out = cast("int", found[written.items]), cast("int", found["left_out"])
        without = f", without {left_out:,} that it was trained on" if left_out else ""
        what = f"this classifier, on its test {written.items}{without}, measured for this card"
        measured = TestScore(what, cast("float", found["accuracy"]), count)
        confusion = cast("Sequence[Sequence[int]] | None", found["confusion"])
    return ClassifierCard(
        classifier=written,
        measured=measured,
        unmeasured=unmeasured,
        confusion=confusion,
        recorded=_recorded_accuracy(written, run),
        **vars(common),
    )


def _why_unmeasured(written: PublishedClassifier, error: RLTransferError) -> str:
    """For the card: the error's own message may name places on this machine."""
    if written.data is None:
        return "its bundle names no data"
    reasons = {
        NothingUnseen: f"it, or its source, was trained on all of its test {written.items}",
        ClassesDiffer: f"it cannot name the classes of its test {written.items}",
        DataNotAtHand: "the data that its bundle names could not be had where it was published",
        MissingExtraError: "a package that its data need was not installed where it was published",
    }
    found = (reason for each, reason in reasons.items() if isinstance(error, each))
    return next(found, "it could not be measured where it was published")


def _recorded_accuracy(written: PublishedClassifier, run: RunFolder | None) -> TestScore | None:
    """What the run that made it measured in the end."""
    if written.score is None:
        return None
    if run is None:
        what = "as its bundle says that it was measured in training; on what, it does not say"
        return TestScore(what, written.score, None)
    points, record = run.curve(), run.record()
    training, part = record["spec"]["training"] or {}, record["spec"]["evaluation"].get("part", "test")
    seen = (record.get("seen_by_source") or {}).get("seen", 0) if part == "test" else 0
    what, unused = f"the same, at the end of its run, on the {part} part", part == "test" and not seen
    if part != "test" and (training.get("keep") == "best" or training.get("early_stopping")):
        what += ", which also chose the epoch, and so too high"
    elif seen:
        what += f", {seen:,} of them trained on by its source"
    count = int(points[-1]["lengths"][0]) if points else None
    return TestScore(what, written.score, count, unused)


def _run_of(argument: str) -> RunFolder | None:
    """The finished run that a bundle belongs to; None if it stands alone."""
    run = RunFolder(bundle_folder(Path(argument)).parent)
    return run if run.bundle == bundle_folder(Path(argument)) and run.finished else None


def _recorded(run: RunFolder, record: JsonObject) -> PlayedScore:
    """What its training measured of the policy that it kept."""
    points = run.curve()
    if record["spec"]["training"]["keep"] == "best":
        best = max(points, key=lambda point: statistics.fmean(point["returns"]))
        what = f"its best of {len(points)} evaluations in training, chosen for being the best and so too high"
        return PlayedScore(what, tuple(best["returns"]))
    return PlayedScore("this policy, last evaluation of its training", tuple(points[-1]["returns"]))


def _config(record: JsonObject) -> JsonObject | None:
    """A config of ``train`` or ``transfer`` that makes the run again under its id; None if there is none."""
    spec = record["spec"]
    kind, source = spec["kind"], spec.get("source")
    model = TRANSFER[kind] if source else TRAIN[kind]
    given = {"kind": kind, "name": "published"}
    given |= {key: value for key, value in spec.items() if key in model.model_fields}
    if kind == "rl" and given.get("training"):
        given["training"] = {"engine": SB3, **given["training"]}  # a record leaves this one out
    if given.get("strategy"):
        given["strategy"] = {"name": "published", **given["strategy"]}
    try:
        config = parse(model, given)
    except ConfigError:
        return None
    run = config.transfer_run(source) if isinstance(config, SingleTransferConfig) else config.run()
    return given if run_id(run) == record["id"] else None


def _swept(run: RunFolder | None, say: Say) -> tuple[SweptCell | None, str]:
    """Where a run stands in the sweep that it is part of; or why nothing can be said of that."""
    root = None if run is None else run.path.absolute().parent.parent
    if run is None or root is None or not (root / NAME).is_file():
        return None, "the run is of no sweep, and a single run is compared with nothing (`rl-transfer sweep`)"
    say("analysing its sweep")
    try:
        sweep = load_sweep(root)
        rows = [each for each in sweep.runs if each.id == run.record()["id"]]
        keys = {(each.source, each.target, each.strategy) for each in rows if each.role == "target"}
        cells = [cell for cell in sweep.cells if cell.key in keys]
        source = next((each.source for each in rows if each.role == "source"), None)
        return SweptCell(sweep.matrix, cells, source), ""
    except RLTransferError as error:
        say(f"its sweep cannot be analysed: {error.message}")
        return None, "its sweep cannot be analysed"

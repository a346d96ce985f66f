"""A policy for others: its files and its card, in a new folder."""

from __future__ import annotations

import os
import re
import shutil
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from rl_transfer.api.given import check_path, check_say, check_truth, check_whole
from rl_transfer.api.repositories import NETWORKS
from rl_transfer.api.results import load_sweep
from rl_transfer.errors import ConfigError, RLTransferError, StoreError
from rl_transfer.frame import EvaluationRequest, Say, bundle_folder, silent
from rl_transfer.hub import SCHEME, HubTarget
from rl_transfer.report.model_card import ModelCard, PlayedScore, SweptCell
from rl_transfer.results import RunFolder, run_id
from rl_transfer.results.files import file_digest
from rl_transfer.results.manifest import NAME
from rl_transfer.spec import JsonObject, parse
from rl_transfer.spec.engine import SB3
from rl_transfer.spec.experiment import SingleTransferConfig
from rl_transfer.spec.yaml_text import yaml_text
from rl_transfer.sweep.dispatch import TRAIN, TRANSFER, bundle_kind, room
from rl_transfer.wording import counted

CARD = "README.md"
CONFIG = "config.yaml"
_LICENCE = re.compile(r"[a-z0-9][a-z0-9.+-]{0,63}")


def publish(
    policy: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    license: str | None = None,
    episodes: int = 100,
    seed: int = 0,
    onnx: bool = False,
    private: bool = False,
    say: Say = silent,
) -> str:
    """Write a policy for others: bundle, zip for Stable-Baselines3, config, model card.

    Args:
        policy: a bundle, a run folder, an address such as ``results/x:heavy/fine-tune/0``, or what
            ``rt.train`` and ``rt.transfer`` give.
        target: the new folder (one that exists must be empty), or ``hf://user/repository`` on the Hugging
            Face Hub (extra ``hub``), created if there is none.
        license: as the Hub writes it, ``mit``; None: the card says that none was given.
        episodes: how many are played for the card's score, in the policy's own environment; 0: none.
        seed: root seed of the episodes.
        onnx: write it as an ONNX graph too (extra ``onnx``).
        private: whether a repository that is created is private.
        say: gets a line now and then.

    Returns:
        The folder or address; it is a source, and a policy to evaluate, like any other bundle.

    Raises:
        BundleError: there is no such policy, it was altered, no graph acts like it, or the Hub refuses.
        StoreError: the folder is not empty, or cannot be written.
        ConfigError: an argument is malformed, or ``private`` and a folder were given.
        EnvironmentSpecError: the policy's environment cannot be built.
        MissingExtraError: an extra that is needed is not installed.
    """
    for name, path in (("policy", policy), ("target", target)):
        check_path(name, path, needed=True)
    for name, number in (("episodes", episodes), ("seed", seed)):
        check_whole(name, number, 0, needed=True)
    for name, truth in (("onnx", onnx), ("private", private)):
        check_truth(name, truth)
    check_say(say)
    argument, place = os.fspath(policy), os.fspath(target)
    wanted = _Wanted(argument, checked_licence(license), episodes, seed, onnx)
    refuse_private_folder(place, private)
    if not place.startswith(SCHEME):
        with new_folder(Path(place)) as scratch:
            _write(wanted, scratch, "FOLDER", say)
        return place
    hub = HubTarget(place, NETWORKS)
    with tempfile.TemporaryDirectory() as scratch_name:
        _write(wanted, Path(scratch_name), place, say)
        say("sending it")
        hub.send(Path(scratch_name), private=private)
    return place


@dataclass(frozen=True)
class _Wanted:
    """What is to be written of which policy."""

    argument: str
    licence: str | None
    episodes: int
    seed: int
    onnx: bool


def _write(wanted: _Wanted, folder: Path, address: str, say: Say) -> None:
    """Policy, config and card into an empty folder."""
    runner = room(bundle_kind(wanted.argument))
    say("writing the policy")
    written = runner.publish(wanted.argument, folder, wanted.onnx)
    run = _run_of(wanted.argument)
    record = None if run is None else run.record()
    scores, files = [], dict(written.files)
    if wanted.episodes:
        played = counted(wanted.episodes, "episode")
        say(f"playing {played}")
        request = EvaluationRequest(episodes=wanted.episodes, seed=wanted.seed)
        returns = cast("list[float]", runner.evaluate(str(folder), request)["returns"])
        what = f"this policy, {played} with root seed {wanted.seed}, likeliest actions"
        scores.append(PlayedScore(what, returns, fresh=True))
    if run is not None and record is not None:
        scores.append(_recorded(run, record))
        config = _config(record)
        if config is not None:
            (folder / CONFIG).write_text(yaml_text(config), encoding="utf-8")
            files[CONFIG] = "the config of its run"
    swept, unjudged = _swept(run, say)
    card = ModelCard(
        policy=replace(written, files=files),
        address=address,
        licence=wanted.licence,
        scores=scores,
        record=record,
        config=CONFIG if CONFIG in files else None,
        sweep=swept,
        unjudged=unjudged,
        digests={name: file_digest(folder / name) for name in files},
    )
    (folder / CARD).write_text(card.text(), encoding="utf-8")


@contextmanager
def new_folder(target: Path) -> Iterator[Path]:
    """A folder that appears whole or not at all.

    Args:
        target: it must not exist, or be empty.

    Yields:
        A folder beside it to write into; it becomes the target when the block ends without an error.

    Raises:
        StoreError: something lies there already, or cannot be written.
    """
    scratch = target.absolute().parent / f".{target.absolute().name}.{os.getpid()}.partial"
    missing: list[Path] = []
    try:
        _refuse_occupied(target)
        missing += (each for each in scratch.parents if not each.exists())
        scratch.mkdir(parents=True)
        yield scratch
        if target.exists():
            target.rmdir()  # an empty one; whatever was put there meanwhile stays
        scratch.rename(target)
    except OSError as error:
        raise StoreError(
            f"{target} cannot be written: {error.strerror or error}; choose another folder"
        ) from None
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        with suppress(OSError):  # one that holds the target is not empty
            for each in missing:
                each.rmdir()


def _refuse_occupied(target: Path) -> None:
    if re.match("(?i)hf:/", str(target)):
        raise StoreError(
            f"{target} is no folder; the Hub is addressed as hf://user/repository, a sweep's data set there "
            "as hf://datasets/user/repository"
        )
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise StoreError(f"{target} is no folder; nothing of yours is overwritten, choose another one")
    if target.is_dir() and any(target.iterdir()):
        raise StoreError(f"{target} is not empty, and nothing in it is overwritten; choose another folder")
    if target.is_dir() and target.samefile(Path.cwd()):
        raise StoreError(f"{target} is the folder that you are in; choose a new one")


def refuse_private_folder(place: str, private: bool) -> None:
    """Refuse ``private`` where nothing goes to the Hub.

    Args:
        place: a folder, or an address on the Hub.
        private: what was asked for.

    Raises:
        ConfigError: a private folder.
    """
    if private and not place.startswith(SCHEME):
        raise ConfigError(f"private, and {place} is a folder: name an address on the Hub, or leave it out")


def checked_licence(given: str | None) -> str | None:
    """A licence as the Hub and SPDX write it.

    Args:
        given: by whoever publishes; None: nothing.

    Returns:
        The same in small letters.

    Raises:
        ConfigError: it is no single word.
    """
    if given is None:
        return None
    if isinstance(given, str) and _LICENCE.fullmatch(given.lower()):
        return given.lower()
    raise ConfigError(
        f"licence {given!r}: expected one word as the Hugging Face Hub and SPDX write it, such as mit, "
        "apache-2.0 or cc-by-4.0"
    )


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
    if source:
        given["strategy"] = {"name": "published", **spec["strategy"]}
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
        return None, f"its sweep cannot be analysed: {error.message}"

"""A small sweep folder, every way in which a file of it is damaged, and what reading it says afterwards."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from pathlib import Path

import torch

from rl_transfer.core import save_bundle
from rl_transfer.errors import StoreError
from rl_transfer.results import RunFolder, read_manifest, write_manifest
from support.records import write_finished

RUN, OTHER = "4b1dd1f9c0ffee00", "7e57ed0000facade"
FILES = ("record.json", "spec.json", "curve.jsonl", "bundle/bundle.json", "bundle/tensors.safetensors")
FLIPS = 60
"""Bits that are flipped in each file, one at a time, drawn by lot."""

Damage = Callable[[Path, Path], None]
"""Damages a file; is also given the same file of another run, or another sweep."""


def empty(path: Path, _other: Path) -> None:
    path.write_bytes(b"")


def halve(path: Path, _other: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def flip(seed: int) -> Damage:
    def damage(path: Path, _other: Path) -> None:
        content = bytearray(path.read_bytes())
        content[random.Random(seed).randrange(len(content))] ^= 1 << seed % 8
        path.write_bytes(bytes(content))

    return damage


def delete(path: Path, _other: Path) -> None:
    path.unlink()


def swap(path: Path, other: Path) -> None:
    shutil.copy(other, path)


DAMAGES: dict[str, tuple[Damage, ...]] = {
    "emptied": (empty,),
    "cut in half": (halve,),
    "a bit flipped": tuple(flip(seed) for seed in range(FLIPS)),
    "deleted": (delete,),
    "another run's": (swap,),
}


def renumber(run: Path, other: Path) -> None:
    shutil.rmtree(run)
    shutil.copytree(other, run)


def renumber_record(run: Path, _other: Path) -> None:
    text = (run / "record.json").read_text(encoding="utf-8")
    (run / "record.json").write_text(text.replace(OTHER, RUN), encoding="utf-8")


def renumber_all(run: Path, other: Path) -> None:
    renumber(run, other)
    renumber_record(run, other)


def results_of_another(run: Path, other: Path) -> None:
    for name in ("record.json", "curve.jsonl"):
        shutil.copy(other / name, run / name)


def one_return(run: Path, _other: Path) -> None:
    text = (run / "curve.jsonl").read_text(encoding="utf-8")
    (run / "curve.jsonl").write_text(text.replace("[1.0]", "[9.0]"), encoding="utf-8")


def longer_budget(run: Path, _other: Path) -> None:
    text = (run / "record.json").read_text(encoding="utf-8")
    (run / "record.json").write_text(text.replace('"total_steps": 0', '"total_steps": 9'), encoding="utf-8")


def swap_bundles(run: Path, other: Path) -> None:
    shutil.rmtree(run / "bundle")
    shutil.copytree(other / "bundle", run / "bundle")


WHOLE: dict[str, Damage] = {
    "another run's folder under this id": renumber,
    "the same, with this id written into its record": renumber_all,
    "record and curve of another run": results_of_another,
    "a return edited in the curve": one_return,
    "the budget edited in the record": longer_budget,
    "the bundle of another run, sound in itself": swap_bundles,
}


def make(root: Path) -> Path:
    """A sweep with two finished runs; returns its folder."""
    root.mkdir(parents=True, exist_ok=True)
    rows = [{"id": name, "role": "source", "seed": k} for k, name in enumerate((RUN, OTHER))]
    write_manifest(root, {"name": root.name, "kind": "rl", "config": {}, "runs": rows})
    for k, name in enumerate((RUN, OTHER)):
        run = root / "runs" / name
        save_bundle(run / "bundle", {"weight": torch.full((8,), k + 0.5)}, {"run": name})
        write_finished(run, score=k + 1.0, spec={"seed": k}, kind="rl")
    return root


def of_run(folder: Path) -> str:
    """The state that a run is read as, its bundle included."""
    return RunFolder(folder).read(bundle=True).state


def of_manifest(folder: Path) -> str:
    """``refused``, or ``read``."""
    try:
        read_manifest(folder)
    except StoreError:
        return "refused"
    return "read"


def outcomes(scratch: Path, name: str, damages: tuple[Damage, ...]) -> set[str]:
    """What a file is read as after each of some damages; it is mended in between."""
    shutil.rmtree(scratch, ignore_errors=True)
    sweep, other = make(scratch / "sweep"), make(scratch / "other")
    runs = sweep / "runs"
    whole = name == "sweep.json"
    path, foreign = (sweep / name, other / name) if whole else (runs / RUN / name, runs / OTHER / name)
    sound, found = path.read_bytes(), set()
    for damage in damages:
        damage(path, foreign)
        found.add(of_manifest(sweep) if whole else of_run(runs / RUN))
        path.write_bytes(sound)
    return found


def whole_outcome(scratch: Path, damage: Damage) -> str:
    """What a run is read as after a damage of more than one file, or of one number."""
    shutil.rmtree(scratch, ignore_errors=True)
    runs = make(scratch) / "runs"
    damage(runs / RUN, runs / OTHER)
    return of_run(runs / RUN)

"""Does a classifier's head work behind another trunk, or on another domain, after a map without labels?

    python benchmarks/feature_alignment.py                            # five seeds, ten minutes on one core
    python benchmarks/feature_alignment.py --seeds 2 --unlabelled 64  # a quick look

Prints two Markdown tables of accuracies, mean and range over seeds. Sources are ResNet-8s trained on letters
in ten font faces. First table: their heads behind the trunks of other networks, for the same letters that
nobody was trained on; beside them the source as it is, the control (a map from shuffled pairs), and a new
head on as many *labelled* images behind the same trunk. Second table: the source on letters in nine other
faces, as it is and with its features matched to home (CORAL). What is trained is kept in --output.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rl_transfer.image.room import IMAGES, ROOM
from rl_transfer.results import RunStore, run_id
from rl_transfer.spec import locate
from rl_transfer.spec.image import ImageRun
from rl_transfer.spec.yaml_map import read_yaml
from rl_transfer.supervised.alignment import features_of
from rl_transfer.supervised.batches import Batches
from rl_transfer.supervised.bundle import load_network
from rl_transfer.supervised.classifier import Network
from rl_transfer.supervised.data import LabelledSet
from rl_transfer.supervised.evaluate import measuring, predict
from rl_transfer.supervised.predictions import named_accuracy
from rl_transfer.supervised.probe import fit_probe
from rl_transfer.supervised.realign import Realigned, realign
from rl_transfer.supervised.seen import measurable

UNLABELLED = (16, 64, 256, 1024)
TRUNKS: dict[str, dict[str, Any]] = {
    "letters, other weights": {"seed": 100},
    "faces": {"data": {"label": "face"}},
    "letters, half as wide": {"model": {"width": 8}},
    "untrained": {"training": {"epochs": 0}},
}
"""Name → what is another than in ``configs/train/image-letters.yaml``."""
VARIANTS = 25


def config(name: str) -> dict[str, Any]:
    """A shipped config as data."""
    return dict(read_yaml(locate(name, "train" if name == "image-letters" else "suites")).data)


def network(store: RunStore, seed: int, changes: dict[str, Any]) -> Network:
    """Train a network, or reuse it."""
    letters = config("image-letters")
    described = {key: letters[key] for key in ("model", "data", "training", "evaluation")}
    for key, value in changes.items():
        described[key] = {**described[key], **value} if isinstance(value, dict) else seed + value
    run = ImageRun.model_validate_json(json.dumps({"seed": seed, "strategy": {}, **described}))
    folder = store.folder(run_id(run))
    if not folder.finished:
        ROOM.execute(run, folder, None, say=lambda _: None)
    return load_network(IMAGES, folder.bundle)


def unseen(source: Network, faces: Sequence[str]) -> LabelledSet:
    """Letters in these faces that the source was not trained on."""
    letters = config("image-letters")["data"]
    described = {**letters, "faces": [*faces], "variants": VARIANTS}
    run = ImageRun.model_validate_json(json.dumps({"data": described, "model": {"name": "small-resnet"}}))
    return measurable(IMAGES, source, run.data).items


def accuracies(found: Realigned, classes: tuple[str, ...]) -> dict[str, float]:
    """Of the aligned network and of what stands beside it."""
    networks = {"aligned": (found.module, found.preprocessing), **found.beside}
    measured = {}
    for name, (module, preprocessing) in networks.items():
        with measuring(module):
            each = predict(module, Batches(found.items, preprocessing), 512, torch.device("cpu"))
        measured[name] = named_accuracy(each, classes, classes)
    return measured


def labelled_head(trunk: Network, items: LabelledSet, rest: LabelledSet, classes: int) -> float:
    """Accuracy of a new head that was trained to convergence on labelled images."""
    train, test = (torch.from_numpy(features_of(trunk, each)) for each in (items, rest))
    labels = [torch.from_numpy(each.labels) for each in (items, rest)]
    return fit_probe(train, labels[0], classes).accuracy(test, labels[1])


def rows_of_trunks(store: RunStore, seeds: range, counts: Sequence[int]) -> Iterator[tuple[str, list[Any]]]:
    """Heads behind other trunks: (trunk and images, accuracies of each seed)."""
    for name, changes in TRUNKS.items():
        for count in counts:
            rows = []
            for seed in seeds:
                source, trunk = network(store, seed, {}), network(store, seed, changes)
                items = unseen(source, config("image-letters")["data"]["faces"])
                found = realign(IMAGES, source, trunk, items, count)
                classes = source.classes or ()
                chosen = np.random.default_rng(seed).permutation(len(items))[:count]
                rest = np.setdiff1d(np.arange(len(items)), chosen)[:2000]
                new = labelled_head(trunk, items.subset(chosen), items.subset(rest), len(classes))
                rows.append({**accuracies(found, classes), "labelled": new})
            yield f"{name} | {count:,}", rows


def rows_of_domains(store: RunStore, seeds: range, counts: Sequence[int]) -> Iterator[tuple[str, list[Any]]]:
    """The source in other faces, as it is and matched."""
    faces = config("image-quickstart")["targets"]["other-faces"]["data"]["faces"]
    for count in counts:
        rows = []
        for seed in seeds:
            source = network(store, seed, {})
            found = realign(IMAGES, source, None, unseen(source, faces), count)
            rows.append(accuracies(found, source.classes or ()))
        yield f"{count:,}", rows


def table(heads: str, names: dict[str, str], rows: Iterator[tuple[str, list[Any]]]) -> None:
    """Print rows as they come."""
    print(f"| {heads} | {' | '.join(names)} |")
    print(f"|---|{'---|' * (heads.count('|') + len(names))}")
    for label, found in rows:
        cells = []
        for key in names.values():
            values = [each[key] for each in found]
            cells.append(f"{np.mean(values):.3f} ({min(values):.3f} … {max(values):.3f})")
        print(f"| {label} | {' | '.join(cells)} |", flush=True)
    print()


def main() -> None:
    """Train what is missing and print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--unlabelled", type=int, nargs="+", default=UNLABELLED)
    parser.add_argument("--output", type=Path, help="a folder for the networks; none: they are not kept")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as temporary:
        store = RunStore(chosen.output or Path(temporary), events=False).open()
        seeds = range(chosen.seeds)
        behind = {
            "head, aligned": "aligned",
            "as it is": "as_it_is",
            "shuffled pairs": "shuffled",
            "new head, labelled": "labelled",
        }
        table("trunk | images", behind, rows_of_trunks(store, seeds, chosen.unlabelled))
        matched = {"matched": "aligned", "as it is": "as_it_is"}
        table("images", matched, rows_of_domains(store, seeds, chosen.unlabelled))


if __name__ == "__main__":
    main()

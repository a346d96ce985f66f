"""Does a term against the gap between domains close it on images, and is the classifier the better for it?

    python benchmarks/domain_gap.py              # five seeds
    python benchmarks/domain_gap.py --seeds 1    # a quick look
    python benchmarks/domain_gap.py --unlabelled 320   # the terms see 320 images of the target without labels

A small ResNet learns half of the handwritten digits that scikit-learn ships. The other half are inverted,
noisy or turned by a quarter (`--domains turned`), and it is fine-tuned on five labelled images per class of
them: alone, and with each kind of `match`, between the source's images and the labelled ones or, with
`--unlabelled`, others of the target. Prints a Markdown table: gaps behind the trunk on test images of both
domains, the accuracy, and its difference to fine-tuning alone, seed by seed, with 95 % intervals.
Control: a source of digits whose pixels are shuffled; a term that helps there as much does not need the
source's domain.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from rl_transfer.analysis.arm_statistics import mean_interval
from rl_transfer.core.gaps import LEAST, gap_by_label, mmd
from rl_transfer.image.room import IMAGES, ROOM
from rl_transfer.results import RunFolder, RunStore, run_id
from rl_transfer.spec.image import ImageRun
from rl_transfer.supervised.alignment import BATCH_SIZE, features_of
from rl_transfer.supervised.bundle import load_network
from rl_transfer.supervised.measures import Home

MODEL = {"name": "small-resnet", "width": 8, "blocks": [1, 1], "input": {"size": 8}}
SGD = {"name": "SGD", "learning_rate": 0.05, "momentum": 0.9, "weight_decay": 0.0005}
TRAINING = {"batch_size": 32, "optimizer": SGD, "schedule": {"name": "cosine"}}
GENTLY = {**TRAINING, "optimizer": {**SGD, "learning_rate": 0.01}, "max_grad_norm": 5.0}
"""Of the target: the rate of Ganin et al. 2016. At 0.05 their discriminators diverged."""
SHOTS, EPOCHS, SOURCE_EPOCHS = 5, 40, 12
ARMS: Mapping[str, dict[str, Any] | None] = {
    "fine-tune": None,
    "CORAL": {"kind": "coral", "strength": 1.0},
    "MMD": {"kind": "mmd", "strength": 1.0},
    "MMD, given the class": {"kind": "mmd", "strength": 1.0, "conditional": True},
    "adversarial": {"kind": "adversarial", "strength": 1.0},
    "adversarial, strength 0.1": {"kind": "adversarial", "strength": 0.1},
}
CONTROLS = ("fine-tune", "MMD")
"""Arms that are trained from shuffled pixels, too."""
SOURCES = {"home": "digits", "shuffled": "shuffled pixels (control)"}
Images = NDArray[np.uint8]


def domains(root: Path) -> dict[str, Path]:
    """Name of a domain → its images as a file; ``home`` is the source's, ``shuffled`` the control's."""
    found = load_digits()
    images = np.round(found.images * (255 / 16)).astype(np.uint8)
    half = len(images) // 2
    home, away = images[:half], images[half:]
    generator = np.random.default_rng(0)
    noise = generator.normal(scale=80.0, size=away.shape)
    order = generator.permutation(64)
    kinds: dict[str, tuple[Images, slice]] = {
        "home": (home, slice(half)),
        "shuffled": (home.reshape(-1, 64)[:, order].reshape(-1, 8, 8), slice(half)),
        "inverted": (255 - away, slice(half, None)),
        "noisy": (np.clip(away + noise, 0, 255).astype(np.uint8), slice(half, None)),
        "turned": (np.rot90(away, axes=(1, 2)).copy(), slice(half, None)),
    }
    for name, (pictures, rows) in kinds.items():
        np.savez(root / f"{name}.npz", images=pictures, labels=found.target[rows],
                 classes=np.array([str(each) for each in range(10)]))  # fmt: skip
    return {name: root / f"{name}.npz" for name in kinds}


def trained(store: RunStore, path: Path, seed: int, source: RunFolder | None, **fields: Any) -> RunFolder:
    """Train a network, or take it from the store."""
    data = {"name": "arrays", "path": str(path), "test": 0.5, **fields.pop("data", {})}
    evaluation = {
        "every": fields["training"]["epochs"],
    }
    described = {"seed": seed, "data": data, "model": MODEL, "evaluation": evaluation, **fields}
    if source is not None:
        described["source"] = source.path.name
    run = ImageRun.model_validate_json(json.dumps(described))
    run = run if run.data is None else run.model_copy(update={"data": run.data.planned()})
    folder = store.folder(run_id(run))
    if not folder.finished:
        ROOM.execute(run, folder, None if source is None else source.bundle, say=lambda _: None)
    return folder


def figures(source: RunFolder, folder: RunFolder) -> dict[str, float]:
    """Accuracy at the end, and the gaps behind the trunk, of the copied network and of the trained one."""
    before, after = (load_network(IMAGES, each.bundle) for each in (source, folder))
    tests = []
    for network in (before, after):
        splits = Home(IMAGES, network, BATCH_SIZE).splits
        if splits is None:
            raise SystemExit(f"{folder.path}: its images are gone")
        tests.append(splits.test)
    labels = [torch.from_numpy(each.labels) for each in tests]
    found = {"accuracy": float(np.mean(folder.curve()[-1]["returns"]))}
    for moment, network in (("before", before), ("after", after)):
        rows = [torch.from_numpy(features_of(network, each)) for each in tests]
        given = gap_by_label(mmd, rows[0], rows[1], labels[0], labels[1], LEAST)
        found[f"marginal {moment}"] = float(mmd(rows[0], rows[1]))
        found[f"conditional {moment}"] = math.nan if given is None else float(given.value)
    return found


Row = tuple[str, str]
"""The source and the arm."""


def arms(
    store: RunStore, files: Mapping[str, Path], domain: str, seed: int, unlabelled: int | None
) -> Iterator[tuple[Row, dict[str, float]]]:
    """Every arm of a domain and seed with its figures; no label, no gap given the class."""
    more = {} if unlabelled is None else {"unlabelled": unlabelled}
    sources = {
        name: trained(store, files[name], seed, None, strategy={},
                      training={**TRAINING, "epochs": SOURCE_EPOCHS})
        for name in SOURCES
    }  # fmt: skip
    keys = {"data": {"shots": SHOTS}, "training": {**GENTLY, "epochs": EPOCHS}}
    for name, match in ARMS.items():
        if match is not None and match.get("conditional") and unlabelled is not None:
            continue
        for kind in SOURCES if name in CONTROLS else ("home",):
            verbs = {"copy": ["all"], **({} if match is None else {"match": {**match, **more}})}
            folder = trained(store, files[domain], seed, sources[kind], strategy=verbs, **keys)
            yield (kind, name), figures(sources[kind], folder)


def shown(values: list[float], digits: int = 3) -> str:
    """Mean and 95 % interval."""
    found = mean_interval(values, 0.95)
    if not found.defined:
        return f"{found.point:+.{digits}f}"
    return f"{found.point:+.{digits}f} [{found.low:+.{digits}f}, {found.high:+.{digits}f}]"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--domains", nargs="+", default=["inverted", "noisy"])
    parser.add_argument("--unlabelled", type=int, help="images of the target that the terms see instead")
    parser.add_argument("--output", type=Path, help="a folder for the networks; none: they are not kept")
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| domain | source | arm | MMD², before → after | given the class | accuracy | gain over fine-tune |"
    )
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as temporary:
        root = chosen.output or Path(temporary)
        root.mkdir(parents=True, exist_ok=True)
        store, files = RunStore(root, events=False).open(), domains(root)
        for domain in chosen.domains:
            found: dict[Row, list[dict[str, float]]] = {}
            for seed in range(chosen.seeds):
                for row, each in arms(store, files, domain, seed, chosen.unlabelled):
                    found.setdefault(row, []).append(each)
            for (kind, name), rows in found.items():
                columns = {key: [each[key] for each in rows] for key in rows[0]}
                alone = [each["accuracy"] for each in found[kind, "fine-tune"]]
                gains = [a - b for a, b in zip(columns["accuracy"], alone, strict=True)]
                gaps = [
                    f"{np.mean(columns[f'{form} before']):.3f} → {np.mean(columns[f'{form} after']):.3f}"
                    for form in ("marginal", "conditional")
                ]
                gain = "" if name == "fine-tune" else shown(gains)
                accuracy = f"{np.mean(columns['accuracy']):.3f}"
                cells = [domain, SOURCES[kind], name, *gaps, accuracy, gain]
                print(f"| {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()

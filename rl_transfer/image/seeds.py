"""Randomness of one image run: its named streams, and the one place that seeds torch's generators.

Networks initialise themselves, and dropout and augmentation draw, from torch's global generator.
A run therefore works inside :func:`isolated`, after which the global generators are as they were.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from rl_transfer.seeding import integer_seed
from rl_transfer.spec.image import ImageRun
from rl_transfer.spec.image_data import ImageData


def _task(run: ImageRun) -> str:
    return "pretrained" if run.data is None else run.data.digest


def network_seed(run: ImageRun) -> int:
    """Seed of the network's initialisation; the same for every strategy on a target."""
    return integer_seed(run.root_seed, "network", _task(run), run.seed)


def training_seed(run: ImageRun) -> int:
    """Seed of training: order of the images, augmentation, dropout."""
    return integer_seed(run.root_seed, "training", _task(run), run.seed)


def transfer_seed(run: ImageRun) -> int:
    """Seed of whatever a strategy draws when it changes weights."""
    return integer_seed(run.root_seed, "transfer", _task(run), run.seed)


def split_seed(root_seed: int, data: ImageData) -> int:
    """Seed of the held-out test part: one per data set, the same for every seed index."""
    return integer_seed(root_seed, "split", data.split_digest)


def shots_seed(root_seed: int, seed: int, data: ImageData) -> int:
    """Seed of the choice of labelled images: one per data set and seed index, for every strategy."""
    return integer_seed(root_seed, "shots", data.split_digest, seed)


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Run the body on global generators seeded with ``seed``; afterwards they are as they were."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - third-party transforms may know only the global one
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002

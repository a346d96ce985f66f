"""Randomness of one supervised run: its named streams.

Networks initialise themselves, and dropout and augmentation draw, from torch's global generator.
A run therefore works inside :func:`rl_transfer.core.isolated`, which leaves the generators as they were.
"""

from __future__ import annotations

from rl_transfer.seeding import integer_seed
from rl_transfer.spec.labelled import LabelledData
from rl_transfer.spec.supervised import SupervisedRun


def _task(run: SupervisedRun) -> str:
    return "pretrained" if run.data is None else run.data.digest


def network_seed(run: SupervisedRun) -> int:
    """Seed of the network's initialisation; the same for every strategy on a target.

    Args:
        run: its data, root seed and seed index count.
    """
    return integer_seed(run.root_seed, "network", _task(run), run.seed)


def training_seed(run: SupervisedRun) -> int:
    """Seed of training: order of the items, augmentation, dropout.

    Args:
        run: its data, root seed and seed index count.
    """
    return integer_seed(run.root_seed, "training", _task(run), run.seed)


def transfer_seed(run: SupervisedRun) -> int:
    """Seed of whatever a strategy draws when it changes weights.

    Args:
        run: its data, root seed and seed index count.
    """
    return integer_seed(run.root_seed, "transfer", _task(run), run.seed)


def split_seed(root_seed: int, data: LabelledData) -> int:
    """Seed of the held-out test part: one per data set, the same for every seed index.

    Args:
        root_seed: root of the random streams.
        data: what is split.
    """
    return integer_seed(root_seed, "split", data.split_digest)


def shots_seed(root_seed: int, seed: int, data: LabelledData) -> int:
    """Seed of the choice of labelled items: one per data set and seed index, for every strategy.

    Args:
        root_seed: root of the random streams.
        seed: seed index.
        data: what is drawn from.
    """
    return integer_seed(root_seed, "shots", data.split_digest, seed)

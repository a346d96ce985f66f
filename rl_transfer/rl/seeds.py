"""Randomness of one RL run: its streams, the one place that seeds globally, and isolation.

SB3 draws minibatch permutations from NumPy's global generator and actions from torch's, so a
run needs those seeded. :func:`seed_model` is the only place in this package that does so; it is
called once per run, after the model is built and the transfer applied, so that a run's numbers
do not depend on how much randomness building the model used up.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch

from rl_transfer.seeding import integer_seed, integer_seeds
from rl_transfer.spec import Environment, RLRun

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm


def network_seed(run: RLRun) -> int:
    """Seed of the network's initialisation; the same for every strategy on a target."""
    return integer_seed(run.root_seed, "network", run.env.digest, run.seed)


def training_seed(run: RLRun) -> int:
    """Seed of training: environments, action sampling, minibatches."""
    return integer_seed(run.root_seed, "training", run.env.digest, run.seed)


def transfer_seed(run: RLRun) -> int:
    """Seed of whatever a strategy draws when it changes weights."""
    return integer_seed(run.root_seed, "transfer", run.env.digest, run.seed)


def evaluation_seeds(run: RLRun, evaluation: int) -> list[int]:
    """Episode seeds of evaluation k: they depend on the environment and the seed index alone.

    Every strategy on a target so meets the same start states (common random numbers).
    """
    return integer_seeds(
        run.evaluation.episodes, run.root_seed, "evaluation", run.env.digest, run.seed, evaluation
    )


def retention_seeds(run: RLRun, source: Environment) -> list[int]:
    """Episode seeds of the retention evaluation in the source environment."""
    return integer_seeds(run.evaluation.episodes, run.root_seed, "retention", source.digest, run.seed)


def seed_model(model: BaseAlgorithm, seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators, the action space and the environments."""
    model.set_random_seed(seed)


@contextmanager
def isolated(seed: int) -> Iterator[None]:
    """Run the body on global generators seeded with ``seed``; afterwards they are as they were."""
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        random.seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - SB3's distributions know only the global one
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002

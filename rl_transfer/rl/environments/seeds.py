"""Randomness of one RL run: its streams and the one place that seeds globally.

SB3 draws minibatch permutations from NumPy's global generator and actions from torch's, so a
run needs those seeded. :func:`seed_model` is the only place in this package that does so; it is
called once per run, after the model is built and the transfer applied, so that a run's numbers
do not depend on how much randomness building the model used up.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rl_transfer.seeding import integer_seed, integer_seeds
from rl_transfer.spec import Environment, RLRun

if TYPE_CHECKING:
    from stable_baselines3.common.base_class import BaseAlgorithm


def network_seed(run: RLRun) -> int:
    """Seed of the network's initialisation; the same for every strategy on a target.

    Args:
        run: its root seed, environment and seed index count.
    """
    return integer_seed(run.root_seed, "network", run.env.digest, run.seed)


def training_seed(run: RLRun) -> int:
    """Seed of training: environments, action sampling, minibatches.

    Args:
        run: its root seed, environment and seed index count.
    """
    return integer_seed(run.root_seed, "training", run.env.digest, run.seed)


def transfer_seed(run: RLRun) -> int:
    """Seed of whatever a strategy draws when it changes weights.

    Args:
        run: its root seed, environment and seed index count.
    """
    return integer_seed(run.root_seed, "transfer", run.env.digest, run.seed)


def alignment_seed(run: RLRun) -> int:
    """Seed of the samples that maps are estimated from; the same for every strategy on a target.

    Args:
        run: its root seed, environment and seed index count.
    """
    return integer_seed(run.root_seed, "alignment", run.env.digest, run.seed)


def resumption_seed(run: RLRun, step: int) -> int:
    """Seed of environments that an interrupted run cannot put back to where they were.

    Args:
        run: its root seed, environment and seed index count.
        step: of the budget, where it goes on.
    """
    return integer_seed(run.root_seed, "resumption", run.env.digest, run.seed, step)


def evaluation_seeds(run: RLRun, evaluation: int) -> list[int]:
    """Episode seeds of evaluation k: they depend on the environment and the seed index alone.

    Every strategy on a target so meets the same start states (common random numbers).

    Args:
        run: its root seed, environment, seed index and number of episodes count.
        evaluation: k, 0 for the one before training.
    """
    return integer_seeds(
        run.evaluation.episodes, run.root_seed, "evaluation", run.env.digest, run.seed, evaluation
    )


def retention_seeds(run: RLRun, source: Environment) -> list[int]:
    """Episode seeds of the retention evaluation in the source environment.

    Args:
        run: its root seed, seed index and number of episodes count.
        source: where the source policy was trained.
    """
    return integer_seeds(run.evaluation.episodes, run.root_seed, "retention", source.digest, run.seed)


def diagnostics_seed(run: RLRun) -> int:
    """Seed of the rollouts that a policy's inside is looked at with; the same for every strategy on a target.

    Args:
        run: its root seed, environment and seed index count.
    """
    return integer_seed(run.root_seed, "diagnostics", run.env.digest, run.seed)


def seed_model(model: BaseAlgorithm, seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators, the action space and the environments.

    Args:
        model: built and transferred, not yet trained.
        seed: of :func:`training_seed`.
    """
    model.set_random_seed(seed)

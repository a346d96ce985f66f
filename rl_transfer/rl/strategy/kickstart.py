"""Kickstarting as a loss hook: the source policy teaches while the student learns (Schmitt et al. 2018)."""

from __future__ import annotations

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from torch import Tensor

from rl_transfer import core
from rl_transfer.core import PartMap
from rl_transfer.errors import TransferError
from rl_transfer.rl.environments.spaces import same_shape
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.traits import names_with, traits_of
from rl_transfer.rl.strategy.buffered import buffered_states
from rl_transfer.rl.strategy.distributions import check_distribution, distribution, divergence
from rl_transfer.spec import Algorithm, StrategyVerbs
from rl_transfer.spec.strategy import Kickstart

BATCH = 256
"""States per term."""


class KickstartLoss:
    """Pulls the student's actions to the teacher's on states of the student's own buffer.

    Deviation from Schmitt et al. 2018: the states are a minibatch drawn from the buffer on a
    generator of its own, not the minibatch of the update itself; the weight follows a fixed
    schedule instead of population-based training.

    Args:
        config: strength and the share of the budget at which it has fallen to nothing.
        teacher: what :func:`check_teacher` let pass.
        seed: of the minibatches.
    """

    def __init__(self, config: Kickstart, teacher: Policy, seed: int) -> None:
        self._coefficient = core.AnnealedCoefficient(config.strength, config.until)
        self._algorithm, self._teacher = teacher.algorithm.name, teacher.module
        self._generator = np.random.default_rng(seed)

    def loss(self, model: BaseAlgorithm, parts: PartMap, progress: float) -> Tensor | None:
        """The mean divergence over a minibatch times the present weight; none once that is 0.

        Args:
            model: the student, in the middle of ``train()``.
            parts: not used.
            progress: share of the budget spent, 0 to 1.
        """
        weight = self._coefficient.at(progress)
        if weight == 0.0:
            return None
        observations, _ = buffered_states(model, BATCH, self._generator)
        with torch.no_grad():
            teacher = distribution(self._teacher, self._algorithm, observations)
        student = distribution(model.policy, self._algorithm, observations)
        return weight * divergence(teacher, student).mean()


def check_teacher(
    strategy: StrategyVerbs, algorithm: Algorithm, source: Policy, model: BaseAlgorithm
) -> None:
    """Refuse a teacher that cannot teach this student.

    Args:
        strategy: the verbs; how they treat normalisation matters.
        algorithm: the student's.
        source: the teacher.
        model: the student.

    Raises:
        TransferError: no action distribution or an unknown one, another algorithm, other actions or
            observations, or differently normalised observations.
    """
    key = "strategy.kickstart"
    if traits_of(algorithm.name).actions == "greedy":
        works = names_with(lambda each: each.actions != "greedy" and not each.natural_gradient)
        raise TransferError(
            f"kickstarting distils an action distribution; {algorithm.name} has none (its greedy policy is "
            f"an argmax over values). It works with {', '.join(works)}",
            key=key,
        )
    check_distribution(model.policy, key)
    if source.algorithm.name != algorithm.name:
        raise TransferError(
            f"the teacher is a {source.algorithm.name} policy and the student a {algorithm.name} policy; "
            "kickstarting compares distributions of one kind",
            key=key,
        )
    for what in ("observation_space", "action_space"):
        teacher, student = getattr(source.module, what), getattr(model.policy, what)
        if not same_shape(teacher, student):
            raise TransferError(
                f"the teacher's {what.replace('_', ' ')} is {teacher}, the student's {student}; "
                "a teacher must see and do what its student sees and does",
                key=key,
            )
    _check_normalization(strategy, algorithm, source, key)


def _check_normalization(strategy: StrategyVerbs, algorithm: Algorithm, source: Policy, key: str) -> None:
    normalized = algorithm.normalize is not None and algorithm.normalize.observation
    if normalized != (source.normalizer is not None):
        raise TransferError(
            f"the teacher sees {'normalised' if source.normalizer else 'raw'} observations and the student "
            f"{'normalised' if normalized else 'raw'} ones; let both use the same algorithm.normalize",
            key=key,
        )
    if normalized and strategy.normalization != "frozen":
        raise TransferError(
            "the student's observations are normalised by statistics that move, so the teacher would "
            "misread them; use normalization: frozen with kickstart",
            key=key,
        )

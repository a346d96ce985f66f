"""Jump-start reinforcement learning (Uchendu et al. 2023): how long the source policy acts first.

The guide plays the first ``horizon`` steps of an episode, then the learner takes over; the horizon
shrinks to nothing in stages, whenever the mean return keeps up with the best so far. Every step of the
guide is an environment step and counts against the budget. Who learns from them:

- Off-policy algorithms, as in the paper: the guide's transitions go to the replay buffer like any other.
- On-policy algorithms cannot: their gradient is of the learner's own actions. The guide's steps only lead
  to states to start from. Its share of the budget is bounded (``guide.share``); the horizon shrinks with
  what is spent of it, whatever the returns, and budgets that leave the learner fewer updates than the
  curriculum has stages are refused.

Deviation from the paper: the first horizon is half the guide's mean episode on the target, not all of
it: a guide that plays to the end leaves nothing to learn from.
"""

from __future__ import annotations

import math

import numpy as np

from rl_transfer.errors import TransferError
from rl_transfer.rl.environments.evaluate import Evaluator
from rl_transfer.rl.environments.spaces import same_shape
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.spec import RLRun
from rl_transfer.spec.strategy import Guide
from rl_transfer.wording import counted

WINDOW = 20
"""Episodes over which the return is averaged."""
ON_POLICY_SHARE = 0.25
"""The guide's largest share of the budget where its steps are no training data."""


class Curriculum:
    """The guide's horizon, shared by all training environments of a run.

    Args:
        config: stages and tolerance.
        horizon: environment steps that the guide plays in the first stage.
        allowance: environment steps that it may play in the whole run; None: as many as it likes.
    """

    def __init__(self, config: Guide, horizon: int, allowance: int | None = None) -> None:
        self._config = config
        self._first = horizon
        self._allowance = allowance
        self._stage = 0
        self._best = -np.inf
        self._recent: list[float] = []
        self.steps = 0
        """Environment steps that the guide has taken."""

    @property
    def left(self) -> float:
        """Environment steps that the guide may still take."""
        return math.inf if self._allowance is None else self._allowance - self.steps

    @property
    def horizon(self) -> int:
        """Steps that the guide plays in an episode that begins now."""
        stages, stage = self._config.stages, self._stage
        if self._allowance is not None:
            spent = stages if self.left <= 0 else stages * self.steps // self._allowance
            stage = max(stage, spent)
        return int(min(self._first * (stages - stage) // stages, self.left))

    def finished_episode(self, total: float) -> None:
        """Take note of an episode's return; move on when the returns keep up with the best so far.

        Args:
            total: in reward units, the guide's part included.
        """
        self._recent.append(total)
        if len(self._recent) < WINDOW or self._stage >= self._config.stages:
            return
        mean = float(np.mean(self._recent))
        tolerated = self._config.tolerance * abs(self._best) if np.isfinite(self._best) else 0.0
        if mean >= self._best - tolerated:
            self._best = max(self._best, mean)
            self._stage += 1
        self._recent.clear()


def first_horizon(config: Guide, played_lengths: list[int]) -> int:
    """The horizon to begin with: the config's, or half the guide's mean episode length on the target.

    Args:
        config: may say the horizon.
        played_lengths: environment steps of the guide's episodes on the target.
    """
    return config.horizon if config.horizon is not None else max(1, int(np.mean(played_lengths)) // 2)


def guide_allowance(run: RLRun) -> int | None:
    """How many environment steps the guide of a run may take.

    Args:
        run: trained, with or without a guide.

    Returns:
        ``guide.share`` of the budget, rounded down; None: there is no bound, or no guide.
    """
    if run.algorithm is None or run.strategy is None or run.strategy.guide is None:
        return None
    share = run.strategy.guide.share
    if share is None:
        share = None if traits_of(run.algorithm.name).off_policy else ON_POLICY_SHARE
    return None if share is None else int(share * run.total_steps)


def check_guide_budget(run: RLRun) -> None:
    """Refuse a budget of which the guide leaves an on-policy learner too few updates.

    Args:
        run: trained, with or without a guide.

    Raises:
        TransferError: fewer updates than the guide's curriculum has stages.
    """
    allowance = guide_allowance(run)
    if allowance is None or run.algorithm is None or run.strategy is None or run.strategy.guide is None:
        return
    if traits_of(run.algorithm.name).off_policy:
        return
    guide, total, rollout = run.strategy.guide, run.total_steps, run.algorithm.step_multiple
    updates = (total - allowance) // rollout
    if updates >= guide.stages:
        return
    share = ON_POLICY_SHARE if guide.share is None else guide.share
    enough = math.ceil(guide.stages / (1 - share)) * rollout
    raise TransferError(
        f"{run.algorithm.name} cannot learn from the guide's steps, and the guide may take "
        f"{100 * share:.3g} % of the {total:,} steps of the budget (guide.share): {allowance:,}. The rest is "
        f"{counted(updates, 'update')} of {rollout:,} steps each (n_steps × n_envs), fewer than the "
        f"{counted(guide.stages, 'stage')} of the guide's curriculum (guide.stages). Raise "
        f"training.total_steps to {enough:,}, or lower n_steps, n_envs, guide.share or guide.stages",
        key="strategy.guide",
    )


def check_guide(guide: Policy, env: Evaluator) -> None:
    """Refuse a guide that cannot act in the target.

    Args:
        guide: the source policy.
        env: the target.

    Raises:
        TransferError: its spaces differ.
    """
    for what in ("observation_space", "action_space"):
        has, needs = getattr(guide.module, what), getattr(env, what)
        if not same_shape(has, needs):
            raise TransferError(
                f"the guide's {what.replace('_', ' ')} is {has}, the target's {needs}; "
                "a guide must be able to act in the target",
                key="strategy.guide",
            )

"""Jump-start reinforcement learning (Uchendu et al. 2023): the source policy acts first.

At every reset the guide plays the first ``horizon`` steps, then the learner takes over; the
horizon shrinks to nothing in stages, whenever the learner's return keeps up with the best so far.

Deviation from the paper, so that it works with every algorithm: the guide's steps are not
training data (on-policy algorithms could not use them). They are environment steps all the same
and count against the budget.
"""

from __future__ import annotations

from typing import Any, SupportsFloat

import numpy as np

from rl_transfer.errors import TransferError
from rl_transfer.rl.environments.evaluate import Evaluator, stack
from rl_transfer.rl.environments.spaces import AnyWrapper, Env, same_shape
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.spec.strategy import Guide

WINDOW = 20
"""Episodes over which the learner's return is averaged."""


class Curriculum:
    """The guide's horizon, shared by all training environments of a run.

    Args:
        config: stages and tolerance.
        horizon: environment steps that the guide plays in the first stage.
    """

    def __init__(self, config: Guide, horizon: int) -> None:
        self._config = config
        self._first = horizon
        self._stage = 0
        self._best = -np.inf
        self._recent: list[float] = []
        self.steps = 0
        """Environment steps that the guide has taken."""

    @property
    def horizon(self) -> int:
        """Steps that the guide plays at the next reset."""
        return self._first * (self._config.stages - self._stage) // self._config.stages

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


class GuidedStart(AnyWrapper):
    """Lets the guide play the first steps of every episode, inside ``reset``.

    Args:
        env: a training environment.
        guide: what :func:`check_guide` let pass.
        curriculum: says how many steps, and counts them.
    """

    def __init__(self, env: Env, guide: Policy, curriculum: Curriculum) -> None:
        super().__init__(env)
        self._act = guide.act(deterministic=True)
        self._curriculum = curriculum
        self._total = 0.0

    def reset(
        self, *, seed: int | None = None, options: dict[str, object] | None = None
    ) -> tuple[Any, dict[str, object]]:
        """Reset, then the guide's steps; an episode that ends under the guide is begun anew.

        Args:
            seed: of the first reset; one that follows an early end is unseeded.
            options: passed on to the environment.

        Returns:
            The observation from which the learner takes over, and the last info.
        """
        observation, info = self.env.reset(seed=seed, options=options)
        self._total = 0.0
        for _ in range(self._curriculum.horizon):
            action = self._act(stack([observation], self.env.observation_space))[0]
            observation, reward, terminated, truncated, info = self.env.step(action)
            self._total += float(reward)
            self._curriculum.steps += 1
            if terminated or truncated:
                observation, info = self.env.reset()
                self._total = 0.0
                break
        return observation, info

    def step(self, action: object) -> tuple[Any, SupportsFloat, bool, bool, dict[str, object]]:
        """The learner's step; returns are counted with the guide's part.

        Args:
            action: the learner's.

        Returns:
            What the environment gives.
        """
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._total += float(reward)
        if terminated or truncated:
            self._curriculum.finished_episode(self._total)
        return observation, reward, terminated, truncated, info


def first_horizon(config: Guide, played_lengths: list[int]) -> int:
    """The horizon to begin with: the config's, or the guide's mean episode length on the target.

    Half of it: a guide that plays to the end leaves nothing to learn from.

    Args:
        config: may say the horizon.
        played_lengths: environment steps of the guide's episodes on the target.
    """
    return config.horizon if config.horizon is not None else max(1, int(np.mean(played_lengths)) // 2)


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

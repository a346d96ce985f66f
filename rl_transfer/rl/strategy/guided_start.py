"""How a guide acts: inside ``reset`` for on-policy learners, step by step for those that learn from it."""

from __future__ import annotations

from typing import Any, SupportsFloat

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.off_policy_algorithm import OffPolicyAlgorithm

from rl_transfer.rl import sb3_seams
from rl_transfer.rl.environments.evaluate import stack
from rl_transfer.rl.environments.spaces import AnyWrapper, Array, Env, Observation
from rl_transfer.rl.policies.bundle import Policy
from rl_transfer.rl.policies.traits import traits_of
from rl_transfer.rl.strategy.guide import Curriculum, first_horizon, guide_allowance
from rl_transfer.spec import RLRun
from rl_transfer.spec.base import Json
from rl_transfer.spec.strategy import Guide

Started = tuple[Any, dict[str, object]]
"""Observation and info of a reset."""
Stepped = tuple[Any, SupportsFloat, bool, bool, dict[str, object]]
"""Observation, reward, terminated, truncated and info of a step."""


class GuidedEnv(AnyWrapper):
    """A training environment whose episodes a guide begins; returns are counted with its part.

    Args:
        env: a training environment.
        guide: what :func:`rl_transfer.rl.strategy.guide.check_guide` let pass.
        curriculum: says for how many steps, and counts them.
    """

    _total: float
    """Return of the episode so far, the guide's part included."""

    def __init__(self, env: Env, guide: Policy, curriculum: Curriculum) -> None:
        super().__init__(env)
        self._act = guide.act(deterministic=True)
        self._curriculum = curriculum

    def step(self, action: object) -> Stepped:
        """A step that the learner sees.

        Args:
            action: of whoever acts.

        Returns:
            What the environment gives.
        """
        observation, reward, terminated, truncated, info = self.env.step(action)
        self._total += float(reward)
        if terminated or truncated:
            self._curriculum.finished_episode(self._total)
        return observation, reward, terminated, truncated, info

    def _guides_action(self, observation: Observation) -> Array:
        """The guide's action in a state, inside the target's bounds; counted as taken."""
        self._curriculum.steps += 1
        action: Array = self._act(stack([observation], self.env.observation_space))[0]
        space = self.env.action_space
        return np.clip(action, space.low, space.high) if isinstance(space, spaces.Box) else action


class GuidedStart(GuidedEnv):
    """For on-policy learners: the guide plays inside ``reset``, out of the learner's sight."""

    def reset(self, *, seed: int | None = None, options: dict[str, object] | None = None) -> Started:
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
            observation, reward, terminated, truncated, info = self.env.step(self._guides_action(observation))
            self._total += float(reward)
            if terminated or truncated:
                observation, info = self.env.reset()
                self._total = 0.0
                break
        return observation, info


class GuidedSteps(GuidedEnv):
    """For off-policy learners: the guide says its action, and the learner's algorithm takes and stores it."""

    def reset(self, *, seed: int | None = None, options: dict[str, object] | None = None) -> Started:
        """Reset; the guide's part of the new episode is decided now.

        Args:
            seed: passed on to the environment.
            options: passed on to the environment.

        Returns:
            What the environment gives.
        """
        self._observation, info = self.env.reset(seed=seed, options=options)
        self._total, self._left = 0.0, self._curriculum.horizon
        return self._observation, info

    def step(self, action: object) -> Stepped:
        """A step of whoever acts; the guide sees where it leads.

        Args:
            action: of whoever acts.

        Returns:
            What the environment gives.
        """
        observation, reward, terminated, truncated, info = super().step(action)
        self._observation = observation
        return observation, reward, terminated, truncated, info

    def guided_action(self) -> Array | None:
        """The guide's action in the present state.

        Returns:
            ``[…]``, as the action space has it, counted as taken; None: it is the learner's turn.
        """
        if self._left <= 0 or self._curriculum.left <= 0:
            return None
        self._left -= 1
        return self._guides_action(self._observation)


class Guidance:
    """The guide of one run.

    Args:
        run: its strategy has a guide.
        config: the guide's config.
        guide: the source policy, which can act in the target.
        played_lengths: environment steps of the guide's own episodes on the target.

    Attributes:
        curriculum: for how many steps it acts, and how many it took.
    """

    def __init__(self, run: RLRun, config: Guide, guide: Policy, played_lengths: list[int]) -> None:
        name = "" if run.algorithm is None else run.algorithm.name
        self._learned = traits_of(name).off_policy
        self._budget, self._guide = run.total_steps, guide
        self.curriculum = Curriculum(config, first_horizon(config, played_lengths), guide_allowance(run))
        self._seen: list[GuidedSteps] = []

    def wrap(self, env: Env) -> Env:
        """One training environment with the guide in it.

        Args:
            env: the next of the run's training environments, in their order.

        Returns:
            The wrapped environment.
        """
        if not self._learned:
            return GuidedStart(env, self._guide, self.curriculum)
        self._seen.append(GuidedSteps(env, self._guide, self.curriculum))
        return self._seen[-1]

    def lead(self, model: BaseAlgorithm) -> None:
        """Let the guide's actions take the place of the learner's, where it is the guide's turn.

        Args:
            model: built on the wrapped environments; an on-policy one is left alone.
        """
        if not isinstance(model, OffPolicyAlgorithm):
            return
        policy, space = model.policy, model.action_space

        def exchanged(actions: Array, stored: Array) -> tuple[Array, Array]:
            for index, env in enumerate(self._seen):
                action = env.guided_action()
                if action is not None:
                    actions[index] = action
                    stored[index] = policy.scale_action(action) if isinstance(space, spaces.Box) else action
            return actions, stored

        sb3_seams.exchange_actions(model, exchanged)

    @property
    def unseen(self) -> Curriculum | None:
        """Counts the steps that Stable-Baselines3 does not count itself; None: it counts them all."""
        return None if self._learned else self.curriculum

    def record(self) -> dict[str, Json]:
        """What the guide has spent, for the run's record."""
        return {
            "guide_steps": self.curriculum.steps,
            "guide_share": self.curriculum.steps / self._budget,
            "guide_learned_from": self._learned,
        }

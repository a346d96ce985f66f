"""Episodes within a budget of steps, as data: none is cut, and which are played rests on no result."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass, field

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray

from rl_transfer.core import isolated
from rl_transfer.rl.environments.build import make_env
from rl_transfer.rl.environments.evaluate import Act, stack
from rl_transfer.rl.environments.finite import refuse_non_finite
from rl_transfer.rl.environments.spaces import Array, Observation, Space
from rl_transfer.spec import Environment
from rl_transfer_envs.registry.wrapping import time_limit

LANES = 16
"""Episodes that are played side by side at most."""


@dataclass
class Transitions:
    """What was played, a row a step, episode after episode.

    Attributes:
        observations, following: before and after each step, as the environment gives them.
        actions: as the environment takes them.
        rewards, terminated, ended: of each step.
        lengths: of the episodes, in steps.
        whole: whether each of them counts: it came to its end, whatever that would have cost.
    """

    observations: list[Observation] = field(default_factory=list)
    following: list[Observation] = field(default_factory=list)
    actions: list[Array] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    terminated: list[bool] = field(default_factory=list)
    ended: list[bool] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    whole: list[bool] = field(default_factory=list)

    @property
    def steps(self) -> int:
        """Environment steps that were used."""
        return len(self.rewards)

    @property
    def returns(self) -> list[float]:
        """Of the whole episodes, in the order of their seeds."""
        return [sum(self.rewards[each]) for each in self._whole_episodes]

    @property
    def whole_lengths(self) -> list[int]:
        """Of the whole episodes, in steps."""
        return [each.stop - each.start for each in self._whole_episodes]

    @property
    def _whole_episodes(self) -> list[slice]:
        return [each for each, whole in zip(self.episodes, self.whole, strict=True) if whole]

    @property
    def episodes(self) -> list[slice]:
        """The rows of each episode."""
        ends = np.cumsum(self.lengths).tolist()
        return [slice(end - length, end) for end, length in zip(ends, self.lengths, strict=True)]

    def add(self, other: Transitions) -> None:
        """Append one episode.

        Args:
            other: with one episode.
        """
        for each in dataclasses.fields(self):
            getattr(self, each.name).extend(getattr(other, each.name))


class BudgetedPlayer:
    """Plays an environment within a budget.

    An episode counts if what was left of the budget when it began held the longest that it could become. So
    whether one counts rests on the lengths of those before it alone, never on its own: their mean return is
    no estimate of short episodes. What is left in the end is played too, for its steps; what begins there
    never counts, whether it ends in time or not. Where nothing limits an episode, those that end count.

    Args:
        config: the environment and its perturbations.

    Attributes:
        observation_space, action_space: of the environment.
        limit: steps of the longest episode; None where nothing limits them.
        threshold: the return at which Gymnasium takes the environment for solved, if it says one.

    Raises:
        EnvironmentSpecError: it cannot be built.
    """

    def __init__(self, config: Environment) -> None:
        self._config, self._envs = config, [make_env(config)]
        env = self._envs[0]
        self.observation_space: Space = env.observation_space
        self.action_space: Space = env.action_space
        self.limit = time_limit(env)
        known = env.spec.reward_threshold if env.spec is not None else None
        self.threshold = None if known is None else float(known)

    def play(self, act: Act, steps: int, seeds: Sequence[int]) -> Transitions:
        """Play episodes.

        Args:
            act: the policy.
            steps: the budget, in environment steps.
            seeds: of the episodes; as many as could be played at most.

        Returns:
            All that was played.

        Raises:
            EnvironmentSpecError: something in it is NaN or infinite.
        """
        found, begun = Transitions(), 0
        first = seeds[0]
        with isolated(first):
            while begun < len(seeds) and found.steps < steps:
                rest = steps - found.steps
                fitting = 1 if self.limit is None else rest // self.limit
                lanes = max(1, min(LANES, fitting, len(seeds) - begun))
                for episode in self._side_by_side(act, seeds[begun : begun + lanes], rest // lanes):
                    episode.whole[0] &= fitting > 0
                    found.add(episode)
                begun += lanes
        return found

    def _side_by_side(self, act: Act, seeds: Sequence[int], most: int) -> list[Transitions]:
        """One episode per seed; each is cut after ``most`` steps."""
        self._envs += [make_env(self._config) for _ in range(len(seeds) - len(self._envs))]
        now = [env.reset(seed=seed)[0] for env, seed in zip(self._envs, seeds, strict=False)]
        found = [Transitions(lengths=[0], whole=[False]) for _ in seeds]
        going = list(range(len(seeds)))
        for _ in range(most):
            actions = act(stack(now, self.observation_space))
            for lane in list(going):
                after, reward, terminated, truncated, _ = self._envs[lane].step(actions[lane])
                episode = found[lane]
                refuse_non_finite(
                    self._config.id, after, np.asarray([reward], dtype=float), f"step {episode.steps + 1:,}"
                )
                episode.observations.append(_copied(now[lane]))
                episode.following.append(_copied(after))
                episode.actions.append(np.array(actions[lane]))
                episode.rewards.append(float(reward))
                episode.terminated.append(bool(terminated))
                episode.ended.append(bool(terminated or truncated))
                episode.lengths[0] += 1
                now[lane] = after
                if episode.ended[-1]:
                    episode.whole[0] = True
                    going.remove(lane)
            if not going:
                break
        return found

    def close(self) -> None:
        """Close the environments."""
        for env in self._envs:
            env.close()


def _copied(observation: Observation) -> Observation:
    if isinstance(observation, dict):
        return {key: np.array(value) for key, value in observation.items()}
    return np.array(observation)


def vectors(observations: Sequence[Observation], space: Space) -> NDArray[np.float64]:
    """Observations or actions as rows of numbers: discrete ones one-hot, dicts side by side.

    Args:
        observations: one per row.
        space: of one of them.

    Returns:
        ``float64[n, d]``.
    """
    return np.stack([np.asarray(gym.spaces.flatten(space, each), dtype=np.float64) for each in observations])

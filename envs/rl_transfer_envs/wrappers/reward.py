"""Wrappers between the environment's reward and the agent."""

from __future__ import annotations

from collections import deque

import numpy as np

from rl_transfer_envs.aliases import Action, Observation, Options, Start, Transition
from rl_transfer_envs.registry.perturbations import Perturbation, register_perturbation
from rl_transfer_envs.values.quantity import Quantity


class RewardPerturbation(Perturbation):
    """A wrapper that changes the reward: subclasses implement ``reward``."""

    side = "reward"

    def reward(self, reward: float, observation: Observation, terminated: bool, done: bool) -> float:
        """The reward that the agent gets for a step.

        Args:
            reward: as it reaches this wrapper.
            observation: the one after the step, as it reaches this wrapper.
            terminated: whether the task ended.
            done: whether the episode ended: terminated or truncated.

        Returns:
            The changed reward, in reward units.
        """
        raise NotImplementedError

    def begin(self, observation: Observation) -> None:
        """Prepare an episode.

        Args:
            observation: the first one, as it reaches this wrapper.
        """

    def reset(self, *, seed: int | None = None, options: Options = None) -> Start:
        """Begin an episode of the perturbation on the reset environment."""
        observation, info = super().reset(seed=seed, options=options)
        self.begin(observation)
        return observation, info

    def step(self, action: Action) -> Transition:
        """Step the environment and change the reward."""
        observation, reward, terminated, truncated, info = super().step(action)
        changed = self.reward(float(reward), observation, terminated, terminated or truncated)
        return observation, changed, terminated, truncated, info


@register_perturbation
class RewardScale(RewardPerturbation):
    """Multiplies the reward by a positive factor: the optimal policy stays the same."""

    name = "reward_scale"
    summary = "multiply the reward"
    arguments = (
        Quantity(
            name="factor",
            unit="1",
            default=1.0,
            bounds=(0.01, 100.0),
            source="Henderson et al. 2018, Deep RL that matters",
            summary="factor, above 0",
            severity_scale="log",
        ),
    )

    def reward(self, reward: float, observation: Observation, terminated: bool, done: bool) -> float:
        """``factor·r``."""
        return reward * float(self.value("factor"))


@register_perturbation
class RewardPower(RewardPerturbation):
    """Bends the reward without touching its sign: ``sign(r)·|r|^exponent``."""

    name = "reward_power"
    summary = "bend the reward, keeping its sign"
    arguments = (
        Quantity(
            name="exponent",
            unit="1",
            default=1.0,
            bounds=(0.1, 3.0),
            source="signed power, as the sign-safe square root of Pohlen et al. 2018",
            summary="exponent",
        ),
    )

    def reward(self, reward: float, observation: Observation, terminated: bool, done: bool) -> float:
        """``sign(r)·|r|^exponent``."""
        return float(np.sign(reward) * np.abs(reward) ** self.value("exponent"))


@register_perturbation
class RewardNoise(RewardPerturbation):
    """Adds zero-mean normal noise to every reward: ``r + std·ε``.

    The expected return of every policy stays the same, but evaluations are as noisy as training.
    """

    name = "reward_noise"
    summary = "add normal noise to the reward"
    examples = (0.5,)
    arguments = (
        Quantity(
            name="std",
            unit="reward",
            default=0.0,
            bounds=(0.0, 100.0),
            source="Wang, Liu & Li 2020, Reinforcement learning with perturbed rewards",
            summary="standard deviation",
        ),
    )

    def reward(self, reward: float, observation: object, terminated: bool, done: bool) -> float:
        """``r + std·ε``."""
        return reward + float(self.value("std")) * float(self.rng.standard_normal())


@register_perturbation
class RewardDelay(RewardPerturbation):
    """Pays each reward ``steps`` steps later; what is still owed is paid at the episode's end.

    The undiscounted return of an episode stays the same.
    """

    name = "reward_delay"
    summary = "pay the reward some steps late"
    examples = (5,)
    arguments = (
        Quantity(
            name="steps",
            unit="steps",
            default=0,
            bounds=(0, 100),
            source="Dulac-Arnold et al. 2021, challenge of delayed rewards",
            summary="how late",
            kind="integer",
        ),
    )

    def begin(self, observation: Observation) -> None:
        """Owe nothing."""
        self._owed: deque[float] = deque([0.0] * int(self.value("steps")))

    def reward(self, reward: float, observation: Observation, terminated: bool, done: bool) -> float:
        """The reward of ``steps`` steps ago, or all that is owed."""
        self._owed.append(reward)
        if not done:
            return self._owed.popleft()
        rest = sum(self._owed)
        self._owed.clear()
        return float(rest)


@register_perturbation
class RewardSparsification(RewardPerturbation):
    """Pays the sum of the rewards every so many steps, and at the episode's end.

    The undiscounted return of an episode stays the same.
    """

    name = "reward_sparsification"
    summary = "pay the summed reward only now and then, or only at the end"
    examples = (10, {"only_at_end": True})
    arguments = (
        Quantity(
            name="every",
            unit="steps",
            default=1,
            bounds=(1, 1000),
            source="sparse rewards: Ng, Harada & Russell 1999",
            summary="steps between two payments",
            kind="integer",
        ),
        Quantity(
            name="only_at_end",
            unit="1",
            default=False,
            bounds=None,
            source="episodic rewards",
            summary="pay everything at the episode's end",
            kind="flag",
            per_episode=False,
        ),
    )

    def begin(self, observation: Observation) -> None:
        """Start an empty purse."""
        self._purse, self._clock = 0.0, 0

    def reward(self, reward: float, observation: Observation, terminated: bool, done: bool) -> float:
        """The purse on a pay day, else 0."""
        self._purse += reward
        self._clock += 1
        pay_day = not self.value("only_at_end") and self._clock % self.value("every") == 0
        if not (pay_day or done):
            return 0.0
        paid, self._purse = self._purse, 0.0
        return paid


@register_perturbation
class RewardShaping(RewardPerturbation):
    """Adds potential-based shaping, which leaves every optimal policy optimal.

    ``F = gamma·Φ(o') − Φ(o)`` with ``Φ(o) = −weight·‖(o − goal)[dimensions]‖₂`` and ``Φ = 0`` in
    terminal states (Ng, Harada & Russell 1999; Grzes 2017 for the terminal potential). The
    observation is the one that arrives at this wrapper.
    """

    name = "reward_shaping"
    summary = "add potential-based shaping towards a goal observation (keeps optimal policies)"
    arguments = (
        Quantity(
            name="weight",
            unit="reward per unit of the observation",
            default=0.0,
            bounds=(0.0, 100.0),
            source="Ng, Harada & Russell 1999",
            summary="weight of the distance to the goal",
        ),
        Quantity(
            name="gamma",
            unit="1",
            default=0.99,
            bounds=(0.0, 1.0),
            source="stable-baselines3's default discount",
            summary="discount; policies stay optimal under this one",
            per_episode=False,
        ),
        Quantity(
            name="goal",
            unit="unit of the observation",
            default=0.0,
            bounds=(-1e6, 1e6),
            source="this package: the origin",
            summary="goal observation, one number or one per listed dimension",
            kind="numbers",
            per_episode=False,
        ),
        Quantity(
            name="dimensions",
            unit="1",
            default=[],
            bounds=(0, 1e6),
            source="this package: all",
            summary="dimensions that count; none listed means all",
            kind="integers",
            per_episode=False,
        ),
    )

    def setup(self) -> None:
        """Check dimensions and goal against the observation space."""
        shape = self.env.observation_space.shape
        if shape is None or len(shape) != 1:
            raise self.refuse(f"its observation space is {self.env.observation_space}, no vector.")
        dimensions, goal = self.value("dimensions") or list(range(shape[0])), self.value("goal")
        self.within("dimensions", dimensions, shape[0], "dimension")
        if isinstance(goal, list) and len(goal) != len(dimensions):
            raise self.refuse(f"goal lists {len(goal)} of {len(dimensions)} dimensions.", "goal")
        self._dimensions, self._goal = dimensions, np.asarray(goal, dtype=np.float64)

    def begin(self, observation: Observation) -> None:
        """The potential of the first observation."""
        self._potential = self._phi(observation)

    def reward(self, reward: float, observation: Observation, terminated: bool, done: bool) -> float:
        """``r + gamma·Φ(o') − Φ(o)``."""
        before = self._potential
        self._potential = 0.0 if terminated else self._phi(observation)
        return reward + float(self.value("gamma")) * self._potential - before

    def _phi(self, observation: Observation) -> float:
        distance = np.asarray(observation, dtype=np.float64)[self._dimensions] - self._goal
        return -float(self.value("weight")) * float(np.linalg.norm(distance))

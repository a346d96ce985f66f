"""Observation wrappers that change when, in which order and which dimensions are seen."""

from __future__ import annotations

import copy
from collections import deque

import gymnasium as gym
import numpy as np
from gymnasium import spaces

from rl_transfer_envs.aliases import Observation
from rl_transfer_envs.registry.perturbations import register_perturbation
from rl_transfer_envs.values.quantity import Quantity
from rl_transfer_envs.wrappers.observation import ObservationPerturbation, with_member

_SENSORS = "Dulac-Arnold et al. 2021, Challenges of real-world RL"


@register_perturbation
class ObservationDelay(ObservationPerturbation):
    """Shows the observation of ``steps`` steps ago; before that, the first one."""

    name = "observation_delay"
    summary = "see the observation some steps late"
    arguments = (
        Quantity(
            name="steps",
            unit="steps",
            default=0,
            bounds=(0, 20),
            source="Katsikopoulos & Engelbrecht 2003; Dulac-Arnold et al. 2021",
            summary="how late",
            kind="integer",
        ),
    )

    def begin(self, observation: Observation) -> None:
        """Fill the line with the first observation."""
        steps = int(self.value("steps"))
        self._line: deque[Observation] = deque([copy.deepcopy(observation)] * steps, maxlen=steps + 1)

    def observation(self, observation: Observation) -> Observation:
        """The delayed observation."""
        self._line.append(copy.deepcopy(observation))
        return copy.deepcopy(self._line[0])


class _Selected(ObservationPerturbation):
    """Base of the wrappers that show a selection of the dimensions, ``self._chosen``."""

    def _select(self, space: spaces.Box, chosen: list[int]) -> None:
        self._chosen = np.array(chosen, dtype=np.intp)
        self.observation_space = spaces.Box(
            space.low[self._chosen], space.high[self._chosen], dtype=space.dtype.type
        )

    def renamed(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The names of the selected dimensions.

        Args:
            names: of the dimensions that are selected from.
        """
        return tuple(names[int(index)] for index in self._chosen)

    def observation(self, observation: Observation) -> Observation:
        """The selected dimensions."""
        return observation[self._chosen]


@register_perturbation
class ObservationPermutation(_Selected):
    """Reorders the dimensions: dimension ``i`` shows what ``order[i]`` showed."""

    name = "observation_permutation"
    summary = "reorder the dimensions of the observation"
    examples = ("reverse",)
    arguments = (
        Quantity(
            name="order",
            unit="1",
            default="identity",
            bounds=None,
            source="changed state variables: Taylor & Stone 2009, section 2",
            summary="identity, reverse, or a permutation of the dimensions",
            kind="word",
            words=("identity", "reverse"),
            list_allowed=True,
            per_episode=False,
        ),
    )

    def setup(self) -> None:
        """Check the permutation and permute the bounds."""
        space = self.vector_box()
        self._select(space, self.permutation("order", space.shape[0], "dimensions"))


@register_perturbation
class ObservationMissing(_Selected):
    """Takes dimensions away, or shows 0 in their place (``mode: zero``)."""

    name = "observation_missing"
    summary = "remove dimensions of the observation, or show 0 in them"
    examples = ([0], {"dimensions": [0], "mode": "zero"})
    arguments = (
        Quantity(
            name="dimensions",
            unit="1",
            default=[],
            bounds=(0, 1e6),
            source="partial observability: Taylor & Stone 2009, section 2",
            summary="numbers of the missing dimensions",
            kind="integers",
            per_episode=False,
        ),
        Quantity(
            name="mode",
            unit="1",
            default="remove",
            bounds=None,
            source="partial observability",
            summary="remove (the space shrinks) or zero (it keeps its shape)",
            kind="word",
            words=("remove", "zero"),
            per_episode=False,
        ),
    )

    def setup(self) -> None:
        """Check the dimensions and shrink the space, or let it hold 0."""
        space, given = self.vector_box(), self.value("dimensions")
        size = space.shape[0]
        self.within("dimensions", given, size, "dimension")
        kept = [dimension for dimension in range(size) if dimension not in given]
        if not kept:
            raise self.refuse("no dimension would be left.", "dimensions")
        self._keep = np.isin(np.arange(size), kept)
        if self.value("mode") == "remove":
            self._select(space, kept)
            return
        low = np.where(self._keep, space.low, np.minimum(space.low, 0))
        high = np.where(self._keep, space.high, np.maximum(space.high, 0))
        self.observation_space = spaces.Box(low, high, dtype=space.dtype.type)

    def renamed(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The names of what is left.

        Args:
            names: of all dimensions.
        """
        return super().renamed(names) if self.value("mode") == "remove" else names

    def observation(self, observation: Observation) -> Observation:
        """What is left of the observation."""
        if self.value("mode") == "remove":
            return super().observation(observation)
        return np.where(self._keep, observation, 0).astype(observation.dtype)


@register_perturbation
class ObservationDistractors(ObservationPerturbation):
    """Appends dimensions that say nothing about the task.

    Each is a stationary process of its own: ``d' = c·d + std·√(1 − c²)·ε``, ``ε ~ N(0, 1)``.
    """

    name = "observation_distractors"
    summary = "append dimensions of noise"
    examples = (3, {"count": 2, "std": 0.5, "correlation": 0.9})
    arguments = (
        Quantity(
            name="count",
            unit="dimensions",
            default=0,
            bounds=(0, 100),
            source=_SENSORS,
            summary="how many",
            kind="integer",
            per_episode=False,
        ),
        Quantity(
            name="std",
            unit="1",
            default=1.0,
            bounds=(0.0, 100.0),
            source="standard normal",
            summary="standard deviation",
        ),
        Quantity(
            name="correlation",
            unit="1",
            default=0.0,
            bounds=(0.0, 0.999),
            source="first-order autoregression",
            summary="correlation c between two steps; 0 is white noise",
        ),
    )

    def setup(self) -> None:
        """Append unbounded dimensions to the space."""
        space, count = self.vector_box(), self.value("count")
        infinite = np.full(count, np.inf, dtype=space.dtype)
        self.observation_space = spaces.Box(
            np.concatenate([space.low, -infinite]),
            np.concatenate([space.high, infinite]),
            dtype=space.dtype.type,
        )

    def renamed(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The names, and those of the dimensions that are appended.

        Args:
            names: of the dimensions that say something.
        """
        return (*names, *(f"distractor_{index}" for index in range(self.value("count"))))

    def begin(self, observation: Observation) -> None:
        """Start the processes from their stationary distribution."""
        self._state = self.value("std") * self.rng.standard_normal(self.value("count"))

    def observation(self, observation: Observation) -> Observation:
        """The observation followed by the distractors."""
        shown = np.concatenate([observation, self._state]).astype(observation.dtype)
        c = self.value("correlation")
        fresh = self.rng.standard_normal(self._state.shape)
        self._state = c * self._state + self.value("std") * np.sqrt(1 - c**2) * fresh
        return shown


@register_perturbation
class TimeFeature(ObservationPerturbation, parts=False):
    """Appends the share of the episode's time that is left: ``1 − t / T``, never below 0.

    rl-zoo's and sb3-contrib's ``TimeFeatureWrapper``; ``constant`` is its ``test_mode``, a 1 that never
    changes. ``T`` is the time limit that Gymnasium registers, whatever ``time_limit`` says. Of a dict
    observation the vector ``observation`` is extended.
    """

    name = "time_feature"
    summary = "append the share of the episode's time that is left"
    examples = ("remaining", "constant", {"feature": "remaining", "max_steps": 50})
    arguments = (
        Quantity(
            name="feature",
            unit="1",
            default="none",
            bounds=None,
            source="Pardo et al. 2018, Time limits in reinforcement learning; sb3_contrib.common.wrappers",
            summary="none, remaining (1 to 0), or constant (1)",
            kind="word",
            words=("none", "remaining", "constant"),
            per_episode=False,
        ),
        Quantity(
            name="max_steps",
            unit="steps",
            default=1000,
            bounds=(1, 1_000_000),
            source="sb3_contrib.common.wrappers.TimeFeatureWrapper",
            summary="T where Gymnasium registers no time limit",
            kind="integer",
            per_episode=False,
        ),
    )

    def setup(self) -> None:
        """Append a dimension between 0 and 1 to the space."""
        space, spec = self.env.observation_space, self.env.unwrapped.spec
        registered = gym.registry.get(spec.id) if spec is not None else None
        self._steps = (registered and registered.max_episode_steps) or self.value("max_steps")
        if self.value("feature") == "none":
            return
        if isinstance(space, spaces.Dict):
            member = self.box(space.spaces.get("observation", space))
            self.observation_space = with_member(space, "observation", _with_time(member))
        else:
            self.observation_space = _with_time(self.vector_box())

    def renamed(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """The names, and that of the time.

        Args:
            names: of the dimensions that it is appended to.
        """
        return names if self.value("feature") == "none" else (*names, "time_left")

    def begin(self, observation: object) -> None:
        """Start the clock."""
        self._passed = 0

    def observation(self, observation: object) -> object:
        """The observation followed by the time that is left."""
        left = max(0.0, 1 - self._passed / self._steps)
        self._passed += 1
        if self.value("feature") == "none":
            return copy.deepcopy(observation)
        left = 1.0 if self.value("feature") == "constant" else left
        if isinstance(observation, dict):
            return {**copy.deepcopy(observation), "observation": _followed(observation["observation"], left)}
        return _followed(observation, left)


def _followed(vector: object, left: float) -> object:
    values = np.asarray(vector)
    return np.append(values, values.dtype.type(left))


def _with_time(space: spaces.Box) -> spaces.Box:
    low, high = (np.append(bound, bound.dtype.type(end)) for bound, end in ((space.low, 0), (space.high, 1)))
    return spaces.Box(low, high, dtype=space.dtype.type)

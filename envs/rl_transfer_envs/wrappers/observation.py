"""Base of the wrappers between the environment's observation and the agent."""

from __future__ import annotations

import copy
from typing import Any

from gymnasium import spaces

from rl_transfer_envs.aliases import Action, Env, Info, Observation, Options, Space, Start, Transition
from rl_transfer_envs.errors import did_you_mean
from rl_transfer_envs.registry.perturbations import Perturbation
from rl_transfer_envs.registry.wrapping import layers
from rl_transfer_envs.values.quantity import Quantity

PART = Quantity(
    name="part",
    unit="1",
    default="",
    bounds=None,
    source="Dict spaces of Gymnasium",
    summary="of a dict observation: the part that is changed, the others pass",
    kind="name",
    per_episode=False,
)
"""The last argument of every wrapper on observations that knows no parts of its own."""


def with_member(space: spaces.Dict, key: str, member: Space) -> spaces.Dict:
    """A dict space with another space for a key, its keys in the order that they had.

    Args:
        space: stays as it is.
        key: which of its members.
        member: takes its place.

    Returns:
        A new space; a mapping's keys would be sorted, and policies read the members in their order.
    """
    return spaces.Dict(list({**space.spaces, key: member}.items()))


class ObservationPerturbation(Perturbation):
    """A wrapper that changes the observation: subclasses implement ``observation``.

    Of a dict observation they get one part, named by the argument ``part``, and give it its space;
    the other parts pass. A subclass that handles dicts itself says ``parts=False``.
    ``info["base_observation"]`` is the environment's own observation, before all of them.
    """

    side = "observation"

    def __init_subclass__(cls, *, parts: bool = True, **more: object) -> None:
        super().__init_subclass__(**more)
        if parts and "arguments" in vars(cls):
            cls.arguments = (*cls.arguments, PART)

    def __init__(self, env: Env, **arguments: Any) -> None:
        self._innermost = not any(isinstance(layer, ObservationPerturbation) for layer in layers(env))
        self._part = str(arguments.get("part", ""))
        super().__init__(env, **arguments)
        if self._part:
            changed = self._observation_space or self.seen_space()
            self.observation_space = with_member(self._dict(), self._part, changed)

    def observation(self, observation: Observation) -> Observation:
        """The observation that the agent sees.

        Args:
            observation: as it reaches this wrapper; the environment may write into it at the next step,
                so what is kept is a copy.

        Returns:
            A new one; never a view of ``observation``.
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
        self.begin(observation[self._part] if self._part else observation)
        return self._changed(observation, info), info

    def step(self, action: Action) -> Transition:
        """Step the environment and change the observation."""
        observation, reward, terminated, truncated, info = super().step(action)
        return self._changed(observation, info), reward, terminated, truncated, info

    def _changed(self, observation: Observation, info: Info) -> Observation:
        if self._innermost:
            info["base_observation"] = copy.deepcopy(observation)
        if self._part:
            return {**observation, self._part: self.observation(observation[self._part])}
        return self.observation(observation)

    def seen_space(self) -> Space:
        """The wrapped observation space, or that of the part which is changed.

        Returns:
            The space.
        """
        return self._dict()[self._part] if self._part else self.env.observation_space

    def _dict(self) -> spaces.Dict:
        """The wrapped observation space, if it has the part."""
        space = self.env.observation_space
        if not isinstance(space, spaces.Dict):
            raise self.refuse(f"its observation space {space} has no parts.", "part")
        if self._part not in space.spaces:
            hint = did_you_mean(self._part, space.spaces)
            raise self.refuse(f"it has no part {self._part!r}, but {', '.join(space.spaces)}.{hint}", "part")
        return space

    def box(self, space: Space, *, real: bool = True) -> spaces.Box:
        """As in the base class; of a dict a part has to be named."""
        if isinstance(space, spaces.Dict):
            raise self.refuse(f"name one of its parts: {', '.join(space.spaces)} (part: …).", "part")
        return super().box(space, real=real)

    def real_box(self) -> spaces.Box:
        """The wrapped observation space, if it is a box of real numbers.

        Returns:
            The space.

        Raises:
            IncompatiblePerturbationError: it is not.
        """
        return self.box(self.seen_space())

    def numeric_box(self) -> spaces.Box:
        """The wrapped observation space, if it is a box of numbers (images too).

        Returns:
            The space.

        Raises:
            IncompatiblePerturbationError: it is not.
        """
        return self.box(self.seen_space(), real=False)

    def vector_box(self) -> spaces.Box:
        """As :meth:`real_box`, and one-dimensional.

        Returns:
            The space.

        Raises:
            IncompatiblePerturbationError: it is not.
        """
        space = self.real_box()
        if len(space.shape) != 1:
            raise self.refuse(f"its observation has shape {space.shape}, and this needs a vector.")
        return space

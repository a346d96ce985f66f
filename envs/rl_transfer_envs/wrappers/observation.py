"""Base of the wrappers between the environment's observation and the agent."""

from __future__ import annotations

import copy
from typing import Any

from gymnasium import spaces

from rl_transfer_envs.aliases import Action, Env, Info, Observation, Options, Start, Transition
from rl_transfer_envs.registry.perturbations import Perturbation
from rl_transfer_envs.registry.wrapping import layers


class ObservationPerturbation(Perturbation):
    """A wrapper that changes the observation: subclasses implement ``observation``.

    ``info["base_observation"]`` is the environment's own observation, before all of them.
    """

    side = "observation"

    def __init__(self, env: Env, **arguments: Any) -> None:
        self._innermost = not any(isinstance(layer, ObservationPerturbation) for layer in layers(env))
        super().__init__(env, **arguments)

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
        self.begin(observation)
        return self._changed(observation, info), info

    def step(self, action: Action) -> Transition:
        """Step the environment and change the observation."""
        observation, reward, terminated, truncated, info = super().step(action)
        return self._changed(observation, info), reward, terminated, truncated, info

    def _changed(self, observation: Observation, info: Info) -> Observation:
        if self._innermost:
            info["base_observation"] = copy.deepcopy(observation)
        return self.observation(observation)

    def real_box(self) -> spaces.Box:
        """The wrapped observation space, if it is a box of real numbers.

        Returns:
            The space.

        Raises:
            IncompatiblePerturbationError: it is not.
        """
        return self.box(self.env.observation_space)

    def numeric_box(self) -> spaces.Box:
        """The wrapped observation space, if it is a box of numbers (images too).

        Returns:
            The space.

        Raises:
            IncompatiblePerturbationError: it is not.
        """
        return self.box(self.env.observation_space, real=False)

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

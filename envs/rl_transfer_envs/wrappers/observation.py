"""Wrappers between the environment's observation and the agent."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from rl_transfer_envs.interface import register_perturbation
from rl_transfer_envs.values import Quantity
from rl_transfer_envs.wrappers.base import Perturbation, layers


class ObservationPerturbation(Perturbation):
    """Base of the wrappers that change the observation: subclasses implement ``observation``.

    ``info["base_observation"]`` is the environment's own observation, before all of them.
    """

    side = "observation"

    def __init__(self, env: Any, **arguments: Any) -> None:
        self._innermost = not any(isinstance(layer, ObservationPerturbation) for layer in layers(env))
        super().__init__(env, **arguments)

    def observation(self, observation: Any) -> Any:
        """The observation that the agent sees."""
        raise NotImplementedError

    def begin(self, observation: Any) -> None:
        """Prepare an episode whose first (unperturbed) observation is given."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode of the perturbation on the reset environment."""
        self.begin_episode(seed)
        observation, info = self.env.reset(seed=seed, options=options)
        self.begin(observation)
        return self._changed(observation, info), info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment and change the observation."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        return self._changed(observation, info), reward, terminated, truncated, info

    def _changed(self, observation: Any, info: dict[str, Any]) -> Any:
        if self._innermost:
            info["base_observation"] = np.array(observation)
        self.add_context(info)
        return self.observation(observation)

    def real_box(self) -> spaces.Box:
        """The wrapped observation space, if it is a box of real numbers; otherwise the refusal."""
        space = self.env.observation_space
        if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating):
            raise self.refuse(f"its observation space is {space}, and this needs a Box of real numbers.")
        return space


@register_perturbation
class ObservationNoise(ObservationPerturbation):
    """Adds zero-mean noise of standard deviation ``std`` to every dimension.

    Gaussian noise has no bounds, so the rebuilt space has none either.
    """

    name = "observation_noise"
    summary = "add Gaussian or uniform noise to the observation"
    arguments = (
        Quantity(
            name="std",
            unit="unit of the observation",
            default=0.0,
            bounds=(0.0, 10.0),
            source="sensor noise: Dulac-Arnold et al. 2021, challenge 4",
            summary="standard deviation, one for all dimensions or one per dimension",
            kind="numbers",
        ),
        Quantity(
            name="distribution",
            unit="1",
            default="normal",
            bounds=None,
            source="Dulac-Arnold et al. 2021",
            summary="normal, or uniform in ± std·√3",
            kind="word",
            words=("normal", "uniform"),
            per_episode=False,
        ),
    )

    def setup(self) -> None:
        """Widen the observation bounds by what the noise can add."""
        space = self.real_box()
        largest = self.per_dimension("std", space, self.extremes("std")[1])
        reach = np.sqrt(3.0) * largest if self.value("distribution") == "uniform" else np.inf
        with np.errstate(invalid="ignore"):
            widen = np.where(largest > 0, reach, 0.0)
        self.observation_space = spaces.Box(
            np.nextafter((space.low - widen), -np.inf, dtype=space.dtype) if widen.any() else space.low,
            np.nextafter((space.high + widen), np.inf, dtype=space.dtype) if widen.any() else space.high,
            dtype=space.dtype.type,
        )

    def observation(self, observation: Any) -> Any:
        """The noisy observation, in the observation's dtype."""
        space = self.env.observation_space
        assert isinstance(space, spaces.Box)
        std = self.per_dimension("std", space, self.value("std"))
        if self.value("distribution") == "normal":
            noise = self.rng.standard_normal(space.shape)
        else:
            noise = self.rng.uniform(-np.sqrt(3.0), np.sqrt(3.0), space.shape)
        return (observation + std * noise).astype(space.dtype)

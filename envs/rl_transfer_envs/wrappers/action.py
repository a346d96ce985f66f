"""Base of the wrappers between the agent's action and the environment."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from rl_transfer_envs.registry.perturbations import Perturbation


class ActionPerturbation(Perturbation):
    """A wrapper that changes the action: subclasses implement ``action``."""

    side = "action"

    def action(self, action: Any) -> Any:
        """The action that the environment receives."""
        raise NotImplementedError

    def begin(self) -> None:
        """Prepare an episode, after its values were drawn."""

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode of the perturbation, then reset the environment."""
        self.begin_episode(seed)
        self.begin()
        observation, info = self.env.reset(seed=seed, options=options)
        self.add_context(info)
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Step the environment with the changed action."""
        result = self.env.step(self.action(action))
        self.add_context(result[4])
        return result

    def discrete(self) -> spaces.Discrete:
        """The wrapped action space, if it is discrete; otherwise the refusal."""
        space = self.env.action_space
        if not isinstance(space, spaces.Discrete):
            raise self.refuse(f"its action space is {space}, and this needs a Discrete one.")
        return space

    def bounded_box(self) -> spaces.Box:
        """The wrapped action space, if it is a bounded box of real numbers; otherwise the refusal."""
        space = self.env.action_space
        if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating):
            raise self.refuse(f"its action space is {space}, and this needs a Box of real numbers.")
        if not space.is_bounded():
            raise self.refuse(f"its action space {space} is unbounded, so there is no range to measure by.")
        return space

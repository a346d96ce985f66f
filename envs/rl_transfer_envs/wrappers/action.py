"""Base of the wrappers between the agent's action and the environment."""

from __future__ import annotations

from gymnasium import spaces

from rl_transfer_envs.aliases import Action, Transition
from rl_transfer_envs.registry.perturbations import Perturbation


class ActionPerturbation(Perturbation):
    """A wrapper that changes the action: subclasses implement ``action``."""

    side = "action"

    def action(self, action: Action) -> Action:
        """The action that the environment receives.

        Args:
            action: as it reaches this wrapper; its owner may write into it after the step, so what is
                kept is a copy.

        Returns:
            The changed action.
        """
        raise NotImplementedError

    def begin(self) -> None:
        """Prepare an episode, after its values were drawn."""

    def begin_episode(self, seed: int | None) -> None:
        """Draw the episode's values, then :meth:`begin`."""
        super().begin_episode(seed)
        self.begin()

    def step(self, action: Action) -> Transition:
        """Step the environment with the changed action."""
        return super().step(self.action(action))

    def discrete(self) -> spaces.Discrete:
        """The wrapped action space, if it is discrete.

        Returns:
            The space.

        Raises:
            IncompatiblePerturbationError: it is not.
        """
        space = self.env.action_space
        if not isinstance(space, spaces.Discrete):
            raise self.refuse(f"its action space is {space}, and this needs a Discrete one.")
        return space

    def bounded_box(self) -> spaces.Box:
        """The wrapped action space, if it is a bounded box of real numbers.

        Returns:
            The space.

        Raises:
            IncompatiblePerturbationError: it is not.
        """
        space = self.box(self.env.action_space)
        if not space.is_bounded():
            raise self.refuse(f"its action space {space} is unbounded, so there is no range to measure by.")
        return space

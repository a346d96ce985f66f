"""Wrappers between the agent's action and the environment."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces

from rl_transfer_envs.interface import register_perturbation
from rl_transfer_envs.values import Quantity
from rl_transfer_envs.wrappers.base import Perturbation


class ActionPerturbation(Perturbation):
    """Base of the wrappers that change the action: subclasses implement ``action``."""

    side = "action"

    def action(self, action: Any) -> Any:
        """The action that the environment receives."""
        raise NotImplementedError

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Any, dict[str, Any]]:
        """Begin an episode of the perturbation, then reset the environment."""
        self.begin_episode(seed)
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

    def box(self) -> spaces.Box:
        """The wrapped action space, if it is a box of real numbers; otherwise the refusal."""
        space = self.env.action_space
        if not isinstance(space, spaces.Box) or not np.issubdtype(space.dtype, np.floating):
            raise self.refuse(f"its action space is {space}, and this needs a Box of real numbers.")
        return space


@register_perturbation
class ActionRemap(ActionPerturbation):
    """Permutes the discrete actions: action ``i`` does what ``mapping[i]`` did."""

    name = "action_remap"
    summary = "permute discrete actions: reverse, or the list of old actions by new action"
    arguments = (
        Quantity(
            name="mapping",
            unit="1",
            default="identity",
            bounds=None,
            source="permuted action sets: Taylor & Stone 2009, section 2",
            summary="identity, reverse, or a permutation of the action numbers",
            kind="word",
            words=("identity", "reverse"),
            list_allowed=True,
            per_episode=False,
        ),
    )

    def setup(self) -> None:
        """Check that the mapping permutes the actions."""
        space = self.discrete()
        count, given = int(space.n), self.value("mapping")
        words = {"identity": list(range(count)), "reverse": list(range(count))[::-1]}
        mapping = words[given] if isinstance(given, str) else given
        if sorted(mapping) != list(range(count)):
            raise self.refuse(f"{given} is no permutation of its actions 0 … {count - 1}.", "mapping")
        self._start, self._mapping = int(space.start), mapping

    def action(self, action: Any) -> int:
        """The old action's number."""
        return self._start + self._mapping[int(action) - self._start]


@register_perturbation
class ActionInversion(ActionPerturbation):
    """Mirrors continuous actions at the middle of their range: ``a → low + high − a``."""

    name = "action_inversion"
    summary = "mirror continuous actions: all dimensions, or the listed ones"
    arguments = (
        Quantity(
            name="dimensions",
            unit="1",
            default="none",
            bounds=None,
            source="reversed controls",
            summary="none, all, or a list of action dimensions",
            kind="word",
            words=("none", "all"),
            list_allowed=True,
            per_episode=False,
        ),
    )

    def setup(self) -> None:
        """Check the dimensions against the action space."""
        space = self.box()
        flat, given = int(np.prod(space.shape)), self.value("dimensions")
        words = {"none": [], "all": list(range(flat))}
        chosen = words[given] if isinstance(given, str) else given
        outside = [dimension for dimension in chosen if not 0 <= dimension < flat]
        if outside:
            raise self.refuse(f"it has no action dimension {outside[0]} (0 … {flat - 1}).", "dimensions")
        self._mask = np.zeros(flat, dtype=bool)
        self._mask[chosen] = True
        self._mask = self._mask.reshape(space.shape)
        self._sum = space.low + space.high
        if not np.isfinite(self._sum[self._mask]).all():
            raise self.refuse("its action range is unbounded, so it has no middle.")

    def action(self, action: Any) -> Any:
        """The mirrored action."""
        action = np.asarray(action)
        return np.where(self._mask, self._sum - action, action).astype(action.dtype)

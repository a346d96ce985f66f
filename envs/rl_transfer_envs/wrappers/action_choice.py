"""Action wrappers for any action: random, sticky and late ones, other numbering, extra ones."""

from __future__ import annotations

import copy
from collections import deque

import numpy as np
from gymnasium import spaces

from rl_transfer_envs.aliases import Action
from rl_transfer_envs.registry.perturbations import register_perturbation
from rl_transfer_envs.values.quantity import Quantity
from rl_transfer_envs.wrappers.action import ActionPerturbation

_MACHADO = "Machado et al. 2018, Revisiting the Arcade Learning Environment"


@register_perturbation
class ActionRemap(ActionPerturbation):
    """Permutes the discrete actions: action ``i`` does what ``mapping[i]`` did."""

    name = "action_remap"
    summary = "permute discrete actions"
    examples = ("reverse",)
    arguments = (
        Quantity(
            name="mapping",
            unit="1",
            default="identity",
            bounds=None,
            source="changed action sets: Taylor & Stone 2009, section 2",
            summary="identity, reverse, or the old number of each new action",
            kind="word",
            words=("identity", "reverse"),
            list_allowed=True,
            per_episode=False,
        ),
    )

    def setup(self) -> None:
        """Check that the mapping permutes the actions."""
        space = self.discrete()
        self._start, self._mapping = int(space.start), self.permutation("mapping", int(space.n), "actions")

    def action(self, action: Action) -> int:
        """The old action's number."""
        return self._start + int(self._mapping[int(action) - self._start])


@register_perturbation
class RandomAction(ActionPerturbation):
    """Executes a uniformly random action instead of the chosen one, with a probability."""

    name = "random_action"
    summary = "replace the action by a random one with a probability"
    arguments = (
        Quantity(
            name="probability",
            unit="1",
            default=0.0,
            bounds=(0.0, 1.0),
            source=_MACHADO,
            summary="probability of a replacement",
        ),
    )

    def setup(self) -> None:
        """Check that a uniform action exists."""
        space = self.env.action_space
        if isinstance(space, spaces.Box) and not space.is_bounded():
            raise self.refuse(f"its action space {space} is unbounded, so no action is uniformly random.")
        if not isinstance(space, spaces.Box | spaces.Discrete | spaces.MultiDiscrete | spaces.MultiBinary):
            raise self.refuse(
                f"its action space is {space}; Box, Discrete, MultiDiscrete or MultiBinary fit."
            )

    def action(self, action: Action) -> Action:
        """The chosen action or a random one."""
        return self._sample() if self.rng.random() < self.value("probability") else action

    def _sample(self) -> Action:
        space = self.env.action_space
        if isinstance(space, spaces.Discrete):
            return int(space.start + self.rng.integers(space.n))
        if isinstance(space, spaces.MultiDiscrete):
            return (space.start + self.rng.integers(space.nvec)).astype(space.dtype)
        if isinstance(space, spaces.Box):
            return self.rng.uniform(space.low, space.high).astype(space.dtype)
        return self.rng.integers(0, 2, space.shape).astype(space.dtype)


@register_perturbation
class StickyActions(ActionPerturbation):
    """Executes the action executed before instead of the chosen one, with a probability."""

    name = "sticky_actions"
    summary = "repeat the previous action with a probability"
    arguments = (
        Quantity(
            name="probability",
            unit="1",
            default=0.0,
            bounds=(0.0, 0.95),
            source=f"{_MACHADO} (there 0.25)",
            summary="probability of a repetition",
        ),
    )

    def begin(self) -> None:
        """Forget the last episode's action."""
        self._last: Action | None = None

    def action(self, action: Action) -> Action:
        """The chosen action or the one executed before."""
        stick = self.rng.random() < self.value("probability")
        if self._last is None or not stick:
            self._last = copy.deepcopy(action)
        return copy.deepcopy(self._last)


@register_perturbation
class ActionDelay(ActionPerturbation):
    """Executes the action chosen ``steps`` steps ago; before that, the ``fill`` action."""

    name = "action_delay"
    summary = "actions take effect some steps late"
    examples = (2,)
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
        Quantity(
            name="fill",
            unit="1",
            default=0,
            bounds=(0, 1e6),
            source="this package: action 0, or 0 in every dimension clipped to the range",
            summary="number of the discrete action executed until the first chosen one arrives",
            kind="integer",
            per_episode=False,
        ),
    )

    def setup(self) -> None:
        """Find the action that fills the line."""
        space = self.env.action_space
        if isinstance(space, spaces.Box):
            self._fill: Action = np.clip(np.zeros(space.shape), space.low, space.high).astype(space.dtype)
            return
        discrete = self.discrete()
        (fill,) = self.within("fill", [self.value("fill")], int(discrete.n), "action")
        self._fill = int(discrete.start) + fill

    def begin(self) -> None:
        """Fill the line."""
        steps = int(self.value("steps"))
        self._line: deque[Action] = deque([self._fill] * steps, maxlen=steps + 1)

    def action(self, action: Action) -> Action:
        """The delayed action."""
        self._line.append(copy.deepcopy(action))
        return copy.deepcopy(self._line[0])


@register_perturbation
class ExtraActions(ActionPerturbation):
    """Adds actions that do nothing new: discrete ones act as ``noop``, dimensions are ignored."""

    name = "extra_actions"
    summary = "add actions, or action dimensions, that do nothing new"
    examples = (2,)
    arguments = (
        Quantity(
            name="count",
            unit="actions",
            default=0,
            bounds=(0, 20),
            source="changed action sets: Taylor & Stone 2009, section 2",
            summary="how many discrete actions or continuous dimensions",
            kind="integer",
            per_episode=False,
        ),
        Quantity(
            name="noop",
            unit="1",
            default=0,
            bounds=(0, 1e6),
            source="this package",
            summary="number of the discrete action that the extra ones execute",
            kind="integer",
            per_episode=False,
        ),
    )

    def setup(self) -> None:
        """Enlarge the action space."""
        space, extra = self.env.action_space, self.value("count")
        if isinstance(space, spaces.Box):
            self._enlarge(space, extra)
            return
        discrete = self.discrete()
        self._start, self._count = int(discrete.start), int(discrete.n)
        self.within("noop", [self.value("noop")], self._count, "action")
        self.action_space = spaces.Discrete(self._count + extra, start=self._start)

    def _enlarge(self, space: spaces.Box, extra: int) -> None:
        if len(space.shape) != 1:
            raise self.refuse(f"its action has shape {space.shape}, and this needs a vector.")
        self._count = space.shape[0]
        ones = np.ones(extra, dtype=space.dtype)
        self.action_space = spaces.Box(
            np.concatenate([space.low, -ones]), np.concatenate([space.high, ones]), dtype=space.dtype.type
        )

    def action(self, action: Action) -> Action:
        """The action in the environment's own space."""
        if isinstance(self.action_space, spaces.Box):
            return np.asarray(action)[: self._count]
        own = int(action) - self._start < self._count
        return action if own else self._start + self.value("noop")

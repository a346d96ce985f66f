"""Action wrappers for continuous actions: noise, scaling, inversion, dead zone."""

from __future__ import annotations

import numpy as np

from rl_transfer_envs.aliases import Action, Array
from rl_transfer_envs.registry.perturbations import register_perturbation
from rl_transfer_envs.values.quantity import Quantity
from rl_transfer_envs.wrappers.action import ActionPerturbation

_ACTUATORS = "Dulac-Arnold et al. 2021, Challenges of real-world RL"


class _Continuous(ActionPerturbation):
    """Base: the first argument is one number, or one per dimension of a bounded box."""

    def setup(self) -> None:
        """Check space and length."""
        self._box = self.bounded_box()
        self._low, self._high = self._box.low.astype(np.float64), self._box.high.astype(np.float64)
        self.begin()

    def begin(self) -> None:
        """Spread the episode's value over the dimensions."""
        name = self.arguments[0].name
        value = self.value(name)
        number = self.extremes(name)[0] if isinstance(value, dict) else value
        self._size = self.per_dimension(name, self._box, number)

    def _clip(self, action: Array) -> Array:
        return np.clip(action, self._low, self._high).astype(self._box.dtype)


@register_perturbation
class ActionNoise(_Continuous):
    """Adds normal noise, ``a + std·(high − low)/2·ε``, clipped to the action range."""

    name = "action_noise"
    summary = "add normal noise to continuous actions"
    arguments = (
        Quantity(
            name="std",
            unit="half the action range",
            default=0.0,
            bounds=(0.0, 2.0),
            source=_ACTUATORS,
            summary="standard deviation, one for all dimensions or one per dimension",
            kind="numbers",
        ),
    )

    def action(self, action: Action) -> Action:
        """The noisy action."""
        if not self._size.any():
            return action
        noise = self.rng.standard_normal(self._size.shape)
        return self._clip(action + self._size * (self._high - self._low) / 2 * noise)


@register_perturbation
class ActionScale(_Continuous):
    """Multiplies the action, clipped to the action range: weaker or more abrupt actuators."""

    name = "action_scale"
    summary = "multiply continuous actions"
    arguments = (
        Quantity(
            name="factor",
            unit="1",
            default=1.0,
            bounds=(0.1, 10.0),
            source=_ACTUATORS,
            summary="factor, one for all dimensions or one per dimension",
            kind="numbers",
            severity_scale="log",
        ),
    )

    def action(self, action: Action) -> Action:
        """The scaled action."""
        return action if (self._size == 1).all() else self._clip(action * self._size)


@register_perturbation
class ActionDeadZone(_Continuous):
    """Actions smaller than ``width`` (as a share of the largest) do nothing: they become 0."""

    name = "action_dead_zone"
    summary = "ignore small continuous actions"
    arguments = (
        Quantity(
            name="width",
            unit="share of the largest action",
            default=0.0,
            bounds=(0.0, 0.9),
            source="actuator dead band: " + _ACTUATORS,
            summary="half width of the dead zone, one for all dimensions or one per dimension",
            kind="numbers",
        ),
    )

    def action(self, action: Action) -> Action:
        """The action, or 0 inside the zone."""
        action = np.asarray(action)
        largest = np.maximum(np.abs(self._low), np.abs(self._high))
        return np.where(np.abs(action) < self._size * largest, 0, action).astype(action.dtype)


@register_perturbation
class ActionInversion(ActionPerturbation):
    """Mirrors continuous actions at the middle of their range: ``a → low + high − a``."""

    name = "action_inversion"
    summary = "mirror continuous actions: all dimensions, or the listed ones"
    examples = ("all", [0])
    arguments = (
        Quantity(
            name="dimensions",
            unit="1",
            default="none",
            bounds=None,
            source="reversed controls: Taylor & Stone 2009, section 2",
            summary="none, all, or a list of action dimensions",
            kind="word",
            words=("none", "all"),
            list_allowed=True,
            per_episode=False,
        ),
    )

    def setup(self) -> None:
        """Check the dimensions against the action space."""
        space, given = self.bounded_box(), self.value("dimensions")
        size = int(np.prod(space.shape))
        words: dict[str, list[int]] = {"none": [], "all": list(range(size))}
        chosen = words[given] if isinstance(given, str) else given
        self.within("dimensions", chosen, size, "action dimension")
        self._mask = np.isin(np.arange(size), chosen).reshape(space.shape)
        self._sum = space.low + space.high

    def action(self, action: Action) -> Action:
        """The mirrored action."""
        action = np.asarray(action)
        return np.where(self._mask, self._sum - action, action).astype(action.dtype)

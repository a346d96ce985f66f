"""The time limit: moves the one Gymnasium applies, or adds one."""

from __future__ import annotations

import gymnasium as gym

from rl_transfer_envs.registry.perturbations import Perturbation, register_perturbation
from rl_transfer_envs.registry.wrapping import layers
from rl_transfer_envs.values.quantity import Quantity


@register_perturbation
class TimeLimit(Perturbation):
    """Truncates after ``steps`` steps instead of after the registered number.

    It sets Gymnasium's own ``TimeLimit`` wrapper, innermost, so that the other wrappers see the
    truncation; an environment without one gets one.
    """

    name = "time_limit"
    summary = "truncate episodes after another number of steps"
    examples = (50, "x1.5", {"choice": [50, 60]})
    side = "time"
    probes = ("balance",)
    through_termination = True
    arguments = (
        Quantity(
            name="steps",
            unit="steps",
            default=None,
            bounds=(1, 1_000_000),
            source="max_episode_steps of Gymnasium's registry",
            summary="steps until truncation",
            kind="integer",
        ),
    )

    def setup(self) -> None:
        """Find Gymnasium's wrapper."""
        found = [layer for layer in layers(self.env) if isinstance(layer, gym.wrappers.TimeLimit)]
        if not found:
            limit = self.extremes("steps")[1]
            if limit is None:
                return
            self.env = gym.wrappers.TimeLimit(self.env, limit)
            found = [self.env]
        self._limit = min(found, key=lambda layer: layer._max_episode_steps)
        if isinstance(self.value("steps"), int):
            self._limit._max_episode_steps = self.value("steps")

    def default(self, name: str) -> int | None:
        """The registered limit, which relative values multiply."""
        spec = self.env.unwrapped.spec
        return None if spec is None else gym.registry[spec.id].max_episode_steps

    def begin_episode(self, seed: int | None) -> None:
        """Draw the episode's limit and set it."""
        super().begin_episode(seed)
        if self._drawn_names:
            self._limit._max_episode_steps = self.value("steps")

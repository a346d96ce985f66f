"""The families of environments, and the optional dependency that each needs."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass

import gymnasium as gym


@dataclass(frozen=True)
class Family:
    """A family of environments.

    Attributes:
        name: as the catalogue shows it.
        extra: the extra of rl-transfer that installs it; None where none is needed.
        module: the module that the extra installs.
    """

    name: str
    extra: str | None
    module: str

    @property
    def installed(self) -> bool:
        """Whether its environments can be built here."""
        return importlib.util.find_spec(self.module) is not None


FAMILIES = {
    "classic_control": Family("classic control", None, "gymnasium"),
    "box2d": Family("Box2D", "box2d", "Box2D"),
    "mujoco": Family("MuJoCo", "mujoco", "mujoco"),
}
"""Gymnasium's folder → family."""


def family(env_id: str) -> Family:
    """The family of a registered environment; a user's own is "your own".

    Args:
        env_id: Gymnasium id.

    Returns:
        The family.
    """
    entry_point = str(gym.registry[env_id].entry_point) if env_id in gym.registry else ""
    for folder, known in FAMILIES.items():
        if f"gymnasium.envs.{folder}" in entry_point:
            return known
    return Family(
        "this package" if entry_point.startswith("rl_transfer_envs") else "your own", None, "gymnasium"
    )

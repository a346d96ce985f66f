"""MountainCarContinuous over arrays (``gymnasium/envs/classic_control/continuous_mountain_car.py``).

Gymnasium keeps the start state in double and every later state in single precision. Its Python
floats (parameters, bounds) take the precision of the NumPy scalar they meet, but stay double where
they only meet each other: on the clipped throttle, and in the goal test after a bound was hit.
"""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from rl_transfer_envs.aliases import Array, Simulator
from rl_transfer_envs.vector.kernels.arithmetic import cos, square
from rl_transfer_envs.vector.kernels.base import Kernel


class MountainCarContinuousKernel(Kernel):
    """The car with a continuous throttle; the state is position and velocity."""

    environment = "MountainCarContinuous"
    state_size = 2
    attributes: ClassVar[dict[str, float | None]] = {
        **dict.fromkeys(
            (
                "power",
                "min_action",
                "max_action",
                "min_position",
                "max_position",
                "max_speed",
                "goal_position",
                "goal_velocity",
            )
        ),
        "gravity": 0.0025,
    }

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._fresh = np.ones(count, dtype=bool)

    def start(self, row: int, env: Simulator) -> None:
        """Take over the start state, which is in double precision."""
        super().start(row, env)
        self._fresh[row] = True

    def export(self, row: int, env: Simulator) -> None:
        """Write the state back in the precision that Gymnasium would have it in."""
        env.state = self.state[:, row].astype(np.float64 if self._fresh[row] else np.float32)

    def derive(self) -> None:
        """The parameters in single precision."""
        self._single = {name: values.astype(np.float32) for name, values in self.parameters.items()}

    def advance(self, actions: Array, active: Array | None) -> tuple[Array, Array, Array]:
        """Gymnasium's step, for start states and for later states."""
        throttle = actions[:, 0].astype(np.float32)
        if not self._fresh.any():
            self.state, terminated = _move(self.state, throttle, self._single, self._single, self.parameters)
        else:
            terminated = np.zeros(self.count, dtype=bool)
            for rows, precise in ((self._fresh, True), (~self._fresh, False)):
                single, double = (
                    {name: values[rows] for name, values in each.items()}
                    for each in (self._single, self.parameters)
                )
                self.state[:, rows], terminated[rows] = _move(
                    self.state[:, rows], throttle[rows], double if precise else single, single, double
                )
            self._fresh = np.zeros(self.count, dtype=bool)
        return self.observed(), np.where(terminated, 100.0, 0.0) - square(throttle) * 0.1, terminated


def _move(
    state: Array, throttle: Array, p: dict[str, Array], single: dict[str, Array], double: dict[str, Array]
) -> tuple[Array, Array]:
    """The next state (single precision, held in double) and whether it is the goal.

    Args:
        state: ``[variable, instance]``.
        throttle: ``[instance]``, single precision.
        p: the parameters in the precision that the state has.
        single: the parameters in single precision.
        double: the parameters in double precision.
    """
    position, velocity = state.astype(p["power"].dtype)
    velocity = velocity + _acceleration(position, throttle, single, double).astype(velocity.dtype)
    speed = p["max_speed"]
    fast, reverse = velocity > speed, velocity < -speed
    velocity = np.clip(velocity, -speed, speed)
    position = position + velocity
    right, left = position > p["max_position"], position < p["min_position"]
    position = np.clip(position, p["min_position"], p["max_position"])
    crash = (position == p["min_position"]) & (velocity < 0)
    velocity[crash] = 0.0

    there, quick = position >= p["goal_position"], velocity >= p["goal_velocity"]
    if (bounded := right | left).any():
        wall = np.where(right, double["max_position"], double["min_position"])
        there = np.where(bounded, wall >= double["goal_position"], there)
    if (bounded := fast | reverse | crash).any():
        bound = np.where(crash, 0.0, np.where(fast, double["max_speed"], -double["max_speed"]))
        quick = np.where(bounded, bound >= double["goal_velocity"], quick)
    return np.stack((position, velocity)).astype(np.float32).astype(np.float64), there & quick


def _acceleration(
    position: Array, throttle: Array, single: dict[str, Array], double: dict[str, Array]
) -> Array:
    """Engine minus hill: in single precision, unless the throttle was clipped to a Python float."""
    hill = double["gravity"] * cos(3 * position)
    under, over = throttle < single["min_action"], throttle > single["max_action"]
    force: Array = throttle * single["power"] - hill.astype(np.float32)
    if not (clipped := under | over).any():
        return force
    limit = np.where(under, double["min_action"], double["max_action"])
    return np.where(clipped, limit * double["power"] - hill, force)

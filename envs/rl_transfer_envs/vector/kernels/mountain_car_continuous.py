"""MountainCarContinuous over arrays (``gymnasium/envs/classic_control/continuous_mountain_car.py``).

Gymnasium keeps the start state in double and every later state in single precision. Its Python
floats (parameters, bounds) take the precision of the NumPy scalar they meet, but stay double where
they only meet each other: on the clipped throttle, and in the goal test after a bound was hit.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from rl_transfer_envs.vector.kernels.arithmetic import Array, cos, square
from rl_transfer_envs.vector.kernels.base import Kernel


class MountainCarContinuous(Kernel):
    """The car with a continuous throttle; the state is position and velocity."""

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

    def start(self, row: int, env: Any) -> None:
        """Take over the start state, which is in double precision."""
        super().start(row, env)
        self._fresh[row] = True

    def export(self, row: int, env: Any) -> None:
        """Write the state back in the precision that Gymnasium would have it in."""
        env.state = self.state[:, row].astype(np.float64 if self._fresh[row] else np.float32)

    def advance(self, actions: Array, active: Array | None) -> tuple[Array, Array, Array]:
        """Gymnasium's step, for start states and for later states."""
        throttle = actions[:, 0].astype(np.float32)
        terminated = np.zeros(self.count, dtype=bool)
        for rows, dtype in ((self._fresh, np.float64), (~self._fresh, np.float32)):
            if rows.all():
                self.state, terminated = self._move(self.state, self.parameters, throttle, dtype)
                break
            if rows.any():
                own = {name: values[rows] for name, values in self.parameters.items()}
                self.state[:, rows], terminated[rows] = self._move(
                    self.state[:, rows], own, throttle[rows], dtype
                )
        self._fresh = np.zeros(self.count, dtype=bool)
        rewards = np.where(terminated, 100.0, 0.0) - square(throttle) * 0.1
        return self.observed(), rewards, terminated

    @staticmethod
    def _move(state: Array, p: dict[str, Array], throttle: Array, dtype: Any) -> tuple[Array, Array]:
        """The next state (single precision, held in double) and whether it is the goal."""
        position, velocity = state.astype(dtype)
        speed, low, high = (p[name].astype(dtype) for name in ("max_speed", "min_position", "max_position"))

        velocity = velocity + _acceleration(position, p, throttle).astype(dtype)
        fast, reverse = velocity > speed, velocity < -speed
        velocity = np.where(fast, speed, np.where(reverse, -speed, velocity))
        position = position + velocity
        right, left = position > high, position < low
        position = np.where(right, high, np.where(left, low, position))
        crash = (position == low) & (velocity < 0)

        there = np.where(
            right | left,
            np.where(right, p["max_position"], p["min_position"]) >= p["goal_position"],
            position >= p["goal_position"].astype(dtype),
        )
        exact = np.where(crash, 0.0, np.where(fast, p["max_speed"], -p["max_speed"]))
        quick = np.where(
            fast | reverse | crash,
            exact >= p["goal_velocity"],
            velocity >= p["goal_velocity"].astype(dtype),
        )
        velocity = np.where(crash, 0.0, velocity)
        return np.stack((position, velocity)).astype(np.float32).astype(np.float64), there & quick


def _acceleration(position: Array, p: dict[str, Array], throttle: Array) -> Array:
    """Engine minus hill: in single precision, unless the throttle was clipped to a Python float."""
    low, high = p["min_action"], p["max_action"]
    under, over = throttle < low.astype(np.float32), throttle > high.astype(np.float32)
    hill = p["gravity"] * cos((3 * position).astype(np.float64))
    single = throttle * p["power"].astype(np.float32) - hill.astype(np.float32)
    double = np.where(under, low, high) * p["power"] - hill
    return np.where(under | over, double, single)

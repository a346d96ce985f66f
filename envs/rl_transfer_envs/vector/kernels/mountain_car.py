"""MountainCar over arrays (``gymnasium/envs/classic_control/mountain_car.py``)."""

from __future__ import annotations

import numpy as np

from rl_transfer_envs.aliases import Array, Simulator
from rl_transfer_envs.vector.kernels.arithmetic import cos
from rl_transfer_envs.vector.kernels.base import Kernel


class MountainCarKernel(Kernel):
    """The car with three discrete throttles; the state is position and velocity."""

    environment = "MountainCar"
    state_size = 2
    attributes = dict.fromkeys(
        (
            "force",
            "gravity",
            "min_position",
            "max_position",
            "max_speed",
            "goal_position",
            "goal_velocity",
        )
    )

    def advance(self, actions: Array, active: Array | None) -> tuple[Array, Array, Array]:
        """Gymnasium's step."""
        p = self.parameters
        position, velocity = self.state
        velocity = velocity + ((actions - 1) * p["force"] + cos(3 * position) * (-p["gravity"]))
        velocity = np.clip(velocity, -p["max_speed"], p["max_speed"])
        position = np.clip(position + velocity, p["min_position"], p["max_position"])
        velocity[(position == p["min_position"]) & (velocity < 0)] = 0.0
        terminated = (position >= p["goal_position"]) & (velocity >= p["goal_velocity"])
        self.state = np.stack((position, velocity))
        return self.observed(), np.full(self.count, -1.0), terminated

    def export(self, row: int, env: Simulator) -> None:
        """Write the state back as the pair that Gymnasium keeps."""
        env.state = (self.state[0, row], self.state[1, row])

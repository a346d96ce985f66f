"""MountainCar over arrays (``gymnasium/envs/classic_control/mountain_car.py``)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_transfer_envs.aliases import Array, Simulator, State
from rl_transfer_envs.vector.kernels.arithmetic import bounded, choose, cos
from rl_transfer_envs.vector.kernels.base import Kernel


class MountainCarConstants(NamedTuple):
    """Gymnasium's attributes."""

    force: Array
    gravity: Array
    min_position: Array
    max_position: Array
    max_speed: Array
    goal_position: Array
    goal_velocity: Array


CONSTANTS = len(MountainCarConstants._fields)


def advance(c: MountainCarConstants, state: State, action: Array) -> tuple[tuple[Array, ...], float, Array]:
    """Gymnasium's step.

    Args:
        c: the constants.
        state: position and velocity.
        action: 0, 1 or 2: backward, none, forward.

    Returns:
        The next state, the reward, and whether the episode ends.
    """
    position, velocity = state
    velocity = velocity + ((action - 1) * c.force + cos(3 * position) * (-c.gravity))
    velocity = bounded(velocity, -c.max_speed, c.max_speed)
    position = bounded(position + velocity, c.min_position, c.max_position)
    velocity = choose((position == c.min_position) & (velocity < 0), 0.0, velocity)
    terminated = (position >= c.goal_position) & (velocity >= c.goal_velocity)
    return (position, velocity), -1.0, terminated


class MountainCarKernel(Kernel[MountainCarConstants]):
    """The car with three discrete throttles; the observation is the state."""

    environment = "MountainCar"
    state_size = 2
    observation_size = 2
    attributes = dict.fromkeys(MountainCarConstants._fields)

    def derive(self) -> MountainCarConstants:
        """The parameters."""
        return MountainCarConstants(**{name: each.copy() for name, each in self.parameters.items()})

    def step(self, actions: Array, active: Array | None) -> tuple[Array, Array, Array]:
        """Gymnasium's step."""
        moved, reward, terminated = advance(self.constants, self.state, actions)
        self.state = np.stack(moved)
        return self.observed(), np.full(self.count, reward), terminated

    def export(self, row: int, env: Simulator) -> None:
        """Write the state back as the pair that Gymnasium keeps."""
        env.state = (self.state[0, row], self.state[1, row])

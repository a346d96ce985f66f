"""Pendulum over arrays (``gymnasium/envs/classic_control/pendulum.py``)."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from rl_transfer_envs.aliases import Array, Simulator, State
from rl_transfer_envs.vector.kernels.arithmetic import angle_normalize, bounded, single, square, square_single
from rl_transfer_envs.vector.kernels.base import Kernel


class PendulumConstants(NamedTuple):
    """The factors of gravity and torque, the bounds, and the time step."""

    gravity: Array
    motor: Array
    """In single precision, as is the torque that it meets."""
    max_torque: Array
    """In single precision."""
    max_speed: Array
    dt: Array


def applied(c: PendulumConstants, action: Array) -> Array:
    """The torque that an action stands for, in single precision.

    Args:
        c: the constants.
        action: the torque that is asked for [N·m], in single precision.
    """
    return bounded(action, -c.max_torque, c.max_torque)


def advance(c: PendulumConstants, state: State, torque: Array) -> tuple[tuple[Array, ...], Array]:
    """Gymnasium's step; no episode ends by itself.

    Args:
        c: the constants.
        state: angle [rad] and angular velocity [rad/s].
        torque: what :func:`applied` gives.

    Returns:
        The next state and the reward.
    """
    theta, speed = state
    effort = np.float32(0.001) * square_single(torque)
    costs = square(angle_normalize(theta)) + 0.1 * square(speed) + effort

    speed = speed + (c.gravity * np.sin(theta) + c.motor * torque) * c.dt
    speed = bounded(speed, -c.max_speed, c.max_speed)
    return (theta + speed * c.dt, speed), -costs


def observe(state: State) -> tuple[Array, ...]:
    """The observation: cosine and sine of the angle, and the angular velocity.

    Args:
        state: as in :func:`advance`.

    Returns:
        Its entries.
    """
    theta, speed = state
    return np.cos(theta), np.sin(theta), speed


class PendulumKernel(Kernel[PendulumConstants]):
    """The swing-up pendulum; the torque stays in single precision, the state in double.

    Attributes:
        torque: ``torque[instance]`` of the last step, NaN before the first one of an episode.
    """

    environment = "Pendulum"
    state_size = 2
    observation_size = 3
    attributes = dict.fromkeys(("max_speed", "max_torque", "dt", "g", "m", "l"))

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.torque: Array = np.full(count, np.nan, dtype=np.float32)

    def derive(self) -> PendulumConstants:
        """The factors, in Gymnasium's order of operations."""
        p = self.parameters
        return PendulumConstants(
            gravity=3 * p["g"] / (2 * p["l"]),
            motor=single(3.0 / (p["m"] * square(p["l"]))),
            max_torque=single(p["max_torque"]),
            max_speed=p["max_speed"].copy(),
            dt=p["dt"].copy(),
        )

    def start(self, row: int, env: Simulator) -> None:
        """Take over the state, and the last torque, if any was applied."""
        super().start(row, env)
        self.torque[row] = np.nan if env.last_u is None else env.last_u

    def export(self, row: int, env: Simulator) -> None:
        """Write back the state and the torque that the renderer draws."""
        super().export(row, env)
        env.last_u = None if np.isnan(self.torque[row]) else self.torque[row]

    def step(self, actions: Array, active: Array | None) -> tuple[Array, Array, Array]:
        """Gymnasium's step."""
        self.torque = applied(self.constants, single(actions[:, 0]))
        moved, rewards = advance(self.constants, self.state, self.torque)
        self.state = np.stack(moved)
        observations = np.stack(observe(self.state), axis=1).astype(np.float32)
        return observations, rewards, np.zeros(self.count, dtype=bool)

"""Pendulum over arrays (``gymnasium/envs/classic_control/pendulum.py``)."""

from __future__ import annotations

import numpy as np

from rl_transfer_envs.aliases import Array, Simulator
from rl_transfer_envs.vector.kernels.arithmetic import angle_normalize, square, square_single
from rl_transfer_envs.vector.kernels.base import Kernel


class PendulumKernel(Kernel):
    """The swing-up pendulum; the torque stays in single precision, the state in double."""

    environment = "Pendulum"
    state_size = 2
    attributes = dict.fromkeys(("max_speed", "max_torque", "dt", "g", "m", "l"))

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._torque = np.full(count, np.nan, dtype=np.float32)

    def derive(self) -> None:
        """The factors of gravity and torque, and the torque bounds in single precision."""
        p = self.parameters
        self._gravity = 3 * p["g"] / (2 * p["l"])
        self._motor = (3.0 / (p["m"] * square(p["l"]))).astype(np.float32)
        self._limit = p["max_torque"].astype(np.float32)

    def start(self, row: int, env: Simulator) -> None:
        """Take over the start state; no torque was applied yet."""
        super().start(row, env)
        self._torque[row] = np.nan

    def export(self, row: int, env: Simulator) -> None:
        """Write back the state and the torque that the renderer draws."""
        super().export(row, env)
        env.last_u = None if np.isnan(self._torque[row]) else self._torque[row]

    def advance(self, actions: Array, active: Array | None) -> tuple[Array, Array, Array]:
        """Gymnasium's step."""
        p = self.parameters
        theta, speed = self.state
        torque = np.clip(actions[:, 0].astype(np.float32), -self._limit, self._limit)
        self._torque = torque
        effort = np.float32(0.001) * square_single(torque)
        costs = square(angle_normalize(theta)) + 0.1 * square(speed) + effort

        speed = speed + (self._gravity * np.sin(theta) + self._motor * torque) * p["dt"]
        speed = np.clip(speed, -p["max_speed"], p["max_speed"])
        theta = theta + speed * p["dt"]
        self.state = np.stack((theta, speed))
        observations = np.stack((np.cos(theta), np.sin(theta), speed), axis=1).astype(np.float32)
        return observations, -costs, np.zeros(self.count, dtype=bool)

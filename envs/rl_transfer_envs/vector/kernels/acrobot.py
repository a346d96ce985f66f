"""Acrobot over arrays (``gymnasium/envs/classic_control/acrobot.py``)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from rl_transfer_envs.aliases import Array, Simulator
from rl_transfer_envs.errors import IncompatiblePerturbationError
from rl_transfer_envs.vector.kernels.arithmetic import square, wrap
from rl_transfer_envs.vector.kernels.base import USE_SYNC, Kernel


class AcrobotKernel(Kernel):
    """Two links, Runge–Kutta of fourth order, Gymnasium's "book" equations."""

    environment = "Acrobot"
    state_size = 4
    attributes: ClassVar[dict[str, float | None]] = {
        **dict.fromkeys(
            (
                "dt",
                "LINK_LENGTH_1",
                "LINK_LENGTH_2",
                "LINK_MASS_1",
                "LINK_MASS_2",
                "LINK_COM_POS_1",
                "LINK_COM_POS_2",
                "LINK_MOI",
                "MAX_VEL_1",
                "MAX_VEL_2",
                "torque_noise_max",
            )
        ),
        "gravity": 9.8,
        "goal_height": 1.0,
    }

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self._rows = np.arange(count)
        self._torques = np.zeros((3, count))
        self._reach = np.ones((2, count))
        self._envs: list[Simulator] = [None] * count

    def load(self, row: int, env: Simulator) -> None:
        """As in the base class, and the torques, and the lengths that the goal test uses."""
        if env.book_or_nips != "book":
            raise IncompatiblePerturbationError(
                f"Acrobot with the equations {env.book_or_nips!r} does not vectorise; only 'book' does. "
                f"{USE_SYNC}"
            )
        super().load(row, env)
        self._torques[:, row] = env.AVAIL_TORQUE
        # Gymnasium's own goal test has links of 1 m as a literal, whatever the lengths are.
        self._reach[:, row] = (env.LINK_LENGTH_1, env.LINK_LENGTH_2) if hasattr(env, "goal_height") else 1.0
        self._envs[row] = env

    def derive(self) -> None:
        """The constants of the equations of motion, in Gymnasium's order of operations."""
        p = self.parameters
        m1, m2, l1 = p["LINK_MASS_1"], p["LINK_MASS_2"], p["LINK_LENGTH_1"]
        lc1, lc2, inertia, g = p["LINK_COM_POS_1"], p["LINK_COM_POS_2"], p["LINK_MOI"], p["gravity"]
        self._d1 = (m1 * square(lc1), m2, square(l1) + square(lc2), 2 * l1 * lc2, inertia)
        self._d2 = (m2, square(lc2), l1 * lc2, inertia)
        self._phi1 = (-m2 * l1 * lc2, 2 * m2 * l1 * lc2, (m1 * lc1 + m2 * l1) * g)
        self._phi2 = m2 * lc2 * g
        self._centrifugal = m2 * l1 * lc2
        self._inertia2 = m2 * square(lc2) + inertia
        self._noisy = np.flatnonzero(p["torque_noise_max"] > 0)

    def advance(self, actions: Array, active: Array | None) -> tuple[Array, Array, Array]:
        """Gymnasium's step."""
        p = self.parameters
        theta1, theta2, speed1, speed2 = self._integrate(self._torque(actions, active))
        theta1, theta2 = wrap(theta1, -np.pi, np.pi), wrap(theta2, -np.pi, np.pi)
        speed1 = np.minimum(np.maximum(speed1, -p["MAX_VEL_1"]), p["MAX_VEL_1"])
        speed2 = np.minimum(np.maximum(speed2, -p["MAX_VEL_2"]), p["MAX_VEL_2"])
        self.state = np.stack((theta1, theta2, speed1, speed2))
        cos1, reach = np.cos(theta1), self._reach
        terminated = -reach[0] * cos1 - reach[1] * np.cos(theta2 + theta1) > p["goal_height"]
        seen = (cos1, np.sin(theta1), np.cos(theta2), np.sin(theta2), speed1, speed2)
        return np.stack(seen, axis=1).astype(np.float32), np.where(terminated, 0.0, -1.0), terminated

    def _torque(self, actions: Array, active: Array | None) -> Array:
        torque = self._torques[actions, self._rows]
        for row in self._noisy.tolist():
            if active is None or active[row]:
                width = self.parameters["torque_noise_max"][row]
                torque[row] += self._envs[row].np_random.uniform(-width, width)
        return torque

    def _integrate(self, torque: Array) -> Array:
        """One step of the classic Runge–Kutta method; ``[variable, instance]``."""
        dt, y = self.parameters["dt"], self.state
        half = dt / 2.0
        k1 = self._derivative(y, torque)
        k2 = self._derivative(y + half * k1, torque)
        k3 = self._derivative(y + half * k2, torque)
        k4 = self._derivative(y + dt * k3, torque)
        return np.asarray(y + dt / 6.0 * (k1 + 2 * k2 + 2 * k3 + k4))

    def _derivative(self, y: Array, torque: Array) -> Array:
        theta1, theta2, speed1, speed2 = y
        cos2, sin2 = np.cos(theta2), np.sin(theta2)
        a, m2, b, c, inertia = self._d1
        d1 = a + m2 * (b + c * cos2) + inertia + inertia
        m2, b, c, inertia = self._d2
        d2 = m2 * (b + c * cos2) + inertia
        phi2 = self._phi2 * np.cos(theta1 + theta2 - np.pi / 2.0)
        a, b, c = self._phi1
        phi1 = a * square(speed2) * sin2 - b * speed2 * speed1 * sin2 + c * np.cos(theta1 - np.pi / 2) + phi2
        acceleration2 = (torque + d2 / d1 * phi1 - self._centrifugal * square(speed1) * sin2 - phi2) / (
            self._inertia2 - square(d2) / d1
        )
        acceleration1 = -(d2 * acceleration2 + phi1) / d1
        return np.stack((speed1, speed2, acceleration1, acceleration2))

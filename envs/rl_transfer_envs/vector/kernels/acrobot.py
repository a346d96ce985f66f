"""Acrobot over arrays (``gymnasium/envs/classic_control/acrobot.py``)."""

from __future__ import annotations

from typing import ClassVar, NamedTuple

import numpy as np

from rl_transfer_envs.aliases import Array, Simulator, State
from rl_transfer_envs.errors import IncompatiblePerturbationError
from rl_transfer_envs.vector.kernels.arithmetic import bounded, choose, plus, square, together, wrap
from rl_transfer_envs.vector.kernels.base import USE_SYNC, Kernel


class AcrobotConstants(NamedTuple):
    """The constants of the equations of motion, in Gymnasium's order of operations; step and bounds."""

    near: Array
    """m1·lc1²."""
    m2: Array
    lengths: Array
    """l1² + lc2²."""
    cross1: Array
    """2·l1·lc2."""
    inertia: Array
    far: Array
    """lc2²."""
    cross2: Array
    """l1·lc2."""
    spin2: Array
    """−m2·l1·lc2."""
    coriolis: Array
    """2·m2·l1·lc2."""
    weight1: Array
    """(m1·lc1 + m2·l1)·g."""
    weight2: Array
    """m2·lc2·g."""
    centrifugal: Array
    """m2·l1·lc2."""
    inertia2: Array
    """m2·lc2² + inertia."""
    dt: Array
    max_speed1: Array
    max_speed2: Array
    reach1: Array
    """Length of the first link for the test of the goal [m]."""
    reach2: Array
    goal_height: Array


CONSTANTS = len(AcrobotConstants._fields)


def advance(c: AcrobotConstants, state: State, torque: Array) -> tuple[tuple[Array, ...], Array, Array]:
    """Gymnasium's step: the classic Runge–Kutta method over the equations of the "book".

    Args:
        c: the constants.
        state: two angles [rad], two angular velocities [rad/s].
        torque: on the joint between the links [N·m], noise included.

    Returns:
        The next state, the reward, and whether the episode ends.
    """
    half = c.dt / 2.0
    k1 = derivative(c, state, torque)
    k2 = derivative(c, plus(state, half, k1), torque)
    k3 = derivative(c, plus(state, half, k2), torque)
    k4 = derivative(c, plus(state, c.dt, k3), torque)
    slopes = plus(plus(plus(k1, 2.0, k2), 2.0, k3), 1.0, k4)
    theta1, theta2, speed1, speed2 = plus(state, c.dt / 6.0, slopes)

    theta1, theta2 = wrap(theta1, -np.pi, np.pi), wrap(theta2, -np.pi, np.pi)
    speed1 = bounded(speed1, -c.max_speed1, c.max_speed1)
    speed2 = bounded(speed2, -c.max_speed2, c.max_speed2)
    terminated = -c.reach1 * np.cos(theta1) - c.reach2 * np.cos(theta2 + theta1) > c.goal_height
    return (theta1, theta2, speed1, speed2), choose(terminated, 0.0, -1.0), terminated


def derivative(c: AcrobotConstants, state: State, torque: Array) -> Array:
    """How fast the state changes.

    Args:
        c: the constants.
        state: as in :func:`advance`.
        torque: as in :func:`advance`.

    Returns:
        Its time derivative, :func:`~rl_transfer_envs.vector.kernels.arithmetic.together`.
    """
    theta1, theta2, speed1, speed2 = state
    cos2, sin2 = np.cos(theta2), np.sin(theta2)
    d1 = c.near + c.m2 * (c.lengths + c.cross1 * cos2) + c.inertia + c.inertia
    d2 = c.m2 * (c.far + c.cross2 * cos2) + c.inertia
    phi2 = c.weight2 * np.cos(theta1 + theta2 - np.pi / 2.0)
    phi1 = (
        c.spin2 * square(speed2) * sin2
        - c.coriolis * speed2 * speed1 * sin2
        + c.weight1 * np.cos(theta1 - np.pi / 2)
        + phi2
    )
    acceleration2 = (torque + d2 / d1 * phi1 - c.centrifugal * square(speed1) * sin2 - phi2) / (
        c.inertia2 - square(d2) / d1
    )
    acceleration1 = -(d2 * acceleration2 + phi1) / d1
    return together(speed1, speed2, acceleration1, acceleration2)


def observe(state: State) -> tuple[Array, ...]:
    """The observation: cosine and sine of both angles, and the angular velocities.

    Args:
        state: as in :func:`advance`.

    Returns:
        Its entries.
    """
    theta1, theta2, speed1, speed2 = state
    return np.cos(theta1), np.sin(theta1), np.cos(theta2), np.sin(theta2), speed1, speed2


class AcrobotKernel(Kernel[AcrobotConstants]):
    """Two links, Runge–Kutta of fourth order, Gymnasium's "book" equations.

    Attributes:
        torques: ``torques[action, instance]`` [N·m], without noise.
    """

    environment = "Acrobot"
    state_size = 4
    observation_size = 6
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
        self.torques: Array = np.zeros((3, count))
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
        self.torques[:, row] = env.AVAIL_TORQUE
        # Gymnasium's own goal test has links of 1 m as a literal, whatever the lengths are.
        self._reach[:, row] = (env.LINK_LENGTH_1, env.LINK_LENGTH_2) if hasattr(env, "goal_height") else 1.0
        self._envs[row] = env

    def derive(self) -> AcrobotConstants:
        """The constants, and which instances have noise."""
        p = self.parameters
        m1, m2, l1 = p["LINK_MASS_1"], p["LINK_MASS_2"], p["LINK_LENGTH_1"]
        lc1, lc2, inertia, g = p["LINK_COM_POS_1"], p["LINK_COM_POS_2"], p["LINK_MOI"], p["gravity"]
        self._noisy = np.flatnonzero(p["torque_noise_max"] > 0).tolist()
        return AcrobotConstants(
            near=m1 * square(lc1),
            m2=m2.copy(),
            lengths=square(l1) + square(lc2),
            cross1=2 * l1 * lc2,
            inertia=inertia.copy(),
            far=square(lc2),
            cross2=l1 * lc2,
            spin2=-m2 * l1 * lc2,
            coriolis=2 * m2 * l1 * lc2,
            weight1=(m1 * lc1 + m2 * l1) * g,
            weight2=m2 * lc2 * g,
            centrifugal=m2 * l1 * lc2,
            inertia2=m2 * square(lc2) + inertia,
            dt=p["dt"].copy(),
            max_speed1=p["MAX_VEL_1"].copy(),
            max_speed2=p["MAX_VEL_2"].copy(),
            reach1=self._reach[0].copy(),
            reach2=self._reach[1].copy(),
            goal_height=p["goal_height"].copy(),
        )

    def step(self, actions: Array, active: Array | None) -> tuple[Array, Array, Array]:
        """Gymnasium's step."""
        constants = self.constants
        moved, rewards, terminated = advance(constants, self.state, self.torque(actions, active))
        self.state = np.stack(moved)
        return np.stack(observe(self.state), axis=1).astype(np.float32), rewards, terminated

    def torque(self, actions: Array, active: Array | None) -> Array:
        """The torques of one step; noise is drawn from the streams of the instances that have it.

        Args:
            actions: as in :meth:`step`.
            active: as in :meth:`step`.

        Returns:
            ``torque[instance]`` [N·m], newly made.
        """
        torque = self.torques[actions, self._rows]
        for row in self._noisy:
            if active is None or active[row]:
                width = self.parameters["torque_noise_max"][row]
                torque[row] += self._envs[row].np_random.uniform(-width, width)
        return torque

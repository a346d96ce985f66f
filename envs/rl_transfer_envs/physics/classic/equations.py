"""Gymnasium's classic-control equations with their literals turned into attributes.

Each class overrides one method of Gymnasium's own environment, line for line, and differs only
where it reads an attribute instead of a literal; at default values it is equal bit for bit
(tests/envs proves it). The equations are Gymnasium's (MIT licence, Farama Foundation).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from gymnasium.envs.classic_control import AcrobotEnv, Continuous_MountainCarEnv
from numpy import cos, pi, sin

from rl_transfer_envs.aliases import Array, Floats, Transition


class Acrobot(AcrobotEnv):
    """Acrobot whose gravity, link lengths and goal height are attributes.

    Gymnasium writes gravity as a literal, draws ``LINK_LENGTH_2`` without using it, and ends the
    episode at ``−cos θ1 − cos(θ1 + θ2) > 1``, the tip's height for links of 1 m. Here the height
    is ``−l1 cos θ1 − l2 cos(θ1 + θ2) > goal_height``.
    """

    gravity = 9.8  # [m/s^2]
    goal_height = 1.0  # [m] above the fixed joint

    def _terminal(self) -> bool:
        s: Any = self.state
        return bool(
            -self.LINK_LENGTH_1 * cos(s[0]) - self.LINK_LENGTH_2 * cos(s[1] + s[0]) > self.goal_height
        )

    def _dsdt(self, s_augmented: Floats) -> tuple[np.float64 | float, ...]:
        m1 = self.LINK_MASS_1
        m2 = self.LINK_MASS_2
        l1 = self.LINK_LENGTH_1
        lc1 = self.LINK_COM_POS_1
        lc2 = self.LINK_COM_POS_2
        inertia1 = self.LINK_MOI
        inertia2 = self.LINK_MOI
        g = self.gravity
        a = s_augmented[-1]
        theta1, theta2, dtheta1, dtheta2 = s_augmented[:-1]
        d1 = m1 * lc1**2 + m2 * (l1**2 + lc2**2 + 2 * l1 * lc2 * cos(theta2)) + inertia1 + inertia2
        d2 = m2 * (lc2**2 + l1 * lc2 * cos(theta2)) + inertia2
        phi2 = m2 * lc2 * g * cos(theta1 + theta2 - pi / 2.0)
        phi1 = (
            -m2 * l1 * lc2 * dtheta2**2 * sin(theta2)
            - 2 * m2 * l1 * lc2 * dtheta2 * dtheta1 * sin(theta2)
            + (m1 * lc1 + m2 * l1) * g * cos(theta1 - pi / 2)
            + phi2
        )
        if self.book_or_nips == "nips":
            ddtheta2 = (a + d2 / d1 * phi1 - phi2) / (m2 * lc2**2 + inertia2 - d2**2 / d1)
        else:
            ddtheta2 = (a + d2 / d1 * phi1 - m2 * l1 * lc2 * dtheta1**2 * sin(theta2) - phi2) / (
                m2 * lc2**2 + inertia2 - d2**2 / d1
            )
        ddtheta1 = -(d2 * ddtheta2 + phi1) / d1
        return dtheta1, dtheta2, ddtheta1, ddtheta2, 0.0


class MountainCarContinuous(Continuous_MountainCarEnv):
    """MountainCarContinuous whose gravity (a literal in Gymnasium) is an attribute."""

    gravity = 0.0025

    def step(self, action: Array) -> Transition:
        """Gymnasium's step, reading ``self.gravity``."""
        position = self.state[0]
        velocity = self.state[1]
        force = min(max(action[0], self.min_action), self.max_action)

        velocity += force * self.power - self.gravity * math.cos(3 * position)
        if velocity > self.max_speed:
            velocity = self.max_speed
        if velocity < -self.max_speed:
            velocity = -self.max_speed
        position += velocity
        if position > self.max_position:
            position = self.max_position
        if position < self.min_position:
            position = self.min_position
        if position == self.min_position and velocity < 0:
            velocity = 0

        terminated = bool(position >= self.goal_position and velocity >= self.goal_velocity)
        reward: Any = 100.0 if terminated else 0
        reward -= math.pow(action[0], 2) * 0.1

        self.state = np.array([position, velocity], dtype=np.float32)
        if self.render_mode == "human":
            self.render()  # type: ignore[no-untyped-call]
        return self.state, reward, terminated, False, {}

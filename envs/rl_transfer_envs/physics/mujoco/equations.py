"""Two of Gymnasium's MuJoCo environments with their literals turned into attributes.

Each class overrides one method, line for line, and differs only where it reads an attribute
instead of a literal; at default values it is equal bit for bit (tests/envs proves it). The
equations are Gymnasium's (MIT licence, Farama Foundation). Imported only when one of their
parameters is perturbed, for it needs MuJoCo.
"""

from __future__ import annotations

import numpy as np
from gymnasium.envs.mujoco.inverted_double_pendulum_v5 import InvertedDoublePendulumEnv
from gymnasium.envs.mujoco.reacher_v5 import ReacherEnv

from rl_transfer_envs.aliases import Action, Floats


class Reacher(ReacherEnv):
    """Reacher whose initial spread and target disc (literals in Gymnasium) are attributes."""

    initial_spread = 0.1  # [rad] joint angles start in ± this
    target_radius = 0.2  # [m] targets lie in a disc of this radius around the shoulder

    def reset_model(self) -> Floats:
        """Gymnasium's start, reading the attributes.

        Returns:
            ``observation[variable]``.
        """
        qpos = (
            self.np_random.uniform(low=-self.initial_spread, high=self.initial_spread, size=self.model.nq)
            + self.init_qpos
        )
        while True:
            self.goal = self.np_random.uniform(low=-self.target_radius, high=self.target_radius, size=2)
            if np.linalg.norm(self.goal) < self.target_radius:
                break
        qpos[-2:] = self.goal
        qvel = self.init_qvel + self.np_random.uniform(low=-0.005, high=0.005, size=self.model.nv)
        qvel[-2:] = 0
        self.set_state(qpos, qvel)  # type: ignore[no-untyped-call]
        observation: Floats = self._get_obs()  # type: ignore[no-untyped-call]
        return observation


class InvertedDoublePendulum(InvertedDoublePendulumEnv):
    """InvertedDoublePendulum that judges the tip's height as a share of the poles' own length.

    Gymnasium ends the episode at a tip height of 1 m and rewards closeness to 2 m, literals
    that fit poles of 1.2 m together. Here the height is first scaled to poles of 1.2 m, so
    shorter poles do not fall over by definition.
    """

    def step(self, action: Action) -> tuple[Floats, np.float64, bool, bool, dict[str, np.float64]]:
        """Gymnasium's step, with the tip's height scaled."""
        self.do_simulation(action, self.frame_skip)

        x, _, y = self.data.site_xpos[0]
        y = y * (1.2 / self._upright_height())
        observation = self._get_obs()  # type: ignore[no-untyped-call]
        terminated = bool(y <= 1)
        reward, info = self._get_rew(x, y, terminated)  # type: ignore[no-untyped-call]

        if self.render_mode == "human":
            self.render()  # type: ignore[no-untyped-call]
        return observation, reward, terminated, False, info

    def _upright_height(self) -> float:
        """Height of the tip above the cart's axle when both poles stand upright [m]."""
        return float(self.model.body_pos[self.model.site_bodyid[0], 2] + self.model.site_pos[0, 2])

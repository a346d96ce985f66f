"""CartPole over arrays (``gymnasium/envs/classic_control/cartpole.py``)."""

from __future__ import annotations

import numpy as np

from rl_transfer_envs.aliases import Array, Simulator
from rl_transfer_envs.errors import IncompatiblePerturbationError
from rl_transfer_envs.vector.kernels.base import USE_SYNC, Kernel


class CartPoleKernel(Kernel):
    """Euler integration of the cart and the pole."""

    environment = "CartPole"
    state_size = 4
    attributes = dict.fromkeys(
        (
            "gravity",
            "masspole",
            "total_mass",
            "length",
            "polemass_length",
            "force_mag",
            "tau",
            "x_threshold",
            "theta_threshold_radians",
            "_sutton_barto_reward",
        )
    )

    def load(self, row: int, env: Simulator) -> None:
        """As in the base class; only Gymnasium's default integrator is batched."""
        if env.kinematics_integrator != "euler":
            raise IncompatiblePerturbationError(
                f"CartPole with the integrator {env.kinematics_integrator!r} does not vectorise; "
                f"only 'euler' does. {USE_SYNC}"
            )
        super().load(row, env)

    def derive(self) -> None:
        """Rewards of a step that goes on and of one that ends."""
        sutton_barto = self.parameters["_sutton_barto_reward"] != 0
        self._alive, self._fallen = np.where(sutton_barto, 0.0, 1.0), np.where(sutton_barto, -1.0, 1.0)

    def advance(self, actions: Array, active: Array | None) -> tuple[Array, Array, Array]:
        """Gymnasium's step, without its warning about steps after the end."""
        p = self.parameters
        x, x_dot, theta, theta_dot = self.state
        total_mass, tau = p["total_mass"], p["tau"]
        force = np.where(actions == 1, p["force_mag"], -p["force_mag"])
        costheta, sintheta = np.cos(theta), np.sin(theta)

        temp = (force + p["polemass_length"] * np.square(theta_dot) * sintheta) / total_mass
        thetaacc = (p["gravity"] * sintheta - costheta * temp) / (
            p["length"] * (4.0 / 3.0 - p["masspole"] * np.square(costheta) / total_mass)
        )
        xacc = temp - p["polemass_length"] * thetaacc * costheta / total_mass
        self.state = np.stack(
            (x + tau * x_dot, x_dot + tau * xacc, theta + tau * theta_dot, theta_dot + tau * thetaacc)
        )
        terminated = (np.abs(self.state[0]) > p["x_threshold"]) | (
            np.abs(self.state[2]) > p["theta_threshold_radians"]
        )
        return self.observed(), np.where(terminated, self._fallen, self._alive), terminated

    def export(self, row: int, env: Simulator) -> None:
        """Write state back; the episode has not ended."""
        super().export(row, env)
        env.steps_beyond_terminated = None
